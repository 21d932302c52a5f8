//! What a broken watch of a standby missed, recovered from the server's history while that is still there.
//!
//! A leader that lives recovers it too, and commits it; so this is done only for an interval that stays uncommitted.
//! It is the leader's way ([`crate::stream`]): what stood at both ends is compared, and each object that moved is
//! walked back. What stood at the beginning is asked from the history here, since a standby keeps no state.
//!
//! **Invariants.** (1) A bridge is of one interval of one life of the counter: both of its ends are read from the history, and
//! it is thrown away if either is not there. (2) What is gathered for it is bounded [`build`]. (3) One of many calls that
//! fails is made again, a few times [`again`].

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use hindcast_cluster::{
    Api, Failure,
    discovery::{path, path_in},
    header::Header,
    path::{by_name, page_query},
};
use hindcast_journal::{facts::Discovery, row::Revision};

use super::{ring::Hole, standby::backoff};
use crate::{
    core::object_name,
    heal::{History, Recovered, Step, Walk, defined, typed},
};

/// Objects on a page of metadata.
const PAGE: usize = 500;
/// Objects that are walked at once.
const WALKS: usize = 8;
/// How often a call is made again that failed, and one that the server was too busy for.
const TRIES: u32 = 4;
const BUSY: u32 = 10;
/// A server that asks for more time than this gets it from whoever holds the whole back.
const SOON: Duration = Duration::from_secs(5);

/// What was recovered of an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bridge {
    /// What is newer than this was missed,
    pub(crate) from: Revision,
    /// up to this.
    pub(crate) to: Revision,
    /// When the watch before was heard last, on the monotonic clock.
    pub(crate) heard: Duration,
    /// When the next one was opened.
    pub(crate) opened: Duration,
    /// Why there was an interval.
    pub(crate) why: String,
    /// Per object what happened to it.
    pub(crate) objects: Vec<(String, Recovered)>,
    /// What is older was read through a later definition.
    pub(crate) defined: Revision,
}

impl Bridge {
    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.objects.iter().map(|(name, found)| weight(name, found)).sum()
    }
}

/// The memory that an object's steps take.
fn weight(name: &str, found: &Recovered) -> usize {
    let of = |step: &Step| match step {
        Step::Version { bytes, .. } => bytes.len() + size_of::<Step>(),
        Step::Delete { .. } => size_of::<Step>(),
    };
    name.len() + found.steps.iter().map(of).sum::<usize>()
}

/// Name → uid and revision.
type Stood = BTreeMap<String, (String, Revision)>;

/// Recovers an interval of a kind, if what happened in it takes no more memory than that.
pub(crate) async fn build(api: &Api, kind: &Discovery, hole: &Hole, room: usize) -> Result<Bridge, Failure> {
    let (before, after) = (stood(api, kind, hole.from).await?, stood(api, kind, hole.to).await?);
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let moved = after.iter().filter(|(name, at)| before.get(*name) != Some(at)).map(|(name, _)| name);
    let names: Vec<String> = gone.chain(moved).cloned().collect();
    let history = Past { api, kind };
    let floor = AtomicU64::new(0);
    let walks = names.into_iter().map(async |name| {
        let (namespace, bare) = name.split_once('/').unwrap_or(("", &name));
        let end = match after.get(&name) {
            Some(_) => history.at(namespace, bare, hole.to).await?,
            None => None,
        };
        let known = before.get(&name).map(|(uid, rv)| (uid.as_str(), *rv));
        let walk = Walk { namespace, name: bare, known, from: hole.from, to: hole.to, end };
        let found = walk.run(&history, &floor).await?;
        Ok::<_, Failure>((name, found))
    });
    let mut walks = std::pin::pin!(futures::stream::iter(walks).buffer_unordered(WALKS));
    let (mut objects, mut bytes) = (Vec::new(), 0);
    while let Some(found) = walks.next().await {
        let (name, found) = found?;
        bytes += weight(&name, &found);
        if bytes > room {
            return Err(Failure::TooLarge(format!("what happened takes more than {room} bytes of memory")));
        }
        objects.push((name, found));
    }
    if floor.load(Ordering::Relaxed) > hole.from {
        return Err(Failure::Expired("the history is gone in part".to_owned()));
    }
    objects.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Bridge {
        from: hole.from,
        to: hole.to,
        heard: hole.heard,
        opened: hole.opened,
        why: hole.why.clone(),
        objects,
        defined: defined(api, kind).await?,
    })
}

/// What there was of a kind at a revision.
async fn stood(api: &Api, kind: &Discovery, rv: Revision) -> Result<Stood, Failure> {
    let (path, mut next, mut out) = (path(kind), None::<String>, Stood::new());
    loop {
        let query = match &next {
            // The token says which revision it is of.
            Some(_) => page_query(PAGE, next.as_deref()),
            None => format!("limit={PAGE}&resourceVersion={rv}&resourceVersionMatch=Exact"),
        };
        let mut failures = 0;
        let page = loop {
            match api.metadata(&path, &query).await {
                Ok(page) => break page,
                Err(failure) => api.parts().clock.sleep(again(failure, &mut failures)?).await,
            }
        };
        for item in &page.items {
            let header = Header::of(item);
            let name = object_name(&header);
            out.insert(name, (header.uid, header.rv.ok_or(Failure::Opaque)?));
        }
        next = page.next;
        if next.is_none() {
            return Ok(out);
        }
    }
}

/// An object as it stood, if the history has it.
pub(crate) async fn at(
    api: &Api,
    kind: &Discovery,
    (namespace, name): (&str, &str),
    rv: Revision,
) -> Result<Option<(Header, Bytes)>, Failure> {
    let query = format!("{}&resourceVersion={rv}&resourceVersionMatch=Exact", by_name(name));
    let page = api.page(&path_in(kind, namespace), &query).await?;
    Ok(page.items.into_iter().next().map(|item| typed(kind, item)))
}

/// How long to wait before a call is made again that failed so; the failure, if that is of no use.
pub(super) fn again(failure: Failure, failures: &mut u32) -> Result<Duration, Failure> {
    let wait = match failure {
        Failure::Throttled(after) if *failures < BUSY && after.is_none_or(|after| after <= SOON) => {
            after.unwrap_or_else(|| backoff(*failures))
        }
        Failure::Transport(_) | Failure::Server(_) if *failures < TRIES => backoff(*failures),
        failure => return Err(failure),
    };
    *failures += 1;
    Ok(wait)
}

/// The history of a kind, asked of the server itself.
pub(crate) struct Past<'a> {
    pub(crate) api: &'a Api,
    pub(crate) kind: &'a Discovery,
}

impl History for Past<'_> {
    async fn at(&self, namespace: &str, name: &str, rv: Revision) -> Result<Option<Bytes>, Failure> {
        let mut failures = 0;
        loop {
            match at(self.api, self.kind, (namespace, name), rv).await {
                Ok(found) => return Ok(found.map(|(_, bytes)| bytes)),
                Err(failure) => self.api.parts().clock.sleep(again(failure, &mut failures)?).await,
            }
        }
    }
}
