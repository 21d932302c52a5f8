//! The simulated API server: a tower service under `kube::Client`, bytes in and bytes out.
//!
//! It has what Hindcast depends on: revisions, LIST (consistent, paged, `Exact`, by name, metadata only), WATCH with
//! the watch cache's bounds, bookmarks, aggregated discovery, CRDs that come, change and go, compaction, and the ways
//! all that fails. **Invariants.** (1) Requests of a process pass its gate on the way out and back. (2) Every draw is
//! from the world's generator, so that a seed can be repeated. **Words**: see [`state`]. Not here: admission, RBAC
//! beyond "forbidden", server-side apply. Start at [`Server`].

pub mod state;

mod discovery;
mod serve;
mod watch;
mod write;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hindcast_journal::parts::Micros;

use self::state::{Domain, Key, Kind, KindState, Refused, Schema, State, Trouble, rfc3339_micro};
use super::{
    faults::Fault,
    json::{Json, obj},
    rng::Rng,
    world::{Process, Signal, World},
};

/// The kind of CRDs.
pub const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// The kind of Leases.
pub const LEASES: &str = "coordination.k8s.io/leases";

/// A simulated API server. Clones share it.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: Arc<World>,
    state: Mutex<State>,
    /// Counts changes, for watches to wait on.
    changed: Signal<u64>,
    /// The server's life, `None` while it is down.
    boot: Signal<Option<u64>>,
}

impl Server {
    /// A server with its own kinds, kube-system, and the tasks that keep it alive: Leases, compaction, cache progress.
    /// `events_apart` gives Events their own counter.
    pub fn start(world: &Arc<World>, events_apart: bool) -> Self {
        let mut kinds = vec![
            Kind::built_in("", "v1", "namespaces", "Namespace", false),
            Kind::built_in("", "v1", "configmaps", "ConfigMap", true),
            Kind::built_in("", "v1", "pods", "Pod", true),
            Kind::built_in("", "v1", "events", "Event", true),
            Kind::built_in("apps", "v1", "deployments", "Deployment", true),
            Kind::built_in("coordination.k8s.io", "v1", "leases", "Lease", true),
            Kind::built_in(
                "apiextensions.k8s.io",
                "v1",
                "customresourcedefinitions",
                "CustomResourceDefinition",
                false,
            ),
        ];
        for kind in &mut kinds {
            kind.domain = usize::from(events_apart && kind.resource == "events");
        }
        let first = world.draw(|rng| rng.between(100, 5000));
        let domains = [first, 7].map(|revision| Domain { revision, compacted: 0, ticked: 0 });
        let kinds = kinds.into_iter().map(|kind| {
            let at = if kind.domain == 0 { first } else { 7 };
            (kind.key(), KindState::new(kind, at))
        });
        let server = Self(Arc::new(Inner {
            world: world.clone(),
            state: Mutex::new(State {
                clock_off: 0,
                times_off: Vec::new(),
                domains: domains.into(),
                kinds: kinds.collect(),
                ended: None,
            }),
            changed: Signal::new(0),
            boot: Signal::new(Some(1)),
        }));
        for name in ["kube-system", "default", "shop", "bank"] {
            let _ = server.create("/namespaces", "", name, obj([("spec", obj([]))]));
        }
        tokio::spawn(server.clone().renew_leases());
        tokio::spawn(server.clone().misleading_leases());
        tokio::spawn(server.clone().compact());
        tokio::spawn(server.clone().progress());
        server
    }

    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.0.world
    }

    /// Looks at what is stored.
    pub fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.0.state.lock().expect("no holder panics"))
    }

    fn change<T>(&self, what: impl FnOnce(&mut State, Micros) -> T) -> T {
        let now = self.0.world.now();
        let out = what(&mut self.0.state.lock().expect("no holder panics"), now);
        self.0.changed.set(self.0.changed.get() + 1);
        out
    }

    /// The newest revision of the main domain.
    pub fn revision(&self) -> u64 {
        self.look(|state| state.domains.first().map_or(0, |d| d.revision))
    }

    /// The uid of kube-system, which names the cluster.
    pub fn cluster(&self) -> String {
        self.look(|state| {
            let key = (String::new(), "kube-system".to_owned());
            let ks = state.kinds.get("/namespaces").and_then(|ks| ks.living(&key));
            ks.map_or_else(String::new, |event| event.uid.clone())
        })
    }

    /// Creates an object.
    pub fn create(&self, kind: &str, namespace: &str, name: &str, content: Json) -> Result<u64, Refused> {
        self.create_as("creator", kind, namespace, name, content)
    }

    /// Creates an object as `manager`.
    fn create_as(&self, manager: &str, kind: &str, namespace: &str, name: &str, content: Json) -> Result<u64, Refused> {
        let uid = self.0.world.draw(uuid);
        let key = (namespace.to_owned(), name.to_owned());
        let done = self.change(|state, now| state.create(kind, &key, (uid, manager), content, now));
        self.traced("create", kind, &key, done)
    }

    /// Changes an object as `manager`, of `subresource` when that is not empty.
    pub fn update(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        by: (&str, &str),
        change: impl FnOnce(&mut Json),
    ) -> Result<u64, Refused> {
        let key = (namespace.to_owned(), name.to_owned());
        let done = self.change(|state, now| state.update(kind, &key, by, now, change));
        self.traced("update", kind, &key, done)
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<u64, Refused> {
        let key = (namespace.to_owned(), name.to_owned());
        let done = self.change(|state, now| state.delete(kind, &key, now));
        self.traced("delete", kind, &key, done)
    }

    fn traced(&self, verb: &str, kind: &str, key: &Key, done: Result<u64, Refused>) -> Result<u64, Refused> {
        if let Ok(rv) = done {
            self.0.world.note(format_args!("{verb} {kind} {}/{} at {rv}", key.0, key.1));
        }
        done
    }

    /// Refuses list and watch of a kind to the process, or allows it again.
    pub fn forbid(&self, kind: &str, forbidden: bool) {
        self.change(|state, _| {
            if let Some(ks) = state.kinds.get_mut(kind) {
                ks.forbidden = forbidden;
                if forbidden {
                    ks.generation += 1;
                }
            }
        });
    }

    /// Makes list and watch of a kind fail, or answers them again. Its open watches end, but for those that fall silent
    /// and those of a kind that refuses.
    pub fn trouble(&self, kind: &str, trouble: Option<Trouble>) {
        self.0.world.note(format_args!("{kind} is in trouble: {trouble:?}"));
        self.change(|state, _| {
            if let Some(ks) = state.kinds.get_mut(kind) {
                let stays = trouble == Some(Trouble::Silent) || [ks.trouble, trouble].contains(&Some(Trouble::Refuses));
                ks.trouble = trouble;
                ks.delayed |= trouble == Some(Trouble::Silent);
                ks.generation += u64::from(!stays);
            }
        });
    }

    /// Lets the next watch of a kind that can do something wrong, once.
    pub fn arm(&self, kind: &str, bug: Fault) {
        self.change(|state, _| {
            if let Some(ks) = state.kinds.get_mut(kind) {
                ks.bug = Some(bug);
            }
        });
    }

    /// It has.
    fn disarm(&self, kind: &str) {
        self.change(|state, _| {
            if let Some(ks) = state.kinds.get_mut(kind) {
                ks.bug = None;
            }
        });
    }

    /// Whether that has not happened yet.
    pub fn is_armed(&self, kind: &str) -> bool {
        self.look(|state| state.kinds.get(kind).is_some_and(|ks| ks.bug.is_some()))
    }

    /// Lets a kind without objects count with the Events, in a domain beside the main one.
    pub fn set_apart(&self, kind: &str) {
        self.change(|state, _| {
            let at = state.domains.get(1).map_or(0, |domain| domain.revision);
            if let Some(ks) = state.kinds.get_mut(kind) {
                ks.kind.domain = 1;
                ks.reset_cache(at);
            }
        });
    }

    /// Serves a kind, or stops serving it.
    pub fn serve(&self, kind: &str, served: bool) {
        self.change(|state, _| {
            if let Some(ks) = state.kinds.get_mut(kind) {
                ks.served = served;
                ks.generation += 1;
            }
        });
    }

    /// Sets the server's clock off by so much.
    pub fn set_clock_off(&self, off: Micros) {
        self.0.world.note(format_args!("the server's clock is off by {off}"));
        self.change(|state, now| {
            state.clock_off = off;
            if let Some((_, to)) = state.times_off.last_mut() {
                *to = now.min(*to);
            }
            if off != 0 {
                state.times_off.push((now, Micros::MAX));
            }
        });
    }

    /// Whether it is.
    pub fn is_clock_off(&self) -> bool {
        self.look(|state| state.clock_off != 0)
    }

    /// The time by the server's clock.
    fn clock(&self) -> Micros {
        self.0.world.now() + self.look(|state| state.clock_off)
    }

    /// Serves one more built-in kind.
    pub fn add_kind(&self, kind: Kind) {
        self.change(|state, _| {
            let at = state.domains.first().map_or(0, |d| d.revision);
            state.kinds.entry(kind.key()).or_insert_with(|| KindState::new(kind, at));
        });
    }

    /// Defines a custom kind, new or once removed. It answers a moment later.
    pub fn add_crd(&self, group: &str, resource: &str, kind: &str, served: &[&str]) {
        let delay = self.0.world.draw(|rng| rng.below(1_500_000)) as Micros;
        self.change(|state, now| {
            let at = state.domains.first().map_or(0, |d| d.revision);
            let kind = Kind {
                served: served.iter().map(|&v| v.to_owned()).collect(),
                custom: true,
                ..Kind::built_in(group, "v1", resource, kind, true)
            };
            let ks = state.kinds.entry(kind.key()).or_insert_with(|| KindState::new(kind, at));
            ks.served = true;
            ks.answers_at = now + delay;
            ks.schemas.push((at + 1, Schema::default()));
            ks.reset_cache(at);
        });
        let name = format!("{resource}.{group}");
        let content = crd(group, resource, kind, served, &Schema::default());
        let _ = self.create(CRDS, "", &name, content);
    }

    /// Changes a custom kind's schema: its cache starts anew, its watches end.
    pub fn change_schema(&self, group: &str, resource: &str, change: impl FnOnce(&mut Schema)) {
        let key = format!("{group}/{resource}");
        let Some((mut schema, kind)) = self.look(|state| {
            let ks = state.kinds.get(&key).filter(|ks| ks.served)?;
            Some((ks.schema().clone(), ks.kind.clone()))
        }) else {
            return;
        };
        change(&mut schema);
        let served: Vec<&str> = kind.served.iter().map(String::as_str).collect();
        let content = crd(group, resource, &kind.kind, &served, &schema);
        let spec = content.get("spec").cloned().unwrap_or(Json::Null);
        self.0.world.fired(Fault::CrdChanged);
        let name = format!("{resource}.{group}");
        let _ = self.update(CRDS, "", &name, ("operator", ""), |o| o.set("spec", spec));
        self.change(|state, _| {
            let at = state.domains.first().map_or(0, |d| d.revision);
            if let Some(ks) = state.kinds.get_mut(&key) {
                ks.schemas.push((at, schema));
                ks.reset_cache(at);
            }
        });
    }

    /// Removes a CRD and all of its objects.
    pub fn remove_crd(&self, group: &str, resource: &str) {
        let kind = format!("{group}/{resource}");
        self.0.world.fired(Fault::CrdGone);
        for (namespace, name) in self.living(&kind) {
            let _ = self.delete(&kind, &namespace, &name);
        }
        let _ = self.delete(CRDS, "", &format!("{resource}.{group}"));
        self.change(|state, _| {
            let at = state.domains.first().map_or(0, |d| d.revision);
            if let Some(ks) = state.kinds.get_mut(&kind) {
                ks.served = false;
                ks.reset_cache(at);
            }
        });
    }

    /// The keys of a kind's living objects.
    pub fn living(&self, kind: &str) -> Vec<Key> {
        self.look(|state| {
            let Some(ks) = state.kinds.get(kind) else { return Vec::new() };
            ks.newest.keys().filter(|key| ks.living(key).is_some()).cloned().collect()
        })
    }

    /// Goes down for a while. Every watch breaks; every cache starts anew at the revision of the restart.
    pub async fn restart(&self, down: Duration) {
        self.0.world.fired(Fault::ApiRestart);
        self.stop_for(down, || {}).await;
    }

    /// Goes down for a while, in which something happens to what it stores.
    async fn stop_for(&self, down: Duration, meanwhile: impl FnOnce()) {
        let boot = self.0.boot.get().unwrap_or(0);
        self.0.boot.set(None);
        self.0.world.sleep(down).await;
        meanwhile();
        self.change(|state, _| {
            let revisions: Vec<u64> = state.domains.iter().map(|d| d.revision).collect();
            for ks in state.kinds.values_mut() {
                ks.reset_cache(revisions.get(ks.kind.domain).copied().unwrap_or(0));
            }
        });
        self.0.boot.set(Some(boot + 1));
    }

    /// The API server stops, etcd is put back to what it held `back` revisions ago (no further than to the `first`),
    /// its counter goes up by `bump`, and the API server starts on it. Nothing happens where there is nothing to lose.
    pub async fn put_back(&self, first: u64, back: u64, bump: u64, down: Duration) {
        let put_back = || {
            let to = self.revision().saturating_sub(back).max(first);
            if to < self.revision() {
                self.0.world.fired(Fault::EtcdSwap);
                self.0.world.note(format_args!("put back from {} to {to}, up by {bump}", self.revision()));
                self.change(|state, now| state.put_back(to, bump, now));
            }
        };
        self.stop_for(down, put_back).await;
    }

    /// Leases are renewed, as those of the API server and its controllers are: the counter moves, and says when.
    async fn renew_leases(self) {
        let lease = |at: Micros| obj([("spec", obj([("renewTime", rfc3339_micro(at).into())]))]);
        for name in ["apiserver-x7", "kube-controller-manager"] {
            let _ = self.create(LEASES, "kube-system", name, lease(self.0.world.now()));
        }
        loop {
            for name in ["apiserver-x7", "kube-controller-manager"] {
                self.0.world.sleep(Duration::from_secs(5)).await;
                if self.0.boot.get().is_some() {
                    // The API server renews its own.
                    let own = name.starts_with("apiserver-");
                    let now = if own { self.clock() } else { self.0.world.now() };
                    let renewed = self.update(LEASES, "kube-system", name, (name, ""), |o| {
                        o.at("spec").set("renewTime", rfc3339_micro(now));
                    });
                    // A lease that does not exist in the copy that was put back is made anew.
                    if renewed.is_err() {
                        let _ = self.create(LEASES, "kube-system", name, lease(now));
                    }
                }
            }
        }
    }

    /// Leases that do not tell the time: one that nobody renews any more and somebody annotates, and one whose holder's
    /// clock is behind.
    async fn misleading_leases(self) {
        const BEHIND: Micros = 25_000_000;
        const ABANDONED: Micros = 3_600_000_000;
        let lease = |at: Micros| obj([("spec", obj([("renewTime", rfc3339_micro(at).into())]))]);
        let began = self.0.world.now();
        let _ = self.create(LEASES, "kube-system", "abandoned", lease(began - ABANDONED));
        let _ = self.create(LEASES, "kube-system", "behind", lease(began - BEHIND));
        for round in 0_u64.. {
            self.0.world.dawdle(5_000, 9_000).await;
            if self.0.boot.get().is_none() {
                continue;
            }
            let _ = self.update(LEASES, "kube-system", "abandoned", ("kubectl", ""), |o| {
                o.at("metadata").at("annotations").set("example.com/note", round);
            });
            let at = rfc3339_micro(self.0.world.now() - BEHIND);
            let _ = self.update(LEASES, "kube-system", "behind", ("behind", ""), |o| {
                o.at("spec").set("renewTime", at);
            });
        }
    }

    /// Every five minutes etcd forgets what was past five minutes before.
    async fn compact(self) {
        loop {
            self.0.world.sleep(Duration::from_mins(5)).await;
            self.compact_now();
        }
    }

    /// One tick of the compactor.
    pub fn compact_now(&self) {
        self.change(|state, _| {
            for domain in &mut state.domains {
                domain.compacted = domain.ticked;
                domain.ticked = domain.revision;
            }
        });
    }

    /// Now and then a cache hears from etcd how far it has come.
    async fn progress(self) {
        loop {
            self.0.world.dawdle(500, 3000).await;
            let chosen = self.0.world.draw(Rng::number);
            self.change(|state, _| {
                let revisions: Vec<u64> = state.domains.iter().map(|d| d.revision).collect();
                for (i, ks) in state.kinds.values_mut().enumerate() {
                    if (chosen >> (i % 64)).trailing_zeros() >= 2 {
                        ks.progress = revisions.get(ks.kind.domain).copied().unwrap_or(0);
                    }
                }
            });
        }
    }

    /// A client of this server for a process, over a connection of its own.
    pub fn client(&self, process: &Arc<Process>) -> kube::Client {
        let (server, process) = (self.clone(), process.clone());
        let service = tower::service_fn(move |request| {
            let (server, process) = (server.clone(), process.clone());
            async move { serve::answer(server, process, request).await }
        });
        kube::Client::new(service, "default")
    }
}

/// A CRD's content.
fn crd(group: &str, resource: &str, kind: &str, served: &[&str], schema: &Schema) -> Json {
    let defaults = schema.defaults.iter().map(|(n, v)| (n.clone(), obj([("default", v.clone())])));
    let properties = Json::Obj(defaults.collect());
    let pruned = Json::from(schema.pruned.clone());
    let versions = served.iter().enumerate().map(|(i, &version)| {
        obj([
            ("name", version.into()),
            ("served", true.into()),
            ("storage", (i == 0).into()),
            (
                "schema",
                obj([("openAPIV3Schema", obj([("properties", properties.clone()), ("x-pruned", pruned.clone())]))]),
            ),
        ])
    });
    let names = || {
        obj([
            ("plural", resource.into()),
            ("singular", kind.to_lowercase().into()),
            ("kind", kind.into()),
            ("listKind", format!("{kind}List").into()),
        ])
    };
    obj([
        (
            "spec",
            obj([
                ("group", group.into()),
                ("scope", "Namespaced".into()),
                ("names", names()),
                ("versions", Json::Arr(versions.collect())),
            ]),
        ),
        (
            "status",
            obj([
                ("acceptedNames", names()),
                ("conditions", Json::Arr(vec![obj([("type", "Established".into()), ("status", "True".into())])])),
            ]),
        ),
    ])
}

/// A uid.
fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.number(), rng.number());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}
