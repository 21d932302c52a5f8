//! Listing the snapshots that bear a tag.
//!
//! **Invariants.** (1) A page that is wrong is an error, never a shorter list. (2) A listing ends: all of its pages together
//! have the time of an operation, [`BYTES`] and [`PAGES`], those without a snapshot too. (3) What a snapshot says beside its
//! tag and handle does not keep it from being listed, so that what an earlier version of the plugin made is deleted too.

use std::collections::BTreeSet;

use hindcast_journal::Result;
use hindcast_snapshotter::driver::Taken;
use prost::Message as _;

use super::PluginDriver;
use crate::{
    check::Answer,
    sort,
    wire::{self, Method},
};

/// More snapshots than one cluster has in one storage system, and more of their bytes.
const MANY: usize = 200_000;
const BYTES: usize = 128 << 20;
/// More pages than they fill, and the longest token of one.
const PAGES: usize = 10_000;
const TOKEN: usize = 4096;
/// The most snapshots on a page.
const PAGE: u32 = 500;

impl PluginDriver {
    /// Every snapshot that bears these, over all pages.
    pub(super) async fn list(&self, what: &str, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let limit = self.patience().limits.operation;
        let listed = self.patience().parts.timeout(limit, self.pages(what, cluster, id)).await;
        listed.unwrap_or_else(|| Err(sort::late(&self.plugin.title(), what, Method::LIST, Some(limit)).into()))
    }

    async fn pages(&self, what: &str, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let who = self.plugin.title();
        let answer = Answer { who: &who, what, method: Method::LIST };
        let page_size = u32::from(self.patience().limits.page).min(PAGE);
        let (mut found, mut handles) = (Vec::<Taken>::new(), BTreeSet::new());
        let (mut page_token, mut tokens, mut bytes) = (String::new(), BTreeSet::new(), 0);
        loop {
            let request = wire::ListRequest { cluster: cluster.into(), id: id.into(), page_size, page_token };
            let list = || self.plugin.call::<_, wire::ListResponse>(what, Method::LIST, request.clone());
            let page = self.patience().ride(what, list).await?;
            if page.taken.len() > page_size as usize {
                return Err(answer.wrong(format!("a page of {} snapshots, where {page_size} fit", page.taken.len())));
            }
            bytes += page.encoded_len();
            for taken in page.taken {
                let taken = self.taken(answer, taken)?;
                if taken.tag.cluster != cluster || (!id.is_empty() && taken.tag.id != id) {
                    return Err(
                        answer.wrong(format!("{} of the cluster {} is not asked for", taken.tag, taken.tag.cluster))
                    );
                }
                if handles.insert(taken.handle.clone()) {
                    found.push(taken);
                }
            }
            if found.len() > MANY || bytes > BYTES {
                return Err(answer.wrong(format!("more than {MANY} snapshots, or {} MiB", BYTES >> 20)));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
            if page_token.len() > TOKEN || !tokens.insert(page_token.clone()) || tokens.len() > PAGES {
                return Err(answer.wrong("its pages have no end"));
            }
        }
    }
}
