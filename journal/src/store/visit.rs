//! A folder's objects one by one, however many there are.

use futures::TryStreamExt as _;
use object_store::path::Path;

use super::{Listed, Patience, Store, convert};
use crate::Result;

impl Store {
    /// Calls `each` for every object below a folder, in whatever order the store tells them. After a failure that may pass
    /// the listing begins anew, so `each` may be told of one twice.
    pub(crate) async fn visit(&self, folder: &Path, mut each: impl FnMut(Listed)) -> Result<()> {
        let mut patience = Patience::new(&self.parts);
        loop {
            match self.visit_once(folder, &mut each).await {
                Ok(()) => return Ok(()),
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn visit_once(&self, folder: &Path, each: &mut impl FnMut(Listed)) -> Result<()> {
        let mut stream = self.inner.list(Some(folder));
        while let Some(meta) = self.limited(folder, stream.try_next()).await?.map_err(|e| convert(folder, e))? {
            each(Listed { path: meta.location, size: meta.size });
        }
        Ok(())
    }
}
