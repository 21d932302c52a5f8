use hindcast_restorer::plan::{LiveRef, WantedRef, Wave};
use serde_json::{Value, json};

use super::*;
use crate::view::{Field, plan::Name};

pub(crate) fn name(kind: &str, group: &str, resource: &str, name: &str) -> Name {
    Name {
        kind: kind.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

pub(crate) fn field(path: &str, from: Option<Value>, to: Option<Value>) -> Field {
    Field { path: path.to_owned(), from, to, shown: crate::paths::spell(path) }
}

fn deployment(of: &str) -> Name {
    name("Deployment", "apps", "deployments", of)
}

fn action(verb: Verb, object: Name, group: u8, changes: Vec<Field>) -> Action {
    let live = LiveRef { uid: "u1".into(), rv: "812".into(), hash: "aa".into() };
    let wanted = WantedRef { pos: 4711, uid: "u1".into(), hash: "bb".into() };
    Action {
        verb,
        object,
        version: "v1".into(),
        wave: Wave { group, depth: 0 },
        live: Some(live).filter(|_| verb != Verb::Create),
        wanted: Some(wanted).filter(|_| verb != Verb::Delete),
        changes,
        kept: Vec::new(),
        evidence: None,
        warnings: Vec::new(),
        check: None,
    }
}

fn left(verb: Verb, object: Name, code: &str, reason: &str, flag: Option<&str>) -> Left {
    let standing = match (code, flag) {
        (_, Some(_)) => Standing::Wanting,
        ("owned", _) => Standing::Machines,
        _ => Standing::Rule,
    };
    Left { verb, object, code: code.into(), reason: reason.into(), flag: flag.map(str::to_owned), standing }
}

pub(crate) fn empty(what: What) -> Plan {
    let plan = hindcast_restorer::Plan {
        cluster: "7385aaaa-0000-4000-8000-000000000001".into(),
        cut: hindcast_journal::cut::Cut::default(),
        time: 1_793_538_060_000_000,
        undoes: None,
        selection: Selection::of(what),
        actions: Vec::new(),
        left: Vec::new(),
        notes: Vec::new(),
        reservations: Vec::new(),
        unchanged: 14,
        kept: Vec::new(),
        system: Vec::new(),
        switches_on: Vec::new(),
    };
    let prepared = hindcast_restorer::Prepared {
        plan,
        bodies: BTreeMap::new(),
        around: hindcast_restorer::intent::Surroundings::default(),
        places: Vec::new(),
    };
    let mut plan = Plan::new(&prepared, "rev:812345".into());
    plan.cut.rev = 812_345;
    plan
}

/// A bad deploy, to be taken back.
pub(crate) fn bad_deploy() -> Plan {
    let mut plan = empty(What::Namespace("shop".into()));
    let conf = "listen 80;\nserver_name shop;\nworkers 4;\n";
    let config = vec![
        field("/data/LEVEL", Some(json!("debug")), Some(json!("info"))),
        field("/data/REGION", None, Some(json!("eu"))),
        field("/data/nginx.conf", Some(json!("listen 80;\nserver_name shop;\nworkers 1;\n")), Some(json!(conf))),
    ];
    let image = "/spec/template/spec/containers/0/image";
    let mut web = action(
        Verb::Update,
        deployment("web"),
        3,
        vec![field(image, Some(json!("shop/web:2.0")), Some(json!("shop/web:1.9")))],
    );
    web.kept.push(Kept {
        field: field("/spec/replicas", Some(json!(5)), Some(json!(3))),
        rule: "hpa-replicas".into(),
        owner: "HorizontalPodAutoscaler web".into(),
        standing: Standing::Machines,
        flag: None,
    });
    web.check =
        Some(Check::Refused("admission webhook \"policy.example.com\" denied the request: image not signed".into()));
    let mut service = action(Verb::Create, name("Service", "", "services", "web"), 2, Vec::new());
    service.warnings.push("the external address of a LoadBalancer may change".into());
    let mut stray = action(Verb::Delete, name("ConfigMap", "", "configmaps", "debug-tools"), 9, Vec::new());
    stray.evidence = Some("added at position 4720 (2026-11-01 13:02:10), after the moment; the same uid now".into());
    plan.actions =
        vec![action(Verb::Update, name("ConfigMap", "", "configmaps", "web"), 1, config), service, web, stray];
    let owned = "ReplicaSet web-2 is handled with its owner";
    plan.left = vec![
        left(
            Verb::Delete,
            name("PersistentVolumeClaim", "", "persistentvolumeclaims", "scratch"),
            "destroys-data",
            "deleting it would destroy its volume",
            Some("--allow-delete persistentvolumeclaims"),
        ),
        left(Verb::Create, name("Job", "batch", "jobs", "migrate"), "job-complete", "it was complete then", None),
        left(Verb::Delete, name("Pod", "", "pods", "web-2-a"), "owned", owned, None),
        left(Verb::Delete, name("Pod", "", "pods", "web-2-b"), "owned", owned, None),
    ];
    plan.notes = vec![
        "ConfigMap web changes, Deployment web reads it through its environment: Pods see it when they are made again, which this plan does".into(),
        "Argo CD application shop owns Deployment web and may put 2.0 back".into(),
    ];
    plan
}

fn text(plan: &Plan) -> String {
    let wall = Wall::new(0, Some("UTC")).unwrap();
    crate::printer::tests::plain(&lines(plan, &wall))
}

#[test]
fn a_bad_deploy_is_taken_back() {
    insta::assert_snapshot!(text(&bad_deploy()));
}

#[test]
fn what_is_narrow_says_so_and_nothing_to_do_is_said() {
    let mut plan =
        empty(What::Object { kind: "apps/deployments".into(), namespace: "shop".into(), name: "web".into() });
    plan.selection.path = Some("/spec/template".into());
    insta::assert_snapshot!(text(&plan));
    let mut all = empty(What::All);
    all.undoes = Some("20261101-130500-ab12".into());
    all.selection.only = vec![("/configmaps".into(), "web".into())];
    all.selection.labels = "app=web".into();
    insta::assert_snapshot!(text(&all));
}

#[test]
fn many_alike_share_a_line() {
    let mut plan = empty(What::All);
    let pod = |n: usize| name("Pod", "", "pods", &format!("web-{n}"));
    plan.left = (0..20).map(|n| left(Verb::Delete, pod(n), "owned", &format!("by ReplicaSet {n}"), None)).collect();
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn what_is_kept_is_told_with_the_path_that_puts_it_back() {
    let mut plan = empty(What::Namespace("shop".into()));
    let of = |object: Name, kept: Kept| KeptIn { object, fields: vec![kept] };
    let replicas = |n: usize| {
        let kept = Kept {
            field: field("/spec/replicas", Some(json!(5)), Some(json!(3))),
            rule: "hpa-replicas".into(),
            owner: format!("HorizontalPodAutoscaler web-{n}"),
            standing: Standing::Machines,
            flag: None,
        };
        of(deployment(&format!("web-{n}")), kept)
    };
    plan.kept = (0..6).map(replicas).collect();
    let finalizers = Kept {
        field: field("/metadata/finalizers", None, Some(json!(["shop.example/cleanup"]))),
        rule: "finalizers".into(),
        owner: "the programs that clean up".into(),
        standing: Standing::Wanting,
        flag: Some("--path metadata.finalizers".into()),
    };
    let size = Kept {
        field: field("/spec/resources/requests/storage", Some(json!("2Gi")), Some(json!("1Gi"))),
        rule: "pvc-size".into(),
        owner: "a volume cannot shrink".into(),
        standing: Standing::Rule,
        flag: None,
    };
    plan.kept.push(of(name("Cart", "shop.example", "carts", "mine"), finalizers));
    plan.kept.push(of(name("PersistentVolumeClaim", "", "persistentvolumeclaims", "data"), size));
    plan.left.push(left(Verb::Delete, name("Pod", "", "pods", "web-1-a"), "owned", "ReplicaSet web-1 makes it", None));
    insta::assert_snapshot!(text(&plan));
    crate::commands::schema("plan", &serde_json::to_string(&plan).unwrap());
}

#[test]
fn long_texts_are_shortened() {
    let old: String = (0..100).fold(String::new(), |text, n| format!("{text}line {n}\n"));
    let change = field("/data/x", Some(json!(old)), Some(json!("short\n")));
    let shown = crate::printer::tests::plain(&fields::lines(&[change], 0, 9));
    assert!(shown.lines().count() < 50 && shown.ends_with("more lines; -o json has all\n"), "{shown}");
    let many: Vec<Field> = (0..30).map(|n| field(&format!("/data/{n}"), None, Some(json!(n)))).collect();
    let shown = crate::printer::tests::plain(&fields::lines(&many, 0, 9));
    assert!(shown.ends_with("and 21 more fields; -o json has all\n"), "{shown}");
    let value = field("/a", Some(json!("")), Some(json!({"b": [1]})));
    let shown = crate::printer::tests::plain(&fields::lines(&[value], 0, 9));
    assert_eq!(shown, "a: \"\" → {\"b\":[1]}\n");
}

#[test]
fn a_difference_is_seen_as_such_whatever_its_size_and_type() {
    let shown = |from: serde_json::Value, to: serde_json::Value| {
        let change = field("/spec/x", Some(from), Some(to));
        crate::printer::tests::plain(&fields::lines(&[change], 0, 9))
    };
    assert_eq!(shown(json!(80), json!("80")), "spec.x: 80 → \"80\"\n");
    assert_eq!(shown(json!(null), json!("null")), "spec.x: null → \"null\"\n");
    assert_eq!(shown(json!({"a": 1}), json!("{\"a\":1}")), "spec.x: {\"a\":1} → \"{\\\"a\\\":1}\"\n");
    assert_eq!(shown(json!("1.25"), json!("web:2")), "spec.x: \"1.25\" → web:2\n");
    let rules =
        |verb: &str| json!([{"apiGroups": ["", "apps", "batch"], "resources": ["*"], "verbs": ["get", "list", verb]}]);
    assert_eq!(
        shown(rules("watch"), rules("patch")),
        "spec.x: …\"verbs\":[\"get\",\"list\",\"watch\"]}] → …\"verbs\":[\"get\",\"list\",\"patch\"]}]\n"
    );
    let same = "x".repeat(1_000_000);
    for lines in ["", "\nfirst\n"] {
        let text = |byte: char| json!(format!("{lines}{same}{byte}{same}"));
        let shown = shown(text('1'), text('2'));
        assert!(shown.len() < 500 && shown.contains("x1x") && shown.contains("x2x"), "{shown}");
    }
}

#[test]
fn the_document_keeps_to_its_schema() {
    let mut plan = bad_deploy();
    plan.undoes = Some("x".into());
    crate::commands::schema("plan", &serde_json::to_string(&plan).unwrap());
}
