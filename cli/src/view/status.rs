//! `hindcast status -o json`.

use std::collections::BTreeMap;

use hindcast_cluster::discovery::{self, Aggregated, Dead};
use hindcast_fanout::cursor::Fact;
use hindcast_journal::{
    exact::{self, Value},
    facts::CoverEnd,
    fold::KindState,
    parts::Micros,
    segment::FrontierVector,
};
use serde::Serialize;

use super::{API_VERSION, Cut, Gap, Process, Warning};
use crate::{kinds, moment::rfc3339};

/// What is protected.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    api_version: &'static str,
    kind: &'static str,
    /// Where the journal is.
    pub(crate) journal: String,
    /// The process that was asked by its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Process>,
    /// Its clusters.
    pub(crate) clusters: Vec<Cluster>,
    /// What is wrong.
    pub(crate) warnings: Vec<Warning>,
}

/// A point of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Point {
    pub(crate) rev: u64,
    pub(crate) incarnation: u32,
    /// Every write before this moment is in the journal.
    pub(crate) time: String,
}

/// One cluster.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    /// The newest closed cut.
    pub(crate) cut: Cut,
    /// Per domain, how far the journal is closed.
    pub(crate) frontier: BTreeMap<String, Point>,
    /// How long ago the closed frontier was, in seconds.
    pub(crate) lag_seconds: f64,
    /// The newest durable segment.
    pub(crate) segment: u64,
    pub(crate) last_position: u64,
    pub(crate) last_durable: String,
    pub(crate) writer: String,
    pub(crate) objects: u64,
    /// `sealed`, `plaintext` or `dropped`.
    pub(crate) secrets: String,
    /// Objects of which values are not stored, and Secrets that are kept in clear.
    pub(crate) values_not_stored: u64,
    pub(crate) secrets_in_clear: u64,
    /// The places that are sealed beside Secrets.
    pub(crate) sealed_places: Vec<String>,
    pub(crate) checkpoints: u64,
    /// The moments that can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recoverable_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recoverable_to: Option<String>,
    /// From when on every one of them can be; before that only the cuts that retention has kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole_from: Option<String>,
    /// How many cuts are kept of the time before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_cuts: Option<u64>,
    /// Since when anything is protected, for people.
    #[serde(skip)]
    pub(crate) protected_since: Option<String>,
    /// When this was said, for people.
    #[serde(skip)]
    pub(crate) now: Micros,
    /// The aggregated APIs that do not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead_apis: Vec<DeadApi>,
    /// What is published, and how far.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fanouts: Vec<Fanout>,
    /// The newest seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<Sealed>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) gaps: Vec<Gap>,
}

/// The newest seal, as it says; whether it holds `verify` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sealed {
    /// The last position that it is of.
    pub(crate) position: u64,
    /// When it was made.
    pub(crate) time: String,
}

impl Sealed {
    /// A seal of a position, and when it was made.
    pub(crate) fn new((position, time): (u64, Micros)) -> Self {
        Self { position, time: rfc3339(time) }
    }
}

/// An aggregated API that does not answer: nothing of its kinds is protected meanwhile, and no namespace can be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadApi {
    /// The name of its `APIService`.
    pub(crate) name: String,
    /// Namespace and name of the Service that leads to its server.
    pub(crate) service: String,
    pub(crate) since: String,
    /// What the API server says.
    pub(crate) reason: String,
}

impl DeadApi {
    /// What an `APIService` says of one, if it is dead.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let Aggregated { name, service, dead, .. } = discovery::aggregated(&exact::to_canonical(object))?;
        let Dead { since, why } = dead?;
        Some(Self { name, service, since, reason: why })
    }
}

/// One fan-out, as its cursor tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fanout {
    pub(crate) name: String,
    pub(crate) target: String,
    /// The target has acknowledged everything up to here.
    pub(crate) position: u64,
    /// How many rows are behind that.
    pub(crate) behind: u64,
    /// When that was written.
    pub(crate) written: String,
    pub(crate) by: String,
    /// Since when it does not get on, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failing_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Fanout {
    /// What a cursor says, with a journal that ends at `last`.
    pub(crate) fn new(name: String, fact: Fact, last: u64) -> Self {
        let (since, reason) = fact.trouble.map(|trouble| (rfc3339(trouble.since), trouble.reason)).unzip();
        Self {
            name,
            target: fact.target,
            position: fact.position,
            behind: last.saturating_sub(fact.position),
            written: rfc3339(fact.time),
            by: fact.holder,
            failing_since: since,
            reason,
        }
    }
}

/// One kind.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kind {
    /// As `get` takes it.
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) domain: String,
    pub(crate) protected: bool,
    /// Since when, while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// Why not, while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The same without what names the kind, for a table.
    #[serde(skip)]
    pub(crate) shared: Option<String>,
    pub(crate) objects: u64,
    pub(crate) rev: u64,
    /// How many intervals of protection there are.
    pub(crate) intervals: usize,
    /// When its objects were last those of the cluster's own list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proven: Option<String>,
}

impl Status {
    /// The status of a journal.
    pub(crate) fn new(journal: &str, clusters: Vec<Cluster>, warnings: Vec<Warning>) -> Self {
        let journal = journal.to_owned();
        Self { api_version: API_VERSION, kind: "Status", journal, process: None, clusters, warnings }
    }
}

impl Cluster {
    /// What the journal of a cluster holds, at `now`.
    pub(crate) fn new(status: &hindcast_restorer::Status, alias: Option<String>, now: Micros) -> Self {
        let known = status.frontier.values().map(|point| point.time).min();
        // A kind may have come under protection later than everything else is closed: then no moment can be asked for yet.
        let from = status.recoverable_from.filter(|from| known.is_some_and(|known| *from <= known));
        let mut gaps = Vec::new();
        for (key, kind) in &status.kinds {
            let name = crate::names::kind_name(key);
            gaps.extend(kind.gaps.iter().map(|(_, gap)| Gap::new(&name, gap)));
        }
        gaps.sort_by(|a, b| a.from.cmp(&b.from));
        Self {
            uid: status.cluster.clone(),
            alias,
            cut: cut(&status.frontier, known),
            frontier: status
                .frontier
                .iter()
                .map(|(domain, p)| {
                    let time = rfc3339(p.time);
                    (domain.clone(), Point { rev: p.rv, incarnation: p.incarnation, time })
                })
                .collect(),
            lag_seconds: known.map_or(0.0, |known| (now - known).max(0) as f64 / 1e6),
            segment: status.segment,
            last_position: status.last,
            last_durable: rfc3339(status.written),
            writer: status.writer.clone(),
            objects: status.counts.objects().values().sum(),
            values_not_stored: status.counts.unstored(),
            secrets_in_clear: status.counts.in_clear(),
            sealed_places: status.rules.words().map(str::to_owned).collect(),
            secrets: status.secrets.clone().unwrap_or_else(|| "unknown".to_owned()),
            checkpoints: status.checkpoints,
            recoverable_from: from.map(rfc3339),
            recoverable_to: from.and(known).map(rfc3339),
            whole_from: status.expired.as_ref().map(|expired| rfc3339(expired.whole)),
            kept_cuts: status.expired.as_ref().map(|expired| expired.kept),
            protected_since: status.recoverable_from.map(rfc3339),
            now,
            dead_apis: Vec::new(),
            fanouts: Vec::new(),
            sealed: None,
            kinds: status
                .kinds
                .iter()
                .filter(|(_, state)| !state.discovery.resource.is_empty())
                .map(|(key, state)| Kind::new(state, status.counts.objects().get(key).copied().unwrap_or(0)))
                .collect(),
            gaps,
        }
    }
}

fn cut(frontier: &FrontierVector, time: Option<Micros>) -> Cut {
    let main = frontier.get(hindcast_journal::cut::MAIN);
    Cut {
        rev: main.map_or(0, |p| p.rv),
        incarnation: main.map_or(0, |p| p.incarnation),
        time: time.map(rfc3339),
        closed: !frontier.is_empty(),
        domains: frontier.iter().map(|(d, p)| (d.clone(), p.rv)).collect(),
        lagging: Vec::new(),
    }
}

impl Kind {
    fn new(state: &KindState, objects: u64) -> Self {
        let protected = state.is_covered();
        let last = state.covers.last();
        let end = last.and_then(|c| c.end.as_ref()).map(|(.., end)| end).or(state.uncovered.as_ref());
        let kind = &state.discovery;
        let not_yet = || "not yet listed".to_owned();
        let reason = (!protected).then(|| end.map_or_else(not_yet, CoverEnd::words));
        let shared = (!protected).then(|| end.map_or_else(not_yet, |end| end.shared(kind)));
        Self {
            name: kinds::label(kind),
            kind: kind.kind.clone(),
            group: kind.group.clone(),
            version: kind.version.clone(),
            namespaced: kind.namespaced,
            short_names: kind.short_names.clone(),
            domain: kind.domain.clone(),
            protected,
            since: last.filter(|_| protected).map(|cover| rfc3339(cover.from_time)),
            reason,
            shared,
            objects,
            rev: state.cursor.map_or(0, |cursor| cursor.rv),
            intervals: state.covers.len(),
            proven: state.proven.filter(|_| protected).map(|(_, time)| rfc3339(time)),
        }
    }
}
