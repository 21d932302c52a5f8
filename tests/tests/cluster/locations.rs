//! Disks of a cloud, taken by its own API because a command or an object says where: a point has them, and they go with it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_tests::{
    clouds::Ec2,
    http::{JSON, find, request},
    oracle::subject::Running,
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{ask_with_cluster, create, create_when_served, namespace, on_folder, send, until, volume_by_hand};

const LOCATIONS: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/volumelocations";
const POINTS: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/recoverypoints";
const SECRETS: &str = "/api/v1/namespaces/hindcast/secrets";
const LONG: Duration = Duration::from_mins(1);
/// What no answer may have in it.
const NEVER: &str = "never-to-be-told";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_of_a_cloud_are_taken_where_a_command_says() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let amazon = Ec2::start().await?;
    let disk = amazon.volume(1, "eu-west-1a").await?;
    let client = cluster.client();
    namespace(&client, "shop").await?;
    let csi = json!({"driver": "ebs.csi.aws.com", "volumeHandle": disk});
    volume_by_hand(&client, "data", "1Gi", &json!({"csi": csi, "persistentVolumeReclaimPolicy": "Retain"})).await?;
    let dir = Workdir::new()?;
    let mut hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    for (name, value) in [("AWS_ACCESS_KEY_ID", "AKIATESTBED"), ("AWS_SECRET_ACCESS_KEY", "a secret of the testbed")] {
        hindcast.place.env.push((name.to_owned(), value.to_owned()));
    }
    let location = format!("aws:region=eu-west-1,endpoint={}", amazon.url());
    let running = hindcast.run(&["--volume-location", &location]).await?;
    let point = async |args: &[&str]| {
        let with = ["--run-address", &running.address, "--volume-location", &location];
        ask_with_cluster(&hindcast, &[&["point"], args, &with].concat()).await
    };

    let made = point(&["create", "p", "-n", "shop", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete", "{made}");
    let snapshot = made["volumes"][0]["snapshot"].as_str().context("it has a snapshot")?.to_owned();
    ensure!(amazon.has(&snapshot).await?, "the cloud has it");
    point(&["gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;
    // Whoever does not say where cannot take it away, and says so.
    let without =
        ask_with_cluster(&hindcast, &["point", "delete", "p", "--yes", "--run-address", &running.address]).await?;
    without
        .is(2, &["volume driver aws", "is not there in this process", "--volume-location aws:", "VolumeLocation"])?;
    ensure!(amazon.has(&snapshot).await?, "it is still there");
    point(&["delete", "p", "--yes"]).await?.is(0, &["deleted p"])?;
    ensure!(!amazon.has(&snapshot).await?, "it went with its point");
    let wrong = [
        "point",
        "create",
        "q",
        "-n",
        "shop",
        "--volume-location",
        "oracle:region=x",
        "--run-address",
        &running.address,
    ];
    ask_with_cluster(&hindcast, &wrong).await?.is(2, &["there is no driver", "aws, azure, gcp"])?;
    running.stop().await
}

fn location(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "hindcast.dev/v1alpha1", "kind": "VolumeLocation", "metadata": {"name": name}, "spec": spec})
}

fn secret(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

/// Waits until a condition of an object is what it should be, and gives its message.
async fn is(
    client: &Client,
    running: &Running,
    path: &str,
    (kind, status, reason): (&str, &str, &str),
) -> Result<String> {
    let mut last = Value::Null;
    let of = |object: &Value| {
        let all = object["status"]["conditions"].as_array()?;
        all.iter().find(|condition| condition["type"] == kind).cloned()
    };
    let waited = until(format!("{path} is {kind}={status} ({reason})"), LONG, async || {
        last = find(client, path).await?.unwrap_or_default();
        let generation = &last["metadata"]["generation"];
        Ok(of(&last).is_some_and(|found| {
            found["status"] == status && found["reason"] == reason && found["observedGeneration"] == *generation
        }))
    });
    if let Err(error) = waited.await {
        bail!("{error:#}; it is {}\n{}", last["status"], running.process.log_tail());
    }
    ensure!(!last.to_string().contains(NEVER), "{last}");
    let found = of(&last).context("it was there")?;
    Ok(found["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_of_a_cloud_are_taken_where_an_object_says() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let amazon = Ec2::start().await?;
    let disk = amazon.volume(1, "eu-west-1a").await?;
    let client = cluster.client();
    for name in ["hindcast", "shop"] {
        namespace(&client, name).await?;
    }
    let csi = json!({"driver": "ebs.csi.aws.com", "volumeHandle": disk});
    volume_by_hand(&client, "data", "1Gi", &json!({"csi": csi, "persistentVolumeReclaimPolicy": "Retain"})).await?;
    let dir = Workdir::new()?;
    let mut hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    // Whose key it is, nothing but the Secret says.
    hindcast.env.push(("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()));
    let running = hindcast.run(&[]).await?;
    for (_, definition) in hindcast_operator::api::definitions() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        create(&client, path, serde_json::to_value(definition)?).await?;
    }
    let at = |name: &str| format!("{LOCATIONS}/{name}");
    let ready = async |name: &str, status: &str, reason: &str| {
        is(&client, &running, &at(name), ("Ready", status, reason)).await
    };

    // What its credentials are is not there, then not all of it, then it is.
    let aws = json!({"region": "eu-west-1", "endpoint": amazon.url()});
    let ebs = location("ebs", json!({"provider": "aws", "aws": aws, "credentials": {"secretName": "keys"}}));
    create_when_served(&client, LOCATIONS, &ebs).await?;
    let why = ready("ebs", "False", "NoSecret").await?;
    ensure!(why.contains("Secret keys in hindcast"), "{why}");
    create(&client, SECRETS, secret("keys", json!({"AWS_ACCESS_KEY_ID": "AKIAOFTHESECRET"}))).await?;
    let why = ready("ebs", "False", "SecretIncomplete").await?;
    ensure!(why.contains("AWS_SECRET_ACCESS_KEY"), "{why}");
    let whole = json!({"stringData": {"AWS_SECRET_ACCESS_KEY": NEVER}});
    send(&client, "PATCH", &format!("{SECRETS}/keys"), Some(whole)).await?;
    ready("ebs", "True", "Ready").await?;
    ensure!(amazon.signers().contains("AKIAOFTHESECRET"), "the cloud was asked with that key: {:?}", amazon.signers());

    // What is wrong with others is theirs.
    let second = location("second", json!({"provider": "aws", "aws": aws, "credentials": {"secretName": "keys"}}));
    create(&client, LOCATIONS, second).await?;
    let why = ready("second", "False", "Superseded").await?;
    ensure!(why.contains("VolumeLocation ebs"), "{why}");
    create(&client, SECRETS, secret("no-file", json!({"credentials.json": NEVER}))).await?;
    let google = json!({"provider": "gcp", "gcp": {"project": "p"}, "credentials": {"secretName": "no-file"}});
    create(&client, LOCATIONS, location("google", google)).await?;
    let why = ready("google", "False", "NotOpened").await?;
    ensure!(why.contains("no JSON"), "{why}");
    let azure = json!({"subscription": "s", "resourceGroup": "g", "endpoint": "management"});
    create(&client, LOCATIONS, location("azure", json!({"provider": "azure", "azure": azure}))).await?;
    let why = ready("azure", "False", "NotOpened").await?;
    ensure!(why.contains("endpoint \"management\""), "{why}");
    let elsewhere = "/apis/hindcast.dev/v1alpha1/namespaces/shop/volumelocations";
    create(&client, elsewhere, location("mine", json!({"provider": "aws", "aws": {}}))).await?;
    is(&client, &running, &format!("{elsewhere}/mine"), ("Ready", "False", "OtherNamespace")).await?;
    for (spec, says) in [
        (json!({"provider": "aws", "gcp": {"project": "p"}}), "exactly the member of its provider"),
        (json!({"provider": "aws"}), "exactly the member of its provider"),
        (json!({"provider": "aws", "aws": {}, "gcp": {"project": "p"}}), "exactly the member of its provider"),
        (json!({"provider": "oracle"}), "provider"),
        (json!({"provider": "gcp", "gcp": {"project": ""}}), "project"),
        (json!({"provider": "aws", "aws": {"profile": "p"}, "credentials": {"secretName": "keys"}}), "said twice"),
        (json!({"provider": "aws", "aws": {}, "credentials": {"secretName": "../../shop/secrets/keys"}}), "secretName"),
    ] {
        let wrong = location("wrong", spec.clone()).to_string().into_bytes();
        let (status, answer) = request(&client, "POST", LOCATIONS, Some(wrong), JSON).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(status == 422 && answer.contains(says), "{spec}: {status} {answer}");
    }

    // A point has the snapshot.
    let point = json!({
        "apiVersion": "hindcast.dev/v1alpha1", "kind": "RecoveryPoint", "metadata": {"name": "by-object"},
        "spec": {"template": {"namespaces": ["shop"]}, "deletionPolicy": "Delete"},
    });
    create(&client, POINTS, point).await?;
    let p = format!("{POINTS}/by-object");
    is(&client, &running, &p, ("Made", "True", "Complete")).await?;
    ensure!(amazon.count("hindcast.dev/point", "by-object").await? == 1, "the cloud has it");

    // The next one has its turn when the first goes; when that one goes too there is none, and what the point has stays.
    send(&client, "DELETE", &at("ebs"), None).await?;
    ready("second", "True", "Ready").await?;
    send(&client, "DELETE", &at("second"), None).await?;
    // Whoever looks at the third one has seen that the second is gone.
    let third = json!({"provider": "aws", "aws": aws, "credentials": {"secretName": "none"}});
    create(&client, LOCATIONS, location("third", third)).await?;
    ready("third", "False", "NoSecret").await?;
    send(&client, "DELETE", &p, None).await?;
    let why = is(&client, &running, &p, ("Made", "False", "NotDeleted")).await?;
    ensure!(why.contains("volume driver aws") && why.contains("VolumeLocation"), "{why}");
    ensure!(amazon.count("hindcast.dev/point", "by-object").await? == 1, "the cloud has it still");

    // Made again, it lets the point go.
    send(&client, "DELETE", &at("third"), None).await?;
    create(&client, LOCATIONS, ebs).await?;
    ready("ebs", "True", "Ready").await?;
    until("the point goes", LONG, async || Ok(find(&client, &p).await?.is_none())).await?;
    ensure!(amazon.count("hindcast.dev/point", "by-object").await? == 0, "its snapshot went with it");
    let log = std::fs::read_to_string(running.process.log())?;
    ensure!(!log.contains(NEVER), "{log}");
    running.stop().await
}
