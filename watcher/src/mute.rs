//! Kinds whose watches send no bookmarks: what a server takes straight to its store (Events, `--watch-cache-sizes
//! x#0`), and some aggregated APIs. While nothing of such a kind is written, nothing tells how far it is known, and its
//! domain would stand still for every kind in it.
//!
//! So such a kind is checked: a consistent list of its objects' metadata, at revision R, is followed by a watch of
//! three seconds from the cursor. If the list shows exactly what is retained (each name with its uid and revision, no
//! more and no fewer), and the watch stayed open for its time, ended as asked, and sent nothing, the cursor moves on to
//! R.
//!
//! **Why that is enough.** The list shows what was written after the cursor and exists at R, and what existed and is
//! gone. What was created *and* deleted in between it cannot show. That the watch would send first: it begins at the
//! cursor, everything up to R was written before it was opened, and a watch sends the past in order before it waits for
//! more. The watch of the kind's stream, open all the while, would have sent it as well. Neither part is enough alone:
//! a dead watch sends nothing either, and would pass for a quiet one.
//!
//! **What this cannot see.** A server whose lists are right, while two watches of a kind are open and send nothing, and
//! one of them even ends in time, hides objects that are created and deleted meanwhile. A kind whose watch has sent a
//! bookmark since it was opened is never taken for mute in the main domain: a stuck cache looks just like that
//! [`crate::core::Core::may_be_mute`]. A kind of more than [`MANY`] objects holds its domain's time until something of
//! it is written, or its cursor expires and it is healed.
//!
//! **Invariants.** (1) The cursor moves on only if it still is where it was when the list was begun [`Core::still`].
//! (2) A kind is listed at most once in [`PER_OBJECT`] for each of its objects, except for small ones [`FEW`]; one that
//! waits for its turn is closed up to its last turn. Not here: when to look [`crate::watchdog`], the watch
//! [`crate::listen`].
//!
//! [`Core::still`]: crate::core::Core::still

use std::time::Duration;

use hindcast_cluster::{Failure, discovery::path, header::Header, path::page_query};
use hindcast_journal::{facts::Discovery, row::Revision};

use crate::{
    access::{Access, another_life},
    core::object_name,
    listen,
};

/// Objects on a page.
const PAGE: usize = 500;
/// A kind of up to this many objects is checked whenever somebody asks.
const FEW: usize = 500;
/// A kind of more than this many is never listed for this.
const MANY: usize = 20_000;
/// A larger kind is listed again after this long for each of its objects at the earliest.
const PER_OBJECT: Duration = Duration::from_millis(10);

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Everything is known up to a list that was begun since.
    Known,
    /// There is more than has been seen.
    More,
    /// It was listed not long ago.
    NotYet,
}

/// Checks a covered kind whose watch sends nothing, and brings it to where its domain stands.
pub(crate) async fn look(access: &Access, key: &str, kind: &Discovery) -> Result<Look, Failure> {
    let (from, objects, at) = {
        let mut core = access.core.lock();
        let at = core.now();
        let Some(kind) = core.kinds.get(key).filter(|kind| kind.covered) else { return Ok(Look::Known) };
        (kind.cursor, kind.objects.len(), at)
    };
    if objects > MANY || !access.mute.take(key, apart(objects), access.parts.clock.monotonic()) {
        return Ok(Look::NotYet);
    }
    let same = compare(access, key, kind).await?;
    let moved = || access.core.lock().kinds.get(key).is_none_or(|kind| !kind.covered || kind.cursor != from);
    if moved() {
        return Ok(Look::Known);
    }
    let Some(list) = same else { return Ok(Look::More) };
    // If nobody has written anything, there is nothing to listen for.
    let in_time = list <= from || listen::listen(access, key, kind, from, list).await?;
    if moved() {
        return Ok(Look::Known);
    }
    Ok(if in_time && access.core.lock().still(key, from, list, at) { Look::Known } else { Look::More })
}

/// The revision of a list that shows exactly what is retained.
async fn compare(access: &Access, key: &str, kind: &Discovery) -> Result<Option<Revision>, Failure> {
    let path = path(kind);
    let (mut next, mut list, mut known) = (None::<String>, None, 0);
    loop {
        let query = page_query(PAGE, next.as_deref());
        let reached = access.core.lock().reached(&kind.domain);
        let page = access.asked(&path, access.api.metadata(&path, &query)).await?;
        let mut core = access.core.lock();
        if list.is_none() {
            let rv = page.rv.ok_or(Failure::Opaque)?;
            if core.shown(&kind.domain, reached, rv, &page.when) != Some(false) {
                return Err(another_life());
            }
            list = Some(rv);
        }
        let Some(retained) = core.kinds.get(key) else { return Ok(None) };
        for item in &page.items {
            let header = Header::of(item);
            // What could not be read has no uid to compare.
            let same = retained.objects.get(&object_name(&header)).is_some_and(|entry| {
                Some(entry.object_rv) == header.rv && (entry.uid.is_empty() || *entry.uid == *header.uid)
            });
            if !same {
                return Ok(None);
            }
            known += 1;
        }
        next = page.next;
        if next.is_none() {
            return Ok(list.filter(|_| known == retained.objects.len()));
        }
    }
}

/// How long after its last list a kind's turn comes again.
fn apart(objects: usize) -> Duration {
    let long = PER_OBJECT.saturating_mul(u32::try_from(objects).unwrap_or(u32::MAX));
    if objects <= FEW { Duration::ZERO } else { long }
}

#[cfg(test)]
mod tests;
