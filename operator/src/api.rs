//! The kinds of `hindcast.dev/v1alpha1`: what a user says in them, and what is told there.
//!
//! **Invariants.** (1) There is no field that nothing honours. (2) What a text has to mean (a cron expression, a duration, a moment) is
//! read where it is used and refused there by name, in a condition: the schema only refuses what can have no meaning at
//! all. (3) The YAML of these kinds under `deploy/crds` is made from the types here (`tests`).

#![allow(unreachable_pub, reason = "the derive of a schema makes structs inside functions")]
#![allow(clippy::doc_markdown, reason = "the comments are what `kubectl explain` prints")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

mod condition;
mod journal;
mod location;
mod point;
mod restore;
mod schedule;
#[cfg(test)]
mod tests;

pub(crate) use self::condition::{seconds, set};
pub use self::{
    condition::{Condition, Verdict},
    journal::{
        Committed, Compaction, Filters, Journal, JournalKey, JournalProof, JournalRetention, JournalSpec,
        JournalStatus, JournalStore, SecretKey, SecretValues, StoreCredentials, Window,
    },
    location::{Aws, Azure, Credentials, Gcp, Provider, VolumeLocation, VolumeLocationSpec, VolumeLocationStatus},
    point::{
        DeletionPolicy, Exec, Hook, OnError, Phase, RecoveryPoint, RecoveryPointSpec, RecoveryPointStatus, Template,
        VolumesMode,
    },
    restore::{
        Allow, Counts, Done, FromPoints, Mode, ObjectName, Planned, Restore, RestoreSpec, RestoreStatus, Target,
    },
    schedule::{Overlap, Retention, Schedule, ScheduleSpec, ScheduleStatus, Skip},
};

/// The group of all of them.
pub const GROUP: &str = "hindcast.dev";

/// The version.
pub const VERSION: &str = "v1alpha1";

/// Set on a `RecoveryPoint` that stands for a point, to the point's id: without that point it is nothing any more.
pub const POINT_ID: &str = "hindcast.dev/point-id";

/// Set on the `RecoveryPoint` of a schedule's point, to the schedule's name.
pub const SCHEDULE: &str = "hindcast.dev/schedule";

/// What keeps a `RecoveryPoint` whose point is to be deleted with it until that is done.
pub const DELETES: &str = "hindcast.dev/delete-point";

/// The definitions, by the name of the file that holds each.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 5] {
    [
        ("journals.yaml", Journal::crd()),
        ("recoverypoints.yaml", RecoveryPoint::crd()),
        ("restores.yaml", Restore::crd()),
        ("schedules.yaml", Schedule::crd()),
        ("volumelocations.yaml", VolumeLocation::crd()),
    ]
}
