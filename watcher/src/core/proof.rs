//! Whether a kind's objects are as the cluster's own list shows them, and what follows where they are not.
//!
//! A watch that swallows an event, sends an old version for a new one, or a bookmark before what it promises, looks like
//! any other. So now and then every kind is *proven*: a consistent list of its metadata, at revision R, is held against
//! what is retained, once the kind's cursor is at or past R ([`crate::prove`] asks for it).
//!
//! **Why a busy kind can be proven.** From the cursor on R every event up to R has been handed over. So what the list shows
//! of an object is retained, unless a later event of it came: then the retained version, or the delete that was noted
//! while the proof ran, is newer than R. And what is retained and not shown was created after R. Nothing else is
//! possible, and each page is compared as it comes, so that only what looked otherwise is kept until the end.
//!
//! **What follows from a difference.** Moments behind the missing write have been closed, and are answered from what was
//! told. A row with the write's own revision would change those answers, or not, with the checkpoint a reader begins
//! at. So nothing is inserted [`Core::differs`]:
//! - the interval from the newest list that agreed up to the cursor becomes a gap that is `lost`: the server's history
//!   does not reach back an hour, and a version that was swallowed and then followed by another shows in no list;
//! - protection ends at the cursor, so that nothing is claimed of later revisions;
//! - the kind is listed anew. An object that stands at or below the end of protection is recorded as `reread`, at the
//!   revision of that list: every moment before it gives the older reading, with the reservation [`Core::found`].
//!
//! A reader of a moment in the interval stops reading before those rows, so the manifest tells of it too
//! (`journal/src/checkpoint/late.rs`).
//!
//! **What this cannot see.** A version that was swallowed, of an object that was written again before the proof.
//!
//! **Invariants.** (1) The list that begins protection anew stands beyond the revision at which it ended, so that no
//! moment has two readings; where nothing is written in the domain for [`UNMOVED`], it may stand there, which the gap
//! spans [`Core::waits_to_move`]. (2) A list, a healing or a new life in the middle of a proof ends it, and nothing
//! follows [`Core::prove_page`]; nor does one agree for which there was no room [`Ended::Full`]. (3) Up to where a kind
//! was proven is a row, so that a later process knows how far a gap reaches back [`Core::write_proven`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use hindcast_cluster::header::Header;
use hindcast_journal::{
    Change,
    checkpoint::Late,
    facts::{self, Discovery, Gap, Grade, Mark, Proven, Uncovered},
    parts::Micros,
    row::{Op, Revision, Source},
    segment::FrontierVector,
};

use super::{
    Core, Kind, Sighting,
    life::counted,
    observe::{identify, object_name},
};
use crate::{
    handle::{Phase, Proof},
    retained::Entry,
};

/// How long it is waited for a write in the domain before a kind that differed is listed anew.
const UNMOVED: Duration = Duration::from_secs(30);
/// Objects that looked otherwise and are kept until the end of a proof.
const OTHERWISE: usize = 10_000;
/// Objects named where a difference is told.
const NAMED: usize = 5;
/// What has the stamp of a proof has none of a list: those count from 0.
const STAMP: u32 = 1 << 31;

/// What is known of a kind by proof.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// The newest list that agreed: its revision, and when it was begun.
    proven: (Revision, Micros),
    /// What is retained may be other than what stood at the server up to here, where protection ended.
    wrong_to: Revision,
    /// Until when the list after that waits for a write, on the monotonic clock.
    wait_until: Duration,
    /// How many proofs were begun.
    begun: u32,
    running: Option<Running>,
}

/// A proof that runs.
#[derive(Debug)]
struct Running {
    /// What entries are stamped with that the list shows as they are retained.
    stamp: u32,
    /// The newest list or healing of the kind when it was begun, and the life.
    listing: u32,
    life: u32,
    /// When it was begun.
    at: Micros,
    /// Objects on the list.
    objects: u64,
    /// Those that it shows otherwise than they were retained then: uid and revision.
    otherwise: BTreeMap<String, (String, Revision)>,
    /// Whether there were more than are kept.
    full: bool,
    /// What was deleted since, and at which revision.
    gone: BTreeMap<String, Revision>,
}

/// How a proof ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All objects are as the list shows them; how many there are.
    Agrees(u64),
    /// Some are not; how many are on the list.
    Differs(u64),
    /// It could not be told.
    Left,
    /// Nor could it, of so many objects that were written while they were listed.
    Full,
}

/// What all proofs have told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) proof: Proof,
    /// Intervals that the manifest is to tell of.
    late: Vec<Late>,
    /// Whether the rows that say up to where kinds were proven are to be written.
    unsaid: bool,
}

impl Proofs {
    /// As the journal left them: up to where the kind was proven, and where its protection ended by a difference.
    pub(super) fn resumed(proven: (Revision, Micros), wrong_to: Revision) -> Self {
        Self { proven, wrong_to, ..Self::default() }
    }

    /// A whole list was recorded, or a healing. One that did not compare what is retained with a list proves nothing.
    pub(super) fn covered(&mut self, list: Revision, at: Micros, compared: bool) {
        self.running = None;
        if compared {
            (self.proven, self.wrong_to) = ((list, at), 0);
        }
    }
}

impl Kind {
    /// Up to this revision what is retained may be wrong; 0 if that is not so.
    pub(super) fn wrong_to(&self) -> Revision {
        if self.reborn { 0 } else { self.proofs.wrong_to }
    }

    fn may_be_proven(&self) -> bool {
        self.covered && !self.is_torn() && !self.reborn && self.phase == Phase::Watching && counted(&self.discovery)
    }
}

/// Whether an entry is what a list shows.
fn agrees(entry: &Entry, uid: &str, rv: Revision) -> bool {
    // What could not be read has no uid to compare, and a row of its own revision only as long as it was not found.
    let same = entry.object_rv == rv || entry.is_unreadable() && entry.rv >= rv;
    same && (entry.uid.is_empty() || *entry.uid == *uid)
}

impl Core {
    /// The kinds that are to be proven.
    pub(crate) fn provable(&self) -> Vec<String> {
        let covered = self.kinds.iter().filter(|(_, kind)| kind.covered && counted(&kind.discovery));
        covered.map(|(key, _)| key.clone()).collect()
    }

    /// Begins a proof of a kind, whose list is asked for after this; nothing if it is not followed just now.
    pub(crate) fn begin_proof(&mut self, key: &str) -> Option<Arc<Discovery>> {
        let at = self.now().lo;
        if self.store_down.is_some() {
            return None;
        }
        let kind = self.kinds.get_mut(key).filter(|kind| kind.may_be_proven())?;
        let life = self.domains.get(&kind.discovery.domain)?.incarnation;
        kind.proofs.begun = kind.proofs.begun.wrapping_add(1);
        kind.proofs.running = Some(Running {
            stamp: kind.proofs.begun | STAMP,
            listing: kind.listing,
            life,
            at,
            objects: 0,
            otherwise: BTreeMap::new(),
            full: false,
            gone: BTreeMap::new(),
        });
        Some(kind.discovery.clone())
    }

    /// Whether the proof of a kind still tells anything.
    fn is_being_proven(&self, key: &str) -> bool {
        let Some(kind) = self.kinds.get(key).filter(|kind| kind.covered && !kind.is_torn()) else { return false };
        let life = self.domains.get(&kind.discovery.domain).map(|domain| domain.incarnation);
        let same = |running: &Running| running.listing == kind.listing && Some(running.life) == life;
        kind.proofs.running.as_ref().is_some_and(same)
    }

    /// Compares a page of the list, which is of revision `list`. Says whether there is any use in the next one.
    pub(crate) fn prove_page(&mut self, key: &str, items: &[Bytes], list: Revision) -> bool {
        if !self.is_being_proven(key) {
            return false;
        }
        let Some(Kind { objects, proofs, .. }) = self.kinds.get_mut(key) else { return false };
        let Some(running) = &mut proofs.running else { return false };
        for item in items {
            let header = Header::of(item);
            let Some(rv) = header.rv else { return false };
            let name = object_name(&header);
            running.objects += 1;
            match objects.get_mut(&name) {
                Some(entry) if agrees(&*entry, &header.uid, rv) => entry.listing = running.stamp,
                // A later event of it has come already, which is all that there is to know.
                Some(entry) if entry.object_rv > list => {}
                _ if running.otherwise.len() < OTHERWISE => _ = running.otherwise.insert(name, (header.uid, rv)),
                _ => running.full = true,
            }
        }
        true
    }

    /// Ends the proof of a kind whose list was of revision `list`, if the kind has been seen up to there.
    pub(crate) fn end_proof(&mut self, key: &str, list: Revision) -> Option<Ended> {
        if !self.is_being_proven(key) {
            self.leave_proof(key);
            return Some(Ended::Left);
        }
        let kind = self.kinds.get_mut(key).filter(|kind| kind.cursor >= list)?;
        let running = kind.proofs.running.take()?;
        let mut names = Vec::new();
        for (name, (uid, rv)) in &running.otherwise {
            let right = match kind.objects.get(name) {
                Some(entry) => agrees(entry, uid, *rv) || entry.object_rv > list,
                None => running.gone.get(name).is_some_and(|at| *at > list),
            };
            if !right {
                names.push(name.clone());
            }
        }
        let unseen = |(name, entry): &(&String, &Entry)| {
            entry.listing != running.stamp && entry.object_rv <= list && !running.otherwise.contains_key(*name)
        };
        // Of what found no room nobody knows whether the list showed it.
        if running.full && names.is_empty() {
            return Some(Ended::Full);
        }
        if !running.full {
            names.extend(kind.objects.iter().filter(unseen).map(|(name, _)| name.clone()));
        }
        if names.is_empty() {
            kind.proofs.proven = kind.proofs.proven.max((list, running.at));
            self.proving.unsaid = true;
            return Some(Ended::Agrees(running.objects));
        }
        self.differs(key, "the cluster's own list had objects otherwise", &names);
        Some(Ended::Differs(running.objects))
    }

    /// The proof of a kind ends, and nothing follows.
    pub(crate) fn leave_proof(&mut self, key: &str) {
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.proofs.running = None;
        }
    }

    /// An object was deleted.
    pub(super) fn gone_meanwhile(&mut self, key: &str, name: &str, rv: Revision) {
        if let Some(running) = self.kinds.get_mut(key).and_then(|kind| kind.proofs.running.as_mut()) {
            running.gone.insert(name.to_owned(), rv);
        }
    }

    /// Whether an event at a revision up to which the kind is known tells of a write that nobody has told of: the
    /// retained version is older.
    pub(super) fn is_untold(&self, key: &str, name: &str, rv: Revision) -> bool {
        let entry = self.kinds.get(key).and_then(|kind| kind.objects.get(name));
        self.settings.prove_every.is_some() && entry.is_some_and(|entry| entry.rv < rv)
    }

    /// What is retained of a kind is not what the server has: its protection ends, and what was recorded since the newest
    /// list that agreed is in doubt.
    pub(super) fn differs(&mut self, key: &str, why: &str, names: &[String]) {
        let Some(kind) = self.kinds.get(key).filter(|kind| kind.covered) else { return };
        let (cursor, discovery, (from, since)) = (kind.cursor, kind.discovery.clone(), kind.proofs.proven);
        let (now, monotonic) = (self.now(), self.parts.clock.monotonic());
        let reason = told(why, names);
        tracing::warn!(
            kind = key,
            from,
            to = cursor,
            reason,
            "the watch had not told all: the interval counts as lost, and the kind is listed anew"
        );
        let gap = Gap {
            from: from.min(cursor),
            to: cursor.saturating_add(1),
            grade: Grade::Lost,
            time_from: since.min(now.hi),
            time_to: now.hi,
            reason: reason.clone(),
            recovered: 0,
            // Others may have been written and written again: nobody can name all.
            unknown: Vec::new(),
            unknown_total: 0,
        };
        // The gap comes first: if only it becomes durable, the next proof finds the difference again.
        self.fact(Op::Gap, &discovery, cursor, Some(&gap));
        self.metrics.gaps.with_label_values(&[Grade::Lost.as_str()]).inc();
        self.metrics.proof_differences.with_label_values(&[key]).inc_by(names.len().max(1) as u64);
        let incarnation = self.life(&discovery.domain);
        self.proving.late.push(Late { kind: key.to_owned(), incarnation, gap });
        self.proving.proof.differences += names.len().max(1) as u64;
        self.proving.proof.newest = format!("{key}: {why}");
        self.uncover(key, Uncovered::Differs, &reason);
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.cursor = 0;
            kind.pace.fall(monotonic);
            (kind.proofs.wrong_to, kind.proofs.wait_until, kind.proofs.running) = (cursor, monotonic + UNMOVED, None);
        }
    }

    /// Whether the list after a difference waits until something is written in the domain.
    pub(super) fn waits_to_move(&self, key: &str) -> bool {
        let Some(kind) = self.kinds.get(key).filter(|kind| !kind.covered && kind.wrong_to() > 0) else { return false };
        let domain = &kind.discovery.domain;
        let reached = self.domains.get(domain).map_or(0, |domain| domain.shown).max(self.newest(domain));
        reached <= kind.wrong_to() && self.parts.clock.monotonic() < kind.proofs.wait_until
    }

    /// An object of a list, at a revision up to which the kind should have been known: it is recorded as found by that
    /// list.
    pub(super) fn found(&mut self, key: &str, name: &str, seen: &Sighting, list: Revision) {
        let Some((discovery, incarnation)) = self.of_kind(key) else { return };
        let uid = seen.header.uid.as_str();
        let known = self.kinds.get(key).and_then(|kind| kind.objects.get(name));
        if known.is_some_and(|entry| !uid.is_empty() && !entry.uid.is_empty() && *entry.uid != *uid) {
            self.vanished(key, name, list, Source::List);
        }
        let (base, _) = self.retained(key, name);
        let observation = self.of_list((&discovery, incarnation), seen, list);
        let mut encoded = self.encoder.found(&observation, base.as_ref());
        identify(&mut encoded.change, &seen.header);
        if encoded.change.op == Op::Unreadable {
            encoded.base.uid.clone_from(&encoded.change.uid);
        }
        self.has_whole(key, name);
        self.keep(key, name, encoded.base, seen.header.stamp);
        self.push(encoded.change);
        self.tell(key, &seen.bytes);
    }

    /// A round of proofs has ended, which was begun at `at`: kinds that agreed, their objects, and the kinds that could not
    /// be proven, with why.
    pub(crate) fn proved(&mut self, at: Micros, kinds: u64, objects: u64, unproven: BTreeMap<String, String>) {
        self.metrics.proof_time.set(at as f64 / 1e6);
        self.metrics.proof_kinds.set(kinds as i64);
        self.metrics.proof_objects.inc_by(objects);
        let proof = &mut self.proving.proof;
        proof.rounds += 1;
        (proof.time, proof.kinds, proof.objects, proof.unproven) = (at, kinds, objects, unproven);
    }

    /// What the manifest is to tell of. Whoever takes it gives it back if that fails.
    pub(crate) fn take_late(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.proving.late)
    }

    /// The manifest could not be written.
    pub(crate) fn late(&mut self, late: Vec<Late>) {
        self.proving.late.extend(late);
    }

    /// A row per domain that says up to where its kinds were proven, if any was since the newest.
    pub(super) fn write_proven(&mut self, closed: &FrontierVector) {
        if !std::mem::take(&mut self.proving.unsaid) {
            return;
        }
        let mut proven: BTreeMap<String, BTreeMap<String, Proven>> = BTreeMap::new();
        for (key, kind) in self.kinds.iter().filter(|(_, kind)| kind.covered) {
            let (rv, time) = kind.proofs.proven;
            if rv > 0 {
                proven.entry(kind.discovery.domain.clone()).or_default().insert(key.clone(), Proven { rv, time });
            }
        }
        let now = self.now();
        for (domain, kinds) in proven {
            let Some(point) = closed.get(&domain) else { continue };
            let mut change = Change::new(Op::Mark, domain, point.incarnation, point.rv);
            (change.time_lo, change.time_hi) = (point.time.min(now.lo), now.hi);
            change.body = facts::body(&Mark::Proven { kinds }).expect("numbers by name serialise");
            let at = self.parts.clock.monotonic();
            self.buffer.push(change, at);
        }
    }
}

/// Why, with the first names.
fn told(why: &str, names: &[String]) -> String {
    if names.is_empty() {
        return why.to_owned();
    }
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMED);
    if more > 0 { format!("{why}: {shown} and {more} more") } else { format!("{why}: {shown}") }
}

#[cfg(test)]
mod tests;
