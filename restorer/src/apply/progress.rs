//! How far a restore is, for who watches it.

use std::time::Duration;

use hindcast_journal::Parts;

use super::{Became, write::Did};
use crate::{message::Message, plan::Action};

/// What a restore is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It carries actions out.
    Applying,
    /// It reads again what it acted on.
    Verifying,
    /// It waits for workloads.
    RollingOut,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What it is at.
    pub stage: Stage,
    /// Actions that are through.
    pub done: usize,
    /// Actions of the plan.
    pub total: usize,
    /// Actions per second so far.
    pub rate: f64,
    /// How long the rest takes at that rate.
    pub remaining: Option<Duration>,
    /// The action that is through by this, what became of it, and why.
    pub action: Option<(&'a Action, Became, Option<&'a Message>)>,
}

/// Counts, and tells.
pub(crate) struct Meter<'a> {
    parts: Parts,
    began: Duration,
    done: usize,
    total: usize,
    listener: super::Listener<'a>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(parts: Parts, total: usize, listener: super::Listener<'a>) -> Self {
        let began = parts.clock.monotonic();
        Self { parts, began, done: 0, total, listener }
    }

    pub(crate) fn done(&mut self, action: &Action, did: &Did) {
        self.done += 1;
        self.tell(Stage::Applying, Some((action, did.became, did.message.as_ref())));
    }

    pub(crate) fn stage(&self, stage: Stage) {
        self.tell(stage, None);
    }

    fn tell(&self, stage: Stage, action: Option<(&Action, Became, Option<&Message>)>) {
        let took = self.parts.clock.monotonic().saturating_sub(self.began).as_secs_f64();
        let rate = if took > 0.0 { self.done as f64 / took } else { 0.0 };
        let left = self.total.saturating_sub(self.done) as f64;
        let remaining = (rate > 0.0).then(|| Duration::from_secs_f64((left / rate).min(1e6)));
        (self.listener)(Progress { stage, done: self.done, total: self.total, rate, remaining, action });
    }
}
