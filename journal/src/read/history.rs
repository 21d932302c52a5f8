//! What was committed since a moment, run by run, with the state it starts from.

use super::{
    Reader,
    around::{self, Behind, Crossed},
    excerpts::Excerpts,
    rows::Place,
    tail::Tail,
};
use crate::{
    Position, Result, Row,
    cut::Cut,
    fold::{Scope, State},
    journal::Segment,
    parts::Micros,
    segment::FrontierVector,
};

impl Reader {
    /// The segments with what was committed since a moment, and the state they start from: its kinds, and its objects
    /// in `scope` if `objects` are wanted. Of several segments in one, other objects may be left out. Where the past was thinned out it
    /// begins with the base.
    pub async fn history(&self, since: Micros, scope: &Scope, objects: bool) -> Result<(State, Segments)> {
        let start = match self.journal.goes_around() {
            true => around::sound(&self.journal, &self.manifest, |c| c.time() < since).await?,
            false => self.manifest.start(&self.journal, |c| c.time() < since).await?,
        };
        let start = match start {
            Some(start) => Some(start),
            None => self.manifest.base(&self.journal).await?,
        };
        let nothing = Scope::nothing();
        let state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, if objects { scope } else { &nothing }).await?,
            None => State::default(),
        };
        let place = Place::behind(start.as_ref());
        let mut tail = Tail::from_segment(&self.journal, &self.manifest, place).await?;
        if self.journal.goes_around() {
            tail.go_around();
        }
        let merged = match *scope == Scope::default() || self.journal.goes_around() {
            true => None,
            false => Excerpts::from(
                &self.journal,
                &self.manifest,
                tail.sources().shelf(),
                (place, tail.sources().first()),
                scope,
            ),
        };
        if let Some(merged) = &merged {
            tail.skip_to(merged.next);
        }
        let checkpoint = start.as_ref().map(|c| (c.pos, c.cut()));
        let behind =
            Behind { journal: self.journal.clone(), manifest: self.manifest.clone(), scope: scope.clone(), objects };
        Ok((state, Segments { merged, tail, checkpoint, behind, frontier: FrontierVector::new() }))
    }
}

/// Segments in order, without the rows that the checkpoint holds.
#[derive(Debug)]
pub struct Segments {
    /// What comes before the tail, until all of it has come.
    merged: Option<Excerpts>,
    tail: Tail,
    /// The position and cut of the checkpoint it starts from.
    checkpoint: Option<(Position, Cut)>,
    /// What the log is gone on with behind what cannot be read of it.
    behind: Behind,
    frontier: FrontierVector,
}

impl Segments {
    /// The next segment; `None` after the newest one that existed at the start.
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        let Some(mut segment) = self.found().await? else { return Ok(None) };
        self.frontier.clone_from(&segment.meta.frontier);
        if let Some((pos, cut)) = &self.checkpoint
            && segment.meta.first <= *pos
        {
            let beyond = |row: &&Row| row.pos > *pos || !cut.holds(row);
            segment.rows = segment.rows.iter().filter(beyond).cloned().collect::<Vec<_>>().into();
        }
        Ok(Some(segment))
    }

    async fn found(&mut self) -> Result<Option<Segment>> {
        if let Some(merged) = &mut self.merged {
            if let Some(run) = merged.next().await? {
                return Ok(Some(run));
            }
            if let Some(last) = self.merged.take().and_then(Excerpts::into_last) {
                self.tail.go_on_behind(last);
            }
        }
        self.tail.found().await
    }

    /// What was gone around right before the last segment that came, or at the end if none came since: with the state that the log
    /// is gone on with. Where readers do not go around damage there is none.
    pub async fn crossed(&mut self) -> Result<Option<Crossed>> {
        self.behind.crossed(&mut self.tail).await
    }

    /// What the log is gone on with behind what cannot be read of it.
    pub fn behind(&self) -> Behind {
        self.behind.clone()
    }

    /// The tail after the segments that have come so far.
    pub fn into_tail(self) -> Tail {
        self.tail
    }

    /// How far the log was closed with the newest segment read.
    pub fn frontier(&self) -> &FrontierVector {
        &self.frontier
    }
}
