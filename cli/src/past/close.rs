//! Closing a cut for a reader: with the cluster's help, with a running Hindcast's, or by waiting.
//!
//! **Invariants.** (1) Whatever fails here, the reader still gets the answer that the bucket alone gives: a cluster
//! that is away, forbidden or another one is a note, never an error. (2) Nothing is written, in the cluster or the
//! journal: what was seen live is laid over what was read, for this answer alone.

use std::{collections::BTreeSet, future::Future, time::Duration};

use hindcast_journal::{
    At, Change, Encoder, FrontierPoint, FrontierVector, Micros, Observation, Past, Revision, Scope, Secrets, Source,
    facts::Discovery,
};
use hindcast_restorer::{Range, View};
use hindcast_watcher::{Closed, ErrorKind};

use super::Reading;
use crate::{
    commands::Context,
    failure::{Failure, Result},
    kubeconfig::{self, Interaction},
};

/// How often the bucket is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How often closing is tried again while a kind is going away.
const GOING_EVERY: Duration = Duration::from_secs(1);

/// How long the API server may take to say which cluster it is; at 3 a.m. it may be what is down.
const CLUSTER_LIMIT: Duration = Duration::from_secs(4);

/// How long closing may take: about three seconds in all but the busiest clusters.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// A journal whose newest segment is older than this is not being written: one that is idle writes every minute.
const IDLE: Micros = 90_000_000;

/// How long a change that was seen live may take to be in the bucket, while a Hindcast runs.
const ARRIVAL: Duration = Duration::from_secs(3);

/// The answer, closed if that can be done.
pub(super) async fn close(past: &mut Reading<'_>, context: &Context<'_>, at: &At, mut answer: Past) -> Result<Past> {
    match live(past, context, at).await {
        // What was laid over what was read stays the newest: nothing more is read behind it.
        Ok(Some(seen)) => return Ok(seen),
        Ok(None) => {}
        Err(failure) => {
            context.printer.note(format!("note: the cluster did not help to close the cut: {failure}"));
        }
    }
    if let Some(address) = &context.common.run_address {
        match ask_run(address, context.common.wait.max(CLOSE_LIMIT)).await {
            Ok(()) => {
                past.timeline.refresh().await?;
                answer = past.timeline.at(at).await?;
            }
            Err(reason) => {
                context.printer.note(format!("note: {address} did not close the cut: {reason}"));
            }
        }
    }
    // The newest closed cut is an answer as it stands; only a moment that was named is worth waiting for.
    if answer.moment().closed || *at == At::Now {
        return Ok(answer);
    }
    wait(past, context, at, answer).await
}

/// Closes the cut through the context's cluster, if it is the journal's.
async fn live(past: &mut Reading<'_>, context: &Context<'_>, at: &At) -> Result<Option<Past>> {
    let Some(mut seen) = look(past, context, |_| true).await? else { return Ok(None) };
    // For a question about a time the bounds of the journal's own rows decide, so what is on its way into the bucket is
    // given a moment to arrive.
    let patience = if matches!(at, At::Time(_) | At::BeforeTime(_)) { ARRIVAL } else { Duration::ZERO };
    drop_durable(past, context, patience, &seen.frontier, &mut seen.changes).await?;
    past.overlaid = true;
    past.timeline.overlay(seen.changes, seen.reached);
    Ok(Some(past.timeline.at(at).await?))
}

/// Gives what happened in the cluster up to now, in the kinds that `wants` says, a moment to arrive in the bucket; as
/// long as there is a Hindcast that brings it. Nothing is laid over what was read.
pub(super) async fn arrive(
    past: &mut Reading<'_>,
    context: &Context<'_>,
    wants: impl Fn(&Discovery) -> bool,
) -> Result<()> {
    past.timeline.refresh().await?;
    let newest = past.timeline.at(&At::Now).await?;
    let age = newest.moment().frontier.values().map(|point| context.parts.clock.now() - point.time).min();
    if age.is_none_or(|age| age > IDLE) {
        return Ok(());
    }
    let Some(mut seen) = look(past, context, wants).await? else { return Ok(()) };
    drop_durable(past, context, ARRIVAL, &seen.frontier, &mut seen.changes).await
}

/// What was seen in the cluster beyond the journal.
struct Seen {
    changes: Vec<Change>,
    reached: FrontierVector,
    /// How far the journal itself is closed.
    frontier: FrontierVector,
}

/// Looks into the context's cluster, if it is the journal's.
async fn look(
    past: &mut Reading<'_>,
    context: &Context<'_>,
    wants: impl Fn(&Discovery) -> bool,
) -> Result<Option<Seen>> {
    if !kubeconfig::is_there(context.common) {
        return Ok(None);
    }
    // A reader asks nobody: it can do without the cluster.
    let reach = kubeconfig::reach(context, Interaction::None)?;
    let client = reach.connect()?;
    let uid = limited(CLUSTER_LIMIT, kubeconfig::cluster_uid(&client, &reach)).await??;
    if uid != past.journal.cluster() {
        if context.common.verbose > 0 {
            context.printer.note(format!("note: the context's cluster is {uid}, not the journal's"));
        }
        return Ok(None);
    }
    let clock = &context.parts.clock;
    let end = clock.monotonic() + context.common.wait;
    loop {
        let newest = past.timeline.at(&At::NowOpen).await?;
        let nothing = Scope::nothing();
        let view = View::of(&newest, &nothing).await?;
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
        let closing = hindcast_watcher::close_cut(&client, &context.parts, &covered);
        match limited(CLOSE_LIMIT, closing).await? {
            Ok(closed) => {
                let (changes, reached) = seen(past, &covered, &closed, &frontier, began);
                return Ok(Some(Seen { changes, reached, frontier }));
            }
            // A kind was just taken away. Whoever writes the journal notes that within seconds, and then the others can be
            // closed without it; who lost a definition must not be refused its restore until the next bookmarks.
            Err(error) if error.kind() == ErrorKind::NotServed && clock.monotonic() < end => {
                clock.sleep(GOING_EVERY).await;
                past.timeline.refresh().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Drops what the journal holds itself, with better bounds of time than a late look has; waits for the rest to arrive
/// as long as there is patience.
async fn drop_durable(
    past: &mut Reading<'_>,
    context: &Context<'_>,
    patience: Duration,
    frontier: &FrontierVector,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let clock = &context.parts.clock;
    let end = clock.monotonic() + patience.min(context.common.wait);
    let since = frontier.values().map(|point| point.time).min().map(|time| time - 1_000_000);
    loop {
        let range = Range { since, ..Range::default() };
        let durable = past.timeline.history(&range, &Scope::default()).await?;
        let held: BTreeSet<(&str, Revision)> =
            durable.events.iter().map(|e| (e.row.domain.as_str(), e.row.rv)).collect();
        changes.retain(|change| !held.contains(&(change.domain.as_str(), change.rv)));
        // What is dropped here has to be read there: the segment that holds it may be newer than those listed.
        past.timeline.refresh().await?;
        if changes.is_empty() || clock.monotonic() >= end {
            return Ok(());
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

/// What was seen live, as rows behind the journal's, and how far that closes each domain.
fn seen(
    past: &Reading<'_>,
    kinds: &[(Discovery, Revision)],
    closed: &[Closed],
    frontier: &FrontierVector,
    began: Micros,
) -> (Vec<Change>, FrontierVector) {
    // With a key the values are held as the journal holds them; without one the printer's rules hide them.
    let secrets = match past.timeline.key() {
        Some(key) => Secrets::Sealed(key.clone()),
        None => Secrets::Plaintext(None),
    };
    let timeline = &past.timeline;
    let encoder = Encoder::new(secrets).with_keys(timeline.keys()).with_rules(timeline.rules().clone());
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
        let Some((discovery, _)) = kinds.iter().find(|(d, _)| d.kind_key() == kind.kind) else {
            continue;
        };
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

async fn limited<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T> {
    #[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Failure::new("the API server", format!("did not answer within {} s", limit.as_secs())))
}

/// Waits for segments that close the moment.
async fn wait(past: &mut Reading<'_>, context: &Context<'_>, at: &At, mut answer: Past) -> Result<Past> {
    let clock = &context.parts.clock;
    let end = clock.monotonic() + context.common.wait;
    if context.common.verbose > 0 {
        context.printer.note("waiting for the journal to reach that moment");
    }
    while !answer.moment().closed && clock.monotonic() < end {
        clock.sleep(LOOK_EVERY).await;
        if past.timeline.refresh().await? {
            answer = past.timeline.at(at).await?;
        }
    }
    Ok(answer)
}

/// `POST /close` of a running Hindcast. Plain HTTP in a few lines: the address is a loopback or in-cluster one, and
/// the answer is a status.
async fn ask_run(address: &str, limit: Duration) -> Result<(), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(host).await.map_err(|e| e.to_string())?;
        let request = format!("POST /close HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
        let mut answer = Vec::new();
        stream.take(64 << 10).read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if status == "200" {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
        Err(format!("HTTP {status} {body}"))
    };
    limited(limit, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
