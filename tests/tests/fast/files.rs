//! The repository of files on a folder of this machine: random trees come back as they were.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{Parts, error::ErrorKind, layout::Layout, seal, store::Store};
use hindcast_mover::{Key, Marks, Meter, Repository};
use hindcast_tests::trees::{Picture, blocks, change, plant};
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};

const CLUSTER: &str = "0a000000-0000-4000-8000-000000000001";

fn key(byte: u8) -> Key {
    let key =
        seal::Key { name: "key-1".into(), created: String::new(), wrap: [byte; 32], hmac: [1; 32], seal: [2; 32] };
    Key::of(&key, CLUSTER)
}

fn repository(inner: Arc<dyn ObjectStore>, keys: &[u8]) -> Repository {
    let layout = Layout::new(&"journal".into(), CLUSTER);
    Repository::new(&Store::new(inner, layout, Parts::system()), keys.iter().copied().map(key).collect())
}

fn marks(point: &str) -> Marks {
    Marks { point: point.into(), name: "nightly".into(), index: 3, claim: "shop/data".into() }
}

fn meter() -> Arc<Meter> {
    Meter::new(Parts::system())
}

/// Restores into an empty folder, and says in what it is another tree.
async fn differences(repository: &Repository, id: &str, kept: &Picture) -> Result<Vec<String>> {
    let target = tempfile::tempdir()?;
    let restored = repository.restore(id, target.path(), &meter()).await?;
    ensure!(restored.differs.is_empty(), "{:?}", restored.differs);
    Ok(kept.differences(&Picture::of(target.path())?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_trees_come_back_as_they_were_and_only_what_is_new_is_sent() -> Result<()> {
    for seed in 0..4 {
        let (bucket, source) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let files = repository(Arc::new(LocalFileSystem::new_with_prefix(bucket.path())?), &[7]);
        plant(source.path(), seed, 120)?;
        let first = Picture::of(source.path())?;
        let told = meter();
        let kept = files.backup(source.path(), &marks("p1"), &told).await?;
        ensure!(kept.missed.is_empty() && kept.marks == marks("p1") && kept.bytes > 0, "{kept:?}");
        let report = told.report();
        ensure!(report.done == kept.bytes, "{report:?} of {kept:?}");
        ensure!(report.total.is_some_and(|total| total - kept.bytes < 10_000), "links count: {report:?} of {kept:?}");
        ensure!(report.sent >= kept.added && kept.added > 0, "{report:?} of {kept:?}");
        // Asked again, nothing is made and nothing but questions is sent.
        let told = meter();
        ensure!(files.backup(source.path(), &marks("p1"), &told).await? == kept);
        ensure!(told.report().sent == 0, "{:?}", told.report());
        change(source.path(), seed + 100)?;
        let second = Picture::of(source.path())?;
        let told = meter();
        let next = files.backup(source.path(), &marks("p2"), &told).await?;
        ensure!(next.id != kept.id && next.added < kept.added, "{next:?} after {kept:?}");
        let of = |list: Vec<hindcast_mover::Kept>| list.into_iter().map(|kept| kept.id).collect::<Vec<_>>();
        ensure!(of(files.list(None).await?) == [kept.id.clone(), next.id.clone()]);
        ensure!(of(files.list(Some("p2")).await?) == std::slice::from_ref(&next.id));
        for (id, picture) in [(&kept.id, &first), (&next.id, &second)] {
            let differences = differences(&files, id, picture).await?;
            ensure!(differences.is_empty(), "seed {seed}: {}", differences.join("\n"));
        }
        // What only the first held goes; the second stays whole.
        files.forget(std::slice::from_ref(&kept.id)).await?;
        files.forget(std::slice::from_ref(&kept.id)).await.context("given up twice")?;
        let before = blocks(bucket.path())?;
        let marked = files.prune(Duration::ZERO).await?;
        let pruned = files.prune(Duration::ZERO).await?;
        ensure!(marked.removed == 0 && pruned.removed > 0, "{marked:?} {pruned:?}");
        ensure!(blocks(bucket.path())? < before);
        let differences = differences(&files, &next.id, &second).await?;
        ensure!(differences.is_empty(), "seed {seed}: {}", differences.join("\n"));
        ensure!(files.restore(&kept.id, source.path(), &meter()).await.is_err_and(|e| e.kind() == ErrorKind::NotFound));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_there_is_corrected_and_holes_stay_holes() -> Result<()> {
    let (source, target) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let files = repository(Arc::new(InMemory::new()), &[7]);
    let sparse = fs::File::create(source.path().join("sparse"))?;
    sparse.set_len(64 << 20)?;
    fs::write(source.path().join("table"), vec![0_u8; 3 << 20])?;
    let kept = files.backup(source.path(), &marks("p1"), &meter()).await?;
    // A file of the same size with other bytes where the kept one has none; another one that is not in the snapshot.
    fs::write(target.path().join("table"), vec![7_u8; 3 << 20])?;
    fs::write(target.path().join("other"), "stays")?;
    let restored = files.restore(&kept.id, target.path(), &meter()).await?;
    ensure!(restored.additional == 1 && restored.differs.is_empty(), "{restored:?}");
    ensure!(fs::read(target.path().join("table"))? == vec![0_u8; 3 << 20]);
    ensure!(fs::read(target.path().join("other"))? == b"stays");
    // Again: nothing is to be written.
    let again = files.restore(&kept.id, target.path(), &meter()).await?;
    ensure!(again.written == 0 && again.matched > 0, "{again:?}");
    let fresh = tempfile::tempdir()?;
    files.restore(&kept.id, fresh.path(), &meter()).await?;
    ensure!(blocks(fresh.path())? < 1024, "{} blocks", blocks(fresh.path())?);
    ensure!(fs::metadata(fresh.path().join("sparse"))?.len() == 64 << 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_a_wrong_one_opens_nothing() -> Result<()> {
    let source = tempfile::tempdir()?;
    fs::write(source.path().join("a"), "secret rows")?;
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let kept = repository(bucket.clone(), &[7]).backup(source.path(), &marks("p1"), &meter()).await?;
    let wrong = repository(bucket.clone(), &[9]).list(None).await.err().context("another key")?;
    ensure!(wrong.kind() == ErrorKind::Invalid && wrong.hint().is_some(), "{wrong}");
    let none = repository(bucket.clone(), &[]).list(None).await.err().context("no key")?;
    ensure!(none.kind() == ErrorKind::Invalid && none.hint().is_some(), "{none}");
    // A key is added to the key file: from the next backup on it opens alone.
    repository(bucket.clone(), &[8, 7]).backup(source.path(), &marks("p2"), &meter()).await?;
    for keys in [&[7_u8][..], &[8], &[8, 7]] {
        ensure!(repository(bucket.clone(), keys).list(None).await?.len() == 2, "{keys:?}");
    }
    ensure!(differences(&repository(bucket.clone(), &[8]), &kept.id, &Picture::of(source.path())?).await?.is_empty());
    // Or at once, where all that older keys wrapped is wrapped anew.
    ensure!(repository(bucket.clone(), &[6]).list(None).await.is_err());
    ensure!(repository(bucket.clone(), &[6, 8]).admit().await?);
    ensure!(differences(&repository(bucket.clone(), &[6]), &kept.id, &Picture::of(source.path())?).await?.is_empty());
    ensure!(repository(bucket.clone(), &[9, 5]).admit().await.is_err());
    ensure!(!repository(Arc::new(InMemory::new()), &[7]).admit().await?, "it makes none");
    // Where nothing was kept there is nothing, and no key is asked to prove itself.
    ensure!(repository(Arc::new(InMemory::new()), &[7]).list(None).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_begin_at_once_share_one_repository() -> Result<()> {
    let source = tempfile::tempdir()?;
    fs::write(source.path().join("a"), vec![1_u8; 100_000])?;
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (one, two) = (repository(bucket.clone(), &[7]), repository(bucket.clone(), &[7]));
    let (p1, p2, m1, m2) = (marks("p1"), marks("p2"), meter(), meter());
    let (one, two) = futures::join!(one.backup(source.path(), &p1, &m1), two.backup(source.path(), &p2, &m2));
    let (one, two) = (one?, two?);
    let files = repository(bucket, &[7]);
    let picture = Picture::of(source.path())?;
    for id in [one.id, two.id] {
        ensure!(differences(&files, &id, &picture).await?.is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named() -> Result<()> {
    let source = tempfile::tempdir()?;
    fs::write(source.path().join("fine"), "rows")?;
    let files = repository(Arc::new(InMemory::new()), &[7]);
    let gone = files.backup(&source.path().join("gone"), &marks("p1"), &meter()).await.err().context("no folder")?;
    ensure!(gone.kind() == ErrorKind::NotFound && gone.hint().is_some(), "{gone}");
    // What may only be written, whoever asks.
    let kept = files.backup(Path::new("/proc/sys/vm"), &marks("p1"), &meter()).await?;
    ensure!(kept.missed.iter().any(|missed| missed.starts_with("drop_caches: ")), "{kept:?}");
    ensure!(kept.files > 10, "the others are kept: {kept:?}");
    // The same is said by whoever asks again.
    ensure!(files.backup(source.path(), &marks("p1"), &meter()).await?.missed == kept.missed);
    Ok(())
}
