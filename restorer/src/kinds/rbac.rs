//! Roles and their bindings: what grants rights.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{Anew, Family, Kind, Needed, Rule, Sides, Turn};
use crate::{
    caller::Caller,
    full::Full,
    kept::{Fresh, Keeping},
    reason::Ruled,
};

/// Their API group.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Bindings in a namespace, by their plural name.
pub(crate) const BINDINGS: &str = "rolebindings";

/// Bindings in the whole cluster, by their plural name.
pub(crate) const CLUSTER_BINDINGS: &str = "clusterrolebindings";

/// Roles in the whole cluster, by their plural name.
pub(crate) const CLUSTER_ROLES: &str = "clusterroles";

/// What is true of all that the group has.
const ANY: Kind = Kind { servers_own: Some(servers_own), escalation: Some(escalation), ..Kind::group(GROUP) };

const fn role(resource: &'static str) -> Kind {
    Kind { resource, stands: Some(role_stands), turn: Turn::Configuration, ..ANY }
}

const fn binding(resource: &'static str) -> Kind {
    Kind {
        immutable: &["/roleRef"],
        anew: Anew::Freely,
        stands: Some(|caller, key, live, sent| Ok(binding_stands(caller, key, live, sent))),
        ..role(resource)
    }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        ANY,
        role("roles"),
        Kind { keep: Some(aggregated), beside: true, ..role("clusterroles") },
        Kind { needs: Some(bound), ..binding(BINDINGS) },
        Kind { beside: true, ..binding(CLUSTER_BINDINGS) },
    ],
    rules: &[
        Rule {
            id: "aggregated-cluster-role",
            kinds: &["rbac.authorization.k8s.io/clusterroles"],
            what: "The rules of a ClusterRole with an `aggregationRule` are not written.",
            why: "A controller gathers them of other roles.",
        },
        Rule {
            id: "role-ref",
            kinds: &["rbac.authorization.k8s.io/rolebindings", "rbac.authorization.k8s.io/clusterrolebindings"],
            what: "A binding whose `roleRef` differs is deleted and created again.",
            why: "It cannot change, so that nobody turns a binding into one of another role. The gap is one request long.",
        },
        Rule {
            id: "callers-rights",
            kinds: &[
                "/namespaces",
                "/serviceaccounts",
                "rbac.authorization.k8s.io/clusterrolebindings",
                "rbac.authorization.k8s.io/clusterroles",
                "rbac.authorization.k8s.io/rolebindings",
                "rbac.authorization.k8s.io/roles",
            ],
            what: "What gives whoever restores their rights is not deleted, not even to be created again, nor changed so that it gives less: their bindings, the roles these bind, the roles out of which the server gathers such a one, their service account and its namespace.",
            why: "The restore would end half done, and could not be undone. Somebody else can do it.",
        },
        Rule {
            id: "rbac-escalation",
            kinds: &[
                "rbac.authorization.k8s.io/roles",
                "rbac.authorization.k8s.io/clusterroles",
                "rbac.authorization.k8s.io/rolebindings",
                "rbac.authorization.k8s.io/clusterrolebindings",
            ],
            what: "The check before a restore asks the server; what needs `escalate` or `bind` is named. Nothing is deleted to be created again before the server has said that the creation would pass.",
            why: "The server lets nobody grant more than they have.",
        },
        Rule {
            id: "rbac-system",
            kinds: &[
                "rbac.authorization.k8s.io/roles",
                "rbac.authorization.k8s.io/clusterroles",
                "rbac.authorization.k8s.io/rolebindings",
                "rbac.authorization.k8s.io/clusterrolebindings",
            ],
            what: "Roles and bindings named `system:…`, or that the server updates by itself, are changed only with `{system}`.",
            why: "The server keeps them as its version needs them.",
        },
    ],
};

fn servers_own(sides: &Sides<'_>) -> Option<Ruled> {
    let own = sides.name().starts_with("system:")
        || sides.marked_true("rbac.authorization.kubernetes.io/autoupdate")
        || sides.mark("kubernetes.io/bootstrapping", |of| of == "rbac-defaults").is_some();
    own.then_some(Ruled::RbacSystem)
}

fn aggregated(of: &mut Keeping<'_>) {
    let judged = of.wanted.or(of.live);
    if judged.is_some_and(|role| role.value.get("aggregationRule").is_some_and(|rule| !rule.is_null())) {
        let owner = "the ClusterRole aggregation controller";
        of.add_pattern("rules", "aggregated-cluster-role", owner, Fresh::Absent, false);
    }
}

/// The cluster role that a binding binds.
pub(crate) fn bound(binding: &Value) -> Option<Needed<'_>> {
    let role = binding.get("roleRef")?;
    let name = (role.get("kind")?.as_str()? == "ClusterRole").then(|| role.get("name")?.as_str())??;
    Some((GROUP, "clusterroles", name))
}

/// Whether an object is a role.
pub(crate) fn is_role(key: &ObjectKey) -> bool {
    key.group == GROUP && matches!(key.resource.as_str(), "roles" | "clusterroles")
}

/// The role that a binding in a namespace binds.
pub(crate) fn role_of(binding: &Value, namespace: &str) -> Option<ObjectKey> {
    let role = binding.get("roleRef")?;
    let (resource, namespace) = match role.get("kind")?.as_str()? {
        "Role" => ("roles", namespace),
        "ClusterRole" => ("clusterroles", ""),
        _ => return None,
    };
    Some(ObjectKey {
        namespace: namespace.to_owned(),
        group: GROUP.to_owned(),
        resource: resource.to_owned(),
        name: role.get("name")?.as_str()?.to_owned(),
    })
}

fn binding_stands(caller: &Caller, key: &ObjectKey, live: &Value, sent: Option<&Value>) -> bool {
    let bound = |binding: &Value| caller.is_bound_by(binding, &key.namespace);
    bound(live) && !sent.is_some_and(bound)
}

fn role_stands(caller: &Caller, key: &ObjectKey, live: &Value, sent: Option<&Value>) -> Result<bool, String> {
    let list = |role: &Value, path: &str| role.pointer(path).and_then(Value::as_array).unwrap_or_default().to_vec();
    let loses = |path: &str| {
        sent.is_none_or(|sent| {
            let sent = list(sent, path);
            list(live, path).iter().any(|one| !sent.iter().any(|other| other == one || covers(other, one)))
        })
    };
    let less = loses("/rules") || loses(SELECTORS);
    // A role is gathered into others by its labels.
    let others = key.namespace.is_empty() && sent.is_none_or(|sent| labels(sent) != labels(live));
    if !less && !others {
        return Ok(false);
    }
    let bound = caller.roles.as_ref().map_err(Clone::clone)?.contains(key);
    Ok((less && bound) || caller.components.contains(key))
}

/// Whether a rule of a role allows all that another does.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let list = |rule: &Value, field: &str| rule.get(field).and_then(Value::as_array).unwrap_or_default().to_vec();
    let all = |field: &str| {
        let wide = list(wide, field);
        list(narrow, field).iter().all(|one| wide.contains(one) || wide.iter().any(|any| any.as_str() == Some("*")))
    };
    let named =
        list(wide, "resourceNames").is_empty() || (!list(narrow, "resourceNames").is_empty() && all("resourceNames"));
    // A selector of labels is no rule: it has no verbs.
    !list(narrow, "verbs").is_empty()
        && named
        && ["apiGroups", "resources", "verbs", "nonResourceURLs"].into_iter().all(all)
}

/// Where an aggregated role says which roles are gathered into it.
const SELECTORS: &str = "/aggregationRule/clusterRoleSelectors";

fn labels(role: &Value) -> BTreeMap<&str, &str> {
    let labels = role.pointer("/metadata/labels").and_then(Value::as_object);
    labels
        .into_iter()
        .flat_map(hindcast_journal::exact::Object::iter)
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .collect()
}

/// The cluster roles out of which the server gathers these, and those out of which it gathers them.
pub(crate) fn components(of: &BTreeSet<ObjectKey>, all: &[Full]) -> BTreeSet<ObjectKey> {
    let name =
        |role: &Full| role.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = |role: &Full| ObjectKey {
        namespace: String::new(),
        group: GROUP.to_owned(),
        resource: CLUSTER_ROLES.to_owned(),
        name: name(role),
    };
    let mut out = BTreeSet::new();
    loop {
        let gathering = all.iter().filter(|role| of.contains(&key(role)) || out.contains(&key(role)));
        let selectors: Vec<&Value> = gathering
            .flat_map(|role| role.value.pointer(SELECTORS).and_then(Value::as_array).unwrap_or_default())
            .collect();
        let gathered =
            all.iter().filter(|role| selectors.iter().any(|selector| selects(selector, &labels(&role.value))));
        let before = out.len();
        let more: Vec<ObjectKey> = gathered.map(key).collect();
        out.extend(more);
        if out.len() == before {
            return out;
        }
    }
}

/// Whether a label selector of an object takes these labels.
fn selects(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let members = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(hindcast_journal::exact::Object::iter);
    let mut equal = members.map(|(name, value)| labels.get(name).copied() == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).unwrap_or_default();
    equal.all(|equal| equal)
        && expressions.iter().all(|expression| {
            let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
            let value = labels.get(text("key")).copied();
            let values = expression.get("values").and_then(Value::as_array).unwrap_or_default();
            let listed = values.iter().any(|one| value.is_some() && one.as_str() == value);
            match text("operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

/// Whether a binding gives rights to a service account of a namespace.
pub(crate) fn names_account(binding: &Value, namespace: &str) -> bool {
    let is = |subject: &Value, field: &str, is: &str| subject.get(field).and_then(Value::as_str) == Some(is);
    let subjects = binding.get("subjects").and_then(Value::as_array).unwrap_or_default();
    subjects.iter().any(|subject| is(subject, "kind", "ServiceAccount") && is(subject, "namespace", namespace))
}

fn escalation(resource: &str, name: &str, message: &str) -> Option<String> {
    let refused = message.contains("attempting to grant RBAC permissions not currently held")
        || message.contains("user may not bind");
    // Whoever may not bind it at all must hold what it grants, and a role that is not there grants nobody knows what.
    let binds = matches!(resource, BINDINGS | CLUSTER_BINDINGS);
    if binds && message.contains("\" not found") && !message.contains(&format!("\"{name}\" not found")) {
        return Some(format!(
            "the role that {resource} {name} binds is not there: needs the verb bind on it, or the role first"
        ));
    }
    let (verb, what) = if binds { ("bind", "the role that it binds") } else { ("escalate", "roles of this kind") };
    refused.then(|| format!("{resource} {name} grants more than you have: needs the verb {verb} on {what}"))
}
