//! Reading the past: a question becomes a cut, a cut becomes a state.
//!
//! A [`Reader`] loads one manifest, picks the newest checkpoint that is not after the moment asked for, and reads the
//! segments from there until the moment is closed or the log ends. What it has read it keeps, so that resolving and
//! folding read every segment once.
//!
//! **Invariants.** (1) A read goes through one manifest. (2) The cut of a time is, per domain, the greatest revision
//! whose upper bound is not after it. (3) Objects of a kind that was not covered at the cut are not in the state: they
//! are not known to be all of them. (4) A cut in a life of the counter that has ended is answered from that life alone.
//!
//! Not here: opening sealed values ([`crate::seal`]), what a kind is called in questions (`cli`).

mod lives;

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use futures::{Stream, StreamExt as _};

use crate::{
    Change, Error, Journal, Micros, Position, Result, Row,
    checkpoint::{Checkpoint, Manifest, Origin},
    cut::{At, Cut, CutPoint, MAIN, Moment},
    fold::{KindState, Knowledge, Scope, State},
    journal::Segment,
    row::{Op, Source},
    segment::{FrontierVector, Meta},
};

/// The most uncertain rows that are named.
const UNCERTAIN: usize = 1000;

/// Reads one journal.
#[derive(Debug)]
pub struct Reader {
    journal: Journal,
    manifest: Manifest,
    start: Option<Checkpoint>,
    numbers: Vec<u64>,
    segments: Vec<Segment>,
    loaded: bool,
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
            Self::Time(time) => !frontier.is_empty() && frontier.values().all(|p| p.time >= *time),
            Self::Point(domain, point) => frontier
                .get(domain)
                .is_some_and(|p| CutPoint { incarnation: p.incarnation, rv: p.rv } >= *point),
            Self::Pos(pos) => segment.meta.last >= *pos,
        }
    }
}

impl Reader {
    /// A reader of what the bucket holds now.
    pub async fn open(journal: &Journal) -> Result<Self> {
        Ok(Self {
            manifest: Manifest::read(journal).await?,
            journal: journal.clone(),
            start: None,
            numbers: Vec::new(),
            segments: Vec::new(),
            loaded: false,
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

    /// Looks whether there are newer segments; whether there were.
    pub async fn refresh(&mut self) -> Result<bool> {
        let after = self.numbers.last().copied().unwrap_or_else(|| self.first_segment() - 1);
        let newer = self.journal.segments_after(after).await?;
        self.numbers.extend(&newer);
        Ok(!newer.is_empty())
    }

    fn first_segment(&self) -> u64 {
        self.start.as_ref().map_or(1, |c| c.fold_from_segment)
    }

    /// Starts over from the newest checkpoint that `fits`.
    async fn begin(&mut self, fits: impl Fn(&Checkpoint) -> bool) -> Result<()> {
        let start = self.manifest.checkpoints.iter().rev().find(|c| fits(c)).cloned();
        if self.loaded && start.as_ref().map(|c| c.pos) == self.start.as_ref().map(|c| c.pos) {
            return Ok(());
        }
        self.segments.clear();
        self.start = start;
        self.numbers = self.journal.segments_after(self.first_segment() - 1).await?;
        self.loaded = true;
        Ok(())
    }

    async fn load(&mut self, until: &Until) -> Result<()> {
        if self.segments.iter().any(|s| until.reached(s)) {
            return Ok(());
        }
        let rest: Vec<u64> = self.numbers.iter().skip(self.segments.len()).copied().collect();
        let mut link = crate::journal::Link::default();
        for segment in &self.segments {
            link.check(&segment.meta)?;
        }
        let mut stream = Box::pin(self.journal.read(rest));
        while let Some(segment) = stream.next().await {
            let segment = segment?;
            link.check(&segment.meta)?;
            let reached = until.reached(&segment);
            self.segments.push(segment);
            if reached {
                break;
            }
        }
        Ok(())
    }

    /// The cut of a question.
    pub async fn resolve(&mut self, at: &At) -> Result<Moment> {
        match at {
            At::Now => {
                self.begin(|_| true).await?;
                self.load(&Until::End).await?;
                let frontier = self.newest_closed();
                let time = frontier.get(MAIN).map_or(0, |p| p.time);
                Ok(self.moment(Cut::of(&frontier), time, None, None))
            }
            At::NowOpen => {
                self.begin(|_| true).await?;
                self.load(&Until::End).await?;
                let (cut, time) = self.greatest(|_| true);
                let newest = self.rows().map(|row| row.time_hi).max().unwrap_or(0);
                Ok(self.moment(cut, time.max(newest), None, None))
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
        let known_before = |hi: Micros| if before { hi < time } else { hi <= time };
        let lives = self.lives_read();
        let begun = |row: &Row| lives.since(row).is_none_or(known_before);
        let (cut, _) = self.greatest(|row| known_before(row.time_hi) && begun(row));
        let closed_time = self.newest_closed().values().map(|p| p.time).min();
        let beyond = match closed_time {
            Some(closed) if closed < time => Some(closed),
            None => Some(0),
            Some(_) => None,
        };
        let mut moment = self.moment(cut, time, beyond, Some(time));
        let reach = |row: &&Row| row.op.is_object() && row.time_lo <= time && !known_before(row.time_hi) && begun(row);
        moment.uncertain = self
            .rows()
            .filter(reach)
            .filter(|row| row.source == Source::Watch || row.source == Source::Healed)
            .take(UNCERTAIN)
            .map(|row| (row.pos, row.time_lo, row.time_hi))
            .collect();
        moment.before_start = moment.cut.domains.is_empty();
        Ok(moment)
    }

    async fn resolve_rev(&mut self, rv: u64, incarnation: Option<u32>, domain: &str) -> Result<Moment> {
        let incarnation = match incarnation {
            Some(incarnation) => incarnation,
            None => self.life_of(rv, domain).await?,
        };
        let point = CutPoint { incarnation, rv };
        self.begin(|c| c.cut().domains.get(domain).is_some_and(|p| *p <= point)).await?;
        self.load(&Until::Point(domain.to_owned(), point)).await?;
        let frontier = self.frontier();
        let mut cut = Cut::of(&frontier);
        cut.domains.insert(domain.to_owned(), point);
        // The end of a protection is told long after the revision up to which there was one.
        let hi = |row: &Row| row.domain == domain && cut.holds(row) && row.op != Op::CoverEnd;
        let time = self.rows().filter(|r| hi(r)).map(|r| r.time_hi).max().unwrap_or(0);
        let time = time.max(self.start.as_ref().map_or(0, Checkpoint::time));
        let known = frontier.get(domain).map(|p| CutPoint { incarnation: p.incarnation, rv: p.rv });
        let seen = self.greatest(|_| true).0.domains.get(domain).copied();
        let beyond = if known >= Some(point) || seen >= Some(point) {
            None
        } else {
            Some(frontier.get(domain).map_or(0, |p| p.time))
        };
        Ok(self.moment(cut, time, beyond, None))
    }

    async fn newest_incarnation(&mut self, domain: &str) -> Result<u32> {
        let tail = self.journal.tail(self.manifest.checkpoints.last().map_or(0, |c| c.segment)).await?;
        Ok(tail.frontier.get(domain).map_or(0, |p| p.incarnation))
    }

    async fn resolve_pos(&mut self, pos: Position, before: bool) -> Result<Moment> {
        self.begin(|c| c.pos < pos).await?;
        self.load(&Until::Pos(pos)).await?;
        let segment = self.segments.iter().find(|s| s.meta.first <= pos && pos <= s.meta.last);
        let Some((segment, row)) =
            segment.and_then(|s| Some((s, s.rows.iter().find(|r| r.pos == pos)?.clone())))
        else {
            let last = self.segments.last().map_or(0, |s| s.meta.last);
            return Err(Error::not_found(format!("position {pos}"), format!("is not in the journal; its last is {last}")));
        };
        let mut cut = Cut::of(&segment.meta.frontier);
        let mut point = CutPoint { incarnation: row.incarnation, rv: row.rv };
        if row.source == Source::List || !row.op.is_object() {
            // A list's rows have the revisions of long ago: what the row stands for is the list.
            point = cut.domains.get(&row.domain).copied().unwrap_or(point).max(point);
        } else if before {
            point.rv = point.rv.saturating_sub(1);
        }
        cut.domains.insert(row.domain.clone(), point);
        let too_new = |c: &Checkpoint| !c.cut().domains.iter().all(|(d, p)| cut.domains.get(d).is_some_and(|q| p <= q));
        if self.start.as_ref().is_some_and(too_new) {
            self.begin(|c| c.pos < pos && !too_new(c)).await?;
        }
        self.load(&Until::Point(row.domain.clone(), point)).await?;
        Ok(self.moment(cut, row.time_hi, None, None))
    }

    /// The moment of a cut with what has been read; `asked` is the time, where the question was one.
    fn moment(&self, cut: Cut, time: Micros, beyond: Option<Micros>, asked: Option<Micros>) -> Moment {
        let frontier = self.newest_closed();
        let ended = self.ended(&cut, asked);
        let closed = beyond.is_none() && !cut.domains.is_empty() && ended.is_empty() && cut.within(&frontier);
        Moment {
            before_start: cut.domains.is_empty(),
            cut,
            time,
            closed,
            lagging: Vec::new(),
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
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let skip = self.start.as_ref().map(|c| (c.pos, c.cut()));
        self.segments
            .iter()
            .flat_map(|s| s.rows.iter())
            .filter(move |row| skip.as_ref().is_none_or(|(pos, cut)| row.pos > *pos || !cut.holds(row)))
    }

    /// Per domain the greatest revision of the object rows that fit, and their newest time.
    fn greatest(&self, fits: impl Fn(&Row) -> bool) -> (Cut, Micros) {
        let mut cut = self.start.as_ref().map(Checkpoint::cut).unwrap_or_default();
        let mut time = self.start.as_ref().map_or(0, Checkpoint::time);
        let lives = self.lives_read();
        let counts = |row: &&Row| {
            (row.op.is_object() && !lives.torn(row)) || row.op == Op::CoverBegin || row.op == Op::Gap
        };
        for row in self.rows().filter(counts).filter(|r| fits(r)) {
            let point = CutPoint { incarnation: row.incarnation, rv: row.rv };
            let at = cut.domains.entry(row.domain.clone()).or_insert(point);
            *at = (*at).max(point);
            time = time.max(row.time_hi);
        }
        (cut, time)
    }

    /// The state at a cut that [`Reader::resolve`] gave, as far as `scope` wants it.
    pub async fn state(&mut self, moment: &mut Moment, scope: &Scope) -> Result<State> {
        let mut state = match &self.start {
            Some(checkpoint) => checkpoint.load(&self.journal, scope).await?,
            None => State::default(),
        };
        let mut seen = State { kinds: state.kinds.clone(), ..State::default() };
        let nothing = Scope { kinds: Some(Vec::new()), ..Scope::default() };
        let lives = self.lives_read();
        for row in self.rows() {
            // What a healing brought from beyond the end of a life was another life's.
            let own = moment.cut.domains.get(&row.domain).is_some_and(|point| point.incarnation == row.incarnation);
            if own && lives.torn(row) {
                continue;
            }
            state.apply(row, scope, Some(&moment.cut))?;
            seen.apply(row, &nothing, None)?;
        }
        state.finish()?;
        moment.lagging = lagging(&seen.kinds, &moment.cut);
        // What was seen of a kind does not end with the cut.
        for (key, kind) in state.kinds.iter_mut().filter(|(_, kind)| kind.is_covered()) {
            let further = seen.kinds.get(key).filter(|seen| seen.is_covered());
            kind.cursor = kind.cursor.max(further.and_then(|seen| seen.cursor));
        }
        keep_covered(&mut state, moment);
        Ok(state)
    }

    /// Everything durable: what a writer goes on from.
    pub async fn resume(&mut self) -> Result<State> {
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
    /// is closed.
    pub async fn at_closed_cut(&mut self) -> Result<Option<(State, Origin)>> {
        let mut moment = self.resolve(&At::Now).await?;
        let Some(tail) = self.segments.last().map(|s| s.meta.clone()) else { return Ok(None) };
        if !moment.closed {
            return Ok(None);
        }
        let start = self.start.clone();
        let mut state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, &Scope::default()).await?,
            None => State::default(),
        };
        let mut times: BTreeMap<String, Micros> = BTreeMap::new();
        // The newest segment is always read again: its metadata says how far the log is closed.
        let mut fold_from = (tail.last + 1, tail.segment);
        for segment in &self.segments {
            for row in segment.rows.iter() {
                let held = moment.cut.holds(row);
                if !held && row.op != Op::Frontier && row.pos < fold_from.0 {
                    fold_from = (row.pos, segment.meta.segment);
                }
                if held && (row.op.is_object() || row.op == Op::CoverBegin) {
                    let hi = times.entry(row.domain.clone()).or_default();
                    *hi = (*hi).max(row.time_hi);
                }
            }
        }
        for row in self.rows() {
            state.apply(row, &Scope::default(), Some(&moment.cut))?;
        }
        state.finish()?;
        if let Some(start) = &start {
            for domain in moment.cut.domains.keys() {
                let hi = times.entry(domain.clone()).or_default();
                *hi = (*hi).max(start.time());
            }
        }
        moment.lagging.clear();
        let origin = Origin {
            cut: moment.cut,
            times,
            segment: tail.segment,
            last: tail.last,
            chain: tail.chain_after,
            fold_from,
            frontier: tail.frontier,
        };
        Ok(Some((state, origin)))
    }

    /// Adds changes that are not in the journal, seen in the live cluster, behind what has been read.
    pub fn overlay(&mut self, changes: Vec<Change>, frontier: FrontierVector) {
        let Some(last) = self.segments.last().map(|s| s.meta.clone()) else { return };
        let first = last.last + 1;
        let rows: Vec<Row> = (first..).zip(changes).map(|(pos, change)| Row { pos, change }).collect();
        let meta = Meta {
            role: "overlay".to_owned(),
            first,
            last: first + rows.len() as u64 - 1,
            chain_before: last.chain_after,
            frontier,
            ..last
        };
        self.segments.push(Segment { meta, rows: Arc::new(rows), bytes: 0 });
    }

    /// The segments that hold what was committed since a moment, with the state they begin on: its kinds, and its
    /// objects in `scope` if `objects` are wanted.
    pub async fn history(&self, since: Micros, scope: &Scope, objects: bool) -> Result<(State, Segments<'_>)> {
        let start = self.manifest.checkpoints.iter().rev().find(|c| c.time() < since);
        let nothing = Scope { kinds: Some(Vec::new()), ..Scope::default() };
        let state = match start {
            Some(checkpoint) => checkpoint.load(&self.journal, if objects { scope } else { &nothing }).await?,
            None => State::default(),
        };
        let numbers = self.journal.segments_after(start.map_or(1, |c| c.fold_from_segment) - 1).await?;
        let skip = start.map(|c| (c.pos, c.cut()));
        let stream = Box::pin(self.journal.read(numbers));
        Ok((state, Segments { stream, skip, frontier: FrontierVector::new() }))
    }

    /// How much has been read beyond the checkpoint: segments, rows and bytes.
    pub fn tail_size(&self) -> (u64, u64, u64) {
        let rows = self.segments.iter().map(|s| s.rows.len() as u64).sum();
        let bytes = self.segments.iter().map(|s| s.bytes).sum();
        (self.segments.len() as u64, rows, bytes)
    }

    /// The segments that have been read.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// Segments in order, without the rows that a checkpoint holds.
pub struct Segments<'a> {
    stream: Pin<Box<dyn Stream<Item = Result<Segment>> + Send + 'a>>,
    skip: Option<(Position, Cut)>,
    frontier: FrontierVector,
}

impl Segments<'_> {
    /// The next segment.
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        let Some(segment) = self.stream.next().await else { return Ok(None) };
        let mut segment = segment?;
        self.frontier = segment.meta.frontier.clone();
        if let Some((pos, cut)) = &self.skip {
            if segment.meta.first <= *pos {
                let beyond = |row: &&Row| row.pos > *pos || !cut.holds(row);
                segment.rows = Arc::new(segment.rows.iter().filter(beyond).cloned().collect());
            }
        }
        Ok(Some(segment))
    }

    /// How far the log was closed with the newest segment read.
    pub fn frontier(&self) -> &FrontierVector {
        &self.frontier
    }
}

/// The kinds that are protected and were not seen up to the cut.
fn lagging(kinds: &BTreeMap<String, KindState>, cut: &Cut) -> Vec<(String, u64)> {
    let lag = |(kind, state): (&String, &KindState)| {
        let target = cut.domains.get(&state.discovery.domain)?;
        let at = state.cursor?;
        (state.is_covered() && at < *target).then(|| (kind.clone(), at.rv))
    };
    kinds.iter().filter_map(lag).collect()
}

fn keep_covered(state: &mut State, moment: &Moment) {
    let State { objects, kinds, .. } = state;
    objects.retain(|key, _| {
        kinds.get(&key.kind_key()).is_some_and(|kind| !matches!(kind.known_at(moment), Knowledge::Not(_)))
    });
}

#[cfg(test)]
mod tests;
