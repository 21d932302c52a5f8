//! Holds the journal against the answers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{
    At, Journal, Reader, Scope, State,
    exact::{self, Value},
    facts::{Gap, Grade},
    fold::ObjectKey,
    row::{Body, Op, Row, Source},
    seal::{DataKeys, Key, Place},
};
use hindcast_restorer::Timeline;
use kube::Client;

use super::load::{Answer, Attempt, Verb, Written, kinds, request};
use crate::sim::rng::Rng;

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
    /// Anything else, described: there must be none.
    pub failures: Vec<String>,
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
        )
    }
}

struct Version {
    exact: Vec<u8>,
    row: Row,
}

/// Everything the journal says, version by version.
struct Past {
    versions: HashMap<(String, u64), Version>,
    deletes: HashMap<String, Vec<(u64, Option<u64>)>>,

    gaps: Vec<(String, Gap)>,
    rows: usize,
}

/// Checks every answer. `outages` are the spans (our clock) in which rows count as caught up with, not live.
pub async fn check(
    journal: &Journal,
    keys: &[Arc<Key>],
    written: &Written,
    outages: &[(i64, i64)],
) -> Result<Verdict> {
    let answers = &written.answers;
    let past = read(journal, keys).await?;
    let mut verdict = Verdict {
        rows: past.rows,
        gaps: (
            past.gaps.iter().filter(|(_, g)| g.grade == Grade::Healed).count(),
            past.gaps.iter().filter(|(_, g)| g.grade == Grade::Lost).count(),
        ),
        ..Verdict::default()
    };
    let spans = spans(answers, &written.attempts);
    let mut newest: BTreeMap<(String, u64), ()> = BTreeMap::new();
    let mut sorted: Vec<&Answer> = answers.iter().collect();
    sorted.sort_by_key(|a| a.answered);
    for answer in sorted {
        judge(&past, answer, &spans, outages, &mut newest, &mut verdict);
    }
    verdict.spread_live.sort_unstable();
    verdict.spread_catch_up.sort_unstable();
    Ok(verdict)
}

/// Between which moments of our clock a version was committed.
type Spans = HashMap<(String, u64), (i64, i64)>;

/// A version was committed after the first request that could have made it was sent, and before the first answer that
/// names it was there. The two need not be one request's: an answer to a write that changed nothing can overtake that
/// of the write that did, and the write that did may have got no answer at all. A delete of a Pod is two writes, of which
/// the answer names the second: it is marked as being deleted, then removed.
fn spans(answers: &[Answer], attempts: &[Attempt]) -> Spans {
    let mut tried: HashMap<(&str, &str, &str, &str), Vec<i64>> = HashMap::new();
    for a in attempts {
        tried.entry((a.kind.group, a.kind.resource, &a.namespace, &a.name)).or_default().push(a.sent);
    }
    let mut deletes: HashMap<(&str, &str, &str, &str), Vec<(i64, i64)>> = HashMap::new();
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
        let marked = marked.filter(|(sent, ended)| *sent < answer.answered && answer.sent < *ended).map(|(sent, _)| sent);
        let sent = tried.into_iter().chain(marked).copied().fold(answer.sent, i64::min);
        let span = spans.entry((uid.to_owned(), rv)).or_insert((sent, answer.answered));
        *span = (span.0.min(sent), span.1.min(answer.answered));
    }
    spans
}

fn judge(
    past: &Past,
    answer: &Answer,
    spans: &Spans,
    outages: &[(i64, i64)],
    seen: &mut BTreeMap<(String, u64), ()>,
    verdict: &mut Verdict,
) {
    let what = format!(
        "{:?} {}/{} in {:?}",
        answer.verb, answer.kind.resource, answer.name, answer.namespace
    );
    let Ok(mut object) = exact::parse(&answer.body) else {
        verdict.failures.push(format!("{what}: the answer is not JSON"));
        return;
    };
    exact::split_managed_fields(&mut object);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let uid = text("/metadata/uid").or_else(|| text("/details/uid")).unwrap_or_default();
    if answer.verb == Verb::Scale {
        // The answer is a Scale: it proves that a version of the object has this revision and this many replicas.
        judge_scale(past, answer, &object, &what, seen, verdict);
        return;
    }
    let terminated = answer.terminated(&object);
    let rv: u64 = text("/metadata/resourceVersion").and_then(|t| t.parse().ok()).unwrap_or(0);
    if let Some(version) = past.versions.get(&(uid.clone(), rv)) {
        if version.exact == exact::to_canonical(&object) {
            verdict.exact += 1;
            let span = spans.get(&(uid.clone(), rv)).copied().unwrap_or((answer.sent, answer.answered));
            if seen.insert((uid, rv), ()).is_some() {
                verdict.no_op += 1;
            } else {
                judge_time(version, span, outages, &what, verdict);
            }
            return;
        }
        let patch = exact::diff(&object, &exact::parse(&version.exact).unwrap_or(Value::Null));
        // The last finalizer went: the object was deleted from the version that the answer names, or from one that
        // another writer put in between.
        if terminated && past.deletes.get(&uid).is_some_and(|all| all.iter().any(|(d, base)| *d > rv && *base >= Some(rv))) {
            verdict.deletes += 1;
            return;
        }
        let shown: String = patch.to_string().chars().take(400).collect();
        verdict.failures.push(format!("{what}: revision {rv} reads differently: {shown}"));
        return;
    }
    if terminated && past.deletes.get(&uid).is_some_and(|all| all.iter().any(|(d, _)| *d >= rv)) {
        verdict.deletes += 1;
        return;
    }
    judge_missing(past, answer, &uid, rv, &what, verdict);
}

fn judge_missing(
    past: &Past,
    answer: &Answer,
    uid: &str,
    rv: u64,
    what: &str,
    verdict: &mut Verdict,
) {
    let kind = format!("{}/{}", answer.kind.group, answer.kind.resource);
    let inside = |grade: Grade| {
        past.gaps.iter().any(|(k, g)| *k == kind && g.grade == grade && g.from < rv && rv <= g.to)
    };
    let during = |grade: Grade| {
        let meets = |g: &Gap| g.time_from <= answer.answered && answer.sent <= g.time_to;
        past.gaps.iter().any(|(k, g)| *k == kind && g.grade == grade && meets(g))
    };
    let known = past.versions.keys().any(|(u, _)| u == uid);
    if inside(Grade::Lost) {
        verdict.lost += 1;
    } else if inside(Grade::Healed) && !known {
        verdict.born_and_gone += 1;
    } else if rv == 0 && during(Grade::Lost) {
        // A delete's Status has no revision: it is placed by its time.
        verdict.lost += 1;
    } else if rv == 0 && during(Grade::Healed) && !known {
        verdict.born_and_gone += 1;
    } else {
        verdict.failures.push(format!("{what}: revision {rv} of uid {uid} is not in the journal"));
    }
}

fn judge_scale(
    past: &Past,
    answer: &Answer,
    scale: &Value,
    what: &str,
    seen: &mut BTreeMap<(String, u64), ()>,
    verdict: &mut Verdict,
) {
    let uid = scale.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    let rv: u64 = scale
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    let Some(version) = past.versions.get(&(uid.clone(), rv)) else {
        judge_missing(past, answer, &uid, rv, what, verdict);
        return;
    };
    let state = exact::parse(&version.exact).unwrap_or(Value::Null);
    let wanted = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| Value::from(0_u64));
    let found = state.pointer("/spec/replicas").cloned().unwrap_or_else(|| Value::from(0_u64));
    if wanted == found {
        verdict.exact += 1;
        if seen.insert((uid, rv), ()).is_some() {
            verdict.no_op += 1;
        }
    } else {
        verdict
            .failures
            .push(format!("{what}: revision {rv} has {found} replicas, {wanted} were answered"));
    }
}

fn judge_time(
    version: &Version,
    (sent, answered): (i64, i64),
    outages: &[(i64, i64)],
    what: &str,
    verdict: &mut Verdict,
) {
    let (lo, hi) = (version.row.time_lo, version.row.time_hi);
    if hi < sent || lo > answered {
        verdict.time_failures.push(format!(
            "{what}: bounds [{lo}, {hi}] do not meet [{}, {}] (off by {} µs), source {}",
            sent,
            answered,
            (sent - hi).max(lo - answered),
            version.row.source,
        ));
    }
    if version.row.source == Source::List {
        return;
    }
    let caught_up = outages.iter().any(|(from, to)| *from <= answered && sent <= *to);
    if caught_up || version.row.source == Source::Healed {
        verdict.spread_catch_up.push(hi - lo);
    } else {
        verdict.spread_live.push(hi - lo);
    }
}

async fn read(journal: &Journal, keys: &[Arc<Key>]) -> Result<Past> {
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
        rows: rows.len(),
    };
    let mut state = State::default();
    let ours: Vec<String> = kinds().iter().map(|k| format!("{}/{}", k.group, k.resource)).collect();
    for row in &rows {
        state.apply(row, &Scope::default(), None)?;
        if row.op == Op::Gap {
            past.gaps.push((row.kind_key(), hindcast_journal::facts::read(row)?));
        }
        if !row.op.is_object() || !ours.contains(&row.kind_key()) {
            continue;
        }
        if row.op == Op::Delete {
            past.deletes.entry(row.uid.clone()).or_default().push((row.rv, row.base_rv));
            continue;
        }
        let entry = state.objects.get(&ObjectKey::of(row)).context("the row was just applied")?;
        let mut value = exact::parse(&entry.public())?;
        let object_key = row.key();
        for (path, cell) in &entry.cells {
            let place =
                Place { cluster: journal.cluster(), key: &object_key, namespace: &row.namespace };
            let plain = keys.open(journal.store(), place, cell).await?;
            *value.pointer_mut(path).context("a cell's path is in the object")? = plain;
        }
        let light = Row {
            pos: row.pos,
            change: hindcast_journal::Change { body: Body::None, ..row.change.clone() },
        };
        past.versions.insert(
            (row.uid.clone(), entry.object_rv),
            Version { exact: exact::to_canonical(&value), row: light },
        );
    }
    state.finish()?;
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
        let mut timeline = Timeline::open(journal, keys.to_vec()).await?;
        let moment = timeline.resolve(&At::Rev { rv, incarnation: None, domain: None }).await?;
        ensure!(moment.closed, "rev:{rv} is not closed: {:?}", moment.lagging);
        let view = timeline.view(moment, &Scope::default()).await?;
        for kind in kinds() {
            let mut ours: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
            for object in view
                .objects
                .iter()
                .filter(|o| o.row.group == kind.group && o.row.resource == kind.resource)
            {
                let value = timeline.reveal(object).await?;
                ours.insert(
                    (object.row.namespace.clone(), object.row.name.clone()),
                    exact::to_canonical(&value),
                );
            }
            let theirs = exact_list(client, &kind, rv).await?;
            let names =
                |m: &BTreeMap<(String, String), Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
            ensure!(
                names(&ours) == names(&theirs),
                "{} at rev {rv}: {:?} but the server has {:?}",
                kind.resource,
                names(&ours),
                names(&theirs)
            );
            for (name, bytes) in &theirs {
                let own = ours.get(name).context("names are equal")?;
                ensure!(
                    own == bytes,
                    "{} {name:?} at rev {rv}:\n{}\nbut the server has\n{}",
                    kind.resource,
                    String::from_utf8_lossy(own),
                    String::from_utf8_lossy(bytes)
                );
            }
        }
        compared += 1;
    }
    Ok(compared)
}

async fn exact_list(
    client: &Client,
    kind: &super::Kind,
    rv: u64,
) -> Result<BTreeMap<(String, String), Vec<u8>>> {
    let path =
        format!("{}/{}?resourceVersion={rv}&resourceVersionMatch=Exact", kind.api, kind.resource);
    let (status, body) = request(client, "GET", &path, None, "").await?;
    ensure!(status == 200, "GET {path}: {status} {}", String::from_utf8_lossy(&body));
    let list = exact::parse(&body)?;
    let mut out = BTreeMap::new();
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
