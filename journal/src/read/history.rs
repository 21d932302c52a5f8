//! What was committed since a moment, run by run, with the state it starts from.

use super::{Reader, excerpts::Excerpts, rows::Place, tail::Tail};
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
    /// in `scope` if `objects` are wanted. Of several segments in one, other objects may be left out.
    pub async fn history(&self, since: Micros, scope: &Scope, objects: bool) -> Result<(State, Segments)> {
        let start = self.manifest.start(&self.journal, |c| c.time() < since).await?;
        let nothing = Scope::nothing();
        let state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, if objects { scope } else { &nothing }).await?,
            None => State::default(),
        };
        let place = Place::behind(start.as_ref());
        let mut tail = Tail::from_segment(&self.journal, &self.manifest, place).await?;
        let merged = match *scope == Scope::default() {
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
        Ok((state, Segments { merged, tail, checkpoint, frontier: FrontierVector::new() }))
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

    /// The tail after the segments that have come so far.
    pub fn into_tail(self) -> Tail {
        self.tail
    }

    /// How far the log was closed with the newest segment read.
    pub fn frontier(&self) -> &FrontierVector {
        &self.frontier
    }
}
