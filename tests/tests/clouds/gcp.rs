//! Persistent disks of Compute Engine, by the strict server of the testbed.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use hindcast_journal::{Parts, error::ErrorKind};
use hindcast_snapshotter::{
    cloud::{
        Hidden,
        gcp::{Credentials, PersistentDisks, Settings},
    },
    driver::{Order, Tag, Volume, VolumeDriver, Wish},
};
use hindcast_tests::{
    clouds::{Faults, Gce, SUBJECT},
    drivers::{World, limits, order},
};
use tempfile::TempDir;

const PROJECT: &str = "shop-1";
const ZONE: &str = "europe-west1-b";

struct Google {
    gce: Gce,
    tokens: TempDir,
    next: AtomicU32,
}

async fn world() -> Result<Google> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tokens = tempfile::tempdir()?;
    std::fs::write(tokens.path().join("known"), SUBJECT)?;
    std::fs::write(tokens.path().join("unknown"), "somebody else's")?;
    Ok(Google { gce: Gce::start().await?, tokens, next: AtomicU32::new(0) })
}

impl Google {
    async fn open(&self, token: &str) -> Result<Box<dyn VolumeDriver>> {
        let token = self.tokens.path().join(token).display().to_string();
        let settings = Settings {
            project: PROJECT.to_owned(),
            endpoint: Some(self.gce.url()),
            credentials: Credentials::File(Hidden::new(self.gce.federation(&token))),
        };
        Ok(Box::new(PersistentDisks::open(settings, limits(), Parts::system()).await?))
    }

    fn at(&self, path: &str) -> Volume {
        self.gce.add_disk(path, 8);
        Volume {
            namespace: "shop".into(),
            claim: path.rsplit('/').next().unwrap_or_default().into(),
            driver: "pd.csi.storage.gke.io".into(),
            handle: path.to_owned(),
            capacity: 8 << 30,
            topology: [("topology.gke.io/zone".to_owned(), vec![ZONE.to_owned()])].into(),
            ..Volume::default()
        }
    }
}

#[async_trait]
impl World for Google {
    async fn driver(&self, _earlier: bool) -> Result<Box<dyn VolumeDriver>> {
        self.open("known").await
    }

    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>> {
        self.open("unknown").await
    }

    async fn volume(&self) -> Result<Volume> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.at(&format!("projects/{PROJECT}/zones/{ZONE}/disks/pvc-{number}")))
    }

    async fn lose(&self, volume: &Volume) -> Result<()> {
        self.gce.lose(&volume.handle);
        Ok(())
    }

    async fn count(&self, cluster: &str) -> Result<usize> {
        Ok(self.gce.count("hindcast-cluster", cluster))
    }

    async fn foreign(&self, _volume: &Volume) -> Result<String> {
        Ok(self.gce.foreign())
    }

    async fn has(&self, handle: &str) -> Result<bool> {
        Ok(self.gce.has(handle))
    }

    async fn disks_of(&self, handle: &str) -> Result<usize> {
        Ok(self.gce.disks_of(handle).len())
    }

    fn other_zone(&self) -> String {
        "europe-west1-c".to_owned()
    }

    fn faults(&self) -> &Faults {
        self.gce.faults()
    }
}

suite!(world().await?);

#[tokio::test]
async fn a_regional_disk_and_a_built_in_one_are_taken_and_made_again() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let regional = world.at(&format!("projects/{PROJECT}/regions/europe-west1/disks/both"));
    let plain = world.at(&format!("projects/{PROJECT}/zones/{ZONE}/disks/plain"));
    let built_in = Volume { driver: "kubernetes.io/gce-pd".into(), handle: "plain".into(), ..plain };
    let taken = driver.create(&[order(regional, 0), order(built_in, 1)]).await;
    let taken = taken.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(taken[1].details["disk"] == format!("projects/{PROJECT}/zones/{ZONE}/disks/plain"), "{taken:?}");
    let disks = driver.disks().context("it makes disks")?;
    let token = "Restore/1".to_owned();
    let error = disks.make(&taken[0], &Wish { token: token.clone(), ..Wish::default() }).await.err();
    let error = error.context("a regional disk has no one zone")?;
    ensure!(error.kind() == ErrorKind::Invalid && error.hint().is_some_and(|hint| hint.contains("__")), "{error}");
    let parameters = [("type", "pd-balanced"), ("replication-type", "regional-pd")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let wish = Wish { token, zone: "europe-west1-b__europe-west1-c".into(), parameters, ..Wish::default() };
    let disk = disks.make(&taken[0], &wish).await?;
    ensure!(disk.handle.contains("/regions/europe-west1/disks/x") && disk.zone == wish.zone, "{disk:?}");
    let made = world.gce.disks_of(&taken[0].handle);
    ensure!(made.len() == 1 && made[0]["type"].as_str().is_some_and(|kind| kind.ends_with("pd-balanced")), "{made:?}");
    disks.remove(&disk.handle).await?;
    ensure!(world.gce.disks_of(&taken[0].handle).is_empty());
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_by_somebody_else_is_refused() -> Result<()> {
    let world = world().await?;
    let driver = world.driver(false).await?;
    let one = order(world.volume().await?, 0);
    driver.create(std::slice::from_ref(&one)).await.remove(0)?;
    // The same name, since the name is of the point's id and the number, but another cluster's.
    let other = Order { tag: Tag { cluster: "d".into(), ..one.tag.clone() }, ..one };
    let error = driver.create(&[other]).await.remove(0).err().context("the name is taken")?;
    ensure!(error.kind() == ErrorKind::Refused && error.hint().is_some(), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_the_cloud_asks_to_wait_is_waited_and_credentials_are_not_printed() -> Result<()> {
    use hindcast_tests::clouds::{Fault, Op};
    let world = world().await?;
    let driver = world.driver(false).await?;
    world.gce.faults().plan(Op::Create, Fault::Throttled(Some(1)), 1);
    let begun = std::time::Instant::now();
    driver.create(&[order(world.volume().await?, 0)]).await.remove(0)?;
    ensure!(begun.elapsed() >= std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    let secret = Credentials::File(Hidden::new("{\"private_key\": \"deadbeef\""));
    ensure!(!format!("{secret:?}").contains("deadbeef"));
    let settings = Settings { project: PROJECT.into(), endpoint: None, credentials: secret };
    let error = PersistentDisks::open(settings, limits(), Parts::system()).await.err().context("it is no JSON")?;
    ensure!(error.kind() == ErrorKind::Invalid && !format!("{error:?}").contains("deadbeef"), "{error:?}");
    Ok(())
}
