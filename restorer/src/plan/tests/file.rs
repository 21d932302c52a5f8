use super::scene::{Scene, key};
use crate::plan::PlanFile;

fn scene() -> Scene {
    Scene::shop()
        .then("Secret s", r#"{"data":{"pw":"c2VjcmV0"}}"#)
        .now("Secret s", r#"{"data":{"pw":"b3RoZXI="}}"#)
        .then("ConfigMap gone", "{}")
        .now("ConfigMap added", "{}")
}

#[test]
fn a_file_reads_back_and_holds_no_value() {
    let prepared = scene().plan();
    let file = PlanFile::of(&prepared.plan);
    let bytes = file.write().expect("writes");
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("c2VjcmV0") && !text.contains("b3RoZXI="), "{text}");
    let read = PlanFile::parse("p", &bytes).expect("reads");
    assert_eq!(read, file);
    assert_eq!(read.cut(), prepared.plan.cut);
    assert_eq!(read.check(&prepared), []);
    assert!(read.is_of("p", "c").is_ok());
    let error = read.is_of("p", "other").expect_err("foreign");
    assert!(error.to_string().contains("is a plan of cluster c, and this is other"), "{error}");
}

#[test]
fn what_is_no_plan_file_is_refused_by_name() {
    let good = String::from_utf8(PlanFile::of(&scene().plan().plan).write().expect("writes")).expect("text");
    for (bytes, expected) in [
        (String::new(), "cannot be read as JSON at line 1"),
        ("apiVersion: v1".to_owned(), "cannot be read as JSON"),
        (r#"{"kind":"Pod","apiVersion":"v1"}"#.to_owned(), "it holds a Pod"),
        ("{}".to_owned(), "nothing that says what it is"),
        (r#"{"kind":"Plan","apiVersion":"hindcast.dev/v1"}"#.to_owned(), "is the printed form of a plan"),
        (good.replace(r#""format": 1"#, r#""format": 2"#), "is of a newer format"),
        (good.replace("hindcast.dev/v1", "hindcast.dev/v2"), "is of a newer format"),
        (good.replace(r#""verb": "create""#, r#""verb": "explode""#), "was damaged"),
        (good.replace(r#""cluster": "c""#, r#""cluster": """#), "names no cut, or an object twice"),
        (good.replace(r#""name": "gone""#, r#""name": "added""#), "names no cut, or an object twice"),
    ] {
        let error = PlanFile::parse("the-file", bytes.as_bytes()).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().starts_with("the-file") && error.hint().is_some(), "{error}");
    }
}

#[test]
fn what_changed_since_is_named() {
    let file = PlanFile::of(&scene().plan().plan);
    let differences = |scene: Scene| {
        let out = file.check(&scene.plan());
        out.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(differences(scene()).is_empty());
    let mut newer = scene();
    newer.live.objects.get_mut(&key("Secret s")).expect("there").rv = "151".into();
    assert!(differences(newer).is_empty(), "another revision of the same intent is no difference");
    for (now, expected) in [
        (scene().now_as("Secret s", "v", r#"{"data":{"pw":"b3RoZXI="}}"#), "Secret shop/s: it was deleted and created again"),
        (scene().now("Secret s", r#"{"data":{"x":"b3RoZXI="}}"#), "Secret shop/s: it was changed since"),
        (scene().now("Secret s", r#"{"data":{"pw":"c2VjcmV0"}}"#), "update was planned, and now there is nothing to do"),
        (scene().now("ConfigMap gone", r#"{"data":{"a":"b"}}"#), "create was planned, and update is needed now"),
        (scene().now("ConfigMap more", "{}"), "ConfigMap shop/more: delete is needed now and was not planned"),
        (scene().then("ConfigMap gone", r#"{"data":{"a":"b"}}"#), "is read differently"),
    ] {
        let out = differences(now);
        assert!(out.iter().any(|d| d.contains(expected)), "{expected}: {out:?}");
    }
    let mut gone = scene();
    gone.live.objects.remove(&key("Secret s"));
    assert!(differences(gone).iter().any(|d| d.contains("update was planned, and create is needed now")));
    let mut unproven = scene();
    unproven.known.present.remove(&key("ConfigMap added"));
    assert!(differences(unproven).iter().any(|d| d.contains("now it is left alone")));
    let wider = scene().widen(|w| w.restart = true);
    assert!(differences(wider).iter().any(|d| d.contains("about other objects")));
    let mut later = scene();
    later.desired.cut.domains.get_mut("main").expect("a domain").rv = 101;
    assert!(differences(later).iter().any(|d| d.contains("of another moment")));
}
