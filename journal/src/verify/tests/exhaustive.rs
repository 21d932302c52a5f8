//! Whatever is done to one file of a small journal, or to two, is found, and the file is named.
//!
//! The journal has every sort of file that a journal has, two epochs, two checkpoints, merged files of two levels, and a seal of it all
//! behind which nothing stands but the segment with the seal's own row. Of each file:
//! every byte is another; it is gone; it is cut to many lengths; it holds what any other file holds; it is exchanged with any other.
//! The end of the log is cut off at every segment.
//!
//! To look at a journal as a whole takes a few milliseconds, and these are nearly a hundred thousand bytes, most of them of Parquet files. So
//! with the whole journal every byte is tried of every file that is not one of those, and of those every [`STRIDE`]th, from another offset
//! in each, and some of the last [`FOOT`], in every bit, by which the rest of the file is read. All bytes of the Parquet files are tried
//! with what reads that one file.

use std::{collections::BTreeMap, sync::Mutex};

use super::*;
use crate::checkpoint::WholeCheckpoint;

/// Of Parquet files every so-manieth byte is tried with the whole journal.
const STRIDE: usize = 61;
/// How much of a file's end is tried bit by bit, and every how-manieth byte of that.
const FOOT: usize = 128;
const FOOT_STRIDE: usize = 11;
/// To every how-manieth length files are cut, Parquet files and others.
const CUTS: (usize, usize) = (211, 7);

type Files = BTreeMap<String, Bytes>;

/// The files of a journal, by their names below the cluster's folder.
async fn files(world: &World) -> Files {
    let mut files = Files::new();
    for listed in world.journal.store().list(world.journal.store().layout().root(), None).await.expect("lists") {
        let bytes = world.journal.store().get(&listed.path).await.expect("it is there");
        let name = listed.path.as_ref().strip_prefix("p/uid-1/").expect("it is below").to_owned();
        files.insert(name, bytes);
    }
    files
}

/// A journal of these files in a store of its own.
struct Copy {
    inner: Arc<InMemory>,
    journal: Journal,
    files: Files,
    asked: Asked,
}

impl Copy {
    async fn of(files: &Files, keys: &[Arc<Key>]) -> Self {
        let inner = Arc::new(InMemory::new());
        let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
        let asked = Asked { trust: Trust::new(keys, Vec::new()).expect("keys"), ..Default::default() };
        let copy = Self { inner, journal, files: files.clone(), asked };
        for (name, bytes) in files {
            copy.put(name, bytes.clone()).await;
        }
        copy
    }

    fn path(&self, name: &str) -> Path {
        self.journal.store().layout().named(name)
    }

    async fn put(&self, name: &str, bytes: Bytes) {
        self.inner.put(&self.path(name), bytes.into()).await.expect("puts");
    }

    async fn restore(&self, name: &str) {
        self.put(name, self.files[name].clone()).await;
    }

    async fn report(&self) -> Report {
        verify(&self.journal, &self.asked, &|_| {}).await.expect("the store answers")
    }

    /// Nothing but what is said of these files may pass.
    async fn must_name(&self, names: &[&str], done: &str) {
        let report = self.report().await;
        for name in names {
            let named = report.findings.iter().any(|finding| finding.file == *name);
            assert!(named, "{name} {done}: {:#?}", report.findings);
        }
    }

    /// With these bytes in the place of a file's own, it is named.
    async fn with(&self, name: &str, bytes: Bytes, done: &str) {
        self.put(name, bytes).await;
        self.must_name(&[name], done).await;
        self.restore(name).await;
    }

    /// What reads this one file refuses these bytes.
    async fn refused(&self, name: &str, bytes: Bytes) -> bool {
        self.put(name, bytes).await;
        let number = |name: &str| name.rsplit('/').next().and_then(|file| file.get(..20)?.parse::<u64>().ok());
        let refused = match (name.split('/').next(), number(name)) {
            (Some("wal"), Some(n)) => self.journal.segment(n).await.is_err(),
            (Some("checkpoints"), Some(pos)) => WholeCheckpoint::read(&self.journal, pos).await.is_err(),
            _ => {
                let (level, first, last) = crate::layout::Layout::numbers(name).expect("it is a merged file");
                Merged::read_named(&self.journal, level, first..=last).await.is_err()
            }
        };
        self.restore(name).await;
        refused
    }
}

/// Work that is done by two threads, each with a copy of the journal.
fn both<T: Send>(files: &Files, keys: &[Arc<Key>], work: Vec<T>, each: impl AsyncFn(&Copy, T) + Sync) {
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let copy = Copy::of(files, keys).await;
                    loop {
                        let next = work.lock().expect("no holder panics").pop();
                        let Some(next) = next else { return };
                        each(&copy, next).await;
                    }
                });
            });
        }
    });
}

fn is_parquet(name: &str) -> bool {
    name.ends_with(".parquet")
}

fn keys() -> Vec<Arc<Key>> {
    vec![key("one", 1)]
}

fn written() -> (Files, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::full(&keys()).await;
        let report = world.verify(&keys()).await;
        assert_eq!((found(&report), &report.unsealed.files), (vec![], &vec![]), "it is whole, and sealed");
        (files(&world).await, wal(world.writer.segment()))
    })
}

fn flipped(bytes: &Bytes, at: usize, bit: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << bit;
    bytes.into()
}

#[test]
fn every_byte_that_is_another_is_found() {
    let (files, _) = written();
    let mut work: Vec<(&str, usize, usize)> = Vec::new();
    for (offset, (name, bytes)) in files.iter().enumerate() {
        let step = if is_parquet(name) { STRIDE } else { 1 };
        work.extend((offset % step..bytes.len()).step_by(step).map(|at| (name.as_str(), at, at % 8)));
        if is_parquet(name) {
            let foot = (bytes.len() - FOOT..bytes.len()).step_by(FOOT_STRIDE);
            work.extend(foot.flat_map(|at| (0..8).map(move |bit| (name.as_str(), at, bit))));
        }
    }
    both(&files, &keys(), work, async |copy, (name, at, bit)| {
        let bytes = &copy.files[name];
        copy.with(name, flipped(bytes, at, bit), &format!("with another bit {bit} of byte {at} of {}", bytes.len()))
            .await;
    });
}

#[test]
fn every_byte_of_a_parquet_file_is_found_by_what_reads_it() {
    let (files, _) = written();
    let large = files.iter().filter(|(name, _)| is_parquet(name));
    let work: Vec<(&str, usize)> =
        large.flat_map(|(name, bytes)| (0..bytes.len()).map(|at| (name.as_str(), at))).collect();
    both(&files, &keys(), work, async |copy, (name, at)| {
        let bytes = flipped(&copy.files[name], at, at % 8);
        assert!(copy.refused(name, bytes).await, "{name} with another byte {at}");
    });
}

#[test]
fn every_file_that_is_cut_short_or_gone_is_found_but_for_what_is_behind_the_seal() {
    let (files, own) = written();
    let mut work: Vec<(&str, Option<usize>)> = Vec::new();
    for (name, bytes) in &files {
        let step = if is_parquet(name) { CUTS.0 } else { CUTS.1 };
        work.extend((0..bytes.len()).step_by(step).map(|length| (name.as_str(), Some(length))));
        work.push((name, Some(bytes.len() - 1)));
        work.push((name, None));
    }
    both(&files, &keys(), work, async |copy, (name, length)| match length {
        Some(length) => {
            copy.with(name, copy.files[name].slice(..length), &format!("cut to {length} bytes")).await;
        }
        None => {
            copy.inner.delete(&copy.path(name)).await.expect("it was there");
            if name == own {
                let report = copy.report().await;
                assert_eq!(found(&report), [], "nothing vouches for what is behind the seal");
                assert!(report.sealed.is_some_and(|sealed| sealed.checked && sealed.pos == report.last));
            } else {
                copy.must_name(&[name], "removed").await;
            }
            copy.restore(name).await;
        }
    });
}

#[test]
fn every_file_that_holds_what_another_holds_is_found() {
    let (files, _) = written();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let pairs: Vec<(&str, &str)> =
        names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other))).filter(|(a, b)| a != b).collect();
    both(&files, &keys(), pairs, async |copy, (one, other)| {
        copy.put(one, copy.files[other].clone()).await;
        copy.must_name(&[one], &format!("with what {other} holds")).await;
        if one < other {
            copy.put(other, copy.files[one].clone()).await;
            // What only the statement that was exchanged vouches for is unsealed without it, and said to be.
            let report = copy.report().await;
            let of_statement = [one, other].iter().any(|name| name.starts_with("meta/seal/"));
            for name in [one, other] {
                let named = report.findings.iter().any(|finding| finding.file == name);
                let unsealed = of_statement && report.unsealed.files.iter().any(|file| file == name);
                assert!(named || unsealed, "{name} exchanged: {:#?}", report.findings);
            }
            assert!(!report.findings.is_empty(), "{one} and {other} exchanged");
            copy.restore(other).await;
        }
        copy.restore(one).await;
    });
}

#[tokio::test]
async fn an_end_that_is_cut_off_is_found_up_to_the_seal_and_said_behind_it() {
    let keys = keys();
    let mut world = World::full(&keys).await;
    let sealed = world.writer.segment();
    for _ in 0..3 {
        world.put(&["a"]).await;
    }
    let last = world.writer.segment();
    let copy = Copy::of(&files(&world).await, &keys).await;
    for from in (1..=last).rev() {
        copy.inner.delete(&copy.path(&wal(from))).await.expect("it was there");
        let report = copy.report().await;
        if from >= sealed {
            assert_eq!(found(&report), [], "from segment {from} on");
            assert!(report.sealed.is_some_and(|sealed| sealed.checked), "what is sealed is said");
        } else {
            let named = report.findings.iter().any(|finding| finding.file == wal(from));
            assert!(named, "from segment {from} on: {:#?}", report.findings);
        }
    }
}

#[tokio::test]
async fn a_bucket_that_was_taken_back_altogether_is_found_by_who_kept_the_newest_seal() {
    let keys = keys();
    let mut world = World::new(&keys).await;
    world.put(&["a", "b"]).await;
    world.seal().await;
    let before = files(&world).await;
    world.put(&["a"]).await;
    world.seal().await;
    let newest = world.verify(&keys).await.sealed.expect("it is sealed");
    let mut copy = Copy::of(&before, &keys).await;
    assert_eq!(found(&copy.report().await), [], "by itself it is whole");
    copy.asked.known = Some((newest.pos, newest.chain));
    let report = copy.report().await;
    assert_eq!(found(&report), [(wal(report.segments.1 + 1).as_str(), Verdict::Missing)]);
}
