//! `hindcast point … -o json`.

use std::collections::BTreeMap;

use hindcast_journal::point::{Left, Listed, OnError, Order, Phase, Point, PointState, Ran, Stage, Volume};
use hindcast_snapshotter::plan::Planned;
use serde::Serialize;

use super::API_VERSION;
use crate::moment::rfc3339;

/// All recovery points.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryPoints {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) cluster: String,
    /// Those that are made, oldest first.
    pub(crate) points: Vec<RecoveryPoint>,
    /// Those that are being made or deleted.
    pub(crate) going: Vec<Going>,
    /// What could not be read.
    pub(crate) errors: Vec<String>,
}

/// One that is being made or deleted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Going {
    pub(crate) name: String,
    pub(crate) stage: &'static str,
}

/// A recovery point.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryPoint {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) name: String,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) schedule: String,
    /// complete, partial or failed.
    pub(crate) state: &'static str,
    pub(crate) namespaces: Vec<String>,
    pub(crate) excluded_namespaces: Vec<String>,
    pub(crate) selector: String,
    pub(crate) began: String,
    pub(crate) made: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// The moment that its cut is; absent if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// The revision of every domain.
    pub(crate) cut: BTreeMap<String, u64>,
    /// The revisions between which the volumes were taken.
    pub(crate) between: [u64; 2],
    pub(crate) volumes: Vec<PointVolume>,
    pub(crate) hooks: Vec<HookRan>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) missing: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// A volume of a point.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointVolume {
    pub(crate) namespace: String,
    pub(crate) claim: String,
    pub(crate) volume: String,
    pub(crate) driver: String,
    pub(crate) class: String,
    /// Bytes.
    pub(crate) capacity: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// By which of our drivers it is taken: csi, files, move, a cloud or a plugin; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The group of volumes that it is taken with at one instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// The storage system's name of the snapshot; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    /// The moment of its data, as the storage system says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot_time: Option<String>,
    /// Bytes that a volume made from it needs at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Why there is no snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Whether that was wanted.
    pub(crate) wanted: bool,
}

/// What became of a hook.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookRan {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// pre or post.
    pub(crate) phase: &'static str,
    pub(crate) command: Vec<String>,
    /// Fail or Continue.
    pub(crate) on_error: &'static str,
    /// What it comes from.
    pub(crate) source: String,
    pub(crate) milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// What a point would take.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointPlan {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) name: String,
    pub(crate) volumes: Vec<PointVolume>,
    pub(crate) hooks: Vec<HookRan>,
    pub(crate) warnings: Vec<String>,
}

impl RecoveryPoints {
    /// Those of a journal.
    pub(crate) fn new(cluster: &str, points: &[Point], listed: &[Listed], errors: Vec<String>) -> Self {
        let going = listed.iter().filter(|listed| listed.stage != Stage::Made);
        let going = going.map(|listed| {
            let stage = match listed.stage {
                Stage::Deleting | Stage::Deleted => "deleting",
                _ => "making",
            };
            Going { name: listed.name.clone(), stage }
        });
        Self {
            api_version: API_VERSION,
            kind: "RecoveryPointList",
            cluster: cluster.to_owned(),
            points: points.iter().map(RecoveryPoint::new).collect(),
            going: going.collect(),
            errors,
        }
    }
}

impl RecoveryPoint {
    /// One of them.
    pub(crate) fn new(point: &Point) -> Self {
        let usable = point.is_usable();
        Self {
            api_version: API_VERSION,
            kind: "RecoveryPoint",
            name: point.about.name.clone(),
            id: point.about.id.clone(),
            schedule: point.about.schedule.clone(),
            state: state(point.state),
            namespaces: point.about.scope.namespaces.clone(),
            excluded_namespaces: point.about.scope.excluded_namespaces.clone(),
            selector: point.about.scope.selector.clone(),
            began: rfc3339(point.about.began),
            made: rfc3339(point.made),
            expires: point.about.expires.map(rfc3339),
            time: usable.then(|| rfc3339(point.time)),
            cut: point.cut.iter().map(|(domain, (_, rv))| (domain.clone(), *rv)).collect(),
            between: [point.between.0, point.between.1],
            volumes: point.volumes.iter().map(PointVolume::new).collect(),
            hooks: point.hooks.iter().map(HookRan::new).collect(),
            labels: point.about.labels.clone(),
            missing: point.missing.clone(),
            warnings: point.warnings.clone(),
        }
    }
}

impl PointVolume {
    fn new(volume: &hindcast_journal::point::PointVolume) -> Self {
        let taken = volume.taken.as_ref();
        Self {
            by: taken.map(|taken| taken.driver.clone()),
            group: taken.and_then(|taken| taken.group().map(str::to_owned)),
            snapshot: taken.map(|taken| taken.handle.clone()),
            snapshot_time: taken.and_then(|taken| taken.time).map(rfc3339),
            size: taken.map(|taken| taken.size).filter(|size| *size > 0),
            why: volume.why.clone(),
            wanted: volume.wanted,
            ..Self::of(&volume.volume)
        }
    }

    fn of(volume: &Volume) -> Self {
        Self {
            namespace: volume.namespace.clone(),
            claim: volume.claim.clone(),
            volume: volume.name.clone(),
            driver: volume.driver.clone(),
            class: volume.class.clone(),
            capacity: volume.capacity,
            zone: volume.zone().map(str::to_owned),
            by: None,
            group: None,
            snapshot: None,
            snapshot_time: None,
            size: None,
            why: None,
            wanted: false,
        }
    }

    fn ordered(order: &Order, driver: &str) -> Self {
        let group = order.group.as_ref().map(|group| group.value.clone());
        Self { by: Some(driver.to_owned()), group, wanted: true, ..Self::of(&order.volume) }
    }

    fn left(left: &Left) -> Self {
        Self { why: Some(left.why.clone()), wanted: left.wanted, ..Self::of(&left.volume) }
    }
}

impl HookRan {
    fn new(ran: &Ran) -> Self {
        Self { milliseconds: ran.took, failed: ran.failed.clone(), ..Self::of(&ran.hook) }
    }

    fn of(hook: &hindcast_journal::point::Hook) -> Self {
        Self {
            namespace: hook.namespace.clone(),
            pod: hook.pod.clone(),
            container: hook.container.clone(),
            phase: match hook.phase {
                Phase::Pre => "pre",
                Phase::Post => "post",
            },
            command: hook.command.clone(),
            on_error: match hook.on_error {
                OnError::Fail => "Fail",
                OnError::Continue => "Continue",
            },
            source: hook.source.clone(),
            milliseconds: 0,
            failed: None,
        }
    }
}

impl PointPlan {
    /// The plan of a point.
    pub(crate) fn new(name: &str, planned: &Planned) -> Self {
        let wrong =
            planned.wrong.iter().map(|((namespace, pod), why)| format!("hooks of Pod {namespace}/{pod}: {why}"));
        let orders = planned.orders.iter().zip(&planned.drivers);
        let orders = orders.map(|(order, driver)| PointVolume::ordered(order, driver));
        Self {
            api_version: API_VERSION,
            kind: "RecoveryPointPlan",
            name: name.to_owned(),
            volumes: orders.chain(planned.left.iter().map(PointVolume::left)).collect(),
            hooks: planned.hooks.iter().map(HookRan::of).collect(),
            warnings: planned.warnings.iter().cloned().chain(wrong).collect(),
        }
    }
}

fn state(state: PointState) -> &'static str {
    match state {
        PointState::Complete => "complete",
        PointState::Partial => "partial",
        PointState::Failed => "failed",
    }
}
