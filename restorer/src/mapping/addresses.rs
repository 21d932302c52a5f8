//! Addresses and ports that a Service was given, where it becomes another one beside the first.
//!
//! A copy that asked for them would be refused while the first has them, and once that is gone it would be handed its traffic. In
//! another cluster they may not even be in the range. The rules `service-cluster-ip` and `service-node-port`, which put them back,
//! are about the Service itself.
//!
//! **Invariant.** What makes a Service headless or external is not touched.

use hindcast_journal::{exact::Value, fold::ObjectKey};
use serde::{Deserialize, Serialize};

use super::{Change, Why};

/// Of which Services allocated addresses and ports are taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Addresses {
    /// Of those that go into another namespace.
    #[default]
    Moved,
    /// Of all, as for another cluster.
    All,
    /// Of none: they are asked for, and another one is taken and told where somebody has them.
    Kept,
}

impl Addresses {
    /// What it is called in files.
    pub(super) const NAMES: [(&str, Self); 3] = [("moved", Self::Moved), ("all", Self::All), ("kept", Self::Kept)];
}

pub(super) fn take_out(
    which: Addresses,
    key: &ObjectKey,
    becomes: &ObjectKey,
    value: &mut Value,
    changed: &mut Vec<Change>,
) {
    let moved = match which {
        Addresses::Moved => key.namespace != becomes.namespace,
        Addresses::All => true,
        Addresses::Kept => false,
    };
    if !moved || key.kind_key() != "/services" {
        return;
    }
    let Some(spec) = value.get_mut("spec") else { return };
    let mut take = |path: String, member: &str, from: &mut Value| {
        let gone = from.as_object_mut().and_then(|members| members.remove(member));
        if gone.is_some() {
            changed.push(Change { why: Why::Allocated, path: format!("{path}/{member}"), from: gone, to: None });
        }
    };
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        take("/spec".to_owned(), "clusterIP", spec);
        take("/spec".to_owned(), "clusterIPs", spec);
    }
    take("/spec".to_owned(), "healthCheckNodePort", spec);
    for (at, port) in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        take(format!("/spec/ports/{at}"), "nodePort", port);
    }
}
