//! What was handed over and is not acknowledged, and up to where everything is.
//!
//! **Invariants.** (1) Everything up to [`Window::done`] was acknowledged or not wanted, whatever order answers come in;
//! it never goes back (`tests`, against a set of what is open). (2) What is in flight is counted in messages and bytes.

use std::collections::VecDeque;

use hindcast_journal::{Position, parts::Micros};

/// What is in flight.
#[derive(Debug)]
pub(crate) struct Window {
    done: Position,
    news: Position,
    flight: VecDeque<Sent>,
    bytes: usize,
    open: usize,
}

#[derive(Debug)]
struct Sent {
    position: Position,
    /// What follows it and was not wanted reaches up to here.
    through: Position,
    time: Micros,
    bytes: usize,
    news: bool,
    answered: bool,
}

impl Window {
    /// Nothing in flight, and everything up to a position done.
    pub(crate) fn new(done: Position) -> Self {
        Self { done, news: 0, flight: VecDeque::new(), bytes: 0, open: 0 }
    }

    /// A row that goes to nobody, and whether it is worth a cursor.
    pub(crate) fn pass(&mut self, position: Position, news: bool) {
        match self.flight.back_mut() {
            Some(last) => (last.through, last.news) = (position, last.news || news),
            None => self.reach(position, news),
        }
    }

    /// A message that was handed over, by when its row was committed, and whether it is worth a cursor; positions rise.
    pub(crate) fn sent(&mut self, position: Position, time: Micros, bytes: usize, news: bool) {
        self.flight.push_back(Sent { position, through: position, time, bytes, news, answered: false });
        self.bytes += bytes;
        self.open += 1;
    }

    /// A message was acknowledged; by when its row was committed, if it was in flight.
    pub(crate) fn taken(&mut self, position: Position) -> Option<Micros> {
        let at = self.flight.binary_search_by(|sent| sent.position.cmp(&position)).ok()?;
        let sent = self.flight.get_mut(at).filter(|sent| !sent.answered)?;
        let time = sent.time;
        sent.answered = true;
        self.open -= 1;
        self.bytes -= sent.bytes;
        while let Some(first) = self.flight.pop_front_if(|first| first.answered) {
            self.reach(first.through, first.news);
        }
        Some(time)
    }

    fn reach(&mut self, position: Position, news: bool) {
        self.done = self.done.max(position);
        if news {
            self.news = self.done;
        }
    }

    /// Up to where what is done is worth a cursor; 0 if nothing is.
    pub(crate) fn news(&self) -> Position {
        self.news
    }

    /// The position of what was handed over last and is not done; that up to which all is, if there is none.
    pub(crate) fn last(&self) -> Position {
        self.flight.back().map_or(self.done, |last| last.position)
    }

    /// Up to where everything was acknowledged.
    pub(crate) fn done(&self) -> Position {
        self.done
    }

    /// How many messages wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether there is room for another, beside what is answered and waits for something before it.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        self.flight.len() < messages && self.bytes < bytes
    }
}
