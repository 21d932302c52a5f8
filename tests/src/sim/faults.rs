//! Faults as data: which there are, how often each is drawn, and how often each fired.
//!
//! A fault fires only where [`Faults::fires`] says so, so that the count is the truth. With [`Faults::calm`] all
//! stop, as at the end of a run, when things must calm down.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])* $variant),+ }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

faults! {
    /// The connection is refused.
    ApiRefused = "api: connection refused",
    /// The answer is 429.
    ApiTooMany = "api: 429",
    /// The answer is 500.
    ApiInternal = "api: 500",
    /// No answer ever comes.
    ApiHang = "api: hang",
    /// The answer takes seconds.
    ApiSlow = "api: slow",
    /// A watch ends in the middle of a line.
    StreamCut = "watch: cut in mid-line",
    /// A watch is reset between lines.
    StreamReset = "watch: reset",
    /// A watch ends early and properly.
    StreamClosed = "watch: closed early",
    /// A watch says `ERROR` 410.
    StreamExpired = "watch: ERROR 410",
    /// A watch sends an event twice.
    StreamDuplicate = "watch: duplicated event",
    /// A watch skips an event. Never part of a run that must pass.
    StreamDrop = "watch: dropped event",
    /// A watch is closed as its reader did not keep up.
    SlowReader = "watch: slow reader closed",
    /// The API server restarts: watches break, caches start anew.
    ApiRestart = "api server restart",
    /// etcd is put back to an older copy, with its counter lower, overtaken or bumped.
    EtcdSwap = "etcd put back to an older copy",
    /// The process and the API server cannot reach each other for a while.
    Partition = "partition",
    /// A CRD's schema changes under load.
    CrdChanged = "CRD schema changed",
    /// A CRD goes, and comes again.
    CrdGone = "CRD removed",
    /// Nothing is watched until the server has forgotten its history.
    LongOutage = "outage beyond the server's history",
    /// A PUT fails and has no effect.
    PutErrorBefore = "store: error before effect",
    /// A PUT takes effect and fails.
    PutErrorAfter = "store: error after effect",
    /// A PUT's answer never comes.
    PutLostAnswer = "store: lost answer",
    /// A PUT is given up on and takes effect later.
    PutLate = "store: late landing",
    /// A PUT is refused with a transient conflict.
    PutConflict = "store: transient 409",
    /// A PUT takes seconds.
    PutSlow = "store: slow",
    /// A GET or LIST fails.
    ReadError = "store: read error",
    /// A LIST leaves out a name that is there.
    ListHole = "store: listing with a hole",
    /// The store answers nothing but errors for a while.
    StoreDown = "store: unavailable",
    /// The process is killed.
    Crash = "crash",
    /// The process is killed between a PUT sent and answered.
    CrashInPut = "crash in a PUT",
    /// The process is stopped and goes on later.
    Stopped = "SIGSTOP",
    /// A second process starts on the same journal.
    SecondWriter = "second writer",
    /// A process that stood by takes the journal over.
    Takeover = "takeover by a standby",
    /// The process's wall clock steps.
    ClockStep = "clock step",
    /// The process's wall clock is hours off from its start.
    ClockWrong = "clock wrong from the start",
    /// The process's wall clock runs a percent too fast or too slow.
    ClockDrift = "clock drift",
    /// The API server's clock is off.
    ServerClock = "server's clock off",
    /// List and watch of one kind fail, while others are answered.
    KindStuck = "one kind stuck",
    /// A watch swallows a write that is no delete. This and those below happen once, where they are asked for.
    EventSwallowed = "watch bug: an event swallowed",
    /// A watch swallows a delete.
    DeleteSwallowed = "watch bug: a delete swallowed",
    /// A watch sends the version before in place of a new one.
    StaleSent = "watch bug: a stale object sent",
    /// A watch sends two events of different objects in the wrong order.
    Reordered = "watch bug: events re-ordered",
    /// A watch sends a bookmark before the events that it promises.
    BookmarkAhead = "watch bug: a bookmark ahead",
}

impl Fault {
    /// What a watch may do wrong without anybody noticing from it.
    pub const WATCH_BUGS: [Fault; 5] =
        [Self::EventSwallowed, Self::DeleteSwallowed, Self::StaleSent, Self::Reordered, Self::BookmarkAhead];
}

/// How often faults are drawn, and how often each fired.
#[derive(Debug)]
pub struct Faults {
    rates: Mutex<BTreeMap<Fault, u64>>,
    fired: Mutex<BTreeMap<Fault, u64>>,
    calm: AtomicBool,
}

impl Faults {
    /// Faults at the given rates in a thousand of the places where they may happen.
    pub fn new(rates: impl IntoIterator<Item = (Fault, u64)>) -> Self {
        Self { rates: Mutex::new(rates.into_iter().collect()), fired: Mutex::default(), calm: AtomicBool::new(false) }
    }

    /// The rate of a fault, 0 when all is calm.
    pub fn rate(&self, fault: Fault) -> u64 {
        if self.calm.load(Ordering::Relaxed) {
            return 0;
        }
        let rates = self.rates.lock().expect("no holder panics");
        rates.get(&fault).copied().unwrap_or(0)
    }

    /// Sets rates.
    pub fn set(&self, rates: impl IntoIterator<Item = (Fault, u64)>) {
        self.rates.lock().expect("no holder panics").extend(rates);
    }

    /// No fault is drawn from now on.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether faults have stopped.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Counts a fault that fired.
    pub fn count(&self, fault: Fault) {
        *self.fired.lock().expect("no holder panics").entry(fault).or_default() += 1;
    }

    /// How often each fired.
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        self.fired.lock().expect("no holder panics").clone()
    }
}
