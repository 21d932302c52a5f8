//! What sets fields of other objects: `spec.replicas`, or the requests of their containers.

use hindcast_journal::exact::Value;

use super::{Family, Kind, Rule, Scales, Turn};
use crate::{
    kept::{Fresh, Row, ScalerSort},
    verb::Verb,
};

const fn scaler(
    group: &'static str,
    resource: &'static str,
    sort: ScalerSort,
    target: fn(&Value) -> Option<&Value>,
) -> Kind {
    Kind { scales: Some(Scales { sort, target }), goes: Turn::Network, turns: Some(turn), ..Kind::of(group, resource) }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind { rows: &[STATUS], ..scaler("autoscaling", "horizontalpodautoscalers", ScalerSort::Horizontal, scaled) },
        scaler("autoscaling.k8s.io", "verticalpodautoscalers", ScalerSort::Vertical, sized),
        scaler("keda.sh", "scaledobjects", ScalerSort::Scaled, scaled),
        scaler("datadoghq.com", "datadogpodautoscalers", ScalerSort::Datadog, sized),
        scaler("datadoghq.com", "watermarkpodautoscalers", ScalerSort::Watermark, scaled),
    ],
    rules: &[
        Rule {
            id: "hpa-replicas",
            kinds: &["apps/deployments", "apps/statefulsets", "apps/replicasets", "/replicationcontrollers"],
            what: "`spec.replicas` stays as it is live wherever a HorizontalPodAutoscaler, a KEDA ScaledObject or an autoscaler of Datadog scales the object at the moment or after the restore. One that the same restore deletes or turns to something else does not count, and lets go first. A new object gets the number of then. Where a HorizontalPodAutoscaler is off, since somebody scaled to 0, `{part spec.replicas}` puts the number back.",
            why: "The autoscaler knows today's load. Yesterday's number would drop Pods under traffic, and the autoscaler would fight it.",
        },
        Rule {
            id: "vpa-requests",
            kinds: &[
                "apps/deployments",
                "apps/statefulsets",
                "apps/daemonsets",
                "apps/replicasets",
                "/replicationcontrollers",
                "batch/jobs",
                "batch/cronjobs",
            ],
            what: "The containers' `resources.requests` stay as they are live wherever a VerticalPodAutoscaler (not in mode `Off`) sizes the object at the moment or after the restore.",
            why: "What the autoscaler learned since would be lost, and Pods would be evicted to learn it again.",
        },
        Rule {
            id: "hpa-status-annotations",
            kinds: &["autoscaling/horizontalpodautoscalers"],
            what: "The annotations `autoscaling.alpha.kubernetes.io/…` stay as they are live.",
            why: "They are the status, in the clothes of the first version of the kind.",
        },
    ],
};

const STATUS: Row = Row {
    rule: "hpa-status-annotations",
    places: &["metadata annotations autoscaling.alpha.kubernetes.io/*"],
    owner: "the HorizontalPodAutoscaler controller",
    fresh: Fresh::Absent,
    quiet: true,
};

/// One that changes lets go before what it scaled is put back; a new one takes hold after.
fn turn(verb: Verb, _: Option<&Value>, _: Option<&Value>) -> Turn {
    if verb == Verb::Update { Turn::Network } else { Turn::OnTop }
}

fn scaled(scaler: &Value) -> Option<&Value> {
    scaler.pointer("/spec/scaleTargetRef")
}

fn sized(scaler: &Value) -> Option<&Value> {
    let mode = scaler.pointer("/spec/updatePolicy/updateMode").and_then(Value::as_str);
    scaler.pointer("/spec/targetRef").filter(|_| mode != Some("Off"))
}
