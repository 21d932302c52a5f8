//! The whole without a broker: a journal in memory, time that passes by itself, and a broker that fails in all ways.

mod broker;
mod cursors;
mod events;
mod faults;
mod starts;
mod windows;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hindcast_journal::{
    Change, Journal, Row, Writer,
    cut::MAIN,
    parts::{self, BoxFuture, Clock, Micros, SystemRandom},
    row::{Body, Op},
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};
use object_store::{memory::InMemory, path::Path};

use crate::cursor::Holder;

const CLUSTER: &str = "0a000000-0000-4000-8000-000000000001";

/// Where time begins.
const EPOCH: Micros = 1_700_000_000_000_000;

/// tokio's paused time.
#[derive(Debug)]
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Micros {
        EPOCH + self.0.elapsed().as_micros() as Micros
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
fn journal() -> Journal {
    let clock = Arc::new(Paused(tokio::time::Instant::now()));
    let parts = parts::Parts { clock, random: Arc::new(SystemRandom::new()) };
    Journal::open(Arc::new(InMemory::new()), &Path::from("p"), CLUSTER, parts)
}

async fn writer(journal: &Journal) -> Writer {
    let identity = Identity { writer: "host/1".into(), instance: "host/0".into() };
    Writer::claim(journal, identity, None).await.unwrap()
}

/// A version of a pod.
fn change(op: Op, namespace: &str, name: &str, rv: u64) -> Change {
    let body = match op {
        Op::Delete => Body::None,
        Op::Modify => Body::Patch(Bytes::from(format!(r#"[{{"op":"replace","path":"/spec/n","value":{rv}}}]"#))),
        _ => Body::Object(Bytes::from(format!(r#"{{"kind":"Pod","spec":{{"n":{rv}}}}}"#))),
    };
    Change {
        version: "v1".into(),
        resource: "pods".into(),
        kind: "Pod".into(),
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("u-{name}"),
        time_lo: EPOCH + rv as Micros * 1000 - 500,
        time_hi: EPOCH + rv as Micros * 1000,
        body,
        ..Change::new(op, MAIN, 0, rv)
    }
}

fn frontier(rv: u64) -> FrontierVector {
    FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation: 0, rv, time: EPOCH + rv as Micros * 1000 })])
}

/// Commits a segment.
async fn commit(writer: &mut Writer, changes: Vec<Change>) {
    let rv = changes.last().map_or(0, |change| change.rv);
    writer.stage(changes, frontier(rv)).await.unwrap();
    writer.commit().await.unwrap();
}

/// Every row of the log.
async fn rows(journal: &Journal) -> Vec<Row> {
    let mut tail = journal.tail(1).await.unwrap();
    let mut out = Vec::new();
    while let Some(run) = tail.ready().await.unwrap() {
        out.extend(run.rows.iter().cloned());
    }
    out
}

fn holder(name: &str) -> Holder {
    Holder { name: name.into(), instance: format!("of {name}") }
}

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    /// Whether what happens once in so many times happens.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
