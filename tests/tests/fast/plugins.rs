//! Which driver takes a volume: the first that does, the plugin that a volume policy names, or the one that moves snapshots; and
//! which volumes it takes together.

use async_trait::async_trait;
use hindcast_journal::{Error, Result};
use hindcast_snapshotter::{
    Request, Scene,
    driver::{Order, Standing, Taken, Volume, VolumeDriver},
    plan::{Planned, plan},
    policy::ResourcePolicies,
};
use serde_json::json;

/// A driver that takes everything, or nothing for a reason.
#[derive(Debug)]
struct Named(&'static str, Option<&'static str>);

fn never<T>() -> Result<T> {
    Err(Error::internal("a plan", "asks no driver for anything"))
}

#[async_trait]
impl VolumeDriver for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn takes(&self, _volume: &Volume) -> std::result::Result<(), String> {
        self.1.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        orders.iter().map(|_| never()).collect()
    }

    async fn look(&self, _taken: &Taken) -> Result<(Taken, Standing)> {
        never()
    }

    async fn find(&self, _cluster: &str, _id: &str) -> Result<Vec<Taken>> {
        never()
    }

    async fn all(&self, _cluster: &str) -> Result<Vec<Taken>> {
        never()
    }

    async fn delete(&self, _taken: &Taken) -> Result<()> {
        never()
    }
}

/// A namespace with one claim that is bound.
fn scene() -> Scene {
    let claim = json!({
        "metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"},
    });
    let volume = json!({
        "metadata": {"name": "pv"},
        "spec": {"capacity": {"storage": "1Gi"}, "csi": {"driver": "folders.example.com", "volumeHandle": "v"}},
    });
    let mut scene = Scene::default();
    scene.claims.insert(("shop".into(), "data".into()), claim);
    scene.volumes.insert("pv".into(), volume);
    scene.namespaces.insert("shop".into(), json!({"metadata": {"name": "shop"}}));
    scene
}

/// What is planned with these drivers and this action of a policy for every volume.
fn planned(drivers: &[&dyn VolumeDriver], action: &str) -> Planned {
    let mut request = Request { name: "p".into(), ..Request::default() };
    request.scope.namespaces = vec!["shop".into()];
    if !action.is_empty() {
        let text = format!("version: v1\nvolumePolicies:\n- action: {action}\n");
        request.policies = Some(ResourcePolicies::parse("policies", &text).expect("they are valid"));
    }
    plan(&scene(), &request, drivers, "c", "0a").expect("it can be planned")
}

/// The driver that takes the volume, or why none does.
fn driver(drivers: &[&dyn VolumeDriver], action: &str) -> std::result::Result<String, String> {
    let planned = planned(drivers, action);
    match (planned.drivers.first(), planned.left.first()) {
        (Some(driver), None) => Ok(driver.clone()),
        (None, Some(left)) => Err(left.why.clone()),
        both => unreachable!("ordered or left: {both:?}"),
    }
}

#[test]
fn a_policy_names_the_plugin_that_takes_a_volume() {
    let (one, two, full) = (Named("one", None), Named("two", None), Named("full", Some("it is full")));
    let silent = Named("unix:///run/two.sock", Some("plugin unix:///run/two.sock: nobody listens"));
    let custom = |name: &str| format!("{{type: custom, parameters: {{plugin: {name}}}}}");
    let all: [&dyn VolumeDriver; 3] = [&full, &one, &two];
    assert_eq!(driver(&all, ""), Ok("one".into()), "in the order given");
    assert_eq!(driver(&all, &custom("two")), Ok("two".into()));
    assert_eq!(driver(&all, &custom("full")), Err("it is full".into()), "no other one takes it then");
    let why = driver(&all, &custom("none")).expect_err("it is not there");
    assert!(why.contains("plugin none, which is not there"), "{why}");
    let why = driver(&[&one, &silent], &custom("two")).expect_err("it was never met");
    assert!(why.contains("plugin two, which is not there") && why.contains("nobody listens"), "{why}");
    let why = driver(&all, "{type: custom}").expect_err("it names none");
    assert!(why.contains("plugin: NAME"), "{why}");
    let csi = Named("csi", None);
    let why = driver(&[&csi], &custom("csi")).expect_err("it is no plugin");
    assert!(why.contains("plugin csi, which is not there"), "{why}");
}

#[test]
fn a_snapshot_is_moved_where_that_was_asked_for_and_can_be() {
    let (csi, moves, full) = (Named("csi", None), Named("move", None), Named("move", Some("has no storage class")));
    let mut scene = scene();
    scene.snapshots = true;
    let class = json!({"metadata": {"name": "fast"}, "driver": "folders.example.com"});
    scene.snapshot_classes.insert("fast".into(), class);
    let planned = |drivers: &[&dyn VolumeDriver], moves: bool| {
        let mut request = Request { name: "p".into(), moves, ..Request::default() };
        request.scope.namespaces = vec!["shop".into()];
        let planned = plan(&scene, &request, drivers, "c", "0a").expect("it can be planned");
        let class = planned.orders.first().map(|order| order.class.clone()).unwrap_or_default();
        (planned.drivers.first().cloned().unwrap_or_default(), class, planned.left.first().map(|left| left.why.clone()))
    };
    assert_eq!(planned(&[&csi, &moves], false), ("csi".into(), "fast".into(), None));
    assert_eq!(planned(&[&csi, &moves], true), ("move".into(), "fast".into(), None));
    for (drivers, why) in [
        (&[&csi as &dyn VolumeDriver][..], "a template of movers, was not given"),
        (&[&csi, &full], "is to be moved into the bucket: has no storage class"),
    ] {
        let (driver, _, left) = planned(drivers, true);
        assert!(driver.is_empty() && left.as_ref().is_some_and(|left| left.contains(why)), "{driver} {left:?}");
    }
}

/// Claims of one namespace: the name, its group, its driver, and what else its metadata say.
type Claims<'c> = &'c [(&'c str, &'c str, &'c str, serde_json::Value)];

/// The groups that such claims are planned in, of the class each, and what is said.
fn grouped(
    claims: Claims<'_>,
    classes: &[(&str, &str)],
    selector: &str,
    by: &dyn VolumeDriver,
) -> (Vec<String>, String) {
    let mut scene = Scene { snapshots: true, ..Scene::default() };
    for (name, group, driver, more) in claims {
        let mut meta = json!({"name": name, "namespace": "shop", "labels": {}});
        if !group.is_empty() {
            meta["labels"]["velero.io/volume-group"] = json!(group);
        }
        meta["labels"]["app"] = json!(name);
        if let Some(map) = meta.as_object_mut() {
            map.extend(more.as_object().cloned().unwrap_or_default());
        }
        // One without a driver waits for its volume.
        let (volume_name, phase) = if driver.is_empty() { ("", "Pending") } else { (*name, "Bound") };
        let claim = json!({"metadata": meta, "spec": {"volumeName": volume_name}, "status": {"phase": phase}});
        let volume = json!({
            "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Gi"}, "csi": {"driver": driver, "volumeHandle": name}},
        });
        scene.claims.insert(("shop".into(), (*name).into()), claim);
        scene.volumes.insert((*name).into(), volume);
        let class = json!({"metadata": {"name": format!("single-{driver}")}, "driver": driver});
        scene.snapshot_classes.insert(format!("single-{driver}"), class);
    }
    for (name, driver) in classes {
        scene.group_classes.insert((*name).into(), json!({"metadata": {"name": name}, "driver": driver}));
    }
    scene.namespaces.insert("shop".into(), json!({"metadata": {"name": "shop"}}));
    let mut request = Request { name: "p".into(), ..Request::default() };
    request.scope.namespaces = vec!["shop".into()];
    request.scope.selector = selector.into();
    let planned = plan(&scene, &request, &[by], "c", "0a").expect("it can be planned");
    let groups = planned.orders.iter().filter_map(|order| {
        let group = order.group.as_ref()?;
        Some(format!("{} {} {} of {}", order.volume.claim, group.value, group.class, group.of))
    });
    (groups.collect(), planned.warnings.join("\n"))
}

#[test]
fn claims_with_a_label_in_common_are_taken_together_or_it_is_said_why_not() {
    let (csi, none) = (Named("csi", None), json!({}));
    let class = [("groups", "d")];
    let claims = [("a", "db", "d", none.clone()), ("b", "db", "d", none.clone()), ("c", "", "d", none.clone())];
    let whole = vec!["a db groups of 2".to_owned(), "b db groups of 2".to_owned()];
    assert_eq!(grouped(&claims, &class, "", &csi), (whole, String::new()));
    // One alone has nothing to be of one instant with, and nobody is told of what nobody asked for.
    assert_eq!(grouped(&claims[1..], &class, "", &csi), (Vec::new(), String::new()));
    assert_eq!(grouped(&claims, &class, "app=c", &csi), (Vec::new(), String::new()));
    // Two groups of one namespace are two.
    let two = [claims[0].clone(), claims[1].clone(), ("x", "web", "d", none.clone()), ("y", "web", "d", none.clone())];
    assert_eq!(grouped(&two, &class, "", &csi).0.len(), 4);
    let skipped = json!({"labels": {"velero.io/volume-group": "db", "velero.io/exclude-from-backup": "true"}});
    let odd = json!({"annotations": {"velero.io/csi-volumegroupsnapshot-class": "odd"}});
    let with = |last: (&'static str, &'static str, &'static str, serde_json::Value)| [claims[0].clone(), last];
    let classes = [("groups", "d"), ("odd", "d")];
    for (claims, classes, selector, by, why) in [
        (&claims[..], &[][..], "", &csi, "no VolumeGroupSnapshotClass"),
        (&claims[..], &[("other", "e")][..], "", &csi, "no VolumeGroupSnapshotClass of driver d; there are other"),
        (&claims[..], &classes[..], "", &csi, "groups, odd of driver d could be meant"),
        (&claims[..], &class[..], "app=a", &csi, "claim b is not of this point"),
        (&with(("b", "db", "d", skipped))[..], &class[..], "", &csi, "claim b is not of this point"),
        (
            &with(("b", "db", "e", none.clone()))[..],
            &[("groups", "d"), ("more", "e")][..],
            "",
            &csi,
            "several drivers: d and e",
        ),
        (&with(("b", "db", "d", odd.clone()))[..], &class[..], "", &csi, "no such VolumeGroupSnapshotClass"),
        (&claims[..], &class[..], "", &Named("folders", None), "taken by folders, which knows no groups"),
    ] {
        let (groups, said) = grouped(claims, classes, selector, by);
        assert!(
            groups.is_empty() && said.contains("group db in namespace shop") && said.contains(why),
            "{why}: {said}"
        );
    }
    let waiting = [claims[0].clone(), claims[1].clone(), ("w", "db", "", none.clone())];
    let (groups, said) = grouped(&waiting, &class, "", &csi);
    assert!(groups.is_empty() && said.contains("claim w is not bound"), "{said}");
    let named = json!({"annotations": {"velero.io/csi-volumegroupsnapshot-class": "groups"}});
    let apart = [("a", "db", "d", named.clone()), ("b", "db", "d", odd)];
    assert!(grouped(&apart, &classes, "", &csi).1.contains("several classes: groups and odd"));
    let agreed = [("a", "db", "d", named.clone()), ("b", "db", "d", named)];
    assert_eq!(grouped(&agreed, &classes, "", &csi).0.len(), 2);
}
