//! What expiry would do, or did.

use hindcast_compactor::expire::{Make, Outcome, Outlook, Retention, Settings};
use hindcast_journal::{
    expiry::{Kept, Left, Statement},
    parts::Micros,
};
use serde::Serialize;

use super::API_VERSION;
use crate::moment::rfc3339;

/// What is kept, what goes, and why.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expiration {
    api_version: &'static str,
    kind: &'static str,
    /// Whether it is done, and not only planned.
    pub(crate) done: bool,
    /// Whether there was something to decide.
    pub(crate) decided: bool,
    /// Every moment from here on is answered, or will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole_from: Option<String>,
    /// The first segment and, once it is decided, the first position of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    /// The statement's number, and the key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The cuts of the time before.
    pub(crate) cuts: Vec<KeptCut>,
    /// What goes by this.
    pub(crate) goes: Leaving,
    /// What was decided to go before, and is still there or was removed.
    pub(crate) gone: Leaving,
    /// How long it stays there, in seconds.
    pub(crate) grace_seconds: u64,
    /// Whether it is removed by Hindcast.
    pub(crate) deletes: bool,
}

/// A cut that is kept, or one that is let go.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptCut {
    pub(crate) time: String,
    /// For people.
    #[serde(skip)]
    pub(crate) micros: Option<Micros>,
    /// The position of its checkpoint, where it is made already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// Why it is kept; nothing for one that is let go.
    pub(crate) why: Vec<String>,
}

/// Files.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Leaving {
    pub(crate) segments: u64,
    pub(crate) merged: u64,
    pub(crate) checkpoints: u64,
    pub(crate) bytes: u64,
}

impl From<Left> for Leaving {
    fn from(Left { segments, files, checkpoints, bytes }: Left) -> Self {
        Self { segments, merged: files, checkpoints, bytes }
    }
}

impl KeptCut {
    fn of(kept: &Kept, why: Vec<String>) -> Self {
        Self {
            time: rfc3339(kept.moment()),
            micros: Some(kept.moment()),
            position: Some(kept.checkpoint.pos),
            bytes: Some(kept.checkpoint.bytes),
            why,
        }
    }

    fn to_be_made(make: Make, why: Vec<String>) -> Self {
        let (time, micros) = match make {
            Make::At(time) => (rfc3339(time), Some(time)),
            Make::Point(main) => (format!("rev:{}@{}", main.rv, main.incarnation), None),
        };
        Self { time, micros, position: None, bytes: None, why }
    }
}

impl Expiration {
    fn new(done: bool, retention: &Retention, deletes: bool) -> Self {
        let grace_seconds = retention.grace.as_secs();
        Self { api_version: API_VERSION, kind: "Expiration", done, grace_seconds, deletes, ..Self::default() }
    }

    /// What there is to do.
    pub(crate) fn planned(outlook: &Outlook, retention: &Retention, deletes: bool) -> Self {
        let mut out = Self { gone: outlook.left.into(), ..Self::new(false, retention, deletes) };
        let said = outlook.seen.statement.as_ref();
        let Some(plan) = &outlook.plan else { return out.with(said) };
        out.decided = true;
        out.whole_from = Some(rfc3339(plan.base.1));
        out.segment = Some(plan.segment);
        out.goes = outlook.goes.into();
        for (at, kept) in said.iter().flat_map(|said| said.kept.iter().enumerate()) {
            let why = plan.stay.get(&at).map(|why| why.iter().cloned().collect());
            out.cuts.push(KeptCut::of(kept, why.unwrap_or_default()));
        }
        let made = plan.make.iter().map(|(make, why)| KeptCut::to_be_made(*make, why.iter().cloned().collect()));
        out.cuts.extend(made);
        if plan.moves {
            let base = outlook.seen.live.iter().find(|checkpoint| checkpoint.pos == plan.base.0);
            out.cuts.extend(base.map(|base| KeptCut {
                time: rfc3339(plan.base.1),
                micros: Some(plan.base.1),
                position: Some(base.pos),
                bytes: Some(base.bytes),
                why: vec!["base".to_owned()],
            }));
        }
        out
    }

    /// What was done.
    pub(crate) fn done(outcome: &Outcome, settings: &Settings) -> Self {
        let out = Self { gone: outcome.removed.into(), ..Self::new(true, &settings.retention, settings.delete) };
        let decided = outcome.decided.is_some();
        Self { decided, ..out.with(outcome.decided.as_ref()) }
    }

    fn with(mut self, said: Option<&Statement>) -> Self {
        let Some(said) = said else { return self };
        self.whole_from = said.base().map(|base| rfc3339(base.time()));
        (self.segment, self.position) = (Some(said.to.segment), Some(said.to.pos));
        (self.number, self.key) = (Some(said.number), said.key.clone());
        self.cuts = said.kept.iter().map(|kept| KeptCut::of(kept, kept.why.clone())).collect();
        self
    }

    /// Whether there was nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.decided
    }
}
