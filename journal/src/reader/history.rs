//! What was committed since a moment, segment by segment.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt as _};

use super::Reader;
use crate::{
    Manifest, Micros, Position, Result, Row,
    cut::Cut,
    fold::{Scope, State},
    journal::Segment,
    segment::FrontierVector,
};

impl Reader {
    /// The segments that hold what was committed since a moment, with the state they begin on: its kinds, and its
    /// objects in `scope` if `objects` are wanted.
    pub async fn history(&self, since: Micros, scope: &Scope, objects: bool) -> Result<(State, Segments<'_>)> {
        let start = self.manifest.newest(&self.journal, |c| c.time() < since).await?;
        let nothing = Scope::nothing();
        let state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, if objects { scope } else { &nothing }).await?,
            None => State::default(),
        };
        let numbers = self.journal.segments_after(start.as_ref().map_or(1, |c| c.fold_from_segment) - 1).await?;
        let skip = start.as_ref().map(|c| (c.pos, c.cut()));
        let stream = Box::pin(self.journal.read(numbers));
        Ok((state, Segments { stream, skip, manifest: self.manifest.clone(), frontier: FrontierVector::new() }))
    }
}

/// Segments in order, without the rows that a checkpoint holds.
pub struct Segments<'a> {
    stream: Pin<Box<dyn Stream<Item = Result<Segment>> + Send + 'a>>,
    skip: Option<(Position, Cut)>,
    manifest: Arc<Manifest>,
    frontier: FrontierVector,
}

impl Segments<'_> {
    /// The next segment.
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        let Some(segment) = self.stream.next().await else { return Ok(None) };
        let mut segment = segment?;
        self.manifest.correct(&mut segment.meta);
        self.frontier = segment.meta.frontier.clone();
        if let Some((pos, cut)) = &self.skip
            && segment.meta.first <= *pos
        {
            let beyond = |row: &&Row| row.pos > *pos || !cut.holds(row);
            segment.rows = Arc::new(segment.rows.iter().filter(beyond).cloned().collect());
        }
        Ok(Some(segment))
    }

    /// How far the log was closed with the newest segment read.
    pub fn frontier(&self) -> &FrontierVector {
        &self.frontier
    }
}
