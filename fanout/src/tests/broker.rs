//! A broker that fails in all ways a broker does, by chance.
//!
//! Per partition it keeps the order of what one connection hands over; it dies with part of that written, and with part
//! of the answers lost; it is away, it is slow, it takes no message above a size, and then refuses the whole batch.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use hindcast_journal::{Error, Position, error::ErrorKind};

use super::*;
use crate::{Answer, Care, Message, Sink, Target, Unsent};

/// What may go wrong, each once in so many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    /// A connection that is not made.
    pub(super) connect: u64,
    /// A connection that is lost with messages on the way.
    pub(super) lost: u64,
    /// An answer that is late.
    pub(super) late: u64,
    /// A message for which there is no room.
    pub(super) full: u64,
}

pub(super) const NONE: Faults = Faults { connect: u64::MAX, lost: u64::MAX, late: u64::MAX, full: u64::MAX };

#[derive(Clone)]
pub(super) struct Broker(pub(super) Arc<Mutex<State>>);

pub(super) struct State {
    /// What is written, by topic and partition, in order.
    pub(super) logs: BTreeMap<(String, u64), Vec<Message>>,
    pub(super) faults: Faults,
    pub(super) chance: Chance,
    /// The largest message that it takes, which nobody is told.
    pub(super) limit: usize,
    /// How many messages were on the way at once, at most.
    pub(super) most: usize,
    pub(super) connections: usize,
    /// Whether the newest connection sends each message by itself.
    pub(super) alone: bool,
}

impl Broker {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            logs: BTreeMap::new(),
            faults,
            chance: Chance::new(seed),
            limit: usize::MAX,
            most: 0,
            connections: 0,
            alone: false,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// Every message that is written, partition by partition.
    pub(super) fn written(&self) -> Vec<Message> {
        self.with(|state| state.logs.values().flatten().cloned().collect())
    }
}

fn partition(key: &str) -> u64 {
    key.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte)) % 3
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "the broker", "is away")
}

struct Connection {
    broker: Broker,
    clock: Arc<dyn Clock>,
    alone: bool,
    /// Handed over, by partition.
    waiting: BTreeMap<(String, u64), VecDeque<Message>>,
    /// Written, by partition: answers of one come in order.
    unanswered: BTreeMap<(String, u64), VecDeque<Position>>,
    broken: bool,
}

#[async_trait]
impl Target for Broker {
    fn name(&self) -> String {
        "a broker".into()
    }

    async fn connect(&mut self, care: Care) -> hindcast_journal::Result<Box<dyn Sink>> {
        let lost = self.with(|state| {
            state.connections += 1;
            state.alone = care.alone;
            state.chance.one_in(state.faults.connect)
        });
        if lost {
            return Err(gone());
        }
        Ok(Box::new(Connection {
            broker: self.clone(),
            clock: Arc::new(Paused(tokio_now())),
            alone: care.alone,
            waiting: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            broken: false,
        }))
    }
}

#[expect(clippy::disallowed_methods, reason = "only differences of it are used")]
fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Connection {
    fn on_the_way(&self) -> usize {
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        waiting + self.unanswered.values().map(VecDeque::len).sum::<usize>()
    }

    /// One step of the broker; what it says, if it says anything.
    fn step(&mut self) -> Option<Answer> {
        let broker = self.broker.clone();
        broker.with(|state| {
            if self.on_the_way() > 0 && state.chance.one_in(state.faults.lost) {
                return Some(self.die(state));
            }
            let places: Vec<_> =
                self.waiting.iter().filter(|(_, queue)| !queue.is_empty()).map(|(at, _)| at.clone()).collect();
            let answers: Vec<_> =
                self.unanswered.iter().filter(|(_, queue)| !queue.is_empty()).map(|(at, _)| at.clone()).collect();
            if !places.is_empty() && (answers.is_empty() || state.chance.one_in(2)) {
                let place = places[state.chance.below(places.len() as u64) as usize].clone();
                let queue = self.waiting.get_mut(&place).unwrap();
                let count = if self.alone { 1 } else { 1 + state.chance.below(queue.len() as u64) as usize };
                if let Some(large) = queue.iter().take(count).find(|message| message.size() > state.limit) {
                    // The whole batch is refused, and the first of it is told of.
                    let first = if self.alone { large } else { queue.front().unwrap() };
                    self.broken = true;
                    return Some(Answer::TooLarge { position: first.position, bytes: first.size() });
                }
                for _ in 0..count {
                    let message = queue.pop_front().unwrap();
                    self.unanswered.entry(place.clone()).or_default().push_back(message.position);
                    state.logs.entry(place.clone()).or_default().push(message);
                }
                return None;
            }
            let place = answers.get(state.chance.below(answers.len() as u64) as usize)?;
            self.unanswered.get_mut(place).unwrap().pop_front().map(Answer::Taken)
        })
    }

    /// Of each partition some is still written, and nobody is told.
    fn die(&mut self, state: &mut State) -> Answer {
        self.broken = true;
        let mut any = None;
        for (place, queue) in &mut self.waiting {
            any = any.or(queue.front().map(|message| message.position));
            let written = state.chance.below(queue.len() as u64 + 1) as usize;
            state.logs.entry(place.clone()).or_default().extend(queue.drain(..written));
        }
        let any = any.or_else(|| self.unanswered.values().find_map(|queue| queue.front().copied()));
        Answer::Refused(any.unwrap_or_default(), gone())
    }
}

#[async_trait]
impl Sink for Connection {
    fn send(&mut self, message: Message) -> Result<(), Unsent> {
        if self.broken {
            return Err(Unsent::Failed(gone()));
        }
        let full = self.on_the_way() > 0 && self.broker.with(|state| state.chance.one_in(state.faults.full));
        if full {
            return Err(Unsent::Full(message));
        }
        let place = (message.topic.clone(), partition(&message.key));
        self.waiting.entry(place).or_default().push_back(message);
        let many = self.on_the_way();
        self.broker.with(|state| state.most = state.most.max(many));
        Ok(())
    }

    async fn answer(&mut self) -> Answer {
        loop {
            // Of nothing there is nothing to say: what is handed over next begins a call of its own.
            if self.broken || self.on_the_way() == 0 {
                std::future::pending::<()>().await;
            }
            let wait = self.broker.with(|state| match state.chance.one_in(state.faults.late) {
                true => state.chance.below(3000),
                false => 1,
            });
            self.clock.sleep(Duration::from_millis(wait)).await;
            if let Some(answer) = self.step() {
                return answer;
            }
        }
    }

    async fn close(self: Box<Self>) {}
}
