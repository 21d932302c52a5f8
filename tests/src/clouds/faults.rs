//! What goes wrong in a cloud, by what was asked of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What is asked of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A snapshot to be made.
    Create,
    /// One snapshot to be shown.
    Look,
    /// Snapshots to be listed.
    List,
    /// A snapshot to be deleted.
    Delete,
    /// How an operation stands that the cloud carries out by itself.
    Wait,
    /// A disk to be made.
    Make,
    /// Disks to be shown.
    Disk,
    /// A disk to be deleted.
    Remove,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer requests are wanted; so many seconds are to be waited, where the cloud says that.
    Throttled(Option<u64>),
    /// The cloud failed, and did not do it.
    Broken,
    /// Nobody is known by these credentials.
    Unknown,
    /// The rights do not suffice.
    Forbidden,
    /// The quota is used up.
    Quota,
    /// It is done, and the connection is cut instead of an answer.
    Lost,
    /// The connection is cut, and it is not done.
    Cut,
}

#[derive(Debug, Default)]
struct State {
    planned: Vec<(Op, Fault, usize)>,
    /// What was struck once already, when everything is to be.
    once_each: Option<BTreeSet<Op>>,
    asked: BTreeMap<Op, usize>,
    late: Duration,
}

/// The faults of one cloud, and how often each thing was asked for.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next so many requests of this kind meet this.
    pub fn plan(&self, op: Op, fault: Fault, times: usize) {
        self.state().planned.push((op, fault, times));
    }

    /// The next request of each kind fails.
    pub fn once_each(&self) {
        self.state().once_each = Some(BTreeSet::new());
    }

    /// Snapshots are listed so long after they were made.
    pub fn list_late(&self, late: Duration) {
        self.state().late = late;
    }

    /// How long after it was made a snapshot is listed.
    pub fn late(&self) -> Duration {
        self.state().late
    }

    /// What was struck since [`Faults::once_each`].
    pub fn struck(&self) -> Vec<Op> {
        self.state().once_each.iter().flatten().copied().collect()
    }

    /// How often this was asked for.
    pub fn asked(&self, op: Op) -> usize {
        self.state().asked.get(&op).copied().unwrap_or_default()
    }

    /// Nothing fails from here on.
    pub fn end(&self) {
        let mut state = self.state();
        state.planned.clear();
        state.once_each = None;
        state.late = Duration::ZERO;
    }

    /// A request of this kind came: what becomes of it, if it is not answered as it should be.
    pub(super) fn strike(&self, op: Op) -> Option<Fault> {
        let mut state = self.state();
        *state.asked.entry(op).or_default() += 1;
        if let Some((_, fault, left)) = state.planned.iter_mut().find(|(of, _, left)| *of == op && *left > 0) {
            *left -= 1;
            return Some(*fault);
        }
        let struck = state.once_each.as_mut()?;
        struck.insert(op).then_some(Fault::Broken)
    }
}
