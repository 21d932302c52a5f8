//! `run --settings-from`: a `Journal` says where the past is kept, with which key, of what and for how long; what is said otherwise later is
//! taken up, what cannot be meant is told and changes nothing, and nothing that becomes of the object ends protection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_tests::{
    http::{JSON, find, request},
    manifests::empty_config_map,
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
    until::{never, until_every},
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{
    ask, create, create_when_served, kinds, moment, namespace, on_folder, rule, run_to_its_end, rv, send, until,
};

const JOURNALS: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/journals";
const MAIN: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/journals/main";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const LONG: Duration = Duration::from_mins(1);
/// Longer than a status takes to be told again, if there is news.
const TOLD_TWICE: Duration = Duration::from_secs(45);

/// A cluster, a process that is started by an object alone, and whoever reads what it writes.
struct Trial {
    client: Client,
    running: Running,
    /// Knows the journal and the key by their names.
    reader: Hindcast,
    /// Knows neither.
    bare: Hindcast,
}

impl Trial {
    async fn object(&self) -> Result<Value> {
        find(&self.client, MAIN).await?.context("it is there")
    }

    async fn say(&self, spec: Value) -> Result<Value> {
        send(&self.client, "PATCH", MAIN, Some(json!({"spec": spec}))).await
    }

    /// Waits until a condition of the newest generation is so, and gives its message.
    async fn is(&self, kind: &str, status: &str, reason: &str) -> Result<String> {
        let mut last = Value::Null;
        let of = |object: &Value| {
            let all = object["status"]["conditions"].as_array()?;
            all.iter().find(|condition| condition["type"] == kind).cloned()
        };
        let waited = until(format!("{kind}={status} ({reason})"), LONG, async || {
            last = self.object().await?;
            let generation = &last["metadata"]["generation"];
            Ok(of(&last).is_some_and(|found| {
                found["status"] == status && found["reason"] == reason && found["observedGeneration"] == *generation
            }))
        });
        if let Err(error) = waited.await {
            bail!("{error:#}; it is {}\n{}", last["status"], self.running.process.log_tail());
        }
        let found = of(&last).context("it was there")?;
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    }

    /// How often it began to protect.
    fn begun(&self) -> Result<usize> {
        Ok(std::fs::read_to_string(self.running.process.log())?.matches("protecting cluster=").count())
    }

    /// A change that is made now is in the journal.
    async fn protects(&self, map: &str) -> Result<()> {
        create(&self.client, MAPS, empty_config_map(map)).await?;
        self.running.wait_ready(LONG).await?;
        let at = moment(&self.running).await?;
        let map = format!("cm/{map}");
        ask(&self.reader, &["show", &map, "-n", "default", "--at", &at]).await?.is(0, &[])?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_says_what_is_kept_and_nothing_that_becomes_of_it_ends_protection() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    namespace(&client, "hindcast").await?;
    let dir = Workdir::new()?;
    // What deploy/rbac.yaml gives.
    let rules = vec![
        rule(&["*"], &["*"], &["get", "list", "watch"]),
        rule(&["hindcast.dev"], &["journals/status"], &["get", "patch"]),
    ];
    let reader = on_folder(&dir, "main", cluster.user("keeper", rules).await?)?;
    let mut bare = reader.clone();
    bare.place.url.clear();
    bare.key_file.clear();

    // It waits for what is applied after it.
    let running = bare.launch(&["--settings-from", "main"])?;
    until("it says what it waits for", LONG, async || {
        let told = running.http("GET", "/readyz").await;
        Ok(told.is_ok_and(|(status, text)| status == 503 && text.contains("Journal hindcast/main")))
    })
    .await?;
    let trial = Trial { client, running, reader, bare };
    begins(&trial).await?;
    refused_at_once(&trial).await?;
    kept_for(&trial).await?;
    let trial = taken_up_anew(trial).await?;
    nobody_could_begin(&trial).await?;
    quiet(&trial).await?;
    contradicted(&trial).await?;
    stopped_and_deleted(trial).await
}

async fn begins(trial: &Trial) -> Result<()> {
    for (_, definition) in hindcast_operator::api::definitions() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        create(&trial.client, path, serde_json::to_value(definition)?).await?;
    }
    let spec = json!({
        "store": {"url": trial.reader.place.url},
        "key": {"secretRef": {"name": "keys"}},
        "retention": {"all": "7d", "hourly": "30d"},
    });
    let object =
        json!({"apiVersion": "hindcast.dev/v1alpha1", "kind": "Journal", "metadata": {"name": "main"}, "spec": spec});
    create_when_served(&trial.client, JOURNALS, &object).await?;
    let told = async || Ok(trial.running.http("GET", "/readyz").await?.1.contains("Secret keys"));
    until("it waits for the key", LONG, told).await?;
    let file = std::fs::read_to_string(&trial.reader.key_file)?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"hindcast.key": file}});
    create(&trial.client, "/api/v1/namespaces/hindcast/secrets", secret).await?;
    trial.running.wait_ready(LONG).await?;
    trial.is("Ready", "True", "Protecting").await?;
    trial.is("Applied", "True", "Applied").await?;
    trial.protects("first").await?;
    let mut status = Value::Null;
    until("it tells how far it is", LONG, async || {
        status = trial.object().await?["status"].take();
        Ok(status["committed"]["position"].as_i64() > Some(0) && status["window"]["from"].is_string())
    })
    .await?;
    ensure!(status["retention"] == "all=7d,hourly=30d" && status["store"] == trial.reader.place.url, "{status}");
    let journal = trial.reader.place.journal().await?;
    ensure!(status["clusterId"] == journal.cluster(), "{status}");
    // Values are sealed with the key of the Secret.
    let said = ask(&trial.reader, &["status", "-o", "json"]).await?;
    ensure!(said.json()?["clusters"][0]["secrets"] == "sealed", "{said}");
    Ok(())
}

/// What can have no meaning at all the API server refuses.
async fn refused_at_once(trial: &Trial) -> Result<()> {
    let store = json!({"url": "s3://bucket/prefix"});
    for (spec, says) in [
        (json!({}), "spec.store"),
        (json!({"store": {"url": ""}}), "spec.store.url"),
        (json!({"store": {"url": "s3://b/p?region=r", "options": {"region": "r"}}}), "options are said twice"),
        (
            json!({"store": {"url": "s3://b/p", "options": {"caCert": "/f"}, "caCert": "pem"}}),
            "authority is said twice",
        ),
        (
            json!({"store": {"url": "s3://b/p", "options": {"profile": "p"}, "credentials": {"secretName": "s"}}}),
            "said twice as whom",
        ),
        (json!({"store": {"url": "s3://b/p", "credentials": {"secretName": "../x"}}}), "secretName"),
        (
            json!({"store": store, "filters": {"only": ["pods"], "exclude": ["nodes"]}}),
            "only says which kinds there are",
        ),
        (
            json!({"store": store, "secretValues": "Clear", "filters": {"seal": ["configmaps:/data/a"]}}),
            "seals nothing",
        ),
        (json!({"store": store, "secretValues": "Hidden"}), "secretValues"),
        (json!({"store": store, "retention": {"hourly": "30d"}}), "retention.all"),
    ] {
        let wrong = json!({"apiVersion": "hindcast.dev/v1alpha1", "kind": "Journal", "metadata": {"name": "wrong"}, "spec": spec});
        let body = wrong.to_string().into_bytes();
        let (status, answer) = request(&trial.client, "POST", JOURNALS, Some(body), JSON).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(status == 422 && answer.contains(says), "{spec}: {status} {answer}");
    }
    Ok(())
}

/// Retention is in force at once, and stays what it was while what is said of it cannot be meant.
async fn kept_for(trial: &Trial) -> Result<()> {
    let kept = async |text: &str| {
        let is = async || Ok(trial.object().await?["status"]["retention"] == text);
        until(format!("{text} is in force"), LONG, is).await
    };
    trial.say(json!({"retention": {"all": "14d"}})).await?;
    kept("all=14d,hourly=30d").await?;
    trial.is("Applied", "True", "Applied").await?;
    for (said, why) in [
        (json!({"all": "14d", "hourly": "1d"}), "hourly reaches no further than all"),
        (json!({"all": "0s"}), "an hour at least"),
        (json!({"all": "a fortnight"}), "spec.retention.all: a duration is"),
    ] {
        trial.say(json!({"retention": said})).await?;
        let message = trial.is("Applied", "False", "Refused").await?;
        ensure!(message.contains("spec.retention") && message.contains(why), "{message}");
        ensure!(message.contains("what was said before stays in force"), "{message}");
        trial.is("Ready", "True", "Protecting").await?;
        ensure!(trial.object().await?["status"]["retention"] == "all=14d,hourly=30d");
    }
    trial.say(json!({"retention": {"all": "10d", "hourly": null, "daily": "365d"}})).await?;
    kept("all=10d,daily=365d").await?;
    trial.is("Applied", "True", "Applied").await?;
    trial.say(json!({"retention": null})).await?;
    kept("everything").await?;
    ensure!(trial.begun()? == 1, "the process goes on");
    Ok(())
}

/// What a living process cannot change it takes up by beginning anew, and misses nothing.
async fn taken_up_anew(trial: Trial) -> Result<Trial> {
    let pid = trial.running.process.pid();
    create(&trial.client, MAPS, empty_config_map("before")).await?;
    trial.say(json!({"filters": {"exclude": ["events", "podtemplates"]}, "retention": {"all": "7d"}})).await?;
    for n in 0..20 {
        create(&trial.client, MAPS, empty_config_map(&format!("meanwhile-{n}"))).await?;
    }
    until("it is taken up", LONG, async || {
        let log = std::fs::read_to_string(trial.running.process.log())?;
        Ok(log.contains("spec.filters cannot be changed in a process that runs") && trial.begun()? == 2)
    })
    .await?;
    trial.running.wait_ready(LONG).await?;
    trial.is("Applied", "True", "Applied").await?;
    trial.is("Ready", "True", "Protecting").await?;
    ensure!(trial.running.process.exited()?.is_none() && trial.running.process.pid() == pid, "it is the same process");
    let all = kinds(&trial.reader).await?;
    let kind = |name: &str| all.iter().find(|kind| kind["name"] == name).context("it is known");
    ensure!(kind("podtemplates")?["protected"] == false && kind("configmaps")?["protected"] == true, "{all:?}");
    let at = moment(&trial.running).await?;
    let listed = ask(&trial.reader, &["get", "cm", "-n", "default", "-o", "name", "--at", &at]).await?;
    listed.is(0, &["configmap/before", "configmap/meanwhile-0\n", "configmap/meanwhile-19"])?;
    let all = ask(&trial.reader, &["status", "-o", "json"]).await?.json()?;
    let gaps = all["clusters"][0]["gaps"].as_array().context("gaps are listed")?;
    ensure!(gaps.iter().all(|gap| gap["grade"] != "lost"), "{gaps:?}");
    Ok(trial)
}

/// What nobody could begin with ends nothing.
async fn nobody_could_begin(trial: &Trial) -> Result<()> {
    let url = &trial.reader.place.url;
    for (said, why) in [
        (json!({"store": {"url": "file:///proc/none/journal"}}), "nobody could begin with that"),
        (json!({"store": {"url": "ftp://bucket/prefix"}}), "unknown store `ftp`"),
        (
            json!({"store": {"url": url}, "key": {"secretRef": {"name": "others"}}}),
            "Secret others of spec.key.secretRef: is not there",
        ),
        (json!({"key": {"secretRef": {"name": "keys", "key": "other"}}}), "holds no other (it holds hindcast.key"),
    ] {
        trial.say(said.clone()).await?;
        let message = trial.is("Applied", "False", "Refused").await?;
        ensure!(message.contains(why), "{said}: {message}");
        trial.is("Ready", "True", "Protecting").await?;
    }
    trial.say(json!({"key": {"secretRef": {"name": "keys", "key": "hindcast.key"}}})).await?;
    trial.is("Applied", "True", "Applied").await?;
    trial.protects("after-all-that").await
}

/// In a cluster in which nothing else is written a status is not written either.
async fn quiet(trial: &Trial) -> Result<()> {
    // What was there to tell is told, with the row that this made.
    let mut last = (String::new(), 0);
    let still = async || {
        let object = trial.object().await?;
        let now = (rv(&object), object["status"]["committed"]["position"].as_i64().unwrap_or_default());
        let was = std::mem::replace(&mut last, now);
        Ok(was == last)
    };
    until_every(TOLD_TWICE, "nothing is told any more", 4 * LONG, still).await?;
    // What the server writes by itself now and then is told once; a status that were its own news would be told twice a minute.
    let (mut told, mut newest) = (0, last.0);
    never("a status is news", 2 * TOLD_TWICE, async || {
        let now = rv(&trial.object().await?);
        told += usize::from(now != newest);
        newest = now;
        Ok(told > 1)
    })
    .await
}

async fn contradicted(trial: &Trial) -> Result<()> {
    let other = ["--settings-from", "hindcast/main", "--journal", "file:///tmp/another"];
    let said = run_to_its_end(&trial.bare, &other).await?;
    said.is(2, &["--journal file:///tmp/another", &trial.reader.place.url, "leave --journal"])?;
    let said =
        run_to_its_end(&trial.bare, &["--settings-from", "Main/../x", "--journal", "file:///tmp/another"]).await?;
    said.is(2, &["--settings-from Main/../x", "hindcast/main"])?;
    // It says what one process could not begin with; the one that protects says how it is.
    trial.say(json!({"linger": "2s"})).await?;
    trial.is("Applied", "True", "Applied").await?;
    trial.is("Ready", "True", "Protecting").await.map(|_| ())
}

async fn stopped_and_deleted(trial: Trial) -> Result<()> {
    let Trial { client, running, reader, bare } = trial;
    running.stop().await?;
    let object = find(&client, MAIN).await?.context("it is there")?;
    let ready = object["status"]["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == "Ready");
    ensure!(ready.is_some_and(|ready| ready["status"] == "False" && ready["reason"] == "Stopped"), "{object}");
    let running = bare.run(&["--settings-from", "hindcast/main"]).await?;
    let trial = Trial { client, running, reader, bare };
    trial.is("Ready", "True", "Protecting").await?;
    send(&trial.client, "DELETE", MAIN, None).await?;
    until("it says so", LONG, async || {
        Ok(std::fs::read_to_string(trial.running.process.log())?.contains("Journal hindcast/main was deleted"))
    })
    .await?;
    trial.protects("when-it-is-gone").await?;
    trial.running.stop().await
}
