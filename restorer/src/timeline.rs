//! The timeline: state at a moment, the changes between two, and how much of either is known.
//!
//! **Words**: a [`View`] is the state at a moment as far as it was asked for; [`Protection`] is what is known of a kind
//! at that moment.
//!
//! **Invariants.** (1) Needs the bucket alone. (2) A kind that was not protected at the moment is said to be so, never
//! shown as having no objects [`View::protection`]. (3) Sealed values stay placeholders until [`Timeline::reveal`] is
//! called for one object.
//!
//! Not here: what T means and what is printed (`cli`).

mod follow;

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{
    Error, Journal, Moment, Parts, Past, Position, Reader, Result, Row,
    checkpoint::Expired,
    counts::Counts,
    cut::{At, Hole},
    exact::{self, Value},
    facts::{self, CoverEnd, Discovery, Gap, Mark},
    fold::{Entry, KindState, Knowledge, ObjectKey, Scope, State},
    parts::Micros,
    read::Answer,
    row::{Op, Revision},
    seal::{self, DataKeys, Key, Place, Rules},
    segment::FrontierVector,
    store::Store,
};

pub use self::follow::Follow;
use crate::said::Remedy;

mod bypassed;
mod close;
mod given;
mod places;

/// Reads one cluster's past.
#[derive(Debug)]
pub struct Timeline {
    reader: Reader,
    keys: DataKeys,
    rules: Rules,
    /// Whether it holds what only the cluster told.
    overlaid: bool,
}

/// An object as it was.
#[derive(Debug, Clone)]
pub struct Object {
    /// The newest row of it.
    pub row: Row,
    /// The object in public form: sealed values are placeholders.
    pub value: Value,
    /// Its managedFields, when there were any.
    pub managed_fields: Option<Value>,
    /// The JSON pointers of the placeholders.
    pub sealed: Vec<String>,
    /// The JSON pointers of values that were not stored.
    pub unstored: Vec<String>,
    /// Why it cannot be read, if its bytes were not exact JSON; `value` then holds them in base64.
    pub unreadable: Option<String>,
    entry: Entry,
}

/// What is known of a kind at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Protected: what is shown is all there was.
    Protected,
    /// Protected in a life of the server's counter that ended: what is shown is all there was at this revision, and up to
    /// this time; what happened between then and the moment asked for will never be known.
    LastKnown {
        /// The revision.
        rv: Revision,
        /// The newest good moment.
        time: Micros,
    },
    /// Not protected, and why, if that is known.
    NotProtected(Option<CoverEnd>),
}

impl Protection {
    /// Whether the kind's objects are known, if only as they last were.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::NotProtected(_))
    }
}

/// The state at a moment, as far as it was asked for.
#[derive(Debug)]
pub struct View {
    /// The moment.
    pub moment: Moment,
    /// Kinds that were protected and not seen up to the cut, with how far they were seen.
    pub lagging: Vec<(String, Revision)>,
    /// The objects, sorted by namespace, group, resource and name.
    pub objects: Vec<Object>,
    /// All kinds known at the moment, by kind key.
    pub kinds: BTreeMap<String, KindState>,
    /// How Secret values were stored: `sealed`, `plaintext` or `dropped`.
    pub secrets: Option<String>,
}

impl View {
    /// What there was at a moment, as far as `scope` wants it.
    pub async fn of(past: &Past, scope: &Scope) -> Result<Self> {
        let Answer { state, lagging } = past.state(scope).await?;
        let State { objects, kinds, secrets, .. } = state;
        let objects = objects.into_values().map(object).collect::<Result<_>>()?;
        Ok(Self { moment: past.moment().clone(), lagging, objects, kinds, secrets })
    }

    /// The kinds as they were called at the moment.
    pub fn discovery(&self) -> impl Iterator<Item = &Discovery> {
        self.kinds.values().map(|k| &k.discovery).filter(|d| !d.resource.is_empty() && !d.gone)
    }

    /// What is known of a kind at the moment.
    pub fn protection(&self, kind_key: &str) -> Protection {
        let Some(kind) = self.kinds.get(kind_key) else { return Protection::NotProtected(None) };
        match kind.known_at(&self.moment) {
            Knowledge::All => Protection::Protected,
            Knowledge::UpTo(point, time) => Protection::LastKnown { rv: point.rv, time },
            Knowledge::Not(why) => Protection::NotProtected(why),
        }
    }

    /// The gaps of a kind that the moment lies in.
    pub fn gaps(&self, kind_key: &str) -> Vec<Gap> {
        let Some(kind) = self.kinds.get(kind_key) else { return Vec::new() };
        let point = self.moment.cut.domains.get(&kind.discovery.domain);
        point.map(|p| kind.gaps_at(*p).cloned().collect()).unwrap_or_default()
    }
}

/// The uid and newest position of each object at a moment, as far as `scope` wants it, and the kinds.
pub(crate) async fn present(
    past: &Past,
    scope: &Scope,
) -> Result<(BTreeMap<ObjectKey, (String, Position)>, BTreeMap<String, KindState>)> {
    let State { objects, kinds, .. } = past.state(scope).await?.state;
    let uid = |entry: Entry| (entry.row.change.uid, entry.row.pos);
    Ok((objects.into_iter().map(|(key, entry)| (key, uid(entry))).collect(), kinds))
}

/// An object with values of which nobody can tell whether they differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsure {
    /// Which one.
    pub key: ObjectKey,
    /// Whether the values are stored on both sides, so that a key file that holds the keys of both would tell.
    pub stored: bool,
}

/// Whether a value differs between two forms that need not differ in it: they are of two keys, or kept in two ways.
fn unlike(old: &Object, new: &Object, path: &str) -> bool {
    let (Some(old), Some(new)) = (old.value.pointer(path), new.value.pointer(path)) else { return false };
    old != new && !matches!((old.as_str(), new.as_str()), (Some(old), Some(new)) if seal::comparable(old, new))
}

/// What part of the log is wanted.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Not before; from the beginning if `None`.
    pub since: Option<Micros>,
    /// Not after.
    pub until: Option<Micros>,
    /// Only rows after this position.
    pub after: Option<Position>,
    /// Whether the labels before and after each change are wanted.
    pub labels: bool,
    /// Whether the list elements that a change is in are to be named. That takes the form of each object, so it is for
    /// ranges of few.
    pub named: bool,
}

/// One change, with what the question wanted beside it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The row. A write of a restore that gives fields back to their owners is the restore's, whoever the row names.
    pub row: Row,
    /// Where it is such a write: the position of the restore's write that it completes.
    pub completes: Option<Position>,
    /// The object's labels before, if asked for.
    pub labels_before: Option<Value>,
    /// The object's labels after, if asked for.
    pub labels_after: Option<Value>,
    /// The place of each operation of its patch, with the list elements in it named, if asked for and known:
    /// `/spec/containers/[name=web]/image`.
    pub places: Vec<String>,
    /// What stood at each of these places before, where a text did.
    pub stood: Vec<Option<Value>>,
}

/// The server's store was put back to an older copy: from here on a domain's counter is in another life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The position of the row that says so.
    pub pos: Position,
    /// When that was noticed.
    pub time: Micros,
    /// The domain.
    pub domain: String,
    /// The life that begins.
    pub incarnation: u32,
    /// The last revision that was seen of the life before.
    pub last: Revision,
    /// What told so.
    pub why: String,
}

/// From here on the objects of a kind stand in namespaces and did not before, or the other way round: those before are
/// others, whatever their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The position of the row that says so.
    pub pos: Position,
    /// When that was noticed.
    pub time: Micros,
    /// The kind key.
    pub kind: String,
    /// Whether they stand in namespaces from here on.
    pub namespaced: bool,
}

impl Turn {
    /// The turn that a row about a kind says, after what was known of the kind.
    fn of(row: &Row, known: &BTreeMap<String, KindState>) -> Option<Self> {
        let now: Discovery = facts::read(row).ok().filter(|_| row.op == Op::Discovery)?;
        let before = &known.get(&row.kind_key())?.discovery;
        let served = |kind: &Discovery| !kind.resource.is_empty();
        let turned = served(before) && served(&now) && before.namespaced != now.namespaced && !now.gone;
        turned.then(|| Self { pos: row.pos, time: row.time_hi, kind: row.kind_key(), namespaced: now.namespaced })
    }
}

impl Jump {
    fn of(row: &Row) -> Option<Self> {
        let Ok(Mark::Incarnation { last, why }) = facts::read(row) else { return None };
        let (domain, incarnation) = (row.domain.clone(), row.incarnation);
        Some(Self { pos: row.pos, time: row.time_hi, domain, incarnation, last, why })
    }
}

/// A part of the log.
#[derive(Debug, Default)]
pub struct History {
    /// The changes, oldest first.
    pub events: Vec<Event>,
    /// Whether older ones were left out because there were too many.
    pub truncated: bool,
    /// The kinds, as at the end of the range.
    pub kinds: BTreeMap<String, KindState>,
    /// Gaps that overlap the range, with their kind key.
    pub gaps: Vec<(String, Gap)>,
    /// Where the server's store was put back within the range.
    pub jumps: Vec<Jump>,
    /// Where kinds of the scope came to be served in another scope within the range.
    pub turns: Vec<Turn>,
    /// Parts of the log that reach into the range, could not be read and were gone around: what changed in them is not known.
    pub holes: Vec<Hole>,
    /// The position of the newest row that was looked at.
    pub last: Position,
    /// How far the journal is closed.
    pub frontier: FrontierVector,
}

/// What the journal holds.
#[derive(Debug)]
pub struct Status {
    /// The cluster's uid.
    pub cluster: String,
    /// How far it is closed.
    pub frontier: FrontierVector,
    /// The newest segment's number, last position, time and writer.
    pub segment: u64,
    /// The last durable position.
    pub last: Position,
    /// When the newest segment was written.
    pub written: Micros,
    /// Who wrote it.
    pub writer: String,
    /// How many objects there are of each kind, and what is to be said of their values.
    pub counts: Counts,
    /// The kinds.
    pub kinds: BTreeMap<String, KindState>,
    /// The earliest moment that can be read, when there is one.
    pub recoverable_from: Option<Micros>,
    /// Up to where the past is thinned out: before that only some cuts are kept.
    pub expired: Option<Expired>,
    /// The newest `mark` of a start: whether Secret values are stored.
    pub secrets: Option<String>,
    /// What is sealed beside Secrets.
    pub rules: Rules,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// What cannot be read of the log and was gone around: all of this is of before it.
    pub hole: Option<Hole>,
}

impl Timeline {
    /// The timeline of a journal. `keys` open sealed values; none are needed to read the rest.
    pub async fn open(journal: &Journal, keys: Vec<Arc<Key>>) -> Result<Self> {
        let keys = DataKeys::new(journal.cluster(), keys, journal.parts().clone());
        Ok(Self { reader: Reader::open(journal).await?, keys, rules: Rules::read(journal).await?, overlaid: false })
    }

    /// The cluster whose past it reads.
    pub fn cluster(&self) -> &str {
        self.reader.journal().cluster()
    }

    /// The clock and the randomness of its journal.
    pub fn parts(&self) -> &Parts {
        self.reader.journal().parts()
    }

    /// The bucket it reads.
    pub fn store(&self) -> &Store {
        self.reader.journal().store()
    }

    /// The key that keyed hashes in outputs are made with.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.keys.key()
    }

    /// Every key, that one first.
    pub fn keys(&self) -> &[Arc<Key>] {
        self.keys.keys()
    }

    /// What is sealed: by the rules of the newest writer, whatever the moment asked about.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The past at a moment.
    pub async fn at(&mut self, at: &At) -> Result<Past> {
        self.reader.look(at).await
    }

    /// Up to where the past is thinned out, if it is.
    pub fn expired(&self) -> Option<&Expired> {
        self.reader.manifest().expired()
    }

    /// Looks for newer segments; whether there were any.
    pub async fn refresh(&mut self) -> Result<bool> {
        self.reader.refresh().await
    }

    /// The object with its sealed values opened.
    pub async fn reveal(&self, object: &Object) -> Result<Value> {
        let mut value = object.value.clone();
        let journal = self.reader.journal();
        let key = object.row.key();
        let place = Place { cluster: journal.cluster(), key: &key, namespace: &object.row.namespace };
        for (path, cell) in &object.entry.cells {
            let plain = match (cell.key_id.is_empty(), cell.secret.is_empty()) {
                (true, true) => Value::from(seal::NOT_STORED),
                // Seen live and not in the journal yet: it was never sealed.
                (true, false) => exact::parse(&cell.secret)
                    .map_err(|e| Error::internal(format!("{path} of {key}"), e.to_string()))?,
                (false, _) if !self.keys.can_open() => {
                    return Err(Error::invalid(format!("the values of {key}"), "are sealed, and there is no key")
                        .with_remedy(Remedy::Key));
                }
                (false, _) => self.keys.open(journal.store(), place, cell).await?,
            };
            if let Some(place) = value.pointer_mut(path) {
                *place = plain;
            }
        }
        let sealed = object.entry.cells.values().any(|c| !c.secret.is_empty());
        if let (Some(hash), true, true) =
            (object.entry.hash(), sealed && self.keys.can_open(), object.unstored.is_empty())
        {
            let what = format!("{key} at position {}", object.row.pos);
            let of = (object.row.hash_key.as_str(), hash);
            // The ciphertexts hold where a hash is of a key that was replaced, too.
            self.keys.check_hash(journal.store(), &what, of, &exact::to_canonical(&value)).await?;
        }
        Ok(value)
    }

    /// Makes the forms of two moments comparable: values that are kept in different ways, or under two keys, are opened, and
    /// look alike if they are. Returns the objects with values of which nobody can tell.
    pub async fn align(&self, from: &[Object], to: &mut [Object]) -> Vec<Unsure> {
        let before: BTreeMap<ObjectKey, &Object> =
            from.iter().map(|object| (ObjectKey::of(&object.row), object)).collect();
        let mut out = Vec::new();
        for object in to {
            let key = ObjectKey::of(&object.row);
            let Some(old) = before.get(&key).filter(|old| old.value != object.value) else { continue };
            let paths: Vec<String> =
                object.sealed.iter().chain(&old.sealed).filter(|path| unlike(old, object, path)).cloned().collect();
            if paths.is_empty() {
                continue;
            }
            let absent = |path: &String| old.unstored.contains(path) || object.unstored.contains(path);
            let (absent, kept): (Vec<&String>, Vec<&String>) = paths.iter().partition(|path| absent(path));
            let opened = match kept.is_empty() {
                true => None,
                false => self.reveal(old).await.ok().zip(self.reveal(object).await.ok()),
            };
            // A value that was not stored is not known to have changed; one that cannot be opened may not have.
            let mut alike: Vec<&String> = absent.clone();
            if let Some((old, new)) = &opened {
                alike.extend(kept.iter().filter(|path| old.pointer(path) == new.pointer(path)));
            }
            for path in alike {
                if let (Some(old), Some(place)) = (old.value.pointer(path).cloned(), object.value.pointer_mut(path)) {
                    *place = old;
                }
            }
            if !absent.is_empty() || (!kept.is_empty() && opened.is_none()) {
                out.push(Unsure { key, stored: absent.is_empty() });
            }
        }
        out
    }

    /// What the journal holds.
    pub async fn status(&mut self) -> Result<Status> {
        let now = self.reader.at(&At::NowOpen).await?.moment().clone();
        let (frontier, hole) = (now.frontier, now.hole.map(|hole| *hole));
        let (state, counts) = self.reader.standing(&self.rules).await?;
        let tail = self.reader.segments().last().map(|s| s.meta.clone());
        let starts = state.kinds.values().flat_map(|k| &k.covers).map(|c| c.from_time);
        let expired = self.expired().cloned();
        let oldest = expired.as_ref().map_or(Micros::MIN, |expired| expired.oldest);
        Ok(Status {
            cluster: self.reader.journal().cluster().to_owned(),
            frontier,
            segment: tail.as_ref().map_or(0, |t| t.segment),
            last: tail.as_ref().map_or(0, |t| t.last),
            written: tail.as_ref().map_or(0, |t| t.time),
            writer: tail.map(|t| t.writer).unwrap_or_default(),
            counts,
            recoverable_from: starts.min().map(|start| start.max(oldest)),
            expired,
            secrets: state.secrets,
            rules: self.rules.clone(),
            kinds: state.kinds,
            checkpoints: self.reader.manifest().count(),
            hole,
        })
    }
}

fn object(entry: Entry) -> Result<Object> {
    let what = || format!("{} at position {}", entry.row.key(), entry.row.pos);
    let value = exact::parse(&entry.public()).map_err(|e| Error::corrupt(what(), e.to_string()))?;
    let managed = entry.managed();
    let managed_fields = if managed.is_empty() {
        None
    } else {
        Some(exact::parse(&managed).map_err(|e| Error::corrupt(what(), e.to_string()))?)
    };
    Ok(Object {
        row: entry.row.clone(),
        value,
        managed_fields,
        sealed: entry.cells.keys().cloned().collect(),
        unstored: entry.unstored().map(str::to_owned).collect(),
        unreadable: entry.unreadable.clone(),
        entry,
    })
}

#[cfg(test)]
mod tests;
