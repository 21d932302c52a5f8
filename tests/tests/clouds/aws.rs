//! Amazon EBS, by moto.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use hindcast_journal::{Parts, error::ErrorKind};
use hindcast_snapshotter::{
    cloud::{
        Hidden, Limits,
        aws::{Credentials, Ebs, Settings},
    },
    driver::{Order, Tag, Volume, VolumeDriver, Wish, tags},
};
use hindcast_tests::{
    clouds::{Ec2, Faults, ec2},
    drivers::{World, limits},
    real::Moto,
};

const REGION: &str = "eu-west-1";
const ZONE: &str = "eu-west-1a";

/// A front of moto, and the port of another one that holds everybody to their keys, and knows of none.
struct Amazon(Ec2, u16);

async fn world() -> Result<Amazon> {
    static GUARDED: tokio::sync::OnceCell<Moto> = tokio::sync::OnceCell::const_new();
    let guarded = GUARDED.get_or_try_init(Moto::start_guarded).await?;
    Ok(Amazon(Ec2::start().await?, guarded.port()))
}

/// As of every cloud here, but that moto, in Python, may take its time on a machine that has much to do.
fn patient() -> Limits {
    Limits { request: Duration::from_mins(1), patience: Duration::from_secs(15), ..limits() }
}

fn settings(url: String, key: &str) -> Settings {
    Settings {
        region: REGION.to_owned(),
        endpoint: Some(url),
        credentials: Credentials::Key {
            id: key.to_owned(),
            secret: Hidden::new("a secret of the testbed"),
            session: None,
        },
        earlier: false,
    }
}

fn volume(id: String) -> Volume {
    Volume {
        namespace: "shop".into(),
        claim: format!("data-{}", &id[id.len() - 4..]),
        driver: "ebs.csi.aws.com".into(),
        handle: id,
        capacity: 8 << 30,
        topology: [("topology.ebs.csi.aws.com/zone".to_owned(), vec![ZONE.to_owned()])].into(),
        ..Volume::default()
    }
}

#[async_trait]
impl World for Amazon {
    async fn driver(&self, earlier: bool) -> Result<Box<dyn VolumeDriver>> {
        let settings = Settings { earlier, ..settings(self.0.url(), "AKIATESTBED") };
        Ok(Box::new(Ebs::open(settings, patient(), Parts::system()).await?))
    }

    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>> {
        let url = format!("http://127.0.0.1:{}", self.1);
        Ok(Box::new(Ebs::open(settings(url, "AKIASTRANGER"), patient(), Parts::system()).await?))
    }

    async fn volume(&self) -> Result<Volume> {
        Ok(volume(self.0.volume(8, ZONE).await?))
    }

    async fn lose(&self, volume: &Volume) -> Result<()> {
        self.0.lose(&volume.handle).await
    }

    async fn count(&self, cluster: &str) -> Result<usize> {
        self.0.count(tags::CLUSTER, cluster).await
    }

    async fn foreign(&self, volume: &Volume) -> Result<String> {
        self.0.foreign(&volume.handle).await
    }

    async fn has(&self, handle: &str) -> Result<bool> {
        self.0.has(handle).await
    }

    async fn disks_of(&self, handle: &str) -> Result<usize> {
        Ok(self.0.volumes_of(handle).await?.0)
    }

    fn other_zone(&self) -> String {
        "eu-west-1b".to_owned()
    }

    fn faults(&self) -> &Faults {
        self.0.faults()
    }

    fn limits(&self) -> Limits {
        patient()
    }
}

suite!(world().await?);

fn order(volume: Volume) -> Order {
    let id = volume.handle.replace("vol-", "").chars().chain(std::iter::repeat('0')).take(32).collect();
    let tag = Tag { cluster: format!("of-{}", volume.handle), point: "nightly".into(), id, index: 0 };
    Order::bare(tag, volume)
}

#[tokio::test]
async fn a_volume_of_the_built_in_driver_is_taken_and_a_disk_has_what_its_class_asks_for() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let plain = world.volume().await?;
    let built_in = Volume {
        driver: "kubernetes.io/aws-ebs".into(),
        handle: format!("aws://{ZONE}/{}", plain.handle),
        topology: BTreeMap::default(),
        ..plain
    };
    ensure!(driver.takes(&built_in).is_ok(), "{:?}", driver.takes(&built_in));
    let order = Order { tag: order(volume(plain_id(&built_in))).tag, ..order(built_in) };
    let taken = driver.create(&[order]).await.remove(0)?;
    ensure!(taken.details["zone"] == ZONE && taken.details["region"] == REGION, "{taken:?}");
    let parameters = [("type", "gp3"), ("iops", "4000"), ("throughput", "250"), ("encrypted", "true")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let wish = Wish { token: format!("t-{}", taken.handle), parameters, ..Wish::default() };
    let disk = driver.disks().context("it makes disks")?.make(&taken, &wish).await?;
    let (_, said) = world.0.volumes_of(&taken.handle).await?;
    for part in ["<volumeType>gp3<", "<iops>4000<", "<throughput>250<", "<encrypted>true<", &disk.handle] {
        ensure!(said.contains(part), "{part} is not in {said}");
    }
    let wrong =
        Wish { token: "t2".into(), parameters: [("iops".to_owned(), "many".to_owned())].into(), ..Wish::default() };
    let error =
        driver.disks().context("it makes disks")?.make(&taken, &wrong).await.err().context("many is no number")?;
    ensure!(error.kind() == ErrorKind::Invalid && error.to_string().contains("iops is \"many\""), "{error}");
    Ok(())
}

fn plain_id(volume: &Volume) -> String {
    volume.handle.rsplit('/').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_in_another_region_is_refused_by_name() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let topology = [("topology.kubernetes.io/zone".to_owned(), vec!["us-east-1a".to_owned()])].into();
    let far = Volume { topology, ..world.volume().await? };
    let reason = driver.takes(&far).err().context("it is elsewhere")?;
    ensure!(reason.contains("us-east-1a") && reason.contains(REGION), "{reason}");
    let here = driver.create(&[order(world.volume().await?)]).await.remove(0)?;
    let mut there = here.clone();
    there.details.insert("region".into(), "us-east-1".into());
    let error = driver.delete(&there).await.err().context("it is elsewhere")?;
    ensure!(error.kind() == ErrorKind::Invalid && error.hint().is_some_and(|h| h.contains("us-east-1")), "{error}");
    let wish = Wish { token: "t".into(), zone: "us-east-1a".into(), ..Wish::default() };
    let error = driver.disks().context("it makes disks")?.make(&here, &wish).await.err().context("it is elsewhere")?;
    ensure!(error.to_string().contains("us-east-1a"), "{error}");
    Ok(())
}

/// What a test of credentials starts: a driver as a Pod makes one, by what its environment says.
const AS_FOUND: &str = "HINDCAST_TEST_EC2";

#[tokio::test]
#[ignore = "started by credentials_are_found_as_every_program_of_the_sdk_finds_them"]
async fn as_found() -> Result<()> {
    let Ok(url) = std::env::var(AS_FOUND) else { return Ok(()) };
    let named = std::env::var("HINDCAST_TEST_ROLE").ok().zip(std::env::var("HINDCAST_TEST_TOKEN").ok());
    let credentials = match named {
        Some((role, token)) => Credentials::WebIdentity { role, token: token.into() },
        None => Credentials::Found,
    };
    let settings = Settings { region: REGION.into(), endpoint: Some(url), credentials, earlier: false };
    let driver = Ebs::open(settings, patient(), Parts::system()).await?;
    // The kind is what whoever started this looks for.
    driver.all("nobody's").await.map(drop).map_err(|error| anyhow::anyhow!("{:?}: {error}", error.kind()))
}

/// Runs [`as_found`] in a process with this environment and no other of Amazon's; what it said.
async fn found(world: &Amazon, environment: &[(&str, &str)]) -> Result<std::process::Output> {
    let home = tempfile::tempdir()?;
    let mut child = tokio::process::Command::new(std::env::current_exe()?);
    child.args(["--exact", "aws::as_found", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            child.env_remove(name);
        }
    }
    child.env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true").env(AS_FOUND, world.0.url());
    Ok(child.envs(environment.iter().copied()).kill_on_drop(true).output().await?)
}

#[tokio::test]
async fn credentials_are_found_as_every_program_of_the_sdk_finds_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    std::fs::write(&token, ec2::TOKEN)?;
    let token = token.display().to_string();
    let world = world().await?;
    let sts = world.0.url();
    let pod = format!("{sts}/v1/credentials");
    let ways: [(&str, &[(&str, &str)]); 4] = [
        ("AKIAINENVIRONMENT", &[("AWS_ACCESS_KEY_ID", "AKIAINENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s")]),
        (
            ec2::ASSUMED,
            &[("AWS_ROLE_ARN", ec2::ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &token), ("AWS_ENDPOINT_URL_STS", &sts)],
        ),
        (
            ec2::ASSUMED,
            &[("HINDCAST_TEST_ROLE", ec2::ROLE), ("HINDCAST_TEST_TOKEN", &token), ("AWS_ENDPOINT_URL_STS", &sts)],
        ),
        (
            ec2::OF_POD,
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &pod), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)],
        ),
    ];
    for (signer, environment) in ways {
        // A front of its own shows whose key was used.
        let world = self::world().await?;
        let said = found(&world, environment).await?;
        ensure!(said.status.success(), "{environment:?}: {}", String::from_utf8_lossy(&said.stdout));
        ensure!(world.0.signers() == [signer.to_owned()].into(), "{environment:?}: {:?}", world.0.signers());
    }
    // None at all, and a token that nobody knows: told with the remedy.
    std::fs::write(folder.path().join("stale"), "an old token")?;
    let stale = folder.path().join("stale").display().to_string();
    let wrong =
        [("AWS_ROLE_ARN", ec2::ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &*stale), ("AWS_ENDPOINT_URL_STS", &*sts)];
    for environment in [&[][..], &wrong] {
        let said = found(&world, environment).await?;
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        ensure!(!said.status.success() && text.contains("Denied"), "{environment:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let settings = settings("http://127.0.0.1:1".into(), "AKIATESTBED");
    assert!(!format!("{settings:?}").contains("a secret of"), "{settings:?}");
}
