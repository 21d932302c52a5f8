//! Everything that is durable: folded, for a writer to go on from, counted, and at its newest closed cut, for a checkpoint.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use super::{Reader, Until, is_recoverable, resolve::tells_revision};
use crate::{
    ErrorKind, Micros, Result, Row,
    checkpoint::{CheckpointFile, Doubts, Manifest, Origin},
    counts::{Counts, Tally},
    cut::{At, CutPoint},
    fold::{Scope, State},
    row::Op,
    seal::Rules,
};

impl Reader {
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
    pub(super) async fn start_file(&self) -> Result<Option<CheckpointFile<'_>>> {
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
        let Some(tail) = self.log.runs().last().map(|s| s.meta.clone()) else { return Ok(None) };
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
        for segment in self.log.runs() {
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

    /// Looks through what has been read for closed times that were ahead of the time, as an earlier version could store them
    /// when a clock jumped ahead and back, and has the manifest doubt them. `now` is the time.
    pub async fn doubt(&mut self, now: Micros) -> Result<()> {
        let mut found = Doubts::new(now);
        for segment in self.log.runs().iter().rev() {
            found.look(&segment.meta);
        }
        // They may have begun before what was read.
        let mut before = self.log.runs().first().map_or(0, |s| s.meta.segment);
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
        self.log.believe(&self.manifest);
        Ok(())
    }
}

/// What stands after rows behind a checkpoint, counted without folding them. `None` if the checkpoint does not say enough.
pub(super) async fn counts<'r>(
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

/// When the kinds were let go that may have been taken up again later in the log, recovered: the latest of them.
pub(super) fn left(state: &State) -> Option<Micros> {
    let ends = state.kinds.values().filter_map(|kind| kind.covers.last()?.end.as_ref());
    ends.filter(|(.., end)| is_recoverable(end)).map(|(_, when, _)| *when).max()
}
