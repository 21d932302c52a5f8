//! Where events go: what a target promises, whatever it is.
//!
//! A [`Target`] makes connections, a [`Sink`] is one. **Promises of a sink.** (1) It hands messages of one key on in the
//! order they were given, and after it has lost one hands on nothing that came later under the same key; what it
//! repeats, it repeats in order. (2) It answers each message once: [`Answer::Taken`] only when it is as safe there as the
//! target makes anything. (3) It holds no more than it was given room for: [`Unsent::Full`]. (4) While the target is
//! away it waits, for as long as it takes, and says so once in a while: [`Answer::Trouble`].
//!
//! Not here: what is published, and when a lost connection is made anew ([`crate::run`]).

use async_trait::async_trait;
use hindcast_journal::{Error, Position};

use crate::message::Message;

/// What a sink says.
#[derive(Debug)]
pub enum Answer {
    /// The message of this position is there to stay.
    Taken(Position),
    /// It is too large for the target.
    TooLarge {
        /// Of which message.
        position: Position,
        /// How large it was.
        bytes: usize,
    },
    /// It was not taken, and this sink is of no more use.
    Refused(Position, Error),
    /// The target does not answer as it should; what was given still waits.
    Trouble(Error),
}

/// Why a message was not handed over.
#[derive(Debug)]
pub enum Unsent {
    /// There is no room before an answer comes.
    Full(Message),
    /// It is too large for the target.
    TooLarge(Message),
    /// This sink is of no more use.
    Failed(Error),
}

/// What to take care of with the next sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Care {
    /// Send each message by itself, so that one which is too large takes no others with it.
    pub alone: bool,
    /// A message must be smaller than this, as was found out.
    pub below: Option<usize>,
}

/// One connection.
#[async_trait]
pub trait Sink: Send {
    /// Hands a message over.
    fn send(&mut self, message: Message) -> Result<(), Unsent>;

    /// The next thing it says. Nothing is lost if the call is dropped before it is over.
    async fn answer(&mut self) -> Answer;

    /// Lets go of everything, answered or not.
    async fn close(self: Box<Self>);
}

/// Makes connections.
#[async_trait]
pub trait Target: Send {
    /// What it is called where it is told of: `kafka topic hindcast at kafka-1:9092`.
    fn name(&self) -> String;

    /// A connection that was seen to work.
    async fn connect(&mut self, care: Care) -> Result<Box<dyn Sink>, Error>;
}
