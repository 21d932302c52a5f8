//! The oracle: what the journal must say, given everything the server ever stored.
//!
//! Everything is compared from the server's own record of writes, naively, by scanning all of it. **What is checked**:
//! 1. the log is one: numbers, positions, epochs and chain follow, and every row proves its predecessor;
//! 2. every write of a covered kind stands in the log at its revision with its exact form, or lies in a `lost` gap, or
//!    is of an object born and gone inside a `healed` one;
//! 3. the log says nothing that did not happen, and marks what it can only tell through a later schema;
//! 4. the state at revisions, through the public timeline, is the server's state then;
//! 5. `verify` finds every file to be what was written [`files`];
//! 6. the Delta table has each row up to some position once ([`super::table`], [`files`]);
//! 7. who should be covered at the end is, who should not is not, and nothing is `lost` without a reason.
//!
//! A schema change alters what is read of a version: then any reading from the write's schema on is right, and at the
//! end only the newest. Start at [`check`].

use std::collections::BTreeMap;

use bytes::Bytes;
use hindcast_journal::{
    Journal, Past, Reader, Row,
    cut::At,
    facts::{self, Gap, Grade, Mark, Uncovered},
    fold::{self, ObjectKey, Scope, State},
    parts::Micros,
    row::{Op, Source},
    segment::FrontierVector,
    verify::{self, Asked, Verdict},
};
use hindcast_restorer::{Protection, View};
use object_store::path::Path;

use super::{
    api::{
        Server,
        state::{Event, Key, KindState, Schema, State as ServerState, Verb},
    },
    faults::Fault,
    harness::some,
    store::Bucket,
    table,
    world::Process,
};

/// Where journals are in a simulated bucket.
pub const PREFIX: &str = "p";

/// Revisions at which the state is compared.
const CUTS: usize = 10;
/// How many seeds of a thousand are read as a whole at their end.
const WHOLE: u64 = 400;
/// A server's `Date` is cut to a second, and a clock that differs from it by less than a quarter more agrees, in
/// microseconds.
pub(super) const CLOCKS_AGREE: i64 = 1_250_000;

/// A version as the log has it.
struct Version {
    life: u32,
    op: Op,
    source: Source,
    pos: u64,
    rv: u64,
    object_rv: u64,
    exact: Bytes,
    bounds: (i64, i64),
}

/// The log, folded row by row.
struct Log {
    versions: BTreeMap<(String, Key), Vec<Version>>,
    state: State,
    /// How far each segment says that the log is closed.
    frontiers: Vec<(u64, FrontierVector)>,
    /// Op, position, revision and upper bound of every row, for messages.
    told: Vec<(Op, u64, u64, i64)>,
    /// Why each further life of a counter was begun.
    lives: Vec<String>,
}

/// Compares a bucket with the server's record. `events` says whether Events are protected.
pub async fn check(server: &Server, bucket: &Bucket, events: bool) -> Vec<String> {
    let checker = Process::new("checker", server.world());
    let journal = Journal::open(bucket.direct(), &Path::from(PREFIX), &server.cluster(), checker.parts());
    let log = match read(&journal).await {
        Ok(log) => log,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    let clocks_err = clocks_err(server);
    let fired = server.world().faults.fired();
    // The newest life of the main counter: that of the server, and as the log has it.
    let life = log.state.lives.get(hindcast_journal::cut::MAIN).copied().unwrap_or(0);
    if life > u32::from(fired.contains_key(&Fault::EtcdSwap)) {
        problems.push(format!("incarnation {life} begins without a reason: {:?}", log.lives));
    }
    let stopped = fired.contains_key(&Fault::Stopped);
    let alone = server.look(|state| if stopped { state.times_off.clone() } else { Vec::new() });
    let clocks = Clocks { slack: if clocks_err { CLOCKS_AGREE } else { 0 }, alone };
    server.look(|state| {
        for (kind, ks) in &state.kinds {
            let newest = if ks.kind.domain == 0 { life } else { 0 };
            // Where all that the copy lacks is gone without a trace, and the history before is compacted, it looks as
            // if it had been deleted.
            let before = state.ended.as_ref().filter(|_| newest == 0).and_then(|(_, kinds)| kinds.get(kind));
            versions(kind, ks, before, (&log, newest, &clocks, u64::MAX), &mut problems);
            coverage(kind, ks, events, &log.state, &mut problems);
        }
        if let Some((_, ended)) = state.ended.as_ref().filter(|_| life > 0) {
            let main = ended.iter().filter(|(_, ks)| ks.kind.domain == 0);
            let tip = main.clone().filter_map(|(_, ks)| ks.events.last()).map(|e| e.rv).max().unwrap_or(0);
            for (kind, ks) in main {
                versions(kind, ks, None, (&log, 0, &clocks, tip), &mut problems);
            }
        }
    });
    // What a watch did not tell is lost, and said to be.
    let misled = Fault::WATCH_BUGS.iter().any(|bug| fired.contains_key(bug));
    if !misled && !fired.contains_key(&Fault::LongOutage) && !fired.contains_key(&Fault::EtcdSwap) {
        for (kind, known) in &log.state.kinds {
            for (_, gap) in known.gaps.iter().filter(|(_, gap)| gap.grade == Grade::Lost) {
                problems.push(format!("{kind}: lost without a long outage: {gap:?}"));
            }
        }
    }
    server.look(|state| {
        for (segment, frontier) in &log.frontiers {
            let slack = if clocks_err { CLOCKS_AGREE } else { 0 };
            closed_time((*segment, frontier), state, (&log, life), slack, &mut problems);
        }
    });
    let honest = !clocks_err && !fired.contains_key(&Fault::ServerClock);
    cuts(server, &journal, (&log, life), honest, &mut problems).await;
    for _ in 0..CUTS {
        if let Err(e) = moment(server, &journal, (&log, life), &mut problems).await {
            problems.push(format!("a moment cannot be read: {e}"));
        }
    }
    some(problems)
}

/// What `verify` says of every file, and whether the Delta table has each row once. Both read everything, which takes as long as the
/// history took to be made: so it is of some seeds.
pub async fn files(server: &Server, bucket: &Bucket) -> Vec<String> {
    if !server.world().draw(|rng| rng.permille(WHOLE)) {
        return Vec::new();
    }
    let checker = Process::new("auditor", server.world());
    let journal = Journal::open(bucket.direct(), &Path::from(PREFIX), &server.cluster(), checker.parts());
    let mut problems = whole(&journal).await;
    problems.extend(table::check(&journal).await);
    some(problems)
}

/// What `verify` finds in a journal that nobody tampered with, whatever was merged, removed, or died midway.
async fn whole(journal: &Journal) -> Vec<String> {
    match verify::verify(journal, &Asked::default(), &|_| {}).await {
        Ok(mut report) => {
            // A writer that slept through the removal of a segment may have put one of its own into the free name.
            report.findings.retain(|finding| finding.verdict != Verdict::Late);
            let found = report.findings.into_iter().map(|finding| format!("verify: {finding:?}"));
            found.chain(report.unproven.into_iter().map(|what| format!("verify: unproven: {what}"))).collect()
        }
        Err(error) => vec![format!("verify: {error}")],
    }
}

/// How far bounds of time may be wrong.
struct Clocks {
    /// A clock that is off by less than what clocks may differ by is believed.
    slack: i64,
    /// When the server's clock was off, where a process stood still: when it goes on its own clock has no vote for a
    /// moment, and the server's is believed alone.
    alone: Vec<(i64, i64)>,
}

impl Clocks {
    fn server_alone(&self, at: i64) -> bool {
        self.alone.iter().any(|(from, to)| (*from..*to).contains(&at))
    }
}

/// Whether a process's clock was off for a while.
fn clocks_err(server: &Server) -> bool {
    let fired = server.world().faults.fired();
    [Fault::ClockStep, Fault::ClockWrong, Fault::ClockDrift].iter().any(|fault| fired.contains_key(fault))
}

/// Reads the whole log.
async fn read(journal: &Journal) -> Result<Log, String> {
    let mut tail = journal.tail(0).await.map_err(|e| format!("the journal has a hole: {e}"))?;
    let mut log = Log {
        versions: BTreeMap::new(),
        state: State::default(),
        frontiers: Vec::new(),
        told: Vec::new(),
        lives: Vec::new(),
    };
    while let Some(segment) = tail.ready().await.map_err(|e| format!("the journal is broken: {e}"))? {
        if segment.meta.segment != log.frontiers.len() as u64 + 1 {
            return Err(format!(
                "segment {} is number {} of those read",
                segment.meta.segment,
                log.frontiers.len() + 1
            ));
        }
        log.frontiers.push((segment.meta.segment, segment.meta.frontier.clone()));
        for row in segment.rows.iter() {
            log.take(row).map_err(|e| format!("the fold fails at {}: {e}", row.pos))?;
        }
    }
    Ok(log)
}

impl Log {
    /// A short form of an object's rows.
    fn rows(&self, kind: &str, key: &Key) -> String {
        let all = self.versions.get(&(kind.to_owned(), key.clone()));
        let row = |v: &Version| format!("{}:{} {} {}/{}@{}", v.pos, v.op, v.source, v.object_rv, v.rv, v.life);
        all.map_or_else(String::new, |all| all.iter().map(row).collect::<Vec<_>>().join(", "))
    }

    fn take(&mut self, row: &Row) -> hindcast_journal::Result<()> {
        self.state.apply(row, &Scope::default(), None)?;
        self.told.push((row.op, row.pos, row.rv, row.time_hi));
        if let (Op::Mark, Ok(Mark::Incarnation { last, why })) = (row.op, facts::read(row)) {
            self.lives.push(format!("{} after {last}: {why}", row.incarnation));
        }
        if !row.op.is_object() {
            return Ok(());
        }
        let entry = self.state.objects.get(&ObjectKey::of(row));
        let key = (row.kind_key(), (row.namespace.clone(), row.name.clone()));
        self.versions.entry(key).or_default().push(Version {
            life: row.incarnation,
            op: row.op,
            source: row.source,
            pos: row.pos,
            rv: row.rv,
            object_rv: entry.map_or(row.rv, |e| e.object_rv),
            exact: entry.map(fold::Entry::public).unwrap_or_default(),
            bounds: (row.time_lo, row.time_hi),
        });
        Ok(())
    }
}

/// The exact form of a write under a schema, in the version that is pinned: the first served.
fn exact(ks: &KindState, event: &Event, schema: &Schema) -> String {
    let mut object = KindState::read(event, schema);
    object.at("metadata").remove("managedFields");
    object.set("kind", ks.kind.kind.as_str());
    let version = ks.kind.served.first().map_or("", String::as_str);
    object.set("apiVersion", ks.kind.api_version(version));
    let mut out = String::new();
    object.exact(&mut out);
    out
}

/// Whether the reading of the write by the schema of its own time is `found`.
fn read_then(ks: &KindState, event: &Event, found: &[u8]) -> bool {
    let schema =
        ks.schemas.iter().rfind(|(from, _)| *from <= event.rv).map_or_else(|| ks.schema(), |(_, schema)| schema);
    exact(ks, event, schema).as_bytes() == found
}

/// Whether some reading of the write, by its own schema or a later one, is `found`.
fn reads_as(ks: &KindState, event: &Event, found: &[u8]) -> bool {
    let first = ks.schemas.partition_point(|(from, _)| *from <= event.rv).saturating_sub(1);
    ks.schemas.iter().skip(first).any(|(_, schema)| exact(ks, event, schema).as_bytes() == found)
}

/// Whether a revision lies in a gap.
fn inside(gap: &Gap, rv: u64) -> bool {
    gap.from < rv && rv <= gap.to
}

/// A short form of gaps.
fn short(gaps: &[(u32, Gap)]) -> Vec<String> {
    gaps.iter().map(|(_, g)| format!("({}, {}] {}", g.from, g.to, g.grade.as_str())).collect()
}

/// Whether a gap excuses the log for not having the write.
pub(super) fn excused(ks: &KindState, event: &Event, gaps: &[(u32, Gap)]) -> bool {
    gaps.iter().any(|(_, gap)| {
        inside(gap, event.rv)
            && (gap.grade == Grade::Lost || {
                // Born and gone inside: both ends of this life of the object.
                let life = || ks.events.iter().filter(|e| e.key == event.key && e.uid == event.uid);
                life().any(|e| e.verb == Verb::Added && inside(gap, e.rv))
                    && life().any(|e| e.verb == Verb::Deleted && inside(gap, e.rv))
            })
    })
}

/// Every write of a kind against the log, and the log against every write.
fn versions(
    kind: &str,
    ks: &KindState,
    before: Option<&KindState>,
    (log, life, clocks, tip): (&Log, u32, &Clocks, u64),
    problems: &mut Vec<String>,
) {
    let known = log.state.kinds.get(kind);
    let gaps: Vec<(u32, Gap)> =
        known.map_or(&[][..], |k| &k.gaps).iter().filter(|(of, _)| *of == life).cloned().collect();
    let gaps = gaps.as_slice();
    let covers = known.map_or(&[][..], |k| &k.covers);
    let covered = |rv: u64| known.is_some_and(|known| is_covered(known, life, rv));
    // A healing that met the next life before anybody knew of it: readers leave out what it brought.
    let end = covers
        .iter()
        .filter_map(|c| c.end.as_ref())
        .find(|(end, _, why)| end.incarnation == life && why.reason == Uncovered::Incarnation);
    // So did what was listed beyond the last revision of the life, by a kind that nothing contradicted.
    let torn = |version: &Version| {
        version.rv > tip || (version.source == Source::Healed && end.is_some_and(|(end, ..)| version.rv > end.rv))
    };
    // What was made and put back is gone inside an interval that reaches into the next life.
    let put_back = |rv: u64| gaps.iter().any(|(_, gap)| gap.to > tip && inside(gap, rv));
    for event in ks.events.iter().filter(|e| covered(e.rv)) {
        let found = log.versions.get(&(kind.to_owned(), event.key.clone()));
        let found = found.and_then(|all| all.iter().find(|v| v.life == life && v.rv == event.rv && v.op != Op::Reread));
        let what = format!("{kind} {}/{} at {} ({:?})", event.key.0, event.key.1, event.rv, event.verb);
        let Some(found) = found else {
            if !excused(ks, event, gaps) && !put_back(event.rv) {
                problems.push(format!(
                    "{what} is missing; gaps {:?}; rows {}",
                    short(gaps),
                    log.rows(kind, &event.key)
                ));
            }
            continue;
        };
        // Where versions are lost, the end of an object before may stand at any of them.
        let of_another = found.op == Op::Delete && found.source != Source::Watch && excused(ks, event, gaps);
        if of_another {
            continue;
        }
        if (found.op == Op::Delete) != (event.verb == Verb::Deleted) {
            problems.push(format!("{what} stands as {} at position {}", found.op, found.pos));
        } else if found.op != Op::Delete && !reads_as(ks, event, &found.exact) {
            let text = String::from_utf8_lossy(&found.exact);
            problems.push(format!("{what} reads as {text}, not as {}", exact(ks, event, ks.schema())));
        }
        if found.source == Source::Healed && found.op != Op::Delete && !read_then(ks, event, &found.exact) {
            problems
                .push(format!("{what} was read through a later schema and is not marked, at position {}", found.pos));
        }
        if found.source == Source::HealedLater && !ks.schemas.iter().any(|(from, _)| *from > event.rv) {
            problems.push(format!(
                "{what} is said to be read through a later schema, and there was none, at position {}",
                found.pos
            ));
        }
        if found.bounds.1 + clocks.slack < event.at && !clocks.server_alone(event.at) {
            let (at, (lo, hi)) = (event.at, found.bounds);
            problems.push(format!(
                "{what} was committed at {at}, after its bounds {lo} to {hi}, position {} ({})",
                found.pos, found.source
            ));
        }
    }
    for ((of, key), all) in &log.versions {
        if of != kind {
            continue;
        }
        for version in all.iter().filter(|version| version.life == life && !torn(version)) {
            let all = ks.events.iter().chain(before.into_iter().flat_map(|before| &before.events));
            let real = all.clone().find(|e| e.key == *key && e.rv == version.object_rv);
            let known_loss = gaps.iter().any(|(_, g)| g.grade == Grade::Lost && inside(g, version.rv));
            // What went while the kind was not covered is only known to be gone, whether a list shows that or the version
            // of another object of the name, found when the kind was taken away in the middle of recovering it.
            let gone = version.op == Op::Delete && version.source != Source::Watch && !covered(version.rv);
            if real.is_none() && !known_loss && !gone {
                problems.push(format!(
                    "{kind} {}/{} at {} ({}, {}) never happened; position {}, gaps {:?}",
                    key.0,
                    key.1,
                    version.object_rv,
                    version.op,
                    version.source,
                    version.pos,
                    short(gaps)
                ));
            } else if let (Some(real), Op::Reread) = (real, version.op) {
                // Where nobody could tell that the store was put back, the definitions before are of the same life.
                let mut known = std::iter::once(ks).chain(before);
                if !known.any(|ks| reads_as(ks, real, &version.exact)) {
                    problems.push(format!("{kind} {}/{} is reread as what no schema gives", key.0, key.1));
                }
            }
        }
    }
}

/// Whether a revision of a kind lies in an interval of its protection in a life of its counter.
fn is_covered(known: &fold::KindState, life: u32, rv: u64) -> bool {
    covers(known, life, rv).next().is_some()
}

/// The intervals that it lies in.
fn covers(known: &fold::KindState, life: u32, rv: u64) -> impl Iterator<Item = &fold::Cover> {
    let own = known.covers.iter().filter(move |c| c.from.incarnation == life);
    own.filter(move |c| c.from.rv < rv && c.end.as_ref().is_none_or(|(end, ..)| rv <= end.rv))
}

/// Every write of a kind in a life of its counter, when the newest one is `newest`. Nothing where a store was put back
/// and nobody could tell: then both lives are one.
fn writes<'a>(state: &'a ServerState, kind: &str, life: u32, newest: u32) -> &'a [Event] {
    let ks = match &state.ended {
        Some(_) if newest == 0 => None,
        Some((_, ended)) if life < newest => ended.get(kind),
        _ => state.kinds.get(kind),
    };
    ks.map_or(&[], |ks| &ks.events)
}

/// What a segment says is closed is: nothing that was committed before the closed time has a higher revision.
fn closed_time(
    (segment, frontier): (u64, &FrontierVector),
    state: &ServerState,
    (log, newest): (&Log, u32),
    slack: i64,
    problems: &mut Vec<String>,
) {
    for kind in state.kinds.keys() {
        let Some(known) = log.state.kinds.get(kind) else { continue };
        let Some(point) = frontier.get(&known.discovery.domain) else { continue };
        let life = point.incarnation;
        let newest = if known.discovery.domain == hindcast_journal::cut::MAIN { newest } else { life };
        let mut late = writes(state, kind, life, newest).iter();
        let late = late.find(|e| e.rv > point.rv && e.at + slack < point.time && is_covered(known, life, e.rv));
        if let Some(event) = late {
            problems.push(format!(
                "segment {segment} says that {} is closed at {} up to {}, but {kind} {}/{} was written at {}, at {}",
                known.discovery.domain, point.rv, point.time, event.key.0, event.key.1, event.rv, event.at
            ));
        }
    }
}

/// The same moment, looked for with as little reading as does: what is not the same of it.
async fn looked(journal: &Journal, past: &Past, time: Micros) -> hindcast_journal::Result<Option<String>> {
    let other = Reader::open(journal).await?.look(&At::Time(time)).await?;
    if other.moment() != past.moment() {
        return Ok(Some(format!("{time} is {:?}, and looked for {:?}", past.moment(), other.moment())));
    }
    for scope in [Scope::nothing(), Scope { namespace: Some("default".into()), ..Scope::default() }, Scope::default()] {
        let (all, few) = (past.state(&scope).await?, other.state(&scope).await?);
        let (all, few) = (format!("{all:?}"), format!("{few:?}"));
        if all != few {
            return Ok(Some(format!("the state at {time} of {scope:?} is {all}, and looked for {few}")));
        }
    }
    Ok(None)
}

/// A moment, asked of the bucket alone: what was committed by then is in its cut or named as uncertain, and what was
/// committed later is not in it.
async fn moment(
    server: &Server,
    journal: &Journal,
    (log, newest): (&Log, u32),
    problems: &mut Vec<String>,
) -> hindcast_journal::Result<()> {
    let Some((_, frontier)) = log.frontiers.last() else { return Ok(()) };
    let Some(closed) = frontier.values().map(|point| point.time).min() else { return Ok(()) };
    let begin = log.state.kinds.values().flat_map(|kind| &kind.covers).map(|cover| cover.from_time).min();
    let Some(begin) = begin.filter(|begin| *begin < closed) else { return Ok(()) };
    let time = begin + server.world().draw(|rng| rng.below((closed - begin) as u64)) as i64;
    let past = journal.at(&At::Time(time)).await?;
    let moment = past.moment();
    problems.extend(looked(journal, &past, time).await?);
    if moment.beyond.is_some() {
        problems.push(format!("{time} is closed at the end ({closed}), and said to be beyond: {moment:?}"));
    }
    let slack = if clocks_err(server) { CLOCKS_AGREE } else { 0 };
    let stamped_wrong = server.world().faults.fired().contains_key(&Fault::ServerClock);
    server.look(|state| {
        for (kind, ks) in &state.kinds {
            let Some(known) = log.state.kinds.get(kind) else { continue };
            let Some(cut) = moment.cut.domains.get(&known.discovery.domain) else { continue };
            let life = cut.incarnation;
            let newest = if known.discovery.domain == hindcast_journal::cut::MAIN { newest } else { life };
            let written = writes(state, kind, life, newest).iter();
            // A kind that was taken in later may have been listed at a revision before: its protection began with a
            // moment.
            let begun = |e: &&Event| covers(known, life, e.rv).any(|cover| cover.from_time <= time);
            for event in written.filter(begun) {
                let what = || format!("{kind} {}/{} at {}", event.key.0, event.key.1, event.rv);
                if event.rv <= cut.rv && event.at > time + slack {
                    let by: Vec<_> = log.told.iter().filter(|row| row.2 == cut.rv).collect();
                    problems.push(format!(
                        "{} was committed {} µs after {time}, and is in its cut: {by:?}",
                        what(),
                        event.at - time
                    ));
                }
                let row = log.versions.get(&(kind.clone(), event.key.clone()));
                let row =
                    row.and_then(|all| all.iter().find(|v| v.life == life && v.rv == event.rv && v.op != Op::Reread));
                let named = |pos: u64| moment.uncertain.iter().any(|change| change.pos == pos);
                let row = row.filter(|row| event.rv > cut.rv && event.at <= time && !named(row.pos));
                // The server's own stamps tighten lower bounds, and are wrong where its clock was; so does the guess
                // that a watch is quick.
                if let Some(row) = row.filter(|_| !stamped_wrong && !ks.delayed) {
                    problems.push(format!(
                        "{} was committed {} µs before {time}, and is neither in its cut {:?} nor uncertain: {:?}",
                        what(),
                        time - event.at,
                        moment.cut.domains,
                        row.bounds
                    ));
                }
            }
        }
    });
    Ok(())
}

/// Whether a kind is covered as it should be at the end.
fn coverage(kind: &str, ks: &KindState, events: bool, state: &State, problems: &mut Vec<String>) {
    let excluded = (kind == "/events" && !events) || kind == super::api::LEASES;
    let should = ks.served && !ks.forbidden && !excluded;
    let is = state.kinds.get(kind).is_some_and(fold::KindState::is_covered);
    if should != is {
        let why = state.kinds.get(kind).map(|k| (&k.uncovered, k.covers.last()));
        problems.push(format!("{kind} should be covered at the end: {should}; is: {is} ({why:?})"));
    }
}

/// The state at some revisions and times, and at the end, through the public reader.
async fn cuts(server: &Server, journal: &Journal, (log, life): (&Log, u32), honest: bool, problems: &mut Vec<String>) {
    // Leases are written all the time, and nobody protects them.
    fn written(kinds: &BTreeMap<String, KindState>) -> Vec<u64> {
        let main = kinds.iter().filter(|(kind, ks)| ks.kind.domain == 0 && *kind != super::api::LEASES);
        let mut all: Vec<u64> = main.flat_map(|(_, ks)| ks.events.iter().map(|e| e.rv)).collect();
        all.sort_unstable();
        all
    }
    let (now, ended) = server.look(|state| {
        let ended = state.ended.as_ref().filter(|_| life > 0);
        let unseen = state
            .ended
            .as_ref()
            .filter(|_| life == 0)
            .map_or(0, |(_, kinds)| written(kinds).last().copied().unwrap_or(0));
        let mut now = written(&state.kinds);
        now.retain(|rv| *rv > unseen);
        (now, ended.map(|(at, kinds)| (*at, written(kinds))))
    });
    let tip = now.last().copied().unwrap_or(0);
    for i in 0..=CUTS {
        let rv = server.world().draw(|rng| rng.pick(&now).copied()).unwrap_or(tip);
        let question = match &ended {
            _ if i == CUTS => (At::Now, life),
            Some((_, before)) if i % 2 == 1 => {
                let rv = server.world().draw(|rng| rng.pick(before).copied()).unwrap_or(0);
                (At::Rev { rv, incarnation: Some(0), domain: None }, 0)
            }
            Some(_) => (At::Rev { rv, incarnation: Some(life), domain: None }, life),
            None => (At::Rev { rv, incarnation: None, domain: None }, life),
        };
        if let Err(e) = cut((server, journal, log), &question, tip, problems).await {
            problems.push(format!("the state at {question:?} cannot be read: {e}"));
        }
    }
    // The moments around the end of a life are answered from it, and nothing later is claimed to be certain.
    let Some((swapped, _)) = ended.filter(|_| honest) else { return };
    for _ in 0..CUTS {
        let time = swapped - server.world().draw(|rng| rng.below(30_000_000)) as i64;
        if let Err(e) = cut((server, journal, log), &(At::Time(time), 0), tip, problems).await {
            problems.push(format!("the state at {time} cannot be read: {e}"));
        }
    }
}

async fn cut(
    (server, journal, log): (&Server, &Journal, &Log),
    (at, life): &(At, u32),
    tip: u64,
    problems: &mut Vec<String>,
) -> hindcast_journal::Result<()> {
    let past = journal.at(at).await?;
    let moment = past.moment();
    let last = *at == At::Now;
    let Some(point) = moment.cut.domains.get(hindcast_journal::cut::MAIN).copied() else {
        if last {
            problems.push("nothing is known of now".to_owned());
        }
        return Ok(());
    };
    let rv = point.rv;
    if point.incarnation != *life {
        problems.push(format!("{at:?} is answered from another life than {life}: {:?}", moment.cut));
        return Ok(());
    }
    let is_open = !moment.closed && moment.ended.is_empty();
    if (is_open && !matches!(at, At::Time(_))) || (last && (!moment.closed || rv < tip)) {
        problems.push(format!("the cut at {at:?} is not closed: {:?}", moment.cut));
        return Ok(());
    }
    let closed = moment.closed;
    let view = View::of(&past, &Scope::default()).await?;
    let mut found: BTreeMap<(String, Key), _> = BTreeMap::new();
    for object in &view.objects {
        let row = &object.row;
        let exact = hindcast_journal::exact::to_canonical(&object.value);
        found.insert((row.kind_key(), (row.namespace.clone(), row.name.clone())), exact);
    }
    server.look(|state| {
        let newest =
            state.ended.as_ref().filter(|_| *life == 0 && log.state.lives.get(hindcast_journal::cut::MAIN) > Some(&0));
        let kinds = newest.map_or(&state.kinds, |(_, kinds)| kinds);
        let own = kinds.iter().filter(|(_, ks)| ks.kind.domain == 0);
        let tip = own.filter_map(|(_, ks)| ks.events.last()).map(|e| e.rv).max().unwrap_or(0);
        for (kind, ks) in kinds.iter().filter(|(_, ks)| ks.kind.domain == 0) {
            let rv = match view.protection(kind) {
                Protection::Protected => rv,
                Protection::LastKnown { rv: last, .. } => rv.min(last),
                Protection::NotProtected(_) => continue,
            };
            if let (true, At::Time(time)) = (closed, at) {
                // What may have been before or after that time is named beside the answer.
                let straddles = |event: &&Event| {
                    let all = log.versions.get(&(kind.clone(), event.key.clone()));
                    // A list that lacks an object does not tell at which revision it went.
                    let found_gone = |v: &Version| v.op == Op::Delete && v.source == Source::List && v.rv > event.rv;
                    all.is_some_and(|all| {
                        all.iter().any(|v| {
                            let same = v.rv == event.rv || (event.verb == Verb::Deleted && found_gone(v));
                            v.life == *life && same && v.bounds.0 <= *time
                        })
                    })
                };
                let all = view.kinds.get(kind).map_or(&[][..], |k| &k.gaps);
                let after = ks.events.iter().filter(|event| event.rv > rv && event.at <= *time);
                for event in after.filter(|event| !straddles(event) && !excused(ks, event, all)) {
                    problems.push(format!(
                        "at {time} {kind} at {} ({:?}) had happened, and the cut {rv} is closed; rows {}",
                        event.rv,
                        event.key,
                        log.rows(kind, &event.key)
                    ));
                }
            }
            let gaps: Vec<(u32, Gap)> = view
                .kinds
                .get(kind)
                .map_or_else(Vec::new, |k| k.gaps.iter().filter(|(of, _)| of == life).cloned().collect());
            let gaps = gaps.as_slice();
            let then = ks.at(rv);
            for (key, event) in &then {
                let exact = found.remove(&(kind.clone(), (*key).clone()));
                let right = exact.as_ref().is_some_and(|exact| {
                    if last {
                        self::exact(ks, event, ks.schema()).as_bytes() == exact
                    } else {
                        reads_as(ks, event, exact)
                    }
                });
                let lossy = gaps.iter().any(|(_, g)| g.grade == Grade::Lost && inside(g, rv));
                // As in [`versions`]: an interval that reaches into the next life.
                let put_back = newest.is_some() && gaps.iter().any(|(_, g)| g.to > tip && inside(g, event.rv));
                if !right && !lossy && !put_back && !excused(ks, event, gaps) {
                    let found = exact.map(|e| String::from_utf8_lossy(&e).into_owned());
                    problems.push(format!(
                        "at {at:?} = {rv} {kind} {}/{} is {found:?}, not {}; gaps {:?}; rows {}",
                        key.0,
                        key.1,
                        self::exact(ks, event, ks.schema()),
                        short(gaps),
                        log.rows(kind, key)
                    ));
                }
            }
        }
        found.retain(|(kind, _), _| {
            let gaps = view.kinds.get(kind).map_or(&[][..], |k| &k.gaps);
            let main = kinds.get(kind).is_none_or(|ks| ks.kind.domain == 0);
            main && !gaps.iter().any(|(of, g)| of == life && g.grade == Grade::Lost && inside(g, rv))
        });
    });
    for (kind, key) in found.into_keys() {
        let gaps = view.kinds.get(&kind).map_or_else(Vec::new, |k| short(&k.gaps));
        problems.push(format!(
            "at {at:?} = {rv} {kind} {}/{} is there, and was not; gaps {gaps:?}; rows {}",
            key.0,
            key.1,
            log.rows(&kind, &key)
        ));
    }
    Ok(())
}
