//! The objects of the workload: what is drawn once when they are created, and what changes with each write.
//!
//! Not here: which object is written when ([`super::Workload`]), how JSON is laid out ([`super::templates`]).

use std::fmt::Write as _;

use hindcast_journal::{facts::Discovery, parts::Micros};

use super::templates as t;
use crate::sim::rng::Rng;

/// The kinds of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// Pods of replica sets.
    Pod,
    /// Nodes.
    Node,
    /// Deployments.
    Deployment,
    /// Replica sets.
    ReplicaSet,
    /// Endpoint slices.
    EndpointSlice,
    /// Config maps.
    ConfigMap,
    /// TLS secrets and Helm releases.
    Secret,
    /// A custom resource whose controller reports on every round.
    Custom,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pod,
        Self::Node,
        Self::Deployment,
        Self::ReplicaSet,
        Self::EndpointSlice,
        Self::ConfigMap,
        Self::Secret,
        Self::Custom,
    ];

    /// Group, version, plural and kind.
    pub fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Pod => ("", "v1", "pods", "Pod"),
            Self::Node => ("", "v1", "nodes", "Node"),
            Self::Deployment => ("apps", "v1", "deployments", "Deployment"),
            Self::ReplicaSet => ("apps", "v1", "replicasets", "ReplicaSet"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
            Self::ConfigMap => ("", "v1", "configmaps", "ConfigMap"),
            Self::Secret => ("", "v1", "secrets", "Secret"),
            Self::Custom => ("bench.hindcast.dev", "v1", "deliveries", "Delivery"),
        }
    }

    /// The kind as discovery rows tell of it.
    pub fn discovery(self) -> Discovery {
        let (group, version, resource, kind) = self.names();
        let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
        Discovery {
            group: group.to_owned(),
            version: version.to_owned(),
            served: vec![version.to_owned()],
            resource: resource.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            namespaced: self != Self::Node,
            verbs: verbs.map(str::to_owned).to_vec(),
            domain: hindcast_journal::cut::MAIN.to_owned(),
            ..Discovery::default()
        }
    }

    /// Of 1000 objects that are there at the start, how many are of this kind.
    pub fn share(self) -> u64 {
        match self {
            Self::Pod => 430,
            Self::Node => 12,
            Self::Deployment => 60,
            Self::ReplicaSet => 150,
            Self::EndpointSlice => 60,
            Self::ConfigMap => 140,
            Self::Secret => 68,
            Self::Custom => 80,
        }
    }
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) sort: Sort,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Whether it is a Helm release.
    pub(super) helm: bool,
    app: String,
    uid: String,
    owner: String,
    hash: String,
    digest: String,
    /// What was drawn once: containers, values, images.
    fixed: String,
    /// What edits change.
    edited_text: String,
    created: Micros,
    edited: Micros,
    updated: Micros,
    flipped: Micros,
    pub(super) generation: u64,
    /// Writes so far.
    count: u64,
    restarts: u64,
    replicas: u64,
    /// How far a pod has come up: 0 created, 1 scheduled, 2 started, 3 ready.
    pub(super) up: u8,
    ready: bool,
    deleting: bool,
    host: String,
    sidecar: bool,
}

/// `digits` hexadecimal digits.
fn hex(draw: &mut Rng, digits: usize) -> String {
    let mut out = String::with_capacity(digits + 16);
    while out.len() < digits {
        let _ = write!(out, "{:016x}", draw.number());
    }
    out.truncate(digits);
    out
}

fn uid(draw: &mut Rng) -> String {
    let h = hex(draw, 32);
    format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
}

const WORDS: [&str; 24] = [
    "timeout", "retries", "endpoint", "queue", "workers", "cache", "region", "replica", "token", "issuer", "level",
    "format", "address", "window", "batch", "limit", "backoff", "database", "pool", "schema", "topic", "feature",
    "metrics", "tracing",
];

/// `bytes` of configuration as people write it.
fn settings(draw: &mut Rng, bytes: usize) -> String {
    let mut out = String::with_capacity(bytes + 48);
    while out.len() < bytes {
        let (a, b) = (draw.below(24) as usize, draw.below(24) as usize);
        let _ = write!(out, "{}.{}: {}\\n", WORDS[a], WORDS[b], draw.below(10_000));
    }
    out
}

/// `bytes` of base64 that no compressor makes smaller than three quarters.
fn noise(draw: &mut Rng, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes + 10);
    while out.len() < bytes {
        let mut bits = draw.number();
        for _ in 0..10 {
            out.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    }
    out.truncate(bytes / 4 * 4);
    out
}

fn env(draw: &mut Rng, count: u64) -> String {
    let one = |i: u64, draw: &mut Rng| {
        let (a, b) = (draw.below(24) as usize, draw.below(24) as usize);
        format!(r#"{{"name":"ENV_{i}","value":"{}-{}-{}"}}"#, WORDS[a], WORDS[b], draw.below(100_000))
    };
    (0..count).map(|i| one(i, draw)).collect::<Vec<_>>().join(",")
}

impl Object {
    /// A new object of a sort; `helm` makes a Secret a Helm release.
    pub(super) fn draw(sort: Sort, helm: bool, draw: &mut Rng, now: Micros) -> Self {
        // A few namespaces hold most objects.
        let spread = draw.below(40) * draw.below(40) / 40;
        let app = format!("{}-{}", WORDS[draw.below(24) as usize], draw.below(40));
        let mut new = Self {
            sort,
            helm,
            namespace: if sort == Sort::Node { String::new() } else { format!("team-{spread:02}") },
            name: String::new(),
            uid: uid(draw),
            owner: uid(draw),
            hash: hex(draw, 10),
            digest: hex(draw, 64),
            fixed: String::new(),
            edited_text: String::new(),
            created: now,
            edited: now,
            updated: now,
            flipped: now,
            generation: 1,
            count: 0,
            restarts: 0,
            replicas: draw.between(1, 12),
            up: 3,
            ready: true,
            deleting: false,
            host: format!("{}.{}", draw.below(240), draw.between(2, 250)),
            sidecar: draw.permille(400),
            app,
        };
        let tail = hex(draw, 5);
        new.name = match sort {
            Sort::Node => format!("node-{}", hex(draw, 8)),
            Sort::Secret if helm => format!("sh.helm.release.v1.{}-{tail}.v1", new.app),
            Sort::Pod => format!("{}-{}-{tail}", new.app, new.hash),
            _ => format!("{}-{}", new.app, hex(draw, 6)),
        };
        new.fill_in(draw, &tail);
        new
    }

    fn fill_in(&mut self, draw: &mut Rng, tail: &str) {
        self.fixed = match self.sort {
            Sort::Pod | Sort::Deployment | Sort::ReplicaSet => self.containers(draw, tail),
            Sort::Node => {
                let image = |draw: &mut Rng| {
                    let name = WORDS[draw.below(24) as usize];
                    let (sum, size) = (hex(draw, 64), draw.between(9_000_000, 900_000_000));
                    format!(
                        r#"{{"names":["registry.local/{name}@sha256:{sum}","registry.local/{name}:v1"],"sizeBytes":{size}}}"#
                    )
                };
                (0..30).map(|_| image(draw)).collect::<Vec<_>>().join(",")
            }
            Sort::EndpointSlice => {
                let one = |draw: &mut Rng| {
                    let (host, node) = (format!("{}.{}", draw.below(240), draw.below(250)), hex(draw, 8));
                    format!("{host}|{node}|{}|{}", hex(draw, 5), uid(draw))
                };
                let endpoints = draw.between(1, 8);
                (0..endpoints).map(|_| one(draw)).collect::<Vec<_>>().join("\n")
            }
            // Half below 1.5 KB, one in sixteen above 9 KB.
            Sort::ConfigMap => {
                let size = 300 << (draw.number().trailing_ones().min(5));
                settings(draw, size as usize)
            }
            Sort::Secret if self.helm => {
                let size = (8 << 10) << draw.below(3);
                let odd = draw.below(4 << 10);
                noise(draw, (size + odd) as usize)
            }
            Sort::Secret => noise(draw, 1700),
            Sort::Custom => {
                let resource = |draw: &mut Rng| {
                    let name = WORDS[draw.below(24) as usize];
                    format!(
                        r#"{{"kind":"ConfigMap","name":"{name}-{}","health":"Healthy","sync":"Synced"}}"#,
                        draw.below(99)
                    )
                };
                let count = draw.between(4, 24);
                (0..count).map(|_| resource(draw)).collect::<Vec<_>>().join(",")
            }
        };
        self.edited_text = match self.sort {
            Sort::Custom => env(draw, 12),
            Sort::Secret => noise(draw, 1200),
            _ => "1".to_owned(),
        };
    }

    fn containers(&self, draw: &mut Rng, tail: &str) -> String {
        let container = |name: &str, draw: &mut Rng| {
            let count = draw.between(3, 14);
            let env = env(draw, count);
            let (cpu, memory) = (draw.between(1, 20) * 100, draw.between(1, 16) * 128);
            t::fill(
                t::CONTAINER,
                &[
                    ("name", name),
                    ("app", &self.app),
                    ("env", &env),
                    ("tail", tail),
                    ("cpu", &cpu.to_string()),
                    ("memory", &memory.to_string()),
                    // The image changes with every roll-out, so it stays a word to fill in.
                    ("version", "@{version}"),
                ],
            )
        };
        let mut all = vec![container("app", draw)];
        if self.sidecar {
            all.push(container("proxy", draw));
        }
        all.join(",")
    }

    /// Its status is reported again: pods and replicas flip between ready and not, others tell a new time.
    pub(super) fn report(&mut self, draw: &mut Rng, now: Micros) {
        (self.updated, self.count) = (now, self.count + 1);
        if self.sort == Sort::Pod && self.up < 3 {
            self.up += 1;
            self.ready = self.up == 3;
            self.flipped = now;
            return;
        }
        match self.sort {
            Sort::Node => {}
            Sort::Custom => {
                if draw.permille(60) {
                    self.digest = hex(draw, 64);
                    (self.ready, self.flipped) = (!self.ready, now);
                }
            }
            _ => {
                (self.ready, self.flipped) = (!self.ready, now);
                self.restarts += u64::from(draw.permille(250));
            }
        }
    }

    /// Somebody edits it: another image, another value, renewed certificates.
    pub(super) fn edit(&mut self, draw: &mut Rng, now: Micros) {
        (self.edited, self.updated) = (now, now);
        self.generation += 1;
        match self.sort {
            Sort::ConfigMap if draw.permille(100) => {
                let size = self.fixed.len().max(64);
                self.fixed = settings(draw, size - 40);
            }
            Sort::ConfigMap => self.edited_text = draw.below(1_000_000).to_string(),
            Sort::Secret => self.edited_text = noise(draw, 1200),
            _ => {}
        }
    }

    /// A pod that is just being created: not scheduled yet.
    pub(super) fn begin(&mut self) {
        (self.up, self.ready) = (0, false);
    }

    /// The write by which a graceful delete begins.
    pub(super) fn end(&mut self, now: Micros) {
        (self.deleting, self.updated) = (true, now);
        self.generation += 1;
    }

    /// Its JSON at revision `rv`.
    pub(super) fn json(&self, rv: u64) -> String {
        let (group, version, _, kind) = self.sort.names();
        let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let (created, edited, updated) = (stamp(self.created), stamp(self.edited), stamp(self.updated));
        let (rv, generation) = (rv.to_string(), self.generation.to_string());
        let some = if self.ready { self.replicas } else { self.replicas - 1 }.to_string();
        let replicas = self.replicas.to_string();
        let flipped = stamp(self.flipped);
        let count = self.count.to_string();
        let deletion = if self.deleting {
            format!(r#""deletionTimestamp":"{}","deletionGracePeriodSeconds":30,"#, stamp(self.updated + 30_000_000))
        } else {
            String::new()
        };
        let (manager, reporter) = self.managers();
        let mut words = vec![
            ("kind", kind),
            ("api", &api),
            ("name", &self.name),
            ("ns", &self.namespace),
            ("uid", &self.uid),
            ("owner", &self.owner),
            ("app", &self.app),
            ("hash", &self.hash),
            ("digest", &self.digest),
            ("sum", &self.digest),
            ("host", &self.host),
            ("rv", &rv),
            ("generation", &generation),
            ("version", &generation),
            ("created", &created),
            ("edited", &edited),
            ("updated", &updated),
            ("flipped", &flipped),
            ("started", &created),
            ("deletion", &deletion),
            ("replicas", &replicas),
            ("some", &some),
            ("count", &count),
            ("ready", if self.ready { "True" } else { "False" }),
            ("health", if self.ready { "Healthy" } else { "Progressing" }),
            ("manager", manager),
            ("reporter", reporter),
            ("operation", if matches!(self.sort, Sort::ConfigMap | Sort::Deployment) { "Apply" } else { "Update" }),
            ("tail", &self.hash[..5]),
        ];
        let labels = t::fill(self.labels(), &words);
        let managed = t::fill(self.managed(), &words);
        let body = self.body(&words);
        words.extend([("labels", labels.as_str()), ("managed", managed.as_str()), ("body", body.as_str())]);
        t::fill(if self.sort == Sort::Node { t::OUTER_CLUSTER } else { t::OUTER }, &words)
    }

    fn managers(&self) -> (&'static str, &'static str) {
        match self.sort {
            Sort::Node => ("kubelet", "kubelet"),
            Sort::Custom => ("delivery-cli", "delivery-controller"),
            Sort::Secret if self.helm => ("Helm", ""),
            Sort::Secret => ("cert-controller", ""),
            Sort::EndpointSlice => ("kube-controller-manager", ""),
            _ => ("deployer", "kube-controller-manager"),
        }
    }

    fn labels(&self) -> &'static str {
        match self.sort {
            Sort::Pod => t::POD_LABELS,
            Sort::Secret if self.helm => t::HELM_LABELS,
            _ => t::LABELS,
        }
    }

    fn managed(&self) -> &'static str {
        match self.sort {
            Sort::Pod => t::POD_MANAGED,
            Sort::Deployment | Sort::ReplicaSet | Sort::Node | Sort::Custom => t::TWO_MANAGED,
            Sort::EndpointSlice | Sort::ConfigMap | Sort::Secret => t::ONE_MANAGED,
        }
    }

    fn body(&self, words: &[(&str, &str)]) -> String {
        match self.sort {
            Sort::Pod => self.pod(words),
            Sort::Deployment | Sort::ReplicaSet => {
                let containers = t::fill(&self.fixed, words);
                let mut words = words.to_vec();
                words.push(("containers", &containers));
                format!("{},{}", t::fill(t::REPLICATED, &words), t::fill(t::REPLICATED_STATUS, &words))
            }
            Sort::Node => self.node(words),
            Sort::EndpointSlice => self.slice(words),
            Sort::ConfigMap => {
                format!(r#""data":{{"app.yaml":"{}","generation":"{}"}}"#, self.fixed, self.edited_text)
            }
            Sort::Secret if self.helm => {
                format!(r#""data":{{"release":"{}"}},"type":"helm.sh/release.v1""#, self.fixed)
            }
            Sort::Secret => {
                format!(
                    r#""data":{{"ca.crt":"{}","tls.crt":"{}","tls.key":"{}"}},"type":"kubernetes.io/tls""#,
                    &self.fixed[..800],
                    self.edited_text,
                    &self.fixed[800..]
                )
            }
            Sort::Custom => {
                let mut words = words.to_vec();
                words.extend([("env", self.edited_text.as_str()), ("resources", self.fixed.as_str())]);
                t::fill(t::CUSTOM, &words)
            }
        }
    }

    fn pod(&self, words: &[(&str, &str)]) -> String {
        let containers = t::fill(&self.fixed, words);
        let node = if self.up == 0 { String::new() } else { format!(r#""nodeName":"node-{}","#, self.host) };
        let running = format!(r#"{{"running":{{"startedAt":"{}"}}}}"#, stamp(self.created + 2_000_000));
        let waiting = r#"{"waiting":{"reason":"ContainerCreating"}}"#;
        let restarts = self.restarts.to_string();
        let id = format!(r#""containerID":"containerd://{}","#, self.digest);
        let status = |name: &str| {
            let mut words = words.to_vec();
            words.retain(|(word, _)| *word != "name");
            words.extend([
                ("name", name),
                ("state", if self.up >= 2 { &running } else { waiting }),
                ("is_ready", if self.ready { "true" } else { "false" }),
                ("is_up", if self.up >= 2 { "true" } else { "false" }),
                ("restarts", restarts.as_str()),
                ("id", if self.up >= 2 { id.as_str() } else { "" }),
            ]);
            t::fill(t::CONTAINER_STATUS, &words)
        };
        let mut statuses = Vec::new();
        if self.up >= 1 {
            statuses.push(status("app"));
            statuses.extend(self.sidecar.then(|| status("proxy")));
        }
        let statuses = statuses.join(",");
        let reason = r#","reason":"ContainersNotReady","message":"containers with unready status: [app]""#;
        let podip = format!(r#""podIP":"10.20.{0}","podIPs":[{{"ip":"10.20.{0}"}}],"#, self.host);
        let mut spec = words.to_vec();
        spec.extend([("containers", containers.as_str()), ("node", node.as_str())]);
        let mut status = words.to_vec();
        status.extend([
            ("containers", statuses.as_str()),
            ("phase", if self.up >= 2 { "Running" } else { "Pending" }),
            ("up", if self.up >= 2 { "True" } else { "False" }),
            ("reason", if self.ready { "" } else { reason }),
            ("podip", if self.up >= 2 { podip.as_str() } else { "" }),
        ]);
        format!("{},{}", t::fill(t::POD_SPEC, &spec), t::fill(t::POD_STATUS, &status))
    }

    fn node(&self, words: &[(&str, &str)]) -> String {
        let condition = |kind: &str| {
            let mut words = words.to_vec();
            words.extend([("type", kind), ("status", if kind == "Ready" { "True" } else { "False" })]);
            t::fill(t::NODE_CONDITION, &words)
        };
        let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition).join(",");
        let mut words = words.to_vec();
        words.extend([("conditions", conditions.as_str()), ("images", self.fixed.as_str())]);
        format!("{},{}", t::fill(t::NODE_SPEC, &words), t::fill(t::NODE_STATUS, &words))
    }

    fn slice(&self, words: &[(&str, &str)]) -> String {
        let turn = self.count as usize;
        let lines: Vec<&str> = self.fixed.lines().collect();
        let endpoint = |(i, line): (usize, &&str)| {
            let mut parts = line.split('|');
            let mut part = || parts.next().unwrap_or_default();
            let (host, node, tail, uid) = (part(), part(), part(), part());
            let flips = !self.ready && i == turn % lines.len();
            t::fill(
                t::ENDPOINT,
                &[
                    ("host", host),
                    ("node", node),
                    ("tail", tail),
                    ("uid", uid),
                    ("ns", &self.namespace),
                    ("app", &self.app),
                    ("ready", if flips { "false" } else { "true" }),
                ],
            )
        };
        let endpoints = lines.iter().enumerate().map(endpoint).collect::<Vec<_>>().join(",");
        let mut words = words.to_vec();
        words.push(("endpoints", &endpoints));
        t::fill(t::SLICE, &words)
    }
}

/// A stamp as servers write them, to the second.
fn stamp(time: Micros) -> String {
    let second = jiff::Timestamp::from_second(time.div_euclid(1_000_000)).unwrap_or_default();
    second.to_string()
}
