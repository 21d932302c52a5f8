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

#[test]
fn quiet_changes_fold_to_a_line_an_object() {
    let changes = [
        change(1, "a", Op::Add, "kubectl-create", ""),
        change(2, "a", Op::Modify, "kubelet", STATUS),
        change(3, "b", Op::Modify, "kubelet", STATUS),
        change(4, "a", Op::Modify, "kubectl-edit", SPEC),
        change(5, "a", Op::Modify, "someone", STATUS),
        change(6, "a", Op::Modify, "hpa-controller", SPEC),
        change(7, "c", Op::Add, "kube-controller-manager", ""),
        change(8, "b", Op::Delete, "kubectl", ""),
        change(9, "c", Op::Unreadable, "kubelet", ""),
        change(10, "c", Op::Modify, "", SPEC),
        change(11, "c", Op::Delete, "", ""),
        change(12, "d", Op::Delete, "", ""),
    ];
    let seen: Vec<(u64, u64, usize)> =
        fold(&changes, false).iter().map(|l| (l.change.pos, l.first.pos, l.count)).collect();
    assert_eq!(
        seen,
        [(1, 1, 1), (3, 3, 1), (4, 4, 1), (6, 2, 3), (8, 8, 1), (9, 9, 1), (11, 7, 3), (12, 12, 1)],
        "(newest, oldest, how many)"
    );
    assert_eq!(fold(&changes, true).len(), changes.len());
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
