//! The workload made into rows and a journal, without a watcher: what `bytes` and `read` measure on.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use futures::future::BoxFuture;
use hindcast_journal::{
    Change, Journal, Parts, Writer,
    cut::MAIN,
    encode::{Base, Encoder, Observation},
    facts::{self, Discovery},
    parts::{Clock, Micros},
    row::{Op, Source},
    seal::{DataKeys, Key, Secrets},
    segment::{FrontierPoint, FrontierVector},
    writer::{Durable, Identity},
};
use hindcast_tests::workload::{Class, Sort, Step, Verb};
use object_store::{ObjectStore, memory::InMemory, path::Path};

/// The cluster's uid in every journal here.
pub(crate) const CLUSTER: &str = "00000000-0000-4000-a000-00000000f19e";

/// A step's commit was certain to lie within so long before it was seen.
const SPREAD: i64 = 50_000;

/// Makes rows against the retained versions, which are kept as they are.
pub(crate) struct Feed {
    pub(crate) encoder: Encoder,
    kinds: HashMap<Sort, Discovery>,
    retained: HashMap<(Sort, String, String), Base>,
}

impl Feed {
    pub(crate) fn new(key: &Arc<Key>) -> Self {
        Self {
            encoder: Encoder::new(Secrets::Sealed(key.clone())),
            kinds: Sort::ALL.into_iter().map(|sort| (sort, sort.discovery())).collect(),
            retained: HashMap::new(),
        }
    }

    /// The row of a step whose object is in `bytes`.
    pub(crate) fn observe(&mut self, step: &Step, bytes: &[u8]) -> Change {
        let Some(kind) = self.kinds.get(&step.sort) else { unreachable!("every sort has a kind") };
        let initial = step.class == Class::Initial;
        let seen = Observation {
            kind,
            incarnation: 0,
            rv: step.rv,
            source: if initial { Source::List } else { Source::Watch },
            time_lo: step.time - SPREAD,
            time_hi: step.time,
            bytes,
        };
        let key = (step.sort, step.namespace.clone(), step.name.clone());
        if step.verb == Verb::Deleted {
            let base = self.retained.remove(&key);
            return self.encoder.delete(&seen, base.as_ref());
        }
        let encoded = self.encoder.observe(&seen, self.retained.get(&key));
        self.retained.insert(key, encoded.base);
        encoded.change
    }
}

/// That every kind is there and protected from `rv` on.
pub(crate) fn covers(rv: u64, time: i64) -> Result<Vec<Change>> {
    let mut out = Vec::new();
    for sort in Sort::ALL {
        let kind = sort.discovery();
        for op in [Op::Discovery, Op::CoverBegin] {
            let mut change = facts::about(op, &kind, 0, rv);
            (change.time_lo, change.time_hi) = (time - SPREAD, time);
            if op == Op::Discovery {
                change.body = facts::body(&kind)?;
            }
            out.push(change);
        }
    }
    Ok(out)
}

/// A frontier that closes the main domain up to a revision.
pub(crate) fn frontier(rv: u64, time: i64) -> FrontierVector {
    FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation: 0, rv, time })])
}

pub(crate) fn key() -> Arc<Key> {
    Arc::new(Key::generate("figures", "2026-01-01T00:00:00Z", &Parts::system()))
}

/// A clock that says the workload's time.
#[derive(Debug, Default)]
pub(crate) struct Paced(AtomicI64);

impl Paced {
    pub(crate) fn set(&self, time: Micros) {
        self.0.store(time, Ordering::Relaxed);
    }
}

impl Clock for Paced {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.now().unsigned_abs())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // What the store is given to answer is real time.
        Box::pin(tokio::time::sleep(duration))
    }
}

/// An empty journal in memory.
pub(crate) fn in_memory() -> Journal {
    on(Arc::new(InMemory::new()), Parts::system())
}

pub(crate) fn on(store: Arc<dyn ObjectStore>, parts: Parts) -> Journal {
    Journal::open(store, &Path::default(), CLUSTER, parts)
}

/// The journal's writer.
pub(crate) async fn writer(journal: &Journal, key: &Arc<Key>) -> Result<Writer> {
    let keys = Arc::new(DataKeys::new(CLUSTER, vec![key.clone()], Parts::system()));
    let identity = Identity { writer: "figures".to_owned(), instance: "figures".to_owned() };
    Ok(Writer::claim(journal, identity, Some(keys)).await?)
}

/// Writes one segment.
pub(crate) async fn commit(writer: &mut Writer, changes: Vec<Change>, frontier: FrontierVector) -> Result<Durable> {
    writer.stage(changes, frontier).await?;
    Ok(writer.commit().await?)
}
