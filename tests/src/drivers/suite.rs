//! The behaviour of a driver of volumes: the promises of `hindcast_snapshotter::driver`, one function for each.
//!
//! What there is, the [`World`] says, never the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_journal::error::{Error, ErrorKind};
use hindcast_snapshotter::driver::{Disk, Order, Standing, Tag, Taken, Volume, VolumeDriver, Wish};

use super::{LATE, World};
use crate::{
    clouds::{Fault, Op},
    until::{SOON, until},
};

/// A cluster of one test's own: a uid that nobody else bears.
fn cluster() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos() as u64;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{:012x}", number, nanos & 0xffff_ffff_ffff)
}

/// The id of a cluster's first recovery point, and of others.
fn id(cluster: &str, point: u32) -> String {
    format!("{}{point:08x}", &cluster.replace('-', "")[8..])
}

fn order(cluster: &str, point: u32, index: u32, volume: Volume) -> Order {
    let tag = Tag { cluster: cluster.to_owned(), point: format!("nightly-{point}"), id: id(cluster, point), index };
    let tags = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    Order { tags, ..Order::bare(tag, volume) }
}

/// The one answer to one order.
async fn take(driver: &dyn VolumeDriver, order: &Order) -> Result<Taken, Error> {
    let mut answers = driver.create(std::slice::from_ref(order)).await;
    assert_eq!(answers.len(), 1, "one answer for one order");
    answers.remove(0)
}

/// Looks until a volume can be made from it.
async fn ready(driver: &dyn VolumeDriver, taken: &Taken) -> Result<Taken> {
    let mut ready = None;
    let look = async || {
        let (seen, standing) = driver.look(taken).await?;
        match standing {
            Standing::Ready => ready = Some(seen),
            Standing::Asked | Standing::Cut(_) => {}
            other => bail!("it stands as {other:?}"),
        }
        Ok(ready.is_some())
    };
    until(format!("{} is ready", taken.handle), SOON, look).await?;
    ready.context("it was waited for")
}

/// That an error is of this kind and names the remedy.
fn is(error: &Error, kind: ErrorKind) -> Result<()> {
    ensure!(error.kind() == kind, "it is {:?}: {error}", error.kind());
    ensure!(error.hint().is_some_and(|hint| !hint.is_empty()), "no remedy: {error}");
    Ok(())
}

fn handles(taken: &[Taken]) -> BTreeSet<&str> {
    taken.iter().map(|taken| taken.handle.as_str()).collect()
}

/// Taken, looked at until it is ready, found, deleted, deleted twice.
pub async fn a_snapshots_life(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let volume = world.volume().await?;
    ensure!(driver.takes(&volume).is_ok(), "{:?}", driver.takes(&volume));
    ensure!(driver.takes(&Volume { driver: "nfs.csi.k8s.io".into(), ..volume.clone() }).is_err());
    let order = order(&cluster, 1, 0, volume.clone());
    let taken = take(&*driver, &order).await?;
    ensure!(taken.tag == order.tag && taken.driver == driver.name() && !taken.handle.is_empty(), "{taken:?}");
    let seen = ready(&*driver, &taken).await?;
    ensure!(seen.size >= volume.capacity, "{seen:?}");
    let time = seen.time.context("the moment of a snapshot that is ready is known")?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_micros() as i64;
    ensure!((now - time).abs() < 120_000_000, "{time} is not now, {now}");
    ensure!(world.count(&cluster).await? == 1 && world.has(&taken.handle).await?);
    for found in [driver.find(&cluster, &order.tag.id).await?, driver.all(&cluster).await?] {
        ensure!(found.len() == 1 && found[0].handle == taken.handle && found[0].tag == order.tag, "{found:?}");
        ensure!(found[0].driver == driver.name() && found[0].details.keys().len() <= taken.details.keys().len());
    }
    ensure!(driver.find(&cluster, &id(&cluster, 2)).await?.is_empty(), "of another point");
    ensure!(driver.all("another-cluster").await?.is_empty());
    // Whoever finds it without its recovery point can delete it.
    let found = driver.all(&cluster).await?.remove(0);
    driver.delete(&found).await?;
    ensure!(world.count(&cluster).await? == 0 && !world.has(&taken.handle).await?);
    ensure!(driver.look(&taken).await?.1 == Standing::Gone);
    driver.delete(&taken).await.context("deleted twice")?;
    Ok(())
}

/// Asked twice, at once and one after another, by one process and by two: made once.
pub async fn asked_twice_made_once(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let order = order(&cluster, 1, 0, world.volume().await?);
    let (one, two) = futures::join!(take(&*driver, &order), take(&*driver, &order));
    let (one, two) = (one?, two?);
    let three = take(&*driver, &order).await?;
    let other = world.driver(true).await?;
    let four = take(&*other, &order).await?;
    ensure!(handles(&[one.clone(), two, three, four]).len() == 1);
    ensure!(world.count(&cluster).await? == 1);
    driver.delete(&one).await?;
    Ok(())
}

/// The answer to the request that makes it is lost, and the cloud lists it late: there is one all the same, whoever asks again.
pub async fn a_lost_answer_makes_no_second(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    world.faults().list_late(LATE);
    // By the same call.
    let first = order(&cluster, 1, 0, world.volume().await?);
    world.faults().plan(Op::Create, Fault::Lost, 1);
    let taken = take(&*driver, &first).await?;
    ensure!(world.count(&cluster).await? == 1, "{} by one call", world.count(&cluster).await?);
    ensure!(ready(&*driver, &taken).await?.handle == taken.handle);
    // By another process, right after the first one has died.
    let second = order(&cluster, 1, 1, world.volume().await?);
    take(&*driver, &second).await?;
    drop(driver);
    let next = world.driver(true).await?;
    take(&*next, &second).await?;
    ensure!(world.count(&cluster).await? == 2, "{} by two processes", world.count(&cluster).await?);
    // And whoever only looks for it finds it.
    let third = order(&cluster, 2, 0, world.volume().await?);
    take(&*next, &third).await?;
    let finder = world.driver(true).await?;
    let found = finder.find(&cluster, &third.tag.id).await?;
    ensure!(found.len() == 1, "it was not waited for: {found:?}");
    world.faults().end();
    Ok(())
}

/// Each kind of request fails once, in everything that a driver does.
pub async fn every_request_fails_once(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let order = order(&cluster, 1, 0, world.volume().await?);
    let disks = driver.disks().context("it makes disks")?;
    world.faults().once_each();
    let taken = take(&*driver, &order).await?;
    ensure!(world.faults().struck().contains(&Op::Create), "{:?}", world.faults().struck());
    world.faults().once_each();
    let taken = ready(&*driver, &taken).await?;
    ensure!(world.faults().struck().contains(&Op::Look), "{:?}", world.faults().struck());
    world.faults().once_each();
    ensure!(driver.find(&cluster, &order.tag.id).await?.len() == 1);
    ensure!(world.faults().struck().contains(&Op::List), "{:?}", world.faults().struck());
    world.faults().once_each();
    let disk = disks.make(&taken, &wish(&cluster, 1, "")).await?;
    ensure!(world.faults().struck().contains(&Op::Make), "{:?}", world.faults().struck());
    world.faults().once_each();
    ensure!(disks.disk(&disk.handle).await?.is_some());
    world.faults().once_each();
    disks.remove(&disk.handle).await?;
    ensure!(world.faults().struck().contains(&Op::Remove), "{:?}", world.faults().struck());
    world.faults().once_each();
    driver.delete(&taken).await?;
    ensure!(world.faults().struck().contains(&Op::Delete), "{:?}", world.faults().struck());
    world.faults().end();
    ensure!(world.count(&cluster).await? == 0);
    ensure!(disks.disk(&disk.handle).await?.is_none());
    // The connection is cut before each is done: nothing is there twice or stays.
    for op in [Op::Create, Op::List, Op::Look, Op::Delete] {
        world.faults().plan(op, Fault::Cut, 1);
    }
    let taken = ready(&*driver, &take(&*driver, &order).await?).await?;
    ensure!(world.count(&cluster).await? == 1);
    driver.delete(&taken).await?;
    ensure!(world.count(&cluster).await? == 0);
    // Its answer is lost: deleted is deleted.
    let taken = take(&*driver, &Order { tag: Tag { index: 1, ..order.tag.clone() }, ..order }).await?;
    world.faults().plan(Op::Delete, Fault::Lost, 1);
    driver.delete(&taken).await?;
    ensure!(world.count(&cluster).await? == 0);
    world.faults().end();
    Ok(())
}

/// A cloud that wants fewer requests gets them, and one that never has enough is given up on.
pub async fn throttling_is_waited_for_within_bounds(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let first = order(&cluster, 1, 0, world.volume().await?);
    world.faults().plan(Op::Create, Fault::Throttled(None), 3);
    take(&*driver, &first).await?;
    ensure!(world.count(&cluster).await? == 1);
    let second = order(&cluster, 1, 1, world.volume().await?);
    let before = world.faults().asked(Op::Create);
    world.faults().plan(Op::Create, Fault::Throttled(None), 10_000);
    let begun = Instant::now();
    let error = take(&*driver, &second).await.err().context("it cannot be taken")?;
    is(&error, ErrorKind::Unavailable)?;
    let bound = world.limits().patience + world.limits().request;
    ensure!(begun.elapsed() < bound, "bounded: {:?}", begun.elapsed());
    ensure!(error.to_string().contains(&second.volume.title()) && error.to_string().contains("tries"), "{error}");
    let asked = world.faults().asked(Op::Create) - before;
    ensure!((3..40).contains(&asked), "the pauses grow: {asked} requests");
    world.faults().end();
    ensure!(world.count(&cluster).await? == 1);
    Ok(())
}

/// One volume's failure is its own, and says what it is.
pub async fn a_volume_that_is_gone_fails_alone(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let (gone, there) = (world.volume().await?, world.volume().await?);
    world.lose(&gone).await?;
    let orders = [order(&cluster, 1, 0, gone.clone()), order(&cluster, 1, 1, there)];
    let mut answers = driver.create(&orders).await;
    ensure!(answers.len() == 2);
    answers.pop().context("two")?.context("the one that is there")?;
    let error = answers.pop().context("two")?.err().context("it is gone")?;
    is(&error, ErrorKind::NotFound)?;
    ensure!(error.to_string().contains(&gone.title()), "{error}");
    ensure!(world.count(&cluster).await? == 1);
    Ok(())
}

/// Credentials that are refused, rights that are missing and a quota that is used up end at once with their remedy.
pub async fn refusals_name_their_remedy(world: &dyn World) -> Result<()> {
    let cluster = cluster();
    let order = order(&cluster, 1, 0, world.volume().await?);
    let stranger = world.stranger().await?;
    is(&take(&*stranger, &order).await.err().context("nobody knows it")?, ErrorKind::Denied)?;
    is(&stranger.all(&cluster).await.err().context("nobody knows it")?, ErrorKind::Denied)?;
    let driver = world.driver(false).await?;
    let before = world.faults().asked(Op::Create);
    for (fault, kind) in
        [(Fault::Unknown, ErrorKind::Denied), (Fault::Forbidden, ErrorKind::Denied), (Fault::Quota, ErrorKind::Refused)]
    {
        world.faults().plan(Op::Create, fault, 1);
        is(&take(&*driver, &order).await.err().context("it is refused")?, kind)?;
    }
    ensure!(world.faults().asked(Op::Create) - before == 3, "each was asked for once");
    ensure!(world.count(&cluster).await? == 0);
    take(&*driver, &order).await?;
    ensure!(world.count(&cluster).await? == 1);
    Ok(())
}

/// What does not bear this cluster and this point is not deleted, whatever a recovery point says.
pub async fn a_foreign_snapshot_is_not_deleted(world: &dyn World) -> Result<()> {
    let (driver, cluster, other) = (world.driver(false).await?, cluster(), cluster());
    let volume = world.volume().await?;
    let taken = take(&*driver, &order(&cluster, 1, 0, volume.clone())).await?;
    let foreign = Taken { handle: world.foreign(&volume).await?, ..taken.clone() };
    is(&driver.delete(&foreign).await.err().context("it is foreign")?, ErrorKind::Refused)?;
    ensure!(world.has(&foreign.handle).await?);
    // Another cluster's, and another point's.
    let theirs = take(&*driver, &order(&other, 1, 0, volume.clone())).await?;
    let claimed = Taken { tag: taken.tag.clone(), ..theirs.clone() };
    is(&driver.delete(&claimed).await.err().context("it is another cluster's")?, ErrorKind::Refused)?;
    let later = take(&*driver, &order(&cluster, 2, 0, volume)).await?;
    let claimed = Taken { tag: taken.tag.clone(), ..later };
    is(&driver.delete(&claimed).await.err().context("it is another point's")?, ErrorKind::Refused)?;
    ensure!(world.count(&cluster).await? == 2 && world.count(&other).await? == 1);
    ensure!(handles(&driver.all(&other).await?) == handles(&[theirs]));
    Ok(())
}

/// What is found is all, over pages.
pub async fn what_is_found_is_complete(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let mut orders = Vec::new();
    for index in 0..13 {
        orders.push(order(&cluster, index / 12, index, world.volume().await?));
    }
    let taken: Vec<Taken> = driver.create(&orders).await.into_iter().collect::<Result<_, _>>()?;
    let in_order = taken.iter().zip(&orders).all(|(taken, order)| taken.tag == order.tag);
    ensure!(in_order, "answers are in the order of the orders");
    let (before, found) = (world.faults().asked(Op::List), driver.find(&cluster, &id(&cluster, 0)).await?);
    ensure!(world.faults().asked(Op::List) - before >= 3, "12 do not fit on one page");
    ensure!(found.len() == 12 && handles(&found) == handles(&taken[..12]), "{} found", found.len());
    let indices: BTreeSet<u32> = found.iter().map(|taken| taken.tag.index).collect();
    ensure!(indices == (0..12).collect());
    ensure!(handles(&driver.all(&cluster).await?) == handles(&taken));
    Ok(())
}

fn wish(cluster: &str, number: u32, zone: &str) -> Wish {
    let token = format!("hindcast-restore-{}-{number}", id(cluster, 9));
    Wish { token, zone: zone.to_owned(), capacity: 0, ..Wish::default() }
}

/// Waits until a disk can be attached.
async fn attachable(driver: &dyn VolumeDriver, disk: &Disk) -> Result<Disk> {
    let disks = driver.disks().context("it makes disks")?;
    let mut ready = None;
    let look = async || {
        ready = disks.disk(&disk.handle).await?.filter(|disk| disk.ready);
        Ok(ready.is_some())
    };
    until(format!("{} can be attached", disk.handle), SOON, look).await?;
    ready.context("it was waited for")
}

/// Disks are made from a snapshot: where it was, elsewhere, larger, once for a token, and removed.
pub async fn disks_are_made_from_a_snapshot(world: &dyn World) -> Result<()> {
    let (driver, cluster) = (world.driver(false).await?, cluster());
    let volume = world.volume().await?;
    let taken = take(&*driver, &order(&cluster, 1, 0, volume.clone())).await?;
    let taken = ready(&*driver, &taken).await?;
    let disks = driver.disks().context("it makes disks")?;
    let first = disks.make(&taken, &wish(&cluster, 1, "")).await?;
    let again = disks.make(&taken, &wish(&cluster, 1, "")).await?;
    ensure!(again.handle == first.handle && world.disks_of(&taken.handle).await? == 1, "asked twice, made once");
    let first = attachable(&*driver, &first).await?;
    ensure!(Some(first.zone.as_str()) == volume.zone() && first.capacity == taken.size, "{first:?} of {volume:?}");
    // What it is called is what a volume's source names.
    let source = Volume { handle: first.handle.clone(), ..volume.clone() };
    ensure!(driver.takes(&source).is_ok(), "{:?}", driver.takes(&source));
    let elsewhere = world.other_zone();
    let larger = Wish { capacity: taken.size * 2, ..wish(&cluster, 2, &elsewhere) };
    let second = attachable(&*driver, &disks.make(&taken, &larger).await?).await?;
    ensure!(second.zone == elsewhere && second.capacity == taken.size * 2, "{second:?}");
    // The answer is lost: there is one more, not two.
    world.faults().plan(Op::Make, Fault::Lost, 1);
    let third = disks.make(&taken, &wish(&cluster, 3, "")).await?;
    ensure!(world.disks_of(&taken.handle).await? == 3, "{}", world.disks_of(&taken.handle).await?);
    for disk in [&first, &second, &third] {
        disks.remove(&disk.handle).await?;
        ensure!(disks.disk(&disk.handle).await?.is_none(), "{disk:?}");
        disks.remove(&disk.handle).await.context("removed twice")?;
    }
    ensure!(world.disks_of(&taken.handle).await? == 0);
    // A volume that no restore made stays.
    is(&disks.remove(&volume.handle).await.err().context("it is somebody's")?, ErrorKind::Refused)?;
    driver.delete(&taken).await?;
    ensure!(disks.make(&taken, &wish(&cluster, 4, "")).await.is_err_and(|error| error.kind() == ErrorKind::NotFound));
    Ok(())
}
