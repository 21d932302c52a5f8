//! Columns of the kinds of Kubernetes itself that people look at most.

use std::fmt::Write as _;

use hindcast_journal::{
    exact::{Object as Map, Value},
    parts::Micros,
};

use super::{Column, age, age_of, span, text};

/// The columns of a kind, if it has a table here.
pub(super) fn of(group: &str, resource: &str) -> Option<Vec<Column>> {
    let own = Column::own;
    let age = || Column::own("AGE", age);
    Some(match (group, resource) {
        ("", "pods") => vec![
            own("READY", |o, _| pod(o).1),
            own("STATUS", |o, _| pod(o).0),
            own("RESTARTS", restarts),
            age(),
            Column::wide("IP", |o, _| none(o, "/status/podIP")),
            Column::wide("NODE", |o, _| none(o, "/spec/nodeName")),
        ],
        ("apps", "deployments") => with_pods(
            vec![
                own("READY", |o, _| ready(o)),
                own("UP-TO-DATE", |o, _| count(o, "/status/updatedReplicas")),
                own("AVAILABLE", |o, _| count(o, "/status/availableReplicas")),
                age(),
            ],
            true,
        ),
        ("apps", "replicasets") => with_pods(
            vec![
                own("DESIRED", |o, _| count(o, "/spec/replicas")),
                own("CURRENT", |o, _| count(o, "/status/replicas")),
                own("READY", |o, _| count(o, "/status/readyReplicas")),
                age(),
            ],
            true,
        ),
        ("apps", "statefulsets") => with_pods(vec![own("READY", |o, _| ready(o)), age()], false),
        ("apps", "daemonsets") => with_pods(
            vec![
                own("DESIRED", |o, _| count(o, "/status/desiredNumberScheduled")),
                own("CURRENT", |o, _| count(o, "/status/currentNumberScheduled")),
                own("READY", |o, _| count(o, "/status/numberReady")),
                own("UP-TO-DATE", |o, _| count(o, "/status/updatedNumberScheduled")),
                own("AVAILABLE", |o, _| count(o, "/status/numberAvailable")),
                own("NODE SELECTOR", |o, _| pairs(o.pointer("/spec/template/spec/nodeSelector"))),
                age(),
            ],
            true,
        ),
        ("batch", "jobs") => with_pods(
            vec![
                own("STATUS", |o, _| job(o)),
                own("COMPLETIONS", |o, _| completions(o)),
                own("DURATION", duration),
                age(),
            ],
            true,
        ),
        ("batch", "cronjobs") => vec![
            own("SCHEDULE", |o, _| at(o, "/spec/schedule")),
            own("TIMEZONE", |o, _| none(o, "/spec/timeZone")),
            own("SUSPEND", |o, _| title(&at(o, "/spec/suspend"))),
            own("ACTIVE", |o, _| list(o, "/status/active").len().to_string()),
            own("LAST SCHEDULE", |o, t| {
                o.pointer("/status/lastScheduleTime").map_or("<none>".to_owned(), |v| age_of(v, t))
            }),
            age(),
        ],
        _ => return services_and_storage(group, resource),
    })
}

fn services_and_storage(group: &str, resource: &str) -> Option<Vec<Column>> {
    let own = Column::own;
    let age = || Column::own("AGE", age);
    Some(match (group, resource) {
        ("", "services") => vec![
            own("TYPE", |o, _| at(o, "/spec/type")),
            own("CLUSTER-IP", |o, _| none(o, "/spec/clusterIP")),
            own("EXTERNAL-IP", |o, _| external(o)),
            own("PORT(S)", |o, _| ports(o)),
            age(),
            Column::wide("SELECTOR", |o, _| pairs(o.pointer("/spec/selector"))),
        ],
        ("networking.k8s.io", "ingresses") => vec![
            own("CLASS", |o, _| none(o, "/spec/ingressClassName")),
            own("HOSTS", |o, _| hosts(o)),
            own("ADDRESS", |o, _| balancer(o)),
            own("PORTS", |o, _| if list(o, "/spec/tls").is_empty() { "80" } else { "80, 443" }.to_owned()),
            age(),
        ],
        ("", "configmaps") => vec![own("DATA", |o, _| data(o)), age()],
        ("", "secrets") => {
            vec![own("TYPE", |o, _| at(o, "/type")), own("DATA", |o, _| data(o)), age()]
        }
        ("", "persistentvolumeclaims") => vec![
            own("STATUS", |o, _| phase(o)),
            own("VOLUME", |o, _| at(o, "/spec/volumeName")),
            own("CAPACITY", |o, _| at(o, "/status/capacity/storage")),
            own("ACCESS MODES", |o, _| modes(o, "/status/accessModes")),
            own("STORAGECLASS", |o, _| at(o, "/spec/storageClassName")),
            age(),
            Column::wide("VOLUMEMODE", |o, _| at(o, "/spec/volumeMode")),
        ],
        ("", "persistentvolumes") => vec![
            own("CAPACITY", |o, _| at(o, "/spec/capacity/storage")),
            own("ACCESS MODES", |o, _| modes(o, "/spec/accessModes")),
            own("RECLAIM POLICY", |o, _| at(o, "/spec/persistentVolumeReclaimPolicy")),
            own("STATUS", |o, _| phase(o)),
            own("CLAIM", |o, _| claim(o)),
            own("STORAGECLASS", |o, _| at(o, "/spec/storageClassName")),
            own("REASON", |o, _| at(o, "/status/reason")),
            age(),
            Column::wide("VOLUMEMODE", |o, _| at(o, "/spec/volumeMode")),
        ],
        ("", "namespaces") => vec![own("STATUS", |o, _| phase(o)), age()],
        ("", "nodes") => vec![
            own("STATUS", |o, _| node(o)),
            own("ROLES", |o, _| roles(o)),
            age(),
            own("VERSION", |o, _| at(o, "/status/nodeInfo/kubeletVersion")),
            Column::wide("INTERNAL-IP", |o, _| address(o, "InternalIP")),
            Column::wide("EXTERNAL-IP", |o, _| address(o, "ExternalIP")),
            Column::wide("OS-IMAGE", |o, _| at(o, "/status/nodeInfo/osImage")),
            Column::wide("KERNEL-VERSION", |o, _| at(o, "/status/nodeInfo/kernelVersion")),
            Column::wide("CONTAINER-RUNTIME", |o, _| at(o, "/status/nodeInfo/containerRuntimeVersion")),
        ],
        _ => return None,
    })
}

/// The wide columns of what makes Pods.
fn with_pods(mut columns: Vec<Column>, selector: bool) -> Vec<Column> {
    columns.push(Column::wide("CONTAINERS", |o, _| containers(o, "name")));
    columns.push(Column::wide("IMAGES", |o, _| containers(o, "image")));
    if selector {
        columns.push(Column::wide("SELECTOR", |o, _| pairs(o.pointer("/spec/selector/matchLabels"))));
    }
    columns
}

fn at(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).map_or_else(String::new, text)
}

fn none(object: &Value, pointer: &str) -> String {
    or_none(at(object, pointer))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn count(object: &Value, pointer: &str) -> String {
    number(object, pointer).to_string()
}

fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn ready(object: &Value) -> String {
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    format!("{}/{wanted}", number(object, "/status/readyReplicas"))
}

fn pairs(map: Option<&Value>) -> String {
    let Some(map) = map.and_then(Value::as_object) else { return "<none>".to_owned() };
    or_none(map.iter().map(|(k, v)| format!("{k}={}", text(v))).collect::<Vec<_>>().join(","))
}

fn containers(object: &Value, field: &str) -> String {
    let names = list(object, "/spec/template/spec/containers").iter();
    names.filter_map(|c| c.get(field)?.as_str()).collect::<Vec<_>>().join(",")
}

fn data(object: &Value) -> String {
    let members = |pointer| object.pointer(pointer).and_then(Value::as_object).map_or(0, Map::len);
    (members("/data") + members("/binaryData")).to_string()
}

fn condition<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    let found = list(object, "/status/conditions").iter().find(|c| c.get("type").and_then(Value::as_str) == Some(name));
    found?.get("status")?.as_str()
}

fn phase(object: &Value) -> String {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        "Terminating".to_owned()
    } else {
        at(object, "/status/phase")
    }
}

/// The one word for how a Pod was, and its containers that were ready out of all.
fn pod(object: &Value) -> (String, String) {
    let total = list(object, "/spec/containers").len();
    let statuses = list(object, "/status/containerStatuses");
    let ready = statuses.iter().filter(|s| s.get("ready") == Some(&Value::Bool(true))).count();
    let mut word = at(object, "/status/phase");
    let reason = at(object, "/status/reason");
    if !reason.is_empty() {
        word.clone_from(&reason);
    }
    if let Some(init) = initialising(object) {
        word = init;
    } else {
        let mut running = false;
        // The first container's word wins, as kubectl walks them backwards.
        for status in statuses.iter().rev() {
            if let Some(state) = stopped(status) {
                word = state;
            }
            running |= status.pointer("/state/running").is_some() && status.get("ready") == Some(&Value::Bool(true));
        }
        if word == "Completed" && running {
            let ready = condition(object, "Ready") == Some("True");
            if ready { "Running" } else { "NotReady" }.clone_into(&mut word);
        }
    }
    let over = matches!(at(object, "/status/phase").as_str(), "Succeeded" | "Failed");
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        if reason == "NodeLost" {
            "Unknown".clone_into(&mut word);
        } else if !over {
            "Terminating".clone_into(&mut word);
        }
    }
    (word, format!("{ready}/{total}"))
}

/// Why a container does not run.
fn stopped(status: &Value) -> Option<String> {
    let waiting = at(status, "/state/waiting/reason");
    if !waiting.is_empty() {
        return Some(waiting);
    }
    let ended = status.pointer("/state/terminated")?;
    let reason = at(ended, "/reason");
    if !reason.is_empty() {
        return Some(reason);
    }
    Some(match number(ended, "/signal") {
        0 => format!("ExitCode:{}", number(ended, "/exitCode")),
        signal => format!("Signal:{signal}"),
    })
}

/// How far the init containers are, while any is not done.
fn initialising(object: &Value) -> Option<String> {
    let specs = list(object, "/spec/initContainers");
    for (done, status) in list(object, "/status/initContainerStatuses").iter().enumerate() {
        let name = status.get("name");
        let always = specs.iter().any(|spec| {
            spec.get("name") == name && spec.get("restartPolicy").and_then(Value::as_str) == Some("Always")
        });
        let ended = status.pointer("/state/terminated");
        if ended.is_some_and(|e| number(e, "/exitCode") == 0)
            || (always && status.get("started") == Some(&Value::Bool(true)))
        {
            continue;
        }
        return Some(match stopped(status) {
            Some(reason) if reason != "PodInitializing" => format!("Init:{reason}"),
            _ => format!("Init:{done}/{}", specs.len()),
        });
    }
    None
}

fn restarts(object: &Value, time: Micros) -> String {
    let statuses = list(object, "/status/containerStatuses");
    let total: i64 = statuses.iter().map(|s| number(s, "/restartCount")).sum();
    let last = statuses
        .iter()
        .filter_map(|s| s.pointer("/lastState/terminated/finishedAt")?.as_str()?.parse().ok())
        .map(|stamp: jiff::Timestamp| stamp.as_microsecond())
        .max();
    match last {
        Some(last) if total > 0 => format!("{total} ({} ago)", span(time - last)),
        _ => total.to_string(),
    }
}

fn job(object: &Value) -> String {
    for (name, word) in [("Complete", "Complete"), ("Failed", "Failed")] {
        if condition(object, name) == Some("True") {
            return word.to_owned();
        }
    }
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return "Terminating".to_owned();
    }
    for (name, word) in
        [("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet")]
    {
        if condition(object, name) == Some("True") {
            return word.to_owned();
        }
    }
    "Running".to_owned()
}

fn completions(object: &Value) -> String {
    let done = number(object, "/status/succeeded");
    match object.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{done}/{wanted}"),
        None => match number(object, "/spec/parallelism") {
            parallel if parallel > 1 => format!("{done}/1 of {parallel}"),
            _ => format!("{done}/1"),
        },
    }
}

fn duration(object: &Value, time: Micros) -> String {
    let stamp = |pointer| -> Option<Micros> {
        let stamp: jiff::Timestamp = object.pointer(pointer)?.as_str()?.parse().ok()?;
        Some(stamp.as_microsecond())
    };
    stamp("/status/startTime")
        .map_or_else(String::new, |start| span(stamp("/status/completionTime").unwrap_or(time) - start))
}

fn balancer(object: &Value) -> String {
    let points = list(object, "/status/loadBalancer/ingress").iter();
    let name = |point: &Value| match at(point, "/ip") {
        ip if ip.is_empty() => at(point, "/hostname"),
        ip => ip,
    };
    points.map(name).collect::<Vec<_>>().join(",")
}

fn external(object: &Value) -> String {
    let given = list(object, "/spec/externalIPs").iter().map(text).collect::<Vec<_>>().join(",");
    match at(object, "/spec/type").as_str() {
        "ExternalName" => at(object, "/spec/externalName"),
        "LoadBalancer" => {
            let all = [balancer(object), given];
            let all: Vec<String> = all.into_iter().filter(|t| !t.is_empty()).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => or_none(given),
    }
}

fn ports(object: &Value) -> String {
    let mut out = String::new();
    for port in list(object, "/spec/ports") {
        let separator = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{separator}{}", at(port, "/port"));
        if let Some(node) = port.get("nodePort").and_then(Value::as_i64).filter(|n| *n != 0) {
            let _ = write!(out, ":{node}");
        }
        let _ = write!(out, "/{}", at(port, "/protocol"));
    }
    or_none(out)
}

fn hosts(object: &Value) -> String {
    let hosts: Vec<String> =
        list(object, "/spec/rules").iter().map(|r| at(r, "/host")).filter(|h| !h.is_empty()).collect();
    if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") }
}

fn modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO".to_owned(),
        Some("ReadOnlyMany") => "ROX".to_owned(),
        Some("ReadWriteMany") => "RWX".to_owned(),
        Some("ReadWriteOncePod") => "RWOP".to_owned(),
        _ => text(mode),
    };
    list(object, pointer).iter().map(short).collect::<Vec<_>>().join(",")
}

fn claim(object: &Value) -> String {
    match at(object, "/spec/claimRef/name") {
        name if name.is_empty() => name,
        name => format!("{}/{name}", at(object, "/spec/claimRef/namespace")),
    }
}

fn node(object: &Value) -> String {
    let mut word = match condition(object, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        word.push_str(",SchedulingDisabled");
    }
    word
}

fn roles(object: &Value) -> String {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let roles = labels.into_iter().flat_map(|labels| {
        labels.iter().filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None if key == "kubernetes.io/role" => Some(text(value)),
            None => None,
        })
    });
    or_none(roles.filter(|role| !role.is_empty()).collect::<Vec<_>>().join(","))
}

fn address(object: &Value, name: &str) -> String {
    let found = list(object, "/status/addresses").iter().find(|a| a.get("type").and_then(Value::as_str) == Some(name));
    or_none(found.map_or_else(String::new, |a| at(a, "/address")))
}
