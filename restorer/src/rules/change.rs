//! What a change needs beside being sent: what it destroys, what cannot be changed in place, what is adjusted.
//!
//! **Invariant.** A body is adjusted only where the server would refuse it, and what is adjusted is said.

use hindcast_journal::exact::{Object, Value};

use super::verdict::{controller, is_finished};
use crate::{desired::Full, plan::Propagation, reason::Loss, selection::Permission};

/// What deleting an object destroys that no undo brings back; none if nothing.
pub fn destroys(kind_key: &str, object: &Full) -> Option<Loss> {
    let value = &object.value;
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    Some(match kind_key {
        "/persistentvolumeclaims" => match text("/spec/volumeName") {
            "" => Loss::Claim(None),
            volume => Loss::Claim(Some(volume.to_owned())),
        },
        "/persistentvolumes" => Loss::Volume,
        "/namespaces" => Loss::Namespace,
        "apiextensions.k8s.io/customresourcedefinitions" => Loss::Objects(text("/spec/names/kind").to_owned()),
        "batch/jobs" if !is_finished(value) => Loss::Job,
        "/pods" if controller(value).is_none() => Loss::Pod,
        "apps/statefulsets" if text("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete" => {
            Loss::Claims
        }
        "snapshot.storage.k8s.io/volumesnapshots" | "snapshot.storage.k8s.io/volumesnapshotcontents" => Loss::Snapshot,
        _ => return None,
    })
}

/// What is destroyed when an object is changed: nobody deletes it, and it goes all the same.
pub fn destroys_by_change(kind_key: &str, target: &Value, live: &Value) -> Option<Loss> {
    if kind_key != "apps/statefulsets" {
        return None;
    }
    let replicas = |side: &Value| side.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let (now, then) = (replicas(live), replicas(target));
    let policy = "/spec/persistentVolumeClaimRetentionPolicy/whenScaled";
    let deletes = |side: &Value| side.pointer(policy).and_then(Value::as_str) == Some("Delete");
    (then < now && (deletes(target) || deletes(live))).then_some(Loss::Scaled { then, now })
}

/// Fields that cannot change while the object lives.
const IMMUTABLE: &[(&str, &[&str])] = &[
    ("apps/deployments", &["/spec/selector"]),
    ("apps/daemonsets", &["/spec/selector"]),
    ("apps/replicasets", &["/spec/selector"]),
    (
        "batch/jobs",
        &[
            "/spec/selector",
            "/spec/template",
            "/spec/completions",
            "/spec/completionMode",
            "/spec/podFailurePolicy",
            "/spec/successPolicy",
            "/spec/backoffLimitPerIndex",
            "/spec/managedBy",
        ],
    ),
    ("rbac.authorization.k8s.io/rolebindings", &["/roleRef"]),
    ("rbac.authorization.k8s.io/clusterrolebindings", &["/roleRef"]),
    ("/secrets", &["/type"]),
    ("/resourcequotas", &["/spec/scopes", "/spec/scopeSelector"]),
    ("storage.k8s.io/storageclasses", &["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"]),
    ("storage.k8s.io/volumeattributesclasses", &["/driverName", "/parameters"]),
    ("scheduling.k8s.io/priorityclasses", &["/value", "/preemptionPolicy"]),
    ("networking.k8s.io/ingressclasses", &["/spec/controller"]),
    ("node.k8s.io/runtimeclasses", &["/handler"]),
    ("discovery.k8s.io/endpointslices", &["/addressType"]),
    ("resource.k8s.io/resourceclaims", &["/spec"]),
    ("resource.k8s.io/resourceclaimtemplates", &["/spec"]),
    ("apiextensions.k8s.io/customresourcedefinitions", &["/spec/group", "/spec/scope", "/spec/names/plural"]),
];

/// Kinds whose `spec` cannot change but for these members.
const MUTABLE: &[(&str, &[&str])] = &[
    (
        "apps/statefulsets",
        &[
            "replicas",
            "template",
            "updateStrategy",
            "ordinals",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
            "revisionHistoryLimit",
        ],
    ),
    (
        "/pods",
        &[
            "containers",
            "initContainers",
            "ephemeralContainers",
            "activeDeadlineSeconds",
            "terminationGracePeriodSeconds",
            "tolerations",
            "schedulingGates",
        ],
    ),
    ("/persistentvolumeclaims", &["resources", "volumeAttributesClassName", "volumeName"]),
    (
        "/persistentvolumes",
        &[
            "accessModes",
            "capacity",
            "claimRef",
            "mountOptions",
            "persistentVolumeReclaimPolicy",
            "storageClassName",
            "volumeAttributesClassName",
        ],
    ),
];

/// The fields that differ and cannot be changed in place, as JSON pointers; `target` is what would be sent.
pub fn recreate(kind_key: &str, target: &Value, live: &Value) -> Vec<String> {
    let differs = |path: &str| target.pointer(path) != live.pointer(path);
    let of_kind = |table: &'static [(&str, &'static [&str])]| {
        table.iter().find(|(kind, _)| *kind == kind_key).map(|(_, fields)| *fields)
    };
    let mut out: Vec<String> = of_kind(IMMUTABLE)
        .unwrap_or_default()
        .iter()
        .copied()
        .filter(|path| differs(path))
        .map(str::to_owned)
        .collect();
    if let Some(mutable) = of_kind(MUTABLE) {
        out.extend(spec_but(mutable, target, live));
    }
    match kind_key {
        "/pods" => out.extend(containers(target, live)),
        "/services" => out.extend(addresses(target, live)),
        "/configmaps" | "/secrets" if live.get("immutable").and_then(Value::as_bool) == Some(true) => {
            let fields = ["/data", "/binaryData", "/stringData", "/immutable"];
            out.extend(fields.iter().copied().filter(|path| differs(path)).map(str::to_owned));
        }
        _ => {}
    }
    out
}

fn spec_but(mutable: &[&str], target: &Value, live: &Value) -> Vec<String> {
    let spec = |value: &Value| value.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let (target, live) = (spec(target), spec(live));
    let mut fields: Vec<&str> = target.keys().chain(live.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let differs = |field: &&str| !mutable.contains(field) && target.get(field) != live.get(field);
    fields.into_iter().filter(differs).map(|field| format!("/spec/{field}")).collect()
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

/// A Service's first address cannot change while it has one.
fn addresses(target: &Value, live: &Value) -> Vec<String> {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let external = |value: &Value| text(value, "/spec/type") == "ExternalName";
    if external(target) || external(live) {
        return Vec::new();
    }
    let (to, from) = (text(target, "/spec/clusterIP"), text(live, "/spec/clusterIP"));
    if !to.is_empty() && !from.is_empty() && to != from { vec!["/spec/clusterIP".to_owned()] } else { Vec::new() }
}

/// What a delete-and-create-again of this kind takes; nothing where it disturbs nobody.
pub fn recreate_needs(kind_key: &str) -> Option<Permission> {
    match kind_key {
        // Pods of a StatefulSet are left and adopted; the others have nothing that runs.
        "apps/statefulsets"
        | "rbac.authorization.k8s.io/rolebindings"
        | "rbac.authorization.k8s.io/clusterrolebindings"
        | "/configmaps"
        | "/secrets"
        | "/resourcequotas" => None,
        "batch/jobs" => Some(Permission::RerunJobs),
        // To delete one of these is to lose what no new one brings back.
        "/persistentvolumeclaims" | "/persistentvolumes" | "apiextensions.k8s.io/customresourcedefinitions" => {
            Some(Permission::Delete(kind_key.to_owned()))
        }
        _ => Some(Permission::Recreate),
    }
}

/// What becomes of what an object owns when it is deleted, or deleted to be created again.
pub fn propagation(kind_key: &str, recreate: bool) -> Propagation {
    match kind_key {
        "apps/statefulsets" if recreate => Propagation::Orphan,
        // Said and not left to the server, whose default for Jobs and ReplicationControllers is to leave the Pods.
        _ => Propagation::Background,
    }
}

/// Changes a body that is created where the server would refuse it; what was changed, in words.
pub fn adjust(kind_key: &str, body: &mut Value) -> Vec<String> {
    match kind_key {
        "apiextensions.k8s.io/customresourcedefinitions" => preserve_unknown(body),
        "admissionregistration.k8s.io/mutatingwebhookconfigurations"
        | "admissionregistration.k8s.io/validatingwebhookconfigurations" => side_effects(body),
        _ => Vec::new(),
    }
}

/// `preserveUnknownFields: true` is of the first version of CRDs; today's says the same in each schema.
fn preserve_unknown(body: &mut Value) -> Vec<String> {
    let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) else { return Vec::new() };
    if spec.get("preserveUnknownFields").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    spec.insert("preserveUnknownFields", Value::from(false));
    let versions = spec.get_mut("versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut) {
            schema.insert("x-kubernetes-preserve-unknown-fields", Value::from(true));
        }
    }
    vec!["preserveUnknownFields is no longer accepted: each schema preserves unknown fields instead".to_owned()]
}

fn side_effects(body: &mut Value) -> Vec<String> {
    let mut out = Vec::new();
    let webhooks = body.get_mut("webhooks").and_then(Value::as_array_mut);
    for webhook in webhooks.into_iter().flatten().filter_map(Value::as_object_mut) {
        let effects = webhook.get("sideEffects").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !matches!(effects.as_str(), "None" | "NoneOnDryRun") {
            let name = webhook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            webhook.insert("sideEffects", Value::from("None"));
            out.push(format!("sideEffects {effects:?} of webhook {name} is no longer accepted: None instead"));
        }
    }
    out
}

/// Makes a `CronJob` that is created start suspended, so that no missed run fires; whether it has to be resumed when all
/// else is done.
pub fn suspend(kind_key: &str, body: &mut Value) -> bool {
    if kind_key != "batch/cronjobs" {
        return false;
    }
    let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    let before = spec.insert("suspend", Value::from(true));
    before.and_then(|value| value.as_bool()) != Some(true)
}

/// Takes out of a Service what somebody else has by now, as the server's refusal names it; in words. Clients by name don't
/// notice; who used the address or node port does.
pub fn without_taken(kind_key: &str, body: &mut Value, refusal: &str) -> Option<String> {
    if kind_key != "/services" {
        return None;
    }
    let spec = body.get_mut("spec").and_then(Value::as_object_mut)?;
    // A refusal to change an address names the same field; giving it up would be no answer to that.
    let ip = refusal.contains("spec.clusterIP") && refusal.contains("failed to allocate");
    if ip && spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        let old = spec.remove("clusterIP")?;
        spec.remove("clusterIPs");
        return Some(format!("its address {} is taken: it has another one", old.as_str().unwrap_or_default()));
    }
    if refusal.contains("spec.healthCheckNodePort") {
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

/// A Service as it is to be, but with the address and the ports that `now` has where both have one: how it stands if it was
/// written without what others held. With these in words; `None` where they are the same.
pub fn as_given(kind_key: &str, wanted: &Value, now: &Value) -> Option<(Value, String)> {
    if kind_key != "/services" {
        return None;
    }
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

/// A released volume made ready for a claim that is created again: its reference to the old claim loses the uid.
pub fn rebind(volume: &Value) -> Option<Value> {
    let mut volume = volume.clone();
    let claim = volume.pointer_mut("/spec/claimRef").and_then(Value::as_object_mut)?;
    let bound = claim.remove("uid").is_some();
    claim.remove("resourceVersion");
    bound.then_some(volume)
}

/// What must be known of a change although it is done: `target` is what is sent, `then` the object as it was.
pub fn warnings(kind_key: &str, target: &Value, then: &Value, live: Option<&Value>, recreate: bool) -> Vec<String> {
    let mut out = Vec::new();
    let text = |path: &str| target.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let created = live.is_none() || recreate;
    if kind_key == "/services" && text("/spec/type") == "LoadBalancer" && created {
        out.push("its external address may change: the load balancer is made anew".to_owned());
    }
    if created {
        let own = |finalizer: &&str| {
            finalizer.split_once('/').is_some_and(|(of, _)| !(of == "kubernetes.io" || of.ends_with(".kubernetes.io")))
        };
        let list = target.pointer("/metadata/finalizers").and_then(Value::as_array).unwrap_or_default();
        for finalizer in list.iter().filter_map(Value::as_str).filter(own) {
            out.push(format!("has finalizer {finalizer}: without its controller the object cannot be deleted later"));
        }
    }
    if matches!(kind_key, "/configmaps" | "/secrets") && recreate {
        out.push("it is immutable: Pods that run keep the old content until they are restarted".to_owned());
    }
    let volume = then.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
    if kind_key == "/persistentvolumeclaims" && live.is_none() && volume != text("/spec/volumeName") {
        out.push(format!("claim re-created EMPTY: its volume {volume} is not there"));
    }
    if kind_key == "apiextensions.k8s.io/customresourcedefinitions" {
        for (version, fields) in live.map(|live| super::crd::pruned_fields(target, live)).unwrap_or_default() {
            let fields = fields.join(", ");
            out.push(format!("{version} loses {fields}: objects lose these fields when they are written again"));
        }
    }
    out
}

/// What rights are missing, out of the server's refusal to let somebody grant more than they have.
pub fn escalation(kind_key: &str, name: &str, message: &str) -> Option<String> {
    let resource = kind_key.strip_prefix("rbac.authorization.k8s.io/")?;
    let refused = message.contains("attempting to grant RBAC permissions not currently held")
        || message.contains("user may not bind");
    let (verb, what) = match resource {
        "rolebindings" | "clusterrolebindings" => ("bind", "the role that it binds"),
        _ => ("escalate", "roles of this kind"),
    };
    refused.then(|| format!("{resource} {name} grants more than you have: needs the verb {verb} on {what}"))
}
