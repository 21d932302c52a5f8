//! What a namespace's objects need of the cluster: the roles bound in it, its custom resources' definitions, storage and
//! priority classes.
//!
//! Not here: what is done about them: without a flag they are only compared.

use std::collections::BTreeSet;

use hindcast_journal::{Scope, exact::Value, fold::ObjectKey};

use crate::Object;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The cluster-scoped objects among which the needed ones are, and the namespace itself.
pub(super) fn scope() -> Scope {
    let kinds = [
        "/namespaces",
        "apiextensions.k8s.io/customresourcedefinitions",
        "rbac.authorization.k8s.io/clusterrolebindings",
        "rbac.authorization.k8s.io/clusterroles",
        "scheduling.k8s.io/priorityclasses",
        "storage.k8s.io/storageclasses",
    ];
    Scope {
        kinds: Some(kinds.iter().map(|&kind| kind.to_owned()).collect()),
        namespace: Some(String::new()),
        name: None,
    }
}

/// A namespace, as an object.
pub(super) fn itself(namespace: &str) -> Scope {
    Scope {
        kinds: Some(vec!["/namespaces".to_owned()]),
        namespace: Some(String::new()),
        name: Some(namespace.to_owned()),
    }
}

/// The keys of what the objects of a namespace need, of what there was beside them.
pub(super) fn of(namespace: &str, objects: &[Object], beside: &[Object]) -> BTreeSet<ObjectKey> {
    let mut needed = BTreeSet::new();
    let mut need = |group: &str, resource: &str, name: &str| {
        needed.insert(ObjectKey {
            namespace: String::new(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
        });
    };
    for object in objects {
        let row = &object.row;
        if row.group.contains('.') {
            // Whether it is a custom resource shows in whether there is such a definition.
            let name = format!("{}.{}", row.resource, row.group);
            need("apiextensions.k8s.io", "customresourcedefinitions", &name);
        }
        let binds = row.group == RBAC && row.resource == "rolebindings";
        if let Some(role) = bound(&object.value).filter(|_| binds) {
            need(RBAC, "clusterroles", role);
        }
        for class in classes(&object.value) {
            match class {
                Class::Priority(name) => need("scheduling.k8s.io", "priorityclasses", name),
                Class::Storage(name) => need("storage.k8s.io", "storageclasses", name),
            }
        }
    }
    let bindings = beside.iter().filter(|o| o.row.group == RBAC && o.row.resource == "clusterrolebindings");
    for binding in bindings.filter(|o| names_account(&o.value, namespace)) {
        need(RBAC, "clusterrolebindings", &binding.row.name);
        if let Some(role) = bound(&binding.value) {
            need(RBAC, "clusterroles", role);
        }
    }
    needed
}

/// The cluster role that a binding binds.
fn bound(binding: &Value) -> Option<&str> {
    let role = binding.get("roleRef")?;
    (role.get("kind")?.as_str()? == "ClusterRole").then(|| role.get("name")?.as_str())?
}

/// Whether a binding gives rights to a service account of the namespace.
fn names_account(binding: &Value, namespace: &str) -> bool {
    let text = |subject: &Value, field: &str| subject.get(field).and_then(Value::as_str).map(str::to_owned);
    let subjects = binding.get("subjects").and_then(Value::as_array).unwrap_or_default();
    subjects.iter().any(|subject| {
        text(subject, "kind").as_deref() == Some("ServiceAccount")
            && text(subject, "namespace").as_deref() == Some(namespace)
    })
}

enum Class<'v> {
    Priority(&'v str),
    Storage(&'v str),
}

/// The classes that an object names: itself, in its Pod template, or in its claim templates.
fn classes(object: &Value) -> Vec<Class<'_>> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|name| !name.is_empty());
    let priority = [
        "/spec/priorityClassName",
        "/spec/template/spec/priorityClassName",
        "/spec/jobTemplate/spec/template/spec/priorityClassName",
    ];
    let mut classes: Vec<Class<'_>> = priority.iter().filter_map(|path| text(path)).map(Class::Priority).collect();
    let claim = object.get("kind").and_then(Value::as_str) == Some("PersistentVolumeClaim");
    classes.extend(text("/spec/storageClassName").filter(|_| claim).map(Class::Storage));
    let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let storage = |template| Value::pointer(template, "/spec/storageClassName").and_then(Value::as_str);
    classes.extend(templates.unwrap_or_default().iter().filter_map(storage).map(Class::Storage));
    classes
}
