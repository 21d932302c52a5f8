//! `hindcast doctor -o json`.

use hindcast_journal::{cut, doctor, parts::Micros};
use serde::Serialize;

use super::{API_VERSION, Warning, verify};
use crate::moment::rfc3339;

/// What damage of the journal means.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnosis {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) cluster: String,
    /// Objects looked at.
    pub(crate) objects: u64,
    pub(crate) last_segment: u64,
    pub(crate) last_position: u64,
    /// The worst that anything found does to answers: `nothing`, `proof`, `refused`, `doubt` or `lost`.
    pub(crate) harm: &'static str,
    /// Parts of the log that no file has.
    pub(crate) holes: Vec<Hole>,
    /// What was found, the worst first.
    pub(crate) ailments: Vec<Ailment>,
    pub(crate) warnings: Vec<Warning>,
}

/// A part of the log that no file has.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hole {
    pub(crate) segments: Span,
    pub(crate) first_position: u64,
    /// Where anything of the log is behind it; before the first if it holds no row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_position: Option<u64>,
    /// The last moment that is known before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// The first from which on all is known again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Whether the rows between it and that moment are proven to be of this log.
    pub(crate) proven: bool,
    pub(crate) reason: String,
}

/// From and to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A span of time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What a file covers, as far as it is known.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Covers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segments: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) positions: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revisions: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<Times>,
}

/// A file that is not as it must be, and what that means.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ailment {
    pub(crate) file: String,
    /// `missing`, `late`, `foreign` or `altered`.
    pub(crate) verdict: &'static str,
    pub(crate) reason: String,
    /// What the file is.
    pub(crate) what: String,
    /// Whether it is made of other files.
    pub(crate) derived: bool,
    pub(crate) covers: Covers,
    /// What it does to answers.
    pub(crate) harm: &'static str,
    /// What cannot be answered; empty for nothing.
    pub(crate) lost: String,
    /// What can all the same.
    pub(crate) stands: String,
    pub(crate) remedies: Vec<String>,
}

impl Diagnosis {
    /// Of what was found; `keyed` says that there was something to check signatures with.
    pub(crate) fn new(found: &doctor::Diagnosis, keyed: bool) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Diagnosis",
            cluster: found.report.cluster.clone(),
            objects: found.report.objects,
            last_segment: found.report.segments.1,
            last_position: found.report.last,
            harm: found.harm().as_str(),
            holes: found.holes.iter().map(Hole::of).collect(),
            ailments: found.ailments.iter().map(Ailment::of).collect(),
            warnings: verify::open(&found.report, keyed, None),
        }
    }
}

impl Hole {
    fn of(hole: &cut::Hole) -> Self {
        Self {
            segments: span(hole.segments),
            first_position: hole.positions.0,
            last_position: hole.positions.1,
            since: hole.since.map(rfc3339),
            until: hole.until.map(|(until, _)| rfc3339(until)),
            proven: hole.proven,
            reason: hole.why.clone(),
        }
    }
}

impl Ailment {
    fn of(ailment: &doctor::Ailment) -> Self {
        let covers = &ailment.covers;
        let times = |(from, to): (Micros, Micros)| Times { from: rfc3339(from), to: rfc3339(to) };
        Self {
            file: ailment.finding.file.clone(),
            verdict: ailment.finding.verdict.as_str(),
            reason: ailment.finding.reason.clone(),
            what: ailment.what.clone(),
            derived: ailment.sort.is_derived(),
            covers: Covers {
                segments: covers.segments.map(span),
                positions: covers.positions.map(span),
                revisions: covers.revisions.map(span),
                times: covers.times.map(times),
            },
            harm: ailment.harm.as_str(),
            lost: ailment.lost.clone(),
            stands: ailment.stands.clone(),
            remedies: ailment.remedies.clone(),
        }
    }
}

fn span((from, to): (u64, u64)) -> Span {
    Span { from, to }
}
