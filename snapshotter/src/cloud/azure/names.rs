//! Names of Azure: ids of resources, and tags.

use std::fmt;

use serde_json::{Map, Value};

use super::super::text::cut;
use crate::driver::{Order, Tag, tags};

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Disk,
    Snapshot,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Disk => "disks",
            Self::Snapshot => "snapshots",
        }
    }
}

/// The id of a disk or a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl Id {
    /// The id in a handle. Azure writes its fixed words in any case.
    pub(super) fn parse(handle: &str, kind: Kind) -> Result<Self, String> {
        let parts: Vec<&str> = handle.split('/').collect();
        let fits = |text: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
            !text.is_empty() && text.chars().all(allowed)
        };
        match parts.as_slice() {
            ["", subscriptions, subscription, groups, group, providers, compute, word, name]
                if subscriptions.eq_ignore_ascii_case("subscriptions")
                    && groups.eq_ignore_ascii_case("resourceGroups")
                    && providers.eq_ignore_ascii_case("providers")
                    && compute.eq_ignore_ascii_case("Microsoft.Compute")
                    && word.eq_ignore_ascii_case(kind.word())
                    && [subscription, group, name].iter().all(|part| fits(part)) =>
            {
                let (subscription, group, name) = ((*subscription).into(), (*group).into(), (*name).into());
                Ok(Self { subscription, group, kind, name })
            }
            _ => Err(format!("{handle:?} is no id of one of Azure's {}", kind.word())),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, group, kind, name } = self;
        let kind = kind.word();
        write!(f, "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/{kind}/{name}")
    }
}

/// A tag's name, without what Azure forbids in it.
pub(super) fn tag_name(text: &str) -> String {
    cut(text, 512).replace(['<', '>', '%', '&', '\\', '?', '/'], "-")
}

/// What a snapshot bears. Ours go before the user's, of which Azure leaves room for 45.
pub(super) fn tags_of(order: &Order) -> Value {
    let more = order.tags.iter().take(45).map(|(name, value)| (tag_name(name), value.clone()));
    let own = [
        (tags::CLUSTER, order.tag.cluster.clone()),
        (tags::POINT, order.tag.point.clone()),
        (tags::ID, order.tag.id.clone()),
        (tags::INDEX, order.tag.index.to_string()),
        (tags::CLAIM, order.volume.title()),
    ];
    let own = own.into_iter().map(|(name, value)| (tag_name(name), value));
    let all = more.chain(own).map(|(name, value)| (name, Value::String(cut(&value, 256))));
    Value::Object(all.collect::<Map<_, _>>())
}

/// Which snapshot these tags name.
pub(super) fn tag_of(borne: Option<&Value>) -> Option<Tag> {
    let value = |name: &str| Some(borne?.get(tag_name(name))?.as_str()?.to_owned());
    Some(Tag {
        cluster: value(tags::CLUSTER)?,
        point: value(tags::POINT).unwrap_or_default(),
        id: value(tags::ID)?,
        index: value(tags::INDEX)?.parse().ok()?,
    })
}

/// Location and zone of a zone as Kubernetes has it: `westeurope-2`; a plain number is a zone of the location.
pub(super) fn zone_of<'z>(zone: &'z str, location: &'z str) -> (&'z str, &'z str) {
    match zone.rsplit_once('-') {
        Some((location, number)) => (location, number),
        None => (location, zone),
    }
}

#[cfg(test)]
mod tests;
