//! Pods that stand by themselves, and templates of Pods.

use hindcast_journal::exact::Value;

use super::{Family, Kind, Made, Rule, Sides, Turn, Verdict};
use crate::{
    kept::{Fresh, Keeping, Row},
    permission::Widen,
    reason::{Loss, Ruled},
    references::controller,
};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            spared: Some(mirror),
            made: Made::ByController,
            judge: Some(finished),
            destroys: Some(nothing_starts_it_again),
            rows: PLACEMENT,
            keep: Some(admitted),
            mutable: Some(&[
                "containers",
                "initContainers",
                "ephemeralContainers",
                "activeDeadlineSeconds",
                "terminationGracePeriodSeconds",
                "tolerations",
                "schedulingGates",
            ]),
            fixed: Some(containers),
            turn: Turn::Workloads,
            pods: "/spec",
            ..Kind::of("", "pods")
        },
        Kind { turn: Turn::Workloads, pods: "/template/spec", ..Kind::of("", "podtemplates") },
    ],
    rules: &[
        Rule {
            id: "pod-finished",
            kinds: &["/pods"],
            what: "A Pod that had ended at the moment is never created.",
            why: "It would run again.",
        },
        Rule {
            id: "mirror-pod",
            kinds: &["/pods"],
            what: "Mirrors of static Pods are left alone.",
            why: "The file on the node is what counts; the mirror follows it.",
        },
        Rule {
            id: "pod-placement",
            kinds: &["/pods"],
            what: "Node, priority, token volumes, tolerations by default, ephemeral containers and the network's annotations stay as they are live; a new Pod gets its own.",
            why: "They were chosen for the Pod of then: its node may be gone, its token is not valid.",
        },
    ],
};

const PLACEMENT: &[Row] = &[
    Row {
        rule: "pod-placement",
        places: &[
            "spec nodeName",
            "spec priority",
            "spec ephemeralContainers",
            "spec volumes [name=kube-api-access-*]",
            "spec containers [name] volumeMounts [name=kube-api-access-*]",
            "spec initContainers [name] volumeMounts [name=kube-api-access-*]",
            "metadata annotations cni.projectcalico.org/*",
            "metadata annotations k8s.v1.cni.cncf.io/network-status",
            "metadata annotations k8s.v1.cni.cncf.io/networks-status",
            "metadata annotations kubernetes.io/limit-ranger",
        ],
        owner: "the scheduler, kubelet and admission",
        fresh: Fresh::Absent,
        quiet: false,
    },
    Row {
        rule: "pod-placement",
        places: &["spec schedulingGates"],
        owner: "the scheduler",
        fresh: Fresh::AsThen,
        quiet: false,
    },
];

fn mirror(sides: &Sides<'_>) -> Option<Ruled> {
    sides.marked("kubernetes.io/config.mirror").then_some(Ruled::MirrorPod)
}

fn finished(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let phase = sides.coming()?.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed").then(|| Verdict::leave(Ruled::PodFinished(phase.to_owned())))
}

fn nothing_starts_it_again(pod: &Value) -> Option<Loss> {
    controller(pod).is_none().then_some(Loss::Pod)
}

/// What admission put into it: the account's token, and tolerations.
fn admitted(of: &mut Keeping<'_>) {
    let owner = "admission";
    let account = of.values.iter().find_map(|pod| pod.pointer("/spec/serviceAccountName")?.as_str());
    let token = format!("{}-token-*", account.unwrap_or("default"));
    for pattern in ["volumes", "containers [name] volumeMounts", "initContainers [name] volumeMounts"] {
        let pattern = format!("spec {pattern} [name={token}]");
        of.add_pattern(&pattern, "pod-placement", owner, Fresh::Absent, false);
    }
    for place in of.places("spec tolerations [key=node.kubernetes.io/*,operator,effect]") {
        let by_default = |value: &Value| place.get(value).is_none_or(defaulted);
        if of.values.iter().all(|value| by_default(value)) {
            of.add(place, "pod-placement", owner, Fresh::Absent, false);
        }
    }
}

/// The tolerations that admission gives to every Pod that has none of its own.
fn defaulted(toleration: &Value) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str);
    matches!(text("key"), Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable"))
        && text("operator") == Some("Exists")
        && text("effect") == Some("NoExecute")
        && toleration.get("tolerationSeconds").and_then(Value::as_i64) == Some(300)
}

/// Of a Pod's containers only the image can change.
fn containers(target: &Value, live: &Value) -> Vec<String> {
    let but_image = |value: &Value, list: &str| {
        let mut containers = value.pointer(list).and_then(Value::as_array).unwrap_or_default().to_vec();
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            container.remove("image");
        }
        containers
    };
    let lists = ["/spec/containers", "/spec/initContainers"];
    let differs = |list: &&str| but_image(target, list) != but_image(live, list);
    lists.into_iter().filter(differs).map(str::to_owned).collect()
}
