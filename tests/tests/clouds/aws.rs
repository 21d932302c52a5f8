//! Amazon EBS, by moto.

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use hindcast_journal::{Parts, error::ErrorKind};
use hindcast_snapshotter::{
    cloud::{
        Hidden,
        aws::{Credentials, Ebs, Settings},
    },
    driver::{Order, Tag, Volume, VolumeDriver, Wish, tags},
};
use hindcast_tests::{
    clouds::{Ec2, Faults},
    drivers::{World, limits},
    real::Moto,
};

const REGION: &str = "eu-west-1";
const ZONE: &str = "eu-west-1a";

struct Amazon(Ec2);

async fn world() -> Result<Amazon> {
    Ok(Amazon(Ec2::start().await?))
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
        Ok(Box::new(Ebs::open(settings, limits(), Parts::system()).await?))
    }

    /// One by a moto that holds everybody to their keys, and knows of none.
    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>> {
        static GUARDED: tokio::sync::OnceCell<Moto> = tokio::sync::OnceCell::const_new();
        let guarded = GUARDED.get_or_try_init(Moto::start_guarded).await?;
        let url = format!("http://127.0.0.1:{}", guarded.port());
        Ok(Box::new(Ebs::open(settings(url, "AKIASTRANGER"), limits(), Parts::system()).await?))
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
        &self.0.faults
    }
}

suite!(world().await?);

fn order(volume: Volume) -> Order {
    let id = volume.handle.replace("vol-", "").chars().chain(std::iter::repeat('0')).take(32).collect();
    let tag = Tag { cluster: format!("of-{}", volume.handle), point: "nightly".into(), id, index: 0 };
    Order { tag, volume, class: String::new(), group: String::new(), tags: Default::default() }
}

#[tokio::test]
async fn a_volume_of_the_built_in_driver_is_taken_and_a_disk_has_what_its_class_asks_for() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let plain = world.volume().await?;
    let built_in = Volume {
        driver: "kubernetes.io/aws-ebs".into(),
        handle: format!("aws://{ZONE}/{}", plain.handle),
        topology: Default::default(),
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

#[tokio::test]
async fn secrets_are_not_printed() {
    let settings = settings("http://127.0.0.1:1".into(), "AKIATESTBED");
    assert!(!format!("{settings:?}").contains("a secret of"), "{settings:?}");
}
