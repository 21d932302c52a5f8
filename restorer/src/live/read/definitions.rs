//! The definitions that custom objects of the moment are written against.
//!
//! **Invariant.** One that may not be read stops nothing: the server's answers tell what it drops.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt as _, stream};
use hindcast_journal::fold::ObjectKey;

use super::Reading;
use crate::{
    desired::Full,
    kinds::{
        self,
        crds::{DEFINITIONS, definition},
    },
    live::{Live, server::path},
};

impl Reading<'_> {
    /// The definitions of custom objects of the moment; one that may not be read is not needed.
    pub(super) async fn definitions(&self, live: &Live) -> BTreeMap<ObjectKey, Arc<Full>> {
        let Some(kind) = self.table.get(DEFINITIONS) else { return BTreeMap::new() };
        let custom = self.desired.objects.keys().filter(|key| !kinds::is_built_in(&key.group));
        let keys: BTreeSet<ObjectKey> = custom.map(|key| definition(&key.group, &key.resource)).collect();
        let asked =
            stream::iter(keys.into_iter().filter(|key| !live.objects.contains_key(key))).map(|key| async move {
                let object = self.server.object(&path(kind, &kind.version, "", Some(&key.name))).await;
                Some((key, Arc::new(object.ok()?)))
            });
        asked.buffer_unordered(16).filter_map(|found| async move { found }).collect().await
    }
}
