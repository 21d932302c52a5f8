//! What is signed, what is not, and what a ledger states of files.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};

use super::*;
use crate::{Journal, Parts, segment::FrontierPoint, store::Store};

fn key(name: &str, seed: u8) -> Arc<Key> {
    let created = String::new();
    Arc::new(Key { name: name.to_owned(), created, wrap: [seed; 32], hmac: [seed; 32], seal: [seed; 32] })
}

fn trust(keys: &[Arc<Key>]) -> Trust {
    Trust::new(keys, Vec::new()).expect("they are keys")
}

#[test]
fn a_seal_holds_by_its_own_key_alone_whichever_of_its_words_is_changed() {
    let (one, two) = (key("one", 1), key("two", 2));
    let chain = [7; 32];
    for statement in [None, Some((3, "ab".repeat(32)))] {
        let seal = Seal::sign(&one, "c", (5, &chain), 9, statement.clone()).expect("signs");
        let checked = |seal: &Seal, trust: &Trust| seal.checked("c", trust);
        // Older keys of a file check older seals.
        assert_eq!(checked(&seal, &trust(&[two.clone(), one.clone()])), Checked::Holds);
        assert_eq!(checked(&seal, &trust(std::slice::from_ref(&two))), Checked::Unknown);
        assert_eq!(checked(&seal, &Trust::default()), Checked::Unknown);
        let public = one.public().expect("it has one");
        assert_eq!(checked(&seal, &Trust::new(&[], vec![public]).expect("a key")), Checked::Holds);
        assert_eq!(public_key(&hex(&public)).expect("hex"), public);
        // Another key of that name.
        let other = trust(&[key("one", 2)]);
        let expected = if statement.is_some() { Checked::Unknown } else { Checked::Not };
        assert_eq!(checked(&seal, &other), expected, "a fingerprint tells keys of one name apart");
        assert_eq!(seal.checked("d", &trust(std::slice::from_ref(&one))), Checked::Not, "of another cluster");
        let own = trust(std::slice::from_ref(&one));
        let changed = [
            Seal { pos: 6, ..seal.clone() },
            Seal { chain: hex(&[8; 32]), ..seal.clone() },
            Seal { time: 10, ..seal.clone() },
            Seal { number: Some(4), sha256: Some("ab".repeat(32)), ..seal.clone() },
            Seal { signature: "00".repeat(64), ..seal.clone() },
            Seal { signature: "é".to_owned(), ..seal.clone() },
        ];
        for changed in changed {
            assert_eq!(checked(&changed, &own), Checked::Not, "{changed:?}");
        }
    }
}

#[test]
fn no_byte_of_a_statement_can_be_another() {
    let key = key("one", 1);
    let statement = Statement {
        cluster: "c".to_owned(),
        number: 1,
        pos: 5,
        chain: hex(&[7; 32]),
        time: 9,
        key: "one".to_owned(),
        print: key.fingerprint(),
        segments: Some(Stretch::before(4)),
        facts: BTreeMap::from([("manifest".to_owned(), 3)]),
        whole: true,
        files: BTreeMap::from([("keys/a".to_owned(), "cd".repeat(32))]),
        gone: vec!["points/x/begin".to_owned()],
    };
    let trust = trust(std::slice::from_ref(&key));
    let file = statement.to_file(&key).expect("is written");
    assert_eq!(Statement::read("f", "c", &file, &trust).expect("is read"), (statement, Checked::Holds));
    assert!(Statement::read("f", "d", &file, &trust).is_err(), "of another cluster");
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.to_vec();
            changed[at] ^= 1 << bit;
            let read = Statement::read("f", "c", &changed, &trust);
            // The last line end, and the case of a digit of the signature, say nothing.
            let signature = file.len() - 131..file.len() - 3;
            let same = at + 1 == file.len() || (bit == 5 && signature.contains(&at) && file[at].is_ascii_alphabetic());
            let holds = matches!(read, Ok((_, Checked::Holds)));
            assert!(!holds || same, "byte {at} bit {bit} of {}: {}", file.len(), String::from_utf8_lossy(&changed));
        }
        let read = Statement::read("f", "c", &file[..at], &trust);
        assert!(!matches!(read, Ok((_, Checked::Holds))) || at + 1 == file.len(), "{at} bytes");
    }
}

#[test]
fn a_stretch_changes_with_all_that_a_segment_says_beside_its_rows() {
    let meta = Meta {
        role: "segment".to_owned(),
        cluster: "c".to_owned(),
        writer: "w".to_owned(),
        epoch: 1,
        segment: 4,
        first: 7,
        last: 6,
        chain_before: [1; 32],
        chain_after: [2; 32],
        frontier: [("main".to_owned(), FrontierPoint { incarnation: 0, rv: 3, time: 4 })].into(),
        time: 5,
        extra: [("clock".to_owned(), "agreed".to_owned())].into(),
    };
    let of = |meta: &Meta| {
        let mut stretch = Stretch::before(4);
        stretch.push(meta);
        (stretch.from, stretch.to, stretch.hash)
    };
    let own = of(&meta);
    let point = |incarnation, rv, time| [("main".to_owned(), FrontierPoint { incarnation, rv, time })].into();
    let changed = [
        Meta { writer: "v".to_owned(), ..meta.clone() },
        Meta { epoch: 2, ..meta.clone() },
        Meta { time: 6, ..meta.clone() },
        Meta { frontier: point(1, 3, 4), ..meta.clone() },
        Meta { frontier: point(0, 4, 4), ..meta.clone() },
        Meta { frontier: point(0, 3, 5), ..meta.clone() },
        Meta { frontier: BTreeMap::new(), ..meta.clone() },
        Meta { extra: BTreeMap::new(), ..meta.clone() },
        Meta { chain_after: [3; 32], ..meta.clone() },
    ];
    for changed in changed {
        assert_ne!(of(&changed), own, "{changed:?}");
    }
}

async fn put(store: &Store, name: &str) {
    store.create(&store.layout().named(name), Bytes::from(name.to_owned())).await.expect("puts");
}

async fn state(store: &Store, key: &Arc<Key>, gathered: &Gathered) -> u64 {
    let number = gathered.newest + 1;
    let statement = Statement {
        cluster: "c".to_owned(),
        number,
        pos: 0,
        chain: String::new(),
        time: 0,
        key: key.name.clone(),
        print: key.fingerprint(),
        segments: None,
        facts: gathered.facts.clone(),
        whole: gathered.whole,
        files: gathered.files.clone(),
        gone: gathered.gone.clone(),
    };
    let file = statement.to_file(key).expect("is written");
    store.create(&store.layout().meta(SEAL, number), file).await.expect("puts");
    number
}

fn names(gathered: &Gathered) -> (bool, Vec<&str>, Vec<&str>) {
    let files = gathered.files.keys().map(String::as_str).collect();
    (gathered.whole, files, gathered.gone.iter().map(String::as_str).collect())
}

#[tokio::test]
async fn a_ledger_states_each_file_once_and_begins_anew_where_it_cannot_trust() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "c", Parts::system());
    let store = journal.store();
    let keys = [key("one", 1)];
    put(store, "keys/a").await;
    put(store, "points/x/begin").await;
    put(store, "points/x/point").await;
    let (mut ledger, gathered) = Ledger::default().gather(store, &keys).await.expect("gathers");
    assert_eq!(names(&gathered), (true, vec!["keys/a", "points/x/begin", "points/x/point"], vec![]));
    ledger.stated(state(store, &keys[0], &gathered).await);
    // Only what is new; a point that went as a whole is gone, and a file that went is not.
    put(store, "keys/b").await;
    for name in ["points/x/begin", "points/x/point", "keys/a"] {
        inner.delete(&store.layout().named(name)).await.expect("it was there");
    }
    let (mut ledger, gathered) = ledger.gather(store, &keys).await.expect("gathers");
    assert_eq!(names(&gathered), (false, vec!["keys/b"], vec!["points/x/begin", "points/x/point"]));
    ledger.stated(state(store, &keys[0], &gathered).await);
    // Another process knows as much.
    put(store, "meta/alias/00000000000000000001").await;
    let (_, gathered) = Ledger::default().gather(store, &keys).await.expect("gathers");
    assert_eq!(names(&gathered), (false, vec!["meta/alias/00000000000000000001"], vec![]));
    // One whose key is another states all there is.
    let others = [key("two", 2)];
    let (_, gathered) = Ledger::default().gather(store, &others).await.expect("gathers");
    let all = vec!["keys/b", "meta/alias/00000000000000000001"];
    assert_eq!((names(&gathered), gathered.newest), ((true, all, vec![]), 2));
    // Once a fact is stated only later ones are looked for.
    assert_eq!(gathered.facts, BTreeMap::from([("alias".to_owned(), 1)]));
    // What this one knew still counts with it, and a statement of another's key between makes it begin anew.
    state(store, &others[0], &gathered).await;
    let (_, gathered) = ledger.gather(store, &keys).await.expect("gathers");
    assert!(gathered.whole && gathered.newest == 3, "{gathered:?}");
}

#[tokio::test]
async fn every_file_is_named_again_now_and_then() {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "c", Parts::system());
    let (store, keys) = (journal.store(), [key("one", 1)]);
    put(store, "keys/a").await;
    let (mut ledger, mut wholes) = (Ledger::default(), Vec::new());
    for n in 0..130 {
        let (next, gathered) = ledger.gather(store, &keys).await.expect("gathers");
        ledger = next;
        assert_eq!(gathered.files.len(), usize::from(gathered.whole), "{n}");
        if gathered.whole {
            wholes.push(n);
        }
        ledger.stated(state(store, &keys[0], &gathered).await);
    }
    assert_eq!(wholes, [0, 64, 128]);
}
