//! Closing the cut of now, for a reader that nobody else closes it for: brings each kind from where it is known to
//! where the cluster stands.
//!
//! A consistent `LIST limit=1` of a kind makes the server's watch cache catch up; then a short watch from the kind's
//! cursor brings what lies between, and ends with a bookmark at the list's revision. That takes about two seconds,
//! where bookmarks alone take a minute.
//!
//! **Invariants.** (1) Nothing is written. (2) What is given for a kind is everything that happened to it from its
//! cursor up to [`Closed::reached`]; a kind of which less is known is an error that names it.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use hindcast_journal::{Parts, facts::Discovery, row::Revision};

use crate::{
    Api, Failure, Watch,
    discovery::path,
    gate::Gate,
    header::Header,
    lines::{self, Event},
};

/// Watches at once: as many as a big cluster has kinds, since each waits a second or two for its bookmark and costs
/// nothing meanwhile.
pub const WATCHES: usize = 1024;
/// Lists at once.
const LISTS: usize = 32;
/// How long a watch is asked to last; its bookmark comes two seconds before its end.
pub const SECONDS: u32 = 3;
/// How long such a watch may be silent.
const SILENCE: Duration = Duration::from_secs(2 * SECONDS as u64);
/// How often a kind is watched: under load a watch may end a moment before its bookmark, and the next goes on there.
const TRIES: u32 = 4;
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// One kind, brought from its cursor to a closed revision.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The kind's key.
    pub kind: String,
    /// What happened to it since its cursor, in order.
    pub events: Vec<Observed>,
    /// Everything of the kind up to here is in `events`.
    pub reached: Revision,
}

/// One event of a closing watch.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its revision; of a delete, the delete's own.
    pub rv: Revision,
    /// Whether the object was deleted.
    pub deleted: bool,
    /// The object as sent.
    pub object: Bytes,
}

/// Why the cut could not be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclosed {
    /// The kind that it failed for.
    pub kind: String,
    /// What failed.
    pub why: Why,
}

/// What failed when a cut was to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A request.
    Failed(Failure),
    /// The server stands below this revision, at which the kind is known: nothing follows on what is known.
    PutBack(Revision),
}

impl Unclosed {
    /// Whether the kind is not served (any more).
    pub fn is_not_served(&self) -> bool {
        matches!(self.why, Why::Failed(Failure::NotFound(_)))
    }
}

impl fmt::Display for Unclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::PutBack(known) => write!(
                f,
                "stands below revision {known}, which the journal knows: the server's store was put back since"
            ),
        }
    }
}

impl std::error::Error for Unclosed {}

/// Closes the cut of now in these kinds, each from the revision up to which it is known.
pub async fn close(
    client: &kube::Client,
    parts: &Parts,
    kinds: &[(Discovery, Revision)],
) -> Result<Vec<Closed>, Unclosed> {
    let api = Api::single(parts.clone(), client.clone(), DEADLINE);
    let failed = |kind: &Discovery, failure| Unclosed { kind: kind.kind_key(), why: Why::Failed(failure) };
    let mut targets: BTreeMap<&str, Revision> = BTreeMap::new();
    for (kind, _) in kinds {
        if !targets.contains_key(kind.domain.as_str()) {
            let page = api.sample(&path(kind)).await;
            let rv = page.and_then(|page| page.rv.ok_or(Failure::Opaque)).map_err(|failure| failed(kind, failure))?;
            targets.insert(&kind.domain, rv);
        }
    }
    let back = kinds.iter().find(|(kind, cursor)| targets.get(kind.domain.as_str()).is_some_and(|rv| rv < cursor));
    if let Some((kind, cursor)) = back {
        return Err(Unclosed { kind: kind.kind_key(), why: Why::PutBack(*cursor) });
    }
    let gate = Gate::new(LISTS);
    let follow = kinds.iter().map(async |(kind, cursor)| {
        let target = targets.get(kind.domain.as_str()).copied().unwrap_or(0);
        follow(&api, &gate, kind, *cursor, target).await.map_err(|failure| failed(kind, failure))
    });
    let mut out = Vec::with_capacity(kinds.len());
    let mut closed = std::pin::pin!(futures::stream::iter(follow).buffered(WATCHES));
    while let Some(kind) = closed.next().await {
        out.push(kind?);
    }
    Ok(out)
}

/// A watch that the server ends after a few seconds, with a bookmark before the end if it sends any.
pub struct ShortWatch(Watch);

impl ShortWatch {
    /// Opens one of a kind, from where it is known.
    pub async fn open(api: &Api, kind: &Discovery, cursor: Revision) -> Result<Self, Failure> {
        let query = format!("resourceVersion={cursor}&timeoutSeconds={SECONDS}");
        api.watch(&path(kind), &query).await.map(Self)
    }

    /// The next event; `None` when the server ended the watch.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        let Some(line) = self.0.line(SILENCE).await? else { return Ok(None) };
        lines::event(&line).map(Some).ok_or_else(|| Failure::Server("no event".to_owned()))
    }
}

async fn follow(
    api: &Api,
    gate: &Gate,
    kind: &Discovery,
    cursor: Revision,
    target: Revision,
) -> Result<Closed, Failure> {
    let mut closed = Closed { kind: kind.kind_key(), events: Vec::new(), reached: cursor };
    for _ in 0..TRIES {
        if closed.reached >= target {
            break;
        }
        {
            let _place = gate.enter(0).await;
            api.sample(&path(kind)).await?;
        }
        let mut watch = ShortWatch::open(api, kind, closed.reached).await?;
        while closed.reached < target {
            let Some(event) = watch.next().await? else { break };
            let (object, deleted) = match event {
                Event::Added(object) | Event::Modified(object) => (object, false),
                Event::Deleted(object) => (object, true),
                Event::Bookmark(bytes) => {
                    closed.reached = closed.reached.max(Header::of(&bytes).rv.ok_or(Failure::Opaque)?);
                    continue;
                }
                Event::Error(status) => return Err(Failure::of_event(&status)),
            };
            let rv = Header::of(&object).rv.ok_or(Failure::Opaque)?;
            closed.reached = closed.reached.max(rv);
            closed.events.push(Observed { rv, deleted, object });
        }
    }
    if closed.reached < target {
        return Err(Failure::Transport(format!("was seen to revision {} of {target}", closed.reached)));
    }
    Ok(closed)
}
