//! Points that this process makes, beside all that asks about them.
//!
//! **Invariants.** (1) A name is made once at a time [`Works::start`]. (2) What went wrong before a point was begun is kept until it is
//! begun or asked for anew: from then on the bucket tells.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hindcast_compactor as compactor;
use hindcast_journal::{Error, Result, parts::Micros, point::Point};
use hindcast_snapshotter::{Maker, Request, Told};
use tokio::sync::Notify;

use crate::{local::Local, shelf::Shelf};

/// Why a point was not begun.
#[derive(Debug, Clone)]
pub(crate) struct NotBegun {
    /// Why, with the remedy.
    pub(crate) why: String,
    /// Whether it may pass.
    pub(crate) may_pass: bool,
    /// When that was.
    pub(crate) at: Micros,
}

#[derive(Debug, Default)]
struct Now {
    /// By the name of the point: the schedule that it is of.
    under_way: BTreeMap<String, String>,
    /// The same, and why it was not begun.
    not_begun: BTreeMap<String, (String, NotBegun)>,
}

/// The points that are being made here.
pub(crate) struct Works {
    maker: Maker,
    shelf: Arc<Shelf>,
    now: Arc<Mutex<Now>>,
    local: Local,
}

impl Works {
    pub(crate) fn new(maker: &Maker, shelf: &Arc<Shelf>, local: &Local) -> Self {
        Self { maker: maker.clone(), shelf: shelf.clone(), now: Arc::default(), local: local.clone() }
    }

    /// Begins to make a point, unless it is under way.
    pub(crate) fn start(&self, request: Request) {
        let name = request.name.clone();
        {
            let mut now = lock(&self.now);
            if now.under_way.insert(name.clone(), request.schedule.clone()).is_some() {
                return;
            }
            // Of a schedule only the newest run counts.
            let of = &request.schedule;
            now.not_begun.retain(|failed, (schedule, _)| *failed != name && (of.is_empty() || schedule != of));
        }
        let (maker, shelf, now) = (self.maker.clone(), self.shelf.clone(), self.now.clone());
        self.local.begin(move || async move {
            let ended = make(&maker, &shelf, &request).await;
            let at = maker.journal.parts().clock.now();
            {
                let mut now = lock(&now);
                now.under_way.remove(&name);
                if let Err(error) = &ended {
                    tracing::warn!("point {name} was not made: {}", error.told());
                    let why = NotBegun { why: error.told(), may_pass: error.kind().may_pass(), at };
                    now.not_begun.insert(name.clone(), (request.schedule.clone(), why));
                }
            }
            if let Err(error) = shelf.look().await {
                tracing::debug!(error = %Error::causes(&error), "the points could not be read");
            }
            shelf.tell();
        });
    }

    /// The points of a schedule that are being made here.
    pub(crate) fn of(&self, schedule: &str) -> Vec<String> {
        let now = lock(&self.now);
        now.under_way.iter().filter(|(_, of)| *of == schedule).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a point is being made here.
    pub(crate) fn has(&self, name: &str) -> bool {
        lock(&self.now).under_way.contains_key(name)
    }

    /// Why a point was not begun.
    pub(crate) fn not_begun(&self, name: &str) -> Option<NotBegun> {
        lock(&self.now).not_begun.get(name).map(|(_, why)| why.clone())
    }

    /// The point of a schedule that was not begun, and why.
    pub(crate) fn not_begun_of(&self, schedule: &str) -> Option<(String, NotBegun)> {
        let now = lock(&self.now);
        let of = now.not_begun.iter().rev().find(|(_, (of, _))| of == schedule);
        of.map(|(name, (_, why))| (name.clone(), why.clone()))
    }
}

fn lock(now: &Mutex<Now>) -> MutexGuard<'_, Now> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a point, with a checkpoint at its cut.
async fn make(maker: &Maker, shelf: &Shelf, request: &Request) -> Result<Point> {
    let begun = Notify::new();
    let told = |told: Told| {
        if matches!(told, Told::Frozen(_)) {
            begun.notify_one();
        }
    };
    // Those who wait for it learn that it is under way; what cannot be read now is read when it is made.
    let looking = async {
        loop {
            begun.notified().await;
            let _ = shelf.look().await;
        }
    };
    let point = tokio::select! {
        biased;
        point = maker.take(request, &told) => point?,
        never = looking => never,
    };
    tracing::info!(point = request.name, state = ?point.state, missing = point.missing.len(), "made a recovery point");
    // A restore works without it, only slower.
    if let Err(error) = compactor::align(&maker.journal, &point, &maker.by).await {
        tracing::info!(error = %Error::causes(&error), "no checkpoint was written at the cut of {}", request.name);
    }
    Ok(point)
}
