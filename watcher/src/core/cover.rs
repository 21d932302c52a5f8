//! Coverage: kinds that come under protection, break, are healed, and leave it.

use std::{collections::BTreeMap, time::Duration};

use hindcast_cluster::{When, header::Header};
use hindcast_journal::{
    facts::{CoverEnd, Discovery, Gap, Grade, Uncovered},
    parts::Micros,
    row::{Op, Revision, Source},
};

use super::{Core, Kind, Sighting, observe::object_name, proof::Proofs, stuck::Pace};
use crate::{
    handle::Phase,
    heal::{Recovered, Step},
    timekeeper::Span,
};

/// Objects named in a gap row.
const NAMED: usize = 1000;

/// What the journal knows about a kind at the point where its watch broke.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The cursor; 0 before the first list.
    pub(crate) from: Revision,
    /// When the kind was last heard of.
    pub(crate) heard: Micros,
    /// Name → uid and revision.
    pub(crate) objects: BTreeMap<String, (Box<str>, Revision)>,
    /// Whether a healing from the cursor was interrupted: what it found of some objects may not be all that there was.
    pub(crate) torn: bool,
}

/// A kind as the journal left it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resumed {
    /// How far it was seen, if it was covered.
    pub(crate) cursor: Option<Revision>,
    /// Why it was not.
    pub(crate) ended: Option<Uncovered>,
    /// When it was last heard of.
    pub(crate) heard: Micros,
    /// The newest version that a healing recorded; what is beyond the cursor is of one that did not finish.
    pub(crate) ahead: Revision,
    /// Whether what is retained is of another counter, or of a life of it that has ended.
    pub(crate) reborn: bool,
    /// The newest list that agreed with the journal: its revision, and when it was begun.
    pub(crate) proven: (Revision, Micros),
    /// Where its protection ended because the server had its objects otherwise; 0 if it did not.
    pub(crate) wrong_to: Revision,
}

/// How a broken interval was healed.
#[derive(Debug, Clone)]
pub(crate) struct Healed {
    pub(crate) from: Revision,
    pub(crate) to: Revision,
    pub(crate) time_from: Micros,
    pub(crate) time_to: Micros,
    pub(crate) reason: String,
    pub(crate) recovered: u64,
    /// Objects of which versions are missing.
    pub(crate) unknown: Vec<String>,
    /// Whether versions may be missing of objects that nobody can name.
    pub(crate) lost: bool,
    /// Whether what is retained was held against a list; else only what happened in the interval was recorded.
    pub(crate) compared: bool,
}

impl Kind {
    /// Whether versions beyond the cursor were recorded, by a healing that did not finish.
    pub(super) fn is_torn(&self) -> bool {
        self.ahead > self.cursor
    }
}

impl Core {
    /// Adds a kind, or what is new about it. A changed description becomes a row with the next fact about the kind, or
    /// at once if it is covered.
    pub(crate) fn describe(&mut self, discovery: Discovery) {
        let key = discovery.kind_key();
        self.domain(&discovery.domain);
        let Some(kind) = self.kinds.get_mut(&key) else {
            let kind = Kind {
                discovery: discovery.into(),
                covered: false,
                ended: None,
                cursor: 0,
                told: 0,
                objects: BTreeMap::new(),
                phase: Phase::Starting,
                detail: String::new(),
                heard: 0,
                listing: 0,
                reborn: false,
                described: false,
                moved: false,
                opened: Duration::ZERO,
                pace: Pace::astray_since(self.parts.clock.monotonic()),
                left: None,
                alive: Duration::ZERO,
                ahead: 0,
                bookmarks: None,
                placed: false,
                proofs: Proofs::default(),
            };
            self.kinds.insert(key, kind);
            return;
        };
        if *kind.discovery != discovery {
            kind.discovery = discovery.into();
            kind.described = false;
            if kind.covered {
                let rv = kind.cursor;
                self.write_discovery(&key, rv);
            }
        }
    }

    /// Adds a kind as the journal left it.
    pub(crate) fn resume(&mut self, discovery: Discovery, as_left: Resumed) {
        let key = discovery.kind_key();
        self.describe(discovery);
        if let Some(kind) = self.kinds.get_mut(&key) {
            let Resumed { cursor, ended, heard, ahead, reborn, proven, wrong_to } = as_left;
            kind.proofs = Proofs::resumed(proven, wrong_to);
            (kind.covered, kind.cursor) = (cursor.is_some(), cursor.unwrap_or(0));
            (kind.ended, kind.described, kind.heard) = (ended, true, heard);
            // Its stream has not begun: nothing was tried yet.
            kind.pace.astray = None;
            (kind.ahead, kind.reborn, kind.placed) = (ahead, reborn, cursor.is_some());
        }
    }

    /// What is retained of a kind is of a life of its domain that has ended.
    pub(crate) fn of_ended_life(&mut self, key: &str) {
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.reborn = true;
        }
    }

    fn write_discovery(&mut self, key: &str, rv: Revision) {
        let Some(kind) = self.kinds.get_mut(key).filter(|kind| !kind.described) else { return };
        kind.described = true;
        let discovery = kind.discovery.clone();
        self.fact(Op::Discovery, &discovery, rv, Some(&*discovery));
    }

    /// What is known about a kind.
    pub(crate) fn known(&self, key: &str) -> Option<Known> {
        let kind = self.kinds.get(key)?;
        let objects = kind.objects.iter().map(|(name, entry)| (name.clone(), (entry.uid.clone(), entry.object_rv)));
        Some(Known { from: kind.cursor, heard: kind.heard, objects: objects.collect(), torn: kind.is_torn() })
    }

    /// A kind's stream brought something.
    pub(crate) fn alive(&mut self, key: &str) {
        let now = self.parts.clock.monotonic();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.alive = now;
        }
    }

    /// A whole list of a kind begins (anew).
    pub(crate) fn begin_list(&mut self, key: &str) {
        self.metrics.lists.inc();
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.listing = kind.listing.wrapping_add(1);
        }
    }

    /// An object of a list at `list`: recorded if it differs from the retained version.
    pub(crate) fn listed(&mut self, key: &str, seen: &Sighting, list: Revision) {
        let Some(rv) = seen.header.rv else { return };
        let name = object_name(&seen.header);
        let Some(kind) = self.kinds.get_mut(key) else { return };
        let (listing, reborn, wrong_to) = (kind.listing, kind.reborn, kind.wrong_to());
        let retained = kind.objects.get_mut(&name).map(|entry| {
            entry.listing = listing;
            (entry.uid == seen.header.uid.as_str().into(), entry.object_rv)
        });
        match retained {
            Some((true, known)) if known == rv => self.same(key, &name, seen, list),
            // Moments at which it should have been known are closed.
            _ if rv <= wrong_to => self.found(key, &name, seen, list),
            Some((false, known)) => {
                let before = rv.saturating_sub(1).max(if wrong_to > 0 { wrong_to + 1 } else { 0 });
                let at = if reborn { before } else { before.max(known) };
                self.vanished(key, &name, at, Source::List);
                self.present(key, &name, seen, rv);
            }
            _ => self.present(key, &name, seen, rv),
        }
    }

    /// The list is whole: what it did not show is gone, and the kind is covered from here on.
    pub(crate) fn end_list(&mut self, key: &str, list: Revision, at: Span) {
        let Some(kind) = self.kinds.get_mut(key) else { return };
        let listing = kind.listing;
        let gone = kind.objects.iter().filter(|(_, entry)| entry.listing != listing);
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        // A list recovers nothing of what was missed before it.
        (kind.reborn, kind.left) = (false, None);
        for name in gone {
            self.vanished(key, &name, list, Source::List);
        }
        self.cover(key, list, at.hi, true);
    }

    /// The kind is covered from a revision on, up to which it was `compared` with the cluster's own list, or not.
    fn cover(&mut self, key: &str, from: Revision, at: Micros, compared: bool) {
        let now = self.parts.clock.monotonic();
        self.write_discovery(key, from);
        let Some(kind) = self.kinds.get_mut(key) else { return };
        let discovery = kind.discovery.clone();
        (kind.cursor, kind.heard, kind.moved) = (from, at, false);
        (kind.told, kind.ahead) = (0, 0);
        kind.proofs.covered(from, at, compared);
        let left = kind.left.take();
        if !kind.covered {
            (kind.covered, kind.ended) = (true, None);
            kind.pace.taken = now;
            kind.detail.clear();
            let (from, at) = left.unwrap_or((from, at));
            self.fact_at(Op::CoverBegin, &discovery, from, None::<&()>, at);
        }
        self.heard(key);
    }

    /// Versions of one object that were missing. What is older than `defined` was read through a definition that came
    /// after it.
    pub(crate) fn recovered(&mut self, key: &str, name: &str, steps: Recovered, defined: Revision) -> u64 {
        let at = self.now();
        let (mut count, mut ahead) = (0, 0);
        for step in steps.steps {
            let retained = self.kinds.get(key).and_then(|k| k.objects.get(name)).map(|e| e.rv);
            let of = step.rv();
            match step {
                Step::Version { rv, bytes } if retained.is_none_or(|known| known < rv) => {
                    let header = Header::of(&bytes);
                    let source = if rv < defined { Source::HealedLater } else { Source::Healed };
                    let seen = Sighting { header, bytes, source, at, live: false };
                    self.present(key, name, &seen, rv);
                }
                Step::Delete { rv } if retained.is_some_and(|known| known < rv) => {
                    self.vanished(key, name, rv, Source::Healed);
                }
                _ => continue,
            }
            (count, ahead) = (count + 1, of);
        }
        self.metrics.healed.inc_by(count);
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.ahead = kind.ahead.max(ahead);
        }
        count
    }

    /// A broken interval is healed as far as possible.
    pub(crate) fn healed(&mut self, key: &str, healed: Healed) {
        let Some(kind) = self.kinds.get_mut(key) else { return };
        kind.detail.clear();
        let discovery = kind.discovery.clone();
        let grade = if healed.unknown.is_empty() && !healed.lost { Grade::Healed } else { Grade::Lost };
        // A kind that was let go and is recovered whole is covered from where it was left, as if its watch had only
        // been broken.
        let left = kind.left.filter(|(rv, _)| *rv == healed.from);
        kind.left = left.filter(|_| grade == Grade::Healed);
        if kind.covered || left.is_some() {
            let gap = Gap {
                from: healed.from,
                to: healed.to,
                grade,
                time_from: healed.time_from,
                time_to: healed.time_to,
                reason: healed.reason,
                recovered: healed.recovered,
                unknown_total: healed.unknown.len() as u64,
                unknown: healed.unknown.into_iter().take(NAMED).collect(),
            };
            self.fact(Op::Gap, &discovery, healed.to, Some(&gap));
            self.metrics.gaps.with_label_values(&[grade.as_str()]).inc();
        }
        self.cover(key, healed.to, healed.time_to, healed.compared);
    }

    /// The kind is not protected from its cursor on. Recorded once per reason.
    pub(crate) fn uncover(&mut self, key: &str, reason: Uncovered, detail: &str) {
        self.uncover_since(key, reason, detail, Duration::ZERO);
    }

    /// The same, where protection ended that long ago.
    pub(crate) fn uncover_since(&mut self, key: &str, reason: Uncovered, detail: &str, ago: Duration) {
        let since = self.now().lo - ago.as_micros() as Micros;
        let heard = self.kinds.get(key).map_or(since, |kind| kind.heard);
        self.uncover_at(key, reason, detail, since.max(heard));
    }

    /// The same, where it is known when protection ended.
    pub(super) fn uncover_at(&mut self, key: &str, reason: Uncovered, detail: &str, since: Micros) {
        let now = self.parts.clock.monotonic();
        let Some(kind) = self.kinds.get_mut(key) else { return };
        detail.clone_into(&mut kind.detail);
        kind.phase = Phase::Unprotected;
        if !kind.covered && kind.ended == Some(reason) {
            return;
        }
        if kind.covered && matches!(reason, Uncovered::Stuck | Uncovered::Forbidden | Uncovered::ApiDown) {
            kind.pace.fall(now);
        }
        (kind.covered, kind.ended) = (false, Some(reason));
        let (discovery, followed) = (kind.discovery.clone(), kind.cursor > 0);
        kind.left = None;
        let rv = if followed { kind.cursor } else { self.newest(&discovery.domain) };
        self.write_discovery(key, rv);
        let now = self.now();
        // Not before its newest change, whose revision this fact stands at; but for a life that has ended, of which it
        // is known up to when it was complete.
        let newest = self.domain(&discovery.domain).clock.bounds(rv, now, None, false).1;
        let since = if reason == Uncovered::Incarnation { since } else { since.max(newest) };
        let end = CoverEnd { reason, detail: detail.to_owned() };
        self.untold.add(key, &discovery, &end, self.parts.clock.monotonic());
        self.fact_at(Op::CoverEnd, &discovery, rv, Some(&end), since);
        let recoverable = reason == Uncovered::Stuck && followed;
        if let Some(kind) = self.kinds.get_mut(key).filter(|_| recoverable) {
            kind.left = Some((rv, since));
        }
    }

    /// The newest known revision of a domain.
    pub(super) fn newest(&self, domain: &str) -> Revision {
        let here = self.kinds.values().filter(|k| k.discovery.domain == domain);
        let start = self.domains.get(domain).map_or(0, |d| d.caught_up);
        here.map(|k| k.cursor).max().unwrap_or(0).max(start)
    }

    /// The kind is gone from the server: its objects with it. Its next life begins with a list.
    pub(crate) fn gone(&mut self, key: &str) {
        let Some(kind) = self.kinds.get(key) else { return };
        // Revisions of the life before say nothing about when it went.
        let (rv, reborn) = match kind.wrong_to() {
            0 if !kind.reborn => (kind.cursor + 1, false),
            0 => (self.newest(&kind.discovery.domain), true),
            wrong_to => (self.newest(&kind.discovery.domain).max(wrong_to + 1), true),
        };
        // A healing that was cut short may have brought versions beyond the cursor.
        let after = |known: Revision| if reborn { rv } else { rv.max(known + 1) };
        let objects = kind.objects.iter().map(|(name, entry)| (name.clone(), after(entry.rv)));
        for (name, rv) in objects.collect::<Vec<_>>() {
            self.vanished(key, &name, rv, Source::List);
        }
        let domain = self.kinds.get(key).map(|kind| kind.discovery.domain.clone()).unwrap_or_default();
        self.uncover(key, Uncovered::Gone, "");
        // The fact about its end stands beyond what was seen. If nobody follows the domain any more, it may come back
        // at the revision where it was, which is before that.
        if self.kinds.values().all(|kind| !kind.covered || kind.discovery.domain != domain) {
            let domain = self.domain(&domain);
            domain.shown = domain.shown.max(rv);
        }
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.cursor = 0;
            let mut discovery = (*kind.discovery).clone();
            if !discovery.gone {
                discovery.gone = true;
                (kind.discovery, kind.described) = (discovery.into(), false);
                self.write_discovery(key, rv);
            }
        }
    }

    /// The kind was defined anew under its name. A stream may have seen objects of the new life already, so only the
    /// list that follows can tell which of them are gone.
    pub(crate) fn replaced(&mut self, key: &str) {
        self.uncover(key, Uncovered::Gone, "defined anew");
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.cursor = 0;
        }
    }

    /// What a domain is known to have reached: incarnation and revision.
    pub(crate) fn reached(&mut self, domain: &str) -> (u32, Revision) {
        let newest = self.newest(domain);
        let domain = self.domain(domain);
        (domain.incarnation, newest.max(domain.shown))
    }

    /// A consistent list, begun when the domain was known to have `reached` that, showed revision `list`. Before it,
    /// the counter went back: the whole domain begins a new life. Says whether that is so; nothing, where the life that
    /// it was begun in has ended meanwhile.
    pub(crate) fn shown(
        &mut self,
        domain: &str,
        reached: (u32, Revision),
        list: Revision,
        when: &When,
    ) -> Option<bool> {
        let (life, highest) = reached;
        self.dated(when);
        if self.life(domain) != life {
            return None;
        }
        let put_back = list < highest;
        if put_back {
            self.begin_life(domain, life, list, &format!("revisions went back from {highest} to {list}"));
        }
        self.sample(domain, list, when);
        Some(put_back)
    }

    /// The kind is counted in another domain than believed: protected there from its next list on.
    pub(crate) fn change_domain(&mut self, key: &str, domain: &str) {
        let Some(kind) = self.kinds.get(key) else { return };
        let from = kind.discovery.domain.clone();
        if from == domain {
            return;
        }
        tracing::info!(kind = key, domain, "counted in another revision domain");
        if kind.covered {
            self.uncover(key, Uncovered::DomainChanged, domain);
        }
        // What its lists showed was of another counter.
        self.domain(&from).shown = 0;
        self.domain(domain);
        if let Some(kind) = self.kinds.get_mut(key) {
            let mut discovery = (*kind.discovery).clone();
            domain.clone_into(&mut discovery.domain);
            (kind.discovery, kind.described) = (discovery.into(), false);
            // Revisions of the two domains do not compare.
            (kind.cursor, kind.reborn) = (0, true);
        }
    }
}
