//! Compares the journal with the answers.
//!
//! **Words**: a *life* is the time between two [`Swap`]s, numbered as the journal numbers incarnations. A version is
//! *born* in the life that it was written in, and stands in later ones if a copy held it.
//!
//! **Invariant.** Around a swap an answer may be missing only where the journal itself says that the kind was not
//! protected then, and only if it is of the short time that the trial names: else it counts as a failure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{
    Journal, Reader,
    cut::{At, MAIN},
    exact::{self, Value},
    facts::{Gap, Grade, Uncovered},
    fold::{ObjectKey, Scope, State},
    row::{Body, Op, Row, Source},
    seal::{DataKeys, Key, Place},
};
use hindcast_restorer::{Timeline, View};
use kube::Client;

use super::load::{Answer, Attempt, Kind, Verb, Written, kinds};
use crate::{http::request, sim::rng::Rng};

/// Clocks that differ by less than this many microseconds agree, and a drift is noticed with the next answer.
const CLOCKS_AGREE: i64 = 400_000;

/// What became of the answers, each counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Reproduced exactly at their revision.
    pub exact: usize,
    /// Of these, writes that changed nothing (the base is what is compared).
    pub no_op: usize,
    /// Deletes answered without the deleted state: the last state and the delete are in the journal.
    pub deletes: usize,
    /// Objects born and gone inside a healed interval.
    pub born_and_gone: usize,
    /// Inside a lost interval.
    pub lost: usize,
    /// Written at the end of a life, after the last that the journal saw of the kind in it.
    pub undone: usize,
    /// Written at the begin of a life and written over before the journal saw the kind in it.
    pub unnoticed: usize,
    /// Anything else, described: there must be none.
    pub failures: Vec<String>,
    /// Rows whose time bounds miss the oracle's clock by less than what clocks that agree may differ by, while one was
    /// wrong.
    pub nearly: usize,
    /// Rows whose time bounds do not meet the oracle's clock.
    pub time_failures: Vec<String>,
    /// Spread of the time bounds in microseconds, sorted: of live rows, and of those caught up with.
    pub spread_live: Vec<i64>,
    /// See above.
    pub spread_catch_up: Vec<i64>,
    /// Rows in the journal.
    pub rows: usize,
    /// Gaps by grade: healed, lost.
    pub gaps: (usize, usize),
}

impl Verdict {
    /// The value below which `share` of a sorted list lies.
    pub fn quantile(sorted: &[i64], share: f64) -> i64 {
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or(0)
    }

    /// Fails if an answer is not accounted for.
    pub fn accounted(&self) -> Result<()> {
        let some: Vec<&String> = self.failures.iter().take(8).collect();
        ensure!(some.is_empty(), "{} are not accounted for: {some:#?}", self.failures.len());
        Ok(())
    }

    /// Fails if the time bounds of a row do not meet the oracle's clock.
    pub fn on_the_clock(&self) -> Result<()> {
        let some: Vec<&String> = self.time_failures.iter().take(8).collect();
        ensure!(some.is_empty(), "{} bounds are off the clock: {some:#?}", self.time_failures.len());
        Ok(())
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} exact (of them {} no-op), {} deletes, {} born and gone, {} lost, {} failed; {} rows; {} healed and {} lost \
             intervals; spread of time live p50 {} µs p99 {} µs ({} rows), catching up p99 {} µs ({} rows); {} bounds off the clock",
            self.exact,
            self.no_op,
            self.deletes,
            self.born_and_gone,
            self.lost,
            self.failures.len(),
            self.rows,
            self.gaps.0,
            self.gaps.1,
            Self::quantile(&self.spread_live, 0.5),
            Self::quantile(&self.spread_live, 0.99),
            self.spread_live.len(),
            Self::quantile(&self.spread_catch_up, 0.99),
            self.spread_catch_up.len(),
            self.time_failures.len(),
        )?;
        if self.nearly > 0 {
            write!(f, ", and {} by less than what clocks may differ by", self.nearly)?;
        }
        match (self.undone, self.unnoticed) {
            (0, 0) => Ok(()),
            (undone, unnoticed) => write!(f, "; {undone} undone and {unnoticed} written over, unseen"),
        }
    }
}

/// What happened during the writes. Spans are of our clock.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// In these rows count as caught up with, not live.
    pub outages: Vec<(i64, i64)>,
    /// In these a clock of the process was off.
    pub wrong_clocks: Vec<(i64, i64)>,
    /// The store was put back, in order.
    pub swaps: Vec<Swap>,
}

/// The server's store was put back to an older copy. Moments are of our clock.
#[derive(Debug, Clone, Copy)]
pub struct Swap {
    /// The newest revision in the copy.
    pub fork: u64,
    /// What was answered before this moment must have been seen.
    pub seen: i64,
    /// The API server was gone: what is answered and was sent later is of the next life.
    pub gone: i64,
    /// The journal was closed in the next life: what is sent later must be seen.
    pub noticed: i64,
}

/// The lives that swaps separate.
#[derive(Clone, Copy)]
struct Lives<'a>(&'a [Swap]);

impl Lives<'_> {
    /// The life that a request was answered in.
    fn of(self, answer: &Answer) -> u32 {
        self.0.iter().filter(|swap| swap.gone <= answer.sent).count() as u32
    }

    /// The life that a version was written in, which was answered in `life`.
    fn born(self, mut life: u32, rv: u64) -> u32 {
        while self.begin(life).is_some_and(|swap| rv <= swap.fork) {
            life -= 1;
        }
        life
    }

    /// The lives in which a version stands that was born in one.
    fn standing(self, born: u32, rv: u64) -> impl Iterator<Item = u32> {
        let more = self.0.iter().skip(born as usize).take_while(move |swap| rv <= swap.fork).count() as u32;
        born..=born + more
    }

    fn begin(&self, life: u32) -> Option<&Swap> {
        self.0.get((life as usize).checked_sub(1)?)
    }

    fn end(&self, life: u32) -> Option<&Swap> {
        self.0.get(life as usize)
    }
}

struct Version {
    exact: Vec<u8>,
    row: Row,
}

/// Uid, life and revision.
type VersionKey = (String, u32, u64);

/// Everything the journal says, version by version.
struct Past {
    versions: HashMap<VersionKey, Version>,
    /// Uid → life, revision and base of each delete.
    deletes: HashMap<String, Vec<(u32, u64, Option<u64>)>>,
    /// Kind, life and gap.
    gaps: Vec<(String, u32, Gap)>,
    /// Kind and life → from where protection began in it, and up to where it was known when the life ended.
    covers: HashMap<(String, u32), (u64, Option<u64>)>,
    rows: usize,
}

impl Past {
    /// A version that an answer names, in any life that it stands in: one that reads differently, if there is one.
    fn version(&self, lives: Lives<'_>, (uid, born, rv): &VersionKey, exact: &[u8]) -> Option<&Version> {
        let standing = lives.standing(*born, *rv);
        let mut found: Vec<_> = standing.filter_map(|life| self.versions.get(&(uid.clone(), life, *rv))).collect();
        found.sort_by_key(|version| version.exact == exact);
        found.into_iter().next()
    }
}

/// Checks every answer.
pub async fn check(journal: &Journal, keys: &[Arc<Key>], written: &Written, met: &Met) -> Result<Verdict> {
    let (answers, lives) = (&written.answers, Lives(&met.swaps));
    let past = read(journal, keys, answers).await?;
    let mut verdict = Verdict {
        rows: past.rows,
        gaps: (
            past.gaps.iter().filter(|(.., g)| g.grade == Grade::Healed).count(),
            past.gaps.iter().filter(|(.., g)| g.grade == Grade::Lost).count(),
        ),
        ..Verdict::default()
    };
    let spans = spans(answers, &written.attempts, lives);
    let mut seen = BTreeSet::new();
    let mut sorted: Vec<&Answer> = answers.iter().collect();
    sorted.sort_by_key(|a| a.answered);
    for answer in sorted {
        judge((&past, lives), answer, &spans, met, &mut seen, &mut verdict);
    }
    verdict.spread_live.sort_unstable();
    verdict.spread_catch_up.sort_unstable();
    Ok(verdict)
}

/// Between which moments of our clock a version was committed.
type Spans = HashMap<VersionKey, (i64, i64)>;

/// A version was committed after the first request that could have made it was sent, and before the first answer that
/// names it was there. The two need not be one request's: an answer to a write that changed nothing can overtake that
/// of the write that did, and the write that did may have got no answer at all. A delete of a Pod is two writes, of
/// which the answer names the second: it is marked as being deleted, then removed. Group, resource, namespace and name.
type Named<'a> = (&'a str, &'a str, &'a str, &'a str);

fn spans(answers: &[Answer], attempts: &[Attempt], lives: Lives<'_>) -> Spans {
    let mut tried: HashMap<Named<'_>, Vec<i64>> = HashMap::new();
    for a in attempts {
        tried.entry((a.kind.group, a.kind.resource, &a.namespace, &a.name)).or_default().push(a.sent);
    }
    let mut deletes: HashMap<Named<'_>, Vec<(i64, i64)>> = HashMap::new();
    for a in answers.iter().filter(|a| a.verb == Verb::Delete) {
        let name = (a.kind.group, a.kind.resource, a.namespace.as_str(), a.name.as_str());
        deletes.entry(name).or_default().push((a.sent, a.answered));
    }
    let mut spans = Spans::new();
    for answer in answers {
        let Ok(object) = exact::parse(&answer.body) else { continue };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(uid), Some(rv)) = (text("/metadata/uid"), text("/metadata/resourceVersion")) else { continue };
        let Ok(rv) = rv.parse() else { continue };
        let name = (answer.kind.group, answer.kind.resource, answer.namespace.as_str(), answer.name.as_str());
        let tried = tried.get(&name).into_iter().flatten().filter(|sent| **sent < answer.answered).min();
        // Until a delete is answered, its mark may be what the answer shows.
        let marked = deletes.get(&name).into_iter().flatten();
        let marked =
            marked.filter(|(sent, ended)| *sent < answer.answered && answer.sent < *ended).map(|(sent, _)| sent);
        let sent = tried.into_iter().chain(marked).copied().fold(answer.sent, i64::min);
        let span =
            spans.entry((uid.to_owned(), lives.born(lives.of(answer), rv), rv)).or_insert((sent, answer.answered));
        *span = (span.0.min(sent), span.1.min(answer.answered));
    }
    spans
}

fn judge(
    (past, lives): (&Past, Lives<'_>),
    answer: &Answer,
    spans: &Spans,
    met: &Met,
    seen: &mut BTreeSet<VersionKey>,
    verdict: &mut Verdict,
) {
    let what = format!("{:?} {}/{} in {:?}", answer.verb, answer.kind.resource, answer.name, answer.namespace);
    let Ok(mut object) = exact::parse(&answer.body) else {
        verdict.failures.push(format!("{what}: the answer is not JSON"));
        return;
    };
    exact::split_managed_fields(&mut object);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let uid = text("/metadata/uid").or_else(|| text("/details/uid")).unwrap_or_default();
    if answer.verb == Verb::Scale {
        // The answer is a Scale: it proves that a version of the object has this revision and this many replicas.
        judge_scale((past, lives), answer, &object, &what, seen, verdict);
        return;
    }
    let terminated = answer.terminated(&object);
    let rv: u64 = text("/metadata/resourceVersion").and_then(|t| t.parse().ok()).unwrap_or(0);
    let life = lives.of(answer);
    let key = (uid.clone(), lives.born(life, rv), rv);
    let canonical = exact::to_canonical(&object);
    if let Some(version) = past.version(lives, &key, &canonical) {
        if version.exact == canonical {
            verdict.exact += 1;
            let span = spans.get(&key).copied().unwrap_or((answer.sent, answer.answered));
            if seen.insert(key) {
                judge_time(version, span, met, &what, verdict);
            } else {
                verdict.no_op += 1;
            }
            return;
        }
        let patch = exact::diff(&object, &exact::parse(&version.exact).unwrap_or(Value::Null));
        // The last finalizer went: the object was deleted from the version that the answer names, or from one that
        // another writer put in between.
        if terminated
            && past
                .deletes
                .get(&uid)
                .is_some_and(|all| all.iter().any(|(l, d, base)| *l == life && *d > rv && *base >= Some(rv)))
        {
            verdict.deletes += 1;
            return;
        }
        if terminated && lives.end(life).is_some() {
            // Of the delete itself no revision is known.
            judge_missing((past, lives), answer, &uid, 0, &what, verdict);
            return;
        }
        let shown: String = patch.to_string().chars().take(400).collect();
        verdict.failures.push(format!("{what}: revision {rv} reads differently: {shown}"));
        return;
    }
    if terminated && past.deletes.get(&uid).is_some_and(|all| all.iter().any(|(l, d, _)| *l == life && *d >= rv)) {
        verdict.deletes += 1;
        return;
    }
    judge_missing((past, lives), answer, &uid, rv, &what, verdict);
}

fn judge_missing(
    (past, lives): (&Past, Lives<'_>),
    answer: &Answer,
    uid: &str,
    rv: u64,
    what: &str,
    verdict: &mut Verdict,
) {
    let kind = answer.kind.key();
    // A delete's Status has no revision: it is placed by its time.
    let life = if rv == 0 { lives.of(answer) } else { lives.born(lives.of(answer), rv) };
    let within = |g: &Gap| match rv {
        0 => g.time_from <= answer.answered && answer.sent <= g.time_to,
        _ => g.from < rv && rv <= g.to,
    };
    let inside = |grade| past.gaps.iter().any(|(k, l, g)| (k, *l, g.grade) == (&kind, life, grade) && within(g));
    let known = past.versions.keys().any(|(u, ..)| u == uid);
    let cover = past.covers.get(&(kind.clone(), life)).copied();
    let after = cover.is_none_or(|(_, end)| end.is_some_and(|end| rv == 0 || rv > end));
    let before = cover.is_none_or(|(from, _)| rv <= from);
    if inside(Grade::Lost) {
        verdict.lost += 1;
    } else if inside(Grade::Healed) && !known {
        verdict.born_and_gone += 1;
    } else if after && lives.end(life).is_some_and(|swap| answer.answered >= swap.seen) {
        verdict.undone += 1;
    } else if before && lives.begin(life).is_some_and(|swap| answer.sent <= swap.noticed) {
        verdict.unnoticed += 1;
    } else {
        verdict
            .failures
            .push(format!("{what}: revision {rv} of uid {uid}, written in life {life}, is not in the journal"));
    }
}

fn judge_scale(
    (past, lives): (&Past, Lives<'_>),
    answer: &Answer,
    scale: &Value,
    what: &str,
    seen: &mut BTreeSet<VersionKey>,
    verdict: &mut Verdict,
) {
    let uid = scale.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    let rv: u64 =
        scale.pointer("/metadata/resourceVersion").and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(0);
    let key = (uid, lives.born(lives.of(answer), rv), rv);
    let Some(version) = past.version(lives, &key, &[]) else {
        judge_missing((past, lives), answer, &key.0, rv, what, verdict);
        return;
    };
    let state = exact::parse(&version.exact).unwrap_or(Value::Null);
    let wanted = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| Value::from(0_u64));
    let found = state.pointer("/spec/replicas").cloned().unwrap_or_else(|| Value::from(0_u64));
    if wanted == found {
        verdict.exact += 1;
        if !seen.insert(key) {
            verdict.no_op += 1;
        }
    } else {
        verdict.failures.push(format!("{what}: revision {rv} has {found} replicas, {wanted} were answered"));
    }
}

fn judge_time(version: &Version, (sent, answered): (i64, i64), met: &Met, what: &str, verdict: &mut Verdict) {
    let (lo, hi) = (version.row.time_lo, version.row.time_hi);
    let within = |spans: &[(i64, i64)]| spans.iter().any(|(from, to)| *from <= answered && sent <= *to);
    let off = (sent - hi).max(lo - answered);
    if (1..CLOCKS_AGREE).contains(&off) && within(&met.wrong_clocks) {
        verdict.nearly += 1;
    } else if off > 0 {
        verdict.time_failures.push(format!(
            "{what}: bounds [{lo}, {hi}] do not meet [{}, {}] (off by {} µs), source {}",
            sent, answered, off, version.row.source,
        ));
    }
    if version.row.source == Source::List {
        return;
    }
    if within(&met.outages) || version.row.source == Source::Healed {
        verdict.spread_catch_up.push(hi - lo);
    } else {
        verdict.spread_live.push(hi - lo);
    }
}

async fn read(journal: &Journal, keys: &[Arc<Key>], answers: &[Answer]) -> Result<Past> {
    let keys = DataKeys::new(journal.cluster(), keys.to_vec(), journal.parts().clone());
    let reader = Reader::open(journal).await?;
    // From the very first row, without checkpoints: every version must be there.
    let mut rows = Vec::new();
    let (_, mut segments) = reader.history(i64::MIN, &Scope::default(), false).await?;
    while let Some(segment) = segments.next().await? {
        rows.extend(segment.rows.iter().cloned());
    }
    let mut past = Past {
        versions: HashMap::new(),
        deletes: HashMap::new(),
        gaps: Vec::new(),
        covers: HashMap::new(),
        rows: rows.len(),
    };
    let mut state = State::default();
    let ours: BTreeSet<String> = answers.iter().map(|answer| answer.kind.key()).collect();
    for row in &rows {
        state.apply(row, &Scope::default(), None)?;
        if row.op == Op::Gap {
            past.gaps.push((row.kind_key(), row.incarnation, hindcast_journal::facts::read(row)?));
        }
        if !row.op.is_object() || !ours.contains(&row.kind_key()) {
            continue;
        }
        if row.op == Op::Delete {
            past.deletes.entry(row.uid.clone()).or_default().push((row.incarnation, row.rv, row.base_rv));
            continue;
        }
        let entry = state.objects.get(&ObjectKey::of(row)).context("the row was just applied")?;
        let mut value = exact::parse(&entry.public())?;
        let object_key = row.key();
        for (path, cell) in &entry.cells {
            let place = Place { cluster: journal.cluster(), key: &object_key, namespace: &row.namespace };
            let plain = keys.open(journal.store(), place, cell).await?;
            *value.pointer_mut(path).context("a cell's path is in the object")? = plain;
        }
        let light = Row { pos: row.pos, change: hindcast_journal::Change { body: Body::None, ..row.change.clone() } };
        past.versions.insert(
            (row.uid.clone(), row.incarnation, entry.object_rv),
            Version { exact: exact::to_canonical(&value), row: light },
        );
    }
    state.finish()?;
    for (kind, state) in &state.kinds {
        for cover in &state.covers {
            let known = past.covers.entry((kind.clone(), cover.from.incarnation)).or_insert((cover.from.rv, None));
            known.0 = known.0.min(cover.from.rv);
            let end = cover.end.as_ref().filter(|(.., why)| why.reason == Uncovered::Incarnation);
            known.1 = known.1.max(end.map(|(point, ..)| point.rv));
        }
    }
    Ok(past)
}

/// Compares the journal's state at random revisions with the server's own exact lists of every kind; how many
/// revisions were compared. `low` and `high` bound the revisions.
pub async fn exact_lists_agree(
    client: &Client,
    journal: &Journal,
    keys: &[Arc<Key>],
    revisions: usize,
    (low, high): (u64, u64),
    seed: u64,
) -> Result<usize> {
    let mut draw = Rng::new(seed);
    let mut compared = 0;
    for _ in 0..revisions {
        let rv = low + draw.below(high - low + 1);
        Listed::of(client, &kinds(), rv).await?.agrees(journal, keys, MAIN, None).await?;
        compared += 1;
    }
    Ok(compared)
}

/// What the server has of some kinds at one revision.
#[derive(Debug)]
pub struct Listed {
    rv: u64,
    lists: Vec<(Kind, Objects)>,
}

/// Namespace and name → the exact form.
type Objects = BTreeMap<(String, String), Vec<u8>>;

impl Listed {
    /// Asks the server's history.
    pub async fn of(client: &Client, kinds: &[Kind], rv: u64) -> Result<Self> {
        let mut lists = Vec::new();
        for kind in kinds {
            lists.push((*kind, exact_list(client, kind, rv).await?));
        }
        Ok(Self { rv, lists })
    }

    /// Compares with the journal's state at the revision of a domain, in the only life that has it or in `incarnation`.
    pub async fn agrees(
        &self,
        journal: &Journal,
        keys: &[Arc<Key>],
        domain: &str,
        incarnation: Option<u32>,
    ) -> Result<()> {
        let rv = self.rv;
        let mut timeline = Timeline::open(journal, keys.to_vec()).await?;
        let past = timeline.at(&At::Rev { rv, incarnation, domain: Some(domain.to_owned()) }).await?;
        let view = View::of(&past, &Scope::default()).await?;
        ensure!(view.moment.closed, "rev:{rv} of {domain} is not closed: {:?}", view.lagging);
        for (kind, theirs) in &self.lists {
            let mut ours = Objects::new();
            for object in view.objects.iter().filter(|o| o.row.kind_key() == kind.key()) {
                let value = timeline.reveal(object).await?;
                let name = (object.row.namespace.clone(), object.row.name.clone());
                ours.insert(name, exact::to_canonical(&value));
            }
            let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
            let what = format!("{} at rev {rv} of {domain}, incarnation {incarnation:?}", kind.resource);
            ensure!(names(&ours) == names(theirs), "{what}: {:?} but the server has {:?}", names(&ours), names(theirs));
            for ((name, own), bytes) in ours.iter().zip(theirs.values()) {
                let (own_text, text) = (String::from_utf8_lossy(own), String::from_utf8_lossy(bytes));
                ensure!(own == bytes, "{what}: {name:?} is\n{own_text}\nbut the server has\n{text}");
            }
        }
        Ok(())
    }
}

async fn exact_list(client: &Client, kind: &Kind, rv: u64) -> Result<Objects> {
    let path = format!("{}/{}?resourceVersion={rv}&resourceVersionMatch=Exact", kind.api, kind.resource);
    let (status, body) = request(client, "GET", &path, None, "").await?;
    ensure!(status == 200, "GET {path}: {status} {}", String::from_utf8_lossy(&body));
    let list = exact::parse(&body)?;
    let mut out = Objects::new();
    for item in list.get("items").and_then(Value::as_array).unwrap_or_default() {
        let mut item = item.clone();
        exact::split_managed_fields(&mut item);
        let object = item.as_object_mut().context("an item is an object")?;
        // Items of a typed list are served without these two; a get or a watch has them.
        if object.get("kind").is_none() {
            let version = kind.api.trim_start_matches("/apis/").trim_start_matches("/api/");
            object.insert("kind", Value::from(kind.kind));
            object.insert("apiVersion", Value::from(version));
        }
        let text = |p: &str| item.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = (text("/metadata/namespace"), text("/metadata/name"));
        out.insert(name, exact::to_canonical(&item));
    }
    Ok(out)
}
