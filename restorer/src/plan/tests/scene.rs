//! A cluster in a few lines: objects then and now, and what the journal knows.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{
    cut::{Cut, CutPoint},
    exact::{self, Value},
    facts::{CoverEnd, Discovery, Gap, Grade, Uncovered},
    fold::{Cover, KindState, ObjectKey},
    seal::Key,
};

use crate::{
    Desired, Known, Live, Prepared, Protection, Selection,
    desired::{Full, Source, Wanted},
    live::{Listed, NamespacePhase, Present},
    plan::{Action, Left, holders::is_holder, prepare},
    selection::{Permission, What, Widen},
};

/// Kind, group, resource, namespaced.
const KINDS: [(&str, &str, &str, bool); 25] = [
    ("ConfigMap", "", "configmaps", true),
    ("Secret", "", "secrets", true),
    ("Service", "", "services", true),
    ("Pod", "", "pods", true),
    ("ServiceAccount", "", "serviceaccounts", true),
    ("PersistentVolumeClaim", "", "persistentvolumeclaims", true),
    ("PersistentVolume", "", "persistentvolumes", false),
    ("ResourceQuota", "", "resourcequotas", true),
    ("Namespace", "", "namespaces", false),
    ("Node", "", "nodes", false),
    ("Deployment", "apps", "deployments", true),
    ("ReplicaSet", "apps", "replicasets", true),
    ("StatefulSet", "apps", "statefulsets", true),
    ("Job", "batch", "jobs", true),
    ("CronJob", "batch", "cronjobs", true),
    ("ClusterRole", "rbac.authorization.k8s.io", "clusterroles", false),
    ("RoleBinding", "rbac.authorization.k8s.io", "rolebindings", true),
    ("HorizontalPodAutoscaler", "autoscaling", "horizontalpodautoscalers", true),
    ("CustomResourceDefinition", "apiextensions.k8s.io", "customresourcedefinitions", false),
    ("Widget", "example.com", "widgets", true),
    ("Lease", "coordination.k8s.io", "leases", true),
    ("LimitRange", "", "limitranges", true),
    ("PriorityClass", "scheduling.k8s.io", "priorityclasses", false),
    ("ValidatingWebhookConfiguration", "admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", false),
];

/// The cut's revision, and its time.
pub(super) const CUT: u64 = 100;
pub(super) const TIME: i64 = 1_000_000_000_000_000;

pub(super) fn value(json: &str) -> Value {
    exact::parse(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"))
}

/// `Kind name` or `Kind namespace/name` as a key; cluster-scoped kinds have no namespace, others are in `shop`.
pub(super) fn key(what: &str) -> ObjectKey {
    let (kind, name) = what.split_once(' ').expect("a kind and a name");
    let (_, group, resource, namespaced) = KINDS.iter().find(|k| k.0 == kind).expect("a known kind");
    let (namespace, name) = name.split_once('/').unwrap_or((if *namespaced { "shop" } else { "" }, name));
    ObjectKey {
        namespace: namespace.to_owned(),
        group: (*group).to_owned(),
        resource: (*resource).to_owned(),
        name: name.to_owned(),
    }
}

/// An object: what is given, with identity and version filled in.
pub(super) fn object(what: &str, uid: &str, rv: u64, body: &str) -> Value {
    let key = key(what);
    let kind = what.split_once(' ').expect("a kind").0;
    let mut object = value(body);
    let root = object.as_object_mut().expect("an object");
    let api = if key.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", key.group) };
    if !root.contains_key("apiVersion") {
        root.insert("apiVersion", Value::from(api));
    }
    root.insert("kind", Value::from(kind));
    if !root.contains_key("metadata") {
        root.insert("metadata", value("{}"));
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).expect("metadata");
    metadata.insert("name", Value::from(key.name));
    if !key.namespace.is_empty() {
        metadata.insert("namespace", Value::from(key.namespace));
    }
    metadata.insert("uid", Value::from(uid));
    metadata.insert("resourceVersion", Value::from(rv.to_string()));
    object
}

fn full(value: Value) -> Arc<Full> {
    Arc::new(Full { value, managed: None })
}

pub(super) struct Scene {
    pub(super) selection: Selection,
    pub(super) desired: Desired,
    pub(super) live: Live,
    pub(super) known: Known,
}

impl Scene {
    /// Everything is protected, and nothing is there.
    pub(super) fn new(what: What) -> Self {
        let mut kinds = BTreeMap::new();
        let mut known = Known { closed: TIME + 60_000_000, ..Known::default() };
        let mut live = Live { cluster: "c".into(), ..Live::default() };
        for (kind, group, resource, namespaced) in KINDS {
            let discovery = Discovery {
                group: group.into(),
                version: "v1".into(),
                served: vec!["v1".into()],
                resource: resource.into(),
                kind: kind.into(),
                namespaced,
                domain: "main".into(),
                ..Discovery::default()
            };
            let name = discovery.kind_key();
            kinds.insert(name.clone(), (discovery.clone(), Protection::Protected));
            let cover = Cover { from: CutPoint { incarnation: 0, rv: 1 }, from_time: 0, end: None };
            let state = KindState { discovery, covers: vec![cover], ..KindState::default() };
            known.kinds.insert(name.clone(), state);
            live.kinds.insert(name.clone(), Listed::Whole);
            live.served.insert(name, vec!["v1".into()]);
        }
        live.namespaces.insert("shop".into(), NamespacePhase::Active);
        let point = CutPoint { incarnation: 0, rv: CUT };
        Self {
            selection: Selection::of(what),
            desired: Desired {
                cluster: "c".into(),
                cut: Cut { domains: BTreeMap::from([("main".to_owned(), point)]) },
                time: TIME,
                uncertain: false,
                source: Source::Journal,
                objects: BTreeMap::new(),
                kinds,
                definitions: None,
                later: BTreeMap::new(),
                system: BTreeMap::new(),
                created: BTreeMap::new(),
                touched: BTreeMap::new(),
                left: BTreeMap::new(),
                retained: std::collections::BTreeSet::new(),
                scalers: BTreeMap::new(),
                around: crate::intent::Surroundings::default(),
                key: None,
                older: Vec::new(),
                rules: hindcast_journal::seal::Rules::default(),
            },
            live,
            known,
        }
    }

    pub(super) fn shop() -> Self {
        Self::new(What::Namespace("shop".into()))
    }

    pub(super) fn widen(mut self, change: impl FnOnce(&mut Widen)) -> Self {
        change(&mut self.selection.widen);
        self
    }

    /// An object as it was, with uid `u` and revision 50.
    pub(super) fn then(self, what: &str, body: &str) -> Self {
        self.then_as(what, "u", body)
    }

    pub(super) fn then_as(mut self, what: &str, uid: &str, body: &str) -> Self {
        let object = Ok(full(object(what, uid, 50, body)));
        let wanted = Wanted { pos: 50, uid: uid.into(), rv: "50".into(), object, redact: Vec::new() };
        self.desired.objects.insert(key(what), wanted);
        self
    }

    /// An object as it is, with uid `u` and revision 150, which the journal knows of.
    pub(super) fn now(self, what: &str, body: &str) -> Self {
        self.now_as(what, "u", body)
    }

    pub(super) fn now_as(mut self, what: &str, uid: &str, body: &str) -> Self {
        let object = object(what, uid, 150, body);
        let terminating = object.pointer("/metadata/deletionTimestamp").is_some();
        let present = Present { uid: uid.into(), rv: "150".into(), terminating, object: full(object) };
        self.live.objects.insert(key(what), present);
        self.known.present.insert(key(what), (uid.into(), 150));
        self
    }

    /// An object beside the selection, which something in it owns.
    pub(super) fn with_dependent(mut self, what: &str, uid: &str, body: &str) -> Self {
        let object = full(object(what, uid, 150, body));
        let present = Present { uid: uid.into(), rv: "150".into(), terminating: false, object };
        self.live.dependents.insert(key(what), present);
        self
    }

    pub(super) fn hashed(mut self) -> Self {
        self.desired.key = Some(Arc::new(Key {
            name: "k".into(),
            created: String::new(),
            wrap: [1; 32],
            hmac: [2; 32],
            seal: [3; 32],
        }));
        self
    }

    /// A kind that was not protected then.
    pub(super) fn unprotected(mut self, kind: &str, reason: Uncovered) -> Self {
        let end = CoverEnd { reason, detail: String::new() };
        self.desired.kinds.get_mut(kind).expect("a kind").1 = Protection::NotProtected(Some(end));
        self
    }

    pub(super) fn gap(mut self, kind: &str, from: u64, to: u64, grade: Grade) -> Self {
        let gap = Gap {
            from,
            to,
            grade,
            time_from: TIME,
            time_to: TIME + 1_000_000,
            reason: "410".into(),
            recovered: 0,
            unknown: Vec::new(),
            unknown_total: 0,
        };
        self.known.kinds.get_mut(kind).expect("a kind").gaps.push((0, gap));
        self
    }

    /// As a reading of the cluster would be that finds these objects.
    pub(super) fn plan(&self) -> Prepared {
        let mut live = self.live.clone();
        for holder in self.live.objects.keys().filter(|key| is_holder(key)) {
            let holds = |key: &ObjectKey| {
                key.namespace == holder.name || format!("{}.{}", key.resource, key.group) == holder.name
            };
            let objects =
                self.live.objects.iter().filter(|(key, _)| holds(key)).map(|(key, p)| (key.clone(), p.clone()));
            let held = live.held.entry(holder.clone()).or_default();
            held.objects.extend(objects);
        }
        prepare(&self.selection, &self.desired, &live, &self.known)
    }

    /// Everything that is planned and left, a line each: `update Deployment web`, `leave delete Job x: destroys-data`.
    pub(super) fn lines(&self) -> Vec<String> {
        let plan = self.plan().plan;
        let name = |key: &ObjectKey| key.name.clone();
        let act = |a: &Action| format!("{:?} {} {}", a.verb, a.kind, name(&a.key)).to_lowercase();
        let left = |l: &Left| {
            let flag = l.unless.as_ref().map(|needed| format!(" unless {}", flag(needed))).unwrap_or_default();
            format!("leave {:?} {} {}: {}{flag}", l.verb, l.kind, name(&l.key), l.reason.code()).to_lowercase()
        };
        plan.actions.iter().map(act).chain(plan.left.iter().map(left)).collect()
    }
}

/// A permission, as short as a flag.
fn flag(permission: &Permission) -> String {
    match permission {
        Permission::ClusterScoped => "--with-cluster-scoped",
        Permission::System => "--include-system",
        Permission::Delete(kind) => return format!("--allow-delete {}", kind.rsplit('/').next().unwrap_or_default()),
        Permission::Recreate => "--allow-recreate",
        Permission::Restart => "--restart",
        Permission::AcceptGap => "--accept-gap",
        Permission::RerunJobs => "--rerun-jobs",
        Permission::EmptyVolumes => "--allow-empty-volumes",
        Permission::BypassWebhooks => "--bypass-webhooks",
    }
    .to_owned()
}

/// The one action.
pub(super) fn only(prepared: &Prepared) -> &Action {
    assert_eq!(prepared.plan.actions.len(), 1, "{:?} {:?}", prepared.plan.actions, prepared.plan.left);
    prepared.plan.actions.first().expect("one action")
}

/// What the one action sends.
pub(super) fn target(prepared: &Prepared) -> &Value {
    let bodies = prepared.bodies.get(&only(prepared).key).expect("bodies");
    bodies.target.as_ref().expect("a target")
}
