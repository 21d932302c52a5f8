//! Retention: the past is thinned out by policy, and what has expired is removed.
//!
//! **Words**: see [`plan()`] and the journal's `expiry`.
//!
//! **Invariants.** (1) What a plan keeps is made, proven and stated before anything goes [`decide`]. (2) A recovery point that
//! cannot be read ends it: nobody knows what it pins [`look`]. (3) What was decided is removed by a later round, after
//! [`Retention::grace`], by whoever comes first [`expire`]. (4) A process that dies leaves nothing that the next does not finish.
//! (5) Age counts back from the newest moment that is closed, and never from a clock that is ahead of it: a clock that is wrong lets
//! nothing go, and a journal that nobody writes any more stays as it is [`look`]. (6) What the Delta table names is not removed: it lets
//! go first ([`crate::table`]).

mod plan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::{
    Error, Journal, Reader, Result,
    checkpoint::{Checkpoint, Manifest},
    cut::{At, MAIN},
    expiry::{self, Decision, Exactly, Kept, Left, Statement},
    fold::Scope,
    parts::Micros,
    point::{Points, Stage},
    seal::Key,
};

pub use self::plan::{Cut, Every, Known, Make, Pin, Plan, Retention, Tier, plan};
use crate::table::Register;

/// How the past is thinned out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is kept.
    pub retention: Retention,
    /// What the statement of an expiry is signed with.
    pub key: Option<Arc<Key>>,
    /// Whether what has expired is removed here: where nobody may delete, others do.
    pub delete: bool,
}

/// What there is, as a plan sees it and as it is.
#[derive(Debug)]
pub struct Seen {
    /// What a plan is made of.
    pub known: Known,
    /// The live checkpoints, as in [`Known::live`].
    pub live: Vec<Checkpoint>,
    /// The newest statement.
    pub statement: Option<Statement>,
    /// What age counts back from.
    pub now: Micros,
}

/// What is to be done, and what goes.
#[derive(Debug)]
pub struct Outlook {
    /// What there is.
    pub seen: Seen,
    /// The plan; `None` where there is nothing to decide.
    pub plan: Option<Plan>,
    /// What goes by the plan, as far as it is there.
    pub goes: Left,
    /// What was decided to go before and is still there.
    pub left: Left,
}

impl Outlook {
    /// What there is to do in a journal.
    pub async fn of(journal: &Journal, retention: &Retention) -> Result<Self> {
        let seen = look(journal).await?;
        let plan = plan(&seen.known, retention, seen.now).filter(|plan| !plan.is_nothing());
        let kept = |statement: &Statement| statement.kept.iter().map(|kept| kept.checkpoint.pos).collect();
        let left = match &seen.statement {
            Some(said) => expiry::leftovers(journal, said.to.segment, said.base, &kept(said)).await?.0,
            None => Left::default(),
        };
        let goes = match &plan {
            Some(plan) => {
                let stay = plan.stay.keys().filter_map(|at| seen.known.kept.get(*at)).map(|cut| cut.pos);
                let (all, _) = expiry::leftovers(journal, plan.segment, plan.base.0, &stay.collect()).await?;
                Left {
                    segments: all.segments.saturating_sub(left.segments),
                    files: all.files.saturating_sub(left.files),
                    checkpoints: all.checkpoints.saturating_sub(left.checkpoints),
                    bytes: all.bytes.saturating_sub(left.bytes),
                }
            }
            None => Left::default(),
        };
        Ok(Self { seen, plan, goes, left })
    }
}

/// What there is in a journal.
pub async fn look(journal: &Journal) -> Result<Seen> {
    let settled = expiry::settle(journal).await?;
    let manifest = Manifest::read(journal).await?;
    let begin = settled.as_ref().map_or(1, |(expired, _)| expired.segment);
    let live = manifest.live(journal).await?;
    let days = manifest.days(journal, begin).await?;
    let points = Points::new(journal.store());
    let (mut made, mut errors) = points.made().await?;
    if let Some(error) = errors.pop() {
        return Err(
            error.with_hint("nothing expires while a recovery point cannot be read: nobody knows what it needs")
        );
    }
    made.retain(hindcast_journal::point::Point::is_usable);
    let pin = |point: &hindcast_journal::point::Point| {
        let main = point.cut().domains.get(MAIN).copied()?;
        Some(Pin { name: point.about.name.clone(), main })
    };
    let mut making = None;
    for listed in points.list().await?.iter().filter(|listed| listed.stage <= Stage::Frozen) {
        if let Some(begin) = points.intent(&listed.name).await? {
            making = Some(making.unwrap_or(Micros::MAX).min(begin.about.began));
        }
    }
    let statement = settled.map(|(_, statement)| statement);
    let newest = Reader::open(journal).await?.at(&At::Now).await?;
    let closed = newest.moment().frontier.values().map(|point| point.time).min().unwrap_or(Micros::MIN);
    let now = closed.min(journal.parts().clock.now());
    let kinds = newest.state(&Scope::nothing()).await?.state.kinds;
    let since = kinds.values().flat_map(|kind| &kind.covers).map(|cover| cover.from_time).min();
    let known = Known {
        begin,
        since: since.unwrap_or(Micros::MAX),
        live: live.iter().map(Cut::from).collect(),
        kept: statement.iter().flat_map(|statement| &statement.kept).map(Cut::from).collect(),
        days: days.iter().map(|day| (day.first, day.last)).collect(),
        points: made.iter().filter_map(pin).collect(),
        making,
    };
    Ok(Seen { known, live, statement, now })
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was removed, or, where nothing may be, is there to be removed by others.
    pub removed: Left,
    /// What was decided.
    pub decided: Option<Statement>,
}

/// Removes what was decided to go long enough ago, and decides anew.
pub async fn expire(journal: &Journal, settings: &Settings, writer: &str) -> Result<Outcome> {
    let begins = expiry::settle(journal).await?.map_or(0, |(expired, _)| expired.segment);
    let named = !Register::new(false).lets_expire(journal, begins).await?;
    let removed = expiry::sweep(journal, settings.retention.grace, settings.delete && !named).await?;
    let decided = decide(journal, settings, writer, |_, _| true).await?;
    Ok(Outcome { removed, decided })
}

/// Decides what is kept from now on, if there is something to decide and `due` says so. Another process that decides at the same time
/// is given way to.
pub async fn decide(
    journal: &Journal,
    settings: &Settings,
    writer: &str,
    due: impl FnOnce(&Plan, Option<&Statement>) -> bool,
) -> Result<Option<Statement>> {
    let seen = look(journal).await?;
    let plan = plan(&seen.known, &settings.retention, seen.now);
    // What was stated without a key is stated again when there is one.
    let unsigned = settings.key.is_some() && seen.statement.as_ref().is_some_and(|said| said.key.is_none());
    let Some(plan) = plan.filter(|plan| unsigned || !plan.is_nothing()) else { return Ok(None) };
    if !due(&plan, seen.statement.as_ref()) {
        return Ok(None);
    }
    let epoch = journal.end(0).await?.epoch;
    let mut kept: Vec<Kept> = Vec::new();
    for (at, why) in &plan.stay {
        if let Some(own) = seen.statement.as_ref().and_then(|said| said.kept.get(*at)) {
            add(&mut kept, Kept { why: why.iter().cloned().collect(), ..own.clone() });
        }
    }
    for (make, why) in &plan.make {
        if let Some(cut) = made(journal, &seen, *make, why, (writer, epoch)).await? {
            add(&mut kept, cut);
        }
    }
    let said = seen.statement.as_ref();
    let base = match said.and_then(Statement::base).filter(|_| !plan.moves) {
        Some(base) => Some(base.clone()),
        None => seen.live.iter().find(|checkpoint| checkpoint.pos == plan.base.0).map(|checkpoint| Kept {
            checkpoint: checkpoint.clone(),
            exactly: Vec::new(),
            revision: false,
            why: Vec::new(),
        }),
    };
    let mut base = base.ok_or_else(|| Error::internal("an expiry", "has no base"))?;
    base.why = vec!["base".to_owned()];
    let mine = |own: &Kept| same(own, &base);
    if let Some(at) = kept.iter().position(mine) {
        let own = kept.swap_remove(at);
        merge(&mut base, own);
    }
    let decision = Decision { segment: plan.segment, base, kept, behind: said.map_or(0, |said| said.number) };
    expiry::decide(journal, decision, settings.key.as_deref()).await
}

/// Makes a cut of the log. At a moment at which nothing is closed the newest checkpoint before it serves.
async fn made(
    journal: &Journal,
    seen: &Seen,
    make: Make,
    why: &BTreeSet<String>,
    writer: (&str, u64),
) -> Result<Option<Kept>> {
    let why: Vec<String> = why.iter().cloned().collect();
    let at = match make {
        Make::At(time) => At::Time(time),
        Make::Point(main) => At::Rev { rv: main.rv, incarnation: Some(main.incarnation), domain: None },
    };
    // A reader of its own, so that the position a cut bears follows from the log alone.
    let mut reader = Reader::open(journal).await?;
    let written = reader.write_cut(&at, writer).await?;
    Ok(match (make, written) {
        (Make::At(time), Some((checkpoint, uncertain))) => {
            Some(Kept { checkpoint, exactly: vec![Exactly { time, uncertain }], revision: false, why })
        }
        (Make::At(time), None) => {
            let before = seen.live.iter().rfind(|checkpoint| checkpoint.time() <= time);
            before.map(|checkpoint| Kept { checkpoint: checkpoint.clone(), exactly: Vec::new(), revision: false, why })
        }
        (Make::Point(_), Some((checkpoint, _))) => Some(Kept { checkpoint, exactly: Vec::new(), revision: true, why }),
        (Make::Point(main), None) => {
            let points = why.join(", ");
            return Err(Error::invalid(points, format!("is of revision {}, which cannot be read as closed", main.rv))
                .with_hint("nothing expires that a recovery point needs; delete the point if it is of no use"));
        }
    })
}

/// Adds a cut; of one that is there already it becomes what both say.
fn add(kept: &mut Vec<Kept>, cut: Kept) {
    match kept.iter_mut().find(|own| same(own, &cut)) {
        Some(own) => merge(own, cut),
        None => kept.push(cut),
    }
}

/// Whether two are of the same cut.
fn same(own: &Kept, other: &Kept) -> bool {
    own.checkpoint.pos == other.checkpoint.pos && own.cut() == other.cut()
}

fn merge(own: &mut Kept, other: Kept) {
    own.exactly.extend(other.exactly);
    own.exactly.sort_by_key(|exactly| exactly.time);
    own.exactly.dedup_by_key(|exactly| exactly.time);
    own.revision |= other.revision;
    own.why.extend(other.why);
    own.why.sort();
    own.why.dedup();
}
