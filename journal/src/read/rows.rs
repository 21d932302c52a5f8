//! The rows of the log by position, whatever files hold them.
//!
//! **Words**: a [`Source`] holds a *run* of consecutive rows. It is a raw segment or the *overlay*: changes seen in the
//! live cluster that are not in the journal. [`Sources`] are the sources from a [`Place`] on, in order; a [`Log`] is
//! what has been read of them.
//!
//! This is the only seam between the log's files and the readers of rows. What a merged file holds too is read from it
//! where that is fewer requests for not many more bytes ([`Shelf`]); a run is a segment all the same. Who looks for a moment
//! reads of merged files no more than outlines (`level/outline.rs`), and what they say of objects once these are known
//! [`Log::told`].
//!
//! **Invariants.** (1) Runs follow one another: epochs do not fall, positions have no hole, and chain values fit
//! [`Link::check`]. (2) The overlay comes last, and only after a run of the journal. (3) Every run has the closed
//! times that the manifest believes [`Manifest::correct`]. (4) A merged file that cannot be read keeps nobody from what its
//! segments say [`Shelf::segment`].
//!
//! Not here: how far to read ([`super::resolve`]), which rows a checkpoint holds already ([`super::Reader::rows`]).

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, TryStreamExt as _};

use super::{around, shelf::Shelf};
use crate::{
    Change, Error, Journal, Position, Result, Row,
    checkpoint::{Checkpoint, Manifest},
    cut::Hole,
    error::ErrorKind,
    fold::Scope,
    journal::{Link, READ_AHEAD, Segment},
    level::{Asked, HIGHEST, Merged, OUTLINE},
    parts::utc_millis,
    segment::{FrontierVector, Meta},
};

/// Nothing is removed sooner than this after it was written.
const LONG_AGO: Duration = Duration::from_mins(10);

/// The role of a run that is no file of the journal.
const OVERLAY: &str = "overlay";

/// Changes that are not in the journal, and how far they close it.
#[derive(Debug)]
pub(super) struct Overlay {
    pub(super) changes: Vec<Change>,
    pub(super) frontier: FrontierVector,
}

/// A position to read from, and the first raw segment that may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Rows before it are not wanted.
    pub(super) pos: Position,
    /// The position is in no segment before this one.
    pub(super) segment: u64,
}

impl Place {
    /// Where the log begins.
    const BEGIN: Self = Self { pos: 1, segment: 1 };

    /// Where to go on after a checkpoint.
    pub(super) fn behind(checkpoint: Option<&Checkpoint>) -> Self {
        checkpoint.map_or(Self::BEGIN, |c| Self { pos: c.fold_from, segment: c.fold_from_segment })
    }
}

/// What holds a run of rows.
#[derive(Debug, Clone)]
enum Source {
    /// The raw segment of this number.
    Raw(u64),
    /// What was seen in the live cluster.
    Overlay(Arc<Overlay>),
}

/// What was read from a source. The overlay gets its positions from the run before it.
enum Fetched {
    Segment(Box<Segment>),
    Overlay(Arc<Overlay>),
}

/// Raw segments that were read, by number.
pub(super) type Known = Arc<BTreeMap<u64, Arc<Segment>>>;

/// What holds the rows from a place on, in order.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    journal: Journal,
    manifest: Arc<Manifest>,
    place: Place,
    raw: Range<u64>,
    shelf: Arc<Shelf>,
    overlay: Option<Arc<Overlay>>,
    /// Raw segments that an earlier question read.
    known: Known,
    /// Whether more may follow the last one, which was not looked for since what is wanted ends about there.
    cropped: bool,
    /// When newer ones were looked for, on the monotonic clock.
    looked: Duration,
}

impl Sources {
    /// The sources of a journal, before any has been looked for.
    pub(super) fn new(journal: &Journal, manifest: &Arc<Manifest>) -> Self {
        let (journal, manifest) = (journal.clone(), manifest.clone());
        Self {
            journal,
            manifest,
            place: Place::BEGIN,
            raw: 0..0,
            shelf: Arc::default(),
            overlay: None,
            known: Known::default(),
            cropped: false,
            looked: Duration::ZERO,
        }
    }

    /// The sources from a place on, up to the newest, all of which are going to be read.
    pub(super) async fn from(journal: &Journal, manifest: &Arc<Manifest>, place: Place) -> Result<Self> {
        let mut sources = Self::new(journal, manifest);
        sources.shelf = Shelf::new(manifest.merged_from(journal, place.segment, true).await?, u64::MAX);
        sources.go(place).await?;
        Ok(sources)
    }

    /// The merged files of what is read.
    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// The segments after one, and the boundary.
    async fn extent(&self, n: u64) -> Result<(Range<u64>, u64)> {
        if !self.journal.goes_around() {
            return self.journal.extent(n).await;
        }
        let (raw, boundary) = self.journal.extent_by_names(n).await?;
        // What merged files alone have is there too.
        let merged = self.shelf.merged().last().map_or(0, |merged| merged.last);
        Ok((raw.start..raw.end.max(merged + 1), boundary))
    }

    async fn go(&mut self, place: Place) -> Result<()> {
        self.place = place;
        let (raw, boundary) = self.extent(place.segment - 1).await?;
        self.raw = raw;
        self.looked = self.journal.parts().clock.monotonic();
        self.shelf.gone_below(boundary);
        // What comes before the first that is there may be in merged files alone.
        if place.segment == 1 && self.raw.start > 1 {
            let first = match self.shelf.first() {
                Some(1) => Some(1),
                first => Merged::of_days(&self.journal).await?.first().map(|(first, _)| *first).or(first),
            };
            self.raw.start = first.unwrap_or(self.raw.start).min(self.raw.start);
        }
        Ok(())
    }

    /// Goes to a place to look for a moment, which is likely to be found before a segment, if one is given.
    async fn seek_moment(&mut self, place: Place, asked: Asked, end: Option<u64>) -> Result<()> {
        let merged = self.manifest.merged_from(&self.journal, place.segment, false).await?;
        self.shelf = Shelf::outlining(merged, end.unwrap_or(u64::MAX), asked, place.segment);
        match end {
            // A segment that the manifest knows of is there, so nothing needs to be looked for.
            Some(end) => {
                (self.place, self.raw, self.cropped) = (place, place.segment..end.saturating_add(1), true);
                Ok(())
            }
            None => self.go(place).await,
        }
    }

    /// Looks for what follows where that was not done; whether there is anything.
    async fn uncrop(&mut self) -> Result<bool> {
        if !std::mem::take(&mut self.cropped) {
            return Ok(false);
        }
        let known = self.raw.end;
        let (raw, boundary) = self.journal.extent(known - 1).await?;
        self.shelf.gone_below(boundary);
        self.raw.end = raw.end.max(known);
        self.looked = self.journal.parts().clock.monotonic();
        Ok(self.raw.end > known)
    }

    /// Goes to a place. Whoever asks for a moment reads on to about the next checkpoint.
    async fn seek(&mut self, place: Place, all: bool) -> Result<()> {
        let next = self.manifest.checkpoints.iter().map(|c| c.segment).find(|segment| *segment > place.segment);
        let merged = self.manifest.merged_from(&self.journal, place.segment, all).await?;
        self.shelf = Shelf::new(merged, next.unwrap_or(u64::MAX));
        self.go(place).await
    }

    /// Goes to the first source that holds a position, or to the end if the position is still to come. The first position is that
    /// of the log as it is.
    pub(super) async fn seek_position(&mut self, pos: Position) -> Result<()> {
        let expired = self.manifest.expired();
        if let Some(expired) = expired.filter(|expired| (2..expired.first).contains(&pos)) {
            let reason = format!("is not in the log any more, which retention has begin at position {}", expired.first);
            return Err(Error::not_found(format!("position {pos}"), reason).with_hint(format!(
                "go on from position {}: what was before it cannot be had any more, as of {} the log is whole",
                expired.first,
                utc_millis(expired.whole)
            )));
        }
        let begin = expired.map_or(1, |expired| expired.segment);
        let checkpoint = self.manifest.newest(&self.journal, |c| c.pos < pos).await?;
        let segment = checkpoint.map_or(begin, |c| c.segment);
        self.seek(Place { pos, segment }, true).await?;
        // What one of the highest level holds may be in it alone.
        if let Some(merged) = self.shelf.of_position(pos).filter(|merged| merged.level == HIGHEST) {
            match merged.read(&self.journal).await {
                Ok(segments) => {
                    let holding = segments.iter().find(|segment| pos <= segment.meta.last);
                    self.raw.start = holding.map_or(merged.first, |segment| segment.meta.segment);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                // Its segments may be there.
                Err(_) => {}
            }
        }
        let (mut low, mut high) = (self.raw.start, self.raw.end);
        // Whoever follows the log starts at its end, so the newest is tried first.
        let mut middle = high.saturating_sub(1).max(low);
        while low < high {
            match one(&self.journal, &self.shelf, middle, high).await?.meta.last < pos {
                true => low = middle + 1,
                false => high = middle,
            }
            middle = low + (high - low) / 2;
        }
        self.raw.start = low;
        Ok(())
    }

    /// The first segment.
    pub(super) fn first(&self) -> u64 {
        self.raw.start
    }

    /// The raw segments that there are.
    pub(super) fn raw(&self) -> &Range<u64> {
        &self.raw
    }

    /// The hole that begins with a segment, in which reading failed behind a run; the error itself if the segment can be read.
    pub(super) async fn hole(&self, number: u64, before: Option<&Meta>, error: Error) -> Result<Hole> {
        let sources = (&self.journal, &*self.manifest, &*self.shelf);
        around::hole(sources, number..self.raw.end, before, error).await
    }

    /// Leaves out the segments before one, which may be the next that is to come.
    pub(super) fn skip_to(&mut self, segment: u64) {
        self.raw = segment..self.raw.end.max(segment);
    }

    /// Looks for newer sources and says whether there are any. Nothing comes after an overlay.
    pub(super) async fn look(&mut self) -> Result<bool> {
        if self.overlay.is_some() {
            return Ok(false);
        }
        if self.raw.is_empty() && self.raw.start <= 1 {
            self.raw = self.journal.segments_after(self.place.segment - 1).await?;
            return Ok(!self.raw.is_empty());
        }
        let known = self.raw.end - 1;
        let now = self.journal.parts().clock.monotonic();
        let long_ago = now.saturating_sub(std::mem::replace(&mut self.looked, now)) > LONG_AGO;
        if self.journal.goes_around() {
            self.raw.end = self.extent(known).await?.0.end.max(known + 1);
            return Ok(self.raw.end - 1 > known);
        }
        self.raw.end = match self.journal.newest(known).await? {
            // What follows may have been removed since.
            newest if newest == known && long_ago => {
                let (newest, boundary) = self.journal.last_after(known).await?;
                self.shelf.gone_below(boundary);
                newest
            }
            newest => newest,
        } + 1;
        Ok(self.raw.end - 1 > known)
    }

    pub(super) fn len(&self) -> usize {
        (self.raw.end - self.raw.start) as usize + usize::from(self.overlay.is_some())
    }

    /// The runs of some of the sources, several read at once; `before` is the run before the first.
    pub(super) fn runs(
        &self,
        which: Range<usize>,
        before: Option<&Meta>,
    ) -> Result<impl Stream<Item = Result<Segment>> + Send + use<>> {
        let mut chain = Chain::new(&self.manifest);
        if let Some(before) = before {
            chain.link.check(before)?;
            chain.last = Some(before.clone());
        }
        let newest = self.raw.end.saturating_sub(1);
        let (journal, shelf, known) = (self.journal.clone(), self.shelf.clone(), self.known.clone());
        let fetch = move |source| {
            let (journal, shelf, known) = (journal.clone(), shelf.clone(), known.clone());
            async move {
                match source {
                    Source::Raw(n) if known.contains_key(&n) => {
                        let segment = known.get(&n).ok_or_else(|| journal.hole(n, newest))?;
                        Ok(Fetched::Segment(Box::new(Segment::clone(segment))))
                    }
                    Source::Raw(n) => one(&journal, &shelf, n, newest).await.map(|s| Fetched::Segment(Box::new(s))),
                    Source::Overlay(overlay) => Ok(Fetched::Overlay(overlay)),
                }
            }
        };
        let (raw, overlay) = (self.raw.clone(), self.overlay.clone());
        let source = move |index: usize| match raw.start + index as u64 {
            n if raw.contains(&n) => Some(Source::Raw(n)),
            n if n == raw.end => overlay.clone().map(Source::Overlay),
            _ => None,
        };
        let fetched = futures::stream::iter(which.filter_map(source)).map(fetch).buffered(READ_AHEAD);
        Ok(fetched.filter_map(move |fetched| std::future::ready(chain.run(fetched).transpose())))
    }
}

/// A segment, which must exist, since `newest` does.
pub(super) async fn one(journal: &Journal, shelf: &Shelf, number: u64, newest: u64) -> Result<Segment> {
    if let Some(segment) = shelf.segment(journal, number, newest).await? {
        return Ok(segment);
    }
    // Those before it were gone.
    if shelf.is_gone(number)
        && let Some(segment) = shelf.instead(journal, number).await?
    {
        return Ok(segment);
    }
    match journal.segment(number).await {
        Err(error) if journal.goes_around() && around::is_damage(&error) => {
            around::elsewhere(journal, shelf, number).await?.ok_or(error)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            shelf.instead(journal, number).await?.ok_or_else(|| journal.hole(number, newest))
        }
        read => read,
    }
}

/// Checks each run against the one before it.
pub(super) struct Chain {
    link: Link,
    /// The run before.
    last: Option<Meta>,
    manifest: Arc<Manifest>,
}

impl Chain {
    pub(super) fn new(manifest: &Arc<Manifest>) -> Self {
        Self { link: Link::default(), last: None, manifest: manifest.clone() }
    }

    /// The next run of the journal, with the closed times that are believed.
    pub(super) fn follow(&mut self, mut run: Segment) -> Result<Segment> {
        self.link.check(&run.meta)?;
        self.manifest.correct(&mut run.meta);
        Ok(run)
    }

    /// The next run; `None` for an overlay with no run before it.
    fn run(&mut self, fetched: Result<Fetched>) -> Result<Option<Segment>> {
        let run = match fetched? {
            Fetched::Segment(segment) => self.follow(*segment)?,
            Fetched::Overlay(overlay) => match &self.last {
                Some(last) => laid_behind(last, &overlay),
                None => return Ok(None),
            },
        };
        self.last = Some(run.meta.clone());
        Ok(Some(run))
    }
}

/// The overlay as the run behind another.
fn laid_behind(last: &Meta, overlay: &Overlay) -> Segment {
    let first = last.last + 1;
    let changes = overlay.changes.iter().cloned();
    let rows: Vec<Row> = (first..).zip(changes).map(|(pos, change)| Row { pos, change }).collect();
    let meta = Meta {
        role: OVERLAY.to_owned(),
        first,
        last: first + rows.len() as u64 - 1,
        chain_before: last.chain_after,
        frontier: overlay.frontier.clone(),
        ..last.clone()
    };
    Segment { meta, rows: Arc::new(rows), bytes: 0 }
}

/// What has been read of the log from a place on.
#[derive(Debug, Clone)]
pub(super) struct Log {
    sources: Sources,
    runs: Vec<Arc<Segment>>,
    /// What cannot be read right behind them, where readers go around it.
    hole: Option<Arc<Hole>>,
    /// Such a part that was to be read since this was last forgotten.
    met: Option<Arc<Hole>>,
}

impl Journal {
    /// Segments in order, from whatever the newest manifest says holds them, as they were written; each must be there, and follow
    /// from the one before.
    pub async fn segments(&self, numbers: Range<u64>) -> Result<Vec<Segment>> {
        let manifest = Arc::new(Manifest::read(self).await?.without_doubts());
        let mut sources = Sources::new(self, &manifest);
        let until = numbers.end.saturating_sub(1);
        sources.shelf = Shelf::without_bundles(manifest.merged.clone(), until);
        sources.raw = numbers;
        sources.runs(0..sources.len(), None)?.try_collect().await
    }
}

impl Log {
    pub(super) fn new(journal: &Journal, manifest: &Arc<Manifest>) -> Self {
        Self { sources: Sources::new(journal, manifest), runs: Vec::new(), hole: None, met: None }
    }

    /// Begins anew at a place, with nothing read.
    pub(super) async fn begin(&mut self, place: Place) -> Result<()> {
        self.runs.clear();
        self.hole = None;
        self.sources.seek(place, false).await
    }

    /// Begins anew at a place, to look for a moment that is likely to be found before a segment, if one is given.
    pub(super) async fn begin_at_moment(&mut self, place: Place, asked: Asked, end: Option<u64>) -> Result<()> {
        self.runs.clear();
        self.sources.seek_moment(place, asked, end).await
    }

    /// Uses raw segments that an earlier question read.
    pub(super) fn use_known(&mut self, known: Known) {
        self.sources.known = known;
    }

    /// The raw segments among what has been read.
    pub(super) fn raw(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.runs.iter().filter(|run| run.meta.role != OUTLINE && run.meta.role != OVERLAY)
    }

    /// The same, in full where only outlines were read.
    pub(super) async fn in_full(&self) -> Result<Self> {
        let mut sources = self.sources.clone();
        sources.shelf = self.sources.shelf.in_full();
        let mut full = Self { sources, runs: Vec::new(), hole: None, met: None };
        full.read_on(self.runs.len(), |_| false).await?;
        Ok(full)
    }

    /// What has been read, from a run on: of each outline its facts, and what it says of the objects of a scope.
    pub(super) async fn told(&self, from: usize, scope: &Scope) -> Result<Vec<Arc<Segment>>> {
        let mut told = Vec::new();
        let mut runs = self.runs.iter().skip(from).peekable();
        while let Some(run) = runs.next() {
            if run.meta.role != OUTLINE {
                told.push(run.clone());
                continue;
            }
            let number = run.meta.segment;
            let outline = self.sources.shelf.outline(&self.sources.journal, number).await?;
            let outline = outline.ok_or_else(|| {
                Error::internal(format!("segment {number}"), "was read from a merged file that is not there")
            })?;
            let mut last = run;
            while let Some(next) = runs.next_if(|next| outline.holds(next.meta.segment)) {
                last = next;
            }
            let mut segment = outline.excerpt(&self.sources.journal, scope).await?;
            let held = |row: &&Row| run.meta.first <= row.pos && row.pos <= last.meta.last;
            segment.rows = segment.rows.iter().filter(held).cloned().collect::<Vec<_>>().into();
            segment.meta = last.meta.clone();
            told.push(segment.into());
        }
        Ok(told)
    }

    /// What has been read, in order.
    pub(super) fn runs(&self) -> &[Arc<Segment>] {
        &self.runs
    }

    /// Whether changes that are not in the journal were read.
    pub(super) fn is_overlaid(&self) -> bool {
        self.runs.last().is_some_and(|run| run.meta.role == OVERLAY)
    }

    /// Looks for newer sources and says whether there are any.
    pub(super) async fn look(&mut self) -> Result<bool> {
        self.sources.look().await
    }

    /// Reads on to the first run that is `enough`, but at most `more` runs.
    pub(super) async fn read_on(&mut self, more: usize, enough: impl Fn(&Segment) -> bool) -> Result<()> {
        let wanted = self.runs.len().saturating_add(more);
        loop {
            if self.hole.is_some() {
                self.met.clone_from(&self.hole);
                return Ok(());
            }
            let read = self.runs.len();
            let end = self.sources.len().min(wanted);
            let before = self.runs.last().filter(|last| last.meta.role != OVERLAY);
            let mut runs = Box::pin(self.sources.runs(read..end, before.map(|run| &run.meta))?);
            while let Some(run) = runs.next().await {
                let run = match run {
                    Ok(run) => run,
                    Err(error) => {
                        self.stop(error).await?;
                        break;
                    }
                };
                let enough = enough(&run);
                self.runs.push(Arc::new(run));
                if enough {
                    return Ok(());
                }
            }
            if self.hole.is_none() && (end == wanted || !self.sources.uncrop().await?) {
                return Ok(());
            }
        }
    }

    /// Ends the log before what cannot be read behind its last run, where readers go around that.
    async fn stop(&mut self, error: Error) -> Result<()> {
        let number = self.sources.raw().start + self.runs.len() as u64;
        if !self.sources.journal.goes_around() || !self.sources.raw().contains(&number) {
            return Err(error);
        }
        let before = self.runs.last().map(|run| &run.meta);
        self.hole = Some(Arc::new(self.sources.hole(number, before, error).await?));
        Ok(())
    }

    /// What could not be read and was to be, since it was forgotten.
    pub(super) fn met(&self) -> Option<&Hole> {
        self.met.as_deref()
    }

    /// Forgets what could not be read.
    pub(super) fn forget_met(&mut self) {
        self.met = None;
    }

    /// Keeps only the first runs of what has been read.
    pub(super) fn truncate(&mut self, runs: usize) {
        if runs < self.runs.len() {
            self.hole = None;
        }
        self.runs.truncate(runs);
    }

    /// Whether changes are laid behind the end of the log.
    pub(super) fn is_laid(&self) -> bool {
        self.sources.overlay.is_some()
    }

    /// Lays changes behind the end of the log, replacing any that were laid there before.
    pub(super) fn lay(&mut self, overlay: Overlay) {
        self.lift();
        self.sources.overlay = Some(Arc::new(overlay));
    }

    /// Takes away what was laid behind the end of the log.
    pub(super) fn lift(&mut self) {
        self.runs.retain(|run| run.meta.role != OVERLAY);
        self.sources.overlay = None;
    }

    /// Corrects the closed times of what has been read to what a newer manifest believes.
    pub(super) fn believe(&mut self, manifest: &Arc<Manifest>) {
        self.sources.manifest = manifest.clone();
        for run in &mut self.runs {
            manifest.correct(&mut Arc::make_mut(run).meta);
        }
    }
}
