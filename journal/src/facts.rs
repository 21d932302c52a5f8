//! Facts of the journal's own: what the bodies of its non-object rows say.
//!
//! Each is a serde struct that becomes the `object` of a row. **Invariants.** (1) A reader that meets a fact it
//! does not know keeps going: unknown fields are ignored, a missing optional field has its default. (2) The row's
//! `rv` is the revision *from which the fact holds* in its domain, so facts fold by cut like everything else.
//!
//! **Words**: a *kind key* is `group/resource` (`/pods`, `apps/deployments`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Change, Error, Result, exact,
    parts::Micros,
    row::{Body, Op, Revision},
    seal::Rules,
};

/// Why a kind is not, or no longer, protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Uncovered {
    /// Left out by a filter.
    Excluded,
    /// The server refuses list or watch to us.
    Forbidden,
    /// The kind has no list or no watch.
    NotWatchable,
    /// The API that serves it does not answer.
    ApiDown,
    /// Its list or watch failed for long, while others of its domain were answered.
    Stuck,
    /// The kind is gone from the server.
    Gone,
    /// The buffer was full, and this kind was the noisiest.
    BufferFull,
    /// The kind turned out to belong to another revision domain.
    DomainChanged,
    /// The server's revisions went backwards: a new incarnation begins.
    Incarnation,
    /// Its values cannot be sealed.
    Unsealable,
    /// The server has its objects otherwise than its watch had told.
    Differs,
    /// Anything a newer version may say.
    #[serde(other)]
    Other,
}

impl Uncovered {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Forbidden => "forbidden by RBAC",
            Self::NotWatchable => "not watchable",
            Self::ApiDown => "its API was down",
            Self::Stuck => "cannot be followed",
            Self::Gone => "not served",
            Self::BufferFull => "let go: buffer full",
            Self::DomainChanged => "revision domain changed",
            Self::Incarnation => "revisions went backwards",
            Self::Unsealable => "let go: its values cannot be sealed",
            Self::Differs => "its watch had not told all",
            Self::Other => "other",
        }
    }
}

/// `cover_end`: a kind is not protected from here on. (`cover_begin` has no more to say than its row.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverEnd {
    /// Why.
    pub reason: Uncovered,
    /// What the server said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl CoverEnd {
    /// Whether the kind may be taken up again as if its protection had not ended.
    pub(crate) fn is_recoverable(&self) -> bool {
        self.reason == Uncovered::Stuck
    }

    /// The reason in words, with what the server said.
    pub fn words(&self) -> String {
        said(self.reason, &self.detail)
    }

    /// The same without the kind's name, so that all kinds left out for one cause read alike and are reported once.
    pub fn shared(&self, kind: &Discovery) -> String {
        let (group, resource) = (&kind.group, &kind.resource);
        let named = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let detail = self.detail.strip_prefix(&format!("{named} is forbidden: ")).unwrap_or(&self.detail);
        let detail = detail.replace(&format!(" resource \"{resource}\" in API group \"{group}\""), "");
        said(self.reason, &detail)
    }
}

/// Groups kinds by the cause that leaves them out, so that each cause takes one line. Each kind gives its shared
/// wording, its own wording, and a value that stands for it; a group of one uses its own wording. Groups keep the order
/// of their first members.
pub fn by_cause<T>(left_out: impl IntoIterator<Item = (String, String, T)>) -> Vec<(String, Vec<T>)> {
    let mut groups: Vec<(String, String, Vec<T>)> = Vec::new();
    for (shared, own, kind) in left_out {
        match groups.iter_mut().find(|(known, ..)| *known == shared) {
            Some((.., kinds)) => kinds.push(kind),
            None => groups.push((shared, own, vec![kind])),
        }
    }
    groups.into_iter().map(|(shared, own, kinds)| (if kinds.len() == 1 { own } else { shared }, kinds)).collect()
}

fn said(reason: Uncovered, detail: &str) -> String {
    if detail.is_empty() { reason.as_str().to_owned() } else { format!("{} ({detail})", reason.as_str()) }
}

/// How much of a broken interval is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Missing versions were recovered; only objects both created and deleted inside are unknown.
    Healed,
    /// More may be unknown.
    Lost,
}

impl Grade {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healed => "healed",
            Self::Lost => "lost",
        }
    }
}

/// `gap`: an interval `(from, to]` in which the watch of a kind was broken. The row's `rv` is `to`; of an interval that
/// was found later, at whose end protection ends, it is the revision before that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last revision seen before.
    pub from: Revision,
    /// The revision from which the state is exact again.
    pub to: Revision,
    /// How much of it is known.
    pub grade: Grade,
    /// When something was last seen before it.
    pub time_from: Micros,
    /// When the state was exact again.
    pub time_to: Micros,
    /// What broke the watch.
    pub reason: String,
    /// Versions recovered.
    #[serde(default)]
    pub recovered: u64,
    /// Objects whose versions in between are not known, as `namespace/name`; at most 1000 are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// How many there are in all.
    #[serde(default)]
    pub unknown_total: u64,
}

/// `frontier`: how far kinds were seen, where no row of their own says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    /// Kind key → every change of the kind up to this revision is in the journal.
    pub cursors: BTreeMap<String, Revision>,
}

/// One served version of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// JSON path, as in the CRD.
    #[serde(rename = "jsonPath")]
    pub json_path: String,
    /// `string`, `integer`, `date`, …
    #[serde(rename = "type", default)]
    pub type_: String,
    /// Columns above 0 are shown with `-o wide` only.
    #[serde(default)]
    pub priority: i64,
}

/// `discovery`: what a kind is called and how it is served. The row's key is `group/resource//`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Discovery {
    /// API group.
    pub group: String,
    /// The pinned version: the one it is read in.
    pub version: String,
    /// All versions served.
    pub served: Vec<String>,
    /// Plural name.
    pub resource: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Whether objects have a namespace.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<String>,
    /// The revision domain it counts in.
    pub domain: String,
    /// The CRD's uid, for a custom resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub crd_uid: String,
    /// A CRD's printer columns of the pinned version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<PrinterColumn>,
    /// Whether the kind is gone from the server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl Discovery {
    /// `group/resource`.
    pub fn kind_key(&self) -> String {
        crate::row::kind_key(&self.group, &self.resource)
    }
}

/// How versions of objects are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The [edition](crate::seal::rules::EDITION) of the rules.
    pub edition: u32,
    /// How values are stored: `sealed`, `plaintext` or `dropped`.
    pub secrets: String,
    /// What is sealed beside Secrets.
    #[serde(default)]
    pub seal: Rules,
}

/// Up to where a kind was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The revision of the list that showed the kind's objects as the journal has them.
    pub rv: Revision,
    /// When that list was begun.
    pub time: Micros,
}

/// `mark`: other facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "mark")]
#[non_exhaustive]
pub enum Mark {
    /// A writer began: who it is and what it protects.
    #[serde(rename_all = "camelCase")]
    Start {
        /// Host and process.
        writer: String,
        /// Hindcast's version.
        version: String,
        /// The server's version.
        #[serde(default)]
        server: String,
        /// Whether Secret values are stored: `sealed`, `plaintext` or `dropped`.
        secrets: String,
    },
    /// The newest version of every object is kept in this way: what was kept in another has been read again.
    Kept(Kept),
    /// The server's store was put back to an older copy: another life of a domain's counter begins.
    Incarnation {
        /// The last revision of the life before.
        last: Revision,
        /// What told so.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// Of each kind of the domain, the newest list of the cluster's own that agreed with the journal.
    Proven {
        /// Kind key → up to where.
        kinds: BTreeMap<String, Proven>,
    },
    /// Anything a newer version may say.
    #[serde(other)]
    Unknown,
}

/// A fact as the body of a change.
pub fn body<T: Serialize>(fact: &T) -> Result<Body> {
    let value =
        serde_json::to_value(fact).map_err(|e| Error::internal("fact", "cannot be written as JSON").with_source(e))?;
    Ok(Body::Object(Bytes::from(exact::to_canonical(&exact::Value::from_serde(&value)))))
}

/// Reads the body of a fact row.
pub fn read<'a, T: Deserialize<'a>>(change: &'a Change) -> Result<T> {
    let bytes = match &change.body {
        Body::Object(bytes) => bytes.as_ref(),
        _ => b"{}",
    };
    serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt(format!("{} row of {}", change.op, change.kind_key()), e.to_string()))
}

/// A fact row about a kind.
pub fn about(op: Op, kind: &Discovery, incarnation: u32, rv: Revision) -> Change {
    Change {
        group: kind.group.clone(),
        version: kind.version.clone(),
        resource: kind.resource.clone(),
        kind: kind.kind.clone(),
        ..Change::new(op, kind.domain.clone(), incarnation, rv)
    }
}

#[cfg(test)]
mod tests;
