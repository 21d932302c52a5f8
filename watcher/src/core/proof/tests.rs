use hindcast_cluster::lines::Event;
use hindcast_journal::Parts;

use super::*;
use crate::{
    Settings,
    core::{Healed, Verdict, tests::core_with},
    heal::{Recovered, Step},
    timekeeper::Span,
};

const KEY: &str = "/things";
const AT: Span = Span { lo: 1, hi: 1 };

/// A core that covers `/things` and `/others` from revision 10 on, with objects `a` and `b` of things at 5 and 6, and
/// whose buffer is empty.
fn covered() -> Core {
    let (mut core, _) = core_with(Parts::system(), Settings::default());
    for resource in ["things", "others"] {
        let domain = "main".to_owned();
        let (resource, kind) = (resource.to_owned(), "Thing".to_owned());
        core.describe(Discovery { version: "v1".to_owned(), resource, kind, domain, ..Discovery::default() });
    }
    core.begin_list("/others");
    core.end_list("/others", 10, AT);
    list(&mut core, &[("a", "u1", 5), ("b", "u2", 6)], 10);
    core.watching(KEY);
    rows(&mut core);
    core
}

fn object(name: &str, uid: &str, rv: Revision) -> Bytes {
    let metadata = format!(r#"{{"name":"{name}","uid":"{uid}","resourceVersion":"{rv}"}}"#);
    format!(r#"{{"apiVersion":"v1","kind":"Thing","metadata":{metadata}}}"#).into()
}

fn list(core: &mut Core, objects: &[(&str, &str, Revision)], at: Revision) {
    core.begin_list(KEY);
    for (name, uid, rv) in objects {
        let bytes = object(name, uid, *rv);
        let header = Header::of(&bytes);
        core.listed(KEY, &Sighting { header, bytes, source: Source::List, at: AT, live: false }, at);
    }
    core.end_list(KEY, at, AT);
}

fn bookmark(rv: Revision) -> Event {
    Event::Bookmark(format!(r#"{{"metadata":{{"resourceVersion":"{rv}"}}}}"#).into())
}

fn modified(name: &str, uid: &str, rv: Revision) -> Event {
    Event::Modified(object(name, uid, rv))
}

/// What is in the buffer, as `op rv`.
fn rows(core: &mut Core) -> Vec<String> {
    let batch = core.take();
    core.committed(1);
    batch.changes.iter().map(|change| format!("{} {}", change.op, change.rv)).collect()
}

fn page(objects: &[(&str, &str, Revision)]) -> Vec<Bytes> {
    objects.iter().map(|(name, uid, rv)| object(name, uid, *rv)).collect()
}

#[test]
fn what_changes_while_it_is_proven_is_no_difference() {
    let mut core = covered();
    assert!(core.begin_proof(KEY).is_some());
    // The list, at 14, shows `a` at 12, which has not been sent yet, `c`, which has, and not `b`, which was deleted at 13.
    core.event(KEY, &Event::Added(object("c", "u3", 11)), 0);
    assert!(core.prove_page(KEY, &page(&[("a", "u1", 12), ("c", "u3", 11)]), 14));
    core.event(KEY, &modified("a", "u1", 12), 0);
    assert_eq!(core.end_proof(KEY, 14), None, "it has been seen up to 12 only");
    core.event(KEY, &Event::Deleted(object("b", "u2", 13)), 0);
    // What comes behind the list is newer than it.
    core.event(KEY, &Event::Deleted(object("c", "u3", 15)), 0);
    core.event(KEY, &modified("a", "u1", 16), 0);
    core.event(KEY, &Event::Added(object("d", "u4", 17)), 0);
    assert_eq!(core.end_proof(KEY, 14), Some(Ended::Agrees(2)));
    assert_eq!(core.proving.proof.differences, 0);
}

#[test]
fn what_the_list_has_otherwise_ends_protection_and_is_recorded_by_the_next_list() {
    // Swallowed: a change of `a`, the delete of `b`, and that `c` came.
    let shown = [("a", "u1", 12), ("c", "u3", 13)];
    let mut core = covered();
    core.event(KEY, &bookmark(20), 0);
    core.begin_proof(KEY);
    assert!(core.prove_page(KEY, &page(&shown), 20));
    assert_eq!(core.end_proof(KEY, 20), Some(Ended::Differs(2)));
    assert_eq!(rows(&mut core), ["gap 20", "cover_end 20"]);
    let late = core.take_late();
    let spans: Vec<_> = late.iter().map(|late| (late.gap.from, late.gap.to, late.gap.grade)).collect();
    assert_eq!(spans, [(10, 21, Grade::Lost)]);
    assert_eq!(core.proving.proof.differences, 3);
    assert!(core.must_wait(KEY), "nothing was written since");
    core.event("/others", &bookmark(22), 0);
    assert!(!core.must_wait(KEY));
    // `d` is new, and stands at its own revision.
    list(&mut core, &[shown[0], shown[1], ("d", "u4", 21)], 22);
    let recorded = rows(&mut core);
    assert_eq!(recorded, ["reread 22", "reread 22", "add 21", "delete 22", "cover_begin 22"]);
    core.watching(KEY);
    core.begin_proof(KEY);
    assert!(core.prove_page(KEY, &page(&[shown[0], shown[1], ("d", "u4", 21)]), 22));
    assert_eq!(core.end_proof(KEY, 22), Some(Ended::Agrees(3)));
}

#[test]
fn another_object_of_the_same_name_is_found_behind_the_delete_of_the_one_before() {
    let mut core = covered();
    core.event(KEY, &bookmark(20), 0);
    core.begin_proof(KEY);
    core.prove_page(KEY, &page(&[("a", "u9", 15), ("b", "u2", 6)]), 20);
    assert_eq!(core.end_proof(KEY, 20), Some(Ended::Differs(2)));
    rows(&mut core);
    list(&mut core, &[("a", "u9", 15), ("b", "u2", 6)], 22);
    assert_eq!(rows(&mut core), ["delete 22", "reread 22", "cover_begin 22"]);
}

#[test]
fn an_event_behind_its_own_revision_and_one_without_its_predecessor_tell_the_same() {
    for event in [modified("a", "u1", 12), modified("x", "u7", 21)] {
        let mut core = covered();
        core.event(KEY, &bookmark(20), 0);
        assert_eq!(core.event(KEY, &event, 0), Verdict::Stop, "{event:?}");
        assert_eq!(rows(&mut core), ["gap 20", "cover_end 20"]);
    }
    let mut core = covered();
    core.event(KEY, &modified("a", "u1", 12), 0);
    assert_eq!(core.event(KEY, &modified("a", "u1", 12), 0), Verdict::Go, "seen before");
    assert_eq!(core.event(KEY, &modified("x", "u7", 12), 0), Verdict::Go, "nobody can tell");
}

#[test]
fn a_list_in_the_middle_ends_a_proof_and_nothing_follows() {
    let mut core = covered();
    core.begin_proof(KEY);
    core.begin_list(KEY);
    assert!(!core.prove_page(KEY, &page(&[]), 10));
    assert_eq!(core.end_proof(KEY, 10), Some(Ended::Left));
    assert_eq!(core.proving.proof.differences, 0);
}

#[test]
fn how_far_a_gap_reaches_back_moves_on_with_each_proof_and_is_a_row() {
    let mut core = covered();
    core.event(KEY, &bookmark(20), 0);
    core.event("/others", &bookmark(20), 0);
    core.begin_proof(KEY);
    core.prove_page(KEY, &page(&[("a", "u1", 5), ("b", "u2", 6)]), 18);
    assert_eq!(core.end_proof(KEY, 18), Some(Ended::Agrees(2)));
    core.demand();
    let batch = core.take();
    let mark = batch.changes.iter().find(|change| change.op == Op::Mark).expect("it is told");
    let Ok(Mark::Proven { kinds }) = facts::read(mark) else { panic!("{mark:?}") };
    let proven: Vec<_> = kinds.iter().map(|(key, proven)| (key.as_str(), proven.rv)).collect();
    assert_eq!((mark.rv, proven), (20, vec![("/others", 10), (KEY, 18)]));
    core.committed(1);
    core.event(KEY, &modified("x", "u7", 21), 0);
    assert_eq!(core.take_late().first().map(|late| late.gap.from), Some(18));
}

#[test]
fn what_was_recorded_of_an_interval_is_no_proof_and_what_was_compared_with_a_list_is() {
    for (compared, from) in [(false, 10), (true, 30)] {
        let mut core = covered();
        let healed = Healed {
            from: 10,
            to: 30,
            time_from: 1,
            time_to: 2,
            reason: "410".to_owned(),
            recovered: 0,
            unknown: Vec::new(),
            lost: false,
            compared,
        };
        core.healed(KEY, healed);
        core.event(KEY, &modified("x", "u7", 31), 0);
        assert_eq!(core.take_late().first().map(|late| (late.gap.from, late.gap.to)), Some((from, 31)));
    }
}

#[test]
fn what_a_healing_recorded_that_did_not_finish_is_no_difference_when_the_watch_tells_it() {
    let mut core = covered();
    let steps = vec![Step::Version { rv: 12, bytes: object("a", "u1", 12) }, Step::Delete { rv: 14 }];
    core.recovered(KEY, "a", Recovered { steps, complete: true }, 0);
    assert!(core.begin_proof(KEY).is_none(), "there is more to come");
    for event in [modified("a", "u1", 12), Event::Added(object("c", "u3", 13)), Event::Deleted(object("a", "u1", 14))] {
        assert_eq!(core.event(KEY, &event, 0), Verdict::Go, "{event:?}");
    }
    assert_eq!(rows(&mut core), ["modify 12", "delete 14", "add 13"]);
    assert!(core.begin_proof(KEY).is_some(), "all of it has come");
    assert_eq!(core.event(KEY, &modified("x", "u7", 15), 0), Verdict::Stop, "beyond it an add is missing");
}

#[test]
fn what_is_known_to_be_newer_than_the_list_takes_no_room() {
    let mut core = covered();
    core.begin_proof(KEY);
    core.event(KEY, &modified("a", "u1", 21), 0);
    core.prove_page(KEY, &page(&[("a", "u1", 5), ("b", "u2", 6)]), 20);
    let running = core.kinds.get(KEY).and_then(|kind| kind.proofs.running.as_ref()).expect("it runs");
    assert!(running.otherwise.is_empty(), "{:?}", running.otherwise);
    assert_eq!(core.end_proof(KEY, 20), Some(Ended::Agrees(2)));
}

#[test]
fn where_there_is_no_room_for_all_that_looked_otherwise_nothing_agrees() {
    let names: Vec<String> = (0..=OTHERWISE).map(|n| format!("n{n}")).collect();
    let shown: Vec<(&str, &str, Revision)> = names.iter().map(|name| (name.as_str(), "u", 15)).collect();
    for (settled, ended) in [(true, Ended::Full), (false, Ended::Differs(OTHERWISE as u64 + 1))] {
        let mut core = covered();
        core.event(KEY, &bookmark(20), 0);
        core.begin_proof(KEY);
        assert!(core.prove_page(KEY, &page(&shown), 20));
        let running = core.kinds.get_mut(KEY).and_then(|kind| kind.proofs.running.as_mut()).expect("it runs");
        assert!(running.full);
        if settled {
            // As if all of them had come meanwhile, but the one that found no room.
            running.otherwise.clear();
        }
        assert_eq!(core.end_proof(KEY, 20), Some(ended));
    }
}
