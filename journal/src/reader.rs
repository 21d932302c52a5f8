//! Reading the past: a question becomes a cut, a cut becomes a state.
//!
//! A [`Reader`] loads one manifest, picks the newest checkpoint that is not after the moment asked for, and reads the
//! segments from there until the moment is closed or the log ends. What it has read it keeps, so that the next question
//! reads only what is missing. An answer is a [`Past`]: a value of its own, which no later question changes.
//!
//! **Invariants.** (1) A read goes through one manifest, and those that it continues. (2) The cut of a time is, per domain, the greatest revision
//! whose upper bound is not after it. (3) Objects of a kind that was not covered at the cut are not in the state: they
//! are not known to be all of them. (4) A cut in a life of the counter that has ended is answered from that life alone.
//! (5) A state is folded on a checkpoint whose cut is within its own [`Reader::load_within`]: what the checkpoint's cut
//! holds is in it, and nothing else.
//!
//! What was seen in the cluster and laid over the log stands behind its end in every answer that reads so far.
//!
//! Not here: opening sealed values ([`crate::seal`]), what a kind is called in questions (`cli`).

mod history;
mod lives;
mod past;

use std::{cmp::Ordering, collections::BTreeMap, ops::Range, sync::Arc};

use futures::StreamExt as _;

use self::lives::LivesRead;
pub use self::{
    history::Segments,
    past::{Answer, Past},
};
use crate::{
    Change, Error, ErrorKind, Journal, Micros, Position, Result, Row,
    checkpoint::{Checkpoint, CheckpointFile, Doubts, Manifest, Origin},
    counts::{Counts, Tally},
    cut::{At, Cut, CutPoint, MAIN, Moment},
    facts::{self, CoverEnd, Uncovered},
    fold::{Scope, State},
    journal::Segment,
    row::{Op, Source},
    seal::Rules,
    segment::{FrontierVector, Meta},
};

/// The most uncertain rows that are named.
const UNCERTAIN: usize = 1000;

/// What was missed of a kind that was let go is recovered within this long, or not at all: etcd forgets after five minutes
/// what was past five minutes before.
const RECOVERY: Micros = 11 * 60_000_000;
/// Segments read at once in search of that.
const READ_ON: u64 = 16;
/// The role of what was seen in the cluster and laid over what was read.
const OVERLAY: &str = "overlay";

/// Reads one journal. A clone shares what has been read.
#[derive(Debug, Clone)]
pub struct Reader {
    journal: Journal,
    manifest: Arc<Manifest>,
    start: Option<Arc<Checkpoint>>,
    /// The segments from where it starts up to the newest known; the first of them have been read.
    numbers: Range<u64>,
    segments: Vec<Arc<Segment>>,
    loaded: bool,
    /// What was seen in the cluster beyond the newest segment.
    laid: Option<Arc<Overlay>>,
}

/// Changes that are not in the journal, and how far they close it.
#[derive(Debug)]
struct Overlay {
    changes: Vec<Change>,
    frontier: FrontierVector,
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
            // Between two lives of its counter nothing closes the main domain, whatever others do.
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
        Ok(Self {
            manifest: Arc::new(Manifest::read(journal).await?),
            journal: journal.clone(),
            start: None,
            numbers: 0..0,
            segments: Vec::new(),
            loaded: false,
            laid: None,
        })
    }

    /// The manifest it reads through.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Looks whether there are newer segments; whether there were. What was laid over the log stays the newest.
    pub async fn refresh(&mut self) -> Result<bool> {
        if self.laid.is_some() {
            return Ok(false);
        }
        if self.numbers.is_empty() {
            self.numbers = self.journal.segments_after(self.first_segment() - 1).await?;
            return Ok(!self.numbers.is_empty());
        }
        let known = self.numbers.end - 1;
        let newest = self.journal.newest(known).await?;
        self.numbers.end = newest + 1;
        Ok(newest > known)
    }

    fn first_segment(&self) -> u64 {
        self.start.as_ref().map_or(1, |c| c.fold_from_segment)
    }

    /// Starts over from the newest checkpoint that `fits`.
    async fn begin(&mut self, fits: impl Fn(&Checkpoint) -> bool) -> Result<()> {
        let start = self.manifest.newest(&self.journal, fits).await?;
        if self.loaded && start.as_ref().map(|c| c.pos) == self.start.as_ref().map(|c| c.pos) {
            return Ok(());
        }
        self.segments.clear();
        self.start = start.map(Arc::new);
        self.numbers = self.journal.segments_after(self.first_segment() - 1).await?;
        self.loaded = true;
        Ok(())
    }

    async fn load(&mut self, until: &Until) -> Result<()> {
        // What the checkpoint took in may be closed by no segment before its own.
        let first = self.start.as_ref().map_or(0, |start| start.segment);
        let reached = |segment: &Segment| segment.meta.segment >= first && until.reached(segment);
        if self.segments.iter().any(|segment| reached(segment)) {
            return Ok(());
        }
        self.take(self.numbers.end, reached).await
    }

    /// What has been read, without what stands behind the first segment that reaches so far: more may have been read before.
    fn read_until(&self, until: &Until) -> &[Arc<Segment>] {
        let first = self.start.as_ref().map_or(0, |start| start.segment);
        let reached = self.segments.iter().position(|s| s.meta.segment >= first && until.reached(s));
        reached.and_then(|at| self.segments.get(..=at)).unwrap_or(&self.segments)
    }

    /// The cut that `resolve` makes of what has been read `until` then, from a checkpoint within it: in a domain that a kind
    /// came under protection in with an older list, what is closed may have gone back since the newest one was made.
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

    /// Reads on, up to before segment `end` or to the first that is `enough`.
    async fn take(&mut self, end: u64, enough: impl Fn(&Segment) -> bool) -> Result<()> {
        if self.is_at_overlay() {
            return Ok(());
        }
        let mut link = crate::journal::Link::default();
        if let Some(last) = self.segments.last() {
            link.check(&last.meta)?;
        }
        let mut stream = Box::pin(self.journal.read(self.numbers.start + self.segments.len() as u64..end));
        while let Some(segment) = stream.next().await {
            let mut segment = segment?;
            link.check(&segment.meta)?;
            self.manifest.correct(&mut segment.meta);
            let enough = enough(&segment);
            self.segments.push(Arc::new(segment));
            if enough {
                return Ok(());
            }
        }
        drop(stream);
        if end >= self.numbers.end {
            self.lay_over();
        }
        Ok(())
    }

    /// Puts what was seen in the cluster behind the newest segment.
    fn lay_over(&mut self) {
        let (Some(laid), Some(last)) = (&self.laid, self.segments.last().map(|s| s.meta.clone())) else { return };
        let first = last.last + 1;
        let rows: Vec<Row> =
            (first..).zip(laid.changes.iter().cloned()).map(|(pos, change)| Row { pos, change }).collect();
        let meta = Meta {
            role: OVERLAY.to_owned(),
            first,
            last: first + rows.len() as u64 - 1,
            chain_before: last.chain_after,
            frontier: laid.frontier.clone(),
            ..last
        };
        self.segments.push(Arc::new(Segment { meta, rows: Arc::new(rows), bytes: 0 }));
    }

    fn is_at_overlay(&self) -> bool {
        self.segments.last().is_some_and(|segment| segment.meta.role == OVERLAY)
    }

    /// Whether what has been read is closed beyond a moment.
    fn is_past(&self, time: Micros) -> bool {
        self.frontier().values().all(|point| point.time > time)
    }

    /// When the kinds were let go that were not taken up again in what has been read: the latest of them.
    fn left(&self) -> Option<Micros> {
        let mut gone: BTreeMap<String, Micros> = BTreeMap::new();
        for row in self.rows() {
            match row.op {
                Op::CoverBegin => drop(gone.remove(&row.kind_key())),
                Op::CoverEnd if facts::read(row).is_ok_and(|end| is_recoverable(&end)) => {
                    gone.insert(row.kind_key(), row.time_hi);
                }
                _ => {}
            }
        }
        gone.into_values().chain(self.start.as_ref().and_then(|start| start.left)).max()
    }

    /// Reads a few segments more; whether there were any.
    async fn read_on(&mut self) -> Result<bool> {
        let read = self.segments.len();
        let end = self.numbers.end.min(self.numbers.start + read as u64 + READ_ON);
        self.take(end, |_| false).await?;
        Ok(self.segments.len() > read)
    }

    /// The answer to a question.
    pub async fn at(&mut self, at: &At) -> Result<Past> {
        let moment = self.resolve(at).await?;
        Ok(Past::new(self.clone(), moment))
    }

    /// The moment of a question, with all read that its answer stands on.
    async fn resolve(&mut self, at: &At) -> Result<Moment> {
        match at {
            At::Now => {
                self.begin(|_| true).await?;
                let cut = self.load_within(&Until::End, |reader| Ok(reader.newest_cut())).await?;
                let time = self.newest_closed().get(MAIN).map_or(0, |p| p.time);
                Ok(self.moment(&self.lives_read(), cut, time, None, None))
            }
            At::NowOpen => {
                self.begin(|_| true).await?;
                self.load(&Until::End).await?;
                let lives = self.lives_read();
                let (cut, time) = self.greatest(&lives, |_| true);
                let newest = self.rows().map(|row| row.time_hi);
                let closed = self.frontier();
                let newest = newest.chain(closed.values().map(|point| point.time)).max().unwrap_or(0);
                Ok(self.moment(&lives, cut, time.max(newest), None, None))
            }
            At::Time(time) => self.resolve_time(*time, false).await,
            At::BeforeTime(time) => self.resolve_time(*time, true).await,
            At::Rev { rv, incarnation, domain } => {
                self.resolve_rev(*rv, *incarnation, domain.as_deref().unwrap_or(MAIN)).await
            }
            At::Pos(pos) => self.resolve_pos(*pos, false).await,
            At::BeforePos(pos) => self.resolve_pos(*pos, true).await,
        }
    }

    async fn resolve_time(&mut self, time: Micros, before: bool) -> Result<Moment> {
        self.begin(|c| c.time() < time).await?;
        self.load(&Until::Time(time)).await?;
        // What was recovered of a kind that had been let go stands later in the log, and has a say.
        while self.left().is_some_and(|left| !self.is_past(left + RECOVERY)) && self.read_on().await? {}
        let known_before = |hi: Micros| if before { hi < time } else { hi <= time };
        let lives = self.lives_read();
        let begun = |row: &Row| lives.since(row).is_none_or(known_before);
        let (cut, _) = self.greatest(&lives, |row| known_before(row.time_hi) && begun(row));
        let closed_time = self.newest_closed().values().map(|p| p.time).min();
        let beyond = match closed_time {
            Some(closed) if closed < time => Some(closed),
            None => Some(0),
            Some(_) => None,
        };
        let mut moment = self.moment(&lives, cut, time, beyond, Some(time));
        // What has a revision up to the cut's was committed before, whatever its own bounds say.
        let reach = |row: &&Row| {
            row.op.is_object()
                && row.time_lo <= time
                && !known_before(row.time_hi)
                && begun(row)
                && !moment.cut.holds(row)
        };
        let uncertain = self
            .rows()
            .filter(reach)
            .filter(|row| row.source != Source::List)
            .take(UNCERTAIN)
            .map(|row| (row.pos, row.time_lo, row.time_hi))
            .collect();
        moment.uncertain = uncertain;
        moment.before_start = moment.cut.domains.is_empty();
        Ok(moment)
    }

    async fn resolve_rev(&mut self, rv: u64, incarnation: Option<u32>, domain: &str) -> Result<Moment> {
        let incarnation = match incarnation {
            Some(incarnation) => incarnation,
            None => self.life_of(rv, domain).await?,
        };
        let point = CutPoint { incarnation, rv };
        // One at the very point may have taken in more of the other domains than was closed of them when the point was.
        self.begin(|c| c.cut().domains.get(domain).is_some_and(|p| *p < point)).await?;
        let until = Until::Point(domain.to_owned(), point);
        let there = |reader: &Self| {
            let read = reader.read_until(&until);
            let frontier = read.last().map(|segment| segment.meta.frontier.clone()).unwrap_or_default();
            let mut cut = reader.cut_at(&frontier, read);
            cut.domains.insert(domain.to_owned(), point);
            Ok(cut)
        };
        let cut = self.load_within(&until, there).await?;
        // What more was read, to know in which life the revision is, tells of later.
        let read = self.read_until(&until).len();
        self.segments.truncate(read);
        let frontier = self.frontier();
        // The end of a protection is told long after the revision up to which there was one.
        let hi = |row: &Row| row.domain == domain && cut.holds(row) && row.op != Op::CoverEnd;
        let time = self.rows().filter(|r| hi(r)).map(|r| r.time_hi).max().unwrap_or(0);
        let at_start = self.start.as_ref().and_then(|start| start.told(domain));
        let time = time.max(at_start.map_or(0, |(_, hi)| hi));
        let known = frontier.get(domain).map(|p| CutPoint { incarnation: p.incarnation, rv: p.rv });
        let lives = self.lives_read();
        let seen = self.greatest(&lives, |_| true).0.domains.get(domain).copied();
        let beyond = if known >= Some(point) || seen >= Some(point) {
            None
        } else {
            Some(frontier.get(domain).map_or(0, |p| p.time))
        };
        Ok(self.moment(&lives, cut, time, beyond, None))
    }

    async fn resolve_pos(&mut self, pos: Position, before: bool) -> Result<Moment> {
        self.begin(|c| c.pos < pos).await?;
        let cut = self.load_within(&Until::Pos(pos), |reader| Ok(reader.cut_of(pos, before)?.0)).await?;
        let row = self.cut_of(pos, before)?.1;
        if let Some(point) = cut.domains.get(&row.domain).copied() {
            self.load(&Until::Point(row.domain.clone(), point)).await?;
        }
        Ok(self.moment(&self.lives_read(), cut, row.time_hi, None, None))
    }

    /// The cut at the row of a position, or `before` it, and the row.
    fn cut_of(&self, pos: Position, before: bool) -> Result<(Cut, Row)> {
        let at = self.segments.iter().position(|s| s.meta.first <= pos && pos <= s.meta.last);
        let found = at.and_then(|at| {
            let read = self.segments.get(..=at)?;
            let segment = read.last()?;
            Some((read, segment, segment.rows.iter().find(|row| row.pos == pos)?.clone()))
        });
        let Some((read, segment, row)) = found else {
            let last = self.segments.last().map_or(0, |s| s.meta.last);
            return Err(Error::not_found(
                format!("position {pos}"),
                format!("is not in the journal; its last is {last}"),
            ));
        };
        let mut cut = self.cut_at(&segment.meta.frontier, read);
        let mut point = CutPoint { incarnation: row.incarnation, rv: row.rv };
        if row.source == Source::List || !row.op.is_object() {
            // A list's rows have the revisions of long ago: what the row stands for is the list.
            point = cut.domains.get(&row.domain).copied().unwrap_or(point).max(point);
        } else if before {
            point.rv = point.rv.saturating_sub(1);
        }
        cut.domains.insert(row.domain.clone(), point);
        Ok((cut, row))
    }

    /// The moment of a cut with what has been read; `asked` is the time, where the question was one.
    fn moment(
        &self,
        lives: &LivesRead,
        cut: Cut,
        time: Micros,
        beyond: Option<Micros>,
        asked: Option<Micros>,
    ) -> Moment {
        let frontier = self.newest_closed();
        let ended = self.ended(lives, &cut, asked);
        let closed = beyond.is_none() && !cut.domains.is_empty() && ended.is_empty() && cut.within(&frontier);
        Moment {
            before_start: cut.domains.is_empty(),
            cut,
            time,
            closed,
            beyond,
            uncertain: Vec::new(),
            frontier,
            ended,
        }
    }

    /// How far each domain is closed with what has been read.
    fn frontier(&self) -> FrontierVector {
        self.segments.last().map(|s| s.meta.frontier.clone()).unwrap_or_default()
    }

    /// The rows read, without those that the checkpoint holds already.
    fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.rows_from(0)
    }

    /// The same, of the segments after the first few.
    fn rows_from(&self, segments: usize) -> impl Iterator<Item = &Row> + Clone {
        let held = self.start.as_ref().map(|c| (c.pos, Arc::new(c.cut())));
        self.segments
            .iter()
            .skip(segments)
            .flat_map(|s| s.rows.iter())
            .filter(move |row| held.as_ref().is_none_or(|(pos, cut)| row.pos > *pos || !cut.holds(row)))
    }

    /// Per domain the greatest revision that the rows that fit show to be reached, and their newest time.
    fn greatest(&self, lives: &LivesRead, fits: impl Fn(&Row) -> bool) -> (Cut, Micros) {
        let mut cut = self.start.as_ref().map(|start| start.told_cut()).unwrap_or_default();
        let mut time = self.start.as_ref().map_or(0, |start| start.time());
        let mut take = |row: &Row| {
            let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
            let at = cut.domains.entry(row.domain.clone()).or_insert(point);
            *at = (*at).max(point);
            time = time.max(row.time_hi);
        };
        let counted = || self.rows().filter(|row| tells_revision(row) && !lives.torn(row) && fits(row));
        counted().filter(|row| row.op != Op::CoverEnd).for_each(&mut take);
        // Before anything was protected there is nothing to end, and so in each life.
        let begun = |row: &&Row| lives.since(row).is_none_or(|since| since < Micros::MAX);
        if counted().any(|row| row.op != Op::CoverEnd) || self.start.is_some() {
            counted().filter(|row| row.op == Op::CoverEnd).filter(begun).for_each(&mut take);
        }
        (cut, time)
    }

    /// Looks through what has been read for closed times that were ahead of the time, as an earlier version could store them
    /// when a clock jumped ahead and back, and has the manifest doubt them. `now` is the time.
    pub async fn doubt(&mut self, now: Micros) -> Result<()> {
        let mut found = Doubts::new(now);
        for segment in self.segments.iter().rev() {
            found.look(&segment.meta);
        }
        // They may have begun before what was read.
        let mut before = self.segments.first().map_or(0, |s| s.meta.segment);
        while found.reaches(before) && before > 1 {
            before -= 1;
            match self.journal.segment(before).await {
                Ok(segment) => found.look(&segment.meta),
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        let Some(doubt) = found.sum() else { return Ok(()) };
        if self.manifest.doubts(&doubt) {
            return Ok(());
        }
        Manifest::add_doubt(&self.journal, doubt).await?;
        self.manifest = Arc::new(Manifest::read(&self.journal).await?);
        for segment in &mut self.segments {
            self.manifest.correct(&mut Arc::make_mut(segment).meta);
        }
        Ok(())
    }

    /// Everything durable: what a writer goes on from.
    pub async fn resume(&mut self) -> Result<State> {
        let mut state = self.everything().await?;
        state.reached = self.newest_cut();
        for (domain, point) in &state.reached.domains {
            let life = state.lives.entry(domain.clone()).or_default();
            *life = point.incarnation.max(*life);
        }
        Ok(state)
    }

    /// Everything durable, counted: the state without its objects, and what there is of them, by rules. It is folded only where
    /// the checkpoint that it starts from does not say what it holds.
    pub async fn standing(&mut self, rules: &Rules) -> Result<(State, Counts)> {
        self.begin(|_| true).await?;
        self.load(&Until::End).await?;
        let nothing = Scope::nothing();
        let file = self.start_file().await?;
        let mut state = match &file {
            Some(file) => file.state(&nothing).await?,
            None => State::default(),
        };
        for row in self.rows() {
            state.apply(row, &nothing, None)?;
        }
        if let Some(counts) = counts(file, rules, self.rows()).await? {
            return Ok((state, counts));
        }
        let everything = self.everything().await?;
        Ok((state, Counts::of(&everything, rules)))
    }

    /// The file of the checkpoint that it starts from, with the footer alone.
    async fn start_file(&self) -> Result<Option<CheckpointFile<'_>>> {
        match &self.start {
            Some(checkpoint) => Ok(Some(checkpoint.open(&self.journal).await?)),
            None => Ok(None),
        }
    }

    /// The state of all that is durable.
    async fn everything(&mut self) -> Result<State> {
        self.begin(|_| true).await?;
        self.load(&Until::End).await?;
        let everything = Scope::default();
        let mut state = match &self.start {
            Some(checkpoint) => checkpoint.load(&self.journal, &everything).await?,
            None => State::default(),
        };
        for row in self.rows() {
            state.apply(row, &everything, None)?;
        }
        state.finish()?;
        Ok(state)
    }

    /// The state at the newest closed cut, and where it came from: what a checkpoint is made of. `None` while nothing
    /// is closed, or a domain is between two lives.
    pub async fn at_closed_cut(&mut self) -> Result<Option<(State, Origin)>> {
        let moment = self.resolve(&At::Now).await?;
        let Some(tail) = self.segments.last().map(|s| s.meta.clone()) else { return Ok(None) };
        // What a healing brought of the next life is told from the one that ended by its end, which must be in what is read.
        if !moment.closed || self.is_between_lives() {
            return Ok(None);
        }
        let start = self.start.clone();
        let mut state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, &Scope::default()).await?,
            None => State::default(),
        };
        // By when all of a domain's cut was committed, its newest revision says: the bounds of older ones may be those of a
        // clock that was wrong.
        let mut newest: BTreeMap<String, (CutPoint, Micros)> = BTreeMap::new();
        // The newest segment is always read again: its metadata says how far the log is closed.
        let mut fold_from = (tail.last + 1, tail.segment);
        for segment in &self.segments {
            for row in segment.rows.iter() {
                let held = moment.cut.holds(row);
                if !held && row.op != Op::Frontier && row.pos < fold_from.0 {
                    fold_from = (row.pos, segment.meta.segment);
                }
            }
        }
        for row in self.rows() {
            state.apply(row, &Scope::default(), Some(&moment.cut))?;
            // The versions of a new life may be older than the moment it was first seen at.
            if moment.cut.holds(row) && tells_revision(row) {
                let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
                let newest = newest.entry(row.domain.clone()).or_insert((point, row.time_hi));
                match point.cmp(&newest.0) {
                    Ordering::Greater => *newest = (point, row.time_hi),
                    // Kinds are let go and taken up again while a revision stands.
                    Ordering::Equal => newest.1 = newest.1.max(row.time_hi),
                    Ordering::Less => {}
                }
            }
        }
        state.finish()?;
        let by_when = |domain: &String| {
            let before = start.as_ref().and_then(|start| start.told(domain));
            let told = match (newest.get(domain).copied(), before) {
                (Some(here), Some(before)) if here.0 > before.0 => here,
                (Some(here), Some(before)) => (before.0, before.1.max(here.1)),
                (here, before) => here.or(before)?,
            };
            Some((domain.clone(), told))
        };
        let told = moment.cut.domains.keys().filter_map(by_when).collect();
        let origin = Origin {
            cut: moment.cut,
            told,
            segment: tail.segment,
            last: tail.last,
            chain: tail.chain_after,
            fold_from,
            left: left(&state),
            frontier: tail.frontier,
        };
        Ok(Some((state, origin)))
    }

    /// Lays changes that are not in the journal, seen in the live cluster, over what is read from here on.
    pub fn overlay(&mut self, changes: Vec<Change>, frontier: FrontierVector) {
        self.segments.retain(|segment| segment.meta.role != OVERLAY);
        self.laid = Some(Arc::new(Overlay { changes, frontier }));
    }

    /// How much has been read beyond the checkpoint: segments, rows and bytes.
    pub fn tail_size(&self) -> (u64, u64, u64) {
        let rows = self.segments.iter().map(|s| s.rows.len() as u64).sum();
        let bytes = self.segments.iter().map(|s| s.bytes).sum();
        (self.segments.len() as u64, rows, bytes)
    }

    /// The segments that have been read.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }
}

/// What stands after rows behind a checkpoint, counted without folding them. `None` if the checkpoint does not say enough.
async fn counts<'r>(
    start: Option<CheckpointFile<'_>>,
    rules: &Rules,
    rows: impl Iterator<Item = &'r Row> + Clone,
) -> Result<Option<Counts>> {
    let counts = start.as_ref().map_or_else(|| Some(Counts::none(rules)), CheckpointFile::counts);
    let Some(tally) = counts.and_then(|counts| Tally::new(counts, rules, rows)) else { return Ok(None) };
    let wanted = tally.wanted();
    let before = match start.filter(|_| !wanted.is_empty()) {
        Some(file) => file.objects(&wanted).await?,
        None => State::default(),
    };
    tally.sum(before, rules)
}

/// Whether a row says by when its revision was committed. The end of a life stands at a moment before its revision's, when all
/// that there was then was known.
fn tells_revision(row: &Row) -> bool {
    match row.op {
        Op::CoverBegin | Op::Gap => true,
        Op::CoverEnd => !is_end_of_life(row),
        op => op.is_object(),
    }
}

/// Whether the protection of a kind ended with a life of its domain's counter.
fn is_end_of_life(row: &Row) -> bool {
    row.op == Op::CoverEnd && facts::read(row).is_ok_and(|end: CoverEnd| end.reason == Uncovered::Incarnation)
}

/// When the kinds were let go that may have been taken up again later in the log, recovered: the latest of them.
fn left(state: &State) -> Option<Micros> {
    let ends = state.kinds.values().filter_map(|kind| kind.covers.last()?.end.as_ref());
    ends.filter(|(.., end)| is_recoverable(end)).map(|(_, when, _)| *when).max()
}

/// Whether a kind may be taken up again as if its protection had not ended.
fn is_recoverable(end: &CoverEnd) -> bool {
    end.reason == Uncovered::Stuck
}

#[cfg(test)]
mod tests;
