//! A plan carried out on a real API server: owners, conflicts, crashes, refusals, undo.
//!
//! **Invariants.** What stands afterwards is compared with objects read before, by fields that are written down here, never
//! by the engine's own idea of intent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_journal::{Journal, cut::At, seal::Key};
use hindcast_restorer::{
    Outcome, Prepared, Records, Selection, Session, Timeline,
    apply::{Became, Check, Progress, Settings, Verified, settle},
    selection::{What, Widen},
    session::Restore,
};
use hindcast_tests::{
    http::request,
    oracle::subject::{Hindcast, Running},
    real::{Cluster, Part, Verdict, Webhook, WebhookKind, process::Workdir},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::scene::{create, on_folder, send, until};

mod around;
mod owned;

/// How long the library may wait for the server, and for what is on its way into the bucket.
const PATIENCE: Duration = Duration::from_secs(15);

/// A cluster that is protected, and the library over its journal.
struct Scene {
    cluster: Cluster,
    client: Client,
    running: Running,
    journal: Journal,
    key: Arc<Key>,
    _dir: Workdir,
}

impl Scene {
    async fn new(hindcast: Hindcast, cluster: Cluster, dir: Workdir) -> Result<Self> {
        let running = hindcast.run(&[]).await?;
        let (journal, key) = (hindcast.place.journal().await?, hindcast.key()?);
        Ok(Self { client: cluster.client(), cluster, running, journal, key, _dir: dir })
    }

    async fn start() -> Result<Self> {
        let cluster = Cluster::builder().controller_manager().start().await?;
        let dir = Workdir::new()?;
        let hindcast = on_folder(&dir, "restore", cluster.kubeconfig())?;
        Self::new(hindcast, cluster, dir).await
    }

    fn records(&self) -> Records {
        Records::new(self.journal.store().clone(), vec![self.key.clone()], false)
    }

    /// A moment of now, closed, and surely after everything that was written.
    async fn now(&self) -> Result<i64> {
        // What was written is received first: until then it may be after any moment of now.
        self.running.close().await?;
        let now = jiff::Timestamp::now().as_microsecond();
        self.running.close().await?;
        Ok(now)
    }

    /// The library over the journal, as it stands now, and over the cluster as `client` may see it.
    async fn session(&self, client: &Client) -> Result<(Session, Timeline)> {
        self.running.close().await?;
        let timeline = Timeline::open(&self.journal, vec![self.key.clone()]).await?;
        Ok((Session::open(client.clone(), &timeline, PATIENCE, PATIENCE).await?, timeline))
    }

    async fn plan(&self, selection: &Selection, at: i64) -> Result<Prepared> {
        let (session, mut timeline) = self.session(&self.client).await?;
        let then = timeline.at(&At::Time(at)).await?;
        Ok(session.plan(&mut timeline, &then, selection).await?.prepared)
    }

    async fn begin(&self, prepared: &Prepared) -> Result<Restore> {
        let (session, _) = self.session(&self.client).await?;
        Ok(session.begin(&self.records(), prepared.clone(), &|_| {}).await?)
    }

    async fn resume(&self, id: &str) -> Result<Restore> {
        let (session, mut timeline) = self.session(&self.client).await?;
        Ok(session.resume(&mut timeline, &self.records(), id).await?.0)
    }

    async fn apply(&self, prepared: &Prepared) -> Result<Outcome> {
        finish(&self.begin(prepared).await?).await
    }

    async fn undo(&self, id: &str) -> Result<Outcome> {
        let (session, mut timeline) = self.session(&self.client).await?;
        let record = self.records().open(id).await?;
        let prepared = session.undo(&mut timeline, &record, &Widen::default()).await?.prepared;
        ensure!(prepared.plan.undoes.as_deref() == Some(id), "the plan says what it undoes");
        self.apply(&prepared).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        send(&self.client, "GET", path, None).await
    }

    async fn namespace(&self, name: &str) -> Result<()> {
        create(&self.client, "/api/v1/namespaces", json!({"metadata": {"name": name}})).await?;
        Ok(())
    }
}

/// Carries a restore out, with nobody who looks on or interrupts.
async fn finish(restore: &Restore) -> Result<Outcome> {
    let (_keep, cancel) = watch::channel(false);
    Ok(restore.apply(&Settings::default(), &|_| {}, cancel).await?)
}

fn whole(namespace: &str) -> Selection {
    Selection::of(What::Namespace(namespace.to_owned()))
}

/// `kubectl apply --server-side` without force, by a manager.
async fn server_side(client: &Client, manager: &str, path: &str, object: &Value, force: bool) -> Result<(u16, Value)> {
    let path = format!("{path}?fieldManager={manager}&force={force}");
    let body = Some(object.to_string().into_bytes());
    let (status, answer) = request(client, "PATCH", &path, body, "application/apply-patch+yaml").await?;
    Ok((status, serde_json::from_slice(&answer)?))
}

async fn applied(client: &Client, manager: &str, path: &str, object: &Value) -> Result<Value> {
    let (status, answer) = server_side(client, manager, path, object, false).await?;
    ensure!(status < 300, "{manager} applies {path}: {status} {}", answer["message"]);
    Ok(answer)
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    })
}

/// The managers that own anything of an object, but for status.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = entries
        .iter()
        .filter(|e| e.get("subresource").is_none())
        .map(|e| {
            format!("{}:{}", e["manager"].as_str().unwrap_or_default(), e["operation"].as_str().unwrap_or_default())
        })
        .collect();
    names.sort();
    names
}

fn all(outcome: &Outcome, became: Became) -> Result<()> {
    for acted in &outcome.actions {
        ensure!(acted.became == became, "{acted:#?}");
        let fine = matches!(
            acted.verified,
            Some(Verified::Equal | Verified::EqualButForControllerOwned | Verified::EqualButForKept)
        );
        ensure!(fine, "{acted:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_deploy_is_taken_back_and_its_owners_go_on() -> Result<()> {
    let scene = Scene::start().await?;
    let client = &scene.client;
    scene.namespace("shop").await?;
    let apps = "/apis/apps/v1/namespaces/shop";
    let core = "/api/v1/namespaces/shop";
    let web = format!("{apps}/deployments/web");
    let config = format!("{core}/configmaps/app");

    // Two owners: one applies on the server, the other on the client.
    applied(client, "ci", &web, &deployment("registry/web:1", 2)).await?;
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"mode": "a", "size": "1"}});
    let mut first = manifest.clone();
    first["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": format!("{manifest}\n")});
    create(client, &format!("{core}/configmaps?fieldManager=kubectl-client-side-apply"), first.clone()).await?;
    create(client, &format!("{core}/secrets"), json!({"metadata": {"name": "db"}, "data": {"password": "b25l"}}))
        .await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    create(client, &format!("{core}/services"), service).await?;
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db", "replicas": 1,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "registry/db:1"}]},
            },
        },
    });
    create(client, &format!("{apps}/statefulsets"), set.clone()).await?;
    let pod = format!("{core}/pods/db-0");
    until("the set has its Pod", Duration::from_mins(1), || async {
        Ok(request(client, "GET", &pod, None, "application/json").await?.0 == 200)
    })
    .await?;
    let before = (scene.get(&web).await?, scene.get(&config).await?, scene.get(&format!("{core}/services/web")).await?);
    let pod_before = scene.get(&pod).await?;
    let at = scene.now().await?;

    // The bad deploy: another manager takes the image over, keys go, a Service goes, something is added.
    let (status, answer) = server_side(client, "night", &web, &deployment("registry/web:2", 2), true).await?;
    ensure!(status < 300, "the bad deploy: {answer}");
    send(client, "PATCH", &config, Some(json!({"data": {"size": null, "mode": "b"}}))).await?;
    send(client, "PATCH", &format!("{core}/secrets/db"), Some(json!({"data": {"password": "dHdv"}}))).await?;
    send(client, "DELETE", &format!("{core}/services/web"), None).await?;
    create(client, &format!("{core}/configmaps"), json!({"metadata": {"name": "stray"}})).await?;
    // A field of a set that cannot be changed: deleted without its Pods, and created otherwise.
    let orphan = json!({"propagationPolicy": "Orphan"});
    send(client, "DELETE", &format!("{apps}/statefulsets/db"), Some(orphan)).await?;
    until("the set is gone", Duration::from_mins(1), || async {
        let path = format!("{apps}/statefulsets/db");
        Ok(request(client, "GET", &path, None, "application/json").await?.0 == 404)
    })
    .await?;
    let mut other = set.clone();
    other["spec"]["serviceName"] = json!("other");
    create(client, &format!("{apps}/statefulsets"), other).await?;
    let bad = (scene.get(&web).await?, scene.get(&config).await?);

    // Back.
    let mut selection = whole("shop");
    selection.widen.allow_recreate = true;
    let prepared = scene.plan(&selection, at).await?;
    let checks = scene.session(client).await?.0.check(&prepared).await;
    ensure!(checks.len() == prepared.plan.actions.len(), "every action is checked");
    ensure!(checks.values().all(|c| *c == Check::Fine), "{checks:#?}");
    scene.get(&format!("{core}/configmaps/stray")).await.context("checking deletes nothing")?;
    let outcome = scene.apply(&prepared).await?;
    all(&outcome, Became::Done)?;
    ensure!(outcome.actions.len() == 6, "{:#?}", outcome.actions);
    ensure!(outcome.is_whole(), "{outcome:#?}");

    let now = (scene.get(&web).await?, scene.get(&config).await?, scene.get(&format!("{core}/services/web")).await?);
    ensure!(now.0["spec"] == before.0["spec"], "{:#}", now.0);
    ensure!(
        now.1["data"] == before.1["data"] && now.1["metadata"]["annotations"] == before.1["metadata"]["annotations"]
    );
    ensure!(now.2["spec"] == before.2["spec"], "the Service has its old address");
    let secret = scene.get(&format!("{core}/secrets/db")).await?;
    ensure!(secret["data"]["password"] == "b25l");
    let set_now = scene.get(&format!("{apps}/statefulsets/db")).await?;
    ensure!(set_now["spec"]["serviceName"] == "db");
    let pod_now = scene.get(&pod).await?;
    ensure!(pod_now["metadata"]["uid"] == pod_before["metadata"]["uid"], "the set's Pod was not restarted");

    // Each owner goes on without force.
    ensure!(managers(&now.0) == managers(&before.0), "{:?} then, {:?} now", managers(&before.0), managers(&now.0));
    ensure!(managers(&now.1) == managers(&before.1), "{:?} then, {:?} now", managers(&before.1), managers(&now.1));
    let next = applied(client, "ci", &web, &deployment("registry/web:3", 3)).await?;
    ensure!(next["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/web:3");
    applied(client, "ci", &web, &deployment("registry/web:1", 2)).await?;

    // There is nothing more to do, and undoing brings the bad state back.
    let again = scene.plan(&selection, at).await?;
    ensure!(again.plan.actions.is_empty(), "{:#?}", again.plan.actions);
    let undone = scene.undo(&outcome.id).await?;
    all(&undone, Became::Done)?;
    let now = (scene.get(&web).await?, scene.get(&config).await?);
    ensure!(now.0["spec"] == bad.0["spec"] && now.1["data"] == bad.1["data"], "{:#} {:#}", now.0, now.1);
    let (status, _) = request(client, "GET", &format!("{core}/services/web"), None, "application/json").await?;
    ensure!(status == 404, "the Service that the restore created is gone");
    scene.get(&format!("{core}/configmaps/stray")).await?;
    // And undoing that is the restore.
    all(&scene.undo(&undone.id).await?, Became::Done)?;
    ensure!(scene.get(&web).await?["spec"] == before.0["spec"]);
    Ok(())
}

/// A namespace of many `ConfigMap`s at a moment, each changed since, a third of them deleted, others added.
async fn crowd(scene: &Scene, namespace: &str, count: usize) -> Result<i64> {
    scene.namespace(namespace).await?;
    let folder = format!("/api/v1/namespaces/{namespace}/configmaps");
    for n in 0..count {
        let object = json!({"metadata": {"name": format!("c{n:03}")}, "data": {"v": "then"}});
        create(&scene.client, &folder, object).await?;
    }
    let at = scene.now().await?;
    for n in 0..count {
        let path = format!("{folder}/c{n:03}");
        match n % 3 {
            0 => send(&scene.client, "DELETE", &path, None).await?,
            1 => send(&scene.client, "PATCH", &path, Some(json!({"data": {"v": "since"}}))).await?,
            _ => {
                let object = json!({"metadata": {"name": format!("new{n:03}")}, "data": {"v": "since"}});
                create(&scene.client, &folder, object).await?
            }
        };
    }
    Ok(at)
}

/// Name and data of every `ConfigMap` of a namespace, but for the one that every namespace gets.
async fn configs(scene: &Scene, namespace: &str) -> Result<BTreeMap<String, Value>> {
    let list = scene.get(&format!("/api/v1/namespaces/{namespace}/configmaps")).await?;
    let items = list["items"].as_array().cloned().context("a list")?;
    let named =
        items.iter().map(|i| (i["metadata"]["name"].as_str().unwrap_or_default().to_owned(), i["data"].clone()));
    Ok(named.filter(|(name, _)| name != "kube-root-ca.crt").collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_it_is_finished_and_taken_back() -> Result<()> {
    const COUNT: usize = 60;
    let scene = Scene::start().await?;
    for round in 0..8_usize {
        let namespace = format!("crash{round}");
        let at = crowd(&scene, &namespace, COUNT).await?;
        let bad = configs(&scene, &namespace).await?;
        let prepared = scene.plan(&whole(&namespace), at).await?;
        ensure!(prepared.plan.actions.len() == COUNT, "{}", prepared.plan.actions.len());
        let restore = scene.begin(&prepared).await?;
        let id = restore.record().id().to_owned();
        let (_keep, cancel) = watch::channel(false);
        // The process dies when so many actions are through: its requests are dropped wherever they are.
        let (seen, enough) = (AtomicUsize::new(0), tokio::sync::Notify::new());
        let listener = |p: Progress<'_>| {
            if p.action.is_some() && seen.fetch_add(1, Ordering::Relaxed) == round * 7 {
                enough.notify_one();
            }
        };
        let settings = Settings { most: 4, first: 4, ..Settings::default() };
        tokio::select! {
            biased;
            () = enough.notified() => {}
            done = restore.apply(&settings, &listener, cancel) => { done?; }
        }
        drop(restore);
        if round % 2 == 1 {
            taken_back_as_it_is(&scene, &namespace, &id, bad).await.with_context(|| format!("round {round}"))?;
            continue;
        }
        let outcome = finish(&scene.resume(&id).await?).await?;
        ensure!(outcome.is_whole(), "round {round}: {outcome:#?}");
        let now = configs(&scene, &namespace).await?;
        let expected: BTreeMap<String, Value> =
            (0..COUNT).map(|n| (format!("c{n:03}"), json!({"v": "then"}))).collect();
        ensure!(now == expected, "round {round}: {now:#?}");
        let undone = scene.undo(&id).await?;
        ensure!(undone.is_whole() && undone.actions.len() == COUNT, "round {round}: {undone:#?}");
        ensure!(configs(&scene, &namespace).await? == bad, "round {round}: the state before is back");
    }
    Ok(())
}

/// An undo finds out by itself what a killed restore has done; what somebody wrote since is left, and said.
async fn taken_back_as_it_is(scene: &Scene, namespace: &str, id: &str, mut bad: BTreeMap<String, Value>) -> Result<()> {
    let mine = json!({"v": "mine"});
    let folder = format!("/api/v1/namespaces/{namespace}/configmaps");
    send(&scene.client, "PATCH", &format!("{folder}/c058"), Some(json!({"data": mine}))).await?;
    bad.insert("c058".to_owned(), mine);
    let record = scene.records().open(id).await?;
    let open = settle(&record, &scene.client).await?;
    ensure!(open > 0 && record.open_ends().is_empty(), "{open} open ends");
    ensure!(settle(&record, &scene.client).await? == 0, "what is known is not looked up again");
    let undone = scene.undo(id).await?;
    ensure!(undone.is_whole() && undone.actions.iter().all(|a| a.key.name != "c058"), "{undone:#?}");
    ensure!(configs(scene, namespace).await? == bad, "the state before is back");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_status_is_no_conflict_and_a_writer_of_spec_is_named() -> Result<()> {
    const COUNT: usize = 40;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "restore", cluster.kubeconfig())?;
    let scene = Scene::new(hindcast, cluster, dir).await?;
    scene.namespace("busy").await?;
    let folder = "/apis/apps/v1/namespaces/busy/deployments";
    for n in 0..COUNT {
        let mut object = deployment("registry/web:1", 1);
        object["metadata"]["name"] = json!(format!("d{n:02}"));
        create(&scene.client, folder, object).await?;
    }
    let at = scene.now().await?;
    let image =
        |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}});
    for n in 0..COUNT {
        send(&scene.client, "PATCH", &format!("{folder}/d{n:02}"), Some(image("registry/web:2"))).await?;
    }
    let prepared = scene.plan(&whole("busy"), at).await?;
    ensure!(prepared.plan.actions.len() == COUNT);
    // Somebody changes the intent of two of them after the plan was made.
    for n in [3, 17] {
        let path = format!("{folder}/d{n:02}");
        send(&scene.client, "PATCH", &path, Some(json!({"spec": {"minReadySeconds": 7}}))).await?;
    }
    let writes = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (client, writes) = (scene.client.clone(), writes.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let path = format!("{folder}/d{:02}/status", n % COUNT);
                let body = json!({"status": {"observedGeneration": n, "replicas": n % 9}});
                if send(&client, "PATCH", &path, Some(body)).await.is_ok() {
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    until("the writer writes", Duration::from_secs(20), || async { Ok(writes.load(Ordering::Relaxed) > 2 * COUNT) })
        .await?;
    let outcome = scene.apply(&prepared).await?;
    writer.abort();
    for acted in &outcome.actions {
        let disturbed = ["d03", "d17"].contains(&acted.key.name.as_str());
        let expected = if disturbed { Became::Conflict } else { Became::Done };
        ensure!(acted.became == expected, "{acted:#?}");
        let told = acted.differences.iter().any(|d| d.path == "/spec/minReadySeconds");
        ensure!(!disturbed || told, "{acted:#?}");
        let now = scene.get(&format!("{folder}/{}", acted.key.name)).await?;
        let kept = if disturbed { "registry/web:2" } else { "registry/web:1" };
        ensure!(now["spec"]["template"]["spec"]["containers"][0]["image"] == kept, "{now:#}");
    }
    ensure!(!outcome.is_whole());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_and_the_rest_is_done() -> Result<()> {
    let scene = Scene::start().await?;
    let at = crowd(&scene, "part", 6).await?;
    let core = "/api/v1/namespaces/part";
    let prepared = scene.plan(&whole("part"), at).await?;
    // May read everything and change ConfigMaps, but delete none.
    let rule = |verbs: &[&str], resources: &[&str]| PolicyRule {
        api_groups: Some(vec!["*".to_owned()]),
        resources: Some(resources.iter().map(|r| (*r).to_owned()).collect()),
        verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
        ..PolicyRule::default()
    };
    let may = vec![rule(&["get", "list"], &["*"]), rule(&["create", "update", "patch"], &["configmaps"])];
    let config = scene.cluster.user("half", may).await?;
    let half = Cluster::client_from(&config).await?;
    let (session, _) = scene.session(&half).await?;
    let checks = session.check(&prepared).await;
    let refused = checks.values().filter(|c| matches!(c, Check::Refused(_))).count();
    ensure!(refused == 2, "the deletes are refused beforehand: {checks:#?}");
    let outcome = finish(&session.begin(&scene.records(), prepared, &|_| {}).await?).await?;
    ensure!((outcome.count(Became::Done), outcome.count(Became::Refused)) == (4, 2), "{outcome:#?}");
    let refused = outcome.actions.iter().find(|a| a.became == Became::Refused).context("there is one")?;
    let words = refused.message.clone().unwrap_or_default().to_string();
    ensure!(words.contains("`delete` on configmaps"), "{words}");

    // With the right given, resuming does the rest.
    let resumed = finish(&scene.resume(&outcome.id).await?).await?;
    ensure!(resumed.is_whole(), "{resumed:#?}");
    ensure!(configs(&scene, "part").await?.len() == 6);

    // A quota that is full refuses creates in the server's words.
    let at = scene.now().await?;
    send(&scene.client, "DELETE", &format!("{core}/configmaps/c001"), None).await?;
    let prepared = scene.plan(&whole("part"), at).await?;
    let quota = json!({"metadata": {"name": "full"}, "spec": {"hard": {"count/configmaps": "1"}}});
    create(&scene.client, &format!("{core}/resourcequotas"), quota).await?;
    until("the quota counts", Duration::from_mins(1), || async {
        Ok(scene.get(&format!("{core}/resourcequotas/full")).await?["status"]["used"]["count/configmaps"].is_string())
    })
    .await?;
    let outcome = scene.apply(&prepared).await?;
    let [acted] = outcome.actions.as_slice() else { anyhow::bail!("{outcome:#?}") };
    ensure!(
        acted.became == Became::Refused
            && acted.message.clone().unwrap_or_default().to_string().contains("exceeded quota")
    );
    send(&scene.client, "DELETE", &format!("{core}/resourcequotas/full"), None).await?;

    // Cancelled before it begins, nothing is done, and it can be resumed.
    let (_asker, cancelled) = watch::channel(true);
    let outcome = scene.begin(&prepared).await?.apply(&Settings::default(), &|_| {}, cancelled).await?;
    ensure!(outcome.cancelled && outcome.count(Became::Skipped) == 1, "{outcome:#?}");
    let outcome = finish(&scene.resume(&outcome.id).await?).await?;
    ensure!(outcome.is_whole() && outcome.count(Became::Done) == 1, "{outcome:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_may_die_and_come_back_in_the_middle() -> Result<()> {
    const COUNT: usize = 300;
    let scene = Scene::start().await?;
    let at = crowd(&scene, "outage", COUNT).await?;
    let prepared = scene.plan(&whole("outage"), at).await?;
    let restore = scene.begin(&prepared).await?;
    let (_keep, cancel) = watch::channel(false);
    let begun = tokio::sync::Notify::new();
    let listener = |p: Progress<'_>| {
        if p.done == COUNT / 3 {
            begun.notify_one();
        }
    };
    let outage = async {
        begun.notified().await;
        scene.cluster.restart(Part::Apiserver).await
    };
    let began = Instant::now();
    let settings = Settings::default();
    let work = restore.apply(&settings, &listener, cancel);
    let (outcome, outage) = tokio::join!(work, outage);
    outage?;
    let outcome = outcome?;
    ensure!(
        outcome.is_whole(),
        "after {:?}: {:#?}",
        began.elapsed(),
        outcome.actions.iter().filter(|a| a.became != Became::Done).collect::<Vec<_>>()
    );
    let expected: BTreeMap<String, Value> = (0..COUNT).map(|n| (format!("c{n:03}"), json!({"v": "then"}))).collect();
    ensure!(configs(&scene, "outage").await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_take_part_unless_they_are_bypassed() -> Result<()> {
    let scene = Scene::start().await?;
    let (client, core) = (&scene.client, "/api/v1/namespaces/hooks");
    scene.namespace("hooks").await?;
    for name in ["free", "held", "marked"] {
        let object = json!({"metadata": {"name": name}, "data": {"v": "then"}});
        create(client, &format!("{core}/configmaps"), object).await?;
    }
    let cron = json!({
        "metadata": {"name": "tick"},
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "tick", "image": "registry/tick:1"}],
            }}}},
        },
    });
    let batch = "/apis/batch/v1/namespaces/hooks/cronjobs";
    create(client, batch, cron).await?;
    let service = json!({"metadata": {"name": "moved"}, "spec": {"ports": [{"port": 80}]}});
    let service = create(client, &format!("{core}/services"), service).await?;
    let at = scene.now().await?;
    for name in ["free", "held", "marked"] {
        send(client, "PATCH", &format!("{core}/configmaps/{name}"), Some(json!({"data": {"v": "since"}}))).await?;
    }
    send(client, "DELETE", &format!("{batch}/tick"), None).await?;
    // Its address is somebody else's by now.
    send(client, "DELETE", &format!("{core}/services/moved"), None).await?;
    let taker = json!({"metadata": {"name": "taker"}, "spec": {"clusterIP": service["spec"]["clusterIP"], "ports": [{"port": 80}]}});
    create(client, "/api/v1/namespaces/default/services", taker).await?;

    let rules = json!([{"apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["*"]}]);
    let name_of = |request: &Value| request["name"].as_str().unwrap_or_default().to_owned();
    let hook =
        Webhook::start(&scene.cluster, "guard.hindcast.test", WebhookKind::Validating, rules.clone(), move |request| {
            if name_of(request) == "held" { Verdict::Deny("held by policy".to_owned()) } else { Verdict::Allow }
        })
        .await?;
    let marker = Webhook::start(&scene.cluster, "marker.hindcast.test", WebhookKind::Mutating, rules, move |request| {
        if name_of(request) == "marked" {
            Verdict::Patch(json!([{"op": "replace", "path": "/data/v", "value": "marked"}]))
        } else {
            Verdict::Allow
        }
    })
    .await?;
    let guards = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/guard.hindcast.test";
    let before = scene.get(guards).await?["webhooks"].clone();

    let mut selection = whole("hooks");
    let outcome = scene.apply(&scene.plan(&selection, at).await?).await?;
    let of = |outcome: &Outcome, name: &str| {
        let found = outcome.actions.iter().find(|a| a.key.name == name).cloned();
        found.with_context(|| format!("{name} in {outcome:#?}"))
    };
    let held = of(&outcome, "held")?;
    ensure!(
        held.became == Became::Refused
            && held.message.clone().unwrap_or_default().to_string().contains("held by policy"),
        "{held:#?}"
    );
    let marked = of(&outcome, "marked")?;
    ensure!(marked.verified == Some(Verified::ChangedByAdmission), "{marked:#?}");
    ensure!(marked.differences.iter().any(|d| d.path == "/data/v"), "{marked:#?}");
    ensure!(of(&outcome, "free")?.verified == Some(Verified::Equal));
    let moved = of(&outcome, "moved")?;
    ensure!(
        moved.became == Became::Done && moved.message.clone().unwrap_or_default().to_string().contains("taken"),
        "{moved:#?}"
    );
    ensure!(of(&outcome, "tick")?.verified == Some(Verified::Equal), "{outcome:#?}");
    let tick = scene.get(&format!("{batch}/tick")).await?;
    ensure!(tick["spec"]["suspend"] != true && !managers(&tick).iter().any(|m| m.starts_with("hindcast")), "{tick:#}");
    ensure!(!outcome.is_whole());

    // The guard crashes: only with the flag is it got out of the way, and afterwards it is as it was.
    drop(hook);
    selection.widen.bypass_webhooks = true;
    selection.only = vec![("/configmaps".to_owned(), "held".to_owned())];
    let outcome = scene.apply(&scene.plan(&selection, at).await?).await?;
    ensure!(of(&outcome, "held")?.verified == Some(Verified::Equal), "{outcome:#?}");
    ensure!(outcome.notes.iter().any(|n| n.to_string().contains("are called again")), "{outcome:#?}");
    ensure!(scene.get(guards).await?["webhooks"] == before, "the webhook is as it was");
    marker.remove().await?;
    Ok(())
}

/// Ports and room that belong to somebody else by now: waited for where the plan takes them back, done without elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_hold_is_waited_for_or_done_without() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::start().await?;
    scene.namespace("held").await?;
    let client = &scene.client;
    let core = "/api/v1/namespaces/held";
    let port = |port: u64, node: u64| json!({"name": format!("p{port}"), "port": port, "nodePort": node});
    let service =
        |name: &str, ports: &[Value]| json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": ports}});
    let services = format!("{core}/services");
    for (name, ports) in [("first", [port(80, 30_101)]), ("second", [port(80, 30_102)]), ("third", [port(80, 30_103)])]
    {
        create(client, &services, service(name, &ports)).await?;
    }
    let map = |name: &str| json!({"metadata": {"name": name}, "data": {"v": "then"}});
    create(client, &format!("{core}/configmaps"), map("kept")).await?;
    // Beside it there is the authority's, which a controller makes.
    let fixed = |v: &str| json!({"metadata": {"name": "fixed"}, "immutable": true, "data": {"v": v}});
    create(client, &format!("{core}/configmaps"), fixed("then")).await?;
    let quota = json!({"metadata": {"name": "maps"}, "spec": {"hard": {"count/configmaps": "3"}}});
    create(client, &format!("{core}/resourcequotas"), quota).await?;
    let counted = async |count: &str| {
        let path = format!("{core}/resourcequotas/maps");
        until("the quota is counted", Duration::from_secs(30), async || {
            Ok(scene.get(&path).await?["status"]["used"]["count/configmaps"] == count)
        })
        .await
    };
    counted("3").await?;
    let at = scene.now().await?;

    // `first` moves and its port goes to an extra, `second` moves to where `first` was then; `third`'s port goes away for good.
    let moved = |ports: &[Value]| Some(json!({"spec": {"ports": ports}}));
    for (name, ports) in [("first", [port(80, 30_111)]), ("third", [port(80, 30_113)])] {
        send(client, "PATCH", &format!("{services}/{name}"), moved(&ports)).await?;
    }
    create(client, &services, service("extra", &[port(80, 30_101)])).await?;
    send(client, "PATCH", &format!("{services}/second"), moved(&[port(80, 30_112), port(81, 30_114)])).await?;
    create(client, "/api/v1/namespaces/default/services", service("taker", &[port(80, 30_103)])).await?;
    create(client, &services, service("chained", &[port(80, 30_102)])).await?;
    // The room of one that is gone is an extra's.
    send(client, "DELETE", &format!("{core}/configmaps/kept"), None).await?;
    send(client, "DELETE", &format!("{core}/configmaps/fixed"), None).await?;
    counted("1").await?;
    create(client, &format!("{core}/configmaps"), map("extra")).await?;
    // It can only be deleted and created again, in the room that it leaves.
    create(client, &format!("{core}/configmaps"), fixed("now")).await?;
    counted("3").await?;

    let selection = whole("held");
    let prepared = scene.plan(&selection, at).await?;
    let checks = scene.session(client).await?.0.check(&prepared).await;
    for (name, holds) in [("first", "30101"), ("second", "30102"), ("third", "30103"), ("kept", "exceeded quota")] {
        let (_, said) = checks.iter().find(|(key, _)| key.name == name).context(name)?;
        ensure!(
            matches!(said, Check::NotYet(why) if why.contains(holds) && why.contains("tried again")),
            "{name}: {said:?}"
        );
    }
    // What is deleted is counted out of the quota by a controller, which may take its time.
    let counts_late = async {
        scene.cluster.pause(Part::ControllerManager)?;
        // For so long nothing is counted.
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.cluster.resume(Part::ControllerManager)
    };
    let (outcome, counted_late) = tokio::join!(scene.apply(&prepared), counts_late);
    let outcome = outcome?;
    counted_late?;
    ensure!(outcome.actions.iter().all(|a| a.became == Became::Done), "{outcome:#?}");
    let node_ports = async |name: &str| {
        let service = scene.get(&format!("{services}/{name}")).await?;
        let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
        Ok::<_, anyhow::Error>(ports.iter().filter_map(|p| p["nodePort"].as_u64()).collect::<Vec<_>>())
    };
    ensure!(node_ports("first").await? == [30_101], "{outcome:#?}");
    ensure!(node_ports("second").await? == [30_102], "{outcome:#?}");
    let third = outcome.actions.iter().find(|a| a.key.name == "third").context("third")?;
    ensure!(third.message.clone().unwrap_or_default().to_string().contains("30103 is taken"), "{third:#?}");
    ensure!(node_ports("third").await?.len() == 1);
    for name in ["kept", "fixed"] {
        ensure!(scene.get(&format!("{core}/configmaps/{name}")).await?["data"]["v"] == "then", "{name}");
    }
    what_was_given_instead_is_known_again(&scene).await?;
    who_moved_in_keeps_the_namespace(&scene).await
}

/// A process wrote Services without the ports that others held, and died before their outcome was recorded.
async fn what_was_given_instead_is_known_again(scene: &Scene) -> Result<()> {
    scene.namespace("died").await?;
    let client = &scene.client;
    let services = "/api/v1/namespaces/died/services";
    let service = |name: &str, node: Option<u64>, tier: &str| {
        let mut port = json!({"port": 80, "protocol": "TCP", "targetPort": 80});
        if let Some(node) = node {
            port["nodePort"] = json!(node);
        }
        json!({"metadata": {"name": name, "labels": {"tier": tier}}, "spec": {"type": "NodePort", "ports": [port]}})
    };
    let wanted = [("changed", 30_121), ("gone", 30_122), ("moved", 30_123)];
    for (name, node) in wanted {
        create(client, services, service(name, Some(node), "then")).await?;
    }
    let at = scene.now().await?;
    for (name, tier, node) in [("changed", "now", 30_131), ("moved", "then", 30_133)] {
        let path = format!("{services}/{name}");
        send(client, "PATCH", &path, Some(service(name, Some(node), tier))).await?;
    }
    send(client, "DELETE", &format!("{services}/gone"), None).await?;
    for (name, node) in wanted {
        create(client, "/api/v1/namespaces/default/services", service(&format!("has-{name}"), Some(node), "")).await?;
    }
    let prepared = scene.plan(&whole("died"), at).await?;
    ensure!(prepared.plan.actions.len() == wanted.len(), "{:#?}", prepared.plan.actions);
    let id = scene.begin(&prepared).await?.record().id().to_owned();
    send(client, "PATCH", &format!("{services}/changed"), Some(service("changed", None, "then"))).await?;
    let gone = create(client, services, service("gone", None, "then")).await?;
    let given = gone["spec"]["ports"][0]["nodePort"].as_u64().context("it has a node port")?;
    // Where nothing but the port was to change, it was somebody else who gave it another one.
    send(client, "PATCH", &format!("{services}/moved"), Some(service("moved", Some(30_143), "then"))).await?;

    let outcome = finish(&scene.resume(&id).await?).await?;
    for (name, became, said) in [
        ("changed", Became::Already, "its node port is 30131, not 30121".to_owned()),
        ("gone", Became::Already, format!("its node port is {given}, not 30122")),
        ("moved", Became::Conflict, "it was changed since the plan was made".to_owned()),
    ] {
        let acted = outcome.actions.iter().find(|a| a.key.name == name).context(name)?;
        ensure!(acted.became == became, "{acted:#?}");
        ensure!(acted.message.clone().unwrap_or_default().to_string().contains(&said), "{acted:#?}");
        let paths: Vec<&str> = acted.differences.iter().map(|d| d.path.as_str()).collect();
        ensure!(matches!(paths[..], [path] if path.ends_with("/nodePort")), "{acted:#?}");
    }
    // They are ours: the undo takes both back, and lets the third be.
    let undone = scene.undo(&id).await?;
    ensure!(undone.is_whole() && undone.actions.len() == 2, "{undone:#?}");
    let now = send(client, "GET", services, None).await?;
    let left: Vec<_> = now["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| (&s["metadata"]["name"], &s["metadata"]["labels"]["tier"], &s["spec"]["ports"][0]["nodePort"]))
        .collect();
    ensure!(json!(left) == json!([["changed", "now", 30_131], ["moved", "then", 30_143]]), "{left:?}");
    Ok(())
}

/// A namespace that came since is to go with what was in it when the plan was made, and somebody else has come by then.
async fn who_moved_in_keeps_the_namespace(scene: &Scene) -> Result<()> {
    let at = scene.now().await?;
    scene.namespace("later").await?;
    let maps = "/api/v1/namespaces/later/configmaps";
    create(&scene.client, maps, json!({"metadata": {"name": "added"}})).await?;
    let selection = Selection {
        what: What::All,
        widen: Widen { allow_delete: vec!["/namespaces".to_owned()], ..Widen::default() },
        ..whole("later")
    };
    let prepared = scene.plan(&selection, at).await?;
    let planned: Vec<&str> = prepared.plan.actions.iter().map(|action| action.key.name.as_str()).collect();
    ensure!(planned == ["added", "later"], "{planned:?}");
    create(&scene.client, maps, json!({"metadata": {"name": "strangers"}})).await?;
    let outcome = scene.apply(&prepared).await?;
    let [added, later] = outcome.actions.as_slice() else { bail!("{outcome:#?}") };
    ensure!(added.became == Became::Done, "{added:#?}");
    ensure!(later.became == Became::Refused, "{later:#?}");
    let why = later.message.clone().unwrap_or_default().to_string();
    ensure!(why.contains("configmaps/strangers in later is still there"), "{why}");
    scene.get(&format!("{maps}/strangers")).await?;

    send(&scene.client, "DELETE", &format!("{maps}/strangers"), None).await?;
    let prepared = scene.plan(&selection, at).await?;
    let outcome = scene.apply(&prepared).await?;
    ensure!(
        outcome.actions.iter().all(|a| a.became == Became::Done && a.verified == Some(Verified::Equal)),
        "{outcome:#?}"
    );
    Ok(())
}
