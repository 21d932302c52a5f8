//! `Schedule`: when recovery points are made, of what, and which of them stay.

#![expect(clippy::duplicated_attributes, reason = "each column is one of its own")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{condition::Condition, point::Template};

/// When recovery points are made, of what, and which of them stay.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hindcast.dev",
    version = "v1alpha1",
    kind = "Schedule",
    plural = "schedules",
    category = "hindcast",
    namespaced,
    status = "ScheduleStatus",
    derive = "PartialEq",
    doc = "When recovery points are made, of what, and which of them stay. Its points are named after it and the moment at \
           which each was due; they stay when it is deleted.",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".spec.paused"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastScheduled"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextRun"),
    printcolumn(name = "Points", type_ = "integer", json_path = ".status.points")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.timeZone) && self.schedule.startsWith('CRON_TZ='))")
        .message("the time zone is said twice: leave CRON_TZ= out of the schedule, or timeZone")
)]
pub struct ScheduleSpec {
    /// Five fields of cron, @hourly, @daily and the like, or @every 1h30m.
    #[schemars(length(min = 1))]
    pub schedule: String,
    /// The time zone, as in the zone database: Europe/Berlin. UTC without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How much later than due a run may start, as in 5m: each schedule takes a share of its own, so that many do not start at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// How late a run may start, as in 1h; one that is later is skipped. As late as it likes without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline: Option<String>,
    /// What to do with a run that comes due while a point of this schedule is being made.
    #[serde(default)]
    pub overlap: Overlap,
    /// Whether nothing is started.
    #[serde(default)]
    pub paused: bool,
    /// Whether what was due before this schedule was made or unpaused is skipped.
    #[serde(default)]
    pub skip_immediately: bool,
    /// What its points are of.
    #[serde(default)]
    pub template: Template,
    /// Which of its points stay; all of them without it, but for those whose ttl ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// What to do with a run that comes due while a point is being made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Forbid,
    /// The newest one waits.
    Queue,
    /// It is made beside the other.
    Allow,
}

/// Which points stay: what any of these keeps is kept, and the last good one always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// The newest so many.
    #[schemars(range(min = 0))]
    pub last: u32,
    /// All that are not older, as in 72h or 14d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// One of each of the newest so many hours in which there is one.
    pub hourly: u32,
    /// One of each of so many days.
    pub daily: u32,
    /// One of each of so many weeks.
    pub weekly: u32,
    /// One of each of so many months.
    pub monthly: u32,
    /// One of each of so many years.
    pub yearly: u32,
    /// So many of the newest that failed, to be looked at; 3 if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u32>,
    /// Whose hours and days they are; the schedule's if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// How a schedule stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleStatus {
    /// When the newest run that was started was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_scheduled: Option<String>,
    /// The newest run that was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_skipped: Option<Skip>,
    /// When the next run is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub next_run: Option<String>,
    /// When it was last unpaused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub unpaused: Option<String>,
    /// Points that are being made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<String>,
    /// The newest point that can be restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<String>,
    /// How many points of it there are.
    pub points: i64,
    /// The conditions: Ready, and PointMade of its newest run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A run that was skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Skip {
    /// When it was due.
    #[schemars(extend("format" = "date-time"))]
    pub due: String,
    /// Why.
    pub reason: String,
}
