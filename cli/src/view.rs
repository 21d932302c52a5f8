//! What `-o json` says: one type per document, with a schema in `cli/schemas`.
//!
//! **Invariants.** Every document has `apiVersion: hindcast.dev/v1` and `kind`; times are RFC 3339 in UTC with
//! microseconds; a reservation that the exit code tells stands in `warnings` too. The schemas are strict about
//! what is there, and readers are to ignore what they do not know (`tests.rs` checks each against its schema).
//!
//! Not here: text for people (`render`).

use std::{collections::BTreeMap, path::Path};

use hindcast_journal::{cut::MAIN, facts, seal::KeyFile, segment::hex};
use hindcast_restorer::View;
use serde::Serialize;

use crate::{moment::rfc3339, names::kind_name};

mod blame;
mod change;
mod compaction;
mod custody;
mod diff;
mod doctor;
mod expiration;
pub(crate) mod plan;
mod plugin;
mod point;
mod process;
pub(crate) mod restore;
mod row;
mod rules;
mod status;
mod verify;

pub(crate) use blame::{Blame, Blamed};
pub(crate) use change::{Change, ObjectName};
pub(crate) use compaction::{Compaction, MergedFile, TableCommit};
pub(crate) use custody::{Forgetting, ForgottenObject, KeyStatus, KeyUse, Rewrapping};
pub(crate) use diff::{Changed, Diff, Field, Last};
pub(crate) use doctor::Diagnosis;
pub(crate) use expiration::{Expiration, KeptCut, Leaving};
pub(crate) use plan::Plan;
pub(crate) use plugin::Plugin;
pub(crate) use point::{PointPlan, PointVolume, RecoveryPoint, RecoveryPoints};
pub(crate) use process::Process;
pub(crate) use restore::Restore;
pub(crate) use row::{File, Files, Row};
pub(crate) use rules::Rules;
pub(crate) use status::{Cluster, DeadApi, Fanout, Sealed, Status};
pub(crate) use verify::{Stand, Verification, Version as VersionOf};

/// The version that every document states.
pub(crate) const API_VERSION: &str = "hindcast.dev/v1";

/// A cut, as it was answered at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cut {
    /// The revision of the main domain.
    pub(crate) rev: u64,
    /// Its incarnation.
    pub(crate) incarnation: u32,
    /// The moment asked for, where it was a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// Whether every protected kind has been seen at or past it.
    pub(crate) closed: bool,
    /// The revision of every domain.
    pub(crate) domains: BTreeMap<String, u64>,
    /// The kinds that lag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lagging: Vec<String>,
}

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gap {
    /// The kind it is of.
    pub(crate) resource: String,
    /// `healed` or `lost`.
    pub(crate) grade: String,
    /// The last revision before.
    pub(crate) from_rev: u64,
    /// The revision from which all is exact again.
    pub(crate) to_rev: u64,
    /// When.
    pub(crate) from: String,
    /// Until when.
    pub(crate) to: String,
    /// What broke the watch.
    pub(crate) reason: String,
    /// Versions recovered.
    pub(crate) recovered: u64,
    /// How many objects have unknown versions inside.
    pub(crate) unknown: u64,
    /// Some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<String>,
}

/// Something about the answer that has to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Warning {
    /// A word for programs: `open-cut`, `lost-gap`, `stale`, `not-protected`.
    pub(crate) code: String,
    /// The same for people.
    pub(crate) message: String,
}

/// The keys of a key file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Keys {
    api_version: &'static str,
    kind: &'static str,
    /// The file.
    pub(crate) file: String,
    /// Its keys; the first seals new values.
    pub(crate) keys: Vec<KeyName>,
}

/// A key without its secrets.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyName {
    /// Its name.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: String,
    /// Whether new values are sealed with it.
    pub(crate) active: bool,
    /// What the seals of the log can be checked with by whoever has no key.
    pub(crate) public_key: String,
}

impl Keys {
    /// The keys of a file.
    pub(crate) fn new(path: &Path, file: &KeyFile) -> Self {
        let keys = file.keys.iter().enumerate().map(|(at, key)| KeyName {
            name: key.name.clone(),
            created: key.created.clone(),
            active: at == 0,
            public_key: key.public().map(|public| hex(&public)).unwrap_or_default(),
        });
        Self { api_version: API_VERSION, kind: "KeyList", file: path.display().to_string(), keys: keys.collect() }
    }
}

impl Cut {
    /// The cut of a view.
    pub(crate) fn of(view: &View) -> Self {
        let moment = &view.moment;
        let domains = &moment.cut.domains;
        Self {
            rev: moment.cut.rev(),
            incarnation: domains.get(MAIN).map_or(0, |point| point.incarnation),
            time: Some(rfc3339(moment.time)),
            closed: moment.closed,
            domains: domains.iter().map(|(domain, point)| (domain.clone(), point.rv)).collect(),
            lagging: view.lagging.iter().map(|(kind, _)| kind_name(kind)).collect(),
        }
    }
}

impl Gap {
    /// The gaps of kinds that the moments of views lie in.
    pub(crate) fn of(views: &[&View], kinds: impl IntoIterator<Item = String>) -> Vec<Self> {
        let mut gaps = Vec::new();
        for key in kinds {
            let found = views.iter().flat_map(|view| view.gaps(&key));
            for gap in found.map(|gap| Self::new(&kind_name(&key), &gap)) {
                if !gaps.contains(&gap) {
                    gaps.push(gap);
                }
            }
        }
        gaps
    }

    /// A gap of a kind.
    pub(crate) fn new(resource: &str, gap: &facts::Gap) -> Self {
        Self {
            resource: resource.to_owned(),
            grade: gap.grade.as_str().to_owned(),
            from_rev: gap.from,
            to_rev: gap.to,
            from: rfc3339(gap.time_from),
            to: rfc3339(gap.time_to),
            reason: gap.reason.clone(),
            recovered: gap.recovered,
            unknown: gap.unknown_total.max(gap.unknown.len() as u64),
            objects: gap.unknown.clone(),
        }
    }
}
