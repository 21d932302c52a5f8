//! `ingest`: from the bytes of watch events to committed segments on one core, with a peer on the same stream.
//!
//! Three pipelines over the same lines, each on one thread: the whole watcher (its own streams, decoder, retained
//! versions, buffer and flusher; the server is replayed in the same thread), the journal alone (retained versions
//! uncompressed), and `serde_json` + `json_patch`, which only parse and diff.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use hindcast_journal::{Change, Parts, encode::Encoder, seal::Secrets};
use hindcast_tests::{
    until::{ends, until},
    workload::{Step, Verb, Workload},
};
use hindcast_watcher::{self as watcher, Metrics, Settings};
use serde_json::Value;

use crate::{
    SEED, Took, Watch,
    feed::{self, Feed},
    replay::Server,
    row,
};

/// A step with the line that told of it.
pub(crate) struct Told {
    pub(crate) step: Step,
    pub(crate) line: Bytes,
}

/// Takes the figure.
pub(crate) async fn ingest(quick: bool) -> Result<()> {
    let (objects, steps) = if quick { (2_000, 10_000) } else { (10_000, 60_000) };
    let mut workload = Workload::new(SEED, objects);
    let initial = workload.initial();
    let tell = |mut step: Step| {
        let line = Bytes::from(step.line());
        step.object = String::new();
        Told { step, line }
    };
    let stream: Vec<Told> = (0..steps).map(|_| tell(workload.next_step())).collect();
    let bytes: usize = stream.iter().map(|t| t.line.len()).sum();
    let size = format!("{} changes, {} B a line", stream.len(), bytes / stream.len());

    let whole = through_the_watcher(&initial, &stream).await?;
    let spent = report(
        "ingest: whole watcher",
        "≥ 10,000/s",
        stream.len(),
        whole,
        &format!("watch bytes → committed segments (memory store), one thread, Secrets sealed; {size}"),
    );
    for rows in [10_000, 100] {
        let time = through_the_journal(&initial, &stream, rows).await?;
        report(
            &format!("ingest: journal alone, segments of {rows}"),
            "",
            stream.len(),
            time,
            "line → `Encoder::observe` → `Writer`, retained versions as they are",
        );
    }
    let peer = through_the_peer(&initial, &stream)?;
    let peer = report(
        "ingest: peer",
        "",
        stream.len(),
        peer,
        "`serde_json::from_slice` + `json_patch::diff` + `to_vec`, nothing hashed or written",
    );
    row(
        "ingest: ratio to the peer",
        "",
        &format!("{:.1} ×", peer / spent),
        "whole watcher against the peer's parse and diff alone",
    );
    Ok(())
}

/// Prints changes a second of processor time; returns seconds a change.
fn report(figure: &str, target: &str, count: usize, took: Took, how: &str) -> f64 {
    let each = took.cpu.as_secs_f64() / count as f64;
    let wall = count as f64 / took.wall.as_secs_f64();
    row(
        figure,
        target,
        &format!("{:.0}/s of a core ({:.1} µs each; {wall:.0}/s by the clock)", 1.0 / each, each * 1e6),
        how,
    );
    each
}

async fn through_the_watcher(initial: &[Step], stream: &[Told]) -> Result<Took> {
    let key = feed::key();
    let journal = feed::in_memory();
    let writer = feed::writer(&journal, &key).await?;
    let server = Server::new(initial, stream);
    let (handle, commands) = watcher::channel();
    let parts = watcher::Parts {
        parts: Parts::system(),
        connector: Arc::new(server.clone()),
        journal: journal.clone(),
        writer,
        encoder: Encoder::new(Secrets::Sealed(key)),
        metrics: Metrics::default(),
        commands,
        kept: None,
    };
    let watched = watcher::run(Settings::default(), parts, std::future::pending());
    tokio::select! {
        ended = watched => bail!("the watcher ended: {ended:?}"),
        taken = taken_in(&handle, &server, stream.len() as u64) => taken,
    }
}

/// Waits until the watcher is ready, lets the server send, and waits until all of it is durable; what that took.
async fn taken_in(handle: &watcher::Handle, server: &Server, count: u64) -> Result<Took> {
    let idle = async || Ok(handle.status().ready && handle.status().buffered_bytes == 0);
    until("the watcher is ready and has written what it listed", Duration::from_mins(2), idle)
        .await
        .map_err(|error| anyhow!("{error:#}: {}", handle.status().reason))?;
    // What was listed is durable before the clock starts: longer than the linger.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut durable = handle.durable();
    let before = durable.borrow().last;
    let begun = Watch::start();
    server.release();
    while durable.borrow_and_update().last < before + count {
        ends("the stream is taken in", Duration::from_mins(2), durable.changed()).await??;
    }
    Ok(begun.stop())
}

async fn through_the_journal(initial: &[Step], stream: &[Told], rows: usize) -> Result<Took> {
    let key = feed::key();
    let journal = feed::in_memory();
    let mut writer = feed::writer(&journal, &key).await?;
    let mut feed = Feed::new(&key);
    for step in initial {
        feed.observe(step, step.object.as_bytes());
    }
    let begun = Watch::start();
    for chunk in stream.chunks(rows) {
        let changes: Vec<Change> = chunk.iter().map(|told| feed.observe(&told.step, object(told))).collect();
        let last = chunk.last().map_or((0, 0), |t| (t.step.rv, t.step.time));
        feed::commit(&mut writer, changes, feed::frontier(last.0, last.1)).await?;
    }
    Ok(begun.stop())
}

/// The object inside a line, which has a known frame.
fn object(told: &Told) -> &[u8] {
    let head = r#"{"type":"","object":"#.len() + told.step.verb.as_str().len();
    told.line.get(head..told.line.len() - 2).unwrap_or_default()
}

fn through_the_peer(initial: &[Step], stream: &[Told]) -> Result<Took> {
    let mut retained: HashMap<(String, String), Value> = HashMap::new();
    for step in initial {
        let value = serde_json::from_str(&step.object)?;
        retained.insert((step.namespace.clone(), format!("{:?}/{}", step.sort, step.name)), value);
    }
    let begun = Watch::start();
    let mut bytes = 0;
    for told in stream {
        let mut event: Value = serde_json::from_slice(&told.line)?;
        let new = event.get_mut("object").map(Value::take).context("an event has an object")?;
        let step = &told.step;
        let key = (step.namespace.clone(), format!("{:?}/{}", step.sort, step.name));
        let old = retained.remove(&key);
        let out = match (&old, step.verb) {
            (_, Verb::Deleted) => continue,
            (Some(old), _) => serde_json::to_vec(&json_patch::diff(old, &new))?,
            (None, _) => serde_json::to_vec(&new)?,
        };
        bytes += out.len();
        retained.insert(key, new);
    }
    std::hint::black_box(bytes);
    Ok(begun.stop())
}
