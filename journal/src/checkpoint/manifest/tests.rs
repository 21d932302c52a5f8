mod stale;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use object_store::{ObjectStore, memory::InMemory, path::Path};
use serde_json::json;

use super::*;
use crate::Parts;

fn checkpoint(pos: u64) -> Checkpoint {
    serde_json::from_value(json!({
        "pos": pos, "segment": pos, "fold_from": pos + 1, "fold_from_segment": pos, "objects": 9, "bytes": 1_000_000,
        "footer": [5000, "a".repeat(64)],
        "domains": {"main": {"incarnation": 0, "rv": pos * 10, "hi": pos as i64 * 1_000_000}},
    }))
    .expect("a checkpoint")
}

fn journal(store: &Arc<InMemory>) -> Journal {
    Journal::open(store.clone() as Arc<dyn ObjectStore>, &Path::from("p"), "uid", Parts::system())
}

async fn size(journal: &Journal, number: u64) -> usize {
    journal.store().get(&journal.store().layout().meta("manifest", number)).await.expect("is there").len()
}

#[tokio::test]
async fn a_manifest_stays_small_and_finds_every_checkpoint_there_ever_was() {
    let store = Arc::new(InMemory::new());
    let journal = journal(&store);
    let count = 2000;
    for n in 1..=count {
        Manifest::add(&journal, checkpoint(n * 10)).await.expect("is added");
    }
    // What the first 200 take, all of them together are bounded by: no manifest repeats the ones before.
    assert!(size(&journal, count).await < 2 * size(&journal, 100).await, "{}", size(&journal, count).await);
    let manifest = Manifest::read(&journal).await.expect("is read");
    assert_eq!((manifest.count(), manifest.number), (count, count));
    assert!(manifest.checkpoints.len() >= MOST / 2);
    for n in 1..=count {
        let asked = AtomicU64::new(0);
        let fits = |c: &Checkpoint| {
            asked.fetch_add(1, Ordering::Relaxed);
            c.pos < n * 10 + 5
        };
        let found = manifest.newest(&journal, fits).await.expect("is found");
        assert_eq!(found.map(|c| c.pos), Some(n * 10));
        // A page is at most MOST questions and two about pages; the way to one of 31 is short.
        assert!(asked.load(Ordering::Relaxed) < 12 * MOST as u64, "{n}: {asked:?}");
    }
    assert_eq!(manifest.newest(&journal, |c| c.pos < 10).await.expect("is looked for"), None);
}

fn merged(level: u8, first: u64, last: u64) -> Merged {
    Merged { level, first, last, rows: (first, last), made: (0, 0), bytes: 1000, footer: None, weight: 1000 }
}

/// A day of merging beside checkpoints, whatever pages turn meanwhile: how far it has come is never forgotten, what is in no
/// higher file yet stays named, and all of it is found again.
#[tokio::test]
async fn pages_turn_and_nothing_that_was_merged_is_forgotten() {
    let store = Arc::new(InMemory::new());
    let journal = journal(&store);
    let add = async |level, first, last| {
        assert!(Manifest::add_merged(&journal, merged(level, first, last)).await.expect("is written"));
    };
    // Three days of 240 segments each, merged by ten, by sixty, and by day; a checkpoint at every segment.
    for segment in 1..=720_u64 {
        Manifest::add(&journal, checkpoint(segment)).await.expect("is added");
        for (level, length) in [(1, 10), (2, 60), (3, 240)] {
            if segment % length == 0 {
                add(level, segment + 1 - length, segment).await;
            }
        }
        let manifest = Manifest::read(&journal).await.expect("is read");
        let up_to = manifest.merged_up_to(&journal).await.expect("is known");
        assert_eq!(up_to, (segment >= 240).then_some(segment / 240 * 240), "at {segment}");
        // From there on the manifest alone has all that is merged, without a hole.
        let begin = up_to.unwrap_or(0) + 1;
        let covered: u64 = manifest.merged.iter().filter(|m| m.first >= begin).map(|m| m.last - m.first + 1).sum();
        assert_eq!(covered, segment / 10 * 10 - (begin - 1), "at {segment}");
        assert!(manifest.merged.len() < 16, "at {segment}: {}", manifest.merged.len());
    }
    let manifest = Manifest::read(&journal).await.expect("is read");
    let all = manifest.merged_from(&journal, 1, true).await.expect("reads");
    let mut next = 1;
    for found in &all {
        assert_eq!(found.first, next, "{all:?}");
        next = found.last + 1;
    }
    assert_eq!(next, 721);
    // An earlier version leaves merged files out of what it writes.
    let without = Manifest { merged: Vec::new(), ..manifest.clone() };
    assert_eq!(without.write(&journal, manifest.number + 1).await.expect("is written"), Put::Created);
    let newest = Manifest::read(&journal).await.expect("is read");
    assert!(newest.merged.is_empty());
    assert!(newest.merged_up_to(&journal).await.expect("is known").is_some_and(|last| last >= 240), "its pages say so");
}

/// What cannot be is left out, and takes nothing along.
#[tokio::test]
async fn merged_files_that_cannot_be_are_left_out() {
    let entry = |level: u8, first: u64, last: u64| json!(merged(level, first, last));
    let all =
        [entry(1, 1, 9), entry(1, 5, 12), entry(9, 10, 12), entry(1, 20, 15), entry(2, 10, 30), entry(1, 31, u64::MAX)];
    let text = json!({"checkpoints": [checkpoint(1)], "merged": all}).to_string();
    let manifest = Manifest::parse(1, text.as_bytes()).expect("the rest is whole");
    assert_eq!(manifest.merged.iter().map(|m| (m.first, m.last)).collect::<Vec<_>>(), [(1, 9), (10, 30)]);
}

#[tokio::test]
async fn a_manifest_of_the_first_format_is_read_and_continued() {
    let store = Arc::new(InMemory::new());
    let journal = journal(&store);
    let all: Vec<Checkpoint> = (1..=500).map(checkpoint).collect();
    let old = json!({ "checkpoints": all }).to_string();
    journal.store().create(&journal.store().layout().meta("manifest", 1), Bytes::from(old)).await.expect("is written");
    Manifest::add(&journal, checkpoint(501)).await.expect("is added");
    Manifest::add(&journal, checkpoint(501)).await.expect("is there already");
    let manifest = Manifest::read(&journal).await.expect("is read");
    assert_eq!((manifest.count(), manifest.number), (501, 2));
    assert!(manifest.checkpoints.len() <= MOST);
    for pos in [1, 250, 437, 438, 500, 501] {
        let found = manifest.newest(&journal, |c| c.pos <= pos).await.expect("is found");
        assert_eq!(found.map(|c| c.pos), Some(pos));
    }
}

#[test]
fn a_checkpoint_of_an_earlier_version_holds_what_the_one_before_held() {
    let of = |pos: u64, domains: serde_json::Value| {
        let mut checkpoint = serde_json::to_value(checkpoint(pos)).expect("json");
        checkpoint["domains"] = domains;
        checkpoint
    };
    let point = |rv: u64| json!({"incarnation": 0, "rv": rv, "hi": rv});
    let told = |rv: u64| json!({"incarnation": 0, "rv": rv, "hi": rv, "row": [0, rv]});
    let all = json!({"checkpoints": [
        of(10, json!({"main": point(10), "api": point(5)})),
        of(20, json!({"main": point(20)})),
        of(30, json!({"main": point(30), "events": point(7)})),
        of(40, json!({"main": told(40), "api": told(6)})),
        of(50, json!({"main": told(50)})),
    ]});
    let manifest = Manifest::parse(1, all.to_string().as_bytes()).expect("is read");
    let cuts: Vec<Vec<(String, u64)>> = manifest
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.cut().domains.into_iter().map(|(domain, point)| (domain, point.rv)).collect())
        .collect();
    let cut =
        |points: &[(&str, u64)]| points.iter().map(|(domain, rv)| ((*domain).to_owned(), *rv)).collect::<Vec<_>>();
    assert_eq!(
        cuts,
        [
            cut(&[("api", 5), ("main", 10)]),
            cut(&[("api", 5), ("main", 20)]),
            cut(&[("api", 5), ("events", 7), ("main", 30)]),
            cut(&[("api", 6), ("main", 40)]),
            cut(&[("main", 50)]),
        ],
        "what this version writes says itself what it holds"
    );
}
