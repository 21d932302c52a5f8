//! Reading around what cannot be read of the log, and what no other file has either.
//!
//! **Words**: a [`Hole`] is a run of segments that cannot be read, nor taken from any merged file or bundle.
//!
//! **Invariants.** (1) Nothing here is done unless it was asked for ([`Journal::around_damage`]). (2) For an answer the log ends where
//! the hole begins: nothing is folded across it. A moment that cannot be told without what is in it or behind it is answered by the last
//! that is known before it, and says so [`Reader::at_around`]; behind the hole all is told from the first checkpoint on that needs
//! nothing of it [`sound`]. (3) A checkpoint that is damaged is passed over, since an earlier one with more of the log gives the
//! same [`sound`]. (4) Only what cannot be read is gone around: what can, and contradicts the rest, is refused as ever [`hole`]. (5) The
//! changes behind a hole are told one by one, up to the checkpoint without what they follow from [`Crossed`].
//!
//! What the manifest says is needed to read at all: where that is damaged, an error says so.
//!
//! Not here: what each damage means, and what helps ([`crate::doctor`]).

use std::{ops::Range, sync::Arc};

use super::{
    Reader,
    rows::{Place, Sources, one},
    shelf::Shelf,
    tail::Tail,
};
use crate::{
    Error, Journal, Past, Position, Result, Row, bundle,
    checkpoint::{Checkpoint, Manifest, WholeCheckpoint},
    cut::{At, Cut, CutPoint, Hole, MAIN, Moment},
    error::ErrorKind,
    fold::{Scope, State},
    journal::Segment,
    segment::{FrontierPoint, Meta},
};

/// How many of the newest segments are tried to tell which life the counter is in.
const NEWEST: u64 = 4;

/// Whether an error is of a file that is damaged or gone, and not of a store that does not answer.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound)
}

/// The newest checkpoint that `fits` and whose file is whole.
pub(super) async fn sound(
    journal: &Journal,
    manifest: &Manifest,
    fits: impl Fn(&Checkpoint) -> bool,
) -> Result<Option<Checkpoint>> {
    let mut below = Position::MAX;
    loop {
        let Some(found) = manifest.start(journal, |c| c.pos < below && fits(c)).await? else { return Ok(None) };
        match found.prove(journal).await {
            Ok(()) => return Ok(Some(found)),
            Err(error) if is_damage(&error) => {
                tracing::warn!(error = %Error::causes(&error), "a checkpoint cannot be read; an earlier one is");
                below = found.pos;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The first checkpoint that is whole and needs nothing of the segments up to one, and whether its chain value is that of the log there.
async fn behind(
    (journal, manifest, shelf): (&Journal, &Manifest, &Shelf),
    last: u64,
    newest: u64,
) -> Result<Option<(Checkpoint, bool)>> {
    let live = manifest.live(journal).await?;
    for checkpoint in live.into_iter().filter(|c| c.fold_from_segment > last) {
        let whole = match WholeCheckpoint::read(journal, checkpoint.pos).await {
            Ok(whole) if whole.unlike(&checkpoint).is_none() => whole,
            Ok(_) => continue,
            Err(error) if is_damage(&error) => continue,
            Err(error) => return Err(error),
        };
        let proven = match one(journal, shelf, checkpoint.segment, newest).await {
            Ok(segment) => (segment.meta.last, segment.meta.chain_after) == (checkpoint.pos, whole.chain),
            Err(error) if is_damage(&error) => false,
            Err(error) => return Err(error),
        };
        return Ok(Some((checkpoint, proven)));
    }
    Ok(None)
}

/// The hole that begins with the first of some segments, in which reading failed behind a run; the error itself if that segment can be
/// read, or what is behind it is not of the same log.
pub(super) async fn hole(
    (journal, manifest, shelf): (&Journal, &Manifest, &Shelf),
    numbers: Range<u64>,
    before: Option<&Meta>,
    error: Error,
) -> Result<Hole> {
    let newest = numbers.end.saturating_sub(1);
    if !is_damage(&error) {
        return Err(error);
    }
    match one(journal, shelf, numbers.start, newest).await {
        // It says another thing than the one before it: nobody can tell which of them is right.
        Ok(_) => return Err(error),
        Err(again) if is_damage(&again) => {}
        Err(again) => return Err(again),
    }
    let (last, far) = far_edge((journal, shelf), numbers.clone()).await?;
    if let (Some(before), Some(far)) = (before, &far)
        && (far.epoch < before.epoch || far.first <= before.last)
    {
        let reason = format!(
            "begins at position {} in epoch {}, though segment {}, before what cannot be read, ends at {} in epoch {}",
            far.first, far.epoch, before.segment, before.last, before.epoch
        );
        return Err(Error::corrupt(format!("segment {}", far.segment), reason));
    }
    let next = behind((journal, manifest, shelf), last, newest).await?;
    let main = |meta: &Meta| meta.frontier.get(MAIN).map(|point| point.rv);
    let (what, why) = error.thing_and_reason();
    Ok(Hole {
        segments: (numbers.start, last),
        positions: (before.map_or(1, |before| before.last + 1), far.as_ref().map(|far| far.first.saturating_sub(1))),
        revisions: (before.and_then(main), far.as_ref().and_then(main)),
        since: before.and_then(|before| before.frontier.values().map(|point| point.time).min()),
        until: next.as_ref().map(|(checkpoint, _)| (checkpoint.time(), checkpoint.pos)),
        proven: next.is_some_and(|(_, proven)| proven),
        why: format!("{what}: {why}"),
    })
}

/// The last segment of a hole that begins with the first of these, and the first behind it.
async fn far_edge((journal, shelf): (&Journal, &Shelf), numbers: Range<u64>) -> Result<(u64, Option<Meta>)> {
    let newest = numbers.end.saturating_sub(1);
    let mut last = numbers.start;
    let there = journal.names_after(last).await?;
    loop {
        let raw = there.range(last + 1..).next().copied();
        let merged = shelf.merged().iter().find(|merged| merged.last > last).map(|merged| merged.first.max(last + 1));
        let Some(next) = raw.into_iter().chain(merged).min().filter(|next| *next <= newest) else {
            return Ok((newest.max(last), None));
        };
        match one(journal, shelf, next, newest).await {
            Ok(segment) => return Ok((next - 1, Some(segment.meta))),
            // Of a merged file that cannot be read and whose segments are gone, no other need be tried.
            Err(error) if is_damage(&error) => {
                let end = shelf.holding(next).filter(|_| !there.contains(&next)).map(|merged| merged.last);
                let own = there.range(next + 1..).next().map_or(u64::MAX, |raw| raw - 1);
                last = end.map_or(next, |end| end.min(own));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A segment whose own file is damaged or gone, from a merged file or bundle that holds it too.
pub(super) async fn elsewhere(journal: &Journal, shelf: &Shelf, number: u64) -> Result<Option<Segment>> {
    match shelf.instead(journal, number).await {
        Ok(Some(segment)) => return Ok(Some(segment)),
        Ok(None) => {}
        Err(error) if is_damage(&error) => {}
        Err(error) => return Err(error),
    }
    let held = bundle::proven(journal, bundle::block(number)).await?;
    Ok(held.and_then(|held| held.into_iter().find(|segment| segment.meta.segment == number)))
}

/// The holes that some segments are in, which are given in order; those that can be read, from whatever file, are in none.
pub(crate) async fn holes(journal: &Journal, manifest: &Manifest, numbers: &[u64]) -> Result<Vec<Hole>> {
    let Some(first) = numbers.first() else { return Ok(Vec::new()) };
    let journal = journal.clone().around_damage();
    let manifest = Arc::new(manifest.clone());
    let place = Place { pos: 1, segment: first.saturating_sub(1).max(1) };
    let sources = Sources::from(&journal, &manifest, place).await?;
    let shelf = sources.shelf();
    let mut found: Vec<Hole> = Vec::new();
    for number in numbers.iter().copied() {
        if found.last().is_some_and(|hole| number <= hole.segments.1) {
            continue;
        }
        let newest = sources.raw().end.saturating_sub(1).max(number);
        let error = match one(&journal, shelf, number, newest).await {
            Ok(_) => continue,
            Err(error) if is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        let before = match number {
            0 | 1 => None,
            number => one(&journal, shelf, number - 1, newest).await.ok(),
        };
        let before = before.as_ref().map(|before| &before.meta);
        match hole((&journal, &*manifest, &**shelf), number..newest + 1, before, error).await {
            Ok(hole) => found.push(hole),
            // What is behind it contradicts what is before it, which was found before.
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl Reader {
    /// The answer to a question, with what cannot be read of the log gone around.
    pub(super) async fn at_around(&mut self, at: &At) -> Result<Past> {
        self.log.forget_met();
        let moment = match self.resolve(at).await {
            Ok(moment) => moment,
            Err(error) => return Err(self.for_want_of(error)),
        };
        let moment = match (self.log.met(), &self.start) {
            // Nothing could be read behind the checkpoint: it is what is known.
            (Some(_), Some(start)) if self.log.runs().is_empty() => standing(start, moment),
            (Some(_), _) if !moment.closed => self.last_closed(moment),
            _ => moment,
        };
        let past = Past::new(self.clone(), moment);
        let met = past.met().await?.or_else(|| self.log.met().cloned());
        Ok(past.with_hole(met))
    }

    /// A moment that is not closed for want of what cannot be read, taken back to what is: no kind of it lags.
    fn last_closed(&self, moment: Moment) -> Moment {
        let frontier = self.newest_closed();
        let mut cut = moment.cut.clone();
        for (domain, point) in &mut cut.domains {
            if let Some(closed) = frontier.get(domain) {
                *point = (*point).min(CutPoint { incarnation: closed.incarnation, rv: closed.rv });
            }
        }
        // Behind the checkpoint so little could be read that nothing is closed beyond it: what is in the runs may have changes before it
        // that are not.
        if let Some(start) = self.start.as_ref().filter(|start| !cut.reaches(&start.cut())) {
            return standing(start, moment);
        }
        if !cut.within(&frontier) || !moment.ended.is_empty() {
            return moment;
        }
        let known = frontier.values().map(|point| point.time).min().unwrap_or(moment.time);
        Moment { cut, time: moment.time.min(known), closed: true, beyond: Some(known), uncertain: Vec::new(), ..moment }
    }

    /// What could not be told, or that it is for want of what cannot be read.
    fn for_want_of(&self, error: Error) -> Error {
        match self.log.met() {
            Some(hole) if !error.kind().may_pass() => hole.refused(error.thing_and_reason().0),
            _ => error,
        }
    }

    /// Makes sure that no other life of a counter began in what cannot be read, and behind it: the newest segments say so. Then that
    /// is no reason to doubt which life a revision is of.
    pub(super) async fn look_beyond(&mut self, domain: &str) -> Result<()> {
        if self.log.met().is_none() {
            return Ok(());
        }
        let known = self.newest_closed().get(domain).map(|point| point.incarnation);
        let names = self.journal.names_after(0).await?;
        for number in names.into_iter().rev().take(NEWEST as usize) {
            match self.journal.segment(number).await {
                Ok(newest) if newest.meta.frontier.get(domain).map(|point| point.incarnation) == known => {
                    self.log.forget_met();
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A moment answered by a checkpoint alone.
fn standing(start: &Checkpoint, moment: Moment) -> Moment {
    let (cut, time) = (start.cut(), start.time());
    let closed = |point: &CutPoint| FrontierPoint { incarnation: point.incarnation, rv: point.rv, time };
    let frontier = cut.domains.iter().map(|(domain, point)| (domain.clone(), closed(point))).collect();
    Moment { before_start: cut.domains.is_empty(), cut, time, closed: true, frontier, beyond: Some(time), ..moment }
}

/// What the log is gone on with behind a hole.
#[derive(Debug, Clone)]
pub struct Behind {
    pub(super) journal: Journal,
    pub(super) manifest: Arc<Manifest>,
    pub(super) scope: Scope,
    pub(super) objects: bool,
}

/// A hole that was gone around, and the state behind it.
#[derive(Debug)]
pub struct Crossed {
    /// The hole.
    pub hole: Hole,
    /// The state of the first checkpoint behind it; `None` if there is none, and then no object is known until it is written in full.
    pub state: Option<State>,
    held: Option<(Position, Cut)>,
}

impl Behind {
    /// What was gone around by a tail, since it was asked before.
    pub async fn crossed(&self, tail: &mut Tail) -> Result<Option<Crossed>> {
        let Some(hole) = tail.hole() else { return Ok(None) };
        let mut crossed = Crossed { hole, state: None, held: None };
        if let Some((_, pos)) = crossed.hole.until
            && let Some(checkpoint) = self.manifest.newest(&self.journal, |c| c.pos <= pos).await?
        {
            let nothing = Scope::nothing();
            let scope = if self.objects { &self.scope } else { &nothing };
            crossed.state = Some(checkpoint.load(&self.journal, scope).await?);
            crossed.held = Some((checkpoint.pos, checkpoint.cut()));
        }
        Ok(Some(crossed))
    }
}

impl Crossed {
    /// Whether the state behind the hole holds a row already.
    pub fn holds(&self, row: &Row) -> bool {
        self.held.as_ref().is_some_and(|(pos, cut)| row.pos <= *pos && cut.holds(row))
    }
}
