//! A workload to measure with: the life of a cluster of application teams, from a seed.
//!
//! **Words**: a [`Step`] is one write; its [`Class`] says what kind of write it was.
//!
//! **The mix.** Of 10,000 writes: 3500 pods whose readiness flips (one in four with a restart), 1050 pods coming up
//! (scheduled, started, ready: three writes after each creation), 350 pods created, 700 writes that end a pod (the
//! graceful mark, then the delete), 1000 node heartbeats, 1300 statuses of deployments and replica sets, 100 roll-outs
//! (a deployment's image), 700 endpoint slices, 920 statuses of a custom resource (one in seventeen with a new
//! revision), 320 edits of config maps (one in ten rewrites the text), 50 renewed certificates, 6 Helm releases (8 to
//! 36 KB that do not compress), 4 old Helm releases deleted. Objects at the start: 43 % pods, 15 % replica sets, 14 %
//! config maps, 8 % custom resources, 7 % Secrets (one in ten a Helm release), 6 % deployments, 6 % endpoint slices, 1
//! % nodes. The one-hundredth of a kind that is written most takes a fifth of its writes. Time goes on by 10 ms a
//! write. Sizes by class are printed by the benchmark `mix`.
//!
//! **Invariants.** (1) The same seed gives the same bytes [a test compares]. (2) Revisions grow by one with every
//! write; a delete has its own. (3) Every object carries `managedFields`, as a server sends them.
//!
//! Not here: how figures are taken (`benches`).

mod objects;
mod templates;

use std::collections::VecDeque;

use hindcast_journal::{parts::Micros, row::Revision};

use self::objects::Object;
pub use self::objects::Sort;
use crate::sim::rng::Rng;

/// 2026-01-01T00:00:00Z.
const BEGIN: Micros = 1_767_225_600_000_000;
/// Between two writes: 100 a second.
const PACE: Micros = 10_000;

/// What sort of write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// There at the start.
    Initial,
    /// A pod becomes ready or not.
    PodStatus,
    /// A pod comes up.
    PodStart,
    /// A pod is created.
    PodCreate,
    /// A pod is deleted, in two writes.
    PodDelete,
    /// A node's heartbeat.
    NodeStatus,
    /// A deployment or replica set reports.
    WorkloadStatus,
    /// A deployment gets another image.
    Rollout,
    /// Endpoints become ready or not.
    Endpoints,
    /// A custom resource's controller reports.
    CustomStatus,
    /// A config map is edited.
    ConfigMapEdit,
    /// A certificate is renewed.
    SecretRenew,
    /// A Helm release is stored.
    HelmRelease,
    /// An old Helm release is deleted.
    HelmPrune,
}

impl Class {
    /// The classes of writes with their share of 10,000.
    pub const MIX: [(Self, u64); 13] = [
        (Self::PodStatus, 3500),
        (Self::PodStart, 1050),
        (Self::PodCreate, 350),
        (Self::PodDelete, 700),
        (Self::NodeStatus, 1000),
        (Self::WorkloadStatus, 1300),
        (Self::Rollout, 100),
        (Self::Endpoints, 700),
        (Self::CustomStatus, 920),
        (Self::ConfigMapEdit, 320),
        (Self::SecretRenew, 50),
        (Self::HelmRelease, 6),
        (Self::HelmPrune, 4),
    ];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial object",
            Self::PodStatus => "pod status flips",
            Self::PodStart => "pod comes up",
            Self::PodCreate => "pod created",
            Self::PodDelete => "pod deleted",
            Self::NodeStatus => "node heartbeat",
            Self::WorkloadStatus => "deployment, replica set status",
            Self::Rollout => "roll-out",
            Self::Endpoints => "endpoint slice",
            Self::CustomStatus => "custom resource status",
            Self::ConfigMapEdit => "config map edit",
            Self::SecretRenew => "certificate renewed",
            Self::HelmRelease => "Helm release stored",
            Self::HelmPrune => "Helm release deleted",
        }
    }
}

/// What a watch says of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `ADDED`
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`
    Deleted,
}

impl Verb {
    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One write.
#[derive(Debug, Clone)]
pub struct Step {
    /// What sort of write.
    pub class: Class,
    /// The kind.
    pub sort: Sort,
    /// What a watch says of it.
    pub verb: Verb,
    /// Namespace; empty for nodes.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its revision.
    pub rv: Revision,
    /// When it was committed.
    pub time: Micros,
    /// The object as served.
    pub object: String,
}

impl Step {
    /// The line of the watch.
    pub fn line(&self) -> Vec<u8> {
        format!("{{\"type\":\"{}\",\"object\":{}}}\n", self.verb.as_str(), self.object).into_bytes()
    }
}

/// The generator.
#[derive(Debug)]
pub struct Workload {
    draw: Rng,
    rv: Revision,
    time: Micros,
    /// The objects of each sort, by [`Sort::ALL`]; Helm releases apart.
    alive: [Vec<Object>; 8],
    helm: Vec<Object>,
    starting: VecDeque<Object>,
    ending: Option<Object>,
    count: u64,
}

impl Workload {
    /// A cluster of about `objects` objects at the start.
    pub fn new(seed: u64, objects: u64) -> Self {
        Self {
            draw: Rng::new(seed),
            rv: 1000,
            time: BEGIN,
            alive: Default::default(),
            helm: Vec::new(),
            starting: VecDeque::new(),
            ending: None,
            count: objects,
        }
    }

    /// The newest revision.
    pub fn rv(&self) -> Revision {
        self.rv
    }

    /// The time of the newest write.
    pub fn time(&self) -> Micros {
        self.time
    }

    /// Creates the objects that are there at the start.
    pub fn initial(&mut self) -> Vec<Step> {
        let mut out = Vec::with_capacity(self.count as usize);
        for sort in Sort::ALL {
            for i in 0..(self.count * sort.share() / 1000).max(20) {
                let helm = sort == Sort::Secret && i % 10 == 0;
                let object = Object::draw(sort, helm, &mut self.draw, self.time);
                out.push(self.step(Class::Initial, Verb::Added, &object));
                self.home(&object).push(object);
            }
        }
        out
    }

    /// The next write.
    pub fn next_step(&mut self) -> Step {
        let mut at = self.draw.below(10_000);
        let mut class = Class::PodStatus;
        for (candidate, share) in Class::MIX {
            if at < share {
                class = candidate;
                break;
            }
            at -= share;
        }
        match class {
            Class::PodCreate => {
                let mut pod = Object::draw(Sort::Pod, false, &mut self.draw, self.time);
                pod.begin();
                let step = self.step(class, Verb::Added, &pod);
                self.starting.push_back(pod);
                step
            }
            Class::PodStart => self.pod_start(),
            Class::PodDelete => self.pod_delete(),
            Class::NodeStatus => self.report(class, Sort::Node),
            Class::WorkloadStatus => {
                let sort = if self.draw.permille(500) { Sort::Deployment } else { Sort::ReplicaSet };
                self.report(class, sort)
            }
            Class::Rollout => self.edit(class, Sort::Deployment),
            Class::Endpoints => self.report(class, Sort::EndpointSlice),
            Class::CustomStatus => self.report(class, Sort::Custom),
            Class::ConfigMapEdit => self.edit(class, Sort::ConfigMap),
            Class::SecretRenew => self.edit(class, Sort::Secret),
            Class::HelmRelease => {
                let release = Object::draw(Sort::Secret, true, &mut self.draw, self.time);
                let step = self.step(class, Verb::Added, &release);
                self.helm.push(release);
                step
            }
            Class::HelmPrune if !self.helm.is_empty() => {
                let at = self.draw.below(self.helm.len() as u64) as usize;
                let release = self.helm.swap_remove(at);
                self.step(class, Verb::Deleted, &release)
            }
            _ => self.report(Class::PodStatus, Sort::Pod),
        }
    }

    fn home(&mut self, object: &Object) -> &mut Vec<Object> {
        if object.helm {
            return &mut self.helm;
        }
        self.of(object.sort)
    }

    fn of(&mut self, sort: Sort) -> &mut Vec<Object> {
        &mut self.alive[sort as usize]
    }

    /// An object of a sort; early ones far more often.
    fn pick(&mut self, sort: Sort) -> usize {
        let count = self.alive[sort as usize].len();
        let unit = (self.draw.number() >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * unit * unit * count as f64) as usize).min(count - 1)
    }

    fn report(&mut self, class: Class, sort: Sort) -> Step {
        let at = self.pick(sort);
        let mut object = self.of(sort).swap_remove(at);
        object.report(&mut self.draw, self.time);
        self.put_back(class, at, object)
    }

    fn edit(&mut self, class: Class, sort: Sort) -> Step {
        let at = self.pick(sort);
        let mut object = self.of(sort).swap_remove(at);
        object.edit(&mut self.draw, self.time);
        self.put_back(class, at, object)
    }

    /// Puts an object back where [`Vec::swap_remove`] took it.
    fn put_back(&mut self, class: Class, at: usize, object: Object) -> Step {
        let step = self.step(class, Verb::Modified, &object);
        let home = self.of(object.sort);
        home.push(object);
        let last = home.len() - 1;
        home.swap(at, last);
        step
    }

    fn pod_start(&mut self) -> Step {
        let Some(mut pod) = self.starting.pop_front() else {
            return self.report(Class::PodStatus, Sort::Pod);
        };
        pod.report(&mut self.draw, self.time);
        let step = self.step(Class::PodStart, Verb::Modified, &pod);
        if pod.up < 3 {
            self.starting.push_back(pod);
        } else {
            self.of(Sort::Pod).push(pod);
        }
        step
    }

    fn pod_delete(&mut self) -> Step {
        if let Some(pod) = self.ending.take() {
            return self.step(Class::PodDelete, Verb::Deleted, &pod);
        }
        let count = self.of(Sort::Pod).len() as u64;
        let at = self.draw.below(count) as usize;
        let mut pod = self.of(Sort::Pod).swap_remove(at);
        pod.end(self.time);
        let step = self.step(Class::PodDelete, Verb::Modified, &pod);
        self.ending = Some(pod);
        step
    }

    fn step(&mut self, class: Class, verb: Verb, object: &Object) -> Step {
        self.rv += 1;
        if class != Class::Initial {
            self.time += PACE;
        }
        Step {
            class,
            sort: object.sort,
            verb,
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            rv: self.rv,
            time: self.time,
            object: object.json(self.rv),
        }
    }
}

#[cfg(test)]
mod tests;
