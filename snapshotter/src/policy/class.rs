//! Which `VolumeSnapshotClass` a snapshot is made with, and which `VolumeGroupSnapshotClass` one of a group, as Velero's rules have it.
//!
//! **Rules.** Of the classes of the volume's driver: (1) the one that the claim's annotation names; (2) the one that the point's annotation for that
//! driver names; (3) the one with the label; (4) the default one; (5) the only one.
//!
//! **Invariant.** Nothing is guessed: a class that is named and is not there or of another driver, and two that are marked alike, are errors
//! that name the classes. (Velero goes on to the next rule, or takes the first that it meets.)

use std::collections::BTreeMap;

use hindcast_journal::{Error, Result};

/// What classes are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassOf {
    /// Snapshots of volumes.
    Snapshots,
    /// Snapshots of groups of volumes.
    Groups,
}

impl ClassOf {
    fn kind(self) -> &'static str {
        match self {
            Self::Snapshots => "VolumeSnapshotClass",
            Self::Groups => "VolumeGroupSnapshotClass",
        }
    }

    /// The annotation of claims, the label of classes, and with the driver behind it the annotation of points.
    fn mark(self) -> &'static str {
        match self {
            Self::Snapshots => "velero.io/csi-volumesnapshot-class",
            Self::Groups => "velero.io/csi-volumegroupsnapshot-class",
        }
    }

    fn default(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshot.storage.kubernetes.io/is-default-class",
            Self::Groups => "groupsnapshot.storage.kubernetes.io/is-default-class",
        }
    }
}

/// What of a class is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotClass {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The class for a snapshot of the volume of a claim (`namespace/name`).
pub fn snapshot_class<'c>(
    of: ClassOf,
    classes: &'c [SnapshotClass],
    driver: &str,
    claim: &str,
    claim_annotations: &BTreeMap<String, String>,
    point_annotations: &BTreeMap<String, String>,
) -> Result<&'c SnapshotClass> {
    let (mark, kind) = (of.mark(), of.kind());
    let of_point = format!("{mark}_{}", driver.to_lowercase());
    let named = [("claim", mark, claim_annotations), ("point", of_point.as_str(), point_annotations)];
    for (whose, annotation, annotations) in named {
        if let Some(name) = annotations.get(annotation) {
            let says = format!("the annotation {annotation} of the {whose} says {name:?}");
            return by_name(kind, classes, driver, claim, name, &says);
        }
    }
    let own: Vec<&SnapshotClass> = classes.iter().filter(|class| is_of(class, driver)).collect();
    let is = |map: &BTreeMap<String, String>, key: &str| map.get(key).is_some_and(|value| value == "true");
    let labelled: Vec<&SnapshotClass> = own.iter().copied().filter(|class| is(&class.labels, mark)).collect();
    let default: Vec<&SnapshotClass> =
        own.iter().copied().filter(|class| is(&class.annotations, of.default())).collect();
    let steps = [
        (labelled, format!("have the label {mark}")),
        (default, "are the default".to_owned()),
        (own, "could be meant".to_owned()),
    ];
    for (candidates, are) in steps {
        match candidates.as_slice() {
            [] => {}
            [one] => return Ok(one),
            several => {
                let reason = format!("{} of driver {driver} {are}", list(several.iter().copied()));
                return Err(error(
                    claim,
                    reason,
                    &format!(
                        "put the label {mark}=true on one of them, or name one in the annotation {mark} of the claim"
                    ),
                ));
            }
        }
    }
    let reason = match classes {
        [] => format!("there is no {kind}, so none of driver {driver}"),
        others => format!("there is no {kind} of driver {driver}; there are {}", list(others.iter())),
    };
    Err(error(claim, reason, "create one for the driver, or keep the volume's files (fs-backup) instead"))
}

fn by_name<'c>(
    kind: &str,
    classes: &'c [SnapshotClass],
    driver: &str,
    claim: &str,
    name: &str,
    says: &str,
) -> Result<&'c SnapshotClass> {
    let hint =
        format!("name a class of driver {driver}: {}", list(classes.iter().filter(|class| is_of(class, driver))));
    match classes.iter().find(|class| class.name.eq_ignore_ascii_case(name)) {
        Some(class) if is_of(class, driver) => Ok(class),
        Some(class) => Err(error(claim, format!("{says}, which is of driver {}, not {driver}", class.driver), &hint)),
        None => Err(error(claim, format!("{says}, and there is no such {kind}"), &hint)),
    }
}

fn is_of(class: &SnapshotClass, driver: &str) -> bool {
    class.driver.eq_ignore_ascii_case(driver)
}

fn list<'c>(classes: impl Iterator<Item = &'c SnapshotClass>) -> String {
    let names: Vec<&str> = classes.map(|class| class.name.as_str()).collect();
    if names.is_empty() { "there is none".to_owned() } else { names.join(", ") }
}

fn error(claim: &str, reason: String, hint: &str) -> Error {
    Error::invalid(format!("snapshot of the volume of claim {claim}"), reason).with_hint(hint)
}
