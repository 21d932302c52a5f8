//! Which volumes of a Pod are kept file by file, as its annotations say.
//!
//! **Invariant.** Never those whose content is the node's own or comes from the API server or a registry: `hostPath`, Secrets,
//! `ConfigMaps`, projected ones, the downward API, tokens of service accounts, images. This holds for volumes that are asked for by name, too;
//! what is asked for and not taken is told.
//!
//! Not here: volume policies, which decide before annotations do.

use serde_json::Value;

const OPT_IN: &str = "backup.velero.io/backup-volumes";
const OPT_OUT: &str = "backup.velero.io/backup-volumes-excludes";

/// The kinds of volumes that are never taken.
const NEVER: [&str; 6] = ["hostPath", "secret", "configMap", "projected", "downwardAPI", "image"];

/// Whether the volumes that are taken are those that are named, or all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    /// Those that `backup.velero.io/backup-volumes` names.
    OptIn,
    /// All but those that `backup.velero.io/backup-volumes-excludes` names.
    OptOut,
}

/// The volumes of a Pod, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileVolumes {
    /// Those that are kept file by file, as they stand in the Pod.
    pub taken: Vec<String>,
    /// Those that an annotation names and that are not taken, and why.
    pub left_out: Vec<(String, LeftOut)>,
}

/// Why a volume that an annotation names is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The annotation says so.
    OptedOut,
    /// Its content is kept elsewhere, or is the node's.
    Kind(&'static str),
    /// The Pod has no volume of that name.
    Unknown,
}

/// The volumes of a Pod that are kept file by file.
pub fn file_volumes(pod: &Value, approach: Approach) -> FileVolumes {
    let annotation = match approach {
        Approach::OptIn => OPT_IN,
        Approach::OptOut => OPT_OUT,
    };
    let named = pod.get("metadata").and_then(|m| m.get("annotations")?.get(annotation)?.as_str()).unwrap_or_default();
    let named: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let volumes = pod.get("spec").and_then(|spec| spec.get("volumes")?.as_array());
    let mut out = FileVolumes::default();
    let mut seen = Vec::new();
    for volume in volumes.into_iter().flatten() {
        let Some(name) = volume.get("name").and_then(Value::as_str) else { continue };
        seen.push(name);
        let is_named = named.contains(&name);
        let never = NEVER.into_iter().find(|kind| volume.get(*kind).is_some_and(|source| !source.is_null()));
        // Tokens of old, whatever holds them.
        let never = never.or_else(|| name.starts_with("default-token").then_some("token of a service account"));
        match (approach, is_named, never) {
            (Approach::OptIn, true, Some(kind)) => out.left_out.push((name.to_owned(), LeftOut::Kind(kind))),
            (Approach::OptOut, true, _) => out.left_out.push((name.to_owned(), LeftOut::OptedOut)),
            (Approach::OptIn, true, None) | (Approach::OptOut, false, None) => out.taken.push(name.to_owned()),
            (Approach::OptIn, false, _) | (Approach::OptOut, false, Some(_)) => {}
        }
    }
    let unknown = named.iter().filter(|name| !seen.contains(*name));
    out.left_out.extend(unknown.map(|name| ((*name).to_owned(), LeftOut::Unknown)));
    out
}
