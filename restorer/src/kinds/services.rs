//! Services, the addresses behind them, and what else is of the network.

use hindcast_journal::exact::{Object, Value};

use super::{Changed, Family, Kind, Made, Rule, Sides, Turn, Verdict, shapers, text};
use crate::{
    kept::{Fresh, Keeping, Place, Row, holds_something, keys},
    permission::Widen,
    reason::Ruled,
};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            spared: Some(of_the_api_server),
            keep: Some(allocated),
            fixed: Some(addresses),
            without_taken: Some(without_taken),
            as_given: Some(as_given),
            on_create: Some(address_changes),
            on_change: Some(balancer_lost),
            on_delete: Some(balancer_goes),
            turn: Turn::Network,
            ..Kind::of("", "services")
        },
        Kind {
            spared: Some(of_the_api_server),
            made: Made::ByController,
            judge: Some(endpoints),
            rows: &[TRIGGER_TIME],
            turn: Turn::Network,
            ..Kind::of("", "endpoints")
        },
        Kind {
            spared: Some(of_the_api_server),
            made: Made::ByController,
            judge: Some(slice),
            rows: &[TRIGGER_TIME],
            immutable: &["/addressType"],
            turn: Turn::Network,
            ..Kind::of("discovery.k8s.io", "endpointslices")
        },
        Kind::never("networking.k8s.io", "ipaddresses", &Ruled::ServiceAddresses),
        Kind::never("networking.k8s.io", "servicecidrs", &Ruled::ServiceAddresses),
        Kind { turn: Turn::Network, ..Kind::of("networking.k8s.io", "networkpolicies") },
        Kind { turn: Turn::OnTop, ..Kind::of("networking.k8s.io", "ingresses") },
        Kind {
            immutable: &["/spec/controller"],
            stricter: Some(shapers::default_class),
            ..Kind::configuration("networking.k8s.io", "ingressclasses")
        },
    ],
    rules: &[
        Rule {
            id: "endpoints-trigger-time",
            kinds: &["/endpoints", "discovery.k8s.io/endpointslices"],
            what: "The annotation `endpoints.kubernetes.io/last-change-trigger-time` stays as it is live.",
            why: "It is the time of the last change of a Pod.",
        },
        Rule {
            id: "service-cluster-ip",
            kinds: &["/services"],
            what: "Allocated `clusterIP`, `clusterIPs` and `ipFamilies` stay as they are live. A new Service asks for its old address and takes another, said so, if that is in use. Where an address was asked for and differs: delete and create, with `{recreate}`.",
            why: "Clients hold connections to the address of now.",
        },
        Rule {
            id: "service-node-port",
            kinds: &["/services"],
            what: "A `nodePort` is put back, whoever chose it. One that is taken is asked for again when all else is done; then another is taken, and told as a difference. An allocated `healthCheckNodePort`, which the server does not let be changed, stays as it is live.",
            why: "What is outside of the cluster was told the port of then.",
        },
        Rule {
            id: "load-balancer-address",
            kinds: &["/services"],
            what: "A warning, where a Service of type LoadBalancer is created or deleted, or turns into another.",
            why: "The cloud gives a new one an address of its choice; DNS may have to follow.",
        },
        Rule {
            id: "api-server-service",
            kinds: &["/services", "/endpoints", "discovery.k8s.io/endpointslices"],
            what: "The Service `kubernetes` of the namespace `default`, its Endpoints and EndpointSlice are left alone.",
            why: "The API servers write their own addresses into them; with old ones, nothing in the cluster finds them.",
        },
        Rule {
            id: "endpoints",
            kinds: &["/endpoints"],
            what: "Endpoints that the endpoints controller makes of a Service's Pods are left alone: it labels them `endpoints.kubernetes.io/managed-by: endpoint-controller`, or stamps the time of the change. Those that somebody wrote are restored, whatever labels they have.",
            why: "The old ones are addresses of Pods that are gone.",
        },
        Rule {
            id: "endpoint-slice",
            kinds: &["discovery.k8s.io/endpointslices"],
            what: "EndpointSlices that a controller owns, or that `endpointslice.kubernetes.io/managed-by` gives to a controller of Kubernetes (`endpointslice-controller.k8s.io`, `endpointslicemirroring-controller.k8s.io`), are left alone. Those of any other manager are restored like other objects.",
            why: "The old ones are addresses of Pods that are gone.",
        },
        Rule {
            id: "service-addresses",
            kinds: &["networking.k8s.io/ipaddresses", "networking.k8s.io/servicecidrs"],
            what: "IPAddresses and ServiceCIDRs are left alone.",
            why: "They are the server's book of addresses in use.",
        },
    ],
};

const TRIGGER_TIME: Row = Row {
    rule: "endpoints-trigger-time",
    places: &["metadata annotations endpoints.kubernetes.io/last-change-trigger-time"],
    owner: "the endpoints controllers",
    fresh: Fresh::Absent,
    quiet: true,
};

fn of_the_api_server(sides: &Sides<'_>) -> Option<Ruled> {
    let it = sides.name() == "kubernetes" && sides.text("/metadata/namespace") == "default";
    it.then_some(Ruled::ApiServerService)
}

/// What the controllers that make addresses of Pods write of themselves; with another value it is somebody's own.
const ENDPOINTS_CONTROLLER: &str = "endpoint-controller";
const SLICE_CONTROLLERS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];

fn endpoints(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let labelled = sides.mark("endpoints.kubernetes.io/managed-by", |by| by == ENDPOINTS_CONTROLLER);
    // Endpoints that were copied by hand carry the stamp too.
    let stamped = sides.written_mark("endpoints.kubernetes.io/last-change-trigger-time", |_| true);
    labelled.or(stamped).map(|_| Verdict::leave(Ruled::Endpoints))
}

fn slice(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let by = sides.mark("endpointslice.kubernetes.io/managed-by", |by| SLICE_CONTROLLERS.contains(&by))?;
    Some(Verdict::leave(Ruled::EndpointSlice(by.to_owned())))
}

/// Addresses and ports that were allocated, not asked for. What stands live is in use by clients.
fn allocated(of: &mut Keeping<'_>) {
    let Some(live) = of.live else { return };
    let headless = |service: &Value| text(service, "/spec/clusterIP") == "None";
    let same_sort = of.wanted.is_none_or(|wanted| headless(&wanted.value) == headless(&live.value));
    let mut places = Vec::new();
    if same_sort && !of.asked_for(&keys(&["spec", "clusterIP"])) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies"] {
            places.push((Place::within(keys(&["spec", field])), "service-cluster-ip"));
        }
    }
    let health = keys(&["spec", "healthCheckNodePort"]);
    if !of.asked_for(&health) {
        places.push((Place::within(health), "service-node-port"));
    }
    for (place, rule) in places {
        // Only what both have: an address that is there on one side alone comes or goes with what asked for it.
        let both = of.values.iter().all(|value| place.get(value).is_some_and(holds_something));
        if both {
            of.add(place, rule, "the server", Fresh::AsThen, false);
        }
    }
}

/// A Service's first address cannot change while it has one.
fn addresses(target: &Value, live: &Value) -> Vec<String> {
    let external = |service: &Value| text(service, "/spec/type") == "ExternalName";
    if external(target) || external(live) {
        return Vec::new();
    }
    let (to, from) = (text(target, "/spec/clusterIP"), text(live, "/spec/clusterIP"));
    if !to.is_empty() && !from.is_empty() && to != from { vec!["/spec/clusterIP".to_owned()] } else { Vec::new() }
}

/// Clients by name don't notice; who used the address or node port does.
fn without_taken(body: &mut Value, refusal: &str) -> Option<String> {
    let spec = body.get_mut("spec").and_then(Value::as_object_mut)?;
    // A refusal to change an address names the same field; giving it up would be no answer to that.
    let ip = refusal.contains("spec.clusterIP") && refusal.contains("failed to allocate");
    if ip && spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        let old = spec.remove("clusterIP")?;
        spec.remove("clusterIPs");
        return Some(format!("its address {} is taken: it has another one", old.as_str().unwrap_or_default()));
    }
    if refusal.contains("spec.healthCheckNodePort") || refusal.contains("requested HealthCheck NodePort") {
        let old = spec.remove("healthCheckNodePort")?;
        return Some(format!("its health check port {old} is taken: it has another one"));
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(old) = port.get("nodePort").map(ToString::to_string) else { continue };
        if refusal.contains(".nodePort: ") && refusal.contains(&format!("Invalid value: {old}:")) {
            port.remove("nodePort");
            return Some(format!("its node port {old} is taken: it has another one"));
        }
    }
    None
}

/// How a Service stands if it was written without what others held: with the address and the ports that `now` has, where
/// both have one. None where they are the same.
fn as_given(wanted: &Value, now: &Value) -> Option<(Value, String)> {
    let mut given = wanted.clone();
    let mut words = Vec::new();
    let spec = given.get_mut("spec").and_then(Value::as_object_mut)?;
    let other = now.get("spec").and_then(Value::as_object)?;
    let mut take = |spec: &mut Object, other: &Object, field: &str, what: &str| {
        let (Some(old), Some(new)) = (spec.get(field), other.get(field)) else { return false };
        let is_address = |value: &Value| value.as_str() != Some("None");
        if old == new || !is_address(old) || !is_address(new) {
            return false;
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        words.push(format!("its {what} is {}, not {}", text(new), text(old)));
        spec.insert(field, new.clone());
        true
    };
    if take(spec, other, "clusterIP", "address")
        && let Some(all) = other.get("clusterIPs")
    {
        spec.insert("clusterIPs", all.clone());
    }
    take(spec, other, "healthCheckNodePort", "health check port");
    let others = other.get("ports").and_then(Value::as_array).unwrap_or_default();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is = |other: &&Object| ["port", "protocol"].iter().all(|field| other.get(field) == port.get(field));
        if let Some(other) = others.iter().filter_map(Value::as_object).find(is) {
            take(port, other, "nodePort", "node port");
        }
    }
    (!words.is_empty()).then(|| (given, words.join("; ")))
}

fn is_balanced(service: &Value) -> bool {
    text(service, "/spec/type") == "LoadBalancer"
}

fn address_changes(service: &Value) -> Option<String> {
    is_balanced(service).then(|| "its external address may change: the load balancer is made anew".to_owned())
}

fn balancer_lost(changed: &Changed<'_>) -> Vec<String> {
    let lost = changed.live.is_some_and(is_balanced) && !is_balanced(changed.target);
    let said = "its load balancer goes with this change: an undo may get another external address";
    lost.then(|| said.to_owned()).into_iter().collect()
}

fn balancer_goes(service: &Value) -> Option<String> {
    is_balanced(service).then(|| "its load balancer goes with it: an undo may get another external address".to_owned())
}
