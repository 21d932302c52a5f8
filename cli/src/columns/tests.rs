use hindcast_journal::{exact, facts::PrinterColumn};

use super::*;

fn object(json: &str) -> Value {
    exact::parse(json.as_bytes()).unwrap()
}

const T: &str = "2026-11-01T14:01:00Z";

fn time() -> Micros {
    T.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

fn row(group: &str, resource: &str, json: &str, wide: bool) -> Vec<String> {
    let kind = Discovery { group: group.to_owned(), resource: resource.to_owned(), ..Discovery::default() };
    let object = object(json);
    of(&kind, wide).iter().map(|column| format!("{}={}", column.heading, column.cell(&object, time()))).collect()
}

#[test]
fn spans_are_kubectls() {
    for (seconds, expected) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_100, "3h5m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (66_000_000, "2y33d"),
        (252_288_000, "8y"),
    ] {
        assert_eq!(span(seconds * 1_000_000), expected, "{seconds}");
    }
}

#[test]
fn a_pod_shows_what_is_wrong_with_it() {
    let pod = |status: &str, meta: &str| {
        let json = format!(
            r#"{{"metadata":{{"creationTimestamp":"2026-11-01T13:51:00Z"{meta}}},
            "spec":{{"nodeName":"n1","containers":[{{"name":"a"}},{{"name":"b"}}],"initContainers":[{{"name":"i"}}]}},
            "status":{status}}}"#
        );
        row("", "pods", &json, false).join(" ")
    };
    assert_eq!(
        pod(
            r#"{"phase":"Running","containerStatuses":[{"ready":true,"restartCount":0,"state":{"running":{}}},
            {"ready":false,"restartCount":4,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
            "lastState":{"terminated":{"finishedAt":"2026-11-01T13:58:30Z"}}}]}"#,
            ""
        ),
        "READY=1/2 STATUS=CrashLoopBackOff RESTARTS=4 (2m30s ago) AGE=10m"
    );
    assert_eq!(pod(r#"{"phase":"Pending"}"#, ""), "READY=0/2 STATUS=Pending RESTARTS=0 AGE=10m");
    assert!(
        pod(r#"{"phase":"Pending","initContainerStatuses":[{"name":"i","state":{"running":{}}}]}"#, "")
            .contains("STATUS=Init:0/1")
    );
    assert!(pod(r#"{"phase":"Pending","initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":1,"reason":"Error"}}}]}"#, "")
        .contains("STATUS=Init:Error"));
    assert!(
        pod(r#"{"phase":"Running"}"#, r#","deletionTimestamp":"2026-11-01T14:00:00Z""#).contains("STATUS=Terminating")
    );
    assert!(pod(r#"{"phase":"Succeeded","containerStatuses":[{"state":{"terminated":{"reason":"Completed","exitCode":0}}}]}"#, "")
        .contains("STATUS=Completed"));
    assert!(
        pod(r#"{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":137}}}]}"#, "")
            .contains("STATUS=ExitCode:137")
    );
    assert!(pod(r#"{"phase":"Failed","reason":"Evicted"}"#, "").contains("STATUS=Evicted"));
}

#[test]
fn workloads_services_and_storage() {
    let meta = r#""metadata":{"creationTimestamp":"2026-11-01T14:00:00Z"}"#;
    let cases: [(&str, &str, &str, &str); 13] = [
        (
            "apps",
            "deployments",
            r#""spec":{"replicas":3},"status":{"readyReplicas":2,"updatedReplicas":1,"availableReplicas":2}"#,
            "READY=2/3 UP-TO-DATE=1 AVAILABLE=2 AGE=60s",
        ),
        ("apps", "statefulsets", r#""spec":{"replicas":0}"#, "READY=0/0 AGE=60s"),
        (
            "apps",
            "replicasets",
            r#""spec":{"replicas":2},"status":{"replicas":1}"#,
            "DESIRED=2 CURRENT=1 READY=0 AGE=60s",
        ),
        (
            "batch",
            "jobs",
            r#""spec":{"completions":1},"status":{"succeeded":1,"startTime":"2026-11-01T14:00:10Z","completionTime":"2026-11-01T14:00:25Z","conditions":[{"type":"Complete","status":"True"}]}"#,
            "STATUS=Complete COMPLETIONS=1/1 DURATION=15s AGE=60s",
        ),
        (
            "batch",
            "cronjobs",
            r#""spec":{"schedule":"*/5 * * * *","suspend":false},"status":{"lastScheduleTime":"2026-11-01T13:59:00Z"}"#,
            "SCHEDULE=*/5 * * * * TIMEZONE=<none> SUSPEND=False ACTIVE=0 LAST SCHEDULE=2m AGE=60s",
        ),
        (
            "",
            "services",
            r#""spec":{"type":"LoadBalancer","clusterIP":"10.0.0.1","ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}"#,
            "TYPE=LoadBalancer CLUSTER-IP=10.0.0.1 EXTERNAL-IP=<pending> PORT(S)=80:30080/TCP,53/UDP AGE=60s",
        ),
        (
            "networking.k8s.io",
            "ingresses",
            r#""spec":{"rules":[{"host":"a.b"}],"tls":[{}]},"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"}]}}"#,
            "CLASS=<none> HOSTS=a.b ADDRESS=1.2.3.4 PORTS=80, 443 AGE=60s",
        ),
        ("", "configmaps", r#""data":{"a":"1","b":"2"},"binaryData":{"c":""}"#, "DATA=3 AGE=60s"),
        ("", "secrets", r#""type":"Opaque","data":{"a":"1"}"#, "TYPE=Opaque DATA=1 AGE=60s"),
        (
            "",
            "persistentvolumeclaims",
            r#""spec":{"volumeName":"v","storageClassName":"s"},"status":{"phase":"Bound","capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"]}"#,
            "STATUS=Bound VOLUME=v CAPACITY=1Gi ACCESS MODES=RWO STORAGECLASS=s AGE=60s",
        ),
        (
            "",
            "persistentvolumes",
            r#""spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadOnlyMany"],"persistentVolumeReclaimPolicy":"Delete","claimRef":{"namespace":"n","name":"c"}},"status":{"phase":"Bound"}"#,
            "CAPACITY=1Gi ACCESS MODES=ROX RECLAIM POLICY=Delete STATUS=Bound CLAIM=n/c STORAGECLASS= REASON= AGE=60s",
        ),
        ("", "namespaces", r#""status":{"phase":"Active"}"#, "STATUS=Active AGE=60s"),
        (
            "",
            "nodes",
            r#""spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.36.0"}}"#,
            "STATUS=Ready,SchedulingDisabled ROLES=<none> AGE=60s VERSION=v1.36.0",
        ),
    ];
    for (group, resource, body, expected) in cases {
        assert_eq!(row(group, resource, &format!("{{{meta},{body}}}"), false).join(" "), expected);
    }
    let wide = row(
        "apps",
        "deployments",
        r#"{"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"spec":{"containers":[{"name":"x","image":"i:1"}]}}}}"#,
        true,
    );
    assert_eq!(wide[3..], ["AGE=<unknown>", "CONTAINERS=x", "IMAGES=i:1", "SELECTOR=a=b"]);
}

#[test]
fn an_odd_object_makes_no_error() {
    for (group, resource) in [
        ("", "pods"),
        ("apps", "deployments"),
        ("apps", "daemonsets"),
        ("batch", "jobs"),
        ("batch", "cronjobs"),
        ("", "services"),
        ("networking.k8s.io", "ingresses"),
        ("", "configmaps"),
        ("", "nodes"),
        ("", "persistentvolumes"),
        ("", "persistentvolumeclaims"),
        ("x", "ys"),
    ] {
        for json in [
            "{}",
            "null",
            "[1]",
            r#"{"metadata":[],"spec":"x","status":3,"data":[]}"#,
            r#"{"spec":{"replicas":1.5,"ports":[null,{"nodePort":"x"}],"rules":[3],"containers":{}}}"#,
        ] {
            row(group, resource, json, true);
        }
    }
}

#[test]
fn a_crds_columns_are_its_own() {
    let column = |name: &str, path: &str, type_: &str, priority| PrinterColumn {
        name: name.to_owned(),
        json_path: path.to_owned(),
        type_: type_.to_owned(),
        priority,
    };
    let kind = Discovery {
        group: "example.com".to_owned(),
        resource: "widgets".to_owned(),
        columns: vec![
            column("Ready", r#".status.conditions[?(@.type=="Ready")].status"#, "string", 0),
            column("Size", ".spec.size", "integer", 0),
            column("Host", ".spec.hosts[0]", "string", 0),
            column("Anno", r".metadata.annotations.example\.com/x", "string", 0),
            column("Age", ".metadata.creationTimestamp", "date", 0),
            column("Odd", "..x[(", "string", 0),
            column("All", ".spec.hosts[*]", "string", 1),
        ],
        ..Discovery::default()
    };
    let object = object(
        r#"{"metadata":{"creationTimestamp":"2026-11-01T13:00:00Z","annotations":{"example.com/x":"y"}},
        "spec":{"size":1.10,"hosts":["a","b"]},
        "status":{"conditions":[{"type":"Synced","status":"False"},{"type":"Ready","status":"True"}]}}"#,
    );
    let cells = |wide| of(&kind, wide).iter().map(|c| (c.heading.clone(), c.cell(&object, time()))).collect::<Vec<_>>();
    let texts: Vec<String> = cells(true).into_iter().map(|(h, c)| format!("{h}={c}")).collect();
    assert_eq!(texts, ["READY=True", "SIZE=1.10", "HOST=a", "ANNO=y", "AGE=61m", "ODD=", "ALL=a,b"]);
    assert_eq!(cells(false).len(), 6);
    let plain = Discovery { resource: "plains".to_owned(), ..Discovery::default() };
    assert_eq!(of(&plain, true).iter().map(|c| c.heading.as_str()).collect::<Vec<_>>(), ["AGE"]);
}

#[test]
fn json_paths() {
    let value = object(r#"{"a":{"b.c":1,"list":[{"t":"x","v":"1"},{"t":"y","v":"2"},{"v":"3"}],"n":null},"s":"q"}"#);
    let find =
        |path: &str| Path::parse(path).map(|p| p.find(&value).iter().map(|v| text(v)).collect::<Vec<_>>().join("|"));
    for (path, expected) in [
        (".s", "q"),
        ("s", "q"),
        ("{.s}", "q"),
        ("$.s", "q"),
        (".a['b.c']", "1"),
        (r".a.b\.c", "1"),
        (".a.list[0].v", "1"),
        (".a.list[-1].v", "3"),
        (".a.list[9].v", ""),
        (".a.list[*].v", "1|2|3"),
        (".a.list.*.v", "1|2|3"),
        (".a.list[0:2].v", "1|2"),
        (".a.list[1:].v", "2|3"),
        (r#".a.list[?(@.t=="y")].v"#, "2"),
        (".a.list[?(@.t=='x')].v", "1"),
        (".a.list[?(@.t!='x')].v", "2|3"),
        (".a.list[?(@.t)].v", "1|2"),
        (".missing.x", ""),
        (".a.n", ""),
        (".s.t", ""),
    ] {
        assert_eq!(find(path).as_deref(), Some(expected), "{path}");
    }
    for path in ["..a", ".a[", ".a[?(@.x>1)]", ".a b", "", ".a[x]"] {
        assert_eq!(find(path), None, "{path}");
    }
}
