//! Going through the log for changes, and on as they become durable.

use std::collections::VecDeque;

use hindcast_journal::{
    Result, Row,
    facts::Gap,
    fold::{Scope, State},
    parts::Micros,
    read::Tail,
    row::Op,
    segment::FrontierVector,
};

use super::{Event, History, Jump, Range, Timeline, Turn, given::Given, places::Places};

/// The most rows that one history holds; the newest are kept.
const HISTORY: usize = 200_000;

/// The changes of a range as they become durable.
#[derive(Debug)]
pub struct Follow {
    walk: Walk,
    tail: Tail,
    range: Range,
    scope: Scope,
}

impl Timeline {
    /// The changes of a range that are in `scope`, oldest first.
    pub async fn history(&mut self, range: &Range, scope: &Scope) -> Result<History> {
        let since = range.since.unwrap_or(Micros::MIN);
        let until = range.until.unwrap_or(Micros::MAX);
        let (walk, _, frontier) = self.walk(range, scope).await?;
        let overlaps = |gap: &Gap| gap.time_from <= until && gap.time_to >= since;
        let kinds = walk.state.kinds;
        let gaps = kinds
            .iter()
            .flat_map(|(key, kind)| kind.gaps.iter().map(move |(_, gap)| (key.clone(), gap.clone())))
            .filter(|(_, gap)| overlaps(gap))
            .collect();
        Ok(History {
            events: walk.events.into(),
            truncated: walk.truncated,
            gaps,
            jumps: walk.jumps,
            turns: walk.turns,
            kinds,
            last: walk.state.last,
            frontier,
        })
    }

    /// The same, to go on with what becomes durable.
    pub async fn follow(&mut self, range: &Range, scope: &Scope) -> Result<Follow> {
        let (walk, tail, _) = self.walk(range, scope).await?;
        Ok(Follow { walk, tail, range: range.clone(), scope: scope.clone() })
    }

    async fn walk(&self, range: &Range, scope: &Scope) -> Result<(Walk, Tail, FrontierVector)> {
        let since = range.since.unwrap_or(Micros::MIN);
        let (state, mut segments) = self.reader.history(since, scope, range.labels || range.named).await?;
        let places = range.named.then(|| Places::of(&state, &self.rules));
        let mut walk = Walk {
            state,
            places,
            given: Given::default(),
            events: VecDeque::new(),
            jumps: Vec::new(),
            turns: Vec::new(),
            truncated: false,
        };
        while let Some(segment) = segments.next().await? {
            walk.run(&segment.rows, range, scope)?;
            // Rows behind the last that was wanted were looked at too.
            walk.state.last = walk.state.last.max(segment.meta.last);
        }
        let frontier = segments.frontier().clone();
        Ok((walk, segments.into_tail(), frontier))
    }
}

impl Follow {
    /// The changes that came since this was asked before, where the server's store was put back among them, and where
    /// kinds turned.
    pub fn take(&mut self) -> (Vec<Event>, Vec<Jump>, Vec<Turn>) {
        let walk = &mut self.walk;
        (std::mem::take(&mut walk.events).into(), std::mem::take(&mut walk.jumps), std::mem::take(&mut walk.turns))
    }

    /// Waits for more of the log to become durable.
    pub async fn more(&mut self) -> Result<()> {
        let run = self.tail.next().await?;
        self.walk.run(&run.rows, &self.range, &self.scope)
    }
}

/// Goes through the log and keeps what is wanted.
#[derive(Debug)]
struct Walk {
    state: State,
    /// Where operations are, if they are to be named.
    places: Option<Places>,
    /// The writes of restores.
    given: Given,
    events: VecDeque<Event>,
    jumps: Vec<Jump>,
    turns: Vec<Turn>,
    truncated: bool,
}

impl Walk {
    fn run(&mut self, rows: &[Row], range: &Range, scope: &Scope) -> Result<()> {
        let since = range.since.unwrap_or(Micros::MIN);
        let until = range.until.unwrap_or(Micros::MAX);
        for row in rows {
            let within =
                row.time_hi >= since && row.time_lo <= until && range.after.is_none_or(|after| row.pos > after);
            let wanted = scope.wants_row(row) && row.op.is_object() && within;
            self.jumps.extend(Some(row).filter(|row| within && row.op == Op::Mark).and_then(Jump::of));
            if within && row.op == Op::Discovery && scope.wants_kind(&row.kind_key()) {
                self.turns.extend(Turn::of(row, &self.state.kinds));
            }
            self.step(row, scope, wanted, range.labels)?;
        }
        Ok(())
    }

    fn step(&mut self, row: &Row, scope: &Scope, wanted: bool, labels: bool) -> Result<()> {
        let labels_before = if wanted && labels { self.state.labels(row) } else { None };
        if labels || !row.op.is_object() {
            self.state.apply(row, scope, None)?;
        } else {
            self.state.last = row.pos;
        }
        let mine = row.op.is_object() && scope.wants_row(row);
        let (places, stood) = match &mut self.places {
            Some(places) if mine => places.step(row),
            _ => Default::default(),
        };
        let completes = if mine { self.given.step(row) } else { None };
        if !wanted {
            return Ok(());
        }
        let mut row = row.clone();
        if completes.is_some() {
            Given::sign(&mut row);
        }
        let labels_after = if labels && row.op != Op::Delete { self.state.labels(&row) } else { None };
        if self.events.len() == HISTORY {
            self.events.pop_front();
            self.truncated = true;
        }
        self.events.push_back(Event { row, completes, labels_before, labels_after, places, stood });
        Ok(())
    }
}
