//! Kinds that cannot be followed, though their server answers for others: they are let go, so that the rest closes
//! without them.
//!
//! A covered kind holds its domain's frontier. When its list or watch fails for long (a conversion webhook that is
//! dead, a key service that is down, an API that hangs), every answer about a later moment would wait for it.
//! **Words**: a kind is *astray* from the moment its watch ended or failed until it is heard again; it is *stuck* when
//! it has been astray, and brought nothing, for the bound of the settings, while others of its domain answered.
//!
//! **Invariants.** (1) A server that answers nobody makes no kind stuck: nothing would close without it either
//! [`answers_since`]. (2) A kind that is let go is a coverage row with what the server said [`Core::let_go`]. (3) Its
//! stream goes on trying, and is started again if it waits for a silent watch; what it recovers completely is covered
//! as if it had never been let go (`cover`). Not here: noticing that a watch is silent, which takes requests
//! ([`crate::watchdog`]).

use std::{collections::BTreeMap, time::Duration};

use hindcast_journal::{cut::MAIN, facts::Uncovered};

use super::{Core, Domain, Kind};
use crate::handle::Phase;

/// A domain answers if something certain told its time within this long: it is asked every ten seconds at the latest.
const LATELY: Duration = Duration::from_secs(13);
/// A watch that has stayed open for this long after a failure has succeeded.
const SETTLED: Duration = Duration::from_secs(3);
/// Protection that ends sooner has not really begun; the next but one attempt waits, each time twice as long.
const STEADY: Duration = Duration::from_mins(2);
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_mins(5);
/// A kind that is still being recovered after this long is let go, though it moves: etcd forgets meanwhile.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a kind's stream is doing; all moments are on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Since when it is astray.
    pub(crate) astray: Option<Duration>,
    /// Since when its open watch is known to be silent, though there is something to say.
    silent: Option<Duration>,
    /// When a request about it last succeeded.
    moved: Duration,
    /// When its watch was last heard, or a list of it was whole.
    pub(crate) heard: Duration,
    /// When its watch was opened last.
    opened: Duration,
    /// Whether its watch was open when it was let go: it may stay so, silent, for long.
    pub(crate) deaf: bool,
    /// When it was taken under protection last.
    pub(super) taken: Duration,
    /// How often in a row protection ended soon after it had begun.
    falls: u32,
    /// It is not protected again before this.
    pub(crate) rests_until: Duration,
}

impl Pace {
    /// The state of a kind that has never been heard.
    pub(super) fn astray_since(now: Duration) -> Self {
        Self { astray: Some(now), ..Self::default() }
    }

    /// Protection ends. Otherwise a kind that can be listed but not watched would be protected and let go without end.
    pub(super) fn fall(&mut self, now: Duration) {
        self.falls = if now.saturating_sub(self.taken) < STEADY { self.falls + 1 } else { 0 };
        if self.falls > 1 {
            self.rests_until = now + (REST * (1 << self.falls.min(8))).min(LONGEST_REST);
        }
    }
}

impl Core {
    /// A request about the kind succeeded.
    pub(crate) fn moved(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.pace.moved = now;
        }
    }

    /// The kind's watch is open.
    pub(crate) fn watching(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.phase = Phase::Watching;
            (kind.pace.moved, kind.pace.opened, kind.pace.deaf) = (now, now, false);
        }
    }

    /// The kind's watch has ended, or a turn of its stream failed.
    pub(crate) fn astray(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.pace.astray.get_or_insert(now);
        }
    }

    /// The kind was heard.
    pub(super) fn heard(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.pace = Pace { astray: None, silent: None, moved: now, heard: now, ..kind.pace };
        }
    }

    /// The kind's watch is silent, and there is nothing for it to say.
    pub(crate) fn looked(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            (kind.pace.silent, kind.pace.heard, kind.pace.moved) = (None, now, now);
        }
    }

    /// A check of the kind's silent watch failed.
    pub(crate) fn silent(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        // A kind that is being recovered does not watch, so that it is not silent.
        if let Some(kind) = self.kinds.get_mut(key).filter(|kind| kind.phase == Phase::Watching) {
            kind.pace.silent.get_or_insert(now);
        }
    }

    /// Covered kinds whose open watch has brought nothing, not even a bookmark, for `long`; before them those that are
    /// taken for silent, since that may have been a mistake.
    pub(crate) fn quiet(&self, long: Duration) -> Vec<String> {
        let now = self.parts.clock.monotonic();
        let quiet = |kind: &Kind| {
            let last = kind.pace.heard.max(kind.pace.opened);
            let long = kind.pace.silent.is_some() || now.saturating_sub(last) >= long;
            kind.covered && kind.phase == Phase::Watching && long
        };
        let mut quiet: Vec<_> = self.kinds.iter().filter(|(_, kind)| quiet(kind)).collect();
        quiet.sort_by_key(|(_, kind)| kind.pace.silent.is_none());
        quiet.into_iter().map(|(key, _)| key.clone()).collect()
    }

    /// Lets go of the kinds that are stuck.
    pub(crate) fn let_go(&mut self) {
        let now = self.parts.clock.monotonic();
        for domain in self.domains.values_mut() {
            let answers = domain.told > Duration::ZERO && now.saturating_sub(domain.told) <= LATELY;
            domain.answers_since = if answers { domain.answers_since.or(Some(now)) } else { None };
        }
        let limit = self.settings.stuck_after;
        let mut stuck = Vec::new();
        for (key, kind) in &mut self.kinds {
            let pace = &mut kind.pace;
            let open = kind.phase == Phase::Watching && now.saturating_sub(pace.opened) >= SETTLED;
            if open && pace.silent.is_none() {
                pace.astray = None;
            }
            // A kind that was never covered holds up nothing, but has to say why it is not: between two lives nobody
            // writes a checkpoint until something is told of the next one. One that waits for its turn to be listed has
            // not failed.
            let untold = matches!(kind.ended, None | Some(Uncovered::Incarnation));
            let told = kind.covered || untold && !kind.detail.is_empty();
            let Some(since) = pace.astray.or(pace.silent).filter(|_| told) else { continue };
            // What it could not do while nobody was answered says nothing about it.
            let Some(answers) = answers_since(&self.domains, &kind.discovery.domain) else { continue };
            let long = now.saturating_sub(since.max(answers));
            let still = now.saturating_sub(pace.moved.max(answers));
            if long >= PATIENCE || long >= limit && (pace.silent.is_some() || still >= limit) {
                pace.deaf = kind.phase == Phase::Watching;
                stuck.push((key.clone(), kind.detail.clone(), now.saturating_sub(since)));
            }
        }
        for (key, said, long) in stuck {
            let said = if said.is_empty() { "the server does not answer for it" } else { &said };
            tracing::warn!(kind = key, seconds = long.as_secs(), said, "cannot be followed, and is let go");
            self.uncover_since(&key, Uncovered::Stuck, said, long);
        }
    }
}

/// Since when the server has been answering for a domain; for one beside the main one, since when for either of them.
fn answers_since(domains: &BTreeMap<String, Domain>, domain: &str) -> Option<Duration> {
    let since = |name: &str| domains.get(name).and_then(|domain| domain.answers_since);
    since(domain).or_else(|| since(MAIN))
}
