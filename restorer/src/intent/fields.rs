//! The fields that are nobody's intent, of any kind and of one. The rows say where; why is in `rules`, under the same id.
//!
//! **Invariant.** Every rule named here is in the table of `rules`.

use hindcast_journal::exact::Value;

use crate::{
    full::Full,
    kept::{Fresh, Keeping, Place, Row, Scaler, ScalerSort, Step, holds_something, keys, owners},
    kinds::{self, Kind},
};

/// What is kept of any object.
const ROWS: &[Row] = &[
    Row {
        rule: "server-metadata",
        places: &[
            "metadata uid",
            "metadata resourceVersion",
            "metadata generation",
            "metadata creationTimestamp",
            "metadata selfLink",
            "metadata deletionTimestamp",
            "metadata deletionGracePeriodSeconds",
            "metadata managedFields",
        ],
        owner: "the server",
        fresh: Fresh::Absent,
        quiet: true,
    },
    Row { rule: "status", places: &["status"], owner: "the controller of the kind", fresh: Fresh::Absent, quiet: true },
    Row {
        rule: "owner-uid",
        places: &["metadata ownerReferences [kind,name] !uid"],
        owner: "the server",
        fresh: Fresh::AsThen,
        quiet: true,
    },
    Row {
        rule: "leader-annotation",
        places: &["metadata annotations control-plane.alpha.kubernetes.io/leader"],
        owner: "the leader election",
        fresh: Fresh::Absent,
        quiet: false,
    },
];

/// Finds the kept places, the most telling rule first.
pub(super) fn find(of: &mut Keeping<'_>) {
    let kind = kinds::of(of.key);
    scaled(of);
    of.add_rows(ROWS);
    of.add_rows(kind.rows);
    finalizers(of);
    if let Some(keep) = kind.keep {
        keep(of);
    }
    ca_bundles(kind, of);
    machines(of);
}

/// What autoscalers set.
fn scaled(of: &mut Keeping<'_>) {
    if let Some(scalers) = of.around.scaled.get(of.key) {
        let mut owner = words(scalers);
        let by_kubernetes = scalers.iter().any(|scaler| scaler.sort == ScalerSort::Horizontal);
        let at_zero = |side: &Full| side.value.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
        if of.live.is_some_and(at_zero) && !of.wanted.is_some_and(at_zero) && by_kubernetes {
            // A person would wait for it in vain.
            owner.push_str(", which does not scale up from 0: scale it by hand");
        }
        of.add_pattern("spec replicas", "hpa-replicas", &owner, Fresh::AsThen, false);
    }
    if let Some(owner) = of.around.resized.get(of.key).map(words) {
        for containers in ["containers", "initContainers"] {
            let pattern = format!("spec template spec {containers} [name] resources requests");
            of.add_pattern(&pattern, "vpa-requests", &owner, Fresh::AsThen, false);
        }
    }
}

fn words(scalers: &std::collections::BTreeSet<Scaler>) -> String {
    scalers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finalizers belong to the programs that clean up; a new object must not be born with those of a deletion.
fn finalizers(of: &mut Keeping<'_>) {
    if of.live.is_some() {
        of.add_pattern("metadata finalizers", "finalizers", "their controllers", Fresh::AsThen, false);
        return;
    }
    for deletion in ["foregroundDeletion", "orphan"] {
        let element = Step::Element(Value::from(deletion).to_string());
        let steps = vec![Step::Key("metadata".into()), Step::Key("finalizers".into()), element];
        of.add(Place::new(steps), "finalizers", "the garbage collector", Fresh::Absent, true);
    }
}

/// A certificate that stands live is the one that works; an old one cuts admission off.
fn ca_bundles(kind: &Kind, of: &mut Keeping<'_>) {
    let Some(pattern) = kind.ca_bundle else { return };
    for place in of.places(pattern) {
        if of.live.is_none_or(|live| place.get(&live.value).is_some_and(holds_something)) {
            of.add(place, "ca-bundle", "whoever issues the certificate", Fresh::AsThen, false);
        }
    }
}

/// What machines alone own live; and what they owned then, unless a person has set it since. What was written
/// through `scale` is left on either side.
fn machines(of: &mut Keeping<'_>) {
    let book =
        |side: Option<&Full>| side.and_then(|full| full.managed.as_ref()).map(owners::of_machines).unwrap_or_default();
    let live_book = of.live.filter(|live| live.managed.is_some());
    let set_since = |machine: &owners::Machine| {
        !machine.scaled && live_book.is_some_and(|live| machine.place.get(&live.value).is_some())
    };
    let then = book(of.wanted).into_iter().filter(|machine| !set_since(machine));
    let machines: Vec<_> = book(of.live).into_iter().chain(then).collect();
    let scaler = of.around.scaled.contains_key(of.key);
    for machine in machines {
        let place = machine.place;
        if !of.values.iter().all(|value| place.sound(value)) || never_by_book(&place) {
            continue;
        }
        if machine.by_hand && !scaler && asked_for_exactly(of, &place) {
            continue;
        }
        let rule = if machine.scaled { "scale-written" } else { "controller-written" };
        of.add(place, rule, &machine.owner, Fresh::AsThen, false);
    }
}

fn asked_for_exactly(of: &Keeping<'_>, place: &Place) -> bool {
    let Some(asked) = &of.around.asked else { return false };
    of.values.iter().any(|value| place.pointer(value).as_ref() == Some(asked))
}

/// Who an object belongs to is not said by a book: the references are mapped and judged by themselves.
fn never_by_book(place: &Place) -> bool {
    place.steps.starts_with(&keys(&["metadata", "ownerReferences"]))
}

/// The ids of the rows.
#[cfg(test)]
pub(super) fn rules() -> impl Iterator<Item = &'static str> {
    ROWS.iter().chain(kinds::all().flat_map(|kind| kind.rows)).map(|row| row.rule)
}
