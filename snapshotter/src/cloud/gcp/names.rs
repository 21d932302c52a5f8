//! Names of Compute Engine: of disks, of labels, of requests.

use google_cloud_compute_v1::model::Snapshot;
use hindcast_journal::Parts;

use super::super::text::{cut, label};
use crate::driver::{Order, Tag};

/// The label of the cluster.
pub(super) const CLUSTER: &str = "hindcast-cluster";
/// The label of the point's id.
pub(super) const ID: &str = "hindcast-id";
const POINT: &str = "hindcast-point";
const INDEX: &str = "hindcast-volume";
const CLAIM: &str = "hindcast-claim";

/// Where a disk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In one zone.
    Zone { project: String, zone: String, disk: String },
    /// In two zones of a region.
    Region { project: String, region: String, disk: String },
}

impl Place {
    /// Its partial URL.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Zone { project, zone, disk } => format!("projects/{project}/zones/{zone}/disks/{disk}"),
            Self::Region { project, region, disk } => format!("projects/{project}/regions/{region}/disks/{disk}"),
        }
    }
}

/// The place in a handle: a partial URL of the CSI driver's, or the name of a built-in source, whose zone its topology says:
/// two, joined, of a regional disk.
pub(super) fn of_disk(handle: &str, zone: Option<&str>, project: &str) -> Result<Place, String> {
    let parts: Vec<&str> = handle.split('/').collect();
    let named = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | ':' | '.');
        !text.is_empty() && text.chars().all(fits)
    };
    let wrong = || format!("{handle:?} is no name of a persistent disk");
    match parts.as_slice() {
        ["projects", project, kind, at, "disks", disk] if [project, at, disk].iter().all(|part| named(part)) => {
            let (project, at, disk) = ((*project).to_owned(), (*at).to_owned(), (*disk).to_owned());
            match *kind {
                "zones" => Ok(Place::Zone { project, zone: at, disk }),
                "regions" => Ok(Place::Region { project, region: at, disk }),
                _ => Err(wrong()),
            }
        }
        [disk] if named(disk) => {
            let (project, disk) = (project.to_owned(), (*disk).to_owned());
            let zone = zone.ok_or_else(|| format!("the zone of {disk} is not known: its volume does not say it"))?;
            match zone.split_once("__") {
                Some((first, _)) => Ok(Place::Region { project, region: region_of(first).to_owned(), disk }),
                None => Ok(Place::Zone { project, zone: zone.to_owned(), disk }),
            }
        }
        _ => Err(wrong()),
    }
}

/// The region of a zone: `us-central1` of `us-central1-a`.
pub(super) fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// What a snapshot bears. Ours go before the user's.
pub(super) fn labels(order: &Order) -> Vec<(String, String)> {
    let own = [
        (CLUSTER, value(&order.tag.cluster)),
        (POINT, value(&order.tag.point)),
        (ID, value(&order.tag.id)),
        (INDEX, order.tag.index.to_string()),
        (CLAIM, value(&order.volume.title())),
    ];
    let own: Vec<(String, String)> = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let more = order.tags.iter().map(|(name, text)| (label(name), value(text)));
    let more: Vec<(String, String)> = more.filter(|(name, _)| own.iter().all(|(own, _)| own != name)).collect();
    own.into_iter().chain(more).collect()
}

/// A label's value: lower-case letters, digits, hyphens and underscores, at most 63.
fn value(text: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    cut(text, 63).chars().map(|c| c.to_ascii_lowercase()).map(|c| if fits(c) { c } else { '-' }).collect()
}

/// What labels cannot say exactly, for us and for people: the point's name, and the claim's.
pub(super) fn described(order: &Order) -> String {
    format!("Hindcast point {} of {}", order.tag.point, order.volume.title())
}

/// Which snapshot these labels name.
pub(super) fn tag_of(snapshot: &Snapshot) -> Option<Tag> {
    let label = |name: &str| snapshot.labels.get(name);
    let description = snapshot.description.as_deref().unwrap_or_default();
    let exact = description.strip_prefix("Hindcast point ").and_then(|rest| rest.rsplit_once(" of "));
    let point = exact.map(|(point, _)| point.to_owned()).or_else(|| label(POINT).cloned()).unwrap_or_default();
    Some(Tag { cluster: label(CLUSTER)?.clone(), point, id: label(ID)?.clone(), index: label(INDEX)?.parse().ok()? })
}

/// The filter of a list for these labels.
pub(super) fn filter(bearing: &[(&str, &str)]) -> String {
    let terms: Vec<String> =
        bearing.iter().map(|(name, text)| format!("(labels.{name} = \"{}\")", value(text))).collect();
    terms.join(" ")
}

/// The id of all requests of one call: a random UUID.
pub(super) fn request_id(parts: &Parts) -> String {
    let mut bytes = [0u8; 16];
    parts.random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
