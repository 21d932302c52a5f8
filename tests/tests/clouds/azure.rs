//! Azure managed disks, by the strict server of the testbed.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use hindcast_journal::{Parts, error::ErrorKind};
use hindcast_snapshotter::{
    cloud::{
        Hidden,
        azure::{Credentials, ManagedDisks, Settings},
    },
    driver::{Volume, VolumeDriver, Wish},
};
use hindcast_tests::{
    clouds::{
        ArmServer, Fault, Faults, Op,
        arm::{ASSERTION, CLIENT, GROUP, SECRET, SUBSCRIPTION, TENANT},
    },
    drivers::{World, limits, order},
};

struct Microsoft {
    arm: ArmServer,
    next: AtomicU32,
}

async fn world() -> Result<Microsoft> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Microsoft { arm: ArmServer::start().await?, next: AtomicU32::new(0) })
}

fn by_secret(secret: &str) -> Credentials {
    Credentials::Secret { tenant: TENANT.into(), client: CLIENT.into(), secret: Hidden::new(secret) }
}

impl Microsoft {
    fn open(&self, credentials: Credentials) -> Result<Box<dyn VolumeDriver>> {
        let settings = Settings {
            subscription: SUBSCRIPTION.into(),
            resource_group: GROUP.into(),
            endpoint: Some(self.arm.url()),
            authority: Some(self.arm.url()),
            credentials,
        };
        Ok(Box::new(ManagedDisks::open(settings, limits(), Parts::system())?))
    }
}

#[async_trait]
impl World for Microsoft {
    async fn driver(&self, _earlier: bool) -> Result<Box<dyn VolumeDriver>> {
        self.open(by_secret(SECRET))
    }

    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>> {
        self.open(by_secret("a wrong one"))
    }

    async fn volume(&self) -> Result<Volume> {
        let name = format!("pvc-{}", self.next.fetch_add(1, Ordering::Relaxed));
        Ok(Volume {
            namespace: "shop".into(),
            claim: name.clone(),
            driver: "disk.csi.azure.com".into(),
            handle: self.arm.add_disk(&name, 8, "1"),
            capacity: 8 << 30,
            topology: [("topology.disk.csi.azure.com/zone".to_owned(), vec!["westeurope-1".to_owned()])].into(),
            ..Volume::default()
        })
    }

    async fn lose(&self, volume: &Volume) -> Result<()> {
        self.arm.lose(&volume.handle);
        Ok(())
    }

    async fn count(&self, cluster: &str) -> Result<usize> {
        Ok(self.arm.count("hindcast.dev-cluster", cluster))
    }

    async fn foreign(&self, _volume: &Volume) -> Result<String> {
        Ok(self.arm.foreign("foreign"))
    }

    async fn has(&self, handle: &str) -> Result<bool> {
        Ok(self.arm.has(handle))
    }

    async fn disks_of(&self, handle: &str) -> Result<usize> {
        Ok(self.arm.disks_of(handle).len())
    }

    fn other_zone(&self) -> String {
        "westeurope-2".to_owned()
    }

    fn faults(&self) -> &Faults {
        self.arm.faults()
    }
}

suite!(world().await?);

#[tokio::test]
async fn every_kind_of_credentials_is_taken_and_wrong_ones_are_not() -> Result<()> {
    let world = world().await?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map(|()| path)
    };
    let trusted = |token| Credentials::WorkloadIdentity { tenant: TENANT.into(), client: CLIENT.into(), token };
    let known = [
        by_secret(SECRET),
        trusted(file("known", &format!("{ASSERTION}\n"))?),
        Credentials::Machine(None),
        Credentials::Machine(Some(CLIENT.into())),
    ];
    for credentials in known {
        ensure!(world.open(credentials.clone())?.all("c").await?.is_empty(), "{credentials:?}");
    }
    let absent = trusted(folder.path().join("absent"));
    for credentials in
        [by_secret("wrong"), trusted(file("other", "other")?), Credentials::Machine(Some("other".into())), absent]
    {
        let error =
            world.open(credentials.clone())?.all("c").await.err().with_context(|| format!("{credentials:?}"))?;
        ensure!(error.kind() == ErrorKind::Denied && error.hint().is_some(), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_revoked_is_replaced() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    world.arm.faults().plan(Op::List, Fault::Unknown, 1);
    ensure!(driver.all("c").await.is_err_and(|error| error.kind() == ErrorKind::Denied));
    ensure!(driver.all("c").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn operations_are_asked_for_when_azure_wants_it() -> Result<()> {
    let world = world().await?;
    world.arm.pace(1);
    let driver = world.driver(false).await?;
    let taken = driver.create(&[order(world.volume().await?, 0)]).await.remove(0)?;
    let begun = Instant::now();
    driver.delete(&taken).await?;
    ensure!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    world.arm.faults().plan(Op::Create, Fault::Throttled(Some(1)), 1);
    let begun = Instant::now();
    driver.create(&[order(world.volume().await?, 1)]).await.remove(0)?;
    ensure!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_disk_has_what_its_class_asks_for() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let taken = driver.create(&[order(world.volume().await?, 0)]).await.remove(0)?;
    let disks = driver.disks().context("it makes disks")?;
    let parameters = [("skuname", "PremiumV2_LRS"), ("DiskIOPSReadWrite", "4000"), ("DiskMBpsReadWrite", "200")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let wish = Wish { token: "Restore 1".into(), parameters, ..Wish::default() };
    let disk = disks.make(&taken, &wish).await?;
    let made = world.arm.disks_of(&taken.handle).pop().context("it is made")?;
    let properties = &made["properties"];
    ensure!(made["sku"]["name"] == "PremiumV2_LRS" && made["zones"][0] == "1", "{made}");
    ensure!(properties["diskIOPSReadWrite"] == 4000 && properties["diskMBpsReadWrite"] == 200, "{made}");
    ensure!(disk.zone == "westeurope-1", "{disk:?}");
    let far = Wish { token: "2".into(), zone: "northeurope-1".into(), ..Wish::default() };
    let error = disks.make(&taken, &far).await.err().context("it is elsewhere")?;
    ensure!(error.kind() == ErrorKind::Invalid && error.to_string().contains("northeurope-1"), "{error}");
    Ok(())
}
