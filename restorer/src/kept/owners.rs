//! Who set which field, as the API server's own book of fields (`managedFields`) says.
//!
//! **Words**: a *machine* is a field manager that is part of Kubernetes or scales for it, or any manager that wrote
//! through the subresource `scale` or `status`; everybody else is a *person*, programs that apply manifests included. A
//! *hand* is a person, or one of these programs, known by name.
//!
//! **Invariants.** (1) A field that any person owns is a person's. (2) What the book does not name is nobody's, and so
//! somebody's intent.

use std::collections::BTreeSet;

use hindcast_journal::exact::{self, Value};

use super::place::{Place, Step};

/// The field managers whose fields are nobody's intent.
pub(crate) const MACHINES: &[&str] = &[
    "cainjector",
    "cert-manager-cainjector",
    "cloud-controller-manager",
    "cluster-autoscaler",
    "csi-attacher",
    "csi-resizer",
    "hyperkube",
    "k3s",
    "keda",
    "keda-operator",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "kubelite",
    "vpa-admission-controller",
    "vpa-updater",
];

/// Programs that scale others, beside those: what they write through `scale` answers to the load of now.
pub(crate) const SCALERS: &[&str] = &[
    "autoscaler",
    "cluster-proportional-autoscaler",
    "cluster-proportional-vertical-autoscaler",
    "custom-pod-autoscaler",
    "datadog-cluster-agent",
    "flagger",
    "horizontal-pod-autoscaler",
    "keda-adapter",
    "kube-downscaler",
    "predictive-horizontal-pod-autoscaler",
    "py-kube-downscaler",
    "watermarkpodautoscaler",
];

/// Programs by which people, and pipelines for them, write whole manifests; as the beginnings of their managers' names.
const HANDS: &[&str] = &[
    "Go-http-client",
    "HashiCorp",
    "OpenAPI-Generator",
    "Terraform",
    "argocd",
    "curl",
    "dashboard",
    "helm",
    "k9s",
    "kubectl",
    "kustomize-controller",
    "lens",
    "node-fetch",
    "pulumi",
    "python-requests",
];

/// Subresources whose writers are not the ones who declare the object.
pub(crate) const SUBRESOURCES: &[&str] = &["scale", "status"];

/// Whether a field manager is a machine, whatever it writes through.
pub(crate) fn is_machine(manager: &str) -> bool {
    MACHINES.contains(&manager)
}

/// Whether a finalizer, label or annotation is of Kubernetes itself, by its domain.
pub(crate) fn is_of_kubernetes(name: &str) -> bool {
    let domain = name.split_once('/').map_or(name, |(domain, _)| domain);
    matches!(name, "foregroundDeletion" | "orphan") || domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}

/// One manager's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The field manager.
    pub(crate) manager: String,
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    /// The subresource written through; empty for the object itself.
    pub(crate) subresource: String,
    fields: BTreeSet<Vec<Step>>,
    /// Elements of lists that the manager brought.
    items: BTreeSet<Vec<Step>>,
}

impl Entry {
    /// Whether the fields are a machine's.
    pub(crate) fn is_machine(&self) -> bool {
        is_machine(&self.manager) || SUBRESOURCES.contains(&self.subresource.as_str())
    }

    /// Whether a person wrote it, or a program that applies what people wrote.
    pub(crate) fn is_hand(&self) -> bool {
        HANDS.iter().any(|hand| self.manager.starts_with(hand))
    }

    /// Whether a program that scales wrote it through `scale`.
    fn is_scaler(&self) -> bool {
        self.is_scale() && (is_machine(&self.manager) || SCALERS.contains(&self.manager.as_str()))
    }

    fn is_scale(&self) -> bool {
        self.subresource == "scale"
    }

    /// Who it is, in words.
    pub(crate) fn words(&self) -> String {
        match self.subresource.as_str() {
            "" => self.manager.clone(),
            subresource => format!("{} through {subresource}", self.manager),
        }
    }

    /// Whether it owns a field, or something in it.
    pub(crate) fn has(&self, steps: &[Step]) -> bool {
        let from = self.fields.range(steps.to_vec()..).next();
        from.is_some_and(|field| field.starts_with(steps))
    }
}

/// The book of one object.
pub(crate) fn entries(managed: &Value) -> Vec<Entry> {
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = |entry: &Value| {
        let mut out = Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            subresource: text(entry, "subresource"),
            fields: BTreeSet::new(),
            items: BTreeSet::new(),
        };
        if let Some(fields) = entry.get("fieldsV1") {
            read(fields, &mut Vec::new(), &mut out);
        }
        out
    };
    managed.as_array().unwrap_or_default().iter().map(of).collect()
}

/// Takes in a node of the set; whether it has members of its own.
fn read(node: &Value, way: &mut Vec<Step>, out: &mut Entry) -> bool {
    let mut members = false;
    for (key, child) in node.as_object().into_iter().flat_map(exact::Object::iter) {
        let Some(step) = step(key) else { continue };
        members = true;
        let item = matches!(step, Step::Item(_));
        way.push(step);
        if item && child.get(".").is_some() {
            out.items.insert(way.clone());
        }
        if !read(child, way, out) {
            out.fields.insert(way.clone());
        }
        way.pop();
    }
    members
}

/// The step of a key of the set; none for what does not name a member (`.`, indexes).
fn step(key: &str) -> Option<Step> {
    let (kind, name) = key.split_once(':')?;
    match kind {
        "f" => Some(Step::Key(name.to_owned())),
        "v" => Some(Step::Element(exact::parse(name.as_bytes()).ok()?.to_string())),
        "k" => {
            let value = exact::parse(name.as_bytes()).ok()?;
            let fields = value.as_object()?.iter().map(|(field, value)| (field.to_owned(), value.to_string()));
            Some(Step::Item(fields.collect()))
        }
        _ => None,
    }
}

/// A field that machines alone own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) place: Place,
    /// The owner in words.
    pub(crate) owner: String,
    /// Every owner wrote through `scale` and is no program that is known to scale: a person, as far as that can be told.
    pub(crate) by_hand: bool,
    /// Whether any owner wrote through `scale`.
    pub(crate) scaled: bool,
}

/// The fields that machines alone own. An element that they brought whole is one field.
pub(crate) fn of_machines(managed: &Value) -> Vec<Machine> {
    let (machines, persons): (Vec<Entry>, Vec<Entry>) = entries(managed).into_iter().partition(Entry::is_machine);
    let nobodys = |steps: &[Step]| !persons.iter().any(|entry| entry.has(steps));
    let mut whole: BTreeSet<Vec<Step>> = BTreeSet::new();
    for items in machines.iter().flat_map(|entry| &entry.items) {
        if nobodys(items) {
            whole.insert(items.clone());
        }
    }
    let mut fields = whole.clone();
    for field in machines.iter().flat_map(|entry| &entry.fields) {
        let in_whole = (0..=field.len()).any(|n| field.get(..n).is_some_and(|head| whole.contains(head)));
        if !in_whole && nobodys(field) && !names_its_element(field) {
            fields.insert(field.clone());
        }
    }
    fields.into_iter().map(|steps| machine(steps, &machines)).collect()
}

/// Whether a field is one of those that its element is found by.
fn names_its_element(steps: &[Step]) -> bool {
    match steps {
        [.., Step::Item(fields), Step::Key(key)] => fields.iter().any(|(field, _)| field == key),
        _ => false,
    }
}

fn machine(steps: Vec<Step>, machines: &[Entry]) -> Machine {
    let owners: Vec<&Entry> = machines.iter().filter(|entry| entry.has(&steps)).collect();
    let words: BTreeSet<String> = owners.iter().map(|entry| entry.words()).collect();
    Machine {
        owner: words.into_iter().collect::<Vec<_>>().join(", "),
        by_hand: owners.iter().all(|entry| entry.is_scale() && !entry.is_scaler()),
        scaled: owners.iter().any(|entry| entry.is_scale()),
        place: Place::new(steps),
    }
}

#[cfg(test)]
mod tests;
