//! What the simulated server must do as the real one does: facts F1 to F8 of the platform, each in small.

use http_body_util::BodyExt as _;

use super::*;
use crate::sim::world::Process;

/// Runs a test in simulated time, over a client without faults.
fn simulated<F: Future<Output = ()>>(test: impl FnOnce(Server, kube::Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(async {
        let world = World::new(7, []);
        let server = Server::start(&world, true);
        let client = server.client(&Process::new("test", &world));
        test(server, client).await;
    });
}

async fn get(client: &kube::Client, path: &str) -> (u16, serde_json::Value) {
    let request = http::Request::get(path).body(kube::client::Body::empty()).expect("the path is valid");
    let response = client.send(request).await.expect("the server answers");
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("the body is whole").to_bytes();
    (code, serde_json::from_slice(&bytes).expect("the body is JSON"))
}

/// The events of a watch, to its end.
async fn watch(client: &kube::Client, path: &str) -> Vec<(String, serde_json::Value)> {
    let request = http::Request::get(path).body(kube::client::Body::empty()).expect("the path is valid");
    let response = client.send(request).await.expect("the server answers");
    let mut text = Vec::new();
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        text.extend_from_slice(frame.data_ref().expect("only data is sent"));
    }
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let events = lines.map_while(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    events.map(|e| (e["type"].as_str().unwrap_or("").to_owned(), e["object"].clone())).collect()
}

fn rv(object: &serde_json::Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|rv| rv.parse().ok()).unwrap_or(0)
}

const MAPS: &str = "/api/v1/configmaps";

fn data(value: &str) -> Json {
    obj([("data", obj([("k", value.into())]))])
}

fn set(server: &Server, name: &str, value: &str) -> u64 {
    let done = server.update("/configmaps", "shop", name, ("editor", ""), |o| {
        o.at("data").set("k", value);
    });
    done.expect("the object is there")
}

#[test]
fn lists_are_consistent_paged_and_exact() {
    simulated(|server, client| async move {
        for name in ["a", "b", "c"] {
            server.create("/configmaps", "shop", name, data("1")).expect("it is new");
        }
        let (_, first) = get(&client, &format!("{MAPS}?limit=2")).await;
        let at = rv(&first);
        set(&server, "c", "2");
        let token = first["metadata"]["continue"].as_str().expect("there is a next page");
        let token = token.replace(' ', "+");
        let (_, second) = get(&client, &format!("{MAPS}?limit=2&continue={token}")).await;
        assert_eq!(rv(&second), at, "all pages are of one revision");
        assert_eq!(second["items"][0]["data"]["k"], "1");
        assert!(second["items"][0].get("kind").is_none(), "items of built-in kinds have no kind");
        let exact = |rv: u64| format!("{MAPS}?resourceVersion={rv}&resourceVersionMatch=Exact");
        let (_, past) = get(&client, &exact(at)).await;
        assert_eq!(past["items"][2]["data"]["k"], "1");
        let (_, now) = get(&client, MAPS).await;
        assert_eq!(now["items"][2]["data"]["k"], "2");
        assert_eq!(get(&client, &exact(at + 1_000_000)).await.0, 504, "a future revision");
        server.compact_now();
        server.compact_now();
        assert_eq!(get(&client, &exact(at)).await.1["reason"], "Expired", "a compacted revision");
    });
}

#[test]
fn history_is_walked_back_by_name() {
    simulated(|server, client| async move {
        server.create("/configmaps", "shop", "a", data("1")).expect("it is new");
        let second = set(&server, "a", "2");
        let gone = server.delete("/configmaps", "shop", "a").expect("it is there");
        let by_name =
            |rv: u64| format!("{MAPS}?fieldSelector=metadata.name%3Da&resourceVersion={rv}&resourceVersionMatch=Exact");
        assert_eq!(rv(&get(&client, &by_name(gone - 1)).await.1["items"][0]), second);
        let before = get(&client, &by_name(second - 1)).await.1;
        assert_eq!(before["items"][0]["data"]["k"], "1");
        assert_eq!(get(&client, &by_name(gone)).await.1["items"], serde_json::json!([]));
        assert_eq!(set_missing(&server), Err(Refused::Object));
    });
}

fn set_missing(server: &Server) -> Result<u64, Refused> {
    server.update("/configmaps", "shop", "a", ("editor", ""), |o| o.set("x", 1))
}

#[test]
fn a_delete_has_its_own_revision_and_a_no_op_has_none() {
    simulated(|server, client| async move {
        let first = server.create("/configmaps", "shop", "a", data("1")).expect("it is new");
        assert_eq!(set(&server, "a", "1"), first, "nothing changed");
        let gone = server.delete("/configmaps", "shop", "a").expect("it is there");
        let events = watch(&client, &format!("{MAPS}?watch=true&resourceVersion={}&timeoutSeconds=3", first - 1)).await;
        let seen: Vec<_> = events.iter().map(|(verb, o)| (verb.as_str(), rv(o))).collect();
        assert_eq!(seen, [("ADDED", first), ("DELETED", gone)]);
        assert_eq!(events[1].1["kind"], "ConfigMap");
    });
}

#[test]
fn a_closing_bookmark_stands_at_a_list_before_it() {
    simulated(|server, client| async move {
        let first = server.create("/configmaps", "shop", "a", data("1")).expect("it is new");
        for value in 0..5 {
            let _ = server.create("/pods", "shop", &format!("p{value}"), data("1"));
        }
        let path = format!("{MAPS}?watch=true&resourceVersion={first}&timeoutSeconds=3&allowWatchBookmarks=true");
        let before = watch(&client, &path).await;
        assert!(rv(&before.last().expect("a bookmark").1) <= server.revision());
        let (_, list) = get(&client, &format!("{MAPS}?limit=1")).await;
        let after = watch(&client, &path).await;
        let (verb, object) = after.last().expect("a bookmark");
        assert_eq!((verb.as_str(), rv(object) >= rv(&list)), ("BOOKMARK", true));
    });
}

#[test]
fn a_quiet_watch_gets_bookmarks_about_every_minute() {
    simulated(|server, client| async move {
        let path = format!(
            "{MAPS}?watch=true&resourceVersion={}&timeoutSeconds=300&allowWatchBookmarks=true",
            server.revision()
        );
        let seen = watch(&client, &path).await;
        assert!((5..=6).contains(&seen.len()), "{seen:?}");
        let revisions: Vec<_> = seen.iter().map(|(_, o)| rv(o)).collect();
        assert!(revisions.is_sorted() && revisions.first() < revisions.last(), "{revisions:?}");
    });
}

#[test]
fn a_restart_refuses_every_older_cursor_though_history_is_there() {
    simulated(|server, client| async move {
        let first = server.create("/configmaps", "shop", "a", data("1")).expect("it is new");
        let _ = server.create("/pods", "shop", "p", data("1"));
        server.restart(Duration::from_secs(1)).await;
        let path = |rv: u64| format!("{MAPS}?watch=true&resourceVersion={rv}&timeoutSeconds=3");
        let seen = watch(&client, &path(first)).await;
        assert_eq!((seen[0].0.as_str(), &seen[0].1["code"]), ("ERROR", &serde_json::json!(410)));
        let exact = format!("{MAPS}?resourceVersion={first}&resourceVersionMatch=Exact");
        assert_eq!(get(&client, &exact).await.0, 200, "etcd still has it");
        let now = rv(&get(&client, &format!("{MAPS}?limit=1")).await.1);
        assert!(watch(&client, &path(now)).await.iter().all(|(verb, _)| verb != "ERROR"));
    });
}

#[test]
fn a_schema_change_ends_watches_and_rereads_at_the_same_revision() {
    simulated(|server, client| async move {
        server.add_crd("demo.example.com", "widgets", "Widget", &["v1", "v1beta1"]);
        server.world().sleep(Duration::from_secs(2)).await;
        let spec = obj([("spec", obj([("size", Json::Num("1.10".into()))]))]);
        let at = server.create("demo.example.com/widgets", "shop", "w", spec).expect("it is new");
        let base = "/apis/demo.example.com/v1/widgets";
        let path = format!("{base}?watch=true&resourceVersion={at}&timeoutSeconds=600");
        let (changing, watching) = (server.clone(), client.clone());
        let open = tokio::spawn(async move { watch(&watching, &path).await });
        server.world().sleep(Duration::from_secs(5)).await;
        changing.change_schema("demo.example.com", "widgets", |schema| {
            schema.defaults.push(("mode".into(), "fast".into()));
        });
        let before = server.world().now();
        open.await.expect("the watch ends");
        assert!(server.world().now() - before < 1_000_000, "at once");
        let (_, list) = get(&client, base).await;
        assert_eq!(list["items"][0]["spec"]["mode"], "fast");
        assert_eq!(rv(&list["items"][0]), at, "at the same revision");
        let path = format!("{base}?watch=true&resourceVersion={at}&timeoutSeconds=3");
        assert_eq!(watch(&client, &path).await[0].1["reason"], "Expired");
        assert_eq!(
            get(&client, "/apis/demo.example.com/v1beta1/widgets").await.1["items"][0]["apiVersion"],
            "demo.example.com/v1beta1"
        );
        server.remove_crd("demo.example.com", "widgets");
        assert_eq!(get(&client, base).await.0, 404);
    });
}

#[test]
fn a_reader_that_does_not_take_its_events_is_closed() {
    simulated(|server, client| async move {
        let at = server.create("/configmaps", "shop", "a", data("0")).expect("it is new");
        let request = http::Request::get(format!("{MAPS}?watch=true&resourceVersion={at}"))
            .body(kube::client::Body::empty())
            .expect("the path is valid");
        let response = client.send(request).await.expect("the server answers");
        for value in 0..200 {
            set(&server, "a", &format!("v{value}"));
            server.world().sleep(Duration::from_millis(50)).await;
        }
        let mut body = response.into_body();
        let mut frames = 0;
        while let Some(Ok(_)) = body.frame().await {
            frames += 1;
        }
        assert!(frames < 150, "{frames}");
        assert_eq!(server.world().faults.fired().get(&Fault::SlowReader), Some(&1));
    });
}

#[test]
fn discovery_names_every_kind_and_events_count_apart() {
    simulated(|server, client| async move {
        server.add_crd("demo.example.com", "widgets", "Widget", &["v1"]);
        server.world().sleep(Duration::from_secs(2)).await;
        let (_, core) = get(&client, "/api").await;
        let resources = core["items"][0]["versions"][0]["resources"].as_array().expect("resources");
        assert!(resources.iter().any(|r| r["resource"] == "configmaps" && r["scope"] == "Namespaced"));
        let (_, groups) = get(&client, "/apis").await;
        let names: Vec<_> =
            groups["items"].as_array().expect("groups").iter().map(|g| g["metadata"]["name"].clone()).collect();
        assert!(names.contains(&"demo.example.com".into()) && names.contains(&"apps".into()), "{names:?}");
        let (_, events) = get(&client, "/api/v1/events?limit=1").await;
        assert!(rv(&events) < 100, "a counter of its own");
        let (_, system) = get(&client, "/api/v1/namespaces/kube-system").await;
        assert_eq!(system["metadata"]["uid"], server.cluster().as_str());
    });
}

/// A write: status and answer.
async fn write(client: &kube::Client, method: &str, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
    let body = kube::client::Body::from(body.to_string().into_bytes());
    let request = http::Request::builder().method(method).uri(path).body(body).expect("the path is valid");
    let response = client.send(request).await.expect("the server answers");
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("the body is whole").to_bytes();
    (code, serde_json::from_slice(&bytes).expect("the body is JSON"))
}

#[test]
fn writes_hold_for_the_version_that_they_name() {
    use serde_json::json;
    simulated(|server, client| async move {
        let maps = "/api/v1/namespaces/shop/configmaps";
        let sent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1e400"}});
        let (code, made) = write(&client, "POST", &format!("{maps}?fieldManager=us"), sent.clone()).await;
        assert_eq!((code, &made["data"]["k"]), (201, &json!("1e400")), "{made}");
        assert_eq!(made["metadata"]["managedFields"][0]["manager"], "us");
        assert_eq!(write(&client, "POST", maps, sent).await.0, 409);

        let path = format!("{maps}/a");
        let mut changed = made.clone();
        changed["data"]["k"] = json!("2");
        let (code, put) = write(&client, "PUT", &format!("{path}?fieldManager=them"), changed.clone()).await;
        assert_eq!((code, &put["data"]["k"]), (200, &json!("2")), "{put}");
        assert_eq!(put["metadata"]["uid"], made["metadata"]["uid"]);
        assert_eq!(write(&client, "PUT", &path, changed).await.0, 409, "the revision is an old one");

        let owners =
            json!({"metadata": {"managedFields": [{"manager": "ci"}], "resourceVersion": rv(&put).to_string()}});
        let (_, owned) = write(&client, "PATCH", &path, owners).await;
        assert_eq!(owned["metadata"]["managedFields"], json!([{"manager": "ci"}]), "nobody is added to them");

        let of =
            |rv: u64| json!({"preconditions": {"uid": made["metadata"]["uid"], "resourceVersion": rv.to_string()}});
        assert_eq!(write(&client, "DELETE", &path, of(rv(&put))).await.0, 409);
        assert_eq!(write(&client, "DELETE", &path, of(rv(&owned))).await.0, 200);
        let (code, gone) = write(&client, "DELETE", &path, of(rv(&owned))).await;
        assert_eq!((code, &gone["details"]["name"]), (404, &json!("a")), "which object is not there");
        assert!(server.living("/configmaps").iter().all(|key| key.1 != "a"));
    });
}

#[test]
fn json_is_read_as_it_is_written() {
    let value = obj([
        ("text", "quo\"te\\ \u{1b} é😀 <&>\n".into()),
        ("number", Json::Num("0.1000000000000000055511e+2".to_owned())),
        ("list", Json::Arr(vec![Json::Null, true.into(), obj([])])),
    ]);
    for salt in 0..8 {
        let mut text = String::new();
        value.wire(salt, &mut text);
        let (mut read, mut wrote) = (String::new(), String::new());
        Json::parse(&text).expect("it was written here").exact(&mut read);
        value.exact(&mut wrote);
        assert_eq!(read, wrote, "{text}");
    }
    for bad in ["", "{", "[1,]", "{\"a\"}", "\"", "nul", "1 2"] {
        assert_eq!(Json::parse(bad), None, "{bad}");
    }
}
