//! Closing a cut for a reader with the help of the cluster, where what was written last is not in the bucket yet.
//!
//! **Invariants.** (1) Nothing is written, in the cluster or the journal: what was seen live is laid over what was
//! read, for the questions of this timeline alone [`Timeline::close`]. (2) What the journal holds itself is read from
//! there: its bounds of time are better than those of a late look.
//!
//! Who has only the bucket waits, and asks the journal's writer by a knock ([`hindcast_journal::knock`]): that is the one thing
//! that a reader writes, and the answer is the same without it, only later.
//!
//! Not here: whether the cluster is the journal's, which whoever gives the client has made sure of; how one closes a
//! kind ([`hindcast_cluster::cut`]).

use std::{collections::BTreeSet, time::Duration};

use hindcast_cluster::cut::{self, Closed, Unclosed};
use hindcast_journal::{
    Change, Error, Journal, Past, Result,
    cut::At,
    encode::{Encoder, Observation},
    error::ErrorKind,
    facts::Discovery,
    fold::Scope,
    knock::Knocks,
    parts::Micros,
    row::{Revision, Source},
    seal::Secrets,
    segment::{FrontierPoint, FrontierVector},
};

use super::{Range, Timeline, View};

/// How often the bucket is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How often closing is tried again while a kind is going away.
const GOING_EVERY: Duration = Duration::from_secs(1);

/// How long closing may take: about three seconds in all but the busiest clusters.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// A journal that is closed up to an older moment is not being written: one that is idle writes every two minutes how far it has
/// seen, and bookmarks come every minute.
const IDLE: Micros = 240_000_000;

/// What is on its way into the bucket is waited for so long before a reader knocks.
const KNOCK_AFTER: Duration = Duration::from_millis(900);

/// Who waits for less than an answer takes at the least does not knock.
const ANSWER: Duration = Duration::from_secs(3);

/// How often a reader knocks: its first may be taken for one that was answered just then.
const KNOCKS: u32 = 3;

/// How long a change that was seen live may take to be in the bucket, while a Hindcast runs.
const ARRIVAL: Duration = Duration::from_secs(3);

/// What was seen in the cluster beyond the journal.
struct Seen {
    changes: Vec<Change>,
    reached: FrontierVector,
    /// How far the journal itself is closed.
    frontier: FrontierVector,
}

impl Timeline {
    /// The past at a moment, closed through the cluster: what it tells beyond the journal is laid over what is read
    /// from here on. `wait` bounds how long a kind that is going away is waited for.
    ///
    /// It is closed from where the journal itself ends, also if it was closed before: what was laid over then is asked for
    /// again or has become durable meanwhile, and nothing would be read behind it.
    pub(crate) async fn close(&mut self, client: &kube::Client, at: &At, wait: Duration) -> Result<Past> {
        self.forget_overlay().await?;
        let mut seen = self.look(client, |_| true, wait).await?;
        // For a question about a time the bounds of the journal's own rows decide, so what is on its way into the
        // bucket is given a moment to arrive.
        let patience = if matches!(at, At::Time(_) | At::BeforeTime(_)) { ARRIVAL } else { Duration::ZERO };
        self.drop_durable(patience.min(wait), &seen.frontier, &mut seen.changes).await?;
        self.overlaid = true;
        self.reader.overlay(seen.changes, seen.reached);
        self.at(at).await
    }

    /// Gives what happened in the cluster up to now, in the kinds that `wants` says, a moment to arrive in the bucket,
    /// as long as there is a Hindcast that brings it. Nothing is laid over what is read.
    pub(crate) async fn arrive(
        &mut self,
        client: &kube::Client,
        wants: impl Fn(&Discovery) -> bool,
        wait: Duration,
    ) -> Result<()> {
        if !self.is_being_written().await? {
            return Ok(());
        }
        let mut seen = self.look(client, wants, wait).await?;
        self.drop_durable(ARRIVAL.min(wait), &seen.frontier, &mut seen.changes).await
    }

    /// Waits for segments that close the moment, and knocks for them. What comes with a moment that was not closed is why the
    /// journal's writer could not be asked for more, or that it did not answer.
    pub async fn wait(&mut self, at: &At, mut past: Past, wait: Duration) -> Result<(Past, Option<Error>)> {
        let clock = self.clock();
        let begin = clock.monotonic();
        let mut knocking = Knocking::new(self.reader.journal());
        while !past.moment().closed && clock.monotonic().saturating_sub(begin) < wait {
            clock.sleep(LOOK_EVERY).await;
            if self.refresh().await? {
                past = self.at(at).await?;
            }
            // What is still to come no writer can have seen.
            let is_past = !matches!(at, At::Time(time) | At::BeforeTime(time) if *time > clock.now());
            let is_due = is_past && wait >= ANSWER && clock.monotonic().saturating_sub(begin) >= KNOCK_AFTER;
            if !past.moment().closed && is_due {
                knocking.knock(self.reader.answered()).await;
            }
        }
        let why = if past.moment().closed { None } else { knocking.why(self.reader.answered()) };
        Ok((past, why))
    }

    /// Leaves nothing in what is read that only the cluster told.
    pub(crate) async fn forget_overlay(&mut self) -> Result<()> {
        if self.overlaid {
            self.reader.lift();
            self.overlaid = false;
            self.refresh().await?;
        }
        Ok(())
    }

    /// Whether somebody writes the journal.
    pub(super) async fn is_being_written(&mut self) -> Result<bool> {
        self.refresh().await?;
        let newest = self.at(&At::Now).await?;
        // One domain may be held back while the others go on.
        let written = newest.moment().frontier.values().map(|point| point.time).max();
        Ok(written.is_some_and(|time| self.clock().now() - time <= IDLE))
    }

    fn clock(&self) -> std::sync::Arc<dyn hindcast_journal::parts::Clock> {
        self.reader.journal().parts().clock.clone()
    }

    /// Looks into the cluster for what happened in the kinds that `wants` says, beyond what the journal holds.
    async fn look(
        &mut self,
        client: &kube::Client,
        wants: impl Fn(&Discovery) -> bool,
        wait: Duration,
    ) -> Result<Seen> {
        let parts = self.reader.journal().parts().clone();
        let clock = &parts.clock;
        let end = clock.monotonic() + wait;
        loop {
            let newest = self.at(&At::NowOpen).await?;
            let view = View::of(&newest, &Scope::nothing()).await?;
            let frontier = view.moment.frontier.clone();
            let covered: Vec<(Discovery, Revision)> = view
                .kinds
                .values()
                .filter(|kind| kind.is_covered() && wants(&kind.discovery))
                .map(|kind| {
                    let closed = frontier.get(&kind.discovery.domain).map_or(0, |p| p.rv);
                    (kind.discovery.clone(), kind.cursor.map_or(0, |c| c.rv).max(closed))
                })
                .collect();
            let began = clock.now();
            match parts.timeout(CLOSE_LIMIT, cut::close(client, &parts, &covered)).await {
                Some(Ok(closed)) => {
                    let (changes, reached) = self.seen(&covered, &closed, &frontier, began);
                    return Ok(Seen { changes, reached, frontier });
                }
                // A kind was just taken away. Whoever writes the journal notes that within seconds, and then the
                // others can be closed without it; who lost a definition must not be refused its restore until the
                // next bookmarks.
                Some(Err(unclosed)) if unclosed.is_not_served() && clock.monotonic() < end => {
                    clock.sleep(GOING_EVERY).await;
                    self.refresh().await?;
                }
                Some(Err(unclosed)) => return Err(failed(&unclosed)),
                None => return Err(silent(CLOSE_LIMIT)),
            }
        }
    }

    /// Drops what the journal holds itself; waits for the rest to arrive as long as there is patience.
    async fn drop_durable(
        &mut self,
        patience: Duration,
        frontier: &FrontierVector,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let clock = self.clock();
        let end = clock.monotonic() + patience;
        let since = frontier.values().map(|point| point.time).min().map(|time| time - 1_000_000);
        loop {
            let range = Range { since, ..Range::default() };
            let durable = self.history(&range, &Scope::default()).await?;
            let held: BTreeSet<(&str, Revision)> =
                durable.events.iter().map(|e| (e.row.domain.as_str(), e.row.rv)).collect();
            changes.retain(|change| !held.contains(&(change.domain.as_str(), change.rv)));
            // What is dropped here has to be read there: the segment that holds it may be newer than those listed.
            self.refresh().await?;
            if changes.is_empty() || clock.monotonic() >= end {
                return Ok(());
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// What was seen live, as rows behind the journal's, and how far that closes each domain.
    fn seen(
        &self,
        kinds: &[(Discovery, Revision)],
        closed: &[Closed],
        frontier: &FrontierVector,
        began: Micros,
    ) -> (Vec<Change>, FrontierVector) {
        // With a key the values are held as the journal holds them; without one the printer's rules hide them.
        let secrets = match self.key() {
            Some(key) => Secrets::Sealed(key.clone()),
            None => Secrets::Plaintext(None),
        };
        let encoder = Encoder::new(secrets).with_keys(self.keys()).with_rules(self.rules.clone());
        let mut changes = Vec::new();
        let mut reached = frontier.clone();
        for (domain, point) in &mut reached {
            let of_domain = kinds.iter().filter(|(kind, _)| kind.domain == *domain).map(|(kind, _)| kind.kind_key());
            let keys: Vec<String> = of_domain.collect();
            let least = closed.iter().filter(|c| keys.contains(&c.kind)).map(|c| c.reached).min();
            if let Some(least) = least.filter(|least| *least >= point.rv) {
                *point = FrontierPoint { rv: least, time: began.max(point.time), ..*point };
            }
        }
        for kind in closed {
            let Some((discovery, _)) = kinds.iter().find(|(d, _)| d.kind_key() == kind.kind) else { continue };
            let point = frontier.get(&discovery.domain);
            for event in &kind.events {
                let observation = Observation {
                    kind: discovery,
                    incarnation: point.map_or(0, |p| p.incarnation),
                    rv: event.rv,
                    source: Source::Watch,
                    time_lo: point.map_or(0, |p| p.time),
                    time_hi: began.max(point.map_or(0, |p| p.time)),
                    bytes: &event.object,
                };
                changes.push(if event.deleted {
                    let (namespace, name) = name_of(&event.object);
                    encoder.forget(&observation, &namespace, &name, None)
                } else {
                    encoder.observe(&observation, None).change
                });
            }
        }
        changes.sort_by_key(|change| change.rv);
        (changes, reached)
    }
}

/// A reader that knocks.
struct Knocking {
    knocks: Knocks,
    /// The newest that was left.
    left: Option<u64>,
    count: u32,
    /// Why none can be left.
    refused: Option<Error>,
}

impl Knocking {
    fn new(journal: &Journal) -> Self {
        Self { knocks: Knocks::of(journal), left: None, count: 0, refused: None }
    }

    /// Leaves a knock, unless one waits.
    async fn knock(&mut self, answered: u64) {
        let waits = self.left.is_some_and(|left| left > answered);
        if waits || self.refused.is_some() || self.count == KNOCKS {
            return;
        }
        self.count += 1;
        let next = answered.saturating_add(1);
        match self.knocks.leave(next).await {
            Ok(()) => self.left = Some(next),
            // A store that is away is told of by whoever reads from it.
            Err(error) => self.refused = Some(error),
        }
    }

    fn why(self, answered: u64) -> Option<Error> {
        let waits = self.left.is_some_and(|left| left > answered);
        self.refused.or_else(|| waits.then(Knocks::unanswered))
    }
}

/// The namespace and name of an object as sent.
fn name_of(object: &[u8]) -> (String, String) {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Metadata {
        namespace: String,
        name: String,
    }
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    serde_json::from_slice::<Object>(object)
        .map(|object| (object.metadata.namespace, object.metadata.name))
        .unwrap_or_default()
}

fn failed(unclosed: &Unclosed) -> Error {
    Error::new(ErrorKind::Unavailable, &unclosed.kind, unclosed.why.to_string())
}

fn silent(limit: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, "the API server", format!("did not answer within {} s", limit.as_secs()))
}
