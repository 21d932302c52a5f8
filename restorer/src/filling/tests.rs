use hindcast_journal::{
    cut::CutPoint,
    exact::parse,
    point::{About, PointScope, PointState, Tag, Taken, Volume},
};
use proptest::prelude::*;

use super::*;

fn key() -> ObjectKey {
    ObjectKey {
        namespace: "shop".into(),
        group: String::new(),
        resource: "persistentvolumeclaims".into(),
        name: "data".into(),
    }
}

fn cut(rv: u64) -> Cut {
    Cut { domains: BTreeMap::from([(MAIN.to_owned(), CutPoint { incarnation: 0, rv })]) }
}

/// A point at a revision with one volume.
fn point(rv: u64, claim_uid: &str, volume: &str, handle: &str) -> Point {
    let tag = Tag { cluster: "c".into(), point: format!("p{rv}"), id: format!("{rv:032x}"), index: 3 };
    let taken = (!handle.is_empty()).then(|| Taken {
        tag: tag.clone(),
        driver: "csi".into(),
        handle: handle.into(),
        size: 2 << 20,
        time: None,
        details: BTreeMap::from([("driver".to_owned(), "csi.example.com".to_owned())]),
    });
    let volume = Volume {
        namespace: "shop".into(),
        claim: "data".into(),
        claim_uid: claim_uid.into(),
        name: volume.into(),
        mode: "Filesystem".into(),
        ..Volume::default()
    };
    Point {
        about: About {
            format: 1,
            name: tag.point.clone(),
            id: tag.id.clone(),
            schedule: String::new(),
            scope: PointScope::default(),
            began: 0,
            expires: None,
            labels: BTreeMap::new(),
        },
        state: PointState::Complete,
        made: 0,
        cut: BTreeMap::from([(MAIN.to_owned(), (0, rv))]),
        time: i64::try_from(rv).expect("small") * 1_000_000,
        between: (rv, rv),
        volumes: vec![PointVolume { volume, taken, why: None, wanted: false }],
        hooks: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
    }
}

fn found(points: &[Point], at: u64, uid: &str, volume: &str) -> Option<String> {
    let key = key();
    nearest(points, &cut(at), Claim { key: &key, uid, volume }).map(|filling| filling.point)
}

#[test]
fn a_claim_is_filled_with_the_newest_of_its_own_that_is_no_newer_than_the_moment() {
    let points = [
        point(10, "u1", "pvc-u1", "s10"),
        point(20, "u1", "pvc-u1", "s20"),
        // Nothing was taken of it.
        point(25, "u1", "pvc-u1", ""),
        point(30, "u2", "pvc-u2", "s30"),
    ];
    assert_eq!(found(&points, 9, "u1", "pvc-u1"), None);
    assert_eq!(found(&points, 10, "u1", "pvc-u1").as_deref(), Some("p10"));
    assert_eq!(found(&points, 29, "u1", "pvc-u1").as_deref(), Some("p20"));
    assert_eq!(found(&points, 99, "u1", "pvc-u1").as_deref(), Some("p20"), "another claim of that name has other data");
    // A claim that got the volume of another back holds that one's data; a name that anybody may give says nothing.
    assert_eq!(found(&points, 99, "u3", "pvc-u1").as_deref(), Some("p20"));
    assert_eq!(found(&[point(10, "u1", "disk", "s")], 99, "u3", "disk"), None);
    let failed = Point { state: PointState::Failed, ..point(15, "u1", "pvc-u1", "s15") };
    assert_eq!(found(&[failed], 99, "u1", "pvc-u1"), None);
}

#[test]
fn helpers_retain_their_snapshot_and_name_each_other() {
    let points = [point(10, "u1", "pvc-u1", "s10")];
    let key = key();
    let filling = nearest(&points, &cut(10), Claim { key: &key, uid: "u1", volume: "" }).expect("it is there");
    let helpers = filling.helpers(&key, &Value::Null);
    let [content, snapshot] = &helpers[..] else { panic!("it has two") };
    let (content, snapshot) = (&content.value, &snapshot.value);
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(text(content, "/spec/deletionPolicy"), "Retain");
    assert_eq!(text(content, "/spec/source/snapshotHandle"), "s10");
    assert_eq!(text(content, "/spec/driver"), "csi.example.com");
    assert_eq!(text(content, "/spec/volumeSnapshotRef/name"), text(snapshot, "/metadata/name"));
    assert_eq!(text(snapshot, "/spec/source/volumeSnapshotContentName"), text(content, "/metadata/name"));
    assert!(is_helper(snapshot) && is_helper(content));
    let claim =
        r#"{"spec":{"volumeName":"pvc-u1","dataSourceRef":{"kind":"x"},"resources":{"requests":{"storage":"1Mi"}}}}"#;
    let mut claim = parse(claim.as_bytes()).expect("JSON");
    let said = filling.fill(&mut claim).expect("it grows");
    assert!(said.contains("2097152"), "{said}");
    assert!(
        is_filled(&claim)
            && claim.pointer("/spec/volumeName").is_none()
            && claim.pointer("/spec/dataSourceRef").is_none()
    );
    assert_eq!(text(&claim, "/spec/resources/requests/storage"), "2097152");
    assert_eq!(filling.fill(&mut claim), None, "it is large enough");
    unfill(&mut claim);
    assert!(!is_filled(&claim));
}

/// Of what was kept as files.
#[test]
fn files_are_put_into_a_volume_that_is_handed_over() {
    let mut point = point(10, "u1", "pvc-u1", "abc");
    let taken = point.volumes[0].taken.as_mut().expect("it is taken");
    (taken.driver, taken.size) = ("files".into(), 512);
    taken.details.clear();
    let key = key();
    let mut filling = nearest(&[point], &cut(10), Claim { key: &key, uid: "u1", volume: "" }).expect("it is there");
    assert!(filling.helpers(&key, &Value::Null).is_empty(), "nothing can put them back");
    let template = "{kind: Pod, metadata: {namespace: hc}, spec: {containers: [{name: mover, image: i}]}}";
    let template = Template::parse("t", template).expect("a template");
    let place = Place { journal: "s3://b".into(), cluster: "c".into() };
    let From::Files { id, movers } = &mut filling.from else { panic!("it is of files") };
    assert_eq!(id, "abc");
    *movers = Some(Arc::new(Movers { template, place }));
    let claim = r#"{"spec":{"volumeName":"pvc-u1","storageClassName":"fast","dataSource":{"name":"x"},"resources":{"requests":{"storage":"1Gi"}}}}"#;
    let mut claim = parse(claim.as_bytes()).expect("JSON");
    let helpers = filling.helpers(&key, &claim);
    let [vessel, mover] = &helpers[..] else { panic!("it has two") };
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(
        (vessel.key.namespace.as_str(), text(&vessel.value, "/spec/storageClassName")),
        ("hc", "fast".to_owned())
    );
    assert_eq!(text(&vessel.value, "/spec/volumeName"), "");
    assert_eq!(text(&vessel.value, "/spec/dataSource/name"), "");
    assert_eq!(text(&mover.value, "/spec/volumes/0/persistentVolumeClaim/claimName"), vessel.key.name);
    assert!(is_helper(&vessel.value) && is_helper(&mover.value));
    let of = |value: &Value| {
        value.pointer("/metadata/annotations").and_then(|all| all.get(tags::CLAIM)?.as_str().map(str::to_owned))
    };
    assert_eq!((of(&vessel.value), of(&mover.value)), (Some(title(&key)), Some(title(&key))));
    assert_eq!(filling.fill(&mut claim), None);
    assert!(claim.pointer("/spec/dataSource").is_none() && claim.pointer("/spec/volumeName").is_none());
}

proptest! {
    /// Whatever points there are, what is chosen is the claim's own, not behind the moment, and nothing nearer is passed over.
    #[test]
    fn nothing_foreign_and_nothing_newer(
        made in prop::collection::vec((1u64..50, 0u8..3, any::<bool>()), 0..12),
        at in 1u64..50,
    ) {
        let points: Vec<Point> = made
            .iter()
            .map(|(rv, uid, taken)| point(*rv, &format!("u{uid}"), &format!("pvc-u{uid}"), if *taken { "s" } else { "" }))
            .collect();
        let best = made.iter().filter(|(rv, uid, taken)| *rv <= at && *uid == 1 && *taken).map(|(rv, ..)| *rv).max();
        prop_assert_eq!(found(&points, at, "u1", "pvc-u1"), best.map(|rv| format!("p{rv}")));
    }
}
