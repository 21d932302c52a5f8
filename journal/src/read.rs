//! Reading the past: a question becomes a cut, a cut becomes a state.
//!
//! A [`Reader`] loads one manifest, picks the newest checkpoint that is not after the moment asked for, and reads the
//! segments from there until the moment is closed or the log ends. It keeps what it has read, so the next question
//! reads only what is missing. An answer is a [`Past`], a value that no later question changes.
//!
//! **Invariants.** (1) A read goes through one manifest and the ones it continues. (2) The cut of a time is, per
//! domain, the greatest revision whose upper bound is not after it. (3) Objects of a kind that was not covered at the
//! cut are left out of the state, since nobody knows whether they are all there were. (4) A cut in an ended life of the
//! counter is answered from that life alone. (5) A state is folded on a checkpoint whose cut is within its own
//! [`Reader::load_within`]: what the checkpoint's cut holds is in it, and nothing else.
//!
//! Changes seen in the live cluster can be laid over the log: every answer that reads to its end includes them.
//!
//! In [`resolve`] a question becomes a moment, in [`past`] that becomes a state; [`lives`] knows which life of a
//! counter is meant, [`whole`] folds and counts everything durable. [`tail`] is the committed log in order, on and on,
//! and [`history`] that behind the state it begins on. What holds the rows, only [`rows`], [`shelf`] and [`excerpts`] know.
//!
//! Not here: opening sealed values ([`crate::seal`]), what a kind is called in questions (`cli`).

mod excerpts;
mod history;
mod lives;
mod past;
mod resolve;
mod rows;
mod shelf;
mod tail;
mod whole;

use std::{collections::BTreeMap, sync::Arc};

use self::rows::{Log, Overlay, Place};
pub use self::{
    history::Segments,
    past::{Answer, Past},
    tail::Tail,
};
use crate::{
    Change, Journal, Position, Result, Row,
    checkpoint::{Checkpoint, Manifest},
    cut::{At, Cut, CutPoint, MAIN},
    facts::{self, CoverEnd, Uncovered},
    journal::Segment,
    parts::Micros,
    row::Op,
    segment::FrontierVector,
};

/// What was missed of a kind that was let go is recovered within this time or not at all: etcd's history reaches back
/// five to ten minutes.
const RECOVERY: Micros = 11 * 60_000_000;
/// How many more segments are read at a time in search of it.
const READ_ON: usize = 16;

/// Reads one journal. A clone shares what has been read.
#[derive(Debug, Clone)]
pub struct Reader {
    journal: Journal,
    manifest: Arc<Manifest>,
    /// The checkpoint that it starts from.
    start: Option<Arc<Checkpoint>>,
    /// What has been read behind that.
    log: Log,
    /// Whether it has started.
    started: bool,
}

/// When to stop reading segments.
#[derive(Debug, Clone)]
enum Until {
    End,
    Time(Micros),
    Point(String, CutPoint),
    Pos(Position),
}

impl Until {
    fn reached(&self, segment: &Segment) -> bool {
        let frontier = &segment.meta.frontier;
        match self {
            Self::End => false,
            // Between two lives of its counter nothing closes the main domain, even while other domains close.
            Self::Time(time) => frontier.contains_key(MAIN) && frontier.values().all(|p| p.time >= *time),
            Self::Point(domain, point) => {
                frontier.get(domain).is_some_and(|p| CutPoint { incarnation: p.incarnation, rv: p.rv } >= *point)
            }
            Self::Pos(pos) => segment.meta.last >= *pos,
        }
    }
}

impl Reader {
    /// A reader of what the bucket holds now.
    pub async fn open(journal: &Journal) -> Result<Self> {
        let manifest = Arc::new(Manifest::read(journal).await?);
        let log = Log::new(journal, &manifest);
        Ok(Self { journal: journal.clone(), manifest, start: None, log, started: false })
    }

    /// The manifest it reads through.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Looks for newer segments and says whether there are any. Nothing comes after an overlay.
    pub async fn refresh(&mut self) -> Result<bool> {
        self.log.look().await
    }

    /// Starts over from the newest checkpoint that `fits`.
    async fn begin(&mut self, fits: impl Fn(&Checkpoint) -> bool) -> Result<()> {
        let start = self.manifest.start(&self.journal, fits).await?;
        if self.started && start.as_ref().map(|c| c.pos) == self.start.as_ref().map(|c| c.pos) {
            return Ok(());
        }
        self.start = start.map(Arc::new);
        self.log.begin(Place::behind(self.start.as_deref())).await?;
        self.started = true;
        Ok(())
    }

    async fn load(&mut self, until: &Until) -> Result<()> {
        // Segments before the checkpoint's own may not close what it took in.
        let first = self.start.as_ref().map_or(0, |start| start.segment);
        let reached = |segment: &Segment| segment.meta.segment >= first && until.reached(segment);
        if self.log.runs().iter().any(|segment| reached(segment)) {
            return Ok(());
        }
        self.log.read_on(usize::MAX, reached).await
    }

    /// What has been read, up to the first segment that reaches `until`: an earlier question may have read further.
    fn read_until(&self, until: &Until) -> &[Arc<Segment>] {
        let first = self.start.as_ref().map_or(0, |start| start.segment);
        let reached = self.log.runs().iter().position(|s| s.meta.segment >= first && until.reached(s));
        reached.and_then(|at| self.log.runs().get(..=at)).unwrap_or(self.log.runs())
    }

    /// The cut that `resolve` makes of what has been read up to `until`, starting from a checkpoint within that cut.
    /// When a kind comes under protection with an older list, its domain's closed point may fall behind the newest
    /// checkpoint.
    async fn load_within(&mut self, until: &Until, resolve: impl Fn(&Self) -> Result<Cut>) -> Result<Cut> {
        loop {
            self.load(until).await?;
            let cut = resolve(self)?;
            match self.start.as_ref().filter(|start| !cut.reaches(&start.cut())).map(|start| start.pos) {
                Some(beyond) => self.begin(|c| c.pos < beyond && cut.reaches(&c.cut())).await?,
                None => return Ok(cut),
            }
        }
    }

    /// Whether what has been read is closed beyond a moment.
    fn is_past(&self, time: Micros) -> bool {
        self.frontier().values().all(|point| point.time > time)
    }

    /// The latest moment at which a kind was let go that has not been taken up again in what has been read.
    fn latest_let_go(&self) -> Option<Micros> {
        let mut gone: BTreeMap<String, Micros> = BTreeMap::new();
        for row in self.rows() {
            match row.op {
                Op::CoverBegin => drop(gone.remove(&row.kind_key())),
                Op::CoverEnd if facts::read(row).is_ok_and(|end: CoverEnd| end.is_recoverable()) => {
                    gone.insert(row.kind_key(), row.time_hi);
                }
                _ => {}
            }
        }
        gone.into_values().chain(self.start.as_ref().and_then(|start| start.let_go)).max()
    }

    /// Reads a few more segments and says whether there were any.
    async fn read_on(&mut self) -> Result<bool> {
        let read = self.log.runs().len();
        self.log.read_on(READ_ON, |_| false).await?;
        Ok(self.log.runs().len() > read)
    }

    /// The answer to a question.
    pub async fn at(&mut self, at: &At) -> Result<Past> {
        let moment = self.resolve(at).await?;
        Ok(Past::new(self.clone(), moment))
    }

    /// How far each domain is closed with what has been read.
    fn frontier(&self) -> FrontierVector {
        self.log.runs().last().map(|s| s.meta.frontier.clone()).unwrap_or_default()
    }

    /// The rows read, except those the checkpoint already holds.
    fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.rows_from(0)
    }

    /// The same, skipping the first few segments.
    fn rows_from(&self, segments: usize) -> impl Iterator<Item = &Row> + Clone {
        let checkpoint = self.start.as_ref().map(|c| (c.pos, Arc::new(c.cut())));
        self.log
            .runs()
            .iter()
            .skip(segments)
            .flat_map(|s| s.rows.iter())
            .filter(move |row| checkpoint.as_ref().is_none_or(|(pos, cut)| row.pos > *pos || !cut.holds(row)))
    }

    /// Takes away what was laid over what is read from here on: only then it reads on behind what it has read.
    pub fn lift(&mut self) {
        self.log.lift();
    }

    /// Lays changes seen in the live cluster, which are not in the journal, over everything read from here on. They follow
    /// on what is durable: whoever lays changes again lifts those of before first, and looks for newer segments.
    pub fn overlay(&mut self, changes: Vec<Change>, frontier: FrontierVector) {
        self.log.lay(Overlay { changes, frontier });
    }

    /// How much has been read beyond the checkpoint: segments, rows and bytes.
    pub fn tail_size(&self) -> (u64, u64, u64) {
        let rows = self.log.runs().iter().map(|s| s.rows.len() as u64).sum();
        let bytes = self.log.runs().iter().map(|s| s.bytes).sum();
        (self.log.runs().len() as u64, rows, bytes)
    }

    /// The segments that have been read.
    pub fn segments(&self) -> &[Arc<Segment>] {
        self.log.runs()
    }
}

/// Whether the protection of a kind ended with a life of its domain's counter.
fn is_end_of_life(row: &Row) -> bool {
    row.op == Op::CoverEnd && facts::read(row).is_ok_and(|end: CoverEnd| end.reason == Uncovered::Incarnation)
}

#[cfg(test)]
mod tests;
