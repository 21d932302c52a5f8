//! Plugins, by the sample in Go over a unix socket: the suite of every driver, and what a plugin alone can do wrong.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use hindcast_journal::{
    Parts,
    error::{Error, ErrorKind},
    exact::{self, Value},
};
use hindcast_plugin::{Address, Health, Item, Outcome, Plugin, PluginDriver};
use hindcast_snapshotter::{
    cloud::Limits,
    driver::{Order, Standing, Taken, Volume, VolumeDriver},
};
use hindcast_tests::{
    clouds::{Faults, SamplePlugin, sample_order},
    drivers::{World, limits},
    real::process::Workdir,
    until::{SOON, until},
};
use tokio::net::UnixListener;

/// A sample, and another one that its storage system does not know.
struct Folders {
    sample: SamplePlugin,
    stranger: SamplePlugin,
}

async fn world() -> Result<Folders> {
    let settle = format!("{}ms", limits().settle.as_millis());
    let sample = SamplePlugin::start_with(&["-settle", &settle]).await?;
    Ok(Folders { sample, stranger: SamplePlugin::start_with(&["-stranger"]).await? })
}

async fn connect(sample: &SamplePlugin) -> Result<PluginDriver> {
    let plugin = Plugin::connect(Address::parse(&sample.address())?, limits(), Parts::system()).await?;
    Ok(PluginDriver::new(Arc::new(plugin)))
}

#[async_trait]
impl World for Folders {
    async fn driver(&self, _earlier: bool) -> Result<Box<dyn VolumeDriver>> {
        Ok(Box::new(connect(&self.sample).await?))
    }

    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>> {
        Ok(Box::new(connect(&self.stranger).await?))
    }

    async fn volume(&self) -> Result<Volume> {
        self.sample.volume()
    }

    async fn lose(&self, volume: &Volume) -> Result<()> {
        self.sample.lose(&volume.handle)
    }

    async fn count(&self, cluster: &str) -> Result<usize> {
        self.sample.count(cluster)
    }

    async fn foreign(&self, volume: &Volume) -> Result<String> {
        self.sample.foreign(&volume.handle)
    }

    async fn has(&self, handle: &str) -> Result<bool> {
        self.sample.has(handle)
    }

    async fn disks_of(&self, handle: &str) -> Result<usize> {
        self.sample.disks_of(handle)
    }

    fn other_zone(&self) -> String {
        "zone-b".to_owned()
    }

    fn faults(&self) -> &Faults {
        self.sample.faults()
    }
}

suite!(world().await?);

/// Limits that are soon at their end.
fn short() -> Limits {
    Limits { request: Duration::from_secs(1), patience: Duration::from_secs(1), ..limits() }
}

fn address(sample: &SamplePlugin) -> Address {
    Address::parse(&sample.address()).expect("it is one")
}

fn driver(sample: &SamplePlugin, limits: Limits) -> PluginDriver {
    PluginDriver::new(Arc::new(Plugin::at(address(sample), limits, Parts::system())))
}

/// That an error is of this kind, says this, names the plugin and a remedy.
fn is(error: &Error, kind: ErrorKind, says: &str) -> Result<()> {
    ensure!(error.kind() == kind, "{:?}: {error}", error.kind());
    ensure!(error.to_string().contains(says), "{says:?} is not in: {error}");
    ensure!(error.to_string().contains("plugin"), "the plugin is not named: {error}");
    ensure!(error.hint().is_some_and(|hint| !hint.is_empty()), "no remedy: {error}");
    Ok(())
}

async fn take(driver: &PluginDriver, order: &Order) -> Result<Taken, Error> {
    driver.create(std::slice::from_ref(order)).await.remove(0)
}

/// What comes of a call, which ends before the bound.
async fn within<T>(bound: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<Error> {
    let begun = Instant::now();
    let error = call.await.err().context("it cannot succeed")?;
    ensure!(begun.elapsed() < bound, "{:?}: {error}", begun.elapsed());
    Ok(error)
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named_with_the_remedy() -> Result<()> {
    let dir = Workdir::new()?;
    let at = |name: &str| Address::parse(&format!("unix://{}", dir.path().join(name).display()));
    let meet = async |name: &str| {
        let connecting = Plugin::connect(at(name)?, short(), Parts::system());
        within(Duration::from_secs(3), connecting).await
    };
    is(&meet("none.sock").await?, ErrorKind::Unavailable, "there is no socket")?;
    // One that ended leaves its socket.
    drop(UnixListener::bind(dir.path().join("dead.sock"))?);
    is(&meet("dead.sock").await?, ErrorKind::Unavailable, "nobody listens")?;
    // Something that takes connections and never says a word.
    let _silent = UnixListener::bind(dir.path().join("silent.sock"))?;
    is(&meet("silent.sock").await?, ErrorKind::Unavailable, "no answer to Handshake within 1.0 s")?;
    // Something else altogether.
    let other = UnixListener::bind(dir.path().join("other.sock"))?;
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = other.accept().await {
            let _ = stream.writable().await;
            let _ = stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    is(&meet("other.sock").await?, ErrorKind::Unavailable, "ended the connection during Handshake")?;
    serving.abort();
    Ok(())
}

#[tokio::test]
async fn what_a_plugin_says_of_itself_is_checked() -> Result<()> {
    let meet = async |args: &[&str]| -> Result<Error> {
        let sample = SamplePlugin::start_with(args).await?;
        within(Duration::from_secs(5), Plugin::connect(address(&sample), limits(), Parts::system())).await
    };
    is(&meet(&["-versions", "2,3"]).await?, ErrorKind::Invalid, "speaks version 2, 3 of the protocol")?;
    is(&meet(&["-name", "csi"]).await?, ErrorKind::Refused, "Hindcast's own")?;
    is(&meet(&["-name", "Not a name"]).await?, ErrorKind::Refused, "its name is \"Not a name\"")?;
    is(&meet(&["-waiting"]).await?, ErrorKind::Unavailable, "cannot work for now")?;
    // One that speaks newer versions too is spoken with.
    let sample = SamplePlugin::start_with(&["-versions", "2,1"]).await?;
    let plugin = Plugin::connect(address(&sample), limits(), Parts::system()).await?;
    let met = plugin.meet().await?;
    ensure!(met.protocol == 1 && met.name == "sample" && met.plugin_version == "1.0.0", "{met:?}");
    ensure!(plugin.health().await? == Health::Serving && met.transforms.len() == 2);
    Ok(())
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_call_makes_no_second_snapshot() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let driver = connect(&sample).await?;
    // Somebody starts it again: whoever waits for the call sees nothing of it.
    let first = sample_order("c", 0, sample.volume()?);
    sample.misbehave("Create", "crash", 1);
    let (taken, supervised) = tokio::join!(take(&driver, &first), sample.supervise());
    supervised?;
    let taken = taken?;
    ensure!(sample.count("c")? == 1 && sample.has(&taken.handle)?);
    // Nobody does: it is named, within the patience, and each order says it.
    sample.misbehave("Create", "crash", 1);
    let orders = [sample_order("c", 1, sample.volume()?), sample_order("c", 2, sample.volume()?)];
    let begun = Instant::now();
    let answers = driver.create(&orders).await;
    ensure!(begun.elapsed() < limits().patience + limits().request, "{:?}", begun.elapsed());
    ensure!(answers.len() == 2);
    for (answer, order) in answers.into_iter().zip(&orders) {
        let error = answer.err().context("it crashed")?;
        is(&error, ErrorKind::Unavailable, &order.volume.title())?;
        ensure!(error.to_string().contains("plugin sample"), "{error}");
    }
    is(&within(Duration::from_secs(9), driver.all("c")).await?, ErrorKind::Unavailable, "nobody listens")?;
    // It is there again: the next call meets it.
    sample.restart().await?;
    ensure!(driver.find("c", &first.tag.id).await?.len() == 1, "what was half made is not there");
    for answer in driver.create(&orders).await {
        answer?;
    }
    ensure!(sample.count("c")? == 3);
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_hangs_ends_no_call_late() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let made = take(&connect(&sample).await?, &sample_order("c", 0, sample.volume()?)).await?;
    let driver = driver(&sample, short());
    driver.consider(&[]).await;
    let order = sample_order("c", 1, sample.volume()?);
    let bound = Duration::from_secs(4);
    for call in ["Create", "Look", "List", "Delete"] {
        sample.misbehave(call, "hang", 1000);
    }
    let lost =
        |error: Error, call: &str| is(&error, ErrorKind::Unavailable, &format!("no answer to {call} within 1.0 s"));
    lost(within(bound, take(&driver, &order)).await?, "Create")?;
    lost(within(bound, driver.look(&made)).await?, "Look")?;
    lost(within(bound, driver.all("c")).await?, "List")?;
    // Many at once wait no longer than one.
    let many = futures::future::join_all((0..32).map(|_| driver.look(&made)));
    let begun = Instant::now();
    for answer in many.await {
        lost(answer.err().context("it hangs")?, "Look")?;
    }
    ensure!(begun.elapsed() < bound, "{:?}", begun.elapsed());
    sample.behave();
    ensure!(driver.look(&made).await?.1 == Standing::Ready, "it works again");
    driver.delete(&made).await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_answer_is_refused_and_the_plugin_named() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let driver = connect(&sample).await?;
    let order = sample_order("c", 0, sample.volume()?);
    for (how, says) in
        [("wrong-tag", "it bears the tag of"), ("wrong-handle", "a handle is empty"), ("too-few", "0 outcomes for 1")]
    {
        sample.misbehave("Create", how, 1);
        is(&within(limits().request, take(&driver, &order)).await?, ErrorKind::Refused, says)?;
    }
    let taken = take(&driver, &order).await?;
    for (how, says) in [("wrong-handle", "answers about another"), ("no-standing", "there is no standing")] {
        sample.misbehave("Look", how, 1);
        is(&within(limits().request, driver.look(&taken)).await?, ErrorKind::Refused, says)?;
    }
    sample.misbehave("Look", "wrong-tag", 1);
    let error = within(limits().request, driver.look(&taken)).await?;
    ensure!(error.kind() == ErrorKind::Refused && error.to_string().contains("of the cluster another"), "{error}");
    sample.misbehave("Look", "wrong-tag", 1);
    within(limits().request, driver.delete(&taken)).await?;
    ensure!(sample.has(&taken.handle)?, "what does not bear its tag stays");
    for (how, says) in [("wrong-tag", "is not asked for"), ("endless", "its pages have no end")] {
        sample.misbehave("List", how, if how == "endless" { 9 } else { 1 });
        is(&within(limits().request, driver.all("c")).await?, ErrorKind::Refused, says)?;
        sample.behave();
    }
    ensure!(driver.all("c").await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn another_plugin_in_its_place_is_not_asked() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let driver = connect(&sample).await?;
    let taken = take(&driver, &sample_order("c", 0, sample.volume()?)).await?;
    sample.kill();
    let _other = SamplePlugin::in_place_of(&sample, &["-name", "other"]).await?;
    let error = within(limits().patience * 2, driver.look(&taken)).await?;
    is(&error, ErrorKind::Refused, "is the plugin other now, and it was sample")?;
    Ok(())
}

#[tokio::test]
async fn a_plugin_is_asked_which_volumes_it_takes() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    sample.kill();
    let driver = driver(&sample, short());
    ensure!(driver.name() == sample.address(), "one that was never met is called by its address");
    let volume = sample.volume()?;
    let untaken = Volume { handle: "untaken-1".into(), ..volume.clone() };
    driver.consider(&[volume.clone(), untaken.clone()]).await;
    let why = driver.takes(&volume).err().context("it is down")?;
    ensure!(
        why.contains("plugin unix://") && why.contains("nobody listens") && why.contains("start it again"),
        "{why}"
    );
    sample.restart().await?;
    driver.consider(&[volume.clone(), untaken.clone()]).await;
    ensure!(driver.name() == "sample" && driver.takes(&volume).is_ok(), "{:?}", driver.takes(&volume));
    let why = driver.takes(&untaken).err().context("it says so")?;
    ensure!(why == "plugin sample: its handle says that it is not taken", "{why}");
    // It goes, and comes back.
    sample.kill();
    driver.consider(std::slice::from_ref(&volume)).await;
    let why = driver.takes(&volume).err().context("it is down")?;
    ensure!(why.contains("plugin sample"), "{why}");
    sample.restart().await?;
    sample.misbehave("Takes", "too-few", 1);
    driver.consider(std::slice::from_ref(&volume)).await;
    let why = driver.takes(&volume).err().context("it answers wrongly")?;
    ensure!(why.contains("0 outcomes for 1"), "{why}");
    driver.consider(std::slice::from_ref(&volume)).await;
    ensure!(driver.takes(&volume).is_ok());
    Ok(())
}

/// An object, with the pointers to what of it is sealed.
fn item(json: &str, sealed: &[&str]) -> Item {
    Item {
        object: exact::parse(json.as_bytes()).expect("valid JSON"),
        sealed: sealed.iter().map(|pointer| (*pointer).to_owned()).collect(),
    }
}

const SECRET_VALUE: &str = "aHVudGVyMg==";

fn items() -> Vec<Item> {
    let deployment = r#"{"apiVersion":"apps/v1","kind":"Deployment",
        "metadata":{"name":"web","namespace":"shop","uid":"u1"},"spec":{"replicas":18446744073709551617}}"#;
    let secret = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"db","namespace":"shop","uid":"u2","labels":{{"a":"b"}}}},
            "data":{{"password":"{SECRET_VALUE}"}}}}"#
    );
    let undeclared = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"undeclared","namespace":"shop"}}"#;
    vec![item(deployment, &[]), item(&secret, &["/data/password"]), item(undeclared, &[])]
}

fn parameters(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn at<'o>(outcome: &'o Outcome, pointer: &str) -> Option<&'o Value> {
    match outcome {
        Outcome::Changed(object) => object.pointer(pointer),
        _ => None,
    }
}

#[tokio::test]
async fn a_transform_changes_what_it_declared_and_sees_no_sealed_value() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let plugin = Plugin::connect(address(&sample), limits(), Parts::system()).await?;
    let label = parameters(&[("label", "team/name"), ("value", "shop")]);
    let outcomes = plugin.transform("label", &label, &items()).await?;
    ensure!(outcomes.len() == 3, "{outcomes:?}");
    for outcome in &outcomes[..2] {
        let label = at(outcome, "/metadata/labels/team~1name").and_then(Value::as_str);
        ensure!(label == Some("shop"), "{outcome:?}");
    }
    let replicas = at(&outcomes[0], "/spec/replicas").and_then(Value::as_number).context("it stays")?;
    ensure!(replicas.as_str() == "18446744073709551617", "number for number");
    ensure!(at(&outcomes[1], "/data/password").and_then(Value::as_str) == Some(SECRET_VALUE), "{outcomes:?}");
    ensure!(matches!(outcomes[2], Outcome::NotDeclared), "{outcomes:?}");
    let seen = sample.seen();
    ensure!(seen.lines().count() == 2 && !seen.contains("undeclared"), "a kind it did not declare is not sent: {seen}");
    ensure!(seen.contains("\"password\":") && !seen.contains(SECRET_VALUE), "a sealed value is not sent: {seen}");
    // One that declared that it needs them.
    let outcomes = plugin.transform("look-inside", &BTreeMap::new(), &items()).await?;
    ensure!(matches!(outcomes[0], Outcome::NotDeclared), "{outcomes:?}");
    ensure!(at(&outcomes[1], "/data/seen").is_some() && sample.seen().contains(SECRET_VALUE), "{outcomes:?}");
    // Those that say nothing to change, or that it is not to be.
    let outcomes = plugin.transform("label", &parameters(&[("do", "nothing")]), &items()).await?;
    ensure!(matches!(outcomes[0], Outcome::Unchanged) && matches!(outcomes[1], Outcome::Unchanged), "{outcomes:?}");
    let outcomes = plugin.transform("label", &parameters(&[("do", "drop")]), &items()).await?;
    ensure!(matches!(&outcomes[0], Outcome::Dropped(why) if why.contains("plugin sample")), "{outcomes:?}");
    let outcomes = plugin.transform("label", &parameters(&[("do", "dance")]), &items()).await?;
    ensure!(matches!(&outcomes[1], Outcome::Failed(error) if error.kind() == ErrorKind::Invalid), "{outcomes:?}");
    let error = plugin.transform("none", &BTreeMap::new(), &items()).await.err().context("there is none")?;
    is(&error, ErrorKind::NotFound, "does not have it")?;
    Ok(())
}

#[tokio::test]
async fn a_transform_changes_no_identity_and_moves_no_sealed_value() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let plugin = Plugin::connect(address(&sample), limits(), Parts::system()).await?;
    let refused = async |parameters: &[(&str, &str)], says: &str| -> Result<()> {
        let outcomes = plugin.transform("label", &self::parameters(parameters), &items()).await?;
        let Outcome::Failed(error) = &outcomes[1] else { anyhow::bail!("{says}: {outcomes:?}") };
        is(error, ErrorKind::Refused, says)?;
        ensure!(error.to_string().contains("Secret shop/db") && !error.to_string().contains(SECRET_VALUE), "{error}");
        Ok(())
    };
    for (path, says) in [
        ("/metadata/name", "changes metadata.name"),
        ("/metadata/namespace", "changes metadata.namespace"),
        ("/metadata/uid", "changes metadata.uid"),
        ("/kind", "changes kind"),
        ("/apiVersion", "changes apiVersion"),
    ] {
        refused(&[("do", "set"), ("path", path), ("value", "other")], says).await?;
    }
    refused(&[("do", "copy"), ("from", "/data/password"), ("path", "/metadata/labels/a")], "moves a sealed value")
        .await?;
    refused(&[("do", "set"), ("path", "/nowhere/below"), ("value", "x")], "does not fit").await?;
    refused(&[("do", "replace"), ("json", "{")], "cannot be read").await?;
    refused(&[("do", "replace"), ("json", "[]")], "no object").await?;
    Ok(())
}

#[tokio::test]
async fn a_transform_that_crashes_hangs_or_answers_wrongly_ends_with_its_name() -> Result<()> {
    let sample = SamplePlugin::start().await?;
    let plugin = Plugin::connect(address(&sample), short(), Parts::system()).await?;
    let (items, nothing) = (items(), parameters(&[("do", "nothing")]));
    sample.misbehave("Transform", "too-few", 1);
    let error = within(Duration::from_secs(2), plugin.transform("label", &nothing, &items)).await?;
    is(&error, ErrorKind::Refused, "0 outcomes for 2")?;
    sample.misbehave("Transform", "hang", 100);
    let error = within(Duration::from_secs(4), plugin.transform("label", &nothing, &items)).await?;
    is(&error, ErrorKind::Unavailable, "no answer to Transform within 1.0 s")?;
    sample.behave();
    sample.misbehave("Transform", "crash", 1);
    let error = within(Duration::from_secs(4), plugin.transform("label", &nothing, &items)).await?;
    is(&error, ErrorKind::Unavailable, "plugin sample")?;
    sample.restart().await?;
    let outcomes = plugin.transform("label", &nothing, &items).await?;
    ensure!(matches!(outcomes[0], Outcome::Unchanged), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_no_restore_could_use_is_told() -> Result<()> {
    let sample = SamplePlugin::start_with(&["-nameless"]).await?;
    let driver = connect(&sample).await?;
    let taken = take(&driver, &sample_order("c", 0, sample.volume()?)).await?;
    let mut stands = Standing::Asked;
    until("it is ready, and of no use", SOON, async || {
        stands = driver.look(&taken).await?.1;
        Ok(!matches!(stands, Standing::Cut(_)))
    })
    .await?;
    ensure!(matches!(&stands, Standing::Failed(why) if why.contains("names no CSI driver")), "{stands:?}");
    driver.delete(&taken).await?;
    ensure!(sample.count("c")? == 0);
    Ok(())
}
