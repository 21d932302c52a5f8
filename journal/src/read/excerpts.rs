//! The log from a place on for whoever wants few of its objects: of what merged files hold, only the rows of these are read, and
//! the journal's own facts.
//!
//! **Invariants.** (1) Every fact and every row of a wanted object comes exactly once, in order; of segments that are read by
//! themselves all rows do. (2) Runs follow one another as they do in [`super::rows`]; an excerpt is a run that begins where its
//! file's first segment does, and ends as its last one. (3) A merged file that cannot be read keeps nobody from what its segments
//! say.

use std::{ops::Range, sync::Arc};

use futures::{StreamExt as _, stream::BoxStream};

use super::{
    rows::{Chain, Place, one},
    shelf::Shelf,
};
use crate::{
    Error, Journal, Result,
    checkpoint::Manifest,
    error::ErrorKind,
    fold::Scope,
    journal::{READ_AHEAD, Segment},
    level::Merged,
    segment::Meta,
};

/// Pieces that are read at once: of a file all may be wanted.
const AT_ONCE: usize = 4;

/// What is read by itself.
enum Piece {
    File(Merged),
    Raw(u64),
}

/// What was read of a piece.
enum Read {
    Run(Box<Segment>),
    /// It cannot be read, so the segments that it is of are.
    Instead(Range<u64>),
}

/// The log up to where merged files end.
pub(super) struct Excerpts {
    runs: BoxStream<'static, Result<Segment>>,
    /// The last run that came.
    last: Option<Meta>,
    /// The first segment behind them.
    pub(super) next: u64,
}

impl std::fmt::Debug for Excerpts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Excerpts").field("last", &self.last).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Excerpts {
    /// From a place on, which is in segment `from` or before it; `None` if no merged file of which a part can be read is behind it.
    pub(super) fn from(
        journal: &Journal,
        manifest: &Arc<Manifest>,
        shelf: &Arc<Shelf>,
        (place, from): (Place, u64),
        scope: &Scope,
    ) -> Option<Self> {
        let mut files = shelf.merged().to_vec();
        files.retain(|file| file.footer.is_some() && from <= file.last);
        let newest = files.last()?.last;
        let (mut pieces, mut next) = (Vec::new(), from);
        for file in files {
            pieces.push((next..file.first, None));
            next = file.last + 1;
            pieces.push((0..0, Some(file)));
        }
        let pieces = pieces.into_iter().flat_map(|(raw, file)| raw.map(Piece::Raw).chain(file.map(Piece::File)));
        let fetch = {
            let (journal, scope, shelf) = (journal.clone(), Arc::new(scope.clone()), shelf.clone());
            move |piece| {
                let (journal, scope, shelf) = (journal.clone(), scope.clone(), shelf.clone());
                async move {
                    match piece {
                        Piece::Raw(number) => {
                            one(&journal, &shelf, number, newest).await.map(|run| Read::Run(Box::new(run)))
                        }
                        Piece::File(file) => read(&journal, &file, &scope).await,
                    }
                }
            }
        };
        let (journal, shelf) = (journal.clone(), shelf.clone());
        let spread = move |read: Result<Read>| match read {
            Ok(Read::Run(run)) => futures::stream::iter([Ok(*run)]).boxed(),
            Ok(Read::Instead(numbers)) => {
                let (journal, shelf) = (journal.clone(), shelf.clone());
                let each = move |number| {
                    let (journal, shelf) = (journal.clone(), shelf.clone());
                    async move { one(&journal, &shelf, number, newest).await }
                };
                futures::stream::iter(numbers).map(each).buffered(READ_AHEAD).boxed()
            }
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        };
        let mut chain = Chain::new(manifest);
        let wanted = move |mut run: Segment| {
            if run.meta.first < place.pos {
                run.rows = run.rows.iter().filter(|row| row.pos >= place.pos).cloned().collect::<Vec<_>>().into();
            }
            run
        };
        let runs = futures::stream::iter(pieces).map(fetch).buffered(AT_ONCE).flat_map(spread);
        let runs = runs.map(move |run| run.and_then(|run| chain.follow(run)).map(&wanted)).boxed();
        Some(Self { runs, last: None, next })
    }

    /// The next run.
    pub(super) async fn next(&mut self) -> Result<Option<Segment>> {
        let run = self.runs.next().await.transpose()?;
        if let Some(run) = &run {
            self.last = Some(run.meta.clone());
        }
        Ok(run)
    }

    /// The last run that came.
    pub(super) fn into_last(self) -> Option<Meta> {
        self.last
    }
}

async fn read(journal: &Journal, file: &Merged, scope: &Scope) -> Result<Read> {
    match file.excerpt(journal, scope).await {
        Ok(Some(run)) => return Ok(Read::Run(Box::new(run))),
        Ok(None) => {}
        // A store that gives no answer would give none to many more requests.
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // It was merged on, and removed.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(error = %Error::causes(&error), "a merged file cannot be read; its segments are");
        }
    }
    Ok(Read::Instead(file.first..file.last + 1))
}
