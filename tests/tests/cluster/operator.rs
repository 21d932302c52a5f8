//! Recovery points with plain API objects alone: a schedule makes them, they appear, a restore puts back what was deleted; what an
//! account may not do its restore does not, and what is wrong with an object stands in its status.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{JSON, find, request},
    real::{Verdict, Webhook, WebhookKind},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    points::Scene,
    scene::{ask, ask_with_cluster, create, create_when_served, moment, namespace_goes, send, until},
};

const OURS: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast";
const SHOP: &str = "/apis/hindcast.dev/v1alpha1/namespaces/shop";
const LONG: Duration = Duration::from_mins(1);

impl Scene {
    /// With the kinds of `hindcast.dev`, and namespaces to use them in.
    async fn with_kinds() -> Result<Self> {
        let scene = Self::new().await?;
        for name in ["hindcast", "shop", "bank"] {
            scene.namespace(name).await?;
        }
        // They come while it runs, and are noticed.
        for (_, definition) in hindcast_operator::api::definitions() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            create(&scene.cluster.client(), path, serde_json::to_value(definition)?).await?;
        }
        Ok(scene)
    }

    async fn make(&self, path: &str, object: Value) -> Result<Value> {
        create_when_served(&self.cluster.client(), path, &object).await
    }

    async fn get(&self, path: &str) -> Result<Option<Value>> {
        find(&self.cluster.client(), path).await
    }

    async fn account(&self, namespace: &str, name: &str, rules: Value) -> Result<()> {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        self.make(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), account).await?;
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
        });
        self.make(&format!("{rbac}/clusterroles"), role).await?;
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let (kind, path) = match namespace {
            "hindcast" => ("ClusterRoleBinding", format!("{rbac}/clusterrolebindings")),
            _ => ("RoleBinding", format!("{rbac}/namespaces/{namespace}/rolebindings")),
        };
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "roleRef": reference, "subjects": subjects,
        });
        self.make(&path, binding).await.map(|_| ())
    }

    /// Waits until a condition of an object is what it should be, and gives its message.
    async fn condition(&self, path: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        let mut last = Value::Null;
        let waited = until(format!("{path} is {kind}={status} ({reason})"), LONG, async || {
            last = self.get(path).await?.unwrap_or_default();
            let found = condition(&last, kind);
            Ok(found.is_some_and(|found| found["status"] == status && found["reason"] == reason))
        });
        if let Err(error) = waited.await {
            let log = self.running.process.log_tail();
            anyhow::bail!("{error:#}; it is {}\n{log}", last["status"]);
        }
        let generation = &last["metadata"]["generation"];
        let found = condition(&last, kind).context("it was there")?;
        ensure!(found["observedGeneration"] == *generation, "it is of another generation: {last}");
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn points(&self) -> Result<Vec<Value>> {
        let list = self.get(&format!("{OURS}/recoverypoints")).await?.unwrap_or_default();
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

fn condition<'v>(object: &'v Value, kind: &str) -> Option<&'v Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "hindcast.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_api_objects_alone_a_namespace_comes_back_and_no_account_does_more_than_it_may() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::with_kinds().await?;
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    scene.account("hindcast", "restorer", all).await?;
    paused(&scene).await?;
    wrong(&scene).await?;
    let point = scheduled(&scene).await?;
    restored(&scene, &point).await?;
    planned_first(&scene, &point).await?;
    tenants(&scene, &point).await?;
    killed(&scene).await?;
    mirrored(&scene, &point).await?;
    scene.running.stop().await
}

/// A schedule that misses its first runs.
async fn paused(scene: &Scene) -> Result<()> {
    scene.csi.claim("bank", "data", None).await?;
    scene.csi.bound("bank", "data").await?;
    scene.make("/api/v1/namespaces/shop/configmaps", config_map("settings", "1")).await?;
    scene.make("/api/v1/namespaces/shop/configmaps", config_map("more", "1")).await?;
    let spec = json!({
        "schedule": "* * * * *", "paused": true,
        "template": {"namespaces": ["shop", "bank"], "labels": {"team": "shop"}},
        "retention": {"last": 2},
    });
    scene.make(&format!("{OURS}/schedules"), object("Schedule", "often", spec)).await?;
    scene.condition(&format!("{OURS}/schedules/often"), "Ready", "True", "Paused").await.map(|_| ())
}

/// Unpaused, it makes up for what it missed, or makes what comes due; gives the name of the point.
async fn scheduled(scene: &Scene) -> Result<String> {
    let client = scene.cluster.client();
    let path = format!("{OURS}/schedules/often");
    send(&client, "PATCH", &path, Some(json!({"spec": {"paused": false}}))).await?;
    until("a point was made", LONG + LONG, async || {
        let points = scene.points().await?;
        Ok(points.iter().any(|point| point["status"]["phase"] == "Complete"))
    })
    .await?;
    send(&client, "PATCH", &path, Some(json!({"spec": {"paused": true}}))).await?;
    scene.condition(&path, "Ready", "True", "Paused").await?;
    let idle = async || {
        let schedule = scene.get(&path).await?.unwrap_or_default();
        let points = scene.points().await?;
        let made =
            points.iter().all(|point| point["metadata"]["name"] == "odd" || point["status"]["phase"] == "Complete");
        let due = schedule["status"]["lastScheduled"].as_str().is_some();
        Ok(schedule["status"].get("active").is_none() && made && due)
    };
    until("nothing is being made", LONG, idle).await?;
    let schedule = scene.get(&path).await?.context("it is there")?;
    let made = condition(&schedule, "PointMade").context("it says so")?;
    ensure!(made["status"] == "True" && made["reason"] == "Complete", "{schedule}");
    let points = scene.points().await?;
    let of_schedule = |point: &&Value| point["metadata"]["labels"]["hindcast.dev/schedule"] == "often";
    let point = points.iter().rfind(of_schedule).context("there is one")?;
    ensure!(point["status"]["snapshots"] == 1, "{point}");
    let name = point["metadata"]["name"].as_str().context("it has a name")?.to_owned();
    let listed = ask(&scene.hindcast, &["point", "list"]).await?;
    listed.is(0, &[&name])?;
    Ok(name)
}

async fn restored(scene: &Scene, point: &str) -> Result<()> {
    namespace_goes(&scene.cluster.client(), "shop", LONG).await?;
    let spec = json!({
        "serviceAccountName": "restorer", "at": format!("point:{point}"), "target": {"namespace": "shop"}, "mode": "Apply",
    });
    scene.make(&format!("{OURS}/restores"), object("Restore", "shop", spec)).await?;
    let path = format!("{OURS}/restores/shop");
    scene.condition(&path, "Verified", "True", "Verified").await?;
    scene.condition(&path, "Applied", "True", "Applied").await?;
    let restore = scene.get(&path).await?.context("it is there")?;
    let status = &restore["status"];
    let record = status["record"].as_str().context("it has a record")?;
    ensure!(status["planned"]["counts"]["create"].as_u64() >= Some(3), "{status}");
    let done = status["actions"].as_array().context("it has actions")?;
    ensure!(
        done.iter().all(|action| action["result"] == "done"
            && action["verified"].as_str().is_some_and(|seen| seen.starts_with("equal"))),
        "{status}"
    );
    let back = scene.get("/api/v1/namespaces/shop/configmaps/settings").await?.context("it is back")?;
    ensure!(back["data"]["a"] == "1", "{back}");
    let records = ask(&scene.hindcast, &["journal", "ls"]).await?;
    records.is(0, &[record])?;
    Ok(())
}

/// What was shown is what is done.
async fn planned_first(scene: &Scene, point: &str) -> Result<()> {
    let client = scene.cluster.client();
    let map = "/api/v1/namespaces/shop/configmaps/settings";
    let one = |name: &str| {
        let target = json!({"namespace": "shop", "object": "cm/settings"});
        object(
            "Restore",
            name,
            json!({"serviceAccountName": "restorer", "at": format!("point:{point}"), "target": target}),
        )
    };
    send(&client, "PATCH", map, Some(json!({"data": {"a": "2"}}))).await?;
    for name in ["shown", "changed"] {
        scene.make(&format!("{OURS}/restores"), one(name)).await?;
        let path = format!("{OURS}/restores/{name}");
        scene.condition(&path, "Planned", "True", "Planned").await?;
        let planned = scene.get(&path).await?.context("it is there")?;
        ensure!(planned["status"]["planned"]["counts"]["update"] == 1, "{planned}");
        ensure!(condition(&planned, "Applied").is_none() && planned["status"].get("record").is_none(), "{planned}");
    }
    ensure!(scene.get(map).await?.context("it is there")?["data"]["a"] == "2", "a plan does nothing");
    let apply = async |name: &str| {
        let path = format!("{OURS}/restores/{name}");
        send(&client, "PATCH", &path, Some(json!({"spec": {"mode": "Apply"}}))).await.map(|_| path)
    };
    scene.condition(&apply("shown").await?, "Verified", "True", "Verified").await?;
    ensure!(scene.get(map).await?.context("it is there")?["data"]["a"] == "1", "it was put back");
    send(&client, "PATCH", map, Some(json!({"data": {"a": "3"}}))).await?;
    scene.condition(&apply("changed").await?, "Applied", "False", "PlanChanged").await?;
    ensure!(scene.get(map).await?.context("it is there")?["data"]["a"] == "3", "nothing was done");
    Ok(())
}

async fn tenants(scene: &Scene, point: &str) -> Result<()> {
    let read = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]);
    scene.account("shop", "reader", read).await?;
    let restore = |name: &str, account: &str, target: Value| {
        let at = format!("point:{point}");
        object("Restore", name, json!({"serviceAccountName": account, "at": at, "target": target, "mode": "Apply"}))
    };
    let map = "/api/v1/namespaces/shop/configmaps/settings";
    let before = scene.get(map).await?;
    let own = json!({"namespace": "shop", "object": "cm/settings"});
    scene.make(&format!("{SHOP}/restores"), restore("mine", "reader", own.clone())).await?;
    let why = scene.condition(&format!("{SHOP}/restores/mine"), "Applied", "False", "Refused").await?;
    ensure!(why.contains("system:serviceaccount:shop:reader") && why.contains("configmaps"), "{why}");
    ensure!(scene.get(map).await? == before, "nothing was written");
    scene.make(&format!("{SHOP}/restores"), restore("theirs", "reader", json!({"namespace": "bank"}))).await?;
    scene.condition(&format!("{SHOP}/restores/theirs"), "Planned", "False", "OtherNamespace").await?;
    scene.make(&format!("{SHOP}/restores"), restore("nobody", "nobody", own)).await?;
    let why = scene.condition(&format!("{SHOP}/restores/nobody"), "Planned", "False", "NoServiceAccount").await?;
    ensure!(why.contains("nobody"), "{why}");
    Ok(())
}

/// Whoever carries it out is killed between two of its writes; the next one finishes it.
async fn killed(scene: &Scene) -> Result<()> {
    const OBJECTS: usize = 40;
    let client = scene.cluster.client();
    let maps = "/api/v1/namespaces/mill/configmaps";
    scene.namespace("mill").await?;
    for n in 0..OBJECTS {
        create(&client, maps, config_map(&format!("m{n}"), "1")).await?;
    }
    // A change's time is when it was heard of.
    scene.running.close().await?;
    let at = moment(&scene.running).await?;
    namespace_goes(&client, "mill", LONG).await?;
    let rules =
        json!([{"apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["CREATE"]}]);
    let pid = scene.running.process.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("it runs")?;
    let written = AtomicUsize::new(0);
    let hook = Webhook::start(&scene.cluster, "counts.hindcast.test", WebhookKind::Validating, rules, move |request| {
        let counts =
            request["namespace"] == "mill" && request["dryRun"] != true && request["name"] != "kube-root-ca.crt";
        if counts && written.fetch_add(1, Ordering::Relaxed) == OBJECTS / 2 {
            // It fails if it is gone already, which the test would tell by a restore that is not finished.
            let _ = kill_process(pid, Signal::KILL);
        }
        Verdict::Allow
    })
    .await?;
    let spec = json!({"serviceAccountName": "restorer", "at": at, "target": {"namespace": "mill"}, "mode": "Apply"});
    scene.make(&format!("{OURS}/restores"), object("Restore", "killed", spec)).await?;
    scene.running.process.wait(LONG).await?;
    let path = format!("{OURS}/restores/killed");
    let half = scene.get(&path).await?.context("it is there")?;
    ensure!(
        condition(&half, "Applied").is_some_and(|applied| applied["status"] == "Unknown"),
        "it was under way: {half}"
    );
    let planned = &half["status"]["planned"]["counts"]["create"];
    ensure!(planned.as_u64() > Some(OBJECTS as u64), "all of it was planned: {half}");
    let made = scene.get(maps).await?.context("they are listed")?["items"].as_array().map_or(0, Vec::len);
    ensure!(made < OBJECTS, "it was not done: {made}");
    scene.running.process.start()?;
    scene.running.wait_ready(LONG).await?;
    until("it is finished", 3 * LONG, async || {
        let restore = scene.get(&path).await?.unwrap_or_default();
        Ok(condition(&restore, "Verified").is_some_and(|verified| verified["status"] == "True"))
    })
    .await?;
    scene.condition(&path, "Applied", "True", "Applied").await?;
    for n in 0..OBJECTS {
        let map = scene.get(&format!("{maps}/m{n}")).await?;
        let Some(map) = map else { anyhow::bail!("m{n} is not back: {:?}", scene.get(&path).await?) };
        ensure!(map["data"]["a"] == "1", "{map}");
    }
    hook.remove().await
}

/// What is wrong stands in the status of what it is wrong with.
async fn wrong(scene: &Scene) -> Result<()> {
    let schedule = |name: &str, more: Value| {
        let mut spec = json!({"schedule": "@daily"});
        spec.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        object("Schedule", name, spec)
    };
    let policies =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, "data": {"p": "version: v9\n"}});
    scene.make("/api/v1/namespaces/hindcast/configmaps", policies).await?;
    let cases = [
        ("cron", json!({"schedule": "61 * * * *"}), "61"),
        ("zone", json!({"timeZone": "Mars/Olympus"}), "Mars/Olympus"),
        ("jitter", json!({"jitter": "soon"}), "jitter \"soon\""),
        ("kept", json!({"retention": {"within": "long"}}), "retention.within"),
        ("policy", json!({"template": {"volumePolicies": "none"}}), "volumePolicies none"),
        ("policies", json!({"template": {"volumePolicies": "bad"}}), "version"),
        ("selector", json!({"template": {"selector": "a in"}}), "selector"),
    ];
    for (name, more, _) in &cases {
        scene.make(&format!("{OURS}/schedules"), schedule(name, more.clone())).await?;
    }
    for (name, _, phrase) in &cases {
        let why = scene.condition(&format!("{OURS}/schedules/{name}"), "Ready", "False", "Invalid").await?;
        ensure!(why.contains(phrase), "{name}: {why}");
    }
    scene.make(&format!("{SHOP}/schedules"), schedule("mine", json!({}))).await?;
    scene.condition(&format!("{SHOP}/schedules/mine"), "Ready", "False", "OtherNamespace").await?;
    let point = object("RecoveryPoint", "odd", json!({"template": {"ttl": "a while"}}));
    scene.make(&format!("{OURS}/recoverypoints"), point).await?;
    let why = scene.condition(&format!("{OURS}/recoverypoints/odd"), "Made", "False", "Invalid").await?;
    ensure!(why.contains("ttl"), "{why}");
    let late = json!({"serviceAccountName": "restorer", "at": "half past", "target": {"namespace": "shop"}});
    scene.make(&format!("{OURS}/restores"), object("Restore", "late", late)).await?;
    let why = scene.condition(&format!("{OURS}/restores/late"), "Planned", "False", "Invalid").await?;
    ensure!(why.contains("half past"), "{why}");
    // What can have no meaning at all is refused by the server.
    let nothing = object("Restore", "none", json!({"serviceAccountName": "restorer", "at": "now", "target": {}}));
    let path = format!("{OURS}/restores");
    let (status, answer) =
        request(&scene.cluster.client(), "POST", &path, Some(nothing.to_string().into_bytes()), JSON).await?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(status == 422 && answer.contains("name a namespace"), "{status} {answer}");
    Ok(())
}

/// The bucket is the truth, and an object takes its point along only if it says so.
async fn mirrored(scene: &Scene, scheduled: &str) -> Result<()> {
    let client = scene.cluster.client();
    let path = format!("{OURS}/recoverypoints/{scheduled}");
    send(&client, "DELETE", &path, None).await?;
    until("what is in the bucket comes back", LONG, async || Ok(scene.get(&path).await?.is_some())).await?;
    let spec = json!({"template": {"namespaces": ["bank"]}, "deletionPolicy": "Delete"});
    scene.make(&format!("{OURS}/recoverypoints"), object("RecoveryPoint", "by-hand", spec)).await?;
    let path = format!("{OURS}/recoverypoints/by-hand");
    scene.condition(&path, "Made", "True", "Complete").await?;
    ask(&scene.hindcast, &["point", "show", "by-hand"]).await?.is(0, &["complete"])?;
    send(&client, "DELETE", &path, None).await?;
    until("it is gone", LONG, async || Ok(scene.get(&path).await?.is_none())).await?;
    ask(&scene.hindcast, &["point", "show", "by-hand"]).await?.is(2, &["no recovery point of that name"])?;
    // One that somebody else makes appears, and goes with what it stands for.
    let address = scene.running.address.as_str();
    let made = ["point", "create", "theirs", "-n", "bank", "--run-address", address];
    ask_with_cluster(&scene.hindcast, &made).await?.is(0, &[])?;
    let path = format!("{OURS}/recoverypoints/theirs");
    scene.condition(&path, "Made", "True", "Complete").await?;
    ask_with_cluster(&scene.hindcast, &["point", "delete", "theirs", "--yes"]).await?.is(0, &[])?;
    until("it goes with its point", LONG, async || Ok(scene.get(&path).await?.is_none())).await?;
    Ok(())
}
