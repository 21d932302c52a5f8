use hindcast_journal::{
    Change as Raw, Row,
    row::{Body, Op},
    seal::Rules,
};

use super::*;
use crate::redact::Hide;

fn change(pos: u64, name: &str, op: Op, manager: &str, patch: &str) -> Change {
    let mut raw = Raw::new(op, "main", 0, 100 + pos);
    raw.resource = "pods".to_owned();
    raw.namespace = "shop".to_owned();
    raw.name = name.to_owned();
    raw.manager = manager.to_owned();
    if !patch.is_empty() {
        raw.body = Body::Patch(bytes::Bytes::from(patch.to_owned()));
    }
    Change::new(&Row { pos, change: raw }, Hide::new(&Rules::default(), None))
}

const STATUS: &str = r#"[{"op":"replace","path":"/status/phase","value":"Running"}]"#;
const SPEC: &str = r#"[{"op":"replace","path":"/spec/x","value":1},{"op":"add","path":"/status/y","value":2}]"#;

/// Of each line the position, that of the oldest change in it, and how many there are.
fn folded(changes: &[Change]) -> Vec<(u64, u64, usize)> {
    fold(changes, false).iter().map(|line| (line.change.pos, line.first.pos, line.count)).collect()
}

#[test]
fn quiet_changes_fold_to_a_line_an_object() {
    let changes = [
        change(1, "a", Op::Add, "kubectl-create", ""),
        change(2, "a", Op::Modify, "kubelet", STATUS),
        change(3, "b", Op::Modify, "kubelet", STATUS),
        change(4, "a", Op::Modify, "kubectl-edit", SPEC),
        change(5, "a", Op::Modify, "someone", STATUS),
        change(6, "a", Op::Modify, "hpa-controller", SPEC),
        change(8, "b", Op::Delete, "kubectl", ""),
        change(9, "c", Op::Unreadable, "kubelet", ""),
        // Who wrote it is not known, and so it may have been anybody.
        change(10, "c", Op::Modify, "", SPEC),
    ];
    assert_eq!(folded(&changes), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (6, 2, 3), (8, 8, 1), (9, 9, 1), (10, 10, 1)]);
    assert_eq!(fold(&changes, true).len(), changes.len());
}

const MARK: &str = r#"[{"op":"add","path":"/metadata/deletionGracePeriodSeconds","value":30},
    {"op":"add","path":"/metadata/deletionTimestamp","value":"2026-11-01T13:00:00Z"}]"#;

/// An object that controllers keep, deleted and made again by one: nothing of that is hidden in a line of quiet changes.
#[test]
fn what_comes_goes_and_begins_to_go_has_a_line_of_its_own() {
    const BY: &str = "kube-controller-manager";
    let of = |mut change: Change, uid: &str| {
        uid.clone_into(&mut change.object.uid);
        change
    };
    let whole = r#"{"metadata":{"deletionTimestamp":"2026-11-01T13:00:00Z"}}"#;
    let mut kept_whole = of(change(14, "a", Op::Modify, BY, ""), "2");
    kept_whole.is_deletion_mark = marks_deletion(whole);
    let changes = [
        of(change(1, "a", Op::Add, BY, ""), "1"),
        of(change(2, "a", Op::Modify, BY, SPEC), "1"),
        of(change(3, "a", Op::Modify, BY, STATUS), "1"),
        of(change(4, "a", Op::Modify, BY, MARK), "1"),
        of(change(5, "a", Op::Modify, BY, STATUS), "1"),
        of(change(6, "a", Op::Delete, "", ""), "1"),
        of(change(7, "a", Op::Add, BY, ""), "2"),
        of(change(8, "a", Op::Modify, BY, STATUS), "2"),
        of(change(9, "a", Op::Modify, BY, STATUS), "2"),
        kept_whole,
    ];
    assert_eq!(
        folded(&changes),
        [(1, 1, 1), (4, 4, 1), (5, 2, 3), (6, 6, 1), (7, 7, 1), (9, 8, 2), (14, 14, 1)],
        "(newest, oldest, how many)"
    );
    assert!(summary(&changes[3], VALUE.0).starts_with("marked for deletion; "), "{}", summary(&changes[3], VALUE.0));
}

/// Whether a version that is kept whole says that it is to go.
fn marks_deletion(object: &str) -> bool {
    let mut raw = Raw::new(Op::Modify, "main", 0, 1);
    raw.body = Body::Object(bytes::Bytes::from(object.to_owned()));
    Change::new(&Row { pos: 1, change: raw }, Hide::new(&Rules::default(), None)).is_deletion_mark
}

#[test]
fn a_write_of_a_restore_is_one_line_and_all_of_it_is_the_restores() {
    let mut back = change(2, "a", Op::Modify, "hindcast", "[]");
    back.completes = Some(1);
    let changes = [change(1, "a", Op::Modify, "hindcast", SPEC), back.clone()];
    assert_eq!(folded(&changes), [(1, 1, 1)]);
    assert_eq!(fold(&changes, true).len(), 2);
    assert_eq!(summary(&back, VALUE.0), "gives the fields back to their owners: part of pos 1");
    // Where the first is not in the range the second stands for itself.
    assert_eq!(folded(&changes[1..]), [(2, 2, 1)]);
    assert_eq!(summary(&change(3, "a", Op::Modify, "x", "[]"), VALUE.0), "only who owns its fields");
}

#[test]
fn a_long_text_shows_where_it_differs_and_a_type_is_seen() {
    let same = "x".repeat(1000);
    let patch = format!(r#"[{{"op":"replace","path":"/data/a","value":"{same}2{same}"}}]"#);
    let mut change = change(1, "a", Op::Modify, "", &patch);
    assert!(!summary(&change, VALUE.0).contains('2'), "nobody knows what stood there");
    change.stood = vec![Some(Value::from(format!("{same}1{same}")))];
    let shown = summary(&change, VALUE.0);
    assert!(shown.contains("xx2xx") && shown.chars().count() == "data.a: ".len() + VALUE.0, "{shown}");
    for (value, shown) in
        [("80", "80"), ("\"80\"", "\"80\""), ("null", "null"), ("\"null\"", "\"null\""), ("\"a\"", "a")]
    {
        let patch = format!(r#"[{{"op":"replace","path":"/spec/port","value":{value}}}]"#);
        assert_eq!(summary(&self::change(1, "a", Op::Modify, "", &patch), VALUE.0), format!("spec.port: {shown}"));
    }
}

#[test]
fn a_change_says_which_fields() {
    let patch = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"x:2"},
        {"op":"remove","path":"/metadata/labels/a.b~1c"},{"op":"add","path":"/spec/args/-","value":{"k":[1,2]}},
        {"op":"add","path":"/spec/z","value":1}]"#;
    assert_eq!(
        summary(&change(1, "a", Op::Modify, "", patch), VALUE.0),
        "spec.template.spec.containers[0].image: x:2; -metadata.labels[\"a.b/c\"]; +spec.args.-: {\"k\":[1,2]}; and 1 more"
    );
    let long = format!(r#"[{{"op":"add","path":"/d","value":"{}"}}]"#, "é".repeat(100));
    for (width, shown) in [(VALUE.0, 40), (VALUE.1, 100)] {
        let summary = summary(&change(1, "a", Op::Modify, "", &long), width);
        assert_eq!(summary.chars().count(), "+d: ".len() + shown);
    }
    assert_eq!(spell(""), "(everything)");
}
