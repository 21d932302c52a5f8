//! The missing versions of one object, walked back through the server's history.
//!
//! A 410 is not yet a gap: while the server still has the revisions, an `Exact` list by name at `rv − 1` is the version
//! before `rv`, even after the object was deleted. **Words**: *known* is the version the journal holds; the *floor* is
//! the highest revision that the server said was too old.
//!
//! **Invariants.** (1) Steps come out ascending, each with its true revision. (2) A version is recovered only if the
//! server showed it; where the floor cuts a walk short, [`Recovered::complete`] is false and nothing is invented but
//! the delete that must have happened, at the first revision that lacks the object. (3) Every walk ends: each step
//! lowers the revision. Not here: which objects to walk, and in what order [`crate::stream`].

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use hindcast_cluster::{Api, Failure, discovery::CRDS_PATH, header::Header, path::api_version};
use hindcast_journal::{facts::Discovery, row::Revision};

/// The server's history of a kind.
pub(crate) trait History: Sync {
    /// The object as it was at `rv`, or that it was not there.
    fn at(
        &self,
        namespace: &str,
        name: &str,
        rv: Revision,
    ) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}

/// One step of an object's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Version { rv: Revision, bytes: Bytes },
    Delete { rv: Revision },
}

impl Step {
    pub(crate) fn rv(&self) -> Revision {
        match self {
            Self::Version { rv, .. } | Self::Delete { rv } => *rv,
        }
    }
}

/// What was recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Ascending.
    pub(crate) steps: Vec<Step>,
    /// Whether nothing between the first and the last is missing, but objects born and gone in between.
    pub(crate) complete: bool,
}

impl Recovered {
    /// Only what is newer than a revision.
    pub(crate) fn after(mut self, rv: Revision) -> Self {
        self.steps.retain(|step| step.rv() > rv);
        self
    }
}

/// The object to walk, and the interval.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// uid and revision of the version the journal holds.
    pub(crate) known: Option<(&'a str, Revision)>,
    /// The cursor: the journal knows everything up to here.
    pub(crate) from: Revision,
    /// The revision of the list.
    pub(crate) to: Revision,
    /// The object as the list showed it.
    pub(crate) end: Option<Bytes>,
}

impl Walk<'_> {
    /// Walks back from the list to the cursor.
    pub(crate) async fn run<H: History>(&self, server: &H, floor: &AtomicU64) -> Result<Recovered, Failure> {
        let low = self.known.map_or(self.from, |(_, rv)| rv.max(self.from));
        let mut out = Recovered { steps: Vec::new(), complete: true };
        let (mut at, mut state) = (self.to, self.end.clone());
        loop {
            if let Some(bytes) = state.take() {
                let Header { rv: Some(rv), uid, .. } = Header::of(&bytes) else { break };
                if self.known.is_some_and(|(known, known_rv)| known == uid && rv <= known_rv) {
                    break;
                }
                out.steps.push(Step::Version { rv, bytes });
                if rv <= low + 1 {
                    break;
                }
                let Some(before) = self.before(server, floor, rv).await? else {
                    // Not the uid that is known: the old object was deleted before this one was created.
                    if self.known.is_some_and(|(known, _)| known != uid) {
                        out.steps.push(Step::Delete { rv: rv - 1 });
                    }
                    out.complete = false;
                    break;
                };
                (at, state) = (rv - 1, before);
            } else if self.known.is_some() {
                let (high, last, certain) = self.deleted(server, floor, low, at).await?;
                out.steps.push(Step::Delete { rv: high });
                out.complete &= certain;
                if last.is_none() {
                    break;
                }
                (at, state) = (high - 1, last);
            } else {
                break;
            }
        }
        out.steps.reverse();
        Ok(out)
    }

    /// Only what the list shows, as if there had been nothing else.
    #[cfg(feature = "sabotage")]
    pub(crate) fn unwalked(&self) -> Recovered {
        let version = self.end.clone().and_then(|bytes| Header::of(&bytes).rv.map(|rv| Step::Version { rv, bytes }));
        let mut steps = Vec::new();
        if version.is_none() && self.known.is_some() {
            steps.push(Step::Delete { rv: self.to });
        }
        steps.extend(version);
        Recovered { steps, complete: true }
    }

    /// The state just before `rv`; `None` when the server no longer has it.
    async fn before<H: History>(
        &self,
        server: &H,
        floor: &AtomicU64,
        rv: Revision,
    ) -> Result<Option<Option<Bytes>>, Failure> {
        match self.read(server, floor, rv - 1).await {
            Ok(state) => Ok(Some(state)),
            Err(Failure::Expired(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Between `low` (there) and `high` (not there): the revision of a delete, the last state, and whether the
    /// revision is certain. The last state is `None` when it is the known one or cannot be read.
    async fn deleted<H: History>(
        &self,
        server: &H,
        floor: &AtomicU64,
        mut low: Revision,
        mut high: Revision,
    ) -> Result<(Revision, Option<Bytes>, bool), Failure> {
        let (mut last, mut certain) = (None, true);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.read(server, floor, middle).await {
                Ok(Some(bytes)) => (low, last, certain) = (middle, Some(bytes), true),
                Ok(None) => high = middle,
                Err(Failure::Expired(_)) => (low, last, certain) = (middle, None, false),
                Err(failure) => return Err(failure),
            }
        }
        Ok((high, last, certain))
    }

    async fn read<H: History>(&self, server: &H, floor: &AtomicU64, rv: Revision) -> Result<Option<Bytes>, Failure> {
        if rv <= floor.load(Ordering::Relaxed) {
            return Err(Failure::Expired("known to be too old".to_owned()));
        }
        let answer = server.at(self.namespace, self.name, rv).await;
        if let Err(Failure::Expired(_)) = &answer {
            floor.fetch_max(rv, Ordering::Relaxed);
        }
        answer
    }
}

/// An item of a list as a watch would send it: items of built-in lists lack `apiVersion` and `kind`.
pub(crate) fn typed(kind: &Discovery, item: Bytes) -> (Header, Bytes) {
    let header = Header::of(&item);
    let brace = item.iter().position(|b| *b == b'{');
    let (false, Some(brace)) = (header.typed, brace) else { return (header, item) };
    let rest = item.slice(brace + 1..);
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let head =
        format!("{{\"apiVersion\":{:?},\"kind\":{:?}{comma}", api_version(&kind.group, &kind.version), kind.kind);
    let mut out = Vec::with_capacity(head.len() + rest.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&rest);
    (header, out.into())
}

/// The revision at which the kind's definition was last written. Asked after the versions were read: the server
/// reads its whole history through the definition of the moment, so what is older may have been read through a
/// younger one. Where nobody can tell, everything may have been.
pub(crate) async fn defined(api: &Api, kind: &Discovery) -> Result<Revision, Failure> {
    // The group of a definition has a dot in it. That of the kind may be there and not have been read.
    if !kind.group.contains('.') {
        return Ok(0);
    }
    let path = format!("{CRDS_PATH}/{}.{}", kind.resource, kind.group);
    match api.get(&path, "application/json").await {
        Ok(answer) => Ok(Header::of(&answer.body).rv.unwrap_or(Revision::MAX)),
        // A built-in kind; or a custom one of which no definition could be read, ever.
        Err(Failure::Forbidden(_) | Failure::NotFound(_)) if kind.crd_uid.is_empty() => Ok(0),
        Err(Failure::Forbidden(_) | Failure::NotFound(_)) => Ok(Revision::MAX),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests;
