//! What became of an action, before it is verified.
//!
//! **Invariant.** What could not be found out is not *settled*: it is not recorded, so that a resume looks again.

use hindcast_journal::exact::Value;

use crate::{
    apply::{Became, request::Lost},
    desired::Full,
    message::Message,
    plan::FieldChange,
    reason::Cause,
    record::Entry,
};

/// What became of an action, before it is verified.
#[derive(Debug, Clone)]
pub(crate) struct Did {
    pub(crate) became: Became,
    pub(crate) message: Option<Message>,
    pub(crate) differences: Vec<FieldChange>,
    /// Whether the cluster is, or may be, other than before by this action.
    pub(crate) touched: bool,
    /// The object as the last answer showed it; `None` if it is not there.
    pub(crate) after: Option<Full>,
    /// What was sent, where it is not the plan's target: carried over to a newer version. What others hold is in it though
    /// it was sent without: it matters only where somebody had asked for it.
    pub(crate) sent: Option<Value>,
    /// What the write itself was answered with.
    pub(crate) answer: Option<Full>,
    /// Something that could not be found out must not be recorded: a resume looks again.
    pub(crate) settled: bool,
}

impl Did {
    pub(super) fn new(became: Became) -> Self {
        Self {
            became,
            message: None,
            differences: Vec::new(),
            touched: became == Became::Done,
            after: None,
            sent: None,
            answer: None,
            settled: true,
        }
    }

    pub(crate) fn because(became: Became, message: impl Into<Message>) -> Self {
        Self { message: Some(message.into()), ..Self::new(became) }
    }

    /// The action was not begun.
    pub(crate) fn skipped(message: impl Into<Message>) -> Self {
        Self::because(Became::Skipped, message)
    }

    /// The action may not be done.
    pub(crate) fn refused(message: impl Into<Message>) -> Self {
        Self::because(Became::Refused, message)
    }

    /// The action is through since an earlier process.
    pub(crate) fn before(entry: &Entry) -> Self {
        let did = Self::new(entry.became);
        // Its outcome is recorded; this one must not take its place.
        Self { message: entry.message.clone(), touched: entry.touched, settled: false, ..did }
    }

    /// Whether it may go well once the rest of the plan is done: it was not let be done, and nothing has come of it.
    pub(crate) fn may_yet_be(&self) -> bool {
        matches!(self.became, Became::Refused | Became::Skipped) && self.settled && !self.touched
    }

    pub(crate) fn done(after: Option<Full>) -> Self {
        Self { after, ..Self::new(Became::Done) }
    }

    pub(super) fn lost(lost: &Lost) -> Self {
        let why = lost.why.clone();
        let cause = if lost.cancelled { Cause::InterruptedUnanswered(why) } else { Cause::Unanswered(why) };
        Self { settled: false, ..Self::because(Became::Failed, cause) }
    }

    pub(crate) fn with_note(mut self, note: Option<impl Into<Message>>) -> Self {
        self.message = joined(self.message.take(), note);
        self
    }
}

/// Both sentences.
pub(super) fn joined(one: Option<Message>, two: Option<impl Into<Message>>) -> Option<Message> {
    match (one, two.map(Into::into)) {
        (Some(one), Some(two)) => Some(one.and(two)),
        (one, two) => one.or(two),
    }
}
