use std::sync::{Arc, Mutex};

use hindcast_journal::parts::{BoxFuture, Clock};
use http::{Method, Request, Response};
use kube::client::Body;

use super::*;

/// An API server that has these objects, by their paths, and the requests that would change any.
fn serving(objects: Vec<(String, Value)>) -> (Csi, Arc<Mutex<Vec<String>>>) {
    let changes = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&changes);
    let answer = move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        if *request.method() != Method::GET {
            seen.lock().unwrap().push(format!("{} {path}", request.method()));
        }
        let found = objects.iter().find(|(at, _)| *at == path).map(|(_, object)| object.clone());
        let list = path.ends_with(CONTENTS).then(|| json!({"items": []}));
        let (code, body) = match found.or(list) {
            Some(object) => (200, object),
            None => (404, json!({"kind": "Status", "reason": "NotFound", "code": 404, "details": {"name": "x"}})),
        };
        let answer = Response::builder().status(code).header("content-type", "application/json");
        let answer = answer.body(Body::from(body.to_string().into_bytes()));
        async move { answer }
    };
    let client = kube::Client::new(tower::service_fn(answer), "default");
    (Csi::new(client, Parts::system()), changes)
}

fn tag() -> Tag {
    Tag { cluster: "c".into(), point: "nightly".into(), id: "0a".repeat(16), index: 0 }
}

/// A snapshot of ours, which says that this is its content.
fn taken(content: &str) -> Taken {
    let mut taken = Taken::bare(tag(), NAME);
    taken.details.extend([("namespace", "shop"), ("content", content)].map(|(k, v)| (k.to_owned(), v.to_owned())));
    taken
}

fn content(name: &str, of: (&str, &str), labels: &Value) -> (String, Value) {
    let value = json!({
        "metadata": {"name": name, "uid": "u", "labels": labels},
        "spec": {"deletionPolicy": "Delete", "volumeSnapshotRef": {"namespace": of.0, "name": of.1}},
        "status": {"snapshotHandle": "h", "readyToUse": true, "creationTime": 1000},
    });
    (object(&contents(), name), value)
}

#[tokio::test]
async fn the_content_of_somebody_else_is_not_marked_as_ours() {
    let strangers = content("theirs", ("bank", "payroll"), &json!({}));
    let (csi, changes) = serving(vec![strangers]);
    let error = csi.look(&taken("theirs")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("theirs"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("not ours")), "{error}");
    csi.delete(&taken("theirs")).await.unwrap();
    assert_eq!(*changes.lock().unwrap(), Vec::<String>::new());
    // Nor is that of another index, or of a snapshot of our name elsewhere.
    let other = labels(&Tag { index: 1, ..tag() });
    for (of, labels) in [(("bank", tag().name()), json!({})), (("bank", "payroll".to_owned()), other)] {
        let (csi, changes) = serving(vec![content("theirs", (of.0, &of.1), &labels)]);
        assert!(csi.look(&taken("theirs")).await.is_err());
        assert_eq!(*changes.lock().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_content_of_our_snapshot_is_told_to_stay() {
    let name = tag().name();
    for (of, labels) in [(("shop", name.as_str()), json!({})), (("", ""), labels(&tag()))] {
        let (csi, changes) = serving(vec![content("ours", of, &labels)]);
        let (seen, standing) = csi.look(&taken("ours")).await.unwrap();
        assert_eq!((standing, seen.handle.as_str()), (Standing::Ready, "h"));
        assert_eq!(*changes.lock().unwrap(), [format!("PATCH {}", object(&contents(), "ours"))]);
    }
}

#[tokio::test]
async fn a_snapshot_is_let_go_of_only_when_its_content_was_heard_to_stay() {
    let name = tag().name();
    let path = object(&snapshots("shop"), &name);
    let snapshot = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": "s", "labels": labels(&tag())},
        "status": {"boundVolumeSnapshotContentName": "ours"},
    });
    let told = content("ours", ("shop", &name), &json!({}));
    let (csi, changes) = serving(vec![told.clone(), (path.clone(), snapshot.clone())]);
    let (seen, standing) = csi.look(&taken("ours")).await.unwrap();
    assert_eq!((standing, changes.lock().unwrap().len()), (Standing::Cut(None), 1), "it is only told");
    // Right after that it is waited, and a while later it is not.
    let (_, mut stays) = told;
    stays["spec"]["deletionPolicy"] = json!("Retain");
    stays["metadata"]["labels"] = labels(&tag());
    let (csi, changes) = serving(vec![(object(&contents(), "ours"), stays), (path.clone(), snapshot)]);
    let (mut seen, standing) = csi.look(&seen).await.unwrap();
    assert_eq!((standing, changes.lock().unwrap().len()), (Standing::Cut(None), 0));
    seen.details.insert(RETAINED.to_owned(), "0".to_owned());
    let (seen, standing) = csi.look(&seen).await.unwrap();
    assert_eq!((standing, seen.details.get(RETAINED)), (Standing::Ready, None));
    assert_eq!(*changes.lock().unwrap(), [format!("DELETE {path}")]);
}

#[test]
fn a_content_goes_only_when_its_driver_will_delete_the_snapshot() {
    let marked = json!({BEING_DELETED: "yes"});
    let of = |meta: Value, policy: &str, source: Value, status: Value| {
        Step::of(&json!({"metadata": meta, "spec": {"deletionPolicy": policy, "source": source}, "status": status}))
    };
    let (made, given) = (json!({"volumeHandle": "v"}), json!({"snapshotHandle": "h"}));
    let (seen, nothing) = (json!({"snapshotHandle": "h"}), Value::Null);
    let going = json!({"annotations": marked, "deletionTimestamp": "2026-01-01T00:00:00Z"});
    let meta = json!({"annotations": marked});
    let lost = json!({"error": {"message": "Failed to check and update snapshot content: can not find snapshot for snapshotID h"}});
    let down = json!({"error": {"message": "Failed to check and update snapshot content: rpc error: Unavailable"}});
    for (meta, policy, source, status, step) in [
        (json!({}), "Delete", &made, &seen, Step::Mark),
        (meta.clone(), "Retain", &made, &seen, Step::Mark),
        // The sidecar took the mark off, as it writes back what it had read.
        (json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), "Delete", &made, &seen, Step::Mark),
        (meta.clone(), "Delete", &made, &nothing, Step::Remove),
        (meta.clone(), "Delete", &given, &nothing, Step::Look),
        (meta.clone(), "Delete", &given, &down, Step::Look),
        (meta.clone(), "Delete", &given, &lost, Step::Remove),
        (meta, "Delete", &given, &seen, Step::Remove),
        (going, "Delete", &given, &seen, Step::Delete),
    ] {
        let what = format!("{meta} {policy} {source} {status}");
        assert_eq!(of(meta, policy, source.clone(), status.clone()), step, "{what}");
    }
}

/// A group of one volume: what its API is served as, the group, its content and the content of its snapshot.
fn grouped(policy: &str, annotations: Value) -> [(String, Value); 5] {
    let api = "/apis/groupsnapshot.storage.k8s.io";
    let marks = json!({"hindcast.dev/group-volumes": "{\"v\":0}"});
    let group = json!({
        "metadata": {"name": "g", "namespace": "shop", "uid": "u", "labels": labels(&tag()), "annotations": marks},
        "status": {"boundVolumeGroupSnapshotContentName": "gc"},
    });
    let content = json!({
        "metadata": {"name": "gc", "uid": "c", "labels": labels(&tag()), "annotations": annotations},
        "spec": {"deletionPolicy": policy, "volumeGroupSnapshotRef": {"namespace": "shop", "name": "g"}},
        "status": {"readyToUse": true, "volumeGroupSnapshotHandle": "gh", "creationTime": "2026-01-01T00:00:00Z",
            "volumeSnapshotInfoList": [{"volumeHandle": "v", "snapshotHandle": "h"}]},
    });
    let (_, mut member) = content_of_member();
    member["metadata"]["annotations"] = json!({"hindcast.dev/group": "g"});
    [
        (api.to_owned(), json!({"preferredVersion": {"version": "v1"}})),
        (format!("{api}/v1/namespaces/shop/volumegroupsnapshots/g"), group),
        (format!("{api}/v1/volumegroupsnapshotcontents/gc"), content.clone()),
        (format!("{api}/v1/volumegroupsnapshotcontents"), json!({"items": [content]})),
        (contents(), json!({"items": [member]})),
    ]
}

fn content_of_member() -> (String, Value) {
    let (path, mut member) = content("m", ("shop", "s"), &labels(&tag()));
    member["spec"]["deletionPolicy"] = json!("Retain");
    (path, member)
}

fn taken_in_group() -> Taken {
    let mut taken = taken("m");
    taken.details.extend([("group", "g"), ("source", "v")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    taken
}

#[tokio::test]
async fn the_marks_of_a_group_that_a_sidecar_took_off_are_put_back() {
    let all = json!({"hindcast.dev/group": "g", "hindcast.dev/group-volumes": "{\"v\":0}"});
    for (marks, changes) in [(all, 0), (json!({}), 1), (json!({"hindcast.dev/group": "g"}), 1)] {
        let (csi, seen) = serving(grouped("Retain", marks.clone()).to_vec());
        let (taken, standing) = csi.look(&taken_in_group()).await.unwrap();
        // Its snapshot has no content yet that is known to be its own.
        assert_eq!((standing, taken.handle.as_str()), (Standing::Cut(None), "h"), "{marks}");
        assert_eq!(seen.lock().unwrap().len(), changes, "{marks}: {:?}", seen.lock().unwrap());
    }
}

#[tokio::test]
async fn a_group_that_was_let_go_of_is_ready_only_while_its_content_stays() {
    for (policy, going, ready) in [("Retain", false, true), ("Delete", false, false), ("Retain", true, false)] {
        let mut objects = grouped(policy, json!({})).to_vec();
        objects.remove(1);
        if going {
            objects[2].1["items"][0]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let (csi, changes) = serving(objects);
        let (taken, standing) = csi.look(&taken_in_group()).await.unwrap();
        assert_eq!(standing, if ready { Standing::Ready } else { Standing::Gone }, "{policy} {going}");
        assert_eq!(taken.details.get("groupHandle").map(String::as_str), Some("gh"));
        assert_eq!(*changes.lock().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn who_may_not_read_groups_goes_on_with_all_else() {
    let answer = |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let (code, body) = match path.as_str() {
            "/apis/groupsnapshot.storage.k8s.io" => (200, json!({"preferredVersion": {"version": "v1"}})),
            path if path.starts_with("/apis/groupsnapshot.storage.k8s.io/") => {
                (403, json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "not yours"}))
            }
            path if path.ends_with(CONTENTS) => (200, json!({"items": [content_of_member().1]})),
            _ => (200, json!({"items": []})),
        };
        let answer = Response::builder().status(code).header("content-type", "application/json");
        let answer = answer.body(Body::from(body.to_string().into_bytes()));
        async move { answer }
    };
    let csi = Csi::new(kube::Client::new(tower::service_fn(answer), "default"), Parts::system());
    assert_eq!(csi.all("c").await.unwrap().len(), 1);
}

/// A clock that is as far on as was slept.
#[derive(Debug, Default)]
struct Leaps(Arc<Mutex<Duration>>);

impl Clock for Leaps {
    fn now(&self) -> Micros {
        self.monotonic().as_micros() as Micros
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let now = Arc::clone(&self.0);
        Box::pin(async move {
            // Requests are answered here, in whatever time that takes.
            if duration > Duration::from_secs(1) {
                std::future::pending::<()>().await;
            }
            *now.lock().unwrap() += duration;
        })
    }
}

/// A sidecar that writes back annotations as it had read them, once, and then deletes only what has changed after that.
#[tokio::test]
async fn a_sidecar_that_forgets_what_it_was_to_do_is_asked_again() {
    let (_, content) = content("ours", ("shop", "x"), &labels(&tag()));
    let state = Arc::new(Mutex::new((Some(content.clone()), Vec::<String>::new())));
    let seen = Arc::clone(&state);
    let answer = move |request: Request<Body>| {
        let seen = Arc::clone(&seen);
        async move {
            let method = request.method().clone();
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut state = seen.lock().unwrap();
            let (object, changes) = &mut *state;
            let before = object.clone();
            if let (Some(now), true) = (object.as_mut(), method != Method::GET) {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                let marks = patch.pointer("/metadata/annotations").cloned().unwrap_or_default();
                if method == Method::DELETE {
                    changes.push("remove".to_owned());
                    now["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    now["metadata"]["annotations"] = json!({});
                } else if marks.get(BEING_DELETED).is_some() {
                    changes.push("mark".to_owned());
                    now["metadata"]["annotations"] = marks;
                    now["spec"]["deletionPolicy"] = json!("Delete");
                } else if marks.get(ASKED).is_some() {
                    changes.push("ask".to_owned());
                    *object = None;
                }
            }
            let (code, body) = match before {
                Some(object) => (200, object),
                None => (404, json!({"kind": "Status", "reason": "NotFound", "code": 404, "details": {"name": "x"}})),
            };
            let answer = Response::builder().status(code).header("content-type", "application/json");
            answer.body(Body::from(body.to_string().into_bytes()))
        }
    };
    let client = kube::Client::new(tower::service_fn(answer), "default");
    let csi = Csi::new(client, Parts { clock: Arc::new(Leaps::default()), ..Parts::system() });
    csi.delete_content(&contents(), &content).await.unwrap();
    assert_eq!(state.lock().unwrap().1, ["mark", "remove", "mark", "ask"]);
}

#[test]
fn no_plugin_may_have_the_name_of_a_driver_here() {
    for name in [NAME, crate::files::NAME] {
        assert!(crate::driver::OWN.contains(&name), "{name}");
    }
}
