//! The fields that are nobody's intent, of any kind and of one. The rows say where; why is in `rules`, under the same id.
//!
//! **Invariant.** Every rule named here is in the table of `rules`.

use std::collections::BTreeSet;

use hindcast_journal::exact::Value;

use crate::{
    full::{self, Full},
    kept::{Fresh, Keeping, Place, Row, Scaler, ScalerSort, Step, holds_something, keys, owners},
    kinds::{self, Kind},
    reason::Standing,
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
        let off = is_off(of);
        if off {
            owner.push_str(", which does not scale up from 0");
        }
        let standing = if off { Standing::Wanting } else { Standing::Machines };
        for place in of.places("spec replicas") {
            if !(off && is_asked(of, &place)) {
                of.add_as(standing, place, "hpa-replicas", &owner, Fresh::AsThen, false);
            }
        }
    }
    if let Some(owner) = of.around.resized.get(of.key).map(words) {
        for containers in ["containers", "initContainers"] {
            let pattern = format!("spec template spec {containers} [name] resources requests");
            of.add_pattern(&pattern, "vpa-requests", &owner, Fresh::AsThen, false);
        }
    }
}

/// Whether an autoscaler is off. Kubernetes' own neither scales to 0 nor up from it: somebody did, and would wait in vain.
fn is_off(of: &Keeping<'_>) -> bool {
    let at_zero = |side: &Full| side.value.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
    let by_kubernetes = |scalers: &BTreeSet<Scaler>| scalers.iter().any(|s| s.sort == ScalerSort::Horizontal);
    of.live.is_some_and(at_zero)
        && !of.wanted.is_some_and(at_zero)
        && of.around.scaled.get(of.key).is_some_and(by_kubernetes)
}

fn words(scalers: &BTreeSet<Scaler>) -> String {
    scalers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finalizers belong to the programs that clean up; a new object must not be born with those of a deletion.
fn finalizers(of: &mut Keeping<'_>) {
    if of.live.is_some() {
        let standing = if are_peoples(of) { Standing::Wanting } else { Standing::Machines };
        for place in of.places("metadata finalizers") {
            if !is_asked(of, &place) {
                of.add_as(standing, place, "finalizers", "the programs that clean up", Fresh::AsThen, false);
            }
        }
        return;
    }
    for deletion in ["foregroundDeletion", "orphan"] {
        let element = Step::Element(Value::from(deletion).to_string());
        let steps = vec![Step::Key("metadata".into()), Step::Key("finalizers".into()), element];
        of.add(Place::new(steps), "finalizers", "the garbage collector", Fresh::Absent, true);
    }
}

/// Whether finalizers differ by people's hands, as far as that can be told: one is gone from an object that stays, or a hand
/// added one. Those of Kubernetes itself are put there again by their controllers.
fn are_peoples(of: &Keeping<'_>) -> bool {
    let (Some(then), Some(live)) = (of.wanted, of.live) else { return false };
    let list = |side: &Full| -> Vec<String> {
        full::finalizers(&side.value).filter(|name| !owners::is_of_kubernetes(name)).map(str::to_owned).collect()
    };
    let (then, now) = (list(then), list(live));
    let entries = live.managed.as_ref().map(owners::entries).unwrap_or_default();
    let by_hand = |name: &String| {
        let mut place = keys(&["metadata", "finalizers"]);
        place.push(Step::Element(Value::from(name.as_str()).to_string()));
        entries.iter().any(|entry| entry.is_hand() && entry.has(&place))
    };
    then.iter().any(|name| !now.contains(name)) || now.iter().any(|name| !then.contains(name) && by_hand(name))
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

/// What machines alone own live; and what they owned then, unless a person has set it since. What a program that scales
/// wrote through `scale` is left on either side; what anybody else wrote through it is intent, unless an autoscaler is there.
fn machines(of: &mut Keeping<'_>) {
    let book =
        |side: Option<&Full>| side.and_then(|full| full.managed.as_ref()).map(owners::of_machines).unwrap_or_default();
    let live_book = of.live.filter(|live| live.managed.is_some());
    let scaler = of.around.scaled.contains_key(of.key);
    let theirs = |machine: &owners::Machine| scaler || !machine.by_hand;
    let set_since = |machine: &owners::Machine| {
        !machine.scaled && live_book.is_some_and(|live| machine.place.get(&live.value).is_some())
    };
    let live = book(of.live);
    // Whoever scaled it by hand since means it.
    let by_hand_now = |machine: &owners::Machine| live.iter().any(|l| !theirs(l) && l.place == machine.place);
    let then = book(of.wanted).into_iter().filter(|machine| !set_since(machine) && !by_hand_now(machine));
    let machines: Vec<_> = live.iter().cloned().chain(then).filter(theirs).collect();
    for machine in machines {
        let place = machine.place;
        if !of.values.iter().all(|value| place.sound(value)) || never_by_book(&place) {
            continue;
        }
        if is_off(of) && is_asked(of, &place) {
            continue;
        }
        let rule = if machine.scaled { "scale-written" } else { "controller-written" };
        of.add(place, rule, &machine.owner, Fresh::AsThen, false);
    }
}

/// Whether just this place was asked for.
fn is_asked(of: &Keeping<'_>, place: &Place) -> bool {
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
