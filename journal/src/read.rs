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
//! Where the past was thinned out, there is no log to read: a moment of that time is answered by a cut that was kept ([`thinned`]).
//!
//! Changes seen in the live cluster can be laid over the log: every answer that reads to its end includes them.
//!
//! In [`resolve`] a question becomes a moment, [`look`] finds one with little reading, in [`past`] it becomes a state; [`lives`] knows which life of a
//! counter is meant, [`whole`] folds and counts everything durable. [`tail`] is the committed log in order, on and on,
//! and [`history`] that behind the state it begins on. What holds the rows, only [`rows`], [`shelf`] and [`excerpts`] know.
//!
//! Not here: opening sealed values ([`crate::seal`]), what a kind is called in questions (`cli`).

mod around;
mod excerpts;
mod history;
mod lives;
mod look;
mod past;
mod resolve;
mod rows;
mod shelf;
mod tail;
mod thinned;
mod whole;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use self::around::holes;
use self::rows::{Known, Log, Overlay, Place};
pub use self::{
    around::{Behind, Crossed},
    history::Segments,
    past::{Answer, Past},
    tail::Tail,
};
use crate::{
    Change, Journal, Position, Result, Row,
    checkpoint::{Checkpoint, Manifest},
    cut::{At, Cut, CutPoint, MAIN},
    expiry::Statement,
    facts::{self, CoverEnd, Uncovered},
    journal::Segment,
    level::Asked,
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
    /// The moment that is looked for, if no more than that is wanted of merged files.
    asked: Option<Asked>,
    /// The raw segments that questions about a moment read.
    known: Known,
    /// What was kept of a time that was thinned out, once it was asked for.
    statement: Option<Arc<Statement>>,
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
        let (journal, known) = (journal.clone(), Known::default());
        Ok(Self { journal, manifest, start: None, log, started: false, asked: None, known, statement: None })
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

    /// Starts over from the newest checkpoint that `fits`, or from where the log begins. `false` where that was thinned out: there is
    /// no log before the base to read.
    async fn begin(&mut self, fits: impl Fn(&Checkpoint) -> bool) -> Result<bool> {
        let start = match self.journal.goes_around() {
            true => Box::pin(around::sound(&self.journal, &self.manifest, fits)).await?,
            false => self.manifest.start(&self.journal, fits).await?,
        };
        if start.is_none() && self.manifest.expired().is_some() {
            return Ok(false);
        }
        if self.started && start.as_ref().map(|c| c.pos) == self.start.as_ref().map(|c| c.pos) {
            return Ok(true);
        }
        self.start = start.map(Arc::new);
        let place = Place::behind(self.start.as_deref());
        match self.asked {
            Some(asked) => self.log.begin_at_moment(place, asked, self.end_of(place, asked)).await?,
            None => self.log.begin(place).await?,
        }
        self.started = true;
        Ok(true)
    }

    /// Starts over from the newest checkpoint.
    async fn begin_newest(&mut self) -> Result<()> {
        match self.begin(|_| true).await? {
            true => Ok(()),
            false => Err(self.too_old("the newest state")),
        }
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
                Some(beyond) => {
                    if !self.begin(|c| c.pos < beyond && cut.reaches(&c.cut())).await? {
                        return Err(self.too_old(&format!("rev:{}", cut.rev())));
                    }
                }
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
        if self.journal.goes_around() {
            return Box::pin(self.at_around(at)).await;
        }
        let moment = Box::pin(self.resolve(at)).await?;
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
        self.beyond(self.log.runs().get(segments..).unwrap_or_default())
    }

    /// The rows of some runs, except those the checkpoint already holds.
    fn beyond<'r>(&self, runs: &'r [Arc<Segment>]) -> impl Iterator<Item = &'r Row> + Clone + use<'r> {
        let checkpoint = self.start.as_ref().map(|c| (c.pos, Arc::new(c.cut())));
        runs.iter()
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

    /// The newest knock that is answered by what has been read.
    pub fn answered(&self) -> u64 {
        self.log.runs().last().map_or(0, |run| run.meta.knock())
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
