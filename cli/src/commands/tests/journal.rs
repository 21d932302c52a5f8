//! A small journal in a folder. Revision `10 + n` is committed `n` seconds after 13:00:00 on 2026-11-01 UTC, known to
//! the microsecond, but for the gap of the widgets between 16 and 18.

use std::{path::PathBuf, sync::Arc};

use hindcast_journal::{
    Change, Journal, Parts, Writer,
    encode::{Base, Encoder, Observation},
    facts::{self, CoverEnd, Discovery, Gap, Grade, Mark, PrinterColumn, Uncovered},
    proof::Ledger,
    row::{Op, Source},
    seal::{DataKeys, Key, Secrets},
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};

use crate::{
    keyfile,
    store::{self, Access},
};

/// A Secret's value as served, and what it says.
pub(super) const PLANTED: &str = "aHVudGVyMi1wbGFudGVk";
pub(super) const PLANTED_TEXT: &str = "hunter2-planted";

/// How the journal keeps Secret values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Sealed,
    Dropped,
    Plaintext,
}

/// A folder with a journal and a key file.
pub(super) struct World {
    home: tempfile::TempDir,
}

impl World {
    pub(super) fn new(stored: Stored) -> Self {
        let world = Self { home: tempfile::tempdir().unwrap() };
        let parts = Parts::system();
        let key = keyfile::add(&PathBuf::from(world.key_file()), None, &parts).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(write(&world.url(), stored, Arc::new(key), parts));
        world
    }

    /// A folder with nothing in it.
    pub(super) fn empty() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A journal that was sealed when it was written, with all that is in it.
    pub(super) fn sealed() -> Self {
        let world = Self::new(Stored::Sealed);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(seal(&world.url(), &world.key_file()));
        world
    }

    /// A file of the journal.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("journal").join(CLUSTER).join(name)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path("journal"))
    }

    pub(super) fn key_file(&self) -> String {
        self.path("keys.json")
    }
}

/// 2026-11-01T13:00:00Z
const START: i64 = 1_793_538_000_000_000;

fn time(rv: u64) -> i64 {
    START + rv as i64 * 1_000_000
}

fn kind(group: &str, resource: &str, name: &str, short: &str) -> Discovery {
    Discovery {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        singular: name.to_lowercase(),
        kind: name.into(),
        short_names: vec![short.into()],
        namespaced: true,
        domain: "main".into(),
        ..Discovery::default()
    }
}

/// What happens: revision, operation, kind, name, the rest of the object, manager.
struct Play {
    encoder: Encoder,
    /// How much earlier than its moment the next change may have been committed.
    spread: i64,
    changes: Vec<Change>,
    bases: std::collections::BTreeMap<String, Base>,
}

impl Play {
    fn fact(&mut self, op: Op, kind: &Discovery, rv: u64, body: &impl serde::Serialize) {
        let mut change = facts::about(op, kind, 0, rv);
        (change.time_lo, change.time_hi) = (time(rv), time(rv));
        if op != Op::CoverBegin {
            change.body = facts::body(body).unwrap();
        }
        self.changes.push(change);
    }

    fn put(&mut self, rv: u64, kind: &Discovery, name: &str, manager: &str, rest: &str) {
        let (namespace, name) = name.split_once('/').unwrap();
        let api = if kind.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group) };
        let bytes = format!(
            r#"{{"apiVersion":"{api}","kind":"{}","metadata":{{"creationTimestamp":"2026-11-01T13:00:00Z",
            "managedFields":[{{"manager":"{manager}","operation":"Update","time":"2026-11-01T13:00:{rv}Z","fieldsV1":{{"f:x{rv}":{{}}}}}}],
            "name":"{name}","namespace":"{namespace}","resourceVersion":"{rv}","uid":"u-{name}"{rest}}}"#,
            kind.kind
        );
        let seen = Observation {
            kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: time(rv) - std::mem::take(&mut self.spread),
            time_hi: time(rv),
            bytes: bytes.as_bytes(),
        };
        let key = format!("{}/{namespace}/{name}", kind.resource);
        let encoded = self.encoder.observe(&seen, self.bases.get(&key));
        self.bases.insert(key, encoded.base);
        self.changes.push(encoded.change);
    }

    fn delete(&mut self, rv: u64, kind: &Discovery, name: &str) {
        let seen = Observation {
            kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: time(rv),
            time_hi: time(rv),
            bytes: b"",
        };
        let (namespace, name) = name.split_once('/').unwrap();
        let key = format!("{}/{namespace}/{name}", kind.resource);
        self.changes.push(self.encoder.forget(&seen, namespace, name, self.bases.remove(&key).as_ref()));
    }
}

/// The cluster's uid.
pub(super) const CLUSTER: &str = "7385aaaa-0000-4000-8000-000000000001";

fn open(url: &str, parts: &Parts) -> Journal {
    let location = store::open(url, Access::Write).unwrap();
    Journal::open(location.store, &location.prefix, CLUSTER, parts.clone())
}

async fn seal(url: &str, key_file: &str) {
    let parts = Parts::system();
    let journal = open(url, &parts);
    let keys = keyfile::read_existing(&PathBuf::from(key_file)).unwrap().keys.into_iter().map(Arc::new).collect();
    let keys = Arc::new(DataKeys::new(CLUSTER, keys, parts));
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, Some(keys)).await.unwrap();
    let (_, gathered) = Ledger::default().gather(journal.store(), writer.keys()).await.unwrap();
    let sealed = writer.seal("main", 21, Some(&gathered)).await.unwrap();
    writer.stage(sealed.change.into_iter().collect(), writer.frontier().clone()).await.unwrap();
    writer.commit().await.unwrap();
}

async fn write(url: &str, stored: Stored, key: Arc<Key>, parts: Parts) {
    let journal = open(url, &parts);
    let keys = Arc::new(DataKeys::new(CLUSTER, vec![key.clone()], parts));
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, Some(keys)).await.unwrap();
    let secrets = match stored {
        Stored::Sealed => Secrets::Sealed(key),
        Stored::Dropped => Secrets::Dropped,
        Stored::Plaintext => Secrets::Plaintext(None),
    };
    let word = secrets.as_str().to_owned();
    let (first, second) = play(Encoder::new(secrets), word);
    writer.stage(first, frontier(20)).await.unwrap();
    writer.commit().await.unwrap();
    writer.stage(second, frontier(20)).await.unwrap();
    writer.commit().await.unwrap();
}

fn frontier(rv: u64) -> FrontierVector {
    FrontierVector::from([("main".to_owned(), FrontierPoint { incarnation: 0, rv, time: time(rv) })])
}

/// What is closed, and what came after.
fn play(encoder: Encoder, secrets: String) -> (Vec<Change>, Vec<Change>) {
    let mut play = Play { encoder, spread: 0, changes: Vec::new(), bases: std::collections::BTreeMap::new() };
    let deploy = kind("apps", "deployments", "Deployment", "deploy");
    let config = kind("", "configmaps", "ConfigMap", "cm");
    let secret = kind("", "secrets", "Secret", "sec");
    let lease = kind("coordination.k8s.io", "leases", "Lease", "lease");
    let gadget = kind("example.com", "gadgets", "Gadget", "g");
    let mut widget = kind("example.com", "widgets", "Widget", "w");
    widget.columns = vec![PrinterColumn {
        name: "Size".into(),
        json_path: ".spec.size".into(),
        type_: "number".into(),
        priority: 0,
    }];
    let start = Mark::Start { writer: "w".into(), version: "1".into(), server: String::new(), secrets };
    let mut mark = Change::new(Op::Mark, "main", 0, 1);
    mark.body = facts::body(&start).unwrap();
    play.changes.push(mark);
    for kind in [&deploy, &config, &secret, &widget, &lease] {
        play.fact(Op::Discovery, kind, 10, kind);
    }
    for kind in [&deploy, &config, &secret, &widget] {
        play.fact(Op::CoverBegin, kind, 10, &());
    }
    let excluded = CoverEnd { reason: Uncovered::Excluded, detail: String::new() };
    play.fact(Op::CoverEnd, &lease, 10, &excluded);
    let web = |replicas: u64| format!(r#","labels":{{"app":"web"}}}},"spec":{{"replicas":{replicas}}}"#);
    play.put(11, &deploy, "shop/web", "kubectl-create", &web(2));
    let hostile = r#","annotations":{"x":"\u001b[2J\u009b"}},"data":{"big":"1.10"}"#;
    play.put(12, &config, "shop/config", "kubectl-create", hostile);
    play.put(13, &deploy, "shop/web", "kubectl-edit", &web(3));
    play.put(14, &widget, "shop/w", "operator", r#"},"spec":{"size":1.10}"#);
    let applied = format!(r#"{{\"data\":{{\"password\":\"{PLANTED}\"}}}}"#);
    let last = format!(r#","annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{applied}"}}"#);
    let values = |rest: &str| format!(r#"{last}}},"data":{{"password":"{PLANTED}"{rest}}},"type":"Opaque""#);
    play.put(15, &secret, "shop/db", "kubectl-apply", &values(""));
    play.put(16, &secret, "shop/db", "kubectl-edit", &values(&format!(r#","again":"{PLANTED}""#)));
    let gap = Gap {
        from: 16,
        to: 18,
        grade: Grade::Lost,
        time_from: time(16),
        time_to: time(18),
        reason: "too old".into(),
        recovered: 0,
        unknown: vec!["shop/w".into()],
        unknown_total: 1,
    };
    play.fact(Op::Gap, &widget, 18, &gap);
    play.put(14, &config, "default-not/other", "x", r#"},"data":{}"#);
    // A restore: its write, and the one that gives the fields back.
    let restored = r#","annotations":{"x":"\u001b[2J\u009b"}},"data":{"big":"1.11"}"#;
    play.put(17, &config, "shop/config", "hindcast", restored);
    play.put(18, &config, "shop/config", "kubectl-create", restored);
    // A kind that stands in namespaces, and then in none.
    let mut doodad = kind("example.com", "doodads", "Doodad", "dd");
    play.fact(Op::Discovery, &doodad, 10, &doodad);
    play.fact(Op::CoverBegin, &doodad, 10, &());
    play.put(17, &doodad, "shop/d", "x", r#"},"spec":{"n":1}"#);
    play.delete(18, &doodad, "shop/d");
    doodad.namespaced = false;
    play.fact(Op::Discovery, &doodad, 18, &doodad);
    play.put(19, &doodad, "/d", "x", r#"},"spec":{"n":2}"#);
    play.spread = 4_000_000;
    play.put(19, &config, "shop/gone", "x", r#"},"data":{}"#);
    play.delete(20, &config, "shop/gone");
    let first = std::mem::take(&mut play.changes);
    // Open: a newer row of one kind, the others not seen up to it; and a kind that only comes to be now.
    play.put(21, &config, "shop/late", "x", r#"},"data":{}"#);
    play.fact(Op::Discovery, &gadget, 21, &gadget);
    play.fact(Op::CoverBegin, &gadget, 21, &());
    (first, play.changes)
}
