use super::*;
use crate::{
    encode::{Encoder, Observation},
    facts::Discovery,
    row::Source,
    seal::Secrets,
};

fn kind() -> Discovery {
    Discovery {
        resource: "widgets".into(),
        kind: "W".into(),
        version: "v1".into(),
        domain: "main".into(),
        ..Discovery::default()
    }
}

fn see(encoder: &Encoder, rv: u64, data: &str, base: Option<&Base>) -> crate::encode::Encoded {
    let bytes = format!(
        r#"{{"kind":"W","metadata":{{"name":"n","namespace":"ns","uid":"u","resourceVersion":"{rv}","managedFields":[{{"manager":"m{rv}"}}]}},"data":"{data}","pad":"{}"}}"#,
        "x".repeat(200)
    );
    encoder.observe(&seen(&kind(), rv, &bytes), base)
}

fn seen<'a>(kind: &'a Discovery, rv: u64, bytes: &'a str) -> Observation<'a> {
    Observation { kind, incarnation: 0, rv, source: Source::Watch, time_lo: 0, time_hi: 0, bytes: bytes.as_bytes() }
}

fn history() -> Vec<Row> {
    let encoder = Encoder::new(Secrets::Dropped);
    let one = see(&encoder, 5, "one", None);
    let two = see(&encoder, 7, "two", Some(&one.base));
    let three = see(&encoder, 9, "three", Some(&two.base));
    let changes = [one.change, two.change, three.change];
    (1..).zip(changes).map(|(pos, change)| Row { pos, change }).collect()
}

fn cut(rv: u64) -> Cut {
    Cut { domains: BTreeMap::from([("main".to_owned(), CutPoint { incarnation: 0, rv })]) }
}

fn fold(rows: &[Row], at: u64) -> Result<State> {
    let mut state = State::default();
    for row in rows {
        state.apply(row, &Scope::default(), Some(&cut(at)))?;
    }
    state.finish()?;
    Ok(state)
}

#[test]
fn each_cut_gives_the_version_of_its_time() {
    for (at, expected) in [(5, "one"), (6, "one"), (7, "two"), (8, "two"), (9, "three"), (99, "three")] {
        let state = fold(&history(), at).expect("folds");
        let entry = state.objects.values().next().expect("one object");
        let value = exact::parse(&entry.public()).expect("json");
        assert_eq!(value.get("data").and_then(Value::as_str), Some(expected), "at {at}");
        let rv = value.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        assert_eq!(rv, Some(entry.row.rv.to_string().as_str()));
        let managed = format!(r#"[{{"manager":"m{}"}}]"#, entry.row.rv);
        assert_eq!(entry.managed().as_ref(), managed.as_bytes());
    }
    assert!(fold(&history(), 4).expect("folds").objects.is_empty());
}

#[test]
fn a_missing_a_doubled_and_an_altered_row_fail_loudly() {
    let rows = history();
    let missing = fold(&[rows[0].clone(), rows[2].clone()], 99).expect_err("missing");
    assert!(
        missing.to_string().contains("follows from revision Some(7), but the object stands at revision 5"),
        "{missing}"
    );
    fold(&[rows[0].clone(), rows[1].clone(), rows[1].clone()], 99).expect_err("doubled");
    fold(&rows[1..], 99).expect_err("without its start");
    let mut altered = rows;
    altered[2].change.body = Body::Patch(Bytes::from_static(br#"[{"op":"replace","path":"/data","value":"evil"}]"#));
    let error = fold(&altered, 99).expect_err("altered");
    assert!(error.to_string().contains("hash is not the one written"), "{error}");
}

#[test]
fn a_deleted_object_is_gone_from_its_revision_on() {
    let mut rows = history();
    let last = rows[2].clone();
    let mut delete = Change::new(Op::Delete, "main", 0, 12);
    (delete.resource, delete.namespace, delete.name, delete.uid) =
        ("widgets".into(), "ns".into(), "n".into(), "u".into());
    (delete.base_rv, delete.base_hash) = (Some(9), last.state_hash);
    rows.push(Row { pos: 4, change: delete });
    assert_eq!(fold(&rows, 11).expect("folds").objects.len(), 1);
    assert_eq!(fold(&rows, 12).expect("folds").objects.len(), 0);
}

#[test]
fn coverage_has_a_beginning_an_end_and_a_reason() {
    let mut state = State::default();
    let fact = |pos, op, rv, body| Row {
        pos,
        change: Change { body, time_hi: 100 * pos as i64, ..facts::about(op, &kind(), 0, rv) },
    };
    let end = CoverEnd { reason: facts::Uncovered::Forbidden, detail: String::new() };
    let rows = [
        fact(1, Op::Discovery, 3, facts::body(&kind()).expect("json")),
        fact(2, Op::CoverBegin, 5, Body::None),
        fact(3, Op::CoverEnd, 8, facts::body(&end).expect("json")),
        fact(4, Op::CoverBegin, 20, Body::None),
        fact(5, Op::CoverEnd, 25, facts::body(&end).expect("json")),
        fact(6, Op::CoverBegin, 25, Body::None),
    ];
    for row in &rows {
        state.apply(row, &Scope::default(), Some(&cut(99))).expect("applies");
    }
    let kind = &state.kinds["/widgets"];
    let at = |rv, time| kind.covered_at(CutPoint { incarnation: 0, rv }, time);
    let not = Err(Some(end));
    assert_eq!(at(4, 150), Err(None));
    assert_eq!((at(5, 200), at(8, 299)), (Ok(()), Ok(())));
    assert_eq!((at(8, 300), at(9, 350)), (not.clone(), not.clone()));
    assert_eq!(at(20, 400), Ok(()));
    // Nothing was written while it was not protected: the time alone tells.
    assert_eq!((at(25, 499), at(25, 500), at(25, 599), at(25, 600)), (Ok(()), not.clone(), not, Ok(())));
}

#[test]
fn what_a_healing_brought_is_ahead_of_the_cursor_through_whichever_definition_it_was_read() {
    for source in [Source::Healed, Source::HealedLater] {
        let mut state = State::default();
        let fact = |pos, op, rv, body| Row { pos, change: Change { body, ..facts::about(op, &kind(), 0, rv) } };
        let discovery = fact(1, Op::Discovery, 3, facts::body(&kind()).expect("json"));
        let begin = fact(2, Op::CoverBegin, 5, Body::None);
        let mut healed = Row { pos: 3, change: see(&Encoder::new(Secrets::Dropped), 9, "one", None).change };
        healed.change.source = source;
        for row in [&discovery, &begin, &healed] {
            state.apply(row, &Scope::default(), None).expect("applies");
        }
        let kind = &state.kinds["/widgets"];
        let point = |rv| Some(CutPoint { incarnation: 0, rv });
        assert_eq!((kind.cursor, kind.ahead), (point(5), point(9)), "{source:?}");
    }
}

/// A version that is not exact JSON, in the ways that its uid, or even its name, cannot be read.
fn garbled(encoder: &Encoder, rv: u64, metadata: &str, base: Option<&Base>) -> crate::encode::Encoded {
    let bytes = format!(r#"{{"kind":"W","metadata":{{{metadata}"resourceVersion":"{rv}"}},"a":1,"a":2}}"#);
    let out = encoder.observe(&seen(&kind(), rv, &bytes), base);
    assert_eq!(out.change.op, Op::Unreadable);
    out
}

#[test]
fn a_version_whose_uid_cannot_be_read_never_stops_reading() {
    let encoder = Encoder::new(Secrets::Dropped);
    let one = see(&encoder, 5, "one", None);
    let (named, other) = (r#""name":"n","namespace":"ns","#, r#""name":"n","namespace":"ns","uid":"v","#);
    for (metadata, base) in [(named, Some(&one.base)), (named, None), (other, Some(&one.base)), (other, None)] {
        let two = garbled(&encoder, 7, metadata, base);
        let three = see(&encoder, 9, "three", Some(&two.base));
        let kind = kind();
        let at = Observation {
            kind: &kind,
            incarnation: 0,
            rv: 10,
            source: Source::Watch,
            time_lo: 0,
            time_hi: 0,
            bytes: b"",
        };
        let gone = encoder.forget(&at, "ns", "n", Some(&two.base));
        let rows = |changes: [&Change; 3]| -> Vec<Row> {
            (1..).zip(changes).map(|(pos, change)| Row { pos, change: change.clone() }).collect()
        };
        let all = rows([&one.change, &two.change, &three.change]);
        let state = fold(&all, 8).expect("folds");
        let entry = state.objects.values().next().expect("one object");
        assert_eq!((state.objects.len(), entry.row.rv), (1, 7), "{metadata} {base:?}");
        assert!(entry.unreadable.is_some(), "the raw bytes are kept");
        // What it left goes on from a checkpoint, too.
        let mut again = State::default();
        again.load(&Row { pos: 2, ..entry.checkpoint_row() }, &Scope::default()).expect("loads");
        again.apply(&all[2], &Scope::default(), None).expect("folds");
        for state in [again, fold(&all, 99).expect("folds")] {
            let entry = state.objects.values().next().expect("one object");
            assert_eq!((state.objects.len(), entry.row.rv, entry.row.uid.as_str()), (1, 9, "u"));
        }
        assert!(fold(&rows([&one.change, &two.change, &gone]), 99).expect("folds").objects.is_empty());
    }
}

#[test]
fn a_delete_after_a_version_that_an_earlier_version_wrote_without_its_name_is_read() {
    let rows = history();
    let mut nameless = garbled(&Encoder::new(Secrets::Dropped), 10, "", None).change;
    nameless.uid.clear();
    let mut delete = Change::new(Op::Delete, "main", 0, 12);
    (delete.resource, delete.namespace, delete.name) = ("widgets".into(), "ns".into(), "n".into());
    delete.base_rv = Some(10);
    let rows: Vec<Row> =
        rows.into_iter().chain([Row { pos: 4, change: nameless }, Row { pos: 5, change: delete }]).collect();
    let state = fold(&rows, 12).expect("folds");
    assert!(state.objects.keys().all(|key| key.name.is_empty()), "{:?}", state.objects.keys());
}
