//! What a namespace's objects need of the cluster: the roles bound in it, its custom resources' definitions, storage and
//! priority classes, volumes whose storage outlives them.
//!
//! Not here: what is done about them: without a flag they are only compared.

use std::collections::BTreeSet;

use hindcast_journal::{
    exact::Value,
    fold::{ObjectKey, Scope},
};

use crate::{
    Object,
    kinds::{
        self, Needed,
        crds::definition,
        namespaces::NAMESPACES,
        rbac::{self, CLUSTER_BINDINGS, bound, names_account},
        volumes::{CLAIMS, VOLUMES, keeps_storage, storage_class},
    },
};

/// The cluster-scoped objects among which the needed ones are, and the namespace itself.
pub(super) fn scope() -> Scope {
    Scope { kinds: Some(kinds::such(|kind| kind.beside).collect()), namespace: Some(String::new()), name: None }
}

/// A namespace, as an object.
pub(super) fn itself(namespace: &str) -> Scope {
    Scope { kinds: Some(vec![NAMESPACES.to_owned()]), namespace: Some(String::new()), name: Some(namespace.to_owned()) }
}

/// The keys of what the objects of a namespace need, of what there was beside them.
pub(super) fn of(namespace: &str, objects: &[Object], beside: &[Object]) -> BTreeSet<ObjectKey> {
    let mut needed = BTreeSet::new();
    for object in objects {
        let row = &object.row;
        if row.group.contains('.') {
            // Whether it is a custom resource shows in whether there is such a definition.
            needed.insert(definition(&row.group, &row.resource));
        }
        let own = kinds::of(&ObjectKey::of(row)).needs.and_then(|needs| needs(&object.value));
        needed.extend(own.into_iter().chain(classes(&object.value)).map(key));
        needed.extend(volume(object, beside).map(key));
    }
    let bindings = beside.iter().filter(|o| o.row.group == rbac::GROUP && o.row.resource == CLUSTER_BINDINGS);
    for binding in bindings.filter(|o| names_account(&o.value, namespace)) {
        let role = bound(&binding.value);
        needed.extend(role.into_iter().chain([(rbac::GROUP, CLUSTER_BINDINGS, binding.row.name.as_str())]).map(key));
    }
    needed
}

/// The volume of a claim, where its storage outlives it: then the claim can have it again.
fn volume<'v>(claim: &'v Object, beside: &[Object]) -> Option<Needed<'v>> {
    if claim.row.kind_key() != CLAIMS {
        return None;
    }
    let name = claim.value.pointer("/spec/volumeName").and_then(Value::as_str)?;
    let hers = |o: &Object| o.row.group.is_empty() && o.row.resource == VOLUMES && o.row.name == name;
    beside.iter().any(|o| hers(o) && keeps_storage(&o.value)).then_some(("", VOLUMES, name))
}

fn key((group, resource, name): Needed<'_>) -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
    }
}

/// The classes that an object of any kind names: itself, in its Pod template, or in its claim templates.
fn classes(object: &Value) -> Vec<Needed<'_>> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|name| !name.is_empty());
    let priority = [
        "/spec/priorityClassName",
        "/spec/template/spec/priorityClassName",
        "/spec/jobTemplate/spec/template/spec/priorityClassName",
    ];
    let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).unwrap_or_default();
    let priority = priority.iter().filter_map(|path| Some(("scheduling.k8s.io", "priorityclasses", text(path)?)));
    priority.chain(templates.iter().filter_map(storage_class)).collect()
}
