//! Kinds whose watches send no bookmarks: what a server takes straight to its store (Events, `--watch-cache-sizes x#0`), and
//! some aggregated APIs. While nothing of such a kind is written, nothing says how far it is known, and its domain would
//! stand still for all.
//!
//! So the kind is looked at: a consistent list of its objects' metadata, at revision R, and behind it a watch of three
//! seconds from the cursor. If the list shows exactly what is retained (each name with its uid and revision, none more, none
//! less), and the watch was open for its time, ended as asked, and sent nothing, the cursor goes on to R.
//!
//! **Why that is enough.** What was written after the cursor and is there at R, or is gone that was there, the list shows. What
//! was born *and* gone in between it cannot; that the watch sends first, since it begins at the cursor, everything up to R
//! was written before it was opened, and a watch sends the past in order before it waits for more. The watch of the kind's
//! stream, open all the while, would have sent it as well. Neither part is enough alone: a watch that is dead sends
//! nothing either, and would pass for a quiet one.
//!
//! **What stays open.** A server whose lists are right while two watches of a kind are open, send nothing, and one of them
//! even ends in time, hides objects that are born and gone meanwhile. A kind whose watch has sent a bookmark since it was
//! opened is never taken for mute in the main domain: that is how a cache that got stuck looks
//! [`crate::core::Core::may_be_mute`]. A kind of more than [`MANY`] objects holds its domain's time until something of it is
//! written, or its cursor expires and it is healed.
//!
//! **Invariants.** (1) The cursor goes on only if it stands where it stood when the list was begun [`Core::still`].
//! (2) A kind is listed at most once in [`PER_OBJECT`] for each of its objects, but for small ones [`FEW`]; one that waits
//! for its turn is closed up to the turn before. Not here: when to look [`crate::watchdog`], the watch [`crate::listen`].
//!
//! [`Core::still`]: crate::core::Core::still

use std::time::Duration;

use hindcast_cluster::{Failure, discovery::path, header::Header, path::page_query};
use hindcast_journal::{Revision, facts::Discovery};

use crate::{
    core::object_name,
    env::{Env, another_life},
    listen,
};

/// Objects on a page.
const PAGE: usize = 500;
/// A kind of so many objects is looked at whenever somebody asks.
const FEW: usize = 500;
/// One of more than so many is never listed for this.
const MANY: usize = 20_000;
/// Of one with more, each object is listed again after this long at the earliest.
const PER_OBJECT: Duration = Duration::from_millis(10);

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Everything is known up to a list that was begun since.
    Known,
    /// There is more than was seen.
    More,
    /// It was listed not long ago.
    NotYet,
}

/// Looks at a covered kind whose watch has nothing to say, and brings it to where its domain stands.
pub(crate) async fn look(env: &Env, key: &str, kind: &Discovery) -> Result<Look, Failure> {
    let (from, objects, at) = {
        let mut core = env.core.lock();
        let at = core.now();
        let Some(kind) = core.kinds.get(key).filter(|kind| kind.covered) else { return Ok(Look::Known) };
        (kind.cursor, kind.objects.len(), at)
    };
    if objects > MANY || !env.mute.take(key, apart(objects), env.parts.clock.monotonic()) {
        return Ok(Look::NotYet);
    }
    let same = compare(env, key, kind).await?;
    let moved = || env.core.lock().kinds.get(key).is_none_or(|kind| !kind.covered || kind.cursor != from);
    if moved() {
        return Ok(Look::Known);
    }
    let Some(list) = same else { return Ok(Look::More) };
    // Where nobody has written anything, there is nothing to listen for.
    let in_time = list <= from || listen::listen(env, key, kind, from, list).await?;
    if moved() {
        return Ok(Look::Known);
    }
    Ok(if in_time && env.core.lock().still(key, from, list, at) { Look::Known } else { Look::More })
}

/// The revision of a list that shows exactly what is retained.
async fn compare(env: &Env, key: &str, kind: &Discovery) -> Result<Option<Revision>, Failure> {
    let path = path(kind);
    let (mut next, mut list, mut known) = (None::<String>, None, 0);
    loop {
        let query = page_query(PAGE, next.as_deref());
        let reached = env.core.lock().reached(&kind.domain);
        let page = env.asked(&path, env.api.metadata(&path, &query)).await?;
        let mut core = env.core.lock();
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
