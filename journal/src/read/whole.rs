//! Everything that is durable: folded, for a writer to go on from, counted, and at its newest closed cut, for a
//! checkpoint.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use super::{Reader, Until, resolve::tells_revision};
use crate::{
    Result, Row,
    checkpoint::{Checkpoint, CheckpointFile, Doubts, Manifest, Origin},
    counts::{Counts, Tally},
    cut::{At, CutPoint, Moment, Uncertain},
    error::ErrorKind,
    fold::{Scope, State},
    parts::Micros,
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

    /// Everything durable, counted: the state without its objects, and how many there are. It is folded only if the
    /// checkpoint it starts from has no counts, or counts made by other rules.
    pub async fn standing(&mut self, rules: &Rules) -> Result<(State, Counts)> {
        self.begin_newest().await?;
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

    /// The file of the checkpoint it starts from, with only its footer read.
    pub(super) async fn start_file(&self) -> Result<Option<CheckpointFile<'_>>> {
        match &self.start {
            Some(checkpoint) => Ok(Some(checkpoint.open(&self.journal).await?)),
            None => Ok(None),
        }
    }

    /// The state of everything durable.
    async fn everything(&mut self) -> Result<State> {
        self.begin_newest().await?;
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
        self.at_cut(&At::Now).await
    }

    /// The same at the cut of a question, read no further than the answer needs: so a checkpoint of it stands before
    /// those of later cuts.
    pub async fn at_cut(&mut self, at: &At) -> Result<Option<(State, Origin)>> {
        let moment = self.resolve(at).await?;
        self.at_moment(moment).await
    }

    /// Writes a checkpoint of the cut of a question, beside those that the manifest names. It bears the position of the newest row looked
    /// at, so where another cut's has that already more is read. With the changes that may be before or after the moment. `None` as for
    /// [`Reader::at_cut`], or if no position is free.
    pub async fn write_cut(
        &mut self,
        at: &At,
        (writer, epoch): (&str, u64),
    ) -> Result<Option<(Checkpoint, Vec<Uncertain>)>> {
        let moment = self.resolve(at).await?;
        loop {
            let Some((state, origin)) = self.at_moment(moment.clone()).await? else { return Ok(None) };
            let written = Checkpoint::write_apart(&self.journal, &state, &origin, writer, epoch).await?;
            if let Some(checkpoint) = written {
                return Ok(Some((checkpoint, moment.uncertain)));
            }
            let (read, last) = (self.log.runs().len(), origin.last);
            self.log.read_on(usize::MAX, |run| run.meta.last > last).await?;
            if self.log.runs().len() == read {
                return Ok(None);
            }
        }
    }

    /// The state at a moment, of which enough has been read.
    async fn at_moment(&self, moment: Moment) -> Result<Option<(State, Origin)>> {
        let Some(tail) = self.log.runs().last().map(|s| s.meta.clone()) else { return Ok(None) };
        // Only the row that ends a life separates it from rows that a healing read from the next one, so it must have
        // been read.
        if !moment.closed || self.is_between_lives() {
            return Ok(None);
        }
        let start = self.start.clone();
        let mut state = match &start {
            Some(checkpoint) => checkpoint.load(&self.journal, &Scope::default()).await?,
            None => State::default(),
        };
        // The newest revision says by when all of a domain's cut was committed: older rows may have bounds from a clock
        // that was wrong.
        let mut newest: BTreeMap<String, (CutPoint, Micros)> = BTreeMap::new();
        // The newest segment is always read again: its metadata says how far the log is closed.
        let mut fold_from = (tail.last + 1, tail.segment);
        for segment in self.log.runs() {
            for row in segment.rows.iter() {
                if !moment.cut.holds(row) && row.op != Op::Frontier && row.pos < fold_from.0 {
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
                    // Kinds can be let go and taken up again while the revision stays the same.
                    Ordering::Equal => newest.1 = newest.1.max(row.time_hi),
                    Ordering::Less => {}
                }
            }
        }
        state.finish()?;
        let by_when = |domain: &String| {
            let before = start.as_ref().and_then(|start| start.proven(domain));
            let newest = match (newest.get(domain).copied(), before) {
                (Some(here), Some(before)) if here.0 > before.0 => here,
                (Some(here), Some(before)) => (before.0, before.1.max(here.1)),
                (here, before) => here.or(before)?,
            };
            Some((domain.clone(), newest))
        };
        let proven = moment.cut.domains.keys().filter_map(by_when).collect();
        let origin = Origin {
            cut: moment.cut,
            proven,
            segment: tail.segment,
            last: tail.last,
            chain: tail.chain_after,
            fold_from,
            let_go: state.latest_let_go(),
            frontier: tail.frontier,
        };
        Ok(Some((state, origin)))
    }

    /// Finds closed times in what has been read that lay in the future when they were written, and records in the
    /// manifest that they are not to be believed. An earlier version could store such times when a clock jumped ahead
    /// and back.
    pub async fn doubt(&mut self, now: Micros) -> Result<()> {
        let mut found = Doubts::new(now);
        for segment in self.log.runs().iter().rev() {
            found.look(&segment.meta);
        }
        // The first of them may stand before what was read.
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

/// The counts after the rows behind a checkpoint, without a fold. `None` if the checkpoint's own counts do not suffice.
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
