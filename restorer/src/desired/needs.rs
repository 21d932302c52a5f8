//! What a namespace's objects need of the cluster: the roles bound in it, its custom resources' definitions, storage and
//! priority classes.
//!
//! Not here: what is done about them: without a flag they are only compared.

use std::collections::BTreeSet;

use hindcast_journal::{Scope, exact::Value, fold::ObjectKey};

use crate::{
    Object,
    kinds::{
        self, crds,
        rbac::{self, bound, names_account},
    },
};

/// The cluster-scoped objects among which the needed ones are, and the namespace itself.
pub(super) fn scope() -> Scope {
    Scope { kinds: Some(kinds::such(|kind| kind.beside).collect()), namespace: Some(String::new()), name: None }
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
        if let Some((group, resource, name)) =
            kinds::of(&ObjectKey::of(row)).needs.and_then(|needs| needs(&object.value))
        {
            need(group, resource, name);
        }
        if row.group.contains('.') {
            // Whether it is a custom resource shows in whether there is such a definition.
            let name = format!("{}.{}", row.resource, row.group);
            need(crds::NAME.0, crds::NAME.1, &name);
        }
        for class in classes(&object.value) {
            match class {
                Class::Priority(name) => need("scheduling.k8s.io", "priorityclasses", name),
                Class::Storage(name) => need("storage.k8s.io", "storageclasses", name),
            }
        }
    }
    let bindings = beside.iter().filter(|o| o.row.group == rbac::GROUP && o.row.resource == "clusterrolebindings");
    for binding in bindings.filter(|o| names_account(&o.value, namespace)) {
        need(rbac::GROUP, "clusterrolebindings", &binding.row.name);
        if let Some((group, resource, role)) = bound(&binding.value) {
            need(group, resource, role);
        }
    }
    needed
}

enum Class<'v> {
    Priority(&'v str),
    Storage(&'v str),
}

/// The classes that an object of any kind names: itself, in its Pod template, or in its claim templates.
fn classes(object: &Value) -> Vec<Class<'_>> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|name| !name.is_empty());
    let priority = [
        "/spec/priorityClassName",
        "/spec/template/spec/priorityClassName",
        "/spec/jobTemplate/spec/template/spec/priorityClassName",
    ];
    let mut classes: Vec<Class<'_>> = priority.iter().filter_map(|path| text(path)).map(Class::Priority).collect();
    let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let storage = |template| Value::pointer(template, "/spec/storageClassName").and_then(Value::as_str);
    classes.extend(templates.unwrap_or_default().iter().filter_map(storage).map(Class::Storage));
    classes
}
