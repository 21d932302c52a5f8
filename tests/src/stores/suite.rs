//! What a journal asks of a store: each promise a function, and all of them in turn ([`all`]).
//!
//! A store is held to what it acknowledged: every promise ends by reading back what stands.

use std::{ops::Range, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hindcast_journal::{
    Change, Journal, Parts, Reader, Writer,
    cut::{At, MAIN},
    error::ErrorKind,
    facts::{self, Mark},
    layout::Layout,
    row::Op,
    segment::{FrontierPoint, FrontierVector},
    store::{Files, Put, Store},
    writer::Identity,
};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{Opened, World};

/// More names than a page has, in any store: most have a thousand in one.
const MANY: u64 = 1050;
/// How many requests are on their way at once.
const AT_ONCE: usize = 32;

/// The cluster whose journal is written.
pub const CLUSTER: &str = "7385aaaa-0000-4000-8000-00000000001d";

/// Every promise, in a folder of its own each.
pub async fn all(world: &World) -> Result<()> {
    let opened = world.open()?;
    one_of_many_creates_wins(&opened).await.context("one of many creates wins")?;
    what_is_written_is_read(&opened).await.context("what is written is read")?;
    any_name_comes_back(&opened).await.context("any name comes back")?;
    listings_are_whole_over_pages(&opened).await.context("listings are whole over pages")?;
    what_is_removed_is_gone(&opened).await.context("what is removed is gone")?;
    the_newest_fact_is_found(&opened).await.context("the newest fact is found")?;
    the_newest_writer_wins(&opened).await.context("the newest writer wins")?;
    Ok(())
}

/// The folder of one promise.
fn store((inner, prefix): &Opened, promise: &str) -> Store {
    Store::new(inner.clone(), Layout::new(prefix, promise), Parts::system())
}

/// Many create one name at once, in rounds: exactly one is told that it did, and its bytes stand.
pub async fn one_of_many_creates_wins(opened: &Opened) -> Result<()> {
    let store = store(opened, "creates");
    for round in 1..=8 {
        let path = store.layout().segment(round);
        let bytes = |who: usize| Bytes::from(format!("{who} was here").repeat(1 + who * 400));
        let creates = (0..8).map(|who| {
            let (store, path) = (&store, &path);
            // A store may say of a race that it does not know yet: then whoever asked asks again.
            async move {
                loop {
                    match store.create(path, bytes(who)).await {
                        Err(error) if error.kind() == ErrorKind::Unavailable => {}
                        said => return said,
                    }
                }
            }
        });
        let said = futures::future::try_join_all(creates).await?;
        let winners: Vec<usize> = (0..8).filter(|who| said[*who] == Put::Created).collect();
        let [winner] = winners.as_slice() else {
            anyhow::bail!("round {round}: {winners:?} were told that they created it")
        };
        ensure!(store.get(&path).await? == bytes(*winner), "round {round}: what {winner} wrote does not stand");
        ensure!(store.create(&path, bytes(9)).await? == Put::Exists, "round {round}: it is there");
        ensure!(store.get(&path).await? == bytes(*winner), "round {round}: it was overwritten");
    }
    store.probe().await?;
    store.probe().await.context("the second time it stands already")?;
    Ok(())
}

/// Whole objects and ranges of them, empty and large ones, and what is not there.
pub async fn what_is_written_is_read(opened: &Opened) -> Result<()> {
    let store = store(opened, "reads");
    let (empty, small, large) = (store.layout().segment(1), store.layout().segment(2), store.layout().segment(3));
    let pattern: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let contents =
        [(&empty, Bytes::new()), (&small, Bytes::from_static(b"0123456789")), (&large, Bytes::from(pattern))];
    for (path, bytes) in &contents {
        ensure!(!store.exists(path).await? && store.get_opt(path).await?.is_none(), "{path} is not there yet");
        ensure!(store.create(path, bytes.clone()).await? == Put::Created);
        ensure!(store.exists(path).await? && store.get(path).await? == *bytes, "{path} is as it was written");
        let head = opened.0.head(path).await?;
        ensure!(head.size == bytes.len() as u64 && head.location == **path, "{head:?}");
    }
    let range = async |path: &Path, range: Range<u64>| store.get_range(path, range).await;
    ensure!(range(&small, 3..7).await? == Bytes::from_static(b"3456"));
    ensure!(range(&small, 9..10).await? == Bytes::from_static(b"9"));
    let large_bytes = &contents[2].1;
    for (from, to) in [(0, 1), (1_000_000, 1_000_017), (2_999_999, 3_000_000), (5, 2_999_990)] {
        ensure!(range(&large, from..to).await? == large_bytes.slice(from as usize..to as usize), "{from}..{to}");
    }
    let missing = store.layout().segment(4);
    let error = store.get(&missing).await.err().context("it is not there")?;
    ensure!(error.kind() == ErrorKind::NotFound && error.to_string().contains(missing.as_ref()), "{error}");
    let error = range(&missing, 0..4).await.err().context("nor is a part of it")?;
    ensure!(error.kind() == ErrorKind::NotFound, "{error}");
    Ok(())
}

/// Names with every sign that some store, proxy or signature treats in its own way.
pub async fn any_name_comes_back(opened: &Opened) -> Result<()> {
    let files = Files::new(&store(opened, "names"));
    let names = ["plain", "a b", "a+b", "a=b&c", "100%", "%41", "ü-é-日本", "dot.", "~tilde", "quote'\"", "(x)!@$;,:"];
    for name in names {
        let bytes = Bytes::from(name.as_bytes());
        let create = files.create(&format!("odd/{name}"), bytes).await;
        ensure!(create.with_context(|| format!("{name:?} is created"))? == Put::Created, "{name:?}");
    }
    for name in names {
        let got = files.get(&format!("odd/{name}")).await.with_context(|| format!("{name:?} is read"))?;
        ensure!(got == name.as_bytes(), "{name:?} is {got:?}");
        ensure!(files.get_range(&format!("odd/{name}"), 0..1).await?.as_ref() == &name.as_bytes()[..1], "{name:?}");
    }
    let listed = files.list("odd").await?;
    let raw = |name: &str| object_store::path::PathPart::from(name).as_ref().to_owned();
    let mut wanted: Vec<String> = names.iter().map(|name| raw(name)).collect();
    let mut found: Vec<String> = listed.into_iter().map(|(name, _)| name).collect();
    wanted.sort();
    found.sort();
    ensure!(found == wanted, "{found:?} are not {wanted:?}");
    for name in names {
        files.remove(&format!("odd/{name}")).await.with_context(|| format!("{name:?} is removed"))?;
    }
    ensure!(files.list("odd").await?.is_empty());
    Ok(())
}

/// A listing has each name once, in order, from where it was asked to begin, over any number of pages, and none of a folder whose
/// name only begins alike.
pub async fn listings_are_whole_over_pages(opened: &Opened) -> Result<()> {
    let store = store(opened, "lists");
    let (fact, other) = ("counted", "counted-not");
    let create = async |path: Path| store.create(&path, Bytes::from_static(b"1")).await.map(|_| ());
    stream::iter((1..=MANY).map(|n| store.layout().meta(fact, n)).chain([store.layout().meta(other, 1)]))
        .map(create)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let folder = store.layout().metas(fact);
    for after in [0, 1, 400, 999, 1000, MANY - 1, MANY] {
        let from = (after > 0).then(|| store.layout().meta(fact, after));
        let listed = store.list(&folder, from.as_ref()).await?;
        let numbers: Vec<u64> = listed.iter().filter_map(|l| Layout::number(&l.path)).collect();
        ensure!(numbers == (after + 1..=MANY).collect::<Vec<_>>(), "after {after}: {} names", numbers.len());
        ensure!(listed.iter().all(|l| l.size == 1), "after {after}: sizes");
    }
    // A name that is not there to begin after.
    let between = folder.clone().join(format!("{:020}-", 1000));
    ensure!(store.list(&folder, Some(&between)).await?.len() as u64 == MANY - 1000);
    ensure!(store.list(&store.layout().metas("none"), None).await?.is_empty());
    let clusters = Journal::clusters(&*opened.0, &opened.1).await?;
    ensure!(clusters.iter().any(|name| name == "lists"), "{clusters:?}");
    Ok(())
}

/// What is removed is gone at once from every answer, and removing it again is no error.
pub async fn what_is_removed_is_gone(opened: &Opened) -> Result<()> {
    let files = Files::new(&store(opened, "removes"));
    for name in ["data/aa/one", "data/aa/two", "index/one"] {
        files.create(name, Bytes::from_static(b"x")).await?;
    }
    files.remove("data/aa/one").await?;
    files.remove("data/aa/one").await.context("a second time")?;
    ensure!(files.get_opt("data/aa/one").await?.is_none(), "it is read");
    ensure!(files.list("data").await? == [("two".to_owned(), 1)], "it is listed");
    ensure!(files.create("data/aa/one", Bytes::from_static(b"y")).await? == Put::Created, "its name is free again");
    ensure!(files.get("data/aa/one").await?.as_ref() == b"y", "what stood before is read");
    Ok(())
}

/// The newest of numbered facts, also where the oldest are gone.
pub async fn the_newest_fact_is_found(opened: &Opened) -> Result<()> {
    let store = store(opened, "facts");
    ensure!(store.newest_fact("alias").await?.is_none());
    for n in 1..=40_u64 {
        store.create(&store.layout().meta("alias", n), Bytes::from(n.to_string())).await?;
        if [1, 2, 3, 9, 40].contains(&n) {
            ensure!(store.newest_fact("alias").await? == Some((n, Bytes::from(n.to_string()))), "{n}");
        }
    }
    for n in 1..=30 {
        opened.0.delete(&store.layout().meta("alias", n)).await?;
    }
    ensure!(store.newest_fact("alias").await? == Some((40, Bytes::from_static(b"40"))), "the oldest are gone");
    Ok(())
}

/// Two writers: the newer one wins, the older one ends, and a reader reads what was committed and nothing else.
pub async fn the_newest_writer_wins(opened: &Opened) -> Result<()> {
    let journal = written(opened).await?;
    let mut older = claim(&journal, "b").await?;
    commit(&mut older, 3).await?;
    let mut newer = claim(&journal, "c").await?;
    ensure!(newer.epoch() > older.epoch());
    let error = commit(&mut older, 4).await.err().context("the older one goes on")?;
    let kind = error.downcast_ref::<hindcast_journal::Error>().map(hindcast_journal::Error::kind);
    ensure!(kind == Some(ErrorKind::Fenced), "{error:#}");
    commit(&mut newer, 5).await?;
    let numbers = journal.segments_after(0).await?;
    let segments: Vec<_> = journal.read(numbers).try_collect().await?;
    let revisions: Vec<u64> = segments.iter().flat_map(|s| s.rows.iter().map(|row| row.change.rv)).collect();
    ensure!(revisions == [1, 2, 3, 5], "{revisions:?}");
    let mut reader = Reader::open(&journal).await?;
    reader.at(&At::Now).await?;
    Ok(())
}

/// A small journal: two rows of one writer.
pub async fn written(opened: &Opened) -> Result<Journal> {
    written_with(opened, 2).await
}

/// A journal of one writer with so many rows, a segment each.
pub async fn written_with((inner, prefix): &Opened, rows: u64) -> Result<Journal> {
    let journal = Journal::open(Arc::clone(inner), prefix, CLUSTER, Parts::system());
    let mut writer = claim(&journal, "a").await?;
    for rv in 1..=rows {
        commit(&mut writer, rv).await?;
    }
    Ok(journal)
}

async fn claim(journal: &Journal, who: &str) -> Result<Writer> {
    let identity = Identity { writer: who.to_owned(), instance: who.to_owned() };
    Ok(Writer::claim(journal, identity, None).await?)
}

/// One row, closed.
async fn commit(writer: &mut Writer, rv: u64) -> Result<()> {
    let start = Mark::Start { writer: "w".into(), version: "1".into(), server: String::new(), secrets: "drop".into() };
    let mut row = Change::new(Op::Mark, MAIN, 0, rv);
    row.body = facts::body(&start)?;
    let time = 1_793_538_000_000_000 + rv as i64 * 1_000_000;
    (row.time_lo, row.time_hi) = (time, time);
    let point = FrontierPoint { incarnation: 0, rv, time };
    writer.stage(vec![row], FrontierVector::from([(MAIN.to_owned(), point)])).await?;
    writer.commit().await?;
    Ok(())
}
