//! What is around the objects of a restore: webhooks that a killed one left switched off, namespaces that do not go, what
//! shapes admission, volumes whose storage was kept, runs that were missed, versions that are not served any more.

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_restorer::{
    Outcome, Prepared,
    apply::{Became, Progress, Settings},
    plan::Verb,
    session::Restore,
};
use hindcast_tests::real::{Verdict, Webhook, WebhookKind, process::Workdir};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

use super::{Scene, all, finish, whole};
use crate::scene::{ask, create, create_when_served, on_folder, send, until};
use hindcast_tests::{oracle::subject::Hindcast, real::Cluster};

/// How long the controllers of a test may take.
const LONG: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_gets_along_with_what_is_around_it() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "around", cluster.kubeconfig())?;
    let scene = Scene::new(hindcast.clone(), cluster, dir).await?;
    a_bypass_that_was_killed_is_told_and_taken_back(&scene, &hindcast).await?;
    a_namespace_that_waits_is_waited_for_once(&scene).await?;
    a_namespace_that_cannot_finish_says_why(&scene).await?;
    shapers_give_way_and_ports_are_done_without(&scene).await?;
    a_claim_comes_back_with_its_volume(&scene).await?;
    a_missed_run_is_told(&scene).await?;
    a_version_that_is_gone_is_written_in_another(&scene).await
}

/// Carries a restore out until its first action is through, and is gone then.
async fn killed(restore: &Restore) -> Result<()> {
    let first = Notify::new();
    let (_keep, cancel) = watch::channel(false);
    let settings = Settings::default();
    let tell = |progress: Progress<'_>| {
        if progress.action.is_some() {
            first.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = first.notified() => Ok(()),
        outcome = restore.apply(&settings, &tell, cancel) => bail!("it was through: {outcome:#?}"),
    }
}

async fn a_bypass_that_was_killed_is_told_and_taken_back(scene: &Scene, hindcast: &Hindcast) -> Result<()> {
    let client = &scene.client;
    scene.namespace("gated").await?;
    let maps = "/api/v1/namespaces/gated/configmaps";
    for name in ["a", "b"] {
        create(client, maps, json!({"metadata": {"name": name}, "data": {"v": "then"}})).await?;
    }
    let services = "/api/v1/namespaces/gated/services";
    let service = json!({"metadata": {"name": "later"}, "spec": {"ports": [{"port": 80}]}});
    create(client, services, service.clone()).await?;
    let at = scene.now().await?;
    for name in ["a", "b"] {
        send(client, "PATCH", &format!("{maps}/{name}"), Some(json!({"data": {"v": "since"}}))).await?;
    }
    send(client, "DELETE", &format!("{services}/later"), None).await?;
    let rules = json!([{"apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["*"]}]);
    let hook = Webhook::start(&scene.cluster, "gate.hindcast.test", WebhookKind::Validating, rules, |_| Verdict::Allow)
        .await?;
    drop(hook);
    let gate = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gate.hindcast.test";
    let before = scene.get(gate).await?["webhooks"].clone();

    // It is down: what it stops has one reason, which names what is down.
    let mut selection = whole("gated");
    let refused = scene.apply(&scene.plan(&selection, at).await?).await?;
    let mut why: Vec<String> =
        of(&refused, Became::Refused).map(|acted| acted.message.clone().unwrap_or_default().to_string()).collect();
    ensure!(why.len() == 2, "{refused:#?}");
    why.dedup();
    let one = why.first().filter(|_| why.len() == 1).with_context(|| format!("{why:?}"))?;
    ensure!(
        one.contains("ValidatingWebhookConfiguration gate.hindcast.test") && one.contains("does not answer"),
        "{one}"
    );

    send(client, "DELETE", &format!("{services}/later"), None).await?;
    selection.widen.bypass_webhooks = true;
    let restore = scene.begin(&scene.plan(&selection, at).await?).await?;
    killed(&restore).await?;
    let id = restore.record().id().to_owned();
    let off = scene.get(gate).await?["webhooks"].to_string();
    ensure!(off.contains("hindcast-bypass") && off.contains(&id), "it was killed with the webhook off: {off}");

    // Every command says so, out of the journal as out of the cluster.
    let inside = scene.now().await?;
    let on = format!("`hindcast undo {id}` switches them on");
    let time = jiff::Timestamp::from_microsecond(at)?.to_string();
    let told = ["testbed of ValidatingWebhookConfiguration gate.hindcast.test", on.as_str()];
    ask(hindcast, &["get", "cm", "-n", "gated", "--at", &time]).await?.is(0, &told)?;
    ask(hindcast, &["status"]).await?.is(0, &told)?;
    let planned = crate::scene::ask_with_cluster(hindcast, &["plan", "-n", "gated", "--at", &time]).await?;
    ensure!(told.iter().all(|told| planned.err.contains(told)), "{planned}");

    // An undo puts admission back before all else, though the restore was never finished.
    let (session, mut timeline) = scene.session(client).await?;
    let record = scene.records().open(&id).await?;
    let undo = session.undo(&mut timeline, &record, &hindcast_restorer::selection::Widen::default()).await?.prepared;
    ensure!(undo.plan.switches_on.len() == 1, "{:#?}", undo.plan);
    let undone = scene.apply(&undo).await?;
    ensure!(undone.notes.iter().any(|note| note.to_string().contains("are called again")), "{undone:#?}");
    ensure!(scene.get(gate).await?["webhooks"] == before, "the webhook is as it was");

    // What the journal has of the time in between is not put back.
    let only = |selection: &mut hindcast_restorer::Selection| {
        selection.what = hindcast_restorer::selection::What::Object {
            kind: "admissionregistration.k8s.io/validatingwebhookconfigurations".to_owned(),
            namespace: String::new(),
            name: "gate.hindcast.test".to_owned(),
        };
    };
    only(&mut selection);
    let plan = scene.plan(&selection, inside).await?.plan;
    ensure!(plan.actions.is_empty(), "{plan:#?}");
    send(client, "DELETE", gate, None).await?;
    let outcome = scene.apply(&scene.plan(&selection, inside).await?).await?;
    all(&outcome, Became::Done)?;
    ensure!(scene.get(gate).await?["webhooks"] == before, "it comes back switched on");
    send(client, "DELETE", gate, None).await?;
    Ok(())
}

fn of(outcome: &Outcome, became: Became) -> impl Iterator<Item = &hindcast_restorer::apply::Acted> {
    outcome.actions.iter().filter(move |acted| acted.became == became)
}

/// A namespace that is being deleted, with a condition that says why it is still there.
async fn ending(scene: &Scene, name: &str, condition: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{name}");
    send(&scene.client, "DELETE", &path, None).await?;
    until(format!("{name} says {condition}"), LONG, async || {
        let conditions = scene.get(&path).await?["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|one| one["type"] == condition && one["status"] == "True"))
    })
    .await?;
    Ok(())
}

async fn a_namespace_that_waits_is_waited_for_once(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("held").await?;
    let maps = "/api/v1/namespaces/held/configmaps";
    create(client, maps, json!({"metadata": {"name": "held", "finalizers": ["hindcast.test/hold"]}})).await?;
    for name in ["a", "b", "c"] {
        create(client, maps, json!({"metadata": {"name": name}})).await?;
    }
    let at = scene.now().await?;
    ending(scene, "held", "NamespaceFinalizersRemaining").await?;
    let prepared = scene.plan(&whole("held"), at).await?;
    let warnings = prepared.plan.actions.iter().flat_map(|action| &action.warnings);
    let told: Vec<_> = warnings.filter(|warning| warning.contains("hindcast.test/hold is not done")).collect();
    ensure!(told.len() == 1 && told[0].contains("kubectl edit configmaps/held -n held"), "{:#?}", prepared.plan);

    let restore = scene.begin(&prepared).await?;
    let settings = Settings { gone: Duration::from_secs(2), ..Settings::default() };
    let (_keep, cancel) = watch::channel(false);
    let began = Instant::now();
    let outcome = restore.apply(&settings, &|_| {}, cancel).await?;
    ensure!(began.elapsed() < Duration::from_secs(10), "one wait in all: {:?}", began.elapsed());
    let mut why: Vec<String> =
        of(&outcome, Became::Skipped).map(|acted| acted.message.clone().unwrap_or_default().to_string()).collect();
    ensure!(why.len() == outcome.actions.len() - 1, "{outcome:#?}");
    why.dedup();
    ensure!(why.len() == 1 && why[0].contains("finalizer hindcast.test/hold is not done"), "{why:?}");

    let release = json!({"metadata": {"finalizers": null}});
    send(client, "PATCH", &format!("{maps}/held"), Some(release)).await?;
    let outcome = finish(&scene.resume(&outcome.id).await?).await?;
    ensure!(outcome.actions.iter().all(|acted| acted.became == Became::Done), "{outcome:#?}");
    send(client, "PATCH", &format!("{maps}/held"), Some(json!({"metadata": {"finalizers": null}}))).await?;
    Ok(())
}

async fn a_namespace_that_cannot_finish_says_why(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("blind").await?;
    let maps = "/api/v1/namespaces/blind/configmaps";
    for name in ["a", "b"] {
        create(client, maps, json!({"metadata": {"name": name}})).await?;
    }
    let at = scene.now().await?;
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    let dead = json!({
        "metadata": {"name": "v1.dead.hindcast.test"},
        "spec": {
            "group": "dead.hindcast.test", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "nobody"},
        },
    });
    create(client, services, dead).await?;
    ending(scene, "blind", "NamespaceDeletionDiscoveryFailure").await?;
    let plan = scene.plan(&whole("blind"), at).await?.plan;
    ensure!(plan.actions.is_empty(), "{plan:#?}");
    let mut why: Vec<String> = plan.left.iter().map(|left| left.reason.to_string()).collect();
    why.retain(|why| why.contains("is being deleted"));
    why.dedup();
    let said =
        ["cannot finish", "Service nobody in namespace default", "kubectl delete apiservice v1.dead.hindcast.test"];
    ensure!(why.len() == 1 && said.iter().all(|said| why[0].contains(said)), "{why:?}");
    send(client, "DELETE", &format!("{services}/v1.dead.hindcast.test"), None).await?;
    Ok(())
}

async fn shapers_give_way_and_ports_are_done_without(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("shaped").await?;
    let core = "/api/v1/namespaces/shaped";
    let account = format!("{core}/serviceaccounts/default");
    until("the account is there", LONG, async || Ok(scene.get(&account).await.is_ok())).await?;
    let pod = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "c", "image": "registry/c:1"}]}});
    create(client, &format!("{core}/pods"), pod).await?;
    let balanced = |name: &str, ports: Value| json!({"metadata": {"name": name}, "spec": ports});
    let checked = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30_201, "ports": [{"port": 80}],
    });
    create(client, &format!("{core}/services"), balanced("checked", checked)).await?;
    let at = scene.now().await?;
    send(client, "DELETE", &format!("{core}/pods/bare?gracePeriodSeconds=0"), None).await?;
    let range = json!({
        "metadata": {"name": "since"},
        "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"memory": "1Gi"}}]},
    });
    create(client, &format!("{core}/limitranges"), range).await?;
    send(client, "DELETE", &format!("{core}/services/checked"), None).await?;
    let taker = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30_201}]});
    create(client, "/api/v1/namespaces/default/services", balanced("checks", taker)).await?;
    let outcome = scene.apply(&scene.plan(&whole("shaped"), at).await?).await?;
    ensure!(outcome.actions.iter().all(|acted| acted.became == Became::Done), "{outcome:#?}");
    let bare = scene.get(&format!("{core}/pods/bare")).await?;
    ensure!(bare["spec"]["containers"][0]["resources"] == json!({}), "it is as it was: {bare:#}");
    let service = outcome.actions.iter().find(|acted| acted.key.name == "checked").context("the Service")?;
    let said = service.message.clone().unwrap_or_default().to_string();
    ensure!(said.contains("health check port 30201 is taken"), "{said}");
    Ok(())
}

async fn a_claim_comes_back_with_its_volume(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("kept").await?;
    let volume = json!({
        "metadata": {"name": "kept"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/kept"},
        },
    });
    create(client, "/api/v1/persistentvolumes", volume).await?;
    let claims = "/api/v1/namespaces/kept/persistentvolumeclaims";
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "volumeName": "kept",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    create(client, claims, claim).await?;
    let data = format!("{claims}/data");
    let bound =
        async |what: &str| until(what, LONG, async || Ok(scene.get(&data).await?["status"]["phase"] == "Bound")).await;
    bound("the claim is bound").await?;
    let at = scene.now().await?;
    for path in [data.as_str(), "/api/v1/persistentvolumes/kept"] {
        send(client, "DELETE", path, None).await?;
        until("it is gone", LONG, async || Ok(scene.get(path).await.is_err())).await?;
    }
    let mut selection = whole("kept");
    let plan = scene.plan(&selection, at).await?.plan;
    let left = plan.left.iter().find(|left| left.key.name == "data").context("the claim is left")?;
    ensure!(left.reason.to_string().contains("reclaim policy Retain"), "{left:#?}");
    ensure!(left.unless == Some(hindcast_restorer::selection::Permission::ClusterScoped), "{left:#?}");
    selection.widen.with_cluster_scoped = true;
    let outcome = scene.apply(&scene.plan(&selection, at).await?).await?;
    ensure!(outcome.actions.iter().all(|acted| acted.became == Became::Done), "{outcome:#?}");
    bound("the claim is bound again").await?;
    Ok(())
}

async fn a_missed_run_is_told(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("yearly").await?;
    let crons = "/apis/batch/v1/namespaces/yearly/cronjobs";
    let cron = json!({
        "metadata": {"name": "tick"},
        "spec": {
            "schedule": "@yearly", "timeZone": "Etc/UTC",
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "tick", "image": "registry/tick:1"}],
            }}}},
        },
    });
    create(client, crons, cron).await?;
    let at = scene.now().await?;
    let tick = format!("{crons}/tick");
    send(client, "PATCH", &tick, Some(json!({"spec": {"suspend": true}}))).await?;
    let ran = json!({"status": {"lastScheduleTime": "2020-06-01T00:00:00Z"}});
    send(client, "PATCH", &format!("{tick}/status"), Some(ran)).await?;
    let jobs = async || {
        let list = scene.get("/apis/batch/v1/namespaces/yearly/jobs").await?;
        Ok::<_, anyhow::Error>(list["items"].as_array().map_or(0, Vec::len))
    };
    ensure!(jobs().await? == 0, "it is suspended");
    let prepared = scene.plan(&whole("yearly"), at).await?;
    let action = prepared.plan.actions.iter().find(|action| action.key.name == "tick").context("the CronJob")?;
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    let run = format!("the run of {year}-01-01T00:00:00Z, missed while it was suspended");
    ensure!(action.warnings.iter().any(|warning| warning.contains(&run)), "{action:#?}");
    all(&scene.apply(&prepared).await?, Became::Done)?;
    ensure!(scene.get(&tick).await?["spec"]["suspend"] != true);
    until("the missed run starts, as was told", LONG, async || Ok(jobs().await? == 1)).await?;
    Ok(())
}

async fn a_version_that_is_gone_is_written_in_another(scene: &Scene) -> Result<()> {
    let client = &scene.client;
    scene.namespace("moved").await?;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let version = |name: &str, served: bool, stored: bool, fields: &[&str]| {
        let fields: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "integer"}))).collect();
        let spec = json!({"type": "object", "properties": fields});
        json!({
            "name": name, "served": served, "storage": stored,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        })
    };
    let definition = |versions: Value| {
        json!({
            "metadata": {"name": "gears.moved.hindcast.test"},
            "spec": {
                "group": "moved.hindcast.test", "scope": "Namespaced", "versions": versions,
                "names": {"kind": "Gear", "plural": "gears", "singular": "gear", "listKind": "GearList"},
            },
        })
    };
    let old = json!([version("v1beta1", true, true, &["size", "teeth"])]);
    create(client, definitions, definition(old)).await?;
    let gears = |version: &str| format!("/apis/moved.hindcast.test/{version}/namespaces/moved/gears");
    let gear = json!({
        "apiVersion": "moved.hindcast.test/v1beta1", "kind": "Gear", "metadata": {"name": "one"},
        "spec": {"size": 1, "teeth": 12},
    });
    create_when_served(client, &gears("v1beta1"), &gear).await?;
    until("gears are followed", LONG, async || {
        let covered = "hindcast_covered{kind=\"moved.hindcast.test/gears\"}";
        Ok(scene.running.metric(covered).await? == Some(1.0))
    })
    .await?;
    let at = scene.now().await?;
    send(client, "DELETE", &format!("{}/one", gears("v1beta1")), None).await?;
    let new = json!([version("v1", true, true, &["size"]), version("v1beta1", false, false, &["size", "teeth"]),]);
    let path = format!("{definitions}/gears.moved.hindcast.test");
    send(client, "PATCH", &path, Some(json!({"spec": {"versions": new}}))).await?;
    let newer = json!({
        "apiVersion": "moved.hindcast.test/v1", "kind": "Gear", "metadata": {"name": "newer"}, "spec": {"size": 2},
    });
    create_when_served(client, &gears("v1"), &newer).await?;
    let prepared: Prepared = until_planned(scene, at).await?;
    let action = prepared.plan.actions.iter().find(|action| action.key.name == "one").context("the gear")?;
    let said = action.warnings.join("\n");
    ensure!(action.verb == Verb::Create && action.version == "v1", "{action:#?}");
    ensure!(said.contains("written as v1"), "{said}");
    let kept: Vec<&str> = action.kept.iter().map(|kept| kept.field.path.as_str()).collect();
    ensure!(kept == ["/spec/teeth"], "what the schema of v1 does not have is told: {action:#?}");
    let restore = scene.begin(&prepared).await?;
    let outcome = finish(&restore).await?;
    let one = scene.get(&format!("{}/one", gears("v1"))).await.with_context(|| format!("{outcome:#?}"))?;
    ensure!(one["spec"] == json!({"size": 1}), "{one:#}");
    Ok(())
}

/// A plan of the gears, once the journal knows in which versions they are served.
async fn until_planned(scene: &Scene, at: i64) -> Result<Prepared> {
    let mut planned = None;
    until("the new versions are known", LONG, async || {
        let prepared = scene.plan(&whole("moved"), at).await?;
        let ready = prepared.plan.actions.iter().any(|action| action.key.name == "one" && action.version == "v1");
        planned = Some(prepared);
        Ok(ready)
    })
    .await?;
    planned.context("it was waited for")
}
