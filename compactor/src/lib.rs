//! Makes reading the past cheap: checkpoints of the state at closed cuts, and merged files of many segments ([`merge`]), which it
//! keeps as a Delta Lake table too ([`table`]); and forgets what policy says to forget ([`expire`]).
//!
//! **Words**: the *tail* is what a reader of the newest state has to read beyond the newest checkpoint.
//!
//! **Invariants.** (1) A checkpoint is due when the tail passes any bound of the [`Policy`] [`plan`], so a read is
//! bounded by it. (2) Nothing is deleted but segments that merged files hold too, after [`Policy::keep`], manifests that others
//! follow, and what has expired. (3) A failure costs nothing but a longer tail: it is retried as long as the process lives, and
//! protection goes on [`run`].

pub mod expire;
pub mod merge;
mod metrics;
mod table;

use std::{future::Future, sync::Arc, time::Duration};

use hindcast_journal::{
    Error, Journal, Reader, Result,
    checkpoint::{Checkpoint, Pruner},
    cut::{At, MAIN},
    delta::Commit,
    expiry::{Left, Statement},
    level::Merged,
    parts::Micros,
    point::Point,
    trim::{Trim, Trimmed, sweep},
    writer::Durable,
};
use tokio::sync::watch;

pub use self::metrics::Metrics;
use self::{
    merge::{Job, Levels, Merger},
    table::Register,
};

/// When a checkpoint is due, as soon as one of these is passed; and how segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Segments in the tail.
    pub segments: u64,
    /// Rows in the tail.
    pub rows: u64,
    /// Bytes in the tail.
    pub bytes: u64,
    /// How segments are merged.
    pub levels: Levels,
    /// How long a segment is kept that a merged file of a day holds too; `None` for ever.
    pub keep: Option<Duration>,
    /// Whether the merged files are kept as a Delta Lake table too.
    pub table: bool,
}

impl Policy {
    /// The least that [`Policy::keep`] should be: whoever stood still while a segment was written may not know yet whether it counts.
    pub const LEAST: Duration = Duration::from_mins(15);
}

impl Default for Policy {
    fn default() -> Self {
        let keep = Some(Duration::from_hours(24));
        Self { segments: 512, rows: 200_000, bytes: 64 << 20, levels: Levels::default(), keep, table: true }
    }
}

/// How long the tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Segments.
    pub segments: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Tail {
    /// The tail with one more segment.
    #[must_use]
    pub fn with(self, segment: &Durable) -> Self {
        Self {
            segments: self.segments + 1,
            rows: self.rows + (segment.last + 1).saturating_sub(segment.first),
            bytes: self.bytes + segment.bytes,
        }
    }
}

/// What should be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which bound was passed, in words.
    pub reason: String,
}

/// Whether a checkpoint is due.
pub fn plan(tail: Tail, policy: &Policy) -> Option<Plan> {
    let due = |what: &str, has: u64, bound: u64| {
        (has >= bound).then(|| Plan { reason: format!("the tail has {has} {what}, the bound is {bound}") })
    };
    due("segments", tail.segments, policy.segments)
        .or_else(|| due("rows", tail.rows, policy.rows))
        .or_else(|| due("bytes", tail.bytes, policy.bytes))
}

/// What [`compact`] would do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Whether a checkpoint is due, and why.
    pub checkpoint: Option<Plan>,
    /// The files to be made, in that order.
    pub merges: Vec<Job>,
    /// What may be removed already; more of it once the files are made.
    pub trim: Option<Trim>,
}

impl Outlook {
    /// What there is to do in a journal.
    pub async fn of(journal: &Journal, policy: &Policy) -> Result<Self> {
        let trim = match policy.keep {
            Some(keep) => trimmable(journal, keep).await?,
            None => None,
        };
        let checkpoint = plan(measure(journal).await?, policy);
        Ok(Self { checkpoint, merges: merge::due(journal, &policy.levels).await?, trim })
    }
}

/// What [`compact`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It wrote a checkpoint.
    Checkpoint(Checkpoint),
    /// It merged segments.
    Merged(Merged),
    /// It took merged files into the Delta Lake table.
    Table(Commit),
    /// It removed what merged files hold too.
    Removed(Trimmed),
}

/// Does all that is due, and tells each thing done. A process that does the same beside it does no harm: both write the same.
pub async fn compact(journal: &Journal, policy: &Policy, writer: &str, mut tell: impl FnMut(Done)) -> Result<()> {
    let mut reader = Reader::open(journal).await?;
    reader.at(&At::Now).await?;
    let epoch = reader.segments().last().map_or(0, |segment| segment.meta.epoch);
    if plan(tail_of(&reader), policy).is_some()
        && let Some(checkpoint) = execute(journal, writer, epoch).await?.checkpoint
    {
        tell(Done::Checkpoint(checkpoint));
    }
    let mut merger = Merger::new(policy.levels);
    let newest = reader.segments().last().map_or(0, |segment| segment.meta.segment);
    while let Some(merged) = merger.step(journal, newest).await? {
        tell(Done::Merged(merged));
    }
    let register = Register::new(policy.table);
    if let Some(commit) = register.follow(journal, true).await? {
        tell(Done::Table(commit));
    }
    if let Some(keep) = policy.keep {
        let left = clear(journal, &register).await?.unwrap_or_default();
        tell(Done::Removed(left + trim(journal, keep, &register).await?));
    }
    Ok(())
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint, unless nothing is closed yet.
    pub checkpoint: Option<Checkpoint>,
    /// The tail that readers now have.
    pub tail: Tail,
}

/// Writes a checkpoint at the newest closed cut.
pub async fn execute(journal: &Journal, writer: &str, epoch: u64) -> Result<Report> {
    let mut reader = Reader::open(journal).await?;
    let Some((state, origin)) = reader.at_closed_cut().await? else {
        return Ok(Report { checkpoint: None, tail: tail_of(&reader) });
    };
    let before = tail_of(&reader);
    let newest = reader.manifest().checkpoints.last().map(Checkpoint::cut);
    if newest.as_ref() == Some(&origin.cut) {
        return Ok(Report { checkpoint: None, tail: before });
    }
    let checkpoint = Checkpoint::write(journal, &state, &origin, writer, epoch).await?;
    let mut tail = Tail::default();
    for segment in reader.segments().iter().filter(|s| s.meta.segment >= checkpoint.fold_from_segment) {
        tail = Tail {
            segments: tail.segments + 1,
            rows: tail.rows + segment.rows.len() as u64,
            bytes: tail.bytes + segment.bytes,
        };
    }
    Ok(Report { checkpoint: Some(checkpoint), tail })
}

/// Writes a checkpoint at the cut of a recovery point, so that a restore of it folds nothing. `None` if one stands there or
/// the log has gone on past where it could be named.
pub async fn align(journal: &Journal, point: &Point, writer: &str) -> Result<Option<Checkpoint>> {
    let cut = point.cut();
    let Some(main) = cut.domains.get(MAIN) else { return Ok(None) };
    let at = At::Rev { rv: main.rv, incarnation: Some(main.incarnation), domain: None };
    let mut reader = Reader::open(journal).await?;
    if reader.manifest().checkpoints.iter().any(|checkpoint| checkpoint.cut() == cut) {
        return Ok(None);
    }
    let Some((state, origin)) = reader.at_cut(&at).await? else { return Ok(None) };
    if !reader.manifest().takes(origin.last) {
        return Ok(None);
    }
    let epoch = reader.segments().last().map_or(0, |segment| segment.meta.epoch);
    let written = Checkpoint::write(journal, &state, &origin, writer, epoch).await?;
    Ok((written.cut() == cut).then_some(written))
}

fn tail_of(reader: &Reader) -> Tail {
    let (segments, rows, bytes) = reader.tail_size();
    Tail { segments, rows, bytes }
}

/// What [`run`] works with.
#[derive(Debug)]
pub struct Parts {
    /// The journal.
    pub journal: Journal,
    /// Reports each committed segment.
    pub durable: watch::Receiver<Durable>,
    /// Who writes the checkpoints.
    pub writer: Arc<str>,
    /// The epoch of the journal's writer beside it.
    pub epoch: u64,
    /// What is counted.
    pub metrics: Metrics,
    /// How the past is thinned out, from now on as it was told last; not at all if `None`.
    pub expire: watch::Receiver<Option<expire::Settings>>,
}

/// A second, in microseconds.
const SECOND: Micros = 1_000_000;

/// How long to wait after the first failure; each further failure that will not pass by itself doubles it.
const FIRST_WAIT: Duration = Duration::from_mins(1);

/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Writes checkpoints and merges segments as that falls due, until `shutdown`. Nothing else ends it: failures are logged and
/// retried.
pub async fn run(policy: Policy, parts: Parts, shutdown: impl Future<Output = ()>) {
    let register = Register::new(policy.table);
    // Each is large: apart they do not weigh on the stack of whoever polls.
    let merging = Box::pin(merge_behind(policy.levels, &parts, &register));
    let trimming = Box::pin(trim_behind(policy.keep, &parts, &register));
    let expiring = Box::pin(expire_behind(&parts, &register));
    let following = Box::pin(follow(policy, &parts));
    tokio::select! {
        biased;
        () = shutdown => {}
        ((), (), (), ()) = async { tokio::join!(following, merging, trimming, expiring) } => {}
    }
}

/// Merges until nobody reports segments any more.
async fn merge_behind(levels: Levels, parts: &Parts, register: &Register) {
    let (journal, metrics, mut durable) = (&parts.journal, &parts.metrics, parts.durable.clone());
    let (mut merger, mut failures, mut bytes) = (Merger::new(levels), Failures::default(), 0_u64);
    // Whether the Delta table may lack something.
    let mut unregistered = true;
    loop {
        let newest = *durable.borrow_and_update();
        bytes = bytes.saturating_add(newest.bytes);
        if merger.is_due(journal.parts().clock.now(), bytes) {
            bytes = 0;
            loop {
                match merger.step(journal, newest.segment).await {
                    Ok(Some(merged)) => {
                        unregistered = true;
                        failures = Failures::default();
                        let Merged { level, first, last, bytes, .. } = merged;
                        metrics.merged.with_label_values(&[&level.to_string()]).inc();
                        metrics.merged_bytes.inc_by(bytes);
                        metrics.merge_at.set(journal.parts().clock.now() / SECOND);
                        tracing::debug!(level, first, last, bytes, "merged segments");
                    }
                    Ok(None) => break,
                    Err(error) => {
                        metrics.failures.inc();
                        failures.wait(journal, "could not merge segments", &error).await;
                        break;
                    }
                }
            }
            if unregistered {
                unregistered = !register_behind(parts, register).await;
            }
        }
        if durable.changed().await.is_err() {
            return;
        }
    }
}

/// Takes into the Delta table what was merged; whether it has all of it now. Nothing depends on it, so a failure waits for the next time.
async fn register_behind(parts: &Parts, register: &Register) -> bool {
    match register.follow(&parts.journal, false).await {
        Ok(Some(commit)) => {
            parts.metrics.table.inc();
            let Commit { version, position, added, removed, .. } = commit;
            tracing::debug!(version, position, added, removed, "took merged files into the Delta table");
            true
        }
        Ok(None) => true,
        Err(error) => {
            parts.metrics.failures.inc();
            let hint = error.hint();
            tracing::warn!(error = %Error::causes(&error), hint, "could not take merged files into the Delta table");
            false
        }
    }
}
/// How long a manifest stays after another has come: readers read no manifest but the newest, and pages, which stay.
const MANIFESTS: Duration = Duration::from_hours(1);

/// No manifest goes sooner: for some minutes a process trusts that the name behind the newest it knew is free (`store/since.rs`).
const OLD: Duration = Duration::from_mins(15);

/// How often it is looked whether something is to be removed.
fn look_every(keep: Duration) -> Duration {
    (keep / 8).min(Duration::from_hours(1))
}

/// Removes what merged files hold too, once in a while, until nobody reports segments any more. Nothing depends on it, so a failure
/// waits for the next time.
async fn trim_behind(keep: Option<Duration>, parts: &Parts, register: &Register) {
    let Some(keep) = keep else { return };
    let (journal, metrics, mut durable) = (&parts.journal, &parts.metrics, parts.durable.clone());
    let (mut looked, mut swept, mut pruner) = (None, false, Pruner::default());
    loop {
        let now = journal.parts().clock.monotonic();
        if looked.is_none_or(|looked| now.saturating_sub(looked) >= look_every(keep)) {
            looked = Some(now);
            let mut trimmed = Trimmed::default();
            let mut outcome = Ok(());
            if !swept {
                outcome = clear(journal, register).await.map(|left| {
                    swept = left.is_some();
                    trimmed = left.unwrap_or_default();
                });
            }
            if outcome.is_ok() {
                outcome = trim(journal, keep, register).await.map(|removed| trimmed = trimmed + removed);
            }
            if trimmed != Trimmed::default() {
                let Trimmed { segments, files } = trimmed;
                metrics.removed.inc_by(segments);
                tracing::info!(segments, files, "removed segments that merged files hold too");
            }
            if let Err(error) = outcome {
                metrics.failures.inc();
                let hint = error.hint();
                tracing::warn!(error = %Error::causes(&error), hint, "could not remove segments that merged files hold too");
            }
            match pruner.step(journal, keep.clamp(OLD, MANIFESTS)).await {
                Ok(manifests) => tracing::debug!(manifests, "removed manifests that others follow"),
                Err(error) => {
                    metrics.failures.inc();
                    let hint = error.hint();
                    tracing::warn!(error = %Error::causes(&error), hint, "could not remove manifests that others follow");
                }
            }
        }
        if durable.changed().await.is_err() {
            return;
        }
    }
}

/// Thins the past out, once in a while and when it is told otherwise, until nobody reports segments any more. Nothing depends on it,
/// so a failure waits for the next time.
async fn expire_behind(parts: &Parts, register: &Register) {
    let (journal, metrics, mut durable) = (&parts.journal, &parts.metrics, parts.durable.clone());
    let mut told = parts.expire.clone();
    let (mut looked, mut swept) = (None, 0);
    loop {
        let settings = told.borrow_and_update().clone();
        let now = journal.parts().clock.monotonic();
        if let Some(settings) = settings
            && looked.is_none_or(|looked| now.saturating_sub(looked) >= look_every(settings.retention.all))
        {
            looked = Some(now);
            match expire_once(&settings, parts, register, &mut swept).await {
                Ok(()) => metrics.expiry_at.set(journal.parts().clock.now() / SECOND),
                Err(error) => {
                    metrics.failures.inc();
                    let hint = error.hint();
                    tracing::warn!(error = %Error::causes(&error), hint, "could not thin the past out");
                }
            }
        }
        // Whoever told it may be gone; then it stays as it was told.
        let otherwise = async {
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            segment = durable.changed() => if segment.is_err() { return },
            () = otherwise => looked = None,
        }
    }
}

/// One round of that; `swept` is the number of the decision all of which is removed.
async fn expire_once(settings: &expire::Settings, parts: &Parts, register: &Register, swept: &mut u64) -> Result<()> {
    let (journal, metrics) = (&parts.journal, &parts.metrics);
    let decided = hindcast_journal::expiry::settle(journal).await?;
    let begins = decided.as_ref().map_or(0, |(expired, _)| expired.segment);
    let decided = decided.map_or((0, Micros::MAX), |(expired, _)| (expired.number, expired.time));
    let grace = Micros::try_from(settings.retention.grace.as_micros()).unwrap_or(Micros::MAX);
    let due = decided.0 > *swept && journal.parts().clock.now() >= decided.1.saturating_add(grace);
    if due && register.lets_expire(journal, begins).await? {
        let gone = hindcast_journal::expiry::sweep(journal, settings.retention.grace, settings.delete).await?;
        *swept = decided.0;
        if settings.delete && !gone.is_nothing() {
            let Left { segments, files, checkpoints, bytes } = gone;
            metrics.expired.inc_by(segments + files + checkpoints);
            tracing::info!(segments, files, checkpoints, bytes, "removed what has expired");
        }
    }
    let due = |plan: &expire::Plan, before: Option<&Statement>| {
        // Cuts of tiers come to their end all the time; they can go together.
        let often = Micros::try_from(settings.retention.all.as_micros() / 7).unwrap_or(Micros::MAX);
        plan.moves || before.is_none_or(|before| journal.parts().clock.now() >= before.time.saturating_add(often))
    };
    if let Some(decided) = expire::decide(journal, settings, &parts.writer, due).await? {
        let Statement { number, base, to, kept, .. } = decided;
        tracing::info!(number, base, segment = to.segment, kept = kept.len(), "thinned the past out");
    }
    Ok(())
}

/// Removes segments that merged files hold too, and that are older than `keep`, with merged files that the Delta table does not name.
/// What was removed.
async fn trim(journal: &Journal, keep: Duration, register: &Register) -> Result<Trimmed> {
    match trimmable(journal, keep).await? {
        Some(plan) if register.lets_go(journal, plan.segments.end).await? => plan.execute(journal).await,
        Some(_) => {
            named_still();
            Ok(Trimmed::default())
        }
        None => Ok(Trimmed::default()),
    }
}

/// Removes what a process that died left; nothing is looked at while the Delta table names any of it.
async fn clear(journal: &Journal, register: &Register) -> Result<Option<Trimmed>> {
    let boundary = journal.boundary().await?;
    match boundary == 1 || register.lets_go(journal, boundary).await? {
        true => sweep(journal).await.map(Some),
        false => {
            named_still();
            Ok(None)
        }
    }
}

fn named_still() {
    tracing::warn!("nothing is removed: the Delta table names files that merged files of a day hold too");
}

/// What [`trim`] would remove.
pub async fn trimmable(journal: &Journal, keep: Duration) -> Result<Option<Trim>> {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    Trim::plan(journal, journal.parts().clock.now().saturating_sub(keep)).await
}

/// Runs until nobody reports segments any more.
async fn follow(policy: Policy, parts: &Parts) {
    let (mut failures, mut durable) = (Failures::default(), parts.durable.clone());
    let mut tail = loop {
        match measure(&parts.journal).await {
            Ok(tail) => break tail,
            Err(error) => failures.wait(&parts.journal, "could not read how long the tail is", &error).await,
        }
    };
    while durable.changed().await.is_ok() {
        let segment = *durable.borrow_and_update();
        tail = tail.with(&segment);
        let Some(plan) = plan(tail, &policy) else { continue };
        match execute(&parts.journal, &parts.writer, parts.epoch).await {
            Ok(report) => {
                failures = Failures::default();
                tail = report.tail;
                if let Some(c) = report.checkpoint {
                    parts.metrics.checkpoints.inc();
                    tracing::info!(pos = c.pos, objects = c.objects, bytes = c.bytes, reason = %plan.reason, "wrote a checkpoint");
                } else {
                    // Nothing newer is closed: try again when the tail has grown by another eighth of its bound.
                    tail.segments = tail.segments.min(policy.segments.saturating_sub(policy.segments / 8 + 1));
                    tail.rows = tail.rows.min(policy.rows.saturating_sub(policy.rows / 8 + 1));
                    tail.bytes = tail.bytes.min(policy.bytes.saturating_sub(policy.bytes / 8 + 1));
                }
            }
            Err(error) => {
                parts.metrics.failures.inc();
                failures.wait(&parts.journal, "could not write a checkpoint", &error).await;
            }
        }
    }
}

/// How long the tail of a reader of the newest state is.
async fn measure(journal: &Journal) -> Result<Tail> {
    let mut reader = Reader::open(journal).await?;
    reader.at(&At::Now).await?;
    Ok(tail_of(&reader))
}

/// How many failures in a row need a person to fix them.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    /// Logs a failure, and waits until it is worth trying again.
    async fn wait(&mut self, journal: &Journal, what: &str, error: &Error) {
        let wait = (FIRST_WAIT * (1 << self.0)).min(LONGEST_WAIT);
        if !error.kind().may_pass() {
            self.0 = (self.0 + 1).min(6);
        }
        tracing::warn!(error = %Error::causes(error), hint = error.hint(), "{what}; trying again in {} min", wait.as_secs() / 60);
        journal.parts().clock.sleep(wait).await;
    }
}

#[cfg(test)]
mod tests;
