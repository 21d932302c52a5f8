//! Turns objects as they are seen into rows, against the retained versions.

use std::time::Duration;

use bytes::Bytes;
use hindcast_cluster::{
    discovery::{API_SERVICES, CRDS, LEASES},
    header::Header,
    lines::Event,
};
use hindcast_journal::{
    Change,
    encode::Observation,
    facts::Discovery,
    parts::Micros,
    row::{Op, Revision, Source},
};

use super::{Core, Hint, Renewed};
use crate::{
    clock::{self, Renewal},
    retained::Entry,
    timekeeper::Span,
};

/// An object as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
    pub(crate) source: Source,
    /// When it was received.
    pub(crate) at: Span,
    /// Whether its stream was past catching up.
    pub(crate) live: bool,
}

/// What the stream should do after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Continue.
    Go,
    /// The kind is no longer covered: stop reading.
    Stop,
    /// An event must have been dropped before this one: recover from the cursor.
    Broken(&'static str),
    /// Revisions are not numbers.
    Opaque,
}

impl Core {
    /// An event of a kind's watch. `caught_up` is the revision up to which the stream catches up.
    pub(crate) fn event(&mut self, key: &str, event: &Event, caught_up: Revision) -> Verdict {
        self.event_at(key, event, caught_up, None)
    }

    /// An event that was received at an earlier moment, on the monotonic clock, when nobody could tell what it is. It is
    /// not taken for live.
    pub(crate) fn held(&mut self, key: &str, event: &Event, received: Duration) -> Verdict {
        let at = self.timekeeper.at(received);
        self.event_at(key, event, Revision::MAX, Some(at))
    }

    /// A standby knew at that moment that nothing else had happened to the kind up to a revision.
    pub(crate) fn held_up_to(&mut self, key: &str, rv: Revision, received: Duration) {
        let at = self.timekeeper.at(received);
        let Some(kind) = self.kinds.get_mut(key).filter(|kind| kind.covered && kind.cursor < rv) else { return };
        (kind.cursor, kind.moved, kind.heard) = (rv, true, kind.heard.max(at.lo));
        let domain = kind.discovery.domain.clone();
        self.domain(&domain).clock.receipt(rv, at, false);
        self.heard(key);
    }

    fn event_at(&mut self, key: &str, event: &Event, caught_up: Revision, received: Option<Span>) -> Verdict {
        let (bytes, deleted) = match event {
            Event::Added(bytes) | Event::Modified(bytes) => (bytes, false),
            Event::Deleted(bytes) => (bytes, true),
            Event::Bookmark(bytes) => {
                let header = Header::of(bytes);
                return match header.rv {
                    Some(rv) => self.bookmark(key, rv, received),
                    None => Verdict::Opaque,
                };
            }
            Event::Error(_) => return Verdict::Go,
        };
        let header = Header::of(bytes);
        let Some(rv) = header.rv else { return Verdict::Opaque };
        let Some(kind) = self.kinds.get_mut(key) else { return Verdict::Stop };
        if !kind.covered {
            return Verdict::Stop;
        }
        let name = object_name(&header);
        // What one transaction deletes shares its revision: Events, which expire together.
        let shares = deleted && rv == kind.cursor && rv == kind.told;
        let of_retained = |entry: &Entry| entry.rv < rv && *entry.uid == *header.uid;
        if rv <= kind.cursor && !(shares && kind.objects.get(&name).is_some_and(of_retained)) {
            if rv == kind.cursor {
                kind.told = rv;
            }
            if self.is_untold(key, &name, rv) {
                self.differs(key, "an event came after the revision that it is of had been passed", &[name]);
                return Verdict::Stop;
            }
            self.metrics.duplicates.inc();
            return Verdict::Go;
        }
        let known = kind.objects.get(&name);
        // A healing that did not finish has recorded what is beyond the cursor, deletes among that.
        let healed = known.is_none() && rv <= kind.ahead && !matches!(event, Event::Added(_));
        if healed || known.is_some_and(|entry| rv <= entry.rv) {
            (kind.cursor, kind.told) = (rv, rv);
            self.metrics.duplicates.inc();
            return Verdict::Go;
        }
        let broken = match (event, known) {
            (Event::Modified(_) | Event::Deleted(_), None) => Some("an add was not sent"),
            (Event::Added(_) | Event::Modified(_), Some(entry)) if *entry.uid != *header.uid => {
                Some("a delete was not sent")
            }
            _ => None,
        };
        if let Some(reason) = broken {
            if self.settings.prove_every.is_none() {
                return Verdict::Broken(reason);
            }
            // What was not sent may be older than the cursor: then nothing behind that can be told from the history.
            self.differs(key, reason, &[name]);
            return Verdict::Stop;
        }
        let domain = kind.discovery.domain.clone();
        self.beat();
        let now = self.now();
        let at = received.unwrap_or(now);
        let opened = self.kinds.get(key).map_or(Duration::MAX, |kind| kind.opened);
        let live = rv > caught_up && self.is_live(&domain, opened, rv);
        let bytes = bytes.clone();
        let sighting = Sighting { header, bytes, source: Source::Watch, at, live };
        if deleted {
            self.deleted(key, &name, &sighting, rv);
        } else {
            self.present(key, &name, &sighting, rv);
        }
        if let Some(kind) = self.kinds.get_mut(key) {
            (kind.cursor, kind.told, kind.heard) = (rv, rv, at.lo);
        }
        self.heard(key);
        self.keep_bound();
        Verdict::Go
    }

    fn bookmark(&mut self, key: &str, rv: Revision, received: Option<Span>) -> Verdict {
        let Some(kind) = self.kinds.get_mut(key) else { return Verdict::Stop };
        if !kind.covered {
            return Verdict::Stop;
        }
        kind.bookmarks = Some(true);
        if rv > kind.cursor {
            (kind.cursor, kind.moved) = (rv, true);
        }
        let domain = kind.discovery.domain.clone();
        let now = self.now();
        let at = received.unwrap_or(now);
        self.domain(&domain).clock.receipt(rv, at, false);
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.heard = at.lo;
        }
        self.heard(key);
        Verdict::Go
    }

    /// A version of an object, newer than the retained one.
    pub(super) fn present(&mut self, key: &str, name: &str, seen: &Sighting, rv: Revision) {
        let Some((discovery, incarnation)) = self.of_kind(key) else { return };
        let (base, stamp) = self.retained(key, name);
        let (lo, hi) = self.times(&discovery, seen, rv, stamp, base.is_none());
        let observation = Observation {
            kind: &discovery,
            incarnation,
            rv,
            source: seen.source,
            time_lo: lo,
            time_hi: hi,
            bytes: &seen.bytes,
        };
        let base = self.whole(key, name, base).filter(|base| seen.header.uid.is_empty() || base.uid == seen.header.uid);
        let mut encoded = self.encoder.observe(&observation, base.as_ref());
        self.has_whole(key, name);
        if encoded.change.op == Op::Unreadable {
            identify(&mut encoded.change, &seen.header);
            encoded.base.uid.clone_from(&encoded.change.uid);
            self.metrics.unreadable.inc();
            tracing::warn!(kind = key, object = name, rv, "an object is kept as unreadable bytes");
        }
        self.keep(key, name, encoded.base, seen.header.stamp);
        self.push(encoded.change);
        self.tell(key, &seen.bytes);
        if key == LEASES {
            self.lease(&discovery.domain, &seen.bytes, seen.live);
        }
    }

    /// A delete whose last state came with it.
    fn deleted(&mut self, key: &str, name: &str, seen: &Sighting, rv: Revision) {
        let Some((discovery, incarnation)) = self.of_kind(key) else { return };
        let (base, stamp) = self.retained(key, name);
        let (lo, hi) = self.times(&discovery, seen, rv, stamp, base.is_none());
        let observation = Observation {
            kind: &discovery,
            incarnation,
            rv,
            source: seen.source,
            time_lo: lo,
            time_hi: hi,
            bytes: &seen.bytes,
        };
        let mut change = self.encoder.delete(&observation, base.as_ref());
        identify(&mut change, &seen.header);
        self.forget_entry(key, name);
        self.gone_meanwhile(key, name, rv);
        self.push(change);
        if matches!(key, CRDS | API_SERVICES) {
            let _ = self.hints.send(Hint::Changed);
        }
    }

    /// A delete that is known only as a fact.
    pub(super) fn vanished(&mut self, key: &str, name: &str, rv: Revision, source: Source) {
        let Some((discovery, incarnation)) = self.of_kind(key) else { return };
        let (base, _) = self.retained(key, name);
        let at = self.now();
        let (lo, hi) = self.domain(&discovery.domain).clock.bounds(rv, at, None, false);
        let observation =
            Observation { kind: &discovery, incarnation, rv, source, time_lo: lo, time_hi: hi, bytes: &[] };
        let (within, alone) = name.split_once('/').unwrap_or(("", name));
        let change = self.encoder.forget(&observation, within, alone, base.as_ref());
        self.forget_entry(key, name);
        self.push(change);
        if matches!(key, CRDS | API_SERVICES) {
            let _ = self.hints.send(Hint::Changed);
        }
    }

    /// What a list shows of an object.
    pub(super) fn of_list<'o>(
        &mut self,
        (kind, incarnation): (&'o Discovery, u32),
        seen: &'o Sighting,
        list: Revision,
    ) -> Observation<'o> {
        let (time_lo, time_hi) = self.domain(&kind.domain).clock.bounds(list, seen.at, None, false);
        Observation { kind, incarnation, rv: list, source: seen.source, time_lo, time_hi, bytes: &seen.bytes }
    }

    /// An object of a list at exactly the retained revision: only the way it is read can differ.
    pub(super) fn same(&mut self, key: &str, name: &str, seen: &Sighting, list: Revision) {
        let Some((discovery, incarnation)) = self.of_kind(key) else { return };
        let (Some(base), _) = self.retained(key, name) else { return };
        let observation = self.of_list((&discovery, incarnation), seen, list);
        if !self.is_lacking(key, name) && self.encoder.reads_as(&observation, &base) {
            return;
        }
        let mut encoded = self.encoder.reread(&observation, &base);
        identify(&mut encoded.change, &seen.header);
        self.has_whole(key, name);
        self.keep(key, name, encoded.base, seen.header.stamp);
        self.push(encoded.change);
    }

    /// The bounds of a sighting's write; takes its receipt as a sample.
    fn times(
        &mut self,
        discovery: &Discovery,
        seen: &Sighting,
        rv: Revision,
        before: Option<Micros>,
        first: bool,
    ) -> (Micros, Micros) {
        let stamp = seen.header.stamp.filter(|_| self.timekeeper.believes_server());
        let clock = &mut self.domain(&discovery.domain).clock;
        // A watched object without a version before was created by this very write; after a resume the stamp of the
        // version before is not known.
        let created = before.is_none() && seen.source == Source::Watch && first;
        let fresh = created || before.is_some() && stamp > before;
        let bounds = clock.bounds(rv, seen.at, stamp, fresh);
        clock.receipt(rv, seen.at, seen.live);
        bounds
    }

    pub(super) fn of_kind(&mut self, key: &str) -> Option<(std::sync::Arc<Discovery>, u32)> {
        let discovery = self.kinds.get(key)?.discovery.clone();
        let incarnation = self.domain(&discovery.domain).incarnation;
        Some((discovery, incarnation))
    }

    pub(super) fn retained(
        &mut self,
        key: &str,
        name: &str,
    ) -> (Option<hindcast_journal::encode::Base>, Option<Micros>) {
        let Some(entry) = self.kinds.get(key).and_then(|kind| kind.objects.get(name)) else {
            return (None, None);
        };
        (Some(self.packer.base(entry)), entry.stamp)
    }

    /// Keeps a version as the last one.
    pub(crate) fn keep(&mut self, key: &str, name: &str, base: hindcast_journal::encode::Base, stamp: Option<Micros>) {
        // What is only kept in another way was shown by whatever list has shown it.
        let shown = self.kinds.get(key).and_then(|kind| kind.objects.get(name));
        let shown = shown.filter(|entry| *entry.uid == *base.uid && entry.object_rv == base.object_rv);
        let shown = shown.map(|entry| entry.listing);
        self.forget_entry(key, name);
        let (mut entry, cool) = self.packer.keep(key, name, base, stamp);
        if let Some(kind) = self.kinds.get_mut(key) {
            entry.listing = shown.unwrap_or(kind.listing);
            kind.objects.insert(name.to_owned(), entry);
        }
        for (tick, key, name) in cool {
            let entry = self.kinds.get_mut(&key).and_then(|kind| kind.objects.get_mut(&name));
            if let Some(entry) = entry {
                self.packer.cool(entry, tick);
            }
        }
    }

    pub(super) fn forget_entry(&mut self, key: &str, name: &str) {
        if let Some(entry) = self.kinds.get_mut(key).and_then(|kind| kind.objects.remove(name)) {
            self.packer.drop_entry(name, &entry);
        }
    }

    /// Tells discovery what it needs to know.
    pub(super) fn tell(&self, key: &str, bytes: &[u8]) {
        let hint = match key {
            CRDS => hindcast_cluster::discovery::crd(bytes).map(|crd| Hint::Crd(Box::new(crd))),
            API_SERVICES => Some(Hint::Changed),
            _ => None,
        };
        if let Some(hint) = hint {
            let _ = self.hints.send(hint);
        }
    }

    /// A lease as it is seen now, as a sample of its domain's clock; its holder's clock is a witness where that is
    /// `live`.
    fn lease(&mut self, domain: &str, bytes: &[u8], live: bool) {
        let Some(renewal) = Renewal::of(bytes) else { return };
        let seen = self.parts.clock.monotonic();
        // A renewal that is seen as it happens needs no confirmation by the server's clock.
        let renewed = renewal.is_of_system() && {
            let before = self.leases.insert(renewal.name.clone(), renewal.renewed);
            live && before.is_some_and(|before| before != renewal.renewed)
        };
        if renewed {
            self.timekeeper.lease(&renewal.name, renewal.renewed, seen);
        }
        // If one with a later renewal was written before it, this is not a renewal, or one of the two clocks is wrong.
        let outdone = !renewed && self.leases.values().any(|known| clock::is_outdone(renewal.renewed, *known));
        if !outdone && self.lease_sample(domain, &renewal, renewed) && renewed {
            self.domain(domain).told = seen;
        }
    }

    /// The leases as a list shows them now.
    pub(crate) fn leases_listed(&mut self, domain: &str, items: &[Bytes]) {
        let renewals = self.renewals(domain, items);
        for renewal in renewals.iter().filter(|renewal| renewal.is_of_system()) {
            self.leases.insert(renewal.name.clone(), renewal.renewed);
        }
        self.renewed_last(domain, renewals);
    }

    /// The leases at one moment of the server's history, as samples of their domain's clock; returns when one was
    /// renewed last, as far as it can be told.
    pub(crate) fn past_leases(&mut self, domain: &str, items: &[Bytes]) -> Option<Micros> {
        let renewals = self.renewals(domain, items);
        self.renewed_last(domain, renewals)
    }

    fn renewals(&mut self, domain: &str, items: &[Bytes]) -> Vec<Renewal> {
        let read = items.iter().filter_map(|item| {
            let header = Header::of(item);
            self.renewed(domain, &header);
            Renewal::with(header, item)
        });
        read.collect()
    }

    /// Takes leases of one moment as samples; returns when one was renewed last.
    fn renewed_last(&mut self, domain: &str, renewals: Vec<Renewal>) -> Option<Micros> {
        let outdone = clock::outdone(&renewals);
        let told = renewals.into_iter().zip(outdone).filter(|(_, outdone)| !outdone);
        told.filter(|(renewal, _)| self.lease_sample(domain, renewal, false)).map(|(renewal, _)| renewal.renewed).max()
    }

    /// Takes a lease's write as a sample, if it can be told that it renewed the lease and its holder's clock is right.
    fn lease_sample(&mut self, domain: &str, renewal: &Renewal, renewed: bool) -> bool {
        let at = self.now();
        let stamped = renewal.is_stamped() && self.timekeeper.believes_server();
        (renewed || stamped)
            && self.timekeeper.believes(&renewal.name)
            && self.domain(domain).clock.lease(renewal, at, renewed)
    }

    /// An object that only discovery or the clock looks at: its kind is not journaled. `opened` is when the watch that
    /// brought it was opened; a list has no such moment.
    pub(crate) fn overheard(&mut self, key: &str, bytes: &[u8], opened: Option<Duration>) {
        if key == LEASES
            && let Some(domain) = self.kinds.get(key).map(|kind| kind.discovery.domain.clone())
        {
            let at = self.now();
            self.beat();
            let header = Header::of(bytes);
            // What a watch that was opened before brings may be of the life before.
            if opened.is_none_or(|opened| opened >= self.domain(&domain).begun) {
                self.renewed(&domain, &header);
            }
            let opened = opened.unwrap_or(Duration::MAX);
            let live = header.rv.filter(|rv| self.is_live(&domain, opened, *rv));
            if let Some(rv) = live {
                self.domain(&domain).clock.receipt(rv, at, true);
            }
            self.lease(&domain, bytes, live.is_some());
        }
        self.tell(key, bytes);
    }

    /// A lease's write was seen: nobody writes as often, so that the newest tells which copy of the store this is.
    fn renewed(&mut self, domain: &str, header: &Header) {
        let heard = self.parts.clock.monotonic();
        let domain = self.domain(domain);
        let newest = domain.renewed.as_ref().map_or(0, |renewed| renewed.rv);
        if let Some(rv) = header.rv.filter(|rv| *rv > newest) {
            domain.renewed = Some(Renewed { name: object_name(header), uid: header.uid.as_str().into(), rv, heard });
        }
    }

    /// What is served may have changed.
    pub(crate) fn hint_changed(&self) {
        let _ = self.hints.send(Hint::Changed);
    }
}

/// Names the object of a row by its header, which is read also from bytes that are not JSON: there the row may lack it,
/// and would stand beside the object that it is of.
pub(super) fn identify(change: &mut Change, header: &Header) {
    change.namespace.clone_from(&header.namespace);
    change.name.clone_from(&header.name);
    if change.uid.is_empty() {
        change.uid.clone_from(&header.uid);
    }
}

/// The name of an object in its kind.
pub(crate) fn object_name(header: &Header) -> String {
    placed(&header.namespace, &header.name)
}

/// `namespace/name`, or the bare name; names have no slash.
pub(crate) fn placed(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
