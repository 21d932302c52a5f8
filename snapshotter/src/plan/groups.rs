//! Which volumes are snapshotted at one instant: those whose claims have the label in common that Velero knows too.
//!
//! **Invariant.** A group has exactly the claims of its label's value, for a group's snapshot takes them all: where one of them is not to be
//! taken, or another way, each is taken by itself, and that is said [`group`].

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::point::{Group, Order};
use serde_json::Value;

use super::{Planned, Request, class};
use crate::{
    csi,
    policy::{ClassOf, SnapshotClass, snapshot_class},
    scene::{Scene, map, text},
};

/// The label of claims whose volumes belong together.
const LABEL: &str = "velero.io/volume-group";

/// Puts the orders that belong together into groups.
pub(super) fn group(scene: &Scene, request: &Request, out: &mut Planned) {
    let classes: Vec<SnapshotClass> = scene.group_classes.values().map(class).collect();
    let mut groups: BTreeMap<(String, String), Vec<(&str, &Value)>> = BTreeMap::new();
    for ((namespace, name), claim) in &scene.claims {
        let value = map(claim, "/metadata/labels").remove(LABEL).unwrap_or_default();
        if !value.is_empty() {
            groups.entry((namespace.clone(), value)).or_default().push((name, claim));
        }
    }
    for ((namespace, value), claims) in groups {
        let of = |order: &Order| {
            order.volume.namespace == namespace && claims.iter().any(|(name, _)| *name == order.volume.claim)
        };
        let own: Vec<(usize, String)> = out
            .orders
            .iter()
            .enumerate()
            .filter(|(_, order)| of(order))
            .map(|(at, order)| (at, order.volume.claim.clone()))
            .collect();
        // Nobody asked for any of them, or there is nothing that one would have to be of one instant with.
        if own.is_empty() || claims.len() < 2 {
            continue;
        }
        match class_of(request, out, &classes, &own, &claims) {
            Ok(class) => {
                for (at, _) in &own {
                    let group =
                        Group { label: LABEL.to_owned(), value: value.clone(), class: class.clone(), of: own.len() };
                    if let Some(order) = out.orders.get_mut(*at) {
                        order.group = Some(group);
                    }
                }
            }
            Err(why) => out.warnings.push(format!(
                "the volumes of group {value} in namespace {namespace} are taken one by one, not at one instant: {why}"
            )),
        }
    }
}

/// The class of a group; why it cannot be one.
fn class_of(
    request: &Request,
    out: &Planned,
    classes: &[SnapshotClass],
    own: &[(usize, String)],
    claims: &[(&str, &Value)],
) -> Result<String, String> {
    // The snapshot controller takes no group of which a claim is not bound.
    let unbound = |claim: &Value| text(claim, "/status/phase") != "Bound" || text(claim, "/spec/volumeName").is_empty();
    if let Some((waiting, _)) = claims.iter().find(|(_, claim)| unbound(claim)) {
        return Err(format!("claim {waiting} is not bound"));
    }
    if let Some((missing, _)) = claims.iter().find(|(name, _)| !own.iter().any(|(_, own)| own == name)) {
        return Err(format!("claim {missing} is not of this point"));
    }
    let mut chosen = BTreeSet::new();
    let mut drivers = BTreeSet::new();
    for (at, name) in own {
        let (Some(order), Some(by)) = (out.orders.get(*at), out.drivers.get(*at)) else { continue };
        if by != csi::NAME {
            return Err(format!("claim {name} is taken by {by}, which knows no groups"));
        }
        let driver = &order.volume.driver;
        drivers.insert(driver.clone());
        let claim =
            claims.iter().find(|(claim, _)| claim == name).map(|(_, claim)| map(claim, "/metadata/annotations"));
        let annotations = claim.unwrap_or_default();
        let title = order.volume.title();
        let class = snapshot_class(ClassOf::Groups, classes, driver, &title, &annotations, &request.annotations);
        chosen.insert(class.map_err(|error| error.thing_and_reason().1)?.name.clone());
    }
    let list = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
    match (drivers.len(), chosen.pop_first()) {
        (1, Some(class)) if chosen.is_empty() => Ok(class),
        (1, Some(class)) => Err(format!("its claims name several classes: {class} and {}", list(&chosen))),
        _ => Err(format!("they are of several drivers: {}", list(&drivers))),
    }
}
