//! From the log to the target: reading, handing over, taking answers, moving the cursor.
//!
//! **Words**: an *attempt* lasts from one connection to its failure. It begins behind the cursor as it was last known
//! here, which may be further than it was written.
//!
//! **Invariants.** (1) One message per row that is wanted, in the log's order; the first refusal ends the attempt
//! [`Attempt::heard`]. (2) What is read ahead, in flight and handed over is bounded by [`Bounds`] (and by what a reader
//! of the log reads ahead), however long the target stays away. (3) Only a cursor that is another's, or that cannot be
//! this one's, ends it, and a beginning that cannot be; all else is told and tried again, ever more slowly [`run`]. (4) A
//! failure costs one line of the log at first and at each doubling, not one a try. (5) What is sealed is known as it was at
//! most a minute before rows came [`Reading::more`]. (6) Frontiers alone have the cursor written once in
//! [`IDLE_EVERY`] [`Fanout::keep`].
//!
//! | dies | when | then |
//! |---|---|---|
//! | this process | any time | what was acknowledged since the cursor was written is published again |
//! | the target | any time | what is in flight waits; nothing more is read than there is room for |
//! | the store | any time | what is in flight goes on; reading and the cursor are tried again |

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use hindcast_journal::{
    Error, Journal, Position, Result, Row, error::ErrorKind, journal::Segment, parts::Micros, row::Op, seal::Rules,
    writer::Durable,
};
use tokio::sync::watch;

use crate::{
    cursor::{Cursor, Holder, Rewind, Trouble},
    event::Event,
    filter::Filter,
    message::{Format, Message, Topics},
    metrics::{Metrics, Of},
    reading::{Read, Reading},
    sink::{Answer, Care, Sink, Target, Unsent},
    start::{From, still_there},
    window::Window,
};

/// How long what is in flight may take when the process stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How long a sink that takes nothing any more may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long to wait after a failure; it doubles up to the other.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How often the cursor is written while nothing comes but words of how far the cluster was seen.
const IDLE_EVERY: Duration = Duration::from_hours(1);

/// How many rows are looked at before answers are.
const BATCH: usize = 256;

/// What is published, how, and from where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the cursor, and of the target in logs and metrics.
    pub name: String,
    /// Which topic an event goes to.
    pub topics: Topics,
    /// How an event is written.
    pub format: Format,
    /// Which rows.
    pub filter: Filter,
    /// Where a new cursor begins.
    pub from: From,
    /// Whether an old cursor is put there too.
    pub rewind: Rewind,
    /// End when everything is acknowledged that is committed by the start.
    pub once: bool,
    /// How often the cursor is written, at most.
    pub every: Duration,
    /// What may wait.
    pub bounds: Bounds,
}

/// What may be in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 << 20 }
    }
}

/// What [`run`] works with.
pub struct Parts {
    /// The journal.
    pub journal: Journal,
    /// Where events go.
    pub target: Box<dyn Target>,
    /// Who publishes.
    pub holder: Holder,
    /// Reports each committed segment, where the writer is in this process: then the store is not asked for news.
    pub news: Option<watch::Receiver<Durable>>,
    /// The figures.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("target", &self.target.name())
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Publishes until `shutdown`. It fails only where going on would be wrong: another process took the cursor over, it is
/// another target's, or it was to begin where the log does not.
pub async fn run(settings: Settings, parts: Parts, shutdown: impl Future<Output = ()>) -> Result<()> {
    let mut stop = std::pin::pin!(shutdown);
    let clock = parts.journal.parts().clock.clone();
    let Parts { journal, mut target, holder, mut news, metrics } = parts;
    let mut outages = Outages::new(&settings.name, metrics.of(&settings.name));
    let named = target.name();
    let mut work = loop {
        let begun = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            begun = Fanout::begin(&settings, &journal, &named, &holder) => begun,
        };
        match begun {
            Ok(work) => break work,
            Err(error) if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Invalid) => return Err(error),
            Err(error) => outages.failed(clock.now(), &error),
        }
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = clock.sleep(outages.wait()) => {}
        }
    };
    tracing::info!(fanout = settings.name, target = named, after = work.done, "publishing");
    loop {
        match work.attempt(&mut *target, &mut news, &mut outages, &mut stop).await {
            Ok(End::Stopped) => return Ok(()),
            Ok(End::Again) => continue,
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => outages.failed(clock.now(), &error),
        }
        work.keep(&outages, false).await?;
        tokio::select! {
            biased;
            () = &mut stop => return work.keep(&outages, true).await,
            () = clock.sleep(outages.wait()) => {}
        }
    }
}

/// How an attempt ended that did not fail.
enum End {
    Stopped,
    /// It goes on at once, more carefully.
    Again,
}

/// The target, over all attempts.
struct Fanout<'a> {
    settings: &'a Settings,
    journal: Journal,
    cursor: Cursor,
    /// Up to where everything was acknowledged.
    done: Position,
    /// Up to where that is worth a cursor.
    news: Position,
    /// Where to end.
    until: Option<Position>,
    care: Care,
    /// What went into a batch that was too large, while it goes one by one.
    apart: Option<Apart>,
    /// The positions of rows that the target does not take whole.
    oversize: BTreeSet<Position>,
    store_failures: u32,
}

/// Messages that are sent each by itself.
struct Apart {
    /// The last that may have been in the batch.
    until: Position,
    /// Whether one of them was too large. If none was, it is batches that are, and they stay apart.
    found: bool,
}

impl<'a> Fanout<'a> {
    async fn begin(settings: &'a Settings, journal: &Journal, target: &str, holder: &Holder) -> Result<Self> {
        let Settings { name, from, rewind, .. } = settings;
        let cursor = Cursor::claim(journal, name, target, holder, *from, rewind).await?;
        let until = match settings.once {
            true => Some(From::Now.cursor(journal).await?),
            false => None,
        };
        Ok(Self {
            settings,
            journal: journal.clone(),
            done: cursor.position(),
            news: 0,
            until,
            cursor,
            care: Care::default(),
            apart: None,
            oversize: BTreeSet::new(),
            store_failures: 0,
        })
    }

    async fn attempt<F: Future<Output = ()>>(
        &mut self,
        target: &mut dyn Target,
        news: &mut Option<watch::Receiver<Durable>>,
        outages: &mut Outages,
        stop: &mut Pin<&mut F>,
    ) -> Result<End> {
        let made = tokio::select! {
            biased;
            () = &mut *stop => None,
            made = async {
                let rules = Rules::read(&self.journal).await?;
                still_there(&self.journal, &self.settings.name, self.done).await?;
                let tail = self.journal.tail(self.done + 1).await?;
                Ok::<_, Error>((rules, tail, target.connect(self.care).await?))
            } => Some(made?),
        };
        let Some((rules, tail, mut sink)) = made else {
            self.keep(outages, true).await?;
            return Ok(End::Stopped);
        };
        let (now, rules) = (self.journal.parts().clock.monotonic(), Arc::new(rules));
        let reading = Reading::new(&self.journal, tail, news.clone(), rules.clone());
        let mut attempt = Attempt {
            window: Window::new(self.done),
            rows: None,
            held: None,
            rules,
            progress: now,
            quiet: QUIET,
            told: None,
            work: self,
            outages,
        };
        let ended = attempt.pump(&mut *sink, reading, stop).await;
        sink.close().await;
        ended
    }

    /// Takes over how far a connection is.
    fn reached(&mut self, window: &Window) {
        self.done = window.done();
        self.news = self.news.max(window.news());
    }

    fn has_news(&self) -> bool {
        self.news > self.cursor.position()
    }

    /// Whether what had to go one by one is behind, so that messages can go together again.
    fn is_behind(&self) -> bool {
        self.apart.as_ref().is_some_and(|apart| apart.found && self.done >= apart.until)
    }

    /// Writes the cursor if that is due.
    async fn keep(&mut self, outages: &Outages, now: bool) -> Result<()> {
        let trouble = outages.trouble();
        let turned = trouble.is_some() != self.cursor.trouble().is_some();
        let every = match self.has_news() {
            _ if turned => self.settings.every.min(TURNED),
            true => self.settings.every,
            false => self.settings.every.max(IDLE_EVERY),
        };
        if !(turned || self.done > self.cursor.position()) || (!now && self.cursor.age() < every) {
            return Ok(());
        }
        match self.cursor.write(self.done, trouble).await {
            Ok(()) => {
                self.store_failures = 0;
                self.oversize = self.oversize.split_off(&(self.done + 1));
            }
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => {
                self.store_failures += 1;
                if self.store_failures.is_power_of_two() {
                    let (fanout, error) = (&self.settings.name, error.told());
                    tracing::warn!(fanout, error, "the cursor cannot be written; publishing goes on");
                }
            }
        }
        Ok(())
    }
}

/// How long a target may acknowledge nothing of what waits before that is told; it doubles.
const QUIET: Duration = Duration::from_secs(10);

/// How old the cursor is at least when it tells that an outage began or ended: `status` shall not learn of it a minute later.
const TURNED: Duration = Duration::from_secs(10);

/// How often what is due is looked at while something waits.
const TICK: Duration = Duration::from_secs(1);

/// One connection's time.
struct Attempt<'w, 'a> {
    work: &'w mut Fanout<'a>,
    outages: &'w mut Outages,
    rules: Arc<Rules>,
    window: Window,
    /// The run that is being published, and the next of its rows.
    rows: Option<(Segment, usize)>,
    /// What there was no room for.
    held: Option<Made>,
    /// When the target last acknowledged anything, or nothing waited.
    progress: Duration,
    quiet: Duration,
    /// What it last said of itself.
    told: Option<Error>,
}

/// A message, and what is known of it.
struct Made {
    message: Message,
    time: Micros,
    pointer: bool,
    /// Whether it says more than how far the cluster was seen.
    news: bool,
    row: usize,
}

impl Attempt<'_, '_> {
    async fn pump<F: Future<Output = ()>>(
        &mut self,
        sink: &mut dyn Sink,
        reading: Reading,
        stop: &mut Pin<&mut F>,
    ) -> Result<End> {
        let clock = self.work.journal.parts().clock.clone();
        let mut reading: BoxFuture<'static, Read> = Box::pin(reading.more(None));
        loop {
            if let Err(error) = self.hand_over(sink) {
                return self.last_words(sink, error).await;
            }
            self.look(clock.monotonic(), clock.now());
            if self.work.until.is_some_and(|until| self.work.done >= until) {
                return self.last_answers(sink).await;
            }
            self.work.keep(self.outages, false).await?;
            if self.window.open() > 0 {
                self.still_ours().await?;
            } else if self.work.is_behind() {
                (self.work.apart, self.work.care.alone) = (None, false);
                return Ok(End::Again);
            }
            let (can_send, open) = (self.can_send(), self.window.open());
            let due = open > 0 || self.work.has_news();
            let answer = tokio::select! {
                biased;
                () = &mut *stop => return self.last_answers(sink).await,
                answer = sink.answer() => answer,
                (next, read) = &mut reading, if self.rows.is_none() => {
                    self.rules = next.rules();
                    reading = Box::pin(next.more(self.took(read, open)));
                    continue;
                }
                () = std::future::ready(()), if can_send => continue,
                () = clock.sleep(TICK), if due => continue,
            };
            if let Some(end) = self.heard(answer)? {
                return Ok(end);
            }
        }
    }

    /// What was read; how long to wait before reading on, where that failed.
    fn took(&mut self, read: Result<Option<Segment>>, open: usize) -> Option<Duration> {
        match read {
            Ok(Some(run)) => {
                self.rows = Some((run, 0));
                None
            }
            // Everything is published, and the connection was seen to work: nothing is left of an older failure.
            Ok(None) => {
                if open == 0 {
                    self.outages.well();
                }
                None
            }
            Err(error) => {
                self.outages.failed(self.work.journal.parts().clock.now(), &error);
                Some(self.outages.wait())
            }
        }
    }

    fn can_send(&self) -> bool {
        self.held.is_none() && self.rows.is_some() && self.has_room()
    }

    /// None is left for a connection that is given up as soon as all is answered.
    fn has_room(&self) -> bool {
        let bounds = self.work.settings.bounds;
        !self.work.is_behind() && self.window.has_room(bounds.messages, bounds.bytes)
    }

    /// Hands over what there is room for.
    fn hand_over(&mut self, sink: &mut dyn Sink) -> Result<()> {
        for _ in 0..BATCH {
            if !self.has_room() {
                break;
            }
            let Some(made) = self.held.take().or_else(|| self.next()) else { break };
            if !self.give(sink, made)? {
                break;
            }
        }
        let metrics = &self.outages.of;
        metrics.waiting.set(self.window.open() as i64);
        self.work.reached(&self.window);
        metrics.position.set(self.work.done as i64);
        Ok(())
    }

    /// The message of the next row that is wanted.
    fn next(&mut self) -> Option<Made> {
        let (run, at) = self.rows.as_mut()?;
        while let Some(row) = run.rows.get(*at) {
            let index = *at;
            *at += 1;
            if self.work.settings.filter.takes(row) {
                let oversize = self.work.oversize.contains(&row.pos);
                let made = make(self.work, &self.rules, row, index, oversize);
                let too_large = self.work.care.below.is_some_and(|below| made.message.size() >= below);
                return match too_large && !oversize {
                    true => Some(make(self.work, &self.rules, row, index, true)),
                    false => Some(made),
                };
            }
            self.window.pass(row.pos, row.op != Op::Frontier);
        }
        self.rows = None;
        None
    }

    /// Gives a message to the sink; false if there was no room for it.
    fn give(&mut self, sink: &mut dyn Sink, made: Made) -> Result<bool> {
        let Made { message, time, pointer, news, row } = made;
        let (position, bytes) = (message.position, message.size());
        match sink.send(message) {
            Ok(()) => {
                self.window.sent(position, time, bytes, news);
                if pointer {
                    self.outages.of.pointers.inc();
                }
                Ok(true)
            }
            Err(Unsent::Full(message)) => {
                self.held = Some(Made { message, time, pointer, news, row });
                Ok(false)
            }
            Err(Unsent::TooLarge(_)) if pointer => Err(no_pointer(&self.work.settings.name, position, bytes)),
            Err(Unsent::TooLarge(_)) => {
                self.tell_of_pointer(position, bytes);
                let row = self.rows.as_ref().and_then(|(run, _)| run.rows.get(row).map(|it| (row, it)));
                let (index, row) =
                    row.ok_or_else(|| Error::internal("a fan-out", "lost the row of a message that was too large"))?;
                let made = make(self.work, &self.rules, row, index, true);
                self.give(sink, made)
            }
            Err(Unsent::Failed(error)) => Err(error),
        }
    }

    fn tell_of_pointer(&self, position: Position, bytes: usize) {
        let fanout = &self.work.settings.name;
        tracing::warn!(
            fanout,
            position,
            bytes,
            "too large for the target: its event goes without the body, as a pointer"
        );
    }

    /// Does what an answer asks for; how the attempt ends, if it does.
    fn heard(&mut self, answer: Answer) -> Result<Option<End>> {
        let clock = self.work.journal.parts().clock.clone();
        match answer {
            Answer::Taken(position) => {
                if let Some(time) = self.window.taken(position) {
                    self.outages.of.events.inc();
                    self.outages.of.lag.set((clock.now() - time).max(0) as f64 / 1e6);
                }
                self.work.reached(&self.window);
                (self.progress, self.quiet, self.told) = (clock.monotonic(), QUIET, None);
                self.outages.well();
                Ok(None)
            }
            Answer::TooLarge { position, bytes } if self.work.care.alone => {
                if !self.work.oversize.insert(position) {
                    return Err(no_pointer(&self.work.settings.name, position, bytes));
                }
                self.tell_of_pointer(position, bytes);
                let below = self.work.care.below.map_or(bytes, |below| below.min(bytes));
                self.work.care.below = Some(below);
                if let Some(apart) = &mut self.work.apart {
                    apart.found = true;
                }
                Ok(Some(End::Again))
            }
            // Which of a batch it was shows when each goes by itself.
            Answer::TooLarge { .. } => {
                self.work.care.alone = true;
                self.work.apart = Some(Apart { until: self.window.last(), found: false });
                Ok(Some(End::Again))
            }
            Answer::Refused(_, error) => Err(error),
            Answer::Trouble(error) => {
                if self.window.open() > 0 && self.outages.since.is_none() {
                    self.outages.failed(clock.now(), &error);
                }
                self.told = Some(error);
                Ok(None)
            }
        }
    }

    /// Tells of a target that acknowledges nothing.
    fn look(&mut self, now: Duration, wall: Micros) {
        if self.window.open() == 0 {
            (self.progress, self.quiet) = (now, QUIET);
        }
        if now.saturating_sub(self.progress) < self.quiet {
            return;
        }
        self.quiet = self.quiet.saturating_mul(2);
        let silent = || {
            Error::new(
                ErrorKind::Unavailable,
                format!("the fan-out `{}`", self.work.settings.name),
                format!("nothing was acknowledged for {} s", now.saturating_sub(self.progress).as_secs()),
            )
            .with_hint("what is in flight waits; see whether the target is up")
        };
        let error = self.told.take().unwrap_or_else(silent);
        self.outages.failed(wall, &error);
        self.told = Some(error);
    }

    async fn still_ours(&mut self) -> Result<()> {
        match self.work.cursor.check().await {
            Err(error) if error.kind() == ErrorKind::Fenced => Err(error),
            // Whether the store answers shows when the cursor is written.
            _ => Ok(()),
        }
    }

    /// Why a sink takes nothing any more it may say in its answers, and better.
    async fn last_words(&mut self, sink: &mut dyn Sink, error: Error) -> Result<End> {
        let late = self.work.journal.parts().clock.sleep(LAST_WORDS);
        tokio::pin!(late);
        loop {
            let answer = tokio::select! {
                biased;
                answer = sink.answer() => answer,
                () = &mut late => return Err(error),
            };
            if let Some(end) = self.heard(answer)? {
                return Ok(end);
            }
        }
    }

    /// Waits a little for what is in flight, and writes the cursor.
    async fn last_answers(&mut self, sink: &mut dyn Sink) -> Result<End> {
        let late = self.work.journal.parts().clock.sleep(LAST_ANSWERS);
        tokio::pin!(late);
        while self.window.open() > 0 {
            let answer = tokio::select! {
                biased;
                answer = sink.answer() => answer,
                () = &mut late => break,
            };
            match self.heard(answer) {
                Ok(None) => {}
                _ => break,
            }
        }
        self.work.keep(self.outages, true).await?;
        Ok(End::Stopped)
    }
}

fn make(work: &Fanout<'_>, rules: &Rules, row: &Row, index: usize, pointer: bool) -> Made {
    let cluster = work.journal.cluster();
    let event = match pointer {
        true => Event::pointer(cluster, row, rules),
        false => Event::of(cluster, row, rules),
    };
    let message = Message::of(&event, work.settings.format, &work.settings.topics);
    Made { message, time: row.time_hi, pointer, news: row.op != Op::Frontier, row: index }
}

fn no_pointer(name: &str, position: Position, bytes: usize) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("the fan-out `{name}`"),
        format!("the target takes not even {bytes} bytes, an event without its body (position {position})"),
    )
    .with_hint("let the target take larger messages: 64 KiB is enough for any pointer")
}

/// Failures in a row, told once and at each doubling.
struct Outages {
    name: String,
    of: Of,
    since: Option<Micros>,
    reason: String,
    failures: u32,
    wait: Duration,
}

impl Outages {
    fn new(name: &str, of: Of) -> Self {
        Self { name: name.to_owned(), of, since: None, reason: String::new(), failures: 0, wait: FIRST_WAIT }
    }

    fn failed(&mut self, now: Micros, error: &Error) {
        self.failures += 1;
        self.of.failures.inc();
        self.of.up.set(0);
        self.since.get_or_insert(now);
        self.reason = error.told();
        if self.failures.is_power_of_two() {
            tracing::warn!(
                fanout = self.name,
                error = Error::causes(error),
                hint = error.hint(),
                failures = self.failures,
                "cannot publish; trying again"
            );
        }
    }

    fn well(&mut self) {
        if self.since.take().is_some() {
            tracing::info!(fanout = self.name, failures = self.failures, "publishing again");
        }
        (self.failures, self.wait) = (0, FIRST_WAIT);
        self.of.up.set(1);
    }

    /// How long to wait before the next try.
    fn wait(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
        wait
    }

    fn trouble(&self) -> Option<Trouble> {
        self.since.map(|since| Trouble { since, reason: self.reason.clone() })
    }
}
