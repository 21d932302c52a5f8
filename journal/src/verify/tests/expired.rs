//! What has expired need not be there, and nothing else is excused by it.

use std::time::Duration;

use super::*;
use crate::{
    expiry::{self, Decision, Exactly, Kept, Statement},
    level::HIGHEST,
};

/// A journal of three days and a bit, of which the first two days have expired but for one cut, and are gone.
async fn expired(keys: &[Arc<Key>], signs: Option<&Key>) -> (World, Statement) {
    let mut world = World::new(keys).await;
    for _ in 0..4 {
        world.put(&["a", "b"]).await;
        world.put(&["a", "c"]).await;
        world.checkpoint().await;
        world.seal().await;
    }
    world.merge(HIGHEST, 1..=4).await;
    world.merge(HIGHEST, 5..=7).await;
    world.merge(HIGHEST, 8..=10).await;
    let live = Manifest::read(&world.journal).await.expect("reads").checkpoints;
    let base = live.iter().find(|checkpoint| checkpoint.fold_from_segment >= 8).expect("there is one");
    let mut reader = Reader::open(&world.journal).await.expect("opens");
    let at = crate::cut::At::Time(12_500);
    let (checkpoint, uncertain) = reader.write_cut(&at, ("w", 1)).await.expect("reads").expect("is closed");
    let exactly = vec![Exactly { time: 12_500, uncertain }];
    let kept = vec![Kept { checkpoint, exactly, revision: false, why: vec!["hourly".to_owned()] }];
    let base = Kept { checkpoint: base.clone(), exactly: Vec::new(), revision: false, why: vec!["base".to_owned()] };
    let decision = Decision { segment: 8, base, kept, behind: 0 };
    let statement = expiry::decide(&world.journal, decision, signs).await.expect("decides").expect("it is first");
    (world, statement)
}

async fn gone(world: &World) {
    expiry::sweep(&world.journal, Duration::ZERO, true).await.expect("removes");
}

fn statement() -> String {
    format!("meta/expiry/{:020}", 1)
}

#[tokio::test]
async fn what_a_signed_statement_lets_go_is_excused_and_nothing_else() {
    let keys = [key("one", 1)];
    let (mut world, said) = expired(&keys, Some(&keys[0])).await;
    let report = world.verify(&keys).await;
    assert_eq!((found(&report), &report.unproven), (vec![], &vec![]), "also before anything is gone");
    let left = report.expired.expect("it is told").left;
    gone(&world).await;
    let report = world.verify(&keys).await;
    assert_eq!((found(&report), &report.unproven), (vec![], &vec![]));
    assert_eq!(report.segments.0, 8);
    let expired = report.expired.expect("it is told");
    assert_eq!((expired.kept, expired.left, expired.checked, expired.pos), (2, 0, true, said.to.pos));
    assert_eq!(left, 7 + 2 + 2, "segments, days and checkpoints");
    // It goes on, and is sealed.
    world.put(&["b"]).await;
    world.seal().await;
    assert_eq!(found(&world.verify(&keys).await), []);

    let layout = world.journal.store().layout().clone();
    let kept = said.kept[0].checkpoint.pos;
    let names = [
        statement(),
        wal(11),
        layout.merged(HIGHEST, 8, 10).as_ref().trim_start_matches("p/uid-1/").to_owned(),
        format!("checkpoints/{kept:020}.parquet"),
        format!("checkpoints/{:020}.parquet", said.base),
    ];
    for name in names {
        let path = layout.named(&name);
        let whole = world.journal.store().get(&path).await.expect("it is there");
        world.inner.delete(&path).await.expect("it was there");
        let report = world.verify(&keys).await;
        let missing = found(&report).contains(&(name.as_str(), Verdict::Missing));
        assert!(missing, "{name} is gone: {report:#?}");
        for at in (0..whole.len()).step_by(whole.len() / 7) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 4;
            world.overwrite(&path, bytes.into()).await;
            let report = world.verify(&keys).await;
            assert!(report.findings.iter().any(|f| f.file == name), "byte {at} of {name} is another: {report:#?}");
        }
        world.overwrite(&path, whole).await;
    }
    assert_eq!(found(&world.verify(&keys).await), []);
}

#[tokio::test]
async fn without_a_statement_what_is_gone_is_missing() {
    let keys = [key("one", 1)];
    let (world, _) = expired(&keys, Some(&keys[0])).await;
    gone(&world).await;
    // Whoever removes the statement and the manifest that names it only makes everything missing.
    world.inner.delete(&world.journal.store().layout().named(&statement())).await.expect("it is there");
    let manifest = Manifest::read(&world.journal).await.expect("reads").number;
    world.inner.delete(&world.journal.store().layout().meta("manifest", manifest)).await.expect("it is there");
    let report = world.verify(&keys).await;
    let missing: Vec<_> = report.findings.iter().filter(|finding| finding.verdict == Verdict::Missing).collect();
    assert!(missing.len() >= 4, "two days, two checkpoints: {report:#?}");
}

#[tokio::test]
async fn a_statement_of_nobody_counts_where_nothing_can_be_checked() {
    let keys = [key("one", 1)];
    let (world, said) = expired(&keys, None).await;
    gone(&world).await;
    let report = world.verify(&[]).await;
    assert_eq!(found(&report), []);
    let expired = report.expired.expect("it is told");
    assert_eq!((expired.checked, expired.key), (false, None));
    // With a key at hand it excuses nothing.
    let report = world.verify(&keys).await;
    assert!(found(&report).contains(&(statement().as_str(), Verdict::Foreign)), "{report:#?}");
    assert!(report.findings.iter().any(|finding| finding.file.starts_with("log/3/")), "{report:#?}");
    // So it is decided anew with the key.
    let kept = said.kept[..said.kept.len() - 1].to_vec();
    let base = said.base().expect("it has one").clone();
    let again = Decision { segment: 8, base, kept, behind: 1 };
    expiry::decide(&world.journal, again, Some(&keys[0])).await.expect("decides").expect("it is first");
    let report = world.verify(&keys).await;
    assert_eq!(found(&report), [], "the later one stands in for it");
    assert!(report.expired.is_some_and(|expired| expired.checked && expired.number == 2));
    // Somebody else's is forged.
    let (world, _) = expired_by(&keys, &key("one", 7)).await;
    let report = world.verify(&keys).await;
    assert!(report.findings.iter().any(|finding| finding.file == statement()), "{report:#?}");
}

/// The same, decided by somebody with another key of any name.
async fn expired_by(keys: &[Arc<Key>], other: &Key) -> (World, Statement) {
    expired(keys, Some(other)).await
}
