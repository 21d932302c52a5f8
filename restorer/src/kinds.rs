//! What is true of one kind: a descriptor for each, in the file of its family.
//!
//! **Words**: a *descriptor* ([`Kind`]) says what is never touched, kept, fixed and destroyed, when its changes are made, what
//! its Pods are; a *family* is the kinds that one file is about, with the rows of the rule table that they carry out.
//!
//! **Invariants** (`tests`). (1) A kind has one descriptor. (2) A kind without one gets [`OTHER`], or its API group's: what is
//! done to it is what is done to any. (3) The kinds that a row of the table names are those whose descriptors carry it out.
//!
//! Not here: what is done to any kind, and the order in which it is asked ([`crate::rules`], [`crate::intent`]).
//!
//! Start reading at [`Kind`], then the family you came for.

use std::{collections::BTreeMap, sync::LazyLock};

use hindcast_journal::{exact::Value, fold::ObjectKey, parts::Micros};

use crate::{
    caller::Caller,
    full::Full,
    kept::{Keeping, Row, ScalerSort, Surroundings},
    permission::{Permission, Widen},
    reason::{Loss, Ruled},
    verb::Verb,
};

pub(crate) mod crds;
mod devices;
mod jobs;
mod limits;
pub(crate) mod namespaces;
pub(crate) mod outside;
mod pods;
pub(crate) mod rbac;
mod records;
mod scalers;
pub(crate) mod secrets;
mod services;
mod shapers;
mod sides;
#[cfg(test)]
mod tests;
mod turn;
pub(crate) mod volumes;
mod webhooks;
pub(crate) mod workloads;

pub(crate) use sides::Sides;
pub use turn::Turn;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A short name, which plans print and tests are named by: `hpa-replicas`.
    pub id: &'static str,
    /// The kinds it is about, as kind keys; empty for all.
    pub kinds: &'static [&'static str],
    /// What is done. What may be allowed stands in braces: [`Rule::what()`].
    pub(crate) what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// What the rules say of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be restored.
    Act,
    /// It is left alone.
    Leave {
        /// The rule, and why, about this object.
        rule: Ruled,
        /// What would have to be allowed to do it, if that helps.
        unless: Option<Permission>,
    },
}

impl Verdict {
    /// Left, whatever is allowed.
    pub(crate) fn leave(rule: Ruled) -> Self {
        Self::Leave { rule, unless: None }
    }

    /// Left, unless something is allowed.
    pub(crate) fn unless(rule: Ruled, permission: Permission) -> Self {
        Self::Leave { rule, unless: Some(permission) }
    }
}

/// Kinds that belong together, and the rows of the table about them.
pub(crate) struct Family {
    pub(crate) kinds: &'static [Kind],
    pub(crate) rules: &'static [Rule],
}

/// Which objects of a kind are made by their controller, and made again by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// None.
    No,
    /// Those that have a controller.
    ByController,
    /// Those that a Pod asked for; other owners only tie their lifetime to theirs.
    ByPod,
}

/// What a delete-and-create-again takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    /// Nothing: it disturbs nobody.
    Freely,
    /// To be allowed.
    Allowed,
    /// The same as to start a Job over.
    Rerun,
    /// What it takes to lose what no new one brings back.
    Destroys,
}

/// What an object holds that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The objects in it.
    Namespace,
    /// The objects of its kind.
    Definition,
}

/// An object that sets fields of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales {
    pub(crate) sort: ScalerSort,
    /// The reference to what it sets fields of; none while it sets nothing.
    pub(crate) target: fn(&Value) -> Option<&Value>,
}

/// An object that starts work by itself as soon as it is created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    /// Whether it would.
    pub(crate) starts: fn(&Value) -> bool,
    /// Keeps it from that; whether it has to be let go when all else is done.
    pub(crate) hold: fn(&mut Value) -> bool,
    /// What it starts as soon as it is let go, by what it missed: of the object as it stands, as it is to be, and the time of now.
    pub(crate) missed: fn(&Value, &Value, Micros) -> Option<String>,
}

/// How an object is written at first, where it is to be as wanted only when all else is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staged {
    /// The member of `spec`.
    pub(crate) member: &'static str,
    /// What it is at first.
    pub(crate) held: fn() -> Value,
    /// Whether the object, as it stands, may be as wanted.
    pub(crate) ready: fn(&Value) -> bool,
}

/// What runs on claims: without replicas its Pods go, and come back with them.
pub(crate) const STOPS: Staged = Staged { member: "replicas", held: || Value::from(0_i64), ready: |_| true };

/// The Pods of a workload, as its status counts them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) wanted: i64,
    /// Of the newest template.
    pub(crate) updated: i64,
    pub(crate) ready: i64,
    pub(crate) total: i64,
}

/// A change, on all its sides.
pub(crate) struct Changed<'o> {
    /// What is sent.
    pub(crate) target: &'o Value,
    /// The object as it was.
    pub(crate) then: &'o Value,
    /// The object as it stands.
    pub(crate) live: Option<&'o Value>,
    /// Whether it is deleted and created again.
    pub(crate) recreate: bool,
}

/// Whether an object is one of those that a rule is about, and the rule.
type Recognise = fn(&Sides<'_>) -> Option<Ruled>;
type Judge = fn(&Sides<'_>, &Widen) -> Option<Verdict>;
type Create = fn(&Full, &Surroundings, &Widen) -> Verdict;
/// Of a caller, the object, what is live and what is sent.
type Stands = fn(&Caller, &ObjectKey, &Value, Option<&Value>) -> Result<bool, String>;
/// Of a body and the server's refusal.
type GiveUp = fn(&mut Value, &str) -> Option<String>;
/// Of the object as it is to be and as it stands.
type Given = fn(&Value, &Value) -> Option<(Value, String)>;
/// Of the plural name, the object's name and the server's refusal.
type Escalation = fn(&str, &str, &str) -> Option<String>;
/// Of the verb, what is sent and what is live.
type Turns = fn(Verb, Option<&Value>, Option<&Value>) -> Turn;

/// A cluster-scoped object that another needs: group, resource and name.
pub(crate) type Needed<'v> = (&'static str, &'static str, &'v str);

/// What is true of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// API group; empty for the core.
    pub(crate) group: &'static str,
    /// Plural name; empty for what else the group has.
    pub(crate) resource: &'static str,

    /// Its objects are never restored nor deleted, whatever the permissions.
    pub(crate) never: Option<&'static Ruled>,
    /// The cluster keeps it for itself: what it is made of, and what runs it.
    pub(crate) infrastructure: bool,
    /// Which of its objects are never touched, whatever the permissions.
    pub(crate) spared: Option<Recognise>,
    /// Which of its objects follow their owners.
    pub(crate) made: Made,
    /// What else is said of an object, on both its sides.
    pub(crate) judge: Option<Judge>,
    /// Its objects stand for one run.
    pub(crate) runs_once: bool,
    /// Whether a caller would lose rights by its change from what is live to what is sent; by its delete, also for a
    /// moment, where nothing is. Or why that cannot be known.
    pub(crate) stands: Option<Stands>,
    /// Which of its objects the server keeps as its version needs them.
    pub(crate) servers_own: Option<Recognise>,
    /// What is said of an object that has to be created, by what is around it.
    pub(crate) create: Option<Create>,

    /// What its delete destroys that no undo brings back.
    pub(crate) destroys: Option<fn(&Value) -> Option<Loss>>,
    /// The same of a change from what is live to what is sent.
    pub(crate) destroys_by_change: Option<fn(&Value, &Value) -> Option<Loss>>,
    /// What goes with it, whoever owns that.
    pub(crate) holds: Option<Holds>,

    /// Fields that are kept whatever else the object says.
    pub(crate) rows: &'static [Row],
    /// Fields that are kept by what the object says.
    pub(crate) keep: Option<fn(&mut Keeping<'_>)>,
    /// Where certificates of authorities stand.
    pub(crate) ca_bundle: Option<&'static str>,

    /// Fields that cannot change while the object lives, as JSON pointers.
    pub(crate) immutable: &'static [&'static str],
    /// The only members of `spec` that can change, if not all.
    pub(crate) mutable: Option<&'static [&'static str]>,
    /// What else cannot change from what is live to what is sent.
    pub(crate) fixed: Option<fn(&Value, &Value) -> Vec<String>>,
    /// What it takes to delete and create it again.
    pub(crate) anew: Anew,
    /// Takes out of a body what only one object can have at a time, so that it can be tried beside the one that is there;
    /// false where its name alone is such.
    pub(crate) solo: Option<fn(&mut Value) -> bool>,
    /// What it owns is left, and adopted, when it is deleted to be created again.
    pub(crate) orphans: bool,

    /// Takes out of an object of the past what a restore puts into it for a while; whether that was there.
    pub(crate) meanwhile: Option<fn(&mut Value) -> bool>,
    /// Changes a body that is created where the server would refuse it; what was changed, in words.
    pub(crate) adjust: Option<fn(&mut Value) -> Vec<String>>,
    /// How it is kept from starting work while the restore goes on.
    pub(crate) pause: Option<Pause>,
    /// Takes out of a body what somebody else has by now, as the server's refusal names it; in words.
    pub(crate) without_taken: Option<GiveUp>,
    /// The object as it is to be, with what it was given instead of what others held; and that in words.
    pub(crate) as_given: Option<Given>,
    /// What rights are missing, where the server refuses to let somebody grant more than they have.
    pub(crate) escalation: Option<Escalation>,
    /// A smaller or greater one lets the quota's controller count anew: there may be more room after it.
    pub(crate) makes_room: bool,

    /// What must be known of a body that is created.
    pub(crate) on_create: Option<fn(&Value) -> Option<String>>,
    /// What must be known of a change although it is done.
    pub(crate) on_change: Option<fn(&Changed<'_>) -> Vec<String>>,
    /// What must be known of a delete.
    pub(crate) on_delete: Option<fn(&Value) -> Option<String>>,

    /// When it is written.
    pub(crate) turn: Turn,
    /// When it is deleted.
    pub(crate) goes: Turn,
    /// When it is written, where that depends.
    pub(crate) turns: Option<Turns>,
    /// It shapes what is admitted: whether it is stricter as it stands than as it is to be. Then it gives way before all else.
    pub(crate) stricter: Option<shapers::Stricter>,

    /// Where the spec of its Pods stands, as a JSON pointer.
    pub(crate) pods: &'static str,
    /// It keeps Pods to its template, and replaces them when that changes.
    pub(crate) keeps_pods: bool,
    /// A member of `spec` that has another value until all else is done, where a plan asks for that.
    pub(crate) staged: Option<Staged>,
    /// How its rollout is counted, by `spec` and `status`.
    pub(crate) rollout: Option<fn(&Value) -> Counted>,
    /// Pods read it; its Kind.
    pub(crate) config: Option<&'static str>,
    /// How it sets fields of others.
    pub(crate) scales: Option<Scales>,
    /// It is cluster-scoped, and objects in a namespace may need it.
    pub(crate) beside: bool,
    /// What an object in a namespace needs of the cluster, by its kind.
    pub(crate) needs: Option<fn(&Value) -> Option<Needed<'_>>>,
}

/// A kind of which nothing else is known.
pub(crate) const OTHER: Kind = Kind::of("", "");

impl Kind {
    /// A kind that is like any other.
    pub(crate) const fn of(group: &'static str, resource: &'static str) -> Self {
        Self {
            group,
            resource,
            never: None,
            infrastructure: false,
            spared: None,
            made: Made::No,
            judge: None,
            runs_once: false,
            stands: None,
            servers_own: None,
            create: None,
            destroys: None,
            destroys_by_change: None,
            holds: None,
            rows: &[],
            keep: None,
            ca_bundle: None,
            immutable: &[],
            mutable: None,
            fixed: None,
            anew: Anew::Allowed,
            solo: None,
            orphans: false,
            meanwhile: None,
            adjust: None,
            pause: None,
            without_taken: None,
            as_given: None,
            escalation: None,
            makes_room: false,
            on_create: None,
            on_change: None,
            on_delete: None,
            turn: Turn::Others,
            goes: Turn::Deletes,
            turns: None,
            stricter: None,
            // Of Deployments and their like, and of custom workloads made after them (Argo Rollouts).
            pods: "/spec/template/spec",
            keeps_pods: false,
            staged: None,
            rollout: None,
            config: None,
            scales: None,
            beside: false,
            needs: None,
        }
    }

    /// Of no kind in particular, but of this API group.
    pub(crate) const fn group(group: &'static str) -> Self {
        Self::of(group, "")
    }

    /// A kind whose objects are never restored nor deleted.
    pub(crate) const fn never(group: &'static str, resource: &'static str, rule: &'static Ruled) -> Self {
        Self { never: Some(rule), ..Self::of(group, resource) }
    }

    /// A kind that others read or stand on.
    pub(crate) const fn configuration(group: &'static str, resource: &'static str) -> Self {
        Self { turn: Turn::Configuration, ..Self::of(group, resource) }
    }

    /// Its kind key.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }
}

/// The families.
const FAMILIES: [&Family; 15] = [
    &workloads::FAMILY,
    &pods::FAMILY,
    &jobs::FAMILY,
    &scalers::FAMILY,
    &secrets::FAMILY,
    &volumes::FAMILY,
    &services::FAMILY,
    &rbac::FAMILY,
    &limits::FAMILY,
    &devices::FAMILY,
    &namespaces::FAMILY,
    &crds::FAMILY,
    &webhooks::FAMILY,
    &records::FAMILY,
    &outside::FAMILY,
];

/// The API groups of Kubernetes itself.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Whether a group is one of Kubernetes itself.
pub fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// Every descriptor.
pub(crate) fn all() -> impl Iterator<Item = &'static Kind> {
    FAMILIES.into_iter().flat_map(|family| family.kinds)
}

/// The rows of the table that are about families.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.into_iter().flat_map(|family| family.rules)
}

static BY_NAME: LazyLock<BTreeMap<(&str, &str), &Kind>> =
    LazyLock::new(|| all().map(|kind| ((kind.group, kind.resource), kind)).collect());

/// The descriptor of a kind.
pub(crate) fn find(kind_key: &str) -> &'static Kind {
    let (group, resource) = kind_key.split_once('/').unwrap_or(("", kind_key));
    named(group, resource)
}

/// The descriptor of an object's kind.
pub(crate) fn of(key: &ObjectKey) -> &'static Kind {
    named(&key.group, &key.resource)
}

fn named(group: &str, resource: &str) -> &'static Kind {
    BY_NAME.get(&(group, resource)).or_else(|| BY_NAME.get(&(group, ""))).copied().unwrap_or(&OTHER)
}

/// The keys of the kinds that are such.
pub(crate) fn such(test: impl Fn(&Kind) -> bool) -> impl Iterator<Item = String> {
    all().filter(move |kind| test(kind)).map(Kind::key)
}

/// The text of a field; empty where there is none.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
