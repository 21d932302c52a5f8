use super::*;
use crate::row::{Body, Cell, Change, Op, Source, chain_start};

fn meta(cluster: &str) -> Meta {
    Meta {
        role: "segment".into(),
        cluster: cluster.into(),
        writer: "w".into(),
        epoch: 3,
        segment: 9,
        first: 41,
        last: 41,
        chain_before: chain_start(cluster),
        chain_after: chain_start(cluster),
        frontier: FrontierVector::from([("main".to_owned(), FrontierPoint { incarnation: 1, rv: 7, time: 5 })]),
        time: 77,
        extra: BTreeMap::new(),
    }
}

fn full_row(pos: u64) -> Row {
    let change = Change {
        base_rv: Some(u64::MAX >> 1),
        time_lo: -5,
        time_hi: 1_795_478_400_000_000,
        source: Source::Healed,
        group: "apps".into(),
        version: "v1".into(),
        resource: "deployments".into(),
        subresource: "status".into(),
        kind: "Deployment".into(),
        namespace: "ns".into(),
        name: "n".into(),
        uid: "u".into(),
        body: Body::Patch(Bytes::from_static(b"[]")),
        state_hash: Some([1; 8]),
        base_hash: Some([2; 8]),
        hash_key: "key-1-3f2a9c".into(),
        manager: "m".into(),
        manager_op: "Apply".into(),
        managed_fields: Some(Bytes::from_static(b"[{}]")),
        cells: vec![Cell {
            path: "/data/a".into(),
            key_id: "k".into(),
            pos: 1,
            rv: 2,
            secret: Bytes::from_static(&[0, 255]),
        }],
        ..Change::new(Op::Modify, "main", 1, 12)
    };
    Row { pos, change }
}

fn bare_row(pos: u64) -> Row {
    Row { pos, change: Change::new(Op::Delete, "events", 0, 0) }
}

#[test]
fn rows_come_back_as_they_were() {
    let rows = vec![
        full_row(41),
        bare_row(42),
        Row { pos: 43, change: Change { body: Body::Object(Bytes::from_static(b"{}")), ..full_row(0).change } },
    ];
    let mut meta = meta("c");
    let bytes = encode(&mut meta, &rows).expect("encodes");
    let (back_meta, back) = decode("f", "c", bytes).expect("decodes");
    assert_eq!(back, rows);
    assert_eq!(back_meta, meta);
    assert_eq!((meta.first, meta.last), (41, 43));
}

#[test]
fn a_segment_without_rows_is_whole() {
    let mut meta = meta("c");
    let bytes = encode(&mut meta, &[]).expect("encodes");
    let (back, rows) = decode("f", "c", bytes).expect("decodes");
    assert!(rows.is_empty());
    assert_eq!((back.first, back.last), (41, 40));
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let rows = vec![full_row(41), bare_row(42)];
    let mut meta = meta("c");
    let bytes = encode(&mut meta, &rows).expect("encodes");
    let mut noticed = 0;
    for at in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[at] ^= 0x10;
        match decode("f", "c", Bytes::from(bad)) {
            Ok((_, back)) => assert_eq!(back, rows, "byte {at} changed a row unnoticed"),
            Err(e) => {
                assert!(e.to_string().starts_with("f: "), "{e}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > bytes.len() / 2, "{noticed} of {}", bytes.len());
}

#[test]
fn every_truncation_is_refused() {
    let mut meta = meta("c");
    let bytes = encode(&mut meta, &[full_row(41)]).expect("encodes");
    for end in 0..bytes.len() {
        decode("f", "c", bytes.slice(..end)).expect_err("truncated");
    }
}

#[test]
fn foreign_and_newer_files_are_refused_by_name() {
    let mut own = meta("c");
    let bytes = encode(&mut own, &[full_row(41)]).expect("encodes");
    let error = decode("wal/1.parquet", "other", bytes.clone()).expect_err("foreign");
    assert_eq!(error.to_string(), "wal/1.parquet: belongs to cluster c, not other");
    let pairs = vec![KeyValue::new("hindcast.format".to_owned(), "2".to_owned())];
    let error = Meta::read("wal/1.parquet", Some(&pairs)).expect_err("newer");
    assert_eq!(error.to_string(), "wal/1.parquet: has format 2; this version reads 1");
    let error = Meta::read("x.parquet", Some(&Vec::new())).expect_err("not ours");
    assert!(error.to_string().contains("not a Hindcast file"), "{error}");
}

#[test]
fn payload_columns_have_no_statistics() {
    let mut meta = meta("c");
    let bytes = encode(&mut meta, &[full_row(41)]).expect("encodes");
    let (_, reader) = open("f", bytes).expect("opens");
    for column in reader.metadata().row_group(0).columns() {
        let name = column.column_path().string();
        let allowed = ["pos", "key", "rv", "time_lo", "time_hi"].contains(&name.as_str());
        assert_eq!(column.statistics().is_some(), allowed, "{name}");
    }
}

#[test]
fn the_chain_depends_on_every_column() {
    let before = chain_start("c");
    let base = chain_step(&before, &full_row(1));
    let alter: [fn(&mut Row); 26] = [
        |r| r.pos = 2,
        |r| r.change.domain = "x".into(),
        |r| r.change.incarnation = 2,
        |r| r.change.rv = 13,
        |r| r.change.base_rv = None,
        |r| r.change.time_lo = 1,
        |r| r.change.time_hi = 1,
        |r| r.change.op = Op::Add,
        |r| r.change.source = Source::List,
        |r| r.change.group = "x".into(),
        |r| r.change.version = "x".into(),
        |r| r.change.resource = "x".into(),
        |r| r.change.subresource = "x".into(),
        |r| r.change.kind = "x".into(),
        |r| r.change.namespace = "x".into(),
        |r| r.change.name = "x".into(),
        |r| r.change.uid = "x".into(),
        |r| r.change.body = Body::Object(Bytes::from_static(b"[]")),
        |r| r.change.state_hash = None,
        |r| r.change.base_hash = None,
        |r| r.change.hash_key = "x".into(),
        |r| r.change.manager = "x".into(),
        |r| r.change.manager_op = "x".into(),
        |r| r.change.managed_fields = None,
        |r| r.change.cells.clear(),
        |r| r.change.cells.iter_mut().for_each(|c| c.rv = 9),
    ];
    for (i, change) in alter.iter().enumerate() {
        let mut row = full_row(1);
        change(&mut row);
        assert_ne!(chain_step(&before, &row), base, "alteration {i}");
    }
}
