//! Going through the log for changes, and on as they become durable.

use std::collections::VecDeque;

use hindcast_journal::{
    Result, Row,
    cut::Hole,
    facts::Gap,
    fold::{ObjectKey, Scope, State},
    parts::Micros,
    read::{Behind, Crossed, Tail},
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
    behind: Behind,
    range: Range,
    scope: Scope,
}

impl Timeline {
    /// The changes of a range that are in `scope`, oldest first.
    pub async fn history(&mut self, range: &Range, scope: &Scope) -> Result<History> {
        let since = range.since.unwrap_or(Micros::MIN);
        let until = range.until.unwrap_or(Micros::MAX);
        let (walk, _, frontier) = self.walk(range, scope).await?;
        let reaches =
            |hole: &Hole| hole.since.is_none_or(|from| from <= until) && hole.until.is_none_or(|(to, _)| to >= since);
        let holes = walk.holes.into_iter().filter(reaches).collect();
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
            holes,
            kinds,
            last: walk.state.last,
            frontier,
        })
    }

    /// The same, to go on with what becomes durable.
    pub async fn follow(&mut self, range: &Range, scope: &Scope) -> Result<Follow> {
        let (walk, (tail, behind), _) = self.walk(range, scope).await?;
        Ok(Follow { walk, tail, behind, range: range.clone(), scope: scope.clone() })
    }

    async fn walk(&self, range: &Range, scope: &Scope) -> Result<(Walk, (Tail, Behind), FrontierVector)> {
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
            holes: Vec::new(),
            behind: None,
            truncated: false,
        };
        loop {
            let next = segments.next().await?;
            if let Some(crossed) = segments.crossed().await? {
                walk.cross(crossed);
            }
            let Some(segment) = next else { break };
            walk.run(&segment.rows, range, scope)?;
            // Rows behind the last that was wanted were looked at too.
            walk.state.last = walk.state.last.max(segment.meta.last);
        }
        let (frontier, behind) = (segments.frontier().clone(), segments.behind());
        Ok((walk, (segments.into_tail(), behind), frontier))
    }
}

impl Follow {
    /// The changes that came since this was asked before, where the server's store was put back among them, and where
    /// kinds turned.
    pub fn take(&mut self) -> (Vec<Event>, Vec<Jump>, Vec<Turn>) {
        let walk = &mut self.walk;
        (std::mem::take(&mut walk.events).into(), std::mem::take(&mut walk.jumps), std::mem::take(&mut walk.turns))
    }

    /// The parts of the log that could not be read and were gone around, since this was asked before.
    pub fn holes(&mut self) -> Vec<Hole> {
        std::mem::take(&mut self.walk.holes)
    }

    /// Waits for more of the log to become durable.
    pub async fn more(&mut self) -> Result<()> {
        let run = self.tail.next().await?;
        if let Some(crossed) = self.behind.crossed(&mut self.tail).await? {
            self.walk.cross(crossed);
        }
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
    /// What could not be read and was gone around.
    holes: Vec<Hole>,
    /// The newest of them, with what the state behind it holds.
    behind: Option<Crossed>,
    truncated: bool,
}

impl Walk {
    /// Goes on behind what cannot be read, with the state that is known behind it. What is told of labels and of list elements
    /// until that state was taken is of that state.
    fn cross(&mut self, mut crossed: Crossed) {
        let last = self.state.last;
        match crossed.state.take() {
            Some(state) => self.state = state,
            None => self.state.objects.clear(),
        }
        self.state.last = self.state.last.max(last);
        self.given = Given::default();
        if let Some(places) = &mut self.places {
            places.forget();
        }
        self.holes.push(crossed.hole.clone());
        self.behind = Some(crossed);
    }

    /// Takes a row into the state. Behind what cannot be read an object is known from the state there on, or else once it is written
    /// in full.
    fn apply(&mut self, row: &Row, scope: &Scope) -> Result<()> {
        match &self.behind {
            Some(behind) if behind.holds(row) => Ok(()),
            Some(_) if row.op.is_object() => {
                if self.state.apply(row, scope, None).is_err() {
                    self.state.objects.remove(&ObjectKey::of(row));
                }
                Ok(())
            }
            _ => self.state.apply(row, scope, None),
        }
    }

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
            self.apply(row, scope)?;
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
