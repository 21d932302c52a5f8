//! Lives of a domain's counter: what says that the server's store was put back to an older copy, and what then begins.
//!
//! **Words**: a *life* is the time in which a revision means one write and no other; its number is the *incarnation*
//! of rows and cuts. A store that was put back goes on from an older copy: revisions that the journal knows are given
//! to other writes, or were skipped (`--bump-revision`), and what they said is gone. An observation *contradicts* a
//! life if no history of one counter holds both it and what is retained.
//!
//! **Invariants.** (1) What is known up to a cursor is complete, so an object that stands at or below it in another
//! version than the retained one contradicts [`Core::contradiction`]; absence never does, since objects are deleted.
//! (2) Nothing seen in one life becomes a row of another: who lists or heals holds the life it began in against the
//! domain's, under the lock that records [`Core::is_life`]. (3) Each kind's protection ends at the moment up to which
//! it is known to be complete, not at the one when the end was noticed [`Core::begin_life`].
//!
//! Not here: asking the server [`crate::life`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hindcast_cluster::{discovery::LEASES, header::Header};
use hindcast_journal::{
    facts::{Discovery, Mark, Uncovered},
    parts::Micros,
    row::{Op, Revision},
};

use super::{Core, Kind, Renewed, object_name};

/// What is retained of a kind, to be held against what the server has.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) kind: Arc<Discovery>,
    /// The revision up to which it is known.
    pub(crate) cursor: Revision,
    /// When it was last heard of, by our clock.
    pub(crate) heard: Micros,
    /// Name → uid and revision, of the first names in order.
    pub(crate) objects: BTreeMap<String, (Box<str>, Revision)>,
    /// Up to this name `objects` has all that there is; to the end if `None`.
    pub(crate) last: Option<String>,
    /// The newest objects, wherever they stand in the order.
    pub(crate) newest: Vec<(String, (Box<str>, Revision))>,
    /// Whether versions beyond the cursor were recorded: then what stood at it is not known.
    pub(crate) torn: bool,
    /// Whether its stream has failed for so long that nobody waits for it.
    pub(crate) astray: bool,
}

impl Witness {
    /// Whether its cursor is that of a kind, of which the first names are known; not just one object.
    pub(crate) fn is_followed(&self) -> bool {
        !self.objects.is_empty() || self.last.is_none()
    }
}

/// Whether revisions of the kind's objects are those of one counter. An aggregated server may serve anything.
pub(super) fn counted(kind: &Discovery) -> bool {
    kind.group.is_empty() || kind.domain != kind.group
}

impl Core {
    /// Which life a domain is in.
    pub(crate) fn life(&mut self, domain: &str) -> u32 {
        self.domain(domain).incarnation
    }

    /// A kind's stream broke: whether its domain is still in the life that it was in has to be asked.
    pub(crate) fn doubt(&mut self, key: &str) {
        let Some(domain) = self.kinds.get(key).map(|kind| kind.discovery.domain.clone()) else { return };
        self.domain(&domain).doubted = self.parts.clock.monotonic();
    }

    /// A domain is in the life that it was in, as far as can be told, and its history is what is known up to `rv`.
    pub(crate) fn confirmed(&mut self, domain: &str, life: u32, rv: Revision) {
        if self.life(domain) == life {
            self.domain(domain).clock.confirmed(rv);
        }
    }

    /// When there was last a reason to ask, on the monotonic clock: a stream broke, or the process stood still, so that
    /// what it reads has lain waiting.
    pub(crate) fn doubted(&self, domain: &str) -> Duration {
        self.domains.get(domain).map_or(self.stalled_at, |domain| domain.doubted.max(self.stalled_at))
    }

    /// Whether the kind's domain is still in that life.
    pub(crate) fn is_life(&self, key: &str, life: u32) -> bool {
        let domain = self.kinds.get(key).and_then(|kind| self.domains.get(&kind.discovery.domain));
        domain.is_some_and(|domain| domain.incarnation == life)
    }

    /// Why an object of a consistent list cannot be of the life that is assumed, if that is so.
    pub(crate) fn contradiction(&self, key: &str, header: &Header) -> Option<String> {
        let kind = self.kinds.get(key).filter(|kind| !kind.reborn && counted(&kind.discovery))?;
        let name = object_name(header);
        let known = kind.objects.get(&name).map(|entry| (&*entry.uid, entry.object_rv));
        contradicts(key, &name, known, header, kind.cursor)
    }

    /// What is retained of a domain's kinds, the most recently written first: at most `kinds` of them, of each the
    /// first `objects` and the `newest`.
    pub(crate) fn witnesses(&self, domain: &str, kinds: usize, objects: usize, newest: usize) -> Vec<Witness> {
        let of_domain = |kind: &&Kind| {
            let Discovery { gone, domain: own, .. } = &*kind.discovery;
            own == domain && !gone && kind.cursor > 0 && !kind.reborn && counted(&kind.discovery)
        };
        let written = |kind: &Kind| kind.objects.values().map(|entry| entry.object_rv).max().unwrap_or(0);
        let mut chosen: Vec<(Revision, &Kind)> =
            self.kinds.values().filter(of_domain).map(|kind| (written(kind), kind)).collect();
        chosen.sort_by_key(|(written, _)| std::cmp::Reverse(*written));
        let (now, limit) = (self.parts.clock.monotonic(), self.settings.stuck_after);
        let astray = |kind: &Kind| kind.pace.astray.is_some_and(|since| now.saturating_sub(since) >= limit);
        let chosen = chosen.into_iter().take(kinds).map(|(_, kind)| witness(kind, objects, newest, astray(kind)));
        self.lease_heard(domain).into_iter().chain(chosen).collect()
    }

    /// The newest write of a lease that was seen, though leases are not journaled.
    fn lease_heard(&self, domain: &str) -> Option<Witness> {
        let kind = self.kinds.get(LEASES).filter(|kind| kind.discovery.domain == domain && kind.cursor == 0)?;
        let Renewed { name, uid, rv, heard } = self.domains.get(domain)?.renewed.clone()?;
        Some(Witness {
            kind: kind.discovery.clone(),
            cursor: rv,
            heard: self.timekeeper.at(heard).lo,
            objects: BTreeMap::new(),
            last: Some(String::new()),
            newest: vec![(name, (uid, rv))],
            torn: false,
            astray: false,
        })
    }

    /// The server's store was put back: the whole domain begins a new life, as long as it is in `life` still. `list` is
    /// the revision of a list of the new one, 0 if there is none yet. Says whether that is so.
    pub(crate) fn begin_life(&mut self, domain: &str, life: u32, list: Revision, why: &str) -> bool {
        if self.life(domain) != life {
            return false;
        }
        let last = self.newest(domain);
        tracing::warn!(domain, last, now = list, why, "the server's store was put back: a new incarnation begins");
        let of_domain = self.kinds.iter().filter(|(_, kind)| kind.discovery.domain == domain);
        let keys: Vec<String> = of_domain.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let covered = self.kinds.get(&key).filter(|kind| kind.covered).map(|kind| (kind.cursor, kind.heard));
            if let Some((cursor, heard)) = covered {
                let known = self.known_until(domain, cursor).unwrap_or(heard);
                self.uncover_at(&key, Uncovered::Incarnation, "", known);
            }
            if let Some(kind) = self.kinds.get_mut(&key) {
                (kind.cursor, kind.reborn, kind.ahead) = (0, true, 0);
            }
        }
        self.next_life(domain, last, list, why);
        true
    }

    /// The next life of a domain, whose kinds are told that theirs has ended.
    pub(crate) fn next_life(&mut self, domain: &str, last: Revision, list: Revision, why: &str) {
        let (born, began) = (self.now().hi, self.parts.clock.monotonic());
        let life = self.domain(domain);
        life.incarnation += 1;
        life.caught_up = list;
        life.clock = crate::clock::RevisionClock::born(born);
        // Revisions of the life that has ended cannot be compared with those of this one.
        (life.listed, life.shown, life.renewed, life.begun) = (Default::default(), list, None, began);
        if life.live_from != Revision::MAX {
            life.live_from = list;
        }
        let mark = Mark::Incarnation { last, why: why.to_owned() };
        let about = Discovery { domain: domain.to_owned(), ..Discovery::default() };
        self.fact_at(Op::Mark, &about, list, Some(&mark), born);
    }

    /// The moment before which every change of a kind with this cursor is in the journal.
    fn known_until(&self, domain: &str, cursor: Revision) -> Option<Micros> {
        let domain = self.domains.get(domain)?;
        let told = domain.clock.closed_time(cursor);
        let resumed = domain.resumed.filter(|(life, rv, _)| *life == domain.incarnation && *rv <= cursor);
        let before = resumed.map_or(0, |(_, _, time)| time);
        let now = self.timekeeper.at(self.parts.clock.monotonic());
        Some(told.max(before)).filter(|time| *time > 0).map(|time| time.min(now.lo))
    }
}

fn witness(kind: &Kind, objects: usize, newest: usize, astray: bool) -> Witness {
    let pair = |(name, entry): (&String, &crate::retained::Entry)| (name.clone(), (entry.uid.clone(), entry.object_rv));
    let mut recent: Vec<_> = kind.objects.iter().filter(|(_, entry)| entry.object_rv <= kind.cursor).collect();
    recent.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.object_rv));
    let mut rest = kind.objects.iter();
    let first: BTreeMap<_, _> = rest.by_ref().take(objects).map(pair).collect();
    let last = rest.next().and_then(|_| first.keys().next_back().cloned());
    Witness {
        kind: kind.discovery.clone(),
        cursor: kind.cursor,
        heard: kind.heard,
        objects: first,
        last,
        newest: recent.into_iter().take(newest).map(pair).collect(),
        torn: kind.is_torn(),
        astray,
    }
}

/// Why an object as a list shows it contradicts what is known of it, everything up to `cursor` being known.
pub(crate) fn contradicts(
    key: &str,
    name: &str,
    known: Option<(&str, Revision)>,
    header: &Header,
    cursor: Revision,
) -> Option<String> {
    let rv = header.rv.filter(|_| !header.uid.is_empty())?;
    match known {
        // What could not be read has no uid to compare.
        Some(("", _)) => None,
        Some((uid, known)) if uid == header.uid && known == rv => None,
        Some((uid, known)) if uid == header.uid && rv < known => {
            Some(format!("{key} {name} stands at revision {rv}, and was seen at {known}"))
        }
        _ if rv <= cursor => {
            Some(format!("{key} {name} stands at revision {rv}, of which nothing was seen up to {cursor}"))
        }
        _ => None,
    }
}
