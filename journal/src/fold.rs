//! The fold: rows in order become the state at a cut.
//!
//! **Words**: an [`Entry`] is one object as it stands; a [`KindState`] is what is known of a kind: its discovery,
//! coverage, gaps and cursor.
//!
//! **Invariants.**
//! 1. Every row proves its predecessor: uid, `base_rv` and `base_hash` are those of the entry it changes, or the fold
//!    fails and names the row [`State::apply`]. What could not be read may not know its predecessor: it stands for
//!    itself, and so does the delete after it.
//! 2. The hash of every object that was changed is checked when the fold ends [`State::finish`].
//! 3. Rows beyond the cut change no object. Gaps that reach across the cut are kept, since the state inside a
//!    lost gap has a reservation.
//!
//! Not here: which rows to read (`read`), opening sealed cells ([`crate::seal`]).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Change, Error, Position, Result, Row,
    cut::{Cut, CutPoint, Moment},
    encode::Base,
    exact::{self, Value},
    facts::{self, CoverEnd, Discovery, Gap, Uncovered},
    parts::Micros,
    row::{Body, Cell, Op, Revision, Source, StateHash},
    seal::is_placeholder,
};

/// An object's key, in the order of checkpoints: namespace first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a change's object.
    pub fn of(change: &Change) -> Self {
        Self {
            namespace: change.namespace.clone(),
            group: change.group.clone(),
            resource: change.resource.clone(),
            name: change.name.clone(),
        }
    }

    /// `group/resource`.
    pub fn kind_key(&self) -> String {
        crate::row::kind_key(&self.group, &self.resource)
    }
}

/// Which objects a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Kind keys; all kinds if `None`.
    pub kinds: Option<Vec<String>>,
    /// Namespace; all if `None`.
    pub namespace: Option<String>,
    /// Name; all if `None`.
    pub name: Option<String>,
}

impl Scope {
    /// No object, only what is known of kinds.
    pub fn nothing() -> Self {
        Self { kinds: Some(Vec::new()), ..Self::default() }
    }

    /// Whether no object is wanted, only what is known of kinds.
    pub fn is_empty(&self) -> bool {
        self.kinds.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether objects of a kind are wanted.
    pub fn wants_kind(&self, kind_key: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind == kind_key))
    }

    /// Whether an object is wanted.
    pub fn wants(&self, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let kind = |k: &String| k.split_once('/').is_some_and(|(g, r)| g == group && r == resource);
        self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(kind))
            && self.namespace.as_ref().is_none_or(|n| n == namespace)
            && self.name.as_ref().is_none_or(|n| n == name)
    }

    /// Whether an object from `first` up to `next`, in the order of their keys, can be wanted.
    pub(crate) fn may_be_between(&self, first: &ObjectKey, next: Option<&ObjectKey>) -> bool {
        if self.is_empty() {
            return false;
        }
        let Some(namespace) = &self.namespace else { return true };
        let after_first = first.namespace <= *namespace;
        let before_next = next.is_none_or(|next| *namespace <= next.namespace);
        if !after_first || !before_next {
            return false;
        }
        let (Some([kind]), Some(name)) = (self.kinds.as_deref(), &self.name) else { return true };
        let Some((group, resource)) = kind.split_once('/') else { return true };
        let key = ObjectKey {
            namespace: namespace.clone(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.clone(),
        };
        *first <= key && next.is_none_or(|next| key <= *next)
    }

    /// Whether a row's object is wanted.
    pub fn wants_row(&self, change: &Change) -> bool {
        self.wants(&change.group, &change.resource, &change.namespace, &change.name)
    }
}

#[derive(Debug, Clone)]
enum Form {
    Bytes(Bytes),
    Value(Box<Value>),
}

impl Form {
    fn value(&mut self) -> Result<&mut Value, exact::ParseError> {
        if let Self::Bytes(bytes) = self {
            *self = Self::Value(Box::new(exact::parse_canonical(bytes)?));
        }
        match self {
            Self::Value(value) => Ok(value),
            Self::Bytes(_) => unreachable!("made a value just above"),
        }
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Value(value) => Bytes::from(exact::to_canonical(value)),
        }
    }
}

/// One object as it stands.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The newest row of it, without its body.
    pub row: Row,
    /// Its own resourceVersion.
    pub object_rv: Revision,
    /// Why it cannot be read, if its bytes were not exact JSON.
    pub unreadable: Option<String>,
    /// Sealed values, by path.
    pub cells: BTreeMap<String, Cell>,
    public: Form,
    managed: Option<Form>,
    chain: u32,
    hash: Option<StateHash>,
    touched: bool,
}

impl Entry {
    /// The paths of values that were not stored.
    pub fn unstored(&self) -> impl Iterator<Item = &str> {
        let missing = self.cells.values().filter(|cell| cell.key_id.is_empty() && cell.secret.is_empty());
        missing.map(|cell| cell.path.as_str())
    }

    /// The object in public form, canonical.
    pub fn public(&self) -> Bytes {
        self.public.bytes()
    }

    /// Its managedFields, canonical; empty when there are none.
    pub fn managed(&self) -> Bytes {
        self.managed.as_ref().map(Form::bytes).unwrap_or_default()
    }

    /// Hash of its exact form.
    pub fn hash(&self) -> Option<StateHash> {
        self.hash
    }

    /// The base that the next version is written against.
    pub fn base(&self) -> Base {
        Base {
            rv: self.row.rv,
            object_rv: self.object_rv,
            uid: self.row.uid.clone(),
            public: if self.unreadable.is_some() { Bytes::new() } else { self.public() },
            managed: self.managed(),
            hash: self.hash,
            chain: self.chain,
        }
    }

    /// The row that a checkpoint holds for it: a full object.
    pub(crate) fn checkpoint_row(&self) -> Row {
        let mut row = self.row.clone();
        row.change.op = match (&self.unreadable, self.object_rv == row.rv) {
            (Some(_), _) => Op::Unreadable,
            (None, true) => Op::Add,
            // A version that was read again has two revisions: the row's, and its own inside the object.
            (None, false) => Op::Reread,
        };
        row.change.body = Body::Object(self.public());
        row.change.managed_fields = Some(self.managed()).filter(|m| !m.is_empty());
        row.change.cells = self.cells.values().cloned().collect();
        row.change.state_hash = self.hash;
        row
    }
}

/// An interval in which a kind was protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// From this cut point on.
    pub from: CutPoint,
    /// When that was.
    pub from_time: Micros,
    /// Up to this one, and why; `None` while it lasts.
    pub end: Option<(CutPoint, Micros, CoverEnd)>,
}

/// What is known of a kind at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knowledge {
    /// All there was.
    All,
    /// What there was at this point of a life of the counter that ended, complete up to that time.
    UpTo(CutPoint, Micros),
    /// Nothing, and why, if that is known.
    Not(Option<CoverEnd>),
}

/// What is known of a kind.
#[derive(Debug, Clone, Default)]
pub struct KindState {
    /// What it is called; of the newest row up to the cut.
    pub discovery: Discovery,
    /// Intervals of protection, in order.
    pub covers: Vec<Cover>,
    /// Why it is not protected, where it never was.
    pub uncovered: Option<CoverEnd>,
    /// Gaps, in order.
    pub gaps: Vec<(u32, Gap)>,
    /// The journal has every change up to this point.
    pub cursor: Option<CutPoint>,
    /// The newest list of the cluster's own that agreed with the journal: its revision, and when it was begun.
    pub proven: Option<(CutPoint, Micros)>,
    /// The newest version that was recovered out of order. If it is beyond the cursor, the healing has not ended yet.
    pub ahead: Option<CutPoint>,
}

impl KindState {
    /// Whether the kind was protected at a point, and if not, why. The time decides when nothing was written in the
    /// domain since protection ended: then the point is the same before, during and after the interval without
    /// protection.
    pub fn covered_at(&self, point: CutPoint, time: Micros) -> Result<(), Option<CoverEnd>> {
        let mut why = None;
        for cover in &self.covers {
            let not_again_yet = why.is_some() && point == cover.from && time < cover.from_time;
            if point < cover.from || not_again_yet {
                break;
            }
            match &cover.end {
                // The kind is known up to the revision at which a life of the counter ended, whatever the time.
                Some((end, _, reason)) if point <= *end && reason.reason == Uncovered::Incarnation => return Ok(()),
                Some((end, ended, reason)) if point > *end || (point == *end && time >= *ended) => {
                    why = Some(reason.clone());
                }
                _ => return Ok(()),
            }
        }
        Err(why.or_else(|| self.uncovered.clone()))
    }

    /// What is known of the kind at a moment.
    pub fn known_at(&self, moment: &Moment) -> Knowledge {
        let domain = &self.discovery.domain;
        let Some(point) = moment.cut.domains.get(domain) else { return Knowledge::Not(self.uncovered.clone()) };
        if let Some(ended) = moment.ended.iter().find(|ended| ended.domain == *domain)
            && let Some((end, known)) = self.last_known(*point, ended.asked)
        {
            return Knowledge::UpTo(end, known);
        }
        match self.covered_at(*point, moment.time) {
            Ok(()) => Knowledge::All,
            Err(why) => Knowledge::Not(why),
        }
    }

    /// How far the kind is known, if its life of the counter ended before the point or time asked for: nothing later
    /// will ever be known of that life.
    fn last_known(&self, point: CutPoint, asked: Option<Micros>) -> Option<(CutPoint, Micros)> {
        let cover = self.covers.iter().rev().find(|cover| cover.from <= point)?;
        let (end, known, _) = cover.end.as_ref().filter(|(_, _, why)| why.reason == Uncovered::Incarnation)?;
        let later = point > *end || (point == *end && asked.is_some_and(|time| time >= *known));
        (end.incarnation == point.incarnation && later).then_some((*end, *known))
    }

    /// Whether the kind is protected, as far as has been read.
    pub fn is_covered(&self) -> bool {
        self.covers.last().is_some_and(|c| c.end.is_none())
    }

    /// Gaps that a point lies in: after their start and before their end.
    pub fn gaps_at(&self, point: CutPoint) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter_map(move |(incarnation, gap)| {
            let inside = *incarnation == point.incarnation && gap.from < point.rv && point.rv < gap.to;
            inside.then_some(gap)
        })
    }
}

/// The state at a cut.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The objects.
    pub objects: BTreeMap<ObjectKey, Entry>,
    /// The kinds, by kind key.
    pub kinds: BTreeMap<String, KindState>,
    /// The facts that a checkpoint has to carry, in order.
    pub(crate) facts: Vec<Row>,
    /// The position of the newest row that was looked at.
    pub last: Position,
    /// How the newest writer stores Secret values: `sealed`, `plaintext` or `dropped`.
    pub secrets: Option<String>,
    /// How the newest version of every object is kept, as the newest writer that saw to it said.
    pub kept: Option<facts::Kept>,
    /// The newest life of each domain's counter that a row was of.
    pub lives: BTreeMap<String, u32>,
    /// How far each domain is known to have come, even if no kind of it is protected any more. Only set in the state a
    /// writer resumes from.
    pub reached: Cut,
}

impl State {
    /// Applies a row: objects only if wanted and within `cut` (`None`: everything), facts always.
    pub fn apply(&mut self, row: &Row, scope: &Scope, cut: Option<&Cut>) -> Result<()> {
        self.last = self.last.max(row.pos);
        match self.lives.get_mut(&row.domain) {
            Some(life) => *life = row.incarnation.max(*life),
            None => _ = self.lives.insert(row.domain.clone(), row.incarnation),
        }
        let within = cut.is_none_or(|c| c.holds(row));
        if row.op.is_object() {
            if cut.is_none() {
                self.see(row);
            }
            if within && scope.wants_row(row) {
                self.apply_object(row)?;
            }
            return Ok(());
        }
        self.apply_fact(row, within)
    }

    /// Applies a row of a checkpoint: a full object, or a fact.
    pub(crate) fn load(&mut self, row: &Row, scope: &Scope) -> Result<()> {
        if !row.op.is_object() {
            return self.apply_fact(row, true);
        }
        if scope.wants_row(row) {
            let mut entry = Entry::begin(row)?;
            entry.touched = false;
            self.objects.insert(ObjectKey::of(row), entry);
        }
        Ok(())
    }

    fn apply_object(&mut self, row: &Row) -> Result<()> {
        let key = ObjectKey::of(row);
        let entry = self.objects.get_mut(&key);
        match (row.op, entry) {
            (Op::Delete, Some(entry)) => {
                entry.check_base(row)?;
                self.objects.remove(&key);
            }
            (Op::Delete, None) => {}
            // A version of which not even the uid could be read replaces whatever stands there: it is what the name has.
            (Op::Unreadable, Some(_)) if is_unproven(row) => {
                self.objects.insert(key, Entry::begin(row)?);
            }
            (Op::Add, _) | (_, None) => {
                if matches!(row.body, Body::Patch(_)) {
                    return Err(bad(row, "is a patch, but its base is not in the journal"));
                }
                self.objects.insert(key, Entry::begin(row)?);
            }
            (_, Some(entry)) => {
                entry.check_base(row)?;
                entry.advance(row)?;
            }
        }
        Ok(())
    }

    fn apply_fact(&mut self, row: &Row, within: bool) -> Result<()> {
        let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
        if row.op == Op::Frontier {
            let frontier: facts::Frontier = facts::read(row)?;
            for (kind, rv) in frontier.cursors {
                let state = self.kinds.entry(kind).or_default();
                raise(&mut state.cursor, CutPoint { rv, ..point });
            }
            return Ok(());
        }
        // A gap that ends beyond the cut shows that the cut lies inside it.
        if !within && row.op != Op::Gap {
            return Ok(());
        }
        if row.op == Op::Mark {
            match facts::read(row)? {
                facts::Mark::Start { secrets, .. } => self.secrets = Some(secrets),
                facts::Mark::Kept(kept) => self.kept = Some(kept),
                facts::Mark::Proven { kinds } => self.proven(point, kinds),
                _ => return Ok(()),
            }
            let same = |fact: &Row| fact.op == Op::Mark && sort_of(fact) == sort_of(row);
            self.facts.retain(|fact| !same(fact));
            self.facts.push(row.clone());
            return Ok(());
        }
        if matches!(row.op, Op::Seal | Op::Expiry) {
            return Ok(());
        }
        let kind = self.kinds.entry(row.kind_key()).or_default();
        match row.op {
            Op::Discovery => kind.discovery = facts::read(row)?,
            Op::CoverBegin => {
                // It begins at the very point and moment of the last end: everything in between was recovered.
                match kind.covers.last_mut() {
                    Some(Cover { end: end @ Some(_), .. })
                        if end.as_ref().is_some_and(|(at, when, _)| (*at, *when) == (point, row.time_hi)) =>
                    {
                        *end = None;
                    }
                    _ => kind.covers.push(Cover { from: point, from_time: row.time_hi, end: None }),
                }
                raise(&mut kind.cursor, point);
            }
            Op::CoverEnd => {
                let end: CoverEnd = facts::read(row)?;
                match kind.covers.last_mut().filter(|c| c.end.is_none()) {
                    Some(cover) => cover.end = Some((point, row.time_hi, end)),
                    None => kind.uncovered = Some(end),
                }
                kind.cursor = None;
            }
            Op::Gap => {
                kind.gaps.push((row.incarnation, facts::read(row)?));
                raise(&mut kind.cursor, point);
            }
            _ => {}
        }
        if within {
            self.facts.push(row.clone());
        }
        Ok(())
    }

    /// Takes in up to where kinds were proven, at a point.
    fn proven(&mut self, point: CutPoint, kinds: BTreeMap<String, facts::Proven>) {
        for (key, facts::Proven { rv, time }) in kinds {
            let proven = Some((CutPoint { rv, ..point }, time));
            let kind = self.kinds.entry(key).or_default();
            kind.proven = kind.proven.max(proven);
        }
    }

    /// The latest moment at which a kind was let go that may be taken up again, and recovered, later in the log.
    pub(crate) fn latest_let_go(&self) -> Option<Micros> {
        let ends = self.kinds.values().filter_map(|kind| kind.covers.last()?.end.as_ref());
        ends.filter(|(.., end)| end.is_recoverable()).map(|(_, when, _)| *when).max()
    }

    /// The current labels of a row's object.
    pub fn labels(&mut self, change: &Change) -> Option<Value> {
        let entry = self.objects.get_mut(&ObjectKey::of(change))?;
        let labels = entry.public.value().ok()?.pointer("/metadata/labels").cloned();
        Some(labels.unwrap_or(Value::Null))
    }

    /// Notes how far a row shows its kind was seen.
    fn see(&mut self, row: &Row) {
        let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
        if let Some(kind) = self.kinds.get_mut(&row.kind_key()) {
            match row.source {
                Source::Watch if kind.is_covered() => raise(&mut kind.cursor, point),
                source if source.is_healed() => raise(&mut kind.ahead, point),
                _ => {}
            }
        }
    }

    /// Keeps every object as bytes again: what was changed takes several times as much as a tree.
    pub(crate) fn pack(&mut self) {
        for entry in self.objects.values_mut() {
            entry.public = Form::Bytes(entry.public.bytes());
            entry.managed = entry.managed.take().map(|managed| Form::Bytes(managed.bytes()));
        }
    }

    /// Checks the hash of every object that was changed. Those with sealed values are checked when they are opened.
    pub fn finish(&mut self) -> Result<()> {
        for entry in self.objects.values_mut().filter(|e| e.touched) {
            entry.touched = false;
            let Some(hash) = entry.hash else { continue };
            if !entry.cells.is_empty() || !entry.row.hash_key.is_empty() {
                continue;
            }
            if exact::state_hash(&entry.public()) != hash {
                return Err(bad(&entry.row, "gives a state whose hash is not the one written"));
            }
        }
        Ok(())
    }
}

/// What a mark is about. The newest start counts, the newest that says how versions are kept, and of each domain the
/// newest that says up to where it was proven.
fn sort_of(mark: &Row) -> (u8, &str) {
    match facts::read(mark) {
        Ok(facts::Mark::Kept(_)) => (1, ""),
        Ok(facts::Mark::Proven { .. }) => (2, &mark.domain),
        _ => (0, ""),
    }
}

fn raise(cursor: &mut Option<CutPoint>, to: CutPoint) {
    if cursor.is_none_or(|at| at < to) {
        *cursor = Some(to);
    }
}

fn bad(row: &Row, reason: &str) -> Error {
    Error::corrupt(format!("the row at position {} of {}", row.pos, row.key()), reason)
        .with_hint("the journal is damaged there; ask for a moment before it, or after the next checkpoint")
}

impl Entry {
    fn begin(row: &Row) -> Result<Self> {
        let Body::Object(bytes) = &row.body else {
            return Err(bad(row, "begins an object without having one"));
        };
        let mut entry = Self {
            row: bodyless(row),
            object_rv: row.rv,
            unreadable: None,
            cells: row.cells.iter().map(|c| (c.path.clone(), c.clone())).collect(),
            public: Form::Bytes(bytes.clone()),
            managed: row.managed_fields.clone().map(Form::Bytes),
            chain: 0,
            hash: row.state_hash,
            touched: true,
        };
        if row.op == Op::Unreadable {
            let body = exact::parse(bytes).map_err(|e| bad(row, &e.to_string()))?;
            let reason = body.get("reason").and_then(Value::as_str).unwrap_or("no reason is written");
            entry.unreadable = Some(reason.to_owned());
        } else if row.op == Op::Reread {
            entry.object_rv = object_version(bytes).ok_or_else(|| bad(row, "has no resourceVersion"))?;
        }
        Ok(entry)
    }

    fn check_base(&self, row: &Row) -> Result<()> {
        // Earlier versions lost the uid, and the name in its row, of a version that could not be read; the delete after
        // it followed from that.
        let astray = row.uid.is_empty() && !self.row.uid.is_empty();
        if row.op == Op::Delete && (is_unproven(row) || astray) {
            return Ok(());
        }
        if row.uid != self.row.uid {
            return Err(bad(row, "continues an object of another uid"));
        }
        if row.base_rv != Some(self.row.rv) || row.base_hash != self.hash {
            return Err(bad(
                row,
                &format!(
                    "follows from revision {:?}, but the object stands at revision {} (position {})",
                    row.base_rv, self.row.rv, self.row.pos
                ),
            ));
        }
        Ok(())
    }

    fn advance(&mut self, row: &Row) -> Result<()> {
        let Body::Patch(patch) = &row.body else {
            *self = Self::begin(row)?;
            return Ok(());
        };
        let patch = exact::parse(patch).map_err(|e| bad(row, &e.to_string()))?;
        let state = self.public.value().map_err(|e| bad(row, &e.to_string()))?;
        exact::apply(state, &patch).map_err(|e| bad(row, &e.to_string()))?;
        exact::set_resource_version(state, &row.rv.to_string());
        if !self.cells.is_empty() || !row.cells.is_empty() {
            self.cells.extend(row.cells.iter().map(|c| (c.path.clone(), c.clone())));
            // A cell whose placeholder is gone, such as an annotation that no longer repeats a value, belongs to the
            // past.
            let stands = |path: &str| state.pointer(path).and_then(Value::as_str).is_some_and(is_placeholder);
            self.cells.retain(|path, _| stands(path));
        }
        if let Some(patch) = &row.managed_fields {
            let patch = exact::parse(patch).map_err(|e| bad(row, &e.to_string()))?;
            let managed = self.managed.get_or_insert_with(|| Form::Bytes(Bytes::from_static(b"[]")));
            let managed = managed.value().map_err(|e| bad(row, &e.to_string()))?;
            exact::apply(managed, &patch).map_err(|e| bad(row, &e.to_string()))?;
        }
        self.row = bodyless(row);
        self.object_rv = row.rv;
        self.chain += 1;
        self.hash = row.state_hash;
        self.touched = true;
        Ok(())
    }
}

/// Whether a row does not say which version it follows from.
fn is_unproven(row: &Row) -> bool {
    row.base_rv.is_none() && row.base_hash.is_none()
}

/// A row without its payloads, as an entry keeps it.
fn bodyless(row: &Row) -> Row {
    let c = &row.change;
    Row {
        pos: row.pos,
        change: Change {
            group: c.group.clone(),
            version: c.version.clone(),
            resource: c.resource.clone(),
            subresource: c.subresource.clone(),
            kind: c.kind.clone(),
            namespace: c.namespace.clone(),
            name: c.name.clone(),
            uid: c.uid.clone(),
            manager: c.manager.clone(),
            manager_op: c.manager_op.clone(),
            base_rv: c.base_rv,
            base_hash: c.base_hash,
            state_hash: c.state_hash,
            hash_key: c.hash_key.clone(),
            time_lo: c.time_lo,
            time_hi: c.time_hi,
            source: c.source,
            ..Change::new(c.op, c.domain.clone(), c.incarnation, c.rv)
        },
    }
}

fn object_version(bytes: &[u8]) -> Option<Revision> {
    let object = exact::parse(bytes).ok()?;
    object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
