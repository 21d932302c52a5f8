//! Who set which field, as the API server's own book of fields (`managedFields`) says.
//!
//! **Words**: a *machine* is a field manager that is part of Kubernetes or scales for it, or any manager that wrote
//! through the subresource `scale` or `status`; everybody else is a *person*, programs that apply manifests included.
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

/// Subresources whose writers are not the ones who declare the object.
pub(crate) const SUBRESOURCES: &[&str] = &["scale", "status"];

/// Whether a field manager is a machine, whatever it writes through.
pub(crate) fn is_machine(manager: &str) -> bool {
    MACHINES.contains(&manager)
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
    /// Every owner is a person who wrote through `scale`.
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
    let scale = |entry: &&Entry| entry.subresource == "scale";
    Machine {
        owner: words.into_iter().collect::<Vec<_>>().join(", "),
        by_hand: owners.iter().all(|entry| scale(entry) && !is_machine(&entry.manager)),
        scaled: owners.iter().any(scale),
        place: Place::new(steps),
    }
}

#[cfg(test)]
mod tests;
