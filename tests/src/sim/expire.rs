//! Retention under faults: processes that thin the past out and die at any step, readers that began before, and what is answered
//! after all of it.
//!
//! **Checked**, against the same bucket as if nothing had ever expired: what is kept is answered as it always was, to the byte; a moment that
//! was thinned out is answered by the cut that it names, or refused; everything younger than the policy says is there, each mark of a
//! tier is, and the newest state; `verify` misses nothing; and no reader that began within the grace failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hindcast_compactor::expire::{self, Every, Retention, Settings, Tier};
use hindcast_journal::{
    Journal, Moment, Reader,
    checkpoint::{Expired, Manifest},
    cut::{At, MAIN},
    exact,
    expiry::{self, Statement},
    fold::Scope,
    layout::Layout,
    parts::Micros,
    row::Op,
    verify::{self, Asked, Verdict},
};
use hindcast_restorer::{Protection, View};
use object_store::path::Path;
use tokio::task::JoinHandle;

use super::{
    api::Server,
    check::PREFIX,
    faults::Fault,
    harness::some,
    store::Bucket,
    world::{Process, World},
};

/// Moments at which both are asked.
const MOMENTS: usize = 24;

/// What is kept, on the scale of a simulation.
fn retention() -> Retention {
    Retention {
        all: Duration::from_mins(1),
        tiers: vec![Tier { every: Every::Span(15_000_000), keep: Duration::from_mins(4) }],
        grace: Duration::from_secs(20),
    }
}

/// Processes that thin the past out, and readers.
pub struct Expiring {
    world: Arc<World>,
    server: Server,
    bucket: Bucket,
    problems: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

type Shown = BTreeMap<String, (String, Bytes)>;
type Ends = (Arc<World>, Server, Bucket);

impl Expiring {
    /// Starts them; they go on for as long as the simulation does.
    pub fn start(world: &Arc<World>, server: &Server, bucket: &Bucket) -> Self {
        bucket.may_expire();
        let ends = || (world.clone(), server.clone(), bucket.clone());
        let problems = Arc::default();
        // Two at a time, which do not know of each other.
        let expirers = (0..2).map(|n| tokio::task::spawn_local(expirers(ends(), n)));
        let mut tasks: Vec<JoinHandle<()>> = expirers.collect();
        tasks.push(tokio::task::spawn_local(readers(ends(), Arc::clone(&problems))));
        let (world, server, bucket) = ends();
        Self { world, server, bucket, problems, tasks }
    }

    /// Ends them wherever they are.
    pub fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    fn journal(&self, bucket: &Bucket, process: &Arc<Process>) -> Journal {
        Journal::open(bucket.direct(), &Path::from(PREFIX), &self.server.cluster(), process.parts())
    }

    /// Compares what is answered with what would be.
    pub async fn check(self, whole: &Bucket) -> Vec<String> {
        let mut problems = std::mem::take(&mut *self.problems.lock().expect("no holder panics"));
        let process = Process::new("asker", &self.world);
        let (actual, whole) = (self.journal(&self.bucket, &process), self.journal(whole, &process));
        // What the last of them left is finished, and nothing is lost by that.
        let settled = match expiry::settle(&actual).await {
            Ok(Some(settled)) => settled,
            Ok(None) => return some(problems),
            Err(e) => {
                problems.push(format!("what was decided cannot be finished: {e}"));
                return some(problems);
            }
        };
        if let Err(e) = self.compare(&settled, (&actual, &whole), &mut problems).await {
            problems.push(format!("what is kept cannot be compared: {e}"));
        }
        some(problems)
    }

    async fn compare(
        &self,
        (expired, statement): &(Expired, Statement),
        (actual, whole): (&Journal, &Journal),
        problems: &mut Vec<String>,
    ) -> hindcast_journal::Result<()> {
        let retention = retention();
        let micros = |duration: Duration| duration.as_micros() as i64;
        let closed = whole.at(&At::Now).await?.moment().frontier.values().map(|point| point.time).min().unwrap_or(0);
        if expired.whole > closed - micros(retention.all) {
            problems.push(format!("{} is thinned out, and all is closed up to {closed}", expired.whole));
        }
        let mut asked: Vec<At> = vec![At::Now, At::Time(expired.whole + 1)];
        let begin = super::world::EPOCH;
        for _ in 0..MOMENTS {
            asked.push(At::Time(begin + self.world.draw(|rng| rng.below((closed - begin) as u64)) as i64));
        }
        // What is recovered of a kind that was let go comes later than what is kept here, where a policy in earnest waits longer.
        let kinds = whole.at(&At::NowOpen).await?.state(&Scope::nothing()).await?.state.kinds;
        // That it was let go a cover no longer tells once all in between was recovered.
        let let_go = let_go(whole).await?;
        let steady = |kind: &str| {
            !let_go.contains(kind) && kinds.get(kind).is_some_and(|kind| kind.covers.len() == 1 && kind.is_covered())
        };
        let swapped = self.world.faults.fired().contains_key(&Fault::EtcdSwap);
        let calm = !swapped && kinds.iter().all(|(kind, known)| known.covers.is_empty() || steady(kind));
        // Those that must be there to the byte.
        let kept = statement.kept.iter().flat_map(|kept| &kept.exactly);
        let mut exactly: Vec<At> = kept.map(|exactly| At::Time(exactly.time)).collect();
        let since = kinds.values().flat_map(|known| &known.covers).map(|cover| cover.from_time).min().unwrap_or(begin);
        let mut marks = Vec::new();
        for tier in retention.tiers.iter().filter(|_| calm) {
            let mut mark = tier.every.first_from((closed - micros(tier.keep)).max(since));
            while let Some(time) = mark.filter(|time| *time <= closed) {
                // At a moment of which nothing is closed there is no cut to keep.
                if Reader::open(whole).await?.at_cut(&At::Time(time)).await?.is_some() {
                    marks.push(time);
                }
                mark = tier.every.first_from(time + 1);
            }
        }
        for time in &marks {
            let rivals = marks.iter().filter(|other| *other >= time).count();
            if has_room(whole, *time, rivals).await? {
                exactly.push(At::Time(*time));
            }
        }
        for question in asked.iter().chain(&exactly) {
            let must = exactly.contains(question) || matches!(question, At::Time(time) if *time > expired.whole);
            let (moment, found, _) = match shown(actual, question).await {
                Ok(shown) => shown,
                Err(e) => {
                    if must || matches!(question, At::Time(time) if *time >= expired.oldest) {
                        problems.push(format!("{question:?} is not answered: {e}; {expired:?}"));
                    }
                    continue;
                }
            };
            let instead = match (moment.thinned, moment.cut.domains.get(MAIN)) {
                (None, _) => question.clone(),
                (Some(_), _) if must => {
                    problems.push(format!("{question:?} must be kept, and is thinned out: {moment:?}; {expired:?}"));
                    continue;
                }
                (Some(_), Some(main)) => At::Rev { rv: main.rv, incarnation: Some(main.incarnation), domain: None },
                (Some(_), None) => continue,
            };
            let (then, wanted, protected) = shown(whole, &instead).await?;
            if moment.thinned.is_none() && (&then.cut, then.closed) != (&moment.cut, moment.closed) {
                problems.push(format!("{question:?} is of {:?}, and was of {:?}", moment.cut, then.cut));
            }
            // Another domain may have been closed further at the revision than at the moment.
            if moment.thinned.is_some() && then.cut != moment.cut {
                continue;
            }
            let read = matches!(question, At::Time(time) if *time <= expired.whole);
            // A kind may have come under protection at the very revision, later than the first moment of it.
            let began = |kind: &str| protected.contains(kind) || moment.thinned.is_none();
            let same = |kind: &str| !read || (steady(kind) && !swapped && began(kind));
            let differs = found.iter().find(|(key, own)| same(&own.0) && wanted.get(*key) != Some(own));
            let lacks = wanted.iter().find(|(key, own)| same(&own.0) && !found.contains_key(*key));
            if differs.is_some() || lacks.is_some() {
                problems.push(format!(
                    "{question:?} is answered by another state than {instead:?}: it has {differs:?}, it lacks {lacks:?}"
                ));
            }
        }
        let report = verify::verify(actual, &Asked::default(), &|_| {}).await?;
        for finding in report.findings.iter().filter(|finding| finding.verdict == Verdict::Missing) {
            problems.push(format!("verify misses {}: {}", finding.file, finding.reason));
        }
        Ok(())
    }
}

/// Whether a cut of a moment can have a name: one of the positions at which what was read of the log ends, once it tells how far it is
/// closed, and which no other checkpoint has. At the end of a simulation they may be few, as they are not where a cluster lives on.
async fn has_room(journal: &Journal, time: Micros, rivals: usize) -> hindcast_journal::Result<bool> {
    let taken = journal.store().list(&journal.store().layout().checkpoints(), None).await?;
    let taken: BTreeSet<u64> = taken.iter().filter_map(|listed| Layout::number(&listed.path)).collect();
    let (mut tail, mut free) = (journal.tail(1).await?, 0);
    while let Some(run) = tail.ready().await? {
        let closes = run.meta.frontier.get(MAIN).is_some_and(|point| point.time >= time);
        free += usize::from(closes && !run.rows.is_empty() && !taken.contains(&run.meta.last));
    }
    // Each of them needs one, and two processes may look for one at the same time.
    Ok(free > rivals)
}

/// The kinds that were let go at any time.
async fn let_go(journal: &Journal) -> hindcast_journal::Result<BTreeSet<String>> {
    let (mut tail, mut found) = (journal.tail(1).await?, BTreeSet::new());
    while let Some(run) = tail.ready().await? {
        found.extend(run.rows.iter().filter(|row| row.op == Op::CoverEnd).map(|row| row.kind_key()));
    }
    Ok(found)
}

/// A moment, every object then, and the kinds that were protected.
async fn shown(journal: &Journal, question: &At) -> hindcast_journal::Result<(Moment, Shown, BTreeSet<String>)> {
    let past = journal.at(question).await?;
    let view = View::of(&past, &Scope::default()).await?;
    let form = |object: &hindcast_restorer::Object| {
        let value = exact::to_canonical(&object.value).into();
        (format!("{} {}", object.row.key(), object.row.uid), (object.row.kind_key(), value))
    };
    let protected = view.kinds.keys().filter(|kind| view.protection(kind) == Protection::Protected).cloned().collect();
    Ok((view.moment.clone(), view.objects.iter().map(form).collect(), protected))
}

/// One process after the other thins the past out; most die on the way.
async fn expirers((world, server, bucket): Ends, n: u64) {
    for life in 0.. {
        world.dawdle(2_000, 20_000).await;
        let process = Process::new(format!("x{n}.{life}"), &world);
        if world.draw(|rng| rng.permille(600)) {
            process.die_at_step(world.draw(|rng| rng.between(1, 400)));
        } else if world.draw(|rng| rng.permille(300)) {
            process.die_at_put(world.draw(|rng| rng.between(1, 6)));
        }
        let journal = Journal::open(bucket.store(&process), &Path::from(PREFIX), &server.cluster(), process.parts());
        let settings = Settings { retention: retention(), key: None, delete: true };
        let died = process.died();
        let work = expire::expire(&journal, &settings, &process.name);
        tokio::select! {
            biased;
            () = died => {}
            done = work => {
                match done {
                    Ok(done) => {
                        let number = done.decided.map(|said| said.number);
                        world.note(format_args!("{} decides {number:?}, removes {:?}", process.name, done.removed));
                    }
                    Err(e) => world.note(format_args!("{} fails: {e}", process.name)),
                }
                process.kill();
            }
        }
    }
}

/// One reader after the other opens the journal, and asks a while later.
async fn readers((world, server, bucket): Ends, problems: Arc<Mutex<Vec<String>>>) {
    loop {
        world.dawdle(500, 8_000).await;
        let process = Process::new("reader", &world);
        let journal = Journal::open(bucket.direct(), &Path::from(PREFIX), &server.cluster(), process.parts());
        let Ok(mut reader) = Reader::open(&journal).await else { continue };
        let expired = reader.manifest().expired().cloned();
        // Less than the grace.
        world.dawdle(0, 15_000).await;
        let begin = super::world::EPOCH;
        let past = (world.now() - begin) as u64;
        let time = begin + world.draw(|rng| rng.below(past.max(1))) as i64;
        let oldest = expired.as_ref().map_or(i64::MIN, |expired| expired.oldest);
        let read = async {
            let past = reader.at(&At::Time(time)).await?;
            past.state(&Scope::default()).await.map(|_| ())
        };
        if let Err(e) = read.await
            && time >= oldest
            && !world.faults.fired().contains_key(&Fault::EtcdSwap)
        {
            let newest = Manifest::read(&journal).await.map(|manifest| manifest.expired().cloned());
            let said = format!("a reader of {expired:?} fails at {time}: {e}; by now {newest:?}");
            problems.lock().expect("no holder panics").push(said);
        }
    }
}
