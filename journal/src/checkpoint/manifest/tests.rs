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
