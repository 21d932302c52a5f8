//! `hindcast verify -o json`.

use hindcast_journal::{
    proof::{Newest, Trust},
    verify::{self, Report},
};
use hindcast_restorer::session::prove::{self, Proof};
use serde::Serialize;

use super::{API_VERSION, Warning};
use crate::{
    moment::rfc3339,
    names::{count, kind_name},
};

/// Whether the journal is what was written.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verification {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) cluster: String,
    /// Objects looked at.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) first_segment: u64,
    pub(crate) last_segment: u64,
    pub(crate) last_position: u64,
    /// Merged files, checkpoints and other files that are what they must be.
    pub(crate) merged: u64,
    pub(crate) checkpoints: u64,
    pub(crate) others: u64,
    /// Seals that hold.
    pub(crate) seals: u64,
    /// The newest seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<Sealed>,
    /// What no seal vouches for.
    pub(crate) unsealed: Unsealed,
    /// What was decided to expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expired: Option<Expired>,
    /// What is not as it must be.
    pub(crate) findings: Vec<Finding>,
    /// What the cluster says, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<Live>,
    /// The newest seal that stands in the cluster, if it was asked and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stands: Option<Stands>,
    /// What cannot be excluded, and is not for want of time alone: reservations.
    #[serde(rename = "warnings")]
    pub(crate) open: Vec<Warning>,
    /// Objects of the repository of files, which are not looked at.
    pub(crate) repository: u64,
}

/// The newest seal.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sealed {
    pub(crate) position: u64,
    pub(crate) chain: String,
    pub(crate) time: String,
    pub(crate) key: String,
    /// Whether its signature was checked.
    pub(crate) checked: bool,
}

/// What was decided to expire, by the newest statement that counts.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expired {
    /// The statement's number.
    pub(crate) number: u64,
    /// Where the log begins.
    pub(crate) segment: u64,
    pub(crate) position: u64,
    pub(crate) time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Whether the signature was checked.
    pub(crate) checked: bool,
    /// The kept cuts that are what it says.
    pub(crate) kept: u64,
    /// Files that are to go and are still there, which were not looked at.
    pub(crate) left: u64,
}

/// A seal that stands in the cluster.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stands {
    /// The `ConfigMap`.
    pub(crate) place: String,
    pub(crate) position: u64,
    pub(crate) chain: String,
    pub(crate) time: String,
    pub(crate) key: String,
    /// Whether its signature was checked.
    pub(crate) checked: bool,
}

/// The seals that stand in the cluster for a journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stand {
    /// Those that the log is held to: where each stands, and whether its signature was checked.
    pub(crate) told: Vec<(Newest, String, bool)>,
    /// What could not be read, or is signed by somebody else.
    pub(crate) unread: Vec<String>,
}

impl Stand {
    /// Takes one in, unless a key at hand says that it is false.
    pub(crate) fn take(&mut self, newest: Newest, place: &str, trust: &Trust) {
        match newest.is_signed(trust) {
            Some(false) => self.unread.push(format!("{place}: is not signed by key {}, as it says", newest.key)),
            signed => self.told.push((newest, format!("configmap {place} of the cluster"), signed == Some(true))),
        }
    }
}

/// What no seal vouches for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unsealed {
    pub(crate) rows: u64,
    pub(crate) segments: u64,
    /// Segments of which only the rows are sealed.
    pub(crate) rows_alone: u64,
    pub(crate) files: Vec<String>,
    pub(crate) gone: Vec<String>,
}

/// A file that is not as it must be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// `missing`, `late`, `foreign` or `altered`.
    pub(crate) verdict: &'static str,
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

/// What the cluster says beside the journal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Live {
    /// The revision that both are of.
    pub(crate) rev: u64,
    pub(crate) time: String,
    pub(crate) kinds: u64,
    pub(crate) objects: u64,
    pub(crate) differences: Vec<Difference>,
}

/// An object that differs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Difference {
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `missing` from the journal, `extra` in it, or `different`.
    pub(crate) verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<Version>,
}

/// Which version of an object.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub(crate) uid: String,
    pub(crate) resource_version: u64,
}

impl Verification {
    /// Of a report; `keyed` says that there was something to check signatures with.
    pub(crate) fn new(report: &Report, keyed: bool, live: Option<&Proof>) -> Self {
        let verify::Unsealed { rows, segments, loose, files, gone } = report.unsealed.clone();
        let finding = |finding: &verify::Finding| Finding {
            file: finding.file.clone(),
            verdict: finding.verdict.as_str(),
            reason: finding.reason.clone(),
            remedy: finding.remedy.clone(),
        };
        Self {
            api_version: API_VERSION,
            kind: "Verification",
            cluster: report.cluster.clone(),
            objects: report.objects,
            bytes: report.bytes,
            first_segment: report.segments.0,
            last_segment: report.segments.1,
            last_position: report.last,
            merged: report.merged,
            checkpoints: report.checkpoints,
            others: report.stated,
            seals: report.seals,
            sealed: report.sealed.as_ref().map(|sealed| Sealed {
                position: sealed.pos,
                chain: sealed.chain.clone(),
                time: rfc3339(sealed.time),
                key: sealed.key.clone(),
                checked: sealed.checked,
            }),
            unsealed: Unsealed { rows, segments, rows_alone: loose, files, gone },
            expired: report.expired.as_ref().map(|expired| Expired {
                number: expired.number,
                segment: expired.segment,
                position: expired.pos,
                time: rfc3339(expired.time),
                key: expired.key.clone(),
                checked: expired.checked,
                kept: expired.kept,
                left: expired.left,
            }),
            findings: report.findings.iter().map(finding).collect(),
            live: live.map(Live::new),
            stands: None,
            open: open(report, keyed, live),
            repository: report.repository,
        }
    }
}

impl Verification {
    /// With the seals that stand in the cluster.
    pub(crate) fn with(mut self, stand: &Stand) -> Self {
        let newest = stand.told.iter().max_by_key(|(newest, ..)| newest.pos);
        self.stands = newest.map(|(newest, place, checked)| Stands {
            place: place.clone(),
            position: newest.pos,
            chain: newest.chain.clone(),
            time: rfc3339(newest.time),
            key: newest.key.clone(),
            checked: *checked,
        });
        let warning = |why: &String| Warning {
            code: "cluster-seal".to_owned(),
            message: format!("the seal that stands in the cluster was not taken into account: {why}"),
        };
        self.open.extend(stand.unread.iter().map(warning));
        self
    }
}

/// What cannot be excluded.
pub(super) fn open(report: &Report, keyed: bool, live: Option<&Proof>) -> Vec<Warning> {
    let mut out = Vec::new();
    let mut warn = |code: &str, message: String| out.push(Warning { code: code.to_owned(), message });
    match (&report.sealed, keyed) {
        (None, _) if report.last == 0 => {}
        (None, _) if report.unchecked.is_empty() => warn(
            "not-sealed",
            "nothing of the log is sealed: whoever may write to the bucket could have made all of it anew, or cut off its end; \
             `hindcast run` seals it every hour where it has a key file"
                .to_owned(),
        ),
        (None, _) => warn(
            "not-sealed",
            "no seal of the log holds by the keys at hand: whoever may write to the bucket could have made all of it anew, or cut off \
             its end"
                .to_owned(),
        ),
        (Some(_), false) => warn(
            "not-checked",
            "no signature was checked, since no key is at hand: whoever may write to the bucket could have made seals and all that \
             they seal anew; --key-file or --public-key checks them"
                .to_owned(),
        ),
        (Some(_), true) => {}
    }
    if report.expired.as_ref().is_some_and(|expired| expired.key.is_none()) {
        warn(
            "expiry-not-signed",
            "what has expired is stated by nobody's signature, since there was no key: whoever may write to the bucket could have removed              it; `hindcast expire --key-file FILE` signs the statement anew"
                .to_owned(),
        );
    }
    if keyed && !report.unchecked.is_empty() {
        let keys: Vec<String> =
            report.unchecked.iter().map(|(key, n)| format!("{key} ({})", count(*n as usize, "signature"))).collect();
        warn(
            "unknown-key",
            format!(
                "signatures by keys that are not at hand were not checked: {}; a key file with the older keys checks them",
                keys.join(", ")
            ),
        );
    }
    for what in &report.unproven {
        warn("not-compared", what.clone());
    }
    for (kind, why) in live.into_iter().flat_map(|live| &live.unproven) {
        warn("not-listed", format!("{} could not be compared with the cluster: {why}", kind_name(kind)));
    }
    out
}

impl Live {
    fn new(proof: &Proof) -> Self {
        let version = |(uid, rv): &(String, u64)| Version { uid: uid.clone(), resource_version: *rv };
        let difference = |d: &prove::Difference| Difference {
            resource: kind_name(&d.kind),
            namespace: d.namespace.clone(),
            name: d.name.clone(),
            verdict: match (&d.journal, &d.cluster) {
                (None, _) => "missing",
                (_, None) => "extra",
                _ => "different",
            },
            journal: d.journal.as_ref().map(version),
            cluster: d.cluster.as_ref().map(version),
        };
        Self {
            rev: proof.moment.cut.rev(),
            time: rfc3339(proof.moment.time),
            kinds: proof.kinds,
            objects: proof.objects,
            differences: proof.differences.iter().map(difference).collect(),
        }
    }
}
