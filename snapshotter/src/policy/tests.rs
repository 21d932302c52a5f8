//! Policies as Velero's documents have them, each condition by a table, and every kind of bad text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    ActionKind, Approach, ClassOf, Csi, FileVolumes, LeftOut, Nfs, Quantity, ResourcePolicies, SnapshotClass,
    VolumeFacts, file_volumes, snapshot_class,
};

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).expect("a quantity")
}

fn read(text: &str) -> ResourcePolicies {
    ResourcePolicies::parse("policies", text).expect("policies")
}

/// A text as it stands in Velero's documents, with all that 1.19 adds.
const EXAMPLE: &str = r#"
version: v1
volumePolicies:
# The comments stay.
- conditions:
    capacity: "0,100Gi"
    csi:
      driver: ebs.csi.aws.com
      volumeAttributes:
        retain: yes
    storageClass:
      - gp2
      - ebs-sc
  action:
    type: skip
- conditions:
    nfs:
      server: 192.168.200.90
      path: /mnt/nfs
  action:
    type: fs-backup
- conditions: {nfs: {}}
  action: {type: skip}
- conditions:
    volumeTypes: [emptyDir, downwardAPI]
  action:
    type: skip
- conditions:
    pvcLabels: {tier: gold, keep: true, release: 1.10}
  action:
    type: snapshot
    parameters:
      snapshotClass: gold
      dataMover: velero-block
- conditions:
    pvcPhase: [Pending, Lost]
  action:
    type: skip
- conditions:
    pvcVolumeMode: Block
    pvcAccessModes: [ReadWriteOnce, ReadOnlyMany]
  action:
    type: custom
    parameters: {how: {deep: [1, null]}}
- conditions:
    capacity: 1Ti,
  action:
    type: snapshot
includeExcludePolicy:
  includedClusterScopedResources: [persistentvolumes]
  excludedClusterScopedResources: []
  excludedNamespaceScopedResources:
    - events
    - pods.metrics.k8s.io
"#;

#[test]
fn the_text_of_velero_is_taken_as_it_is_and_the_first_match_wins() {
    let data = map(&[("policies.yaml", EXAMPLE)]);
    let policies = ResourcePolicies::of_config_map("velero/policies", &data).expect("policies");
    let says = |facts: VolumeFacts| policies.action(&facts).map(|action| action.kind);
    let none = VolumeFacts::default;

    let csi = Csi { driver: "ebs.csi.aws.com".into(), attributes: map(&[("retain", "yes"), ("other", "x")]) };
    let ebs = || VolumeFacts {
        capacity: Some(quantity("20Gi")),
        storage_class: Some("gp2".into()),
        csi: Some(csi.clone()),
        ..none()
    };
    assert_eq!(says(ebs()), Some(ActionKind::Skip));
    assert_eq!(says(VolumeFacts { capacity: Some(quantity("101Gi")), ..ebs() }), None, "all must hold");
    assert_eq!(says(VolumeFacts { storage_class: Some("gp3".into()), ..ebs() }), None);
    assert_eq!(says(VolumeFacts { storage_class: None, ..ebs() }), None);
    let plain = Csi { attributes: BTreeMap::new(), ..csi.clone() };
    assert_eq!(says(VolumeFacts { csi: Some(plain), ..ebs() }), None);
    assert_eq!(says(VolumeFacts { capacity: Some(quantity("1Ti")), ..ebs() }), Some(ActionKind::Snapshot));

    let nfs = |server: &str, path: &str| {
        says(VolumeFacts { nfs: Some(Nfs { server: server.into(), path: path.into() }), ..none() })
    };
    assert_eq!(nfs("192.168.200.90", "/mnt/nfs"), Some(ActionKind::FsBackup));
    assert_eq!(nfs("192.168.200.90", "/elsewhere"), Some(ActionKind::Skip), "the next one takes any");

    assert_eq!(says(VolumeFacts { volume_type: Some("emptyDir".into()), ..none() }), Some(ActionKind::Skip));
    assert_eq!(says(VolumeFacts { volume_type: Some("hostPath".into()), ..none() }), None);

    let gold = map(&[("tier", "gold"), ("keep", "true"), ("release", "1.10"), ("more", "x")]);
    let gold = VolumeFacts { claim_labels: gold, ..none() };
    let action = policies.action(&gold).expect("it is under one");
    assert_eq!(action.kind, ActionKind::Snapshot);
    assert_eq!(
        action.parameters,
        [("snapshotClass".to_owned(), json!("gold")), ("dataMover".to_owned(), json!("velero-block"))].into()
    );
    assert_eq!(says(VolumeFacts { claim_labels: map(&[("tier", "gold")]), ..none() }), None);

    let phase = |phase: &str| says(VolumeFacts { claim_phase: Some(phase.into()), ..none() });
    assert_eq!((phase("Lost"), phase("Bound")), (Some(ActionKind::Skip), None));

    let modes = |modes: &[&str]| modes.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let block =
        |of: &[&str]| VolumeFacts { claim_volume_mode: Some("Block".into()), claim_access_modes: modes(of), ..none() };
    let action = policies.action(&block(&["ReadOnlyMany", "ReadWriteOnce"])).expect("it is under one");
    assert_eq!((action.kind, &action.parameters["how"]), (ActionKind::Custom, &json!({"deep": [1, null]})));
    assert_eq!(says(block(&["ReadWriteOnce"])), None, "exactly these modes");

    let scope = policies.scope().expect("it has one");
    assert_eq!(scope.takes(&["persistentvolumes", "pv"], false), Some(true));
    assert_eq!(scope.takes(&["storageclasses.storage.k8s.io"], false), Some(false), "what is not included is not");
    assert_eq!(scope.takes(&["events"], true), Some(false));
    assert_eq!(scope.takes(&["pods.metrics.k8s.io", "pods"], true), Some(false));
    assert_eq!(scope.takes(&["pods"], true), None, "of this it says nothing");
}

#[test]
fn capacities_are_bounds_in_every_notation() {
    let holds = |condition: &str, capacity: Option<&str>| {
        let text = format!(
            "version: v1\nvolumePolicies:\n- conditions: {{capacity: {condition}}}\n  action: {{type: skip}}\n"
        );
        read(&text).action(&VolumeFacts { capacity: capacity.map(quantity), ..VolumeFacts::default() }).is_some()
    };
    let cases = [
        ("\"10Gi,100Gi\"", "10Gi", true),
        ("\"10Gi,100Gi\"", "100Gi", true),
        ("\"10Gi,100Gi\"", "9.99Gi", false),
        ("\"10Gi,100Gi\"", "100.01Gi", false),
        ("\" 10Gi , 100Gi \"", "50Gi", true),
        ("\"10Gi,\"", "10Ti", true),
        ("\"10Gi,\"", "1Gi", false),
        ("\"10Gi,0\"", "10Ti", true),
        ("\",10Gi\"", "10Gi", true),
        ("\",10Gi\"", "11Gi", false),
        ("\"0,10Gi\"", "1", true),
        ("\",\"", "7Ei", true),
        ("\"\"", "7Ei", true),
        ("\"0,0\"", "7Ei", true),
        ("\"1e9,1000M\"", "1G", true),
        ("\"1.5G,1500M\"", "1500000k", true),
    ];
    for (condition, capacity, expected) in cases {
        assert_eq!(holds(condition, Some(capacity)), expected, "{capacity} in {condition}");
    }
    assert!(holds("\",10Gi\"", None), "a volume without a capacity counts as of none");
    assert!(!holds("\"1,10Gi\"", None));
}

#[test]
fn quantities_are_as_kubernetes_writes_them() {
    let equal = [
        ("1Gi", "1073741824"),
        ("1.5Ki", "1536"),
        ("1G", "1000M"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("12e-1", "1200m"),
        ("1E", "1000P"),
        (".5", "500m"),
        ("5.", "5"),
        ("+1", "1"),
        ("0.1n", "1n"),
        ("-1", "-1000m"),
    ];
    for (a, b) in equal {
        assert_eq!(quantity(a), quantity(b), "{a} and {b}");
    }
    let rising = [
        "-1Gi", "-1", "0", "1n", "1u", "1m", "1", "1k", "1Ki", "1M", "1Mi", "1G", "1Gi", "1T", "1Ti", "1P", "1Pi",
        "1E", "1Ei",
    ];
    assert!(rising.windows(2).all(|pair| quantity(pair[0]) < quantity(pair[1])));
    for bad in ["", ".", "Gi", "1 Gi", "1gi", "1K", "1e", "1e1.5", "1.2.3", "0x10", "1GiB", "--1", "ten", "1e99"] {
        assert_eq!(Quantity::parse(bad), None, "{bad}");
    }
}

#[test]
fn conditions_that_say_nothing_hold_of_everything() {
    for conditions in
        ["{}", "", "{storageClass: [], volumeTypes: [], pvcPhase: [], pvcLabels: {}}", "{nfs: null, csi: ~}"]
    {
        let text = format!("version: v1\nvolumePolicies:\n- conditions: {conditions}\n  action: {{type: skip}}\n");
        assert!(read(&text).action(&VolumeFacts::default()).is_some(), "{conditions}");
    }
    let any_csi = "version: v1\nvolumePolicies:\n- conditions: {csi: {}}\n  action: {type: snapshot}\n";
    assert!(read(any_csi).action(&VolumeFacts::default()).is_none());
    assert!(read(any_csi).action(&VolumeFacts { csi: Some(Csi::default()), ..VolumeFacts::default() }).is_some());
    assert_eq!(read("version: v1\n").action(&VolumeFacts::default()), None);
    let anchored = "version: v1\nvolumePolicies:\n- conditions: {storageClass: &c [\"1.0\", 2.50]}\n  action: &a {type: skip}\n\
                    - conditions: {storageClass: *c, pvcPhase: [Lost]}\n  action: *a\n";
    let class = |class: &str| {
        read(anchored).action(&VolumeFacts { storage_class: Some(class.into()), ..VolumeFacts::default() }).is_some()
    };
    assert_eq!(
        (class("1.0"), class("2.50"), class("2.5")),
        (true, true, false),
        "a number is the text that stands there"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_path_and_line() {
    let policy = |conditions: &str| {
        format!("version: v1\nvolumePolicies:\n- conditions:\n    {conditions}\n  action:\n    type: skip\n")
    };
    let cases = [
        ("volumePolicies: []\n".to_owned(), "policies (line 1)", "it says no version"),
        ("version: v2\n".into(), "policies: version (line 1)", "version \"v2\" is not known"),
        ("version: v1\nvolumePolices: []\n".into(), "policies: volumePolices (line 2)", "there is no such field as \"volumePolices\""),
        ("version: v1\nvolumePolicies: {}\n".into(), "policies: volumePolicies (line 2)", "it is no list"),
        ("- version: v1\n".into(), "policies (line 1)", "it is no mapping"),
        (
            "version: v1\nnamespacedFilterPolicies: []\n".into(),
            "policies: namespacedFilterPolicies (line 2)",
            "which objects belong to a point is not said by its volume policies",
        ),
        (policy("capcity: 1,2"), "policies: volumePolicies[0].conditions.capcity (line 4)", "there is no such field as \"capcity\""),
        (policy("capacity: 10Gi"), "policies: volumePolicies[0].conditions.capacity (line 4)", "\"10Gi\" is not two quantities with a comma between them"),
        (policy("capacity: \"1,2,3\""), "policies: volumePolicies[0].conditions.capacity (line 4)", "\"1,2,3\" is not two quantities with a comma between them"),
        (policy("capacity: \"1,2GB\""), "policies: volumePolicies[0].conditions.capacity (line 4)", "\"2GB\" is no quantity"),
        (policy("capacity: 2Gi,1Gi"), "policies: volumePolicies[0].conditions.capacity (line 4)", "the least of \"2Gi,1Gi\" is more than the most"),
        (policy("storageClass: gp2"), "policies: volumePolicies[0].conditions.storageClass (line 4)", "it is no list"),
        (policy("storageClass:\n    - gp2\n    - {}"), "policies: volumePolicies[0].conditions.storageClass[1] (line 6)", "it is no text"),
        (policy("nfs: {sever: x}"), "policies: volumePolicies[0].conditions.nfs.sever (line 4)", "there is no such field as \"sever\""),
        (policy("csi:\n      volumeAttributes: {a: b}"), "policies: volumePolicies[0].conditions.csi.volumeAttributes (line 5)", "attributes are of a driver, and none is named"),
        (policy("volumeTypes:\n    - csi\n    - emptydir"), "policies: volumePolicies[0].conditions.volumeTypes[1] (line 6)", "there is no volume type \"emptydir\""),
        (policy("pvcLabels: [a]"), "policies: volumePolicies[0].conditions.pvcLabels (line 4)", "it is no mapping"),
        (policy("pvcPhase: [bound]"), "policies: volumePolicies[0].conditions.pvcPhase[0] (line 4)", "there is no phase of a claim \"bound\""),
        (policy("pvcVolumeMode: Blok"), "policies: volumePolicies[0].conditions.pvcVolumeMode (line 4)", "there is no volume mode \"Blok\""),
        (policy("pvcAccessModes: [RWO]"), "policies: volumePolicies[0].conditions.pvcAccessModes[0] (line 4)", "there is no access mode \"RWO\""),
        ("version: v1\nvolumePolicies:\n- conditions: {}\n".into(), "policies: volumePolicies[0] (line 3)", "it has no action"),
        ("version: v1\nvolumePolicies:\n- action:\n    typ: skip\n".into(), "policies: volumePolicies[0].action.typ (line 4)", "there is no such field as \"typ\""),
        ("version: v1\nvolumePolicies:\n- action: {}\n".into(), "policies: volumePolicies[0].action (line 3)", "it has no type"),
        ("version: v1\nvolumePolicies:\n- action:\n    type: skipp\n".into(), "policies: volumePolicies[0].action.type (line 4)", "there is no action of type \"skipp\""),
        (
            "version: v1\nincludeExcludePolicy:\n  includedNamespaceScopedResources: [\"*\"]\n".into(),
            "policies: includeExcludePolicy.includedNamespaceScopedResources[0] (line 3)",
            "`*` is not taken here",
        ),
        (
            "version: v1\nincludeExcludePolicy:\n  includedClusterScopedResources: [pv]\n  excludedClusterScopedResources: [x, pv]\n".into(),
            "policies: includeExcludePolicy.excludedClusterScopedResources (line 4)",
            "pv stands in includedClusterScopedResources, too",
        ),
    ];
    for (text, place, reason) in cases {
        let error = ResourcePolicies::parse("policies", &text).expect_err(&text);
        assert_eq!(error.to_string(), format!("{place}: {reason}"), "{text}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{text}");
    }
    for (text, line) in [
        ("version: v1\nvolumePolicies:\n\t- x\n", "line 3"),
        ("version: v1\nversion: v1\n", "line 2"),
        ("a: [b\n", "line"),
        ("a: *b\n", "line 1"),
    ] {
        let error = ResourcePolicies::parse("policies", text).expect_err(text).to_string();
        assert!(error.starts_with("policies (") && error.contains(line) && error.contains("it is no YAML"), "{error}");
    }
}

#[test]
fn the_config_map_has_exactly_one_key() {
    let error = |data| ResourcePolicies::of_config_map("velero/p", &data).expect_err("it is refused").to_string();
    assert_eq!(error(map(&[])), "resource policies velero/p: the ConfigMap has no data");
    assert_eq!(error(map(&[("a", ""), ("b", "")])), "resource policies velero/p: the ConfigMap has 2 data keys: a, b");
    assert_eq!(error(map(&[("a.yaml", "")])), "resource policies velero/p: a.yaml (line 1): it says no version");
}

#[test]
fn annotations_choose_the_volumes_whose_files_are_kept() {
    let pod = |annotations: serde_json::Value| {
        json!({
            "metadata": {"annotations": annotations},
            "spec": {"volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}},
                {"name": "cache", "emptyDir": {}},
                {"name": "host", "hostPath": {"path": "/var"}},
                {"name": "keys", "secret": {"secretName": "keys"}},
                {"name": "config", "configMap": {"name": "config"}},
                {"name": "kube-api-access-x2x4z", "projected": {"sources": []}},
                {"name": "info", "downwardAPI": {"items": []}},
                {"name": "model", "image": {"reference": "registry/model"}},
                {"name": "default-token-abcde", "emptyDir": {}},
                {"name": "share", "nfs": {"server": "x", "path": "/y"}},
            ]}
        })
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let plain = pod(json!({}));
    assert_eq!(file_volumes(&plain, Approach::OptIn), FileVolumes::default());
    let all = file_volumes(&plain, Approach::OptOut);
    assert_eq!(all, FileVolumes { taken: names(&["data", "cache", "share"]), left_out: Vec::new() });

    let opted_in = pod(json!({"backup.velero.io/backup-volumes": "share, data,,keys,host,gone,default-token-abcde"}));
    let left_out = vec![
        ("host".to_owned(), LeftOut::Kind("hostPath")),
        ("keys".to_owned(), LeftOut::Kind("secret")),
        ("default-token-abcde".to_owned(), LeftOut::Kind("token of a service account")),
        ("gone".to_owned(), LeftOut::Unknown),
    ];
    assert_eq!(file_volumes(&opted_in, Approach::OptIn), FileVolumes { taken: names(&["data", "share"]), left_out });

    let opted_out = pod(
        json!({"backup.velero.io/backup-volumes-excludes": "cache,gone", "backup.velero.io/backup-volumes": "data"}),
    );
    let left_out = vec![("cache".to_owned(), LeftOut::OptedOut), ("gone".to_owned(), LeftOut::Unknown)];
    assert_eq!(file_volumes(&opted_out, Approach::OptOut), FileVolumes { taken: names(&["data", "share"]), left_out });

    assert_eq!(file_volumes(&json!({}), Approach::OptOut), FileVolumes::default());
}

const MARK: &str = "velero.io/csi-volumesnapshot-class";

#[test]
fn the_snapshot_class_is_chosen_by_veleros_rules_and_never_guessed() {
    let class = |name: &str, driver: &str, label: bool, default: bool| SnapshotClass {
        name: name.to_owned(),
        driver: driver.to_owned(),
        labels: if label { map(&[(MARK, "true")]) } else { BTreeMap::new() },
        annotations: if default {
            map(&[("snapshot.storage.kubernetes.io/is-default-class", "true")])
        } else {
            BTreeMap::new()
        },
    };
    let classes = [
        class("plain", "csi.a", false, false),
        class("marked", "csi.a", true, false),
        class("default", "csi.a", false, true),
        class("of-b", "csi.b", true, true),
    ];
    let choose = |classes: &[SnapshotClass], driver: &str, claim: &[(&str, &str)], point: &[(&str, &str)]| {
        let chosen = snapshot_class(ClassOf::Snapshots, classes, driver, "shop/data", &map(claim), &map(point));
        chosen.map(|class| class.name.clone()).map_err(|e| e.thing_and_reason().1)
    };
    let ok = |name: &str| Ok(name.to_owned());
    let of_point = [("velero.io/csi-volumesnapshot-class_csi.a", "default")];
    assert_eq!(choose(&classes, "csi.a", &[(MARK, "plain")], &of_point), ok("plain"), "the claim first");
    assert_eq!(choose(&classes, "csi.a", &[], &of_point), ok("default"), "then the point");
    assert_eq!(choose(&classes, "CSI.A", &[], &of_point), ok("default"), "case is nothing");
    assert_eq!(choose(&classes, "csi.a", &[], &[]), ok("marked"), "then the label");
    assert_eq!(choose(&classes[2..], "csi.a", &[], &[]), ok("default"), "then the default");
    assert_eq!(choose(&classes[..1], "csi.a", &[], &[]), ok("plain"), "then the only one");
    assert_eq!(choose(&classes, "csi.b", &[], &of_point), ok("of-b"), "another driver's annotation is not its own");

    let err = |text: &str| Err(text.to_owned());
    assert_eq!(
        choose(&classes, "csi.a", &[(MARK, "of-b")], &[]),
        err(
            "the annotation velero.io/csi-volumesnapshot-class of the claim says \"of-b\", which is of driver csi.b, not csi.a"
        )
    );
    assert_eq!(
        choose(&classes, "csi.a", &[(MARK, "gone")], &[]),
        err(
            "the annotation velero.io/csi-volumesnapshot-class of the claim says \"gone\", and there is no such VolumeSnapshotClass"
        )
    );
    let two = [class("one", "csi.a", true, true), class("two", "csi.a", true, true)];
    assert_eq!(
        choose(&two, "csi.a", &[], &[]),
        err("one, two of driver csi.a have the label velero.io/csi-volumesnapshot-class")
    );
    let two = [class("one", "csi.a", false, true), class("two", "csi.a", false, true)];
    assert_eq!(choose(&two, "csi.a", &[], &[]), err("one, two of driver csi.a are the default"));
    let two = [class("one", "csi.a", false, false), class("two", "csi.a", false, false)];
    assert_eq!(choose(&two, "csi.a", &[], &[]), err("one, two of driver csi.a could be meant"));
    assert_eq!(
        choose(&classes, "csi.c", &[], &[]),
        err("there is no VolumeSnapshotClass of driver csi.c; there are plain, marked, default, of-b")
    );
    assert_eq!(choose(&[], "csi.c", &[], &[]), err("there is no VolumeSnapshotClass, so none of driver csi.c"));
    let hint = snapshot_class(ClassOf::Snapshots, &classes, "csi.a", "shop/data", &map(&[(MARK, "gone")]), &map(&[]))
        .expect_err("none");
    assert_eq!(hint.hint(), Some("name a class of driver csi.a: plain, marked, default"));
    assert_eq!(hint.thing_and_reason().0, "snapshot of the volume of claim shop/data");
}
