//! The text of resource policies, field by field.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::Result;

use super::{
    Action, ActionKind, Condition, Csi, Lists, Nfs, Quantity, ResourcePolicies, ResourceScope, VolumePolicy,
    tree::{Place, Source},
};

/// What a volume may be, as the field is called that says so.
const VOLUME_TYPES: [&str; 31] = [
    "awsAzureDisk",
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageOS",
    "vsphereVolume",
];

const PHASES: [&str; 3] = ["Pending", "Bound", "Lost"];
const VOLUME_MODES: [&str; 2] = ["Filesystem", "Block"];
const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

/// The fields that are of Velero, and have their like elsewhere here.
const ELSEWHERE: [&str; 2] = ["namespacedFilterPolicies", "clusterScopedFilterPolicy"];

pub(super) fn policies(what: &str, text: &str) -> Result<ResourcePolicies> {
    let source = Source::read(what, text)?;
    let root = source.root();
    if let Some((_, place)) = root.entries()?.iter().find(|(name, _)| ELSEWHERE.contains(name)) {
        return Err(place.wrong(
            "which objects belong to a point is not said by its volume policies",
            "take it out, and say it by the scope of the point or schedule (namespaces, kinds, labels)",
        ));
    }
    let fields = root.fields(&["version", "volumePolicies", "includeExcludePolicy"])?;
    match fields.get("version") {
        None => return Err(root.wrong("it says no version", "write `version: v1` at its top")),
        Some(version) if version.text()? != "v1" => {
            let reason = format!("version {:?} is not known", version.text()?);
            return Err(version.wrong(reason, "write `version: v1`"));
        }
        Some(_) => {}
    }
    let volumes = match fields.get("volumePolicies") {
        Some(list) => list.items()?.iter().map(volume_policy).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let scope = fields.get("includeExcludePolicy").map(scope).transpose()?;
    Ok(ResourcePolicies { volumes, scope })
}

fn volume_policy(place: &Place<'_>) -> Result<VolumePolicy> {
    let fields = place.fields(&["conditions", "action"])?;
    let conditions = fields.get("conditions").map_or_else(|| Ok(Vec::new()), conditions)?;
    let Some(action) = fields.get("action") else {
        return Err(place.wrong("it has no action", "write `action: {type: skip}`, fs-backup, snapshot or custom"));
    };
    Ok(VolumePolicy { conditions, action: self::action(action)? })
}

fn action(place: &Place<'_>) -> Result<Action> {
    let fields = place.fields(&["type", "parameters"])?;
    let of_type = fields.get("type").unwrap_or(place);
    let name = fields.get("type").map_or_else(|| Ok(String::new()), Place::text)?;
    let kind = match name.as_str() {
        "skip" => ActionKind::Skip,
        "fs-backup" => ActionKind::FsBackup,
        "snapshot" => ActionKind::Snapshot,
        "custom" => ActionKind::Custom,
        "" => return Err(of_type.wrong("it has no type", "the types are skip, fs-backup, snapshot and custom")),
        _ => {
            let reason = format!("there is no action of type {name:?}");
            return Err(of_type.wrong(reason, "the types are skip, fs-backup, snapshot and custom"));
        }
    };
    let parameters = match fields.get("parameters") {
        Some(place) => {
            let entries = place.entries()?.into_iter();
            entries.map(|(name, place)| Ok((name.to_owned(), place.json()?))).collect::<Result<_>>()?
        }
        None => BTreeMap::new(),
    };
    Ok(Action { kind, parameters })
}

const CONDITIONS: [&str; 9] = [
    "capacity",
    "storageClass",
    "nfs",
    "csi",
    "volumeTypes",
    "pvcLabels",
    "pvcPhase",
    "pvcVolumeMode",
    "pvcAccessModes",
];

/// The conditions that say something: an empty list, as in Velero, says nothing.
fn conditions(place: &Place<'_>) -> Result<Vec<Condition>> {
    let mut out = Vec::new();
    for (name, place) in place.fields(&CONDITIONS)? {
        let texts = || place.texts();
        let condition = match name {
            "capacity" => Some(capacity(&place)?),
            "storageClass" => filled(texts()?).map(Condition::StorageClass),
            "nfs" => Some(Condition::Nfs(nfs(&place)?)),
            "csi" => Some(Condition::Csi(csi(&place)?)),
            "volumeTypes" => filled(known(&place, &VOLUME_TYPES, "volume type")?).map(Condition::VolumeTypes),
            "pvcLabels" => Some(Condition::ClaimLabels(place.text_map()?)),
            "pvcPhase" => filled(known(&place, &PHASES, "phase of a claim")?).map(Condition::ClaimPhase),
            "pvcVolumeMode" => filled(known(&place, &VOLUME_MODES, "volume mode")?).map(Condition::ClaimVolumeMode),
            _ => filled(known(&place, &ACCESS_MODES, "access mode")?)
                .map(|modes| Condition::ClaimAccessModes(modes.into_iter().collect())),
        };
        out.extend(condition);
    }
    Ok(out)
}

fn filled(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// A list of texts that there are; of the volume modes Velero takes a single one, too.
fn known(place: &Place<'_>, all: &[&str], what: &str) -> Result<Vec<String>> {
    let single = || Ok(vec![place.clone()]);
    let items = place
        .items()
        .or_else(|error| if place.text().is_ok() && what == "volume mode" { single() } else { Err(error) })?;
    let mut out = Vec::new();
    for item in items {
        let text = item.text()?;
        if !all.contains(&text.as_str()) {
            return Err(item.wrong(format!("there is no {what} {text:?}"), format!("there are {}", all.join(", "))));
        }
        out.push(text);
    }
    Ok(out)
}

/// `10Gi,100Gi`, `10Gi,`, `,100Gi` and so on.
fn capacity(place: &Place<'_>) -> Result<Condition> {
    const HINT: &str = "write \"10Gi,100Gi\", \"10Gi,\" (not less) or \",100Gi\" (not more)";
    let text = place.text()?;
    let mut bounds = text.split(',');
    let (least, most) = match (bounds.next(), bounds.next(), bounds.next()) {
        (Some(""), None, None) => ("", ""),
        (Some(least), Some(most), None) => (least.trim(), most.trim()),
        _ => return Err(place.wrong(format!("{text:?} is not two quantities with a comma between them"), HINT)),
    };
    let quantity = |text: &str| match text {
        "" => Ok(Quantity::default()),
        text => Quantity::parse(text).ok_or_else(|| place.wrong(format!("{text:?} is no quantity"), HINT)),
    };
    let (least, most) = (quantity(least)?, quantity(most)?);
    if most < least && !most.is_zero() {
        return Err(place.wrong(format!("the least of {text:?} is more than the most"), HINT));
    }
    Ok(Condition::Capacity(least, most))
}

fn nfs(place: &Place<'_>) -> Result<Nfs> {
    let fields = place.fields(&["server", "path"])?;
    let text = |name: &str| fields.get(name).map_or_else(|| Ok(String::new()), Place::text);
    Ok(Nfs { server: text("server")?, path: text("path")? })
}

fn csi(place: &Place<'_>) -> Result<Csi> {
    let fields = place.fields(&["driver", "volumeAttributes"])?;
    let driver = fields.get("driver").map_or_else(|| Ok(String::new()), Place::text)?;
    let attributes = fields.get("volumeAttributes");
    if let Some(attributes) = attributes.filter(|_| driver.is_empty()) {
        return Err(attributes.wrong("attributes are of a driver, and none is named", "name the driver beside them"));
    }
    Ok(Csi { driver, attributes: attributes.map_or_else(|| Ok(BTreeMap::new()), Place::text_map)? })
}

fn scope(place: &Place<'_>) -> Result<ResourceScope> {
    let fields = place.fields(&[
        "includedClusterScopedResources",
        "excludedClusterScopedResources",
        "includedNamespaceScopedResources",
        "excludedNamespaceScopedResources",
    ])?;
    let list = |name: &str| -> Result<BTreeSet<String>> {
        let Some(place) = fields.get(name) else { return Ok(BTreeSet::new()) };
        let items = place.items()?;
        let text = |item: &Place<'_>| match item.text()? {
            text if text == "*" => {
                Err(item.wrong("`*` is not taken here", "name the kinds, or leave the list out for all"))
            }
            text => Ok(text),
        };
        items.iter().map(text).collect()
    };
    let lists = |included: &str, excluded: &str| -> Result<Lists> {
        let lists = Lists { included: list(included)?, excluded: list(excluded)? };
        match (lists.included.intersection(&lists.excluded).next(), fields.get(excluded)) {
            (Some(both), Some(place)) => {
                Err(place.wrong(format!("{both} stands in {included}, too"), "take it out of one of them"))
            }
            _ => Ok(lists),
        }
    };
    Ok(ResourceScope {
        cluster: lists("includedClusterScopedResources", "excludedClusterScopedResources")?,
        namespaced: lists("includedNamespaceScopedResources", "excludedNamespaceScopedResources")?,
    })
}
