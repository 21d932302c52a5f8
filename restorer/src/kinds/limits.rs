//! What limits others: quotas, ranges, budgets, priorities and request queues.

use hindcast_journal::exact::Value;

use super::{Anew, Family, Kind, Rule, Sides, Turn, shapers};
use crate::{reason::Ruled, verb::Verb};

/// What is true of all that its group has.
const QUEUES: Kind = Kind { servers_own: Some(queues), ..Kind::group("flowcontrol.apiserver.k8s.io") };

const fn queue(resource: &'static str) -> Kind {
    Kind { resource, infrastructure: true, ..QUEUES }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            immutable: &["/spec/scopes", "/spec/scopeSelector"],
            anew: Anew::Freely,
            makes_room: true,
            turns: Some(turn),
            stricter: Some(shapers::quota),
            ..Kind::configuration("", "resourcequotas")
        },
        Kind { turn: Turn::Limits, stricter: Some(shapers::range), ..Kind::of("", "limitranges") },
        Kind { turn: Turn::OnTop, ..Kind::of("policy", "poddisruptionbudgets") },
        Kind {
            servers_own: Some(priorities),
            immutable: &["/value", "/preemptionPolicy"],
            solo: Some(sole_default),
            stricter: Some(shapers::default_priority),
            beside: true,
            ..Kind::configuration("scheduling.k8s.io", "priorityclasses")
        },
        QUEUES,
        queue("flowschemas"),
        queue("prioritylevelconfigurations"),
    ],
    rules: &[
        Rule {
            id: "quota-order",
            kinds: &["/resourcequotas"],
            what: "A quota that grows or goes comes before all else, one that shrinks or comes after all else.",
            why: "The objects of then fit the quota of then, but not both at every instant between.",
        },
        Rule {
            id: "limit-range-last",
            kinds: &["/limitranges"],
            what: "LimitRanges come after the objects; one that is stricter now than it was, or was not there, gives way before them.",
            why: "The recorded objects have their defaults already; a stricter range would refuse or change them on the way.",
        },
        Rule {
            id: "flowcontrol-system",
            kinds: &[
                "flowcontrol.apiserver.k8s.io/flowschemas",
                "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
            ],
            what: "Request queues that the server updates by itself are changed only with `{system}`.",
            why: "The server keeps them as its version needs them.",
        },
        Rule {
            id: "system-priority-class",
            kinds: &["scheduling.k8s.io/priorityclasses"],
            what: "`system-…` priority classes are changed only with `{system}`.",
            why: "The server makes them.",
        },
    ],
};

/// There is one default for the whole cluster.
fn sole_default(class: &mut Value) -> bool {
    if let Some(members) = class.as_object_mut() {
        members.remove("globalDefault");
    }
    true
}

fn turn(_: Verb, wanted: Option<&Value>, live: Option<&Value>) -> Turn {
    if shapers::limits_more(wanted, live) { Turn::Limits } else { Turn::Configuration }
}

fn queues(sides: &Sides<'_>) -> Option<Ruled> {
    let own = sides.marked_true("apf.kubernetes.io/autoupdate-spec") || matches!(sides.name(), "exempt" | "catch-all");
    own.then_some(Ruled::FlowcontrolSystem)
}

fn priorities(sides: &Sides<'_>) -> Option<Ruled> {
    sides.name().starts_with("system-").then_some(Ruled::SystemPriorityClass)
}
