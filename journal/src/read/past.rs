//! An answer about the past.

use std::collections::{BTreeMap, BTreeSet};

use super::{RECOVERY, Reader, whole::counts};
use crate::{
    Error, Journal, Position, Result, Row,
    counts::Counts,
    cut::{At, Cut, Hole, Moment},
    error::ErrorKind,
    fold::{KindState, Knowledge, Scope, State},
    row::Revision,
    seal::Rules,
};

/// The past at one moment: the cut that the question became, and everything its state is folded from. No later
/// question, segment or checkpoint changes it, so it can be shared freely. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Past {
    read: Reader,
    moment: Moment,
}

/// What there was at a moment, as far as it was asked for.
#[derive(Debug)]
pub struct Answer {
    /// The state.
    pub state: State,
    /// Kinds that were protected and not seen up to the cut, with how far they were seen.
    pub lagging: Vec<(String, Revision)>,
}

/// What a fold of the past leaves.
struct Folded {
    /// The state at the cut.
    state: State,
    /// The kinds, also beyond the cut.
    seen: State,
    /// The reader, which may have had to read further than the cut.
    read: Reader,
    /// The rows left out because they belong to another life of the counter.
    skipped: BTreeSet<Position>,
}

impl Journal {
    /// The past at a moment. To ask several questions, open a [`Reader`]: it reads each segment once.
    pub async fn at(&self, question: &At) -> Result<Past> {
        Reader::open(self).await?.at(question).await
    }
}

impl Past {
    pub(super) fn new(read: Reader, moment: Moment) -> Self {
        Self { read, moment }
    }

    /// The moment.
    pub fn moment(&self) -> &Moment {
        &self.moment
    }

    /// Whether no more of merged files was read than where it lies.
    #[cfg(test)]
    pub(super) fn is_outlined(&self) -> bool {
        self.read.is_outlined()
    }

    /// What there was, as far as `scope` wants it.
    pub async fn state(&self, scope: &Scope) -> Result<Answer> {
        let Folded { mut state, seen, .. } = self.fold(scope).await?;
        let lagging = lagging(&seen.kinds, &self.moment.cut);
        // A kind may have been seen further than the cut.
        for (key, kind) in state.kinds.iter_mut().filter(|(_, kind)| kind.is_covered()) {
            let further = seen.kinds.get(key).filter(|seen| seen.is_covered());
            kind.cursor = kind.cursor.max(further.and_then(|seen| seen.cursor));
        }
        let State { objects, kinds, .. } = &mut state;
        objects.retain(|key, _| self.is_known(kinds.get(&key.kind_key())));
        Ok(Answer { state, lagging })
    }

    /// How many objects there were. They are counted without a fold if the checkpoint it starts from has counts by the
    /// same rules.
    pub async fn counts(&self, rules: &Rules) -> Result<Counts> {
        let read = if self.read.is_outlined() { self.read.in_full().await? } else { self.read.clone() };
        let folded = self.fold_on(read, &Scope::nothing()).await?;
        let Some(Folded { state, read, skipped, .. }) = folded else { return Err(unsure()) };
        let cut = &self.moment.cut;
        let rows = read.rows().filter(|row| cut.holds(row) && !skipped.contains(&row.pos));
        // What was laid over does not say whether the object of a row was there before it.
        let counted = match read.log.is_overlaid() {
            true => None,
            false => counts(read.start_file().await?, rules, rows).await?,
        };
        let Some(mut counts) = counted else {
            return Ok(Counts::of(&self.state(&Scope::default()).await?.state, rules));
        };
        counts.retain(|kind| self.is_known(state.kinds.get(kind)));
        Ok(counts)
    }

    /// The part of the log that the state needs and that cannot be read, where readers go around it.
    pub(super) async fn met(&self) -> Result<Option<Hole>> {
        Ok(self.fold(&Scope::nothing()).await?.read.log.met().cloned())
    }

    /// The same past with what is known of such a part.
    pub(super) fn with_hole(mut self, hole: Option<Hole>) -> Self {
        self.moment.hole = hole.map(Box::new);
        self
    }

    fn is_known(&self, kind: Option<&KindState>) -> bool {
        kind.is_some_and(|kind| !matches!(kind.known_at(&self.moment), Knowledge::Not(_)))
    }

    async fn fold(&self, scope: &Scope) -> Result<Folded> {
        if self.read.is_outlined() {
            match self.fold_on(self.read.clone(), scope).await {
                Ok(Some(folded)) => return Ok(folded),
                Ok(None) => {}
                // A merged file went away, or cannot be read: its segments may be there.
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
            return self.fold_on(self.read.in_full().await?, scope).await?.ok_or_else(unsure);
        }
        self.fold_on(self.read.clone(), scope).await?.ok_or_else(unsure)
    }

    /// What a fold of what was read leaves; `None` if outlines of it do not suffice.
    async fn fold_on(&self, mut read: Reader, scope: &Scope) -> Result<Option<Folded>> {
        let moment = &self.moment;
        let mut state = match &read.start {
            Some(checkpoint) => checkpoint.load(&read.journal, scope).await?,
            None => State::default(),
        };
        let mut seen = State { kinds: state.kinds.clone(), ..State::default() };
        let nothing = Scope::nothing();
        let mut skipped = BTreeSet::new();
        let mut applied = 0;
        loop {
            let lives = read.lives_read();
            if read.is_outlined() && lives.any_ended() {
                return Ok(None);
            }
            // A healing may record what it read beyond the end of a life: that belongs to the next one.
            let own = |row: &Row| moment.cut.domains.get(&row.domain).is_some_and(|p| p.incarnation == row.incarnation);
            let torn = |row: &Row| own(row) && lives.torn(row);
            let told = read.log.told(applied, scope).await?;
            for row in read.beyond(&told) {
                if torn(row) {
                    skipped.insert(row.pos);
                } else {
                    state.apply(row, scope, Some(&moment.cut))?;
                }
            }
            for row in read.rows_from(applied).filter(|row| !torn(row)) {
                seen.apply(row, &nothing, None)?;
            }
            applied = read.log.runs().len();
            // What was recovered of a kind that had been let go may stand later in the log.
            let Some(let_go) = state.latest_let_go() else { break };
            if read.is_past(let_go + RECOVERY) {
                break;
            }
            if read.is_outlined() {
                return Ok(None);
            }
            if !read.read_on().await? {
                break;
            }
        }
        // What was found to be lost later than the moment was closed stands where the log was not read.
        for late in read.manifest.late() {
            late.tell(&mut state);
        }
        state.last = state.last.max(seen.last);
        for (domain, life) in &seen.lives {
            let known = state.lives.entry(domain.clone()).or_insert(*life);
            *known = (*known).max(*life);
        }
        state.finish()?;
        Ok(Some(Folded { state, seen, read, skipped }))
    }
}

fn unsure() -> Error {
    Error::internal("the state at a moment", "was asked of what does not suffice")
}

/// Protected kinds that had not been seen up to the cut.
fn lagging(kinds: &BTreeMap<String, KindState>, cut: &Cut) -> Vec<(String, u64)> {
    let lag = |(kind, state): (&String, &KindState)| {
        let target = cut.domains.get(&state.discovery.domain)?;
        let at = state.cursor?;
        (state.is_covered() && at < *target).then(|| (kind.clone(), at.rv))
    };
    kinds.iter().filter_map(lag).collect()
}
