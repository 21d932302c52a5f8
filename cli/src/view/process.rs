//! What a running Hindcast says of itself, in `hindcast status -o json`.

use hindcast_watcher::ha::Role;
use serde::Serialize;

use crate::{listen::role::said, moment::rfc3339};

/// A process that was asked by its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) address: String,
    /// `leader`, `standby`, or `only` where there are no others.
    pub(crate) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    /// Who else holds the Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// Why the Lease cannot be read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Of a standby: the kinds of which a takeover needs the server's own history.
    #[serde(skip_serializing_if = "Option::is_none")]
    short_kinds: Option<Vec<String>>,
    /// Of a standby: for how long a takeover needs none, if nothing is committed from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_until_full: Option<u64>,
    /// The same in a sentence.
    pub(crate) said: String,
}

impl Process {
    /// What the process at an address answered.
    pub(crate) fn new(address: &str, role: Option<Role>) -> Self {
        let mut process = Self {
            address: address.to_owned(),
            role: "only",
            since: None,
            lease: None,
            holder: None,
            trouble: None,
            short_kinds: None,
            seconds_until_full: None,
            said: "runs alone, without --ha".to_owned(),
        };
        if let Some(role) = role {
            process.said = said(&role);
            process.role = if role.leads { "leader" } else { "standby" };
            (process.since, process.lease, process.holder) = (Some(rfc3339(role.since)), Some(role.lease), role.holder);
            process.trouble = Some(role.trouble).filter(|trouble| !trouble.is_empty());
            (process.short_kinds, process.seconds_until_full) =
                role.reach.map(|reach| (reach.short, reach.seconds_until_full)).unzip();
        }
        process
    }
}
