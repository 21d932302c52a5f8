use hindcast_cluster::{header::Header, lines::Event};
use hindcast_journal::{row::Body, seal::Secrets};

use super::*;
use crate::heal::{Recovered, Step};

#[derive(Debug, Default)]
struct Hand(std::sync::atomic::AtomicI64);

impl Hand {
    fn set(&self, time: Micros) {
        self.0.store(time, std::sync::atomic::Ordering::Relaxed);
    }
}

impl hindcast_journal::parts::Clock for Hand {
    fn now(&self) -> Micros {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.now() as u64)
    }

    fn sleep(&self, _: Duration) -> hindcast_journal::parts::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn core() -> (Core, mpsc::UnboundedReceiver<Hint>) {
    core_at(Parts::system())
}

/// A core whose clock stands at 100 s until it is set.
fn core_by_hand() -> (Core, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.set(100_000_000);
    let (core, _) = core_at(Parts { clock: clock.clone(), ..Parts::system() });
    (core, clock)
}

fn core_at(parts: Parts) -> (Core, mpsc::UnboundedReceiver<Hint>) {
    core_with(parts, Settings { segment_rows: 100, prove_every: None, ..Settings::default() })
}

pub(crate) fn core_with(parts: Parts, settings: Settings) -> (Core, mpsc::UnboundedReceiver<Hint>) {
    let (hints, receiver) = mpsc::unbounded_channel();
    let core = Core::new(
        parts,
        Arc::new(settings),
        Metrics::default(),
        Encoder::new(Secrets::Dropped),
        hints,
        Arc::new(Notify::new()),
    );
    (core, receiver)
}

fn kind(resource: &str) -> Discovery {
    Discovery {
        version: "v1".into(),
        resource: resource.into(),
        kind: "Thing".into(),
        namespaced: true,
        domain: "main".into(),
        ..Discovery::default()
    }
}

/// A core that covers `/things` from revision 10 on, with object `a` at 5, and whose buffer is empty.
fn covered() -> Core {
    let (mut core, _) = core();
    core.describe(kind("things"));
    core.begin_list("/things");
    core.listed("/things", &sighting("a", "u1", 5, 1), 10);
    core.end_list("/things", 10, Span { lo: 1, hi: 1 });
    drain(&mut core);
    core
}

fn object(name: &str, uid: &str, rv: Revision, n: u64) -> bytes::Bytes {
    format!(
        r#"{{"apiVersion":"v1","kind":"Thing","metadata":{{"name":"{name}","namespace":"ns","uid":"{uid}","resourceVersion":"{rv}"}},"n":{n}}}"#
    )
    .into()
}

fn sighting(name: &str, uid: &str, rv: Revision, n: u64) -> Sighting {
    let bytes = object(name, uid, rv, n);
    let header = Header::of(&bytes);
    Sighting { header, bytes, source: Source::List, at: Span { lo: 1, hi: 1 }, live: false }
}

fn bookmark(rv: Revision) -> Event {
    Event::Bookmark(format!(r#"{{"metadata":{{"resourceVersion":"{rv}"}}}}"#).into())
}

/// An answer without a date, under way between two moments.
fn when(began: i64, ended: i64) -> When {
    let moment = |micros: i64| Duration::from_micros(micros as u64);
    When { began: moment(began), answered: moment(ended), ended: moment(ended), date: None }
}

/// What is in the buffer, as `op rv`, and the frontier's revision.
fn drain(core: &mut Core) -> (Vec<String>, Revision) {
    let batch = core.take();
    core.committed(1);
    let rows = batch.changes.iter().map(|c| format!("{} {}", c.op, c.rv)).collect();
    (rows, batch.frontier.get("main").map_or(0, |p| p.rv))
}

#[test]
fn each_event_becomes_one_row_and_none_twice() {
    let mut core = covered();
    let events = [
        Event::Modified(object("a", "u1", 11, 2)),
        Event::Added(object("b", "u2", 12, 1)),
        Event::Deleted(object("a", "u1", 13, 2)),
    ];
    for event in events.iter().chain(&events) {
        assert_eq!(core.event("/things", event, 0), Verdict::Go);
    }
    assert_eq!(drain(&mut core), (vec!["modify 11".into(), "add 12".into(), "delete 13".into()], 13));
    assert_eq!(core.metrics.duplicates.get(), 3);
    assert_eq!(core.event("/things", &bookmark(20), 0), Verdict::Go);
    core.demand();
    assert_eq!(drain(&mut core), (vec!["frontier 20".into()], 20));
}

#[test]
fn deletes_that_share_a_revision_are_all_recorded() {
    let mut core = covered();
    for (name, rv) in [("b", 11), ("c", 12), ("d", 13)] {
        core.event("/things", &Event::Added(object(name, name, rv, 1)), 0);
    }
    // Events that expire together are deleted by one transaction.
    for name in ["b", "c", "c"] {
        assert_eq!(core.event("/things", &Event::Deleted(object(name, name, 20, 1)), 0), Verdict::Go);
    }
    let (rows, closed) = drain(&mut core);
    assert_eq!(rows, ["add 11", "add 12", "add 13", "delete 20", "delete 20"]);
    assert_eq!((closed, core.metrics.duplicates.get()), (20, 1));
    // What comes behind a bookmark of its revision is no part of a transaction that was being told.
    core.event("/things", &bookmark(30), 0);
    core.event("/things", &Event::Deleted(object("d", "d", 30, 1)), 0);
    assert_eq!(drain(&mut core).0, [] as [&str; 0]);
}

#[test]
fn deletes_that_share_a_revision_are_recorded_by_whoever_takes_over_in_the_middle_of_them() {
    let mut core = covered();
    core.event("/things", &Event::Added(object("b", "u2", 11, 1)), 0);
    core.event("/things", &Event::Added(object("c", "u3", 12, 1)), 0);
    drain(&mut core);
    // The delete of another is committed, so that the cursor stands there.
    core.held_up_to("/things", 20, Duration::ZERO);
    let held = |core: &mut Core, name: &str, uid: &str| {
        core.held("/things", &Event::Deleted(object(name, uid, 20, 1)), Duration::ZERO)
    };
    assert_eq!(held(&mut core, "z", "u9"), Verdict::Go, "the committed one");
    assert_eq!(held(&mut core, "b", "u2"), Verdict::Go);
    assert_eq!(held(&mut core, "c", "u8"), Verdict::Go, "another of the name");
    assert_eq!(drain(&mut core).0, ["delete 20"]);
}

#[test]
fn a_broken_predecessor_is_noticed_and_nothing_is_recorded() {
    let mut core = covered();
    let broken = [
        Event::Modified(object("b", "u2", 11, 1)),
        Event::Deleted(object("b", "u2", 11, 1)),
        Event::Added(object("a", "u9", 11, 1)),
        Event::Modified(object("a", "u9", 11, 1)),
    ];
    for event in broken {
        assert!(matches!(core.event("/things", &event, 0), Verdict::Broken(_)), "{event:?}");
    }
    assert_eq!(core.event("/things", &Event::Added("{}".into()), 0), Verdict::Opaque);
    assert_eq!(drain(&mut core), (vec![], 10));
}

#[test]
fn the_frontier_is_the_least_cursor_of_covered_kinds() {
    let mut core = covered();
    core.describe(kind("others"));
    core.begin_list("/others");
    core.end_list("/others", 30, Span { lo: 1, hi: 1 });
    assert_eq!(drain(&mut core).1, 10);
    core.event("/things", &bookmark(40), 0);
    assert_eq!(core.frontier().get("main").map(|p| p.rv), Some(30));
    core.uncover("/others", Uncovered::Forbidden, "no");
    core.uncover("/others", Uncovered::Forbidden, "still no");
    assert_eq!(core.frontier().get("main").map(|p| p.rv), Some(40));
    assert_eq!(drain(&mut core).0, ["cover_end 30"]);
    assert_eq!(core.event("/others", &bookmark(50), 0), Verdict::Stop);
}

#[test]
fn a_full_blocks_frontier_covers_only_what_is_in_it() {
    let mut core = covered();
    for rv in 11..=160 {
        core.event("/things", &Event::Modified(object("a", "u1", rv, rv)), 0);
    }
    let (rows, frontier) = drain(&mut core);
    assert_eq!((rows.len(), rows.last().map(String::as_str)), (100, Some("modify 110")));
    assert!(frontier <= 110, "{frontier}");
    assert_eq!(drain(&mut core).1, 160);
}

#[test]
fn a_list_records_what_differs_what_is_gone_and_what_reads_differently() {
    let mut core = covered();
    core.uncover("/things", Uncovered::ApiDown, "");
    drain(&mut core);
    core.begin_list("/things");
    core.listed("/things", &sighting("a", "u1", 5, 99), 20);
    core.listed("/things", &sighting("b", "u2", 15, 1), 20);
    core.end_list("/things", 20, Span { lo: 1, hi: 1 });
    assert_eq!(drain(&mut core).0, ["reread 20", "add 15", "cover_begin 20"]);
    core.uncover("/things", Uncovered::ApiDown, "");
    drain(&mut core);
    core.begin_list("/things");
    core.listed("/things", &sighting("b", "u3", 25, 1), 30);
    core.end_list("/things", 30, Span { lo: 1, hi: 1 });
    assert_eq!(drain(&mut core).0, ["delete 24", "add 25", "delete 30", "cover_begin 30"]);
}

#[test]
fn recovered_versions_older_than_the_kinds_definition_are_marked() {
    let mut core = covered();
    let version = |rv| Step::Version { rv, bytes: object("a", "u1", rv, rv) };
    let steps = vec![version(12), version(15), version(16)];
    core.recovered("/things", "ns/a", Recovered { steps, complete: true }, 15);
    let sources: Vec<_> = core.take().changes.iter().map(|c| (c.rv, c.source)).collect();
    assert_eq!(sources, [(12, Source::HealedLater), (15, Source::Healed), (16, Source::Healed)]);
}

#[test]
fn recovered_versions_are_patches_on_one_another_and_the_cursor_waits_for_the_gap() {
    let mut core = covered();
    let steps = vec![
        Step::Version { rv: 12, bytes: object("a", "u1", 12, 2) },
        Step::Delete { rv: 14 },
        Step::Version { rv: 16, bytes: object("a", "u7", 16, 3) },
    ];
    let recovered = Recovered { steps, complete: true };
    assert_eq!(core.recovered("/things", "ns/a", recovered.clone(), 0), 3);
    // Once more, as after a heal that broke half-way.
    assert_eq!(core.recovered("/things", "ns/a", recovered, 0), 0);
    let batch = core.take();
    let shapes: Vec<(Op, bool)> = batch.changes.iter().map(|c| (c.op, matches!(c.body, Body::Patch(_)))).collect();
    assert_eq!(shapes, [(Op::Modify, true), (Op::Delete, false), (Op::Add, false)]);
    assert_eq!(batch.frontier.get("main").map(|p| p.rv), Some(10));
    core.committed(1);
    let healed = Healed {
        from: 10,
        to: 20,
        time_from: 1,
        time_to: 2,
        reason: "410".into(),
        recovered: 3,
        unknown: vec![],
        lost: false,
        compared: true,
    };
    core.healed("/things", healed);
    assert_eq!(drain(&mut core), (vec!["gap 20".into()], 20));
}

#[test]
fn revisions_that_go_back_begin_a_new_incarnation() {
    let mut core = covered();
    let reached = core.reached("main");
    let at = when(1, 1);
    assert_eq!(core.shown("main", reached, 10, &at), Some(false));
    assert_eq!(core.shown("main", reached, 7, &at), Some(true));
    assert_eq!(core.shown("main", reached, 6, &at), None, "another list that was begun before");
    assert_eq!(drain(&mut core).0, ["cover_end 10", "mark 7"]);
    core.begin_list("/things");
    core.listed("/things", &sighting("a", "u1", 3, 1), 7);
    core.end_list("/things", 7, Span { lo: 1, hi: 1 });
    let batch = core.take();
    let rows: Vec<_> = batch.changes.iter().map(|c| (c.op, c.rv, c.incarnation)).collect();
    assert_eq!(rows, [(Op::Modify, 3, 1), (Op::CoverBegin, 7, 1)]);
    assert_eq!(batch.frontier.get("main").map(|p| (p.incarnation, p.rv)), Some((1, 7)));
}

#[test]
fn what_any_list_showed_is_what_a_domain_has_reached() {
    let mut core = covered();
    let reached = core.reached("main");
    assert_eq!(core.shown("main", reached, 30, &when(1, 1)), Some(false));
    // No stream has got that far.
    let reached = core.reached("main");
    assert_eq!(core.shown("main", reached, 20, &when(2, 2)), Some(true));
    let reached = core.reached("main");
    assert_eq!(reached, (1, 20));
    assert_eq!(core.shown("main", reached, 20, &when(3, 3)), Some(false));
}

#[test]
fn a_kind_that_is_gone_takes_its_objects_with_it_and_comes_back_anew() {
    let mut core = covered();
    core.gone("/things");
    assert_eq!(drain(&mut core).0, ["delete 11", "cover_end 10", "discovery 11"]);
    core.describe(kind("things"));
    core.begin_list("/things");
    core.end_list("/things", 40, Span { lo: 1, hi: 1 });
    assert_eq!(drain(&mut core).0, ["discovery 40", "cover_begin 40"]);
}

#[test]
fn with_the_store_away_the_noisiest_kind_is_let_go_and_the_rest_goes_on() {
    let (mut core, _) = core();
    core.settings = Arc::new(Settings { buffer_bytes: 64 << 10, ..Settings::default() });
    for resource in ["loud", "quiet"] {
        core.describe(kind(resource));
        core.begin_list(&format!("/{resource}"));
        core.end_list(&format!("/{resource}"), 10, Span { lo: 1, hi: 1 });
    }
    core.refused();
    let mut rv = 10;
    while core.event("/loud", &Event::Added(object(&format!("o{rv}"), &format!("u{rv}"), rv + 1, rv)), 0) == Verdict::Go
    {
        rv += 1;
        assert!(rv < 10_000);
        if rv % 50 == 0 {
            let name = format!("q{rv}");
            assert_eq!(core.event("/quiet", &Event::Added(object(&name, &name, rv + 1, rv)), 0), Verdict::Go);
        }
    }
    assert!(core.must_wait("/loud") && !core.must_wait("/quiet"));
    assert!(core.status().seconds_until_loss.is_some());
    assert_eq!(core.event("/quiet", &Event::Added(object("last", "last", rv + 9, rv)), 0), Verdict::Go);
    while !core.buffer.is_empty() {
        core.take();
        core.committed(1);
    }
    assert!(!core.must_wait("/loud"));
}

#[test]
fn after_standing_still_events_are_not_taken_for_fresh_ones() {
    let (mut core, clock) = core_by_hand();
    let at = |seconds: i64| clock.set(seconds * 1_000_000);
    core.describe(kind("things"));
    core.begin_list("/things");
    core.sample("main", 10, &when(99_000_000, 100_000_000));
    core.end_list("/things", 10, Span { lo: 100_000_000, hi: 100_000_000 });
    drain(&mut core);
    core.event("/things", &Event::Added(object("a", "a", 11, 1)), 0);
    // Sixty seconds stopped: b and c were written at some time in them and lay in the socket.
    at(160);
    core.event("/things", &Event::Added(object("b", "b", 12, 1)), 0);
    core.event("/things", &Event::Added(object("c", "c", 13, 1)), 0);
    core.beat();
    // A list that was under way when it stopped is answered now.
    core.runs_again("main", 11, Duration::from_millis(99900));
    assert_eq!(core.to_sample().len(), 1);
    core.event("/things", &Event::Added(object("l", "l", 14, 1)), 0);
    at(161);
    core.sample("main", 15, &when(160_500_000, 161_000_000));
    core.runs_again("main", 15, Duration::from_millis(160_500));
    core.event("/things", &Event::Added(object("d", "d", 15, 1)), 0);
    core.event("/things", &Event::Added(object("e", "e", 16, 1)), 0);
    let changes = core.take().changes;
    let bounds: Vec<(i64, i64)> = changes.iter().map(|c| (c.time_lo / 1000, c.time_hi / 1000)).collect();
    let waited = (99_500, 160_000);
    assert_eq!(bounds, [(99_000, 100_000), waited, waited, waited, (99_500, 161_000), (160_500, 161_000)]);
}

#[test]
fn what_lay_waiting_for_a_watch_says_nothing_of_commits_until_a_list_was_begun_behind_it() {
    const S: Micros = 100_000;
    let (mut core, clock) = core_by_hand();
    let at = |t: Micros| clock.set(t);
    at(1000 * S);
    core.describe(kind("things"));
    core.begin_list("/things");
    core.sample("main", 10, &when(1000 * S, 1000 * S));
    core.end_list("/things", 10, Span { lo: 1000 * S, hi: 1000 * S });
    drain(&mut core);
    let lower = |core: &mut Core| core.take().changes.iter().map(|c| c.time_lo).collect::<Vec<_>>();
    // It brings at once what was written before it was opened.
    at(1003 * S);
    core.opened("/things");
    core.event("/things", &Event::Added(object("a", "u1", 11, 1)), 10);
    core.event("/things", &Event::Added(object("b", "u2", 12, 1)), 10);
    assert_eq!(lower(&mut core), [1000 * S, 1000 * S]);
    core.committed(1);
    // The list that this asks for was begun after the opening: what is newer was sent as it was written.
    core.beat();
    assert_eq!(core.to_sample().len(), 1, "a list is asked for");
    at(1004 * S);
    core.sample("main", 12, &when(1004 * S, 1004 * S));
    core.beat();
    assert!(core.to_sample().is_empty());
    at(1006 * S);
    core.event("/things", &Event::Added(object("c", "u3", 13, 1)), 10);
    core.event("/things", &Event::Added(object("d", "u4", 14, 1)), 10);
    assert_eq!(lower(&mut core), [1004 * S, 1004 * S]);
}

fn sealed_core() -> Core {
    let (hints, _) = mpsc::unbounded_channel();
    let key = hindcast_journal::seal::Key::generate("k", "", &Parts::system());
    let mut core = Core::new(
        Parts::system(),
        Arc::new(Settings::default()),
        Metrics::default(),
        Encoder::new(Secrets::Sealed(Arc::new(key))),
        hints,
        Arc::new(Notify::new()),
    );
    core.describe(kind("secrets"));
    core.resume_kept(None);
    core.begin_list("/secrets");
    core.listed("/secrets", &secret("a", 5), 10);
    core.end_list("/secrets", 10, Span { lo: 1, hi: 1 });
    core
}

fn secret(name: &str, rv: Revision) -> Sighting {
    let bytes: bytes::Bytes = format!(
        r#"{{"apiVersion":"v1","data":{{"p":"cGxhbnRlZA=="}},"kind":"Secret","metadata":{{"name":"{name}","namespace":"ns","uid":"u","resourceVersion":"{rv}"}}}}"#
    )
    .into();
    Sighting { header: Header::of(&bytes), bytes, source: Source::List, at: Span { lo: 1, hi: 1 }, live: false }
}

#[test]
fn a_kind_whose_values_cannot_be_sealed_is_let_go_waits_and_has_them_stored_when_it_comes_back() {
    let mut core = sealed_core();
    drain(&mut core);
    core.unsealable("/secrets", ["ns/a".to_owned()], "keys/x: refused");
    core.unsealable("/secrets", ["ns/a".to_owned()], "keys/x: refused");
    assert_eq!(drain(&mut core).0, ["cover_end 10"], "told once");
    assert!(core.must_wait("/secrets") && !core.must_wait("/things"));
    core.sealable();
    assert!(!core.must_wait("/secrets"));
    // The same version, listed again: nothing about it differs but that its value is not in the journal.
    core.begin_list("/secrets");
    core.listed("/secrets", &secret("a", 5), 20);
    core.end_list("/secrets", 20, Span { lo: 2, hi: 2 });
    let batch = core.take();
    let reread = batch.changes.iter().find(|change| change.op == Op::Reread).expect("it is read again");
    assert!(reread.cells.iter().all(|cell| !cell.secret.is_empty()) && !reread.cells.is_empty());
    core.committed(1);
    core.begin_list("/secrets");
    core.listed("/secrets", &secret("a", 5), 30);
    assert_eq!(drain(&mut core).0, [] as [&str; 0], "once");
}

#[test]
fn what_is_kept_as_it_would_be_now_is_not_written_again_and_that_is_said_once() {
    let mut core = sealed_core();
    drain(&mut core);
    let due = core.next_reread().expect("a journal that does not say how it keeps versions is looked through");
    assert_eq!(due.resource, "secrets");
    core.reread("/secrets", &secret("a", 5), 20);
    core.reread_done("/secrets");
    assert_eq!(core.next_reread().map(|kind| kind.resource.clone()), None);
    assert_eq!(drain(&mut core).0, ["mark 10"]);
    assert_eq!(core.next_reread().map(|kind| kind.resource.clone()), None);
    assert_eq!(drain(&mut core).0, [] as [&str; 0]);
}

#[test]
fn an_object_that_lacks_values_is_next_written_whole() {
    let mut core = sealed_core();
    drain(&mut core);
    core.lacks("/secrets", "ns/a");
    let seen = secret("a", 11);
    core.event("/secrets", &Event::Modified(seen.bytes), 0);
    let batch = core.take();
    let row = batch.changes.first().expect("one row");
    assert!(matches!(row.body, Body::Object(_)) && row.op == Op::Modify, "{row:?}");
    assert_eq!(row.cells.len(), 1, "also the value that did not change");
}

#[test]
fn what_stands_is_read_again_where_its_values_are_forgotten_and_nothing_else_is() {
    let mut core = sealed_core();
    drain(&mut core);
    core.reread_done("/secrets");
    let due = |core: &mut Core| core.next_reread().map(|kind| kind.resource.clone());
    assert_eq!(due(&mut core), None);
    drain(&mut core);
    core.forgotten("other");
    assert_eq!(due(&mut core), None, "it is of nothing that stands");
    core.forgotten("ns");
    assert_eq!(due(&mut core), Some("secrets".to_owned()));
    core.reread("/secrets", &secret("a", 5), 20);
    core.reread_done("/secrets");
    let batch = core.take();
    let row = batch.changes.first().expect("one row");
    assert!(row.op == Op::Reread && !row.cells.is_empty(), "{row:?}");
    assert_eq!(due(&mut core), None);
    core.reread("/secrets", &secret("a", 5), 30);
    assert_eq!(drain(&mut core).0, [] as [&str; 0], "once");
}

#[test]
fn an_object_that_stands_below_what_was_seen_of_it_contradicts_the_life() {
    let core = covered();
    let seen = |name: &str, uid: &str, rv| core.contradiction("/things", &sighting(name, uid, rv, 1).header);
    assert_eq!(seen("a", "u1", 5), None, "as it is retained");
    assert_eq!(seen("a", "u1", 11), None, "changed since");
    assert_eq!(seen("b", "u2", 11), None, "made since");
    assert!(seen("a", "u1", 4).is_some(), "a version that was followed by another");
    assert!(seen("a", "u1", 7).is_some(), "a version that was not sent, below the cursor");
    assert!(seen("b", "u2", 10).is_some(), "an object that was not sent, at the cursor");
}

#[test]
fn what_is_retained_of_an_ended_life_contradicts_nothing() {
    let mut core = covered();
    core.of_ended_life("/things");
    let seen = |name: &str, uid: &str, rv| core.contradiction("/things", &sighting(name, uid, rv, 1).header);
    assert_eq!(seen("a", "u1", 4), None, "an older version, of another life");
    assert_eq!(seen("b", "u2", 10), None, "an object that was not there in the other life");
}

#[test]
fn protection_ends_with_a_life_when_it_was_last_known_to_be_complete() {
    let mut core = covered();
    let life = core.life("main");
    core.domain("main").resumed = Some((life, 10, 77));
    assert!(core.begin_life("main", life, 1_000_000_010, "a test"));
    assert!(!core.begin_life("main", life, 1_000_000_010, "another that saw the same"));
    let batch = core.take();
    let end = batch.changes.iter().find(|c| c.op == Op::CoverEnd).map(|c| (c.rv, c.incarnation, c.time_hi));
    assert_eq!(end, Some((10, 0, 77)));
    assert!(!core.is_life("/things", life), "what was begun in it is no longer recorded");
}

#[test]
fn what_cannot_be_followed_in_a_new_life_is_told_so_that_nobody_waits_for_it() {
    let (mut core, clock) = core_by_hand();
    let at = |seconds: i64| clock.set(seconds * 1_000_000);
    core.describe(kind("things"));
    core.begin_list("/things");
    core.end_list("/things", 10, Span { lo: 1, hi: 1 });
    let life = core.life("main");
    assert!(core.begin_life("main", life, 1_000_000_010, "a test"));
    drain(&mut core);
    for second in 101..150 {
        at(second);
        core.sample("main", 1_000_000_010 + second as u64, &when(second * 1_000_000 - 1, second * 1_000_000));
        core.astray("/things");
        core.trouble("/things", "it does not answer");
        core.let_go();
    }
    let ends = core.take().changes.into_iter().filter(|change| change.op == Op::CoverEnd);
    let ends: Vec<_> = ends.map(|change| (change.incarnation, change.body)).collect();
    assert!(matches!(&ends[..], [(1, Body::Object(body))] if body.windows(5).any(|word| word == b"stuck")), "{ends:?}");
}

#[test]
fn an_api_that_was_gone_and_comes_back_where_it_stood_begins_a_life() {
    let mut core = covered();
    core.describe(Discovery { domain: "api".into(), ..kind("flavors") });
    core.begin_list("/flavors");
    core.end_list("/flavors", 5000, Span { lo: 1, hi: 1 });
    core.gone("/flavors");
    let newest = core.take().changes.iter().filter(|change| change.domain == "api").map(|change| change.rv).max();
    assert_eq!(newest, Some(5001), "told beyond what was seen");
    let reached = core.reached("api");
    assert_eq!(core.shown("api", reached, 5000, &when(2, 3)), Some(true));
}

/// Whether the things may be mute, and whether they are.
fn mute(core: &Core) -> (bool, bool) {
    (core.may_be_mute("/things"), core.is_mute("/things"))
}

#[test]
fn a_list_moves_the_cursor_of_a_mute_kind_only_from_where_it_stood() {
    let mut core = covered();
    core.watching("/things");
    let at = Span { lo: 1, hi: 1 };
    assert_eq!(mute(&core), (true, false));
    assert!(core.still("/things", 10, 20, at));
    assert_eq!((core.frontier().get("main").map(|p| p.rv), mute(&core)), (Some(20), (true, true)));
    core.event("/things", &Event::Modified(object("a", "u1", 21, 2)), 0);
    assert!(!core.still("/things", 20, 30, at), "something was seen since the list was begun");
    core.event("/things", &bookmark(22), 0);
    assert_eq!(mute(&core), (false, false), "one that falls silent now is stuck");
    core.opened("/things");
    assert_eq!(mute(&core), (true, false), "after an outage the server may be another");
    core.phase("/things", Phase::Healing);
    assert!(!core.still("/things", 22, 30, at), "one that is being recovered has more to come");
}

#[test]
fn a_kind_is_placed_by_being_followed_or_named_or_found() {
    let (mut core, _) = core();
    core.describe(kind("news"));
    core.describe(Discovery { crd_uid: "u".into(), ..kind("customs") });
    core.describe(Discovery { domain: "events".into(), ..kind("events") });
    core.resume(kind("followed"), Resumed { cursor: Some(5), ..Resumed::default() });
    core.resume(kind("excluded"), Resumed { ended: Some(Uncovered::Excluded), ..Resumed::default() });
    let unplaced: Vec<_> = core.kinds.keys().filter(|key| !core.is_placed(key)).cloned().collect();
    assert_eq!(unplaced, ["/excluded", "/news"]);
    core.place("/news", true);
    assert!(core.is_placed("/news"));
}

#[test]
fn what_cannot_be_read_as_json_is_written_under_the_name_it_is_retained_by() {
    let bad = |uid: &str, rv: Revision| -> bytes::Bytes {
        let mut bytes = object("a", uid, rv, 2).to_vec();
        // Not UTF-8, where no parser for JSON gets past it.
        let at = bytes.len() - 1;
        bytes.splice(at..at, *b",\"x\":\"\xff\"");
        bytes.into()
    };
    let mut core = covered();
    for event in [Event::Modified(bad("u1", 12)), Event::Deleted(bad("u1", 13))] {
        assert_eq!(core.event("/things", &event, 0), Verdict::Go);
    }
    let changes = core.take().changes;
    let told = |change: &Change| {
        (change.op, change.namespace.clone(), change.name.clone(), change.uid.clone(), change.base_rv)
    };
    let expected = |op, rv| (op, "ns".to_owned(), "a".to_owned(), "u1".to_owned(), Some(rv));
    let told: Vec<_> = changes.iter().map(told).collect();
    assert_eq!(told, [expected(Op::Unreadable, 5), expected(Op::Delete, 12)]);
}

#[test]
fn what_a_standby_held_keeps_the_moment_at_which_it_was_received() {
    let (mut core, clock) = core_by_hand();
    core.describe(kind("things"));
    core.begin_list("/things");
    core.listed("/things", &sighting("a", "u1", 5, 1), 10);
    core.end_list("/things", 10, Span { lo: 1, hi: 1 });
    drain(&mut core);
    clock.set(200_000_000);
    let second = Duration::from_secs;
    let held = |core: &mut Core, rv: Revision, at| {
        core.held("/things", &Event::Modified(object("a", "u1", rv, rv)), second(at))
    };
    // The ring reaches back behind what is committed.
    assert_eq!(held(&mut core, 10, 120), Verdict::Go);
    assert_eq!(held(&mut core, 12, 150), Verdict::Go);
    core.held_up_to("/things", 11, second(160));
    core.held_up_to("/things", 20, second(170));
    let batch = core.take();
    let rows: Vec<_> = batch.changes.iter().filter(|c| c.op.is_object()).map(|c| (c.rv, c.time_hi)).collect();
    assert_eq!(rows, [(12, 150_000_000)], "neither the moment of the takeover nor a row twice");
    assert_eq!(batch.frontier.get("main").map(|point| point.rv), Some(20));
    let unknown = Event::Modified(object("b", "u2", 22, 1));
    assert!(matches!(core.held("/things", &unknown, second(180)), Verdict::Broken(_)), "its add is missing");
}
