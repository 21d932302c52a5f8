//! The state of the log, and the checkpoints it is compared with.
//!
//! **Words**: a *target* is a checkpoint that the state is on its way to: rows that its cut holds are folded, those beyond it
//! wait for the next one.
//!
//! **Invariants.** (1) The state is folded from rows alone, from the first one on, so an altered checkpoint changes nothing of it
//! [`States::feed`]. (2) Behind segments that are missing it goes on from the first checkpoint that needs none of them, which is
//! said [`States::compare`]. (3) A checkpoint whose cut is behind that of an earlier one is compared by itself, with a state folded
//! for it [`States::end`]. (4) Objects are kept as bytes but for those that changed just now [`State::pack`].

use std::collections::VecDeque;

use futures::TryStreamExt as _;

use super::{
    Report,
    log::checkpoint_name,
    report::{Findings, Verdict},
};
use crate::{
    Journal, Position, Result, Row,
    checkpoint::{Checkpoint, WholeCheckpoint},
    cut::Cut,
    error::ErrorKind,
    fold::{Scope, State},
    journal::Segment,
    row::{ChainHash, Op},
    segment::Meta,
};

/// After how many rows objects are packed.
const PACK_EVERY: u64 = 20_000;

/// A checkpoint that is to be compared.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) pos: Position,
    pub(super) cut: Cut,
    /// As the manifest describes it, if it does.
    pub(super) named: Option<Checkpoint>,
}

/// The state, and where it is going.
#[derive(Default)]
pub(super) struct States {
    /// Those to come, and those that are compared by themselves.
    targets: VecDeque<Target>,
    astray: Vec<Target>,
    /// Those that were found to be right.
    proven: Vec<Checkpoint>,
    /// `None` behind missing segments.
    state: Option<State>,
    /// Rows beyond the cut of the target.
    pending: Vec<Row>,
    /// The position from which on all rows were seen; `None` if that is to come.
    since: Option<Position>,
    /// The first segment of the log.
    first: u64,
    /// The position of a checkpoint that the statement of an expiry vouches for.
    vouched: Option<Position>,
    rows: u64,
}

impl States {
    /// The way to these targets, from the first segment there is.
    pub(super) fn new(all: Vec<Target>, first: u64, vouched: Option<Position>) -> Self {
        let (mut targets, mut astray): (VecDeque<Target>, _) = (VecDeque::new(), Vec::new());
        for target in all {
            match targets.back().is_none_or(|before| target.cut.reaches(&before.cut)) {
                true => targets.push_back(target),
                false => astray.push(target),
            }
        }
        let state = (first == 1).then(State::default);
        Self { targets, astray, state, since: (first == 1).then_some(1), first, vouched, ..Self::default() }
    }

    /// Nothing is known of a segment.
    pub(super) fn broken(&mut self) {
        (self.state, self.since) = (None, None);
        self.pending.clear();
    }

    /// A segment that begins at a position is about to be met.
    pub(super) fn meet(&mut self, first: Position) {
        self.since.get_or_insert(first);
    }

    /// Folds the rows of a segment.
    pub(super) fn feed(&mut self, segment: &Segment) -> Result<()> {
        for row in segment.rows.iter() {
            let cut = self.targets.front().map(|target| &target.cut);
            if cut.is_none_or(|cut| cut.holds(row)) {
                let applied = self.state.as_mut().map(|state| state.apply(row, &Scope::default(), cut));
                if let Some(Err(error)) = applied {
                    self.broken();
                    return Err(error);
                }
            } else if !matches!(row.op, Op::Frontier | Op::Seal | Op::Expiry) {
                self.pending.push(row.clone());
            }
            self.rows += 1;
            if self.rows.is_multiple_of(PACK_EVERY)
                && let Some(state) = &mut self.state
            {
                state.pack();
            }
        }
        Ok(())
    }

    /// The next target, if the log has come to it.
    pub(super) fn reached(&mut self, last: Position) -> Option<Target> {
        self.targets.pop_front_if(|target| target.pos <= last)
    }

    /// A target lies in a hole of the log, where nothing is known of it.
    pub(super) fn passed(&mut self, target: &Target, findings: &mut Findings, report: &mut Report) {
        let name = checkpoint_name(target.pos);
        report
            .unproven
            .push(format!("{name}: what it holds was compared with nothing, since segments there are missing"));
        self.go_on(findings, 0);
    }

    /// The positions of targets that the log has not come to.
    pub(super) fn ahead(&self) -> impl Iterator<Item = Position> + use<'_> {
        self.targets.iter().map(|target| target.pos)
    }

    /// Compares the state with a checkpoint that the log has just come to.
    pub(super) async fn compare(
        &mut self,
        journal: &Journal,
        target: Target,
        (chain, segment): (Option<ChainHash>, u64),
        findings: &mut Findings,
        report: &mut Report,
    ) -> Result<()> {
        let name = checkpoint_name(target.pos);
        if let Some(whole) = opened(journal, &target, chain, findings).await? {
            if let Some(state) = &mut self.state {
                // What is wrong with a state itself was in the rows; of their hashes only here something is said.
                if let Err(error) = state.finish() {
                    findings.error(&name, &error);
                }
                match differs(state, &whole) {
                    Ok(None) => {
                        report.checkpoints += 1;
                        self.proven.push(whole.own.clone());
                    }
                    Ok(Some(what)) => findings.add(Verdict::Altered, &name, what),
                    Err(error) => findings.error(&name, &error),
                }
            } else if self.since.is_some_and(|since| since <= whole.own.fold_from) {
                match loaded(&whole) {
                    Ok(state) if self.vouched == Some(target.pos) => {
                        self.state = Some(state);
                        self.proven.push(whole.own.clone());
                        report.checkpoints += 1;
                    }
                    Ok(state) => {
                        self.state = Some(state);
                        report.unproven.push(format!(
                            "{name}: what it holds was compared with nothing, since segments before it are not there; what follows is \
                             compared with it"
                        ));
                    }
                    Err(error) => findings.error(&name, &error),
                }
            } else {
                report.unproven.push(format!(
                    "{name}: what it holds was compared with nothing, since segments before it are not there"
                ));
            }
        }
        self.go_on(findings, segment);
        Ok(())
    }

    /// Folds what waited for the next target.
    fn go_on(&mut self, findings: &mut Findings, segment: u64) {
        let cut = self.targets.front().map(|target| target.cut.clone());
        for row in std::mem::take(&mut self.pending) {
            if cut.as_ref().is_some_and(|cut| !cut.holds(&row)) {
                self.pending.push(row);
                continue;
            }
            let applied = self.state.as_mut().map(|state| state.apply(&row, &Scope::default(), cut.as_ref()));
            if let Some(Err(error)) = applied {
                findings.error(format!("wal/{segment:020}.parquet"), &error);
                self.broken();
                return;
            }
        }
    }

    /// Looks at what is left when the log has been read.
    pub(super) async fn end(self, journal: &Journal, findings: &mut Findings, report: &mut Report) -> Result<()> {
        for target in &self.targets {
            let reason = "is of a position that the log does not have: its end was cut off, or this is of another log";
            findings.add(Verdict::Foreign, checkpoint_name(target.pos), reason);
        }
        for target in &self.astray {
            let name = checkpoint_name(target.pos);
            match self.folded(journal, target).await {
                Ok(Some((mut state, at))) => {
                    let chain = (at.last == target.pos).then_some(at.chain_after);
                    if let Some(whole) = opened(journal, target, chain, findings).await? {
                        let finished = state.finish();
                        match finished.and_then(|()| differs(&state, &whole)) {
                            Ok(None) => report.checkpoints += 1,
                            Ok(Some(what)) => findings.add(Verdict::Altered, &name, what),
                            Err(error) => findings.error(&name, &error),
                        }
                    }
                }
                Ok(None) => {
                    report.unproven.push(format!(
                        "{name}: what it holds was compared with nothing, since nothing before it is whole"
                    ));
                }
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    report.unproven.push(format!("{name}: what it holds was compared with nothing: {}", error.told()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The state at a target, folded for it alone from the newest checkpoint before it that is right; and the segment there.
    async fn folded(&self, journal: &Journal, target: &Target) -> Result<Option<(State, Meta)>> {
        let fits = |c: &&Checkpoint| c.pos < target.pos && target.cut.reaches(&c.cut());
        let base = self.proven.iter().filter(fits).max_by_key(|c| c.pos);
        let (mut state, from) = match base {
            Some(base) => (base.load(journal, &Scope::default()).await?, base.fold_from_segment),
            None if self.first == 1 => (State::default(), 1),
            None => return Ok(None),
        };
        let known = base.map(|base| (base.pos, base.cut()));
        let mut segments = std::pin::pin!(journal.read(from..u64::MAX));
        while let Some(segment) = segments.try_next().await? {
            for row in segment.rows.iter().filter(|row| target.cut.holds(row)) {
                if known.as_ref().is_none_or(|(pos, cut)| row.pos > *pos || !cut.holds(row)) {
                    state.apply(row, &Scope::default(), Some(&target.cut))?;
                }
            }
            if segment.meta.last >= target.pos {
                return Ok(Some((state, segment.meta)));
            }
        }
        Ok(None)
    }
}

/// A checkpoint's file, if it is whole and its chain value is that of the log there; `None` for a position at which no segment ends.
async fn opened(
    journal: &Journal,
    target: &Target,
    chain: Option<ChainHash>,
    findings: &mut Findings,
) -> Result<Option<WholeCheckpoint>> {
    let name = checkpoint_name(target.pos);
    let whole = match WholeCheckpoint::read(journal, target.pos).await {
        Ok(whole) => whole,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.add(Verdict::Missing, name, "went away while it was looked at");
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            findings.error(name, &error);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if chain != Some(whole.chain) {
        findings.add(Verdict::Altered, name, "is of another log: its chain value is not the one there");
        return Ok(None);
    }
    if let Some(what) = target.named.as_ref().and_then(|named| whole.unlike(named)) {
        findings.add(Verdict::Altered, name, format!("is of {what} than the manifest says"));
        return Ok(None);
    }
    Ok(Some(whole))
}

/// What differs between a state and what a checkpoint holds, if anything does.
fn differs(state: &State, whole: &WholeCheckpoint) -> Result<Option<String>> {
    let (facts, objects) = whole.groups();
    let mut held = Vec::new();
    for group in 0..facts {
        held.extend(whole.rows(group)?);
    }
    let mut own: Vec<&Row> = state.facts.iter().collect();
    held.sort_by_key(|row| row.pos);
    own.sort_by_key(|row| row.pos);
    if own.len() != held.len() || own.iter().zip(&held).any(|(own, held)| **own != *held) {
        return Ok(Some("says other things of what was protected than the log does".to_owned()));
    }
    let mut own = state.objects.values();
    for group in facts..facts + objects {
        for row in whole.rows(group)? {
            match own.next() {
                Some(entry) if entry.checkpoint_row() == row => {}
                _ => return Ok(Some(format!("holds {} otherwise than the log gives it", row.key()))),
            }
        }
    }
    Ok(own.next().map(|entry| format!("lacks {}, which the log gives", entry.row.key())))
}

/// The state that a checkpoint holds.
fn loaded(whole: &WholeCheckpoint) -> Result<State> {
    let (facts, objects) = whole.groups();
    let mut state = State::default();
    for group in 0..facts + objects {
        for row in whole.rows(group)? {
            state.load(&row, &Scope::default())?;
        }
    }
    Ok(state)
}
