//! A test for each row of the table.

use hindcast_restorer::{apply::Verified, selection::What};

use super::*;
use crate::{
    render::plan::tests::{bad_deploy, empty, field, name},
    view::{
        plan::{Kept, KeptIn, Left},
        restore::Done,
    },
};

fn nothing() -> Plan {
    empty(What::Namespace("shop".into()))
}

fn left(standing: Standing) -> Left {
    let flag = (standing == Standing::Wanting).then(|| "--allow-delete jobs".to_owned());
    let object = name("Job", "batch", "jobs", "migrate");
    Left { verb: Verb::Delete, object, code: "c".into(), reason: "r".into(), flag, standing }
}

fn with(standing: Standing) -> Plan {
    let mut plan = nothing();
    plan.left.push(left(standing));
    plan
}

fn kept(standing: Standing) -> Plan {
    let mut plan = nothing();
    let field = field("/metadata/finalizers", None, None);
    let kept = Kept { field, rule: "finalizers".into(), owner: "o".into(), standing, flag: None };
    plan.kept.push(KeptIn { object: name("Widget", "example.com", "widgets", "w"), fields: vec![kept] });
    plan
}

/// What became of actions, with what the plan left.
fn done(plan: &Plan, results: &[Became]) -> Restore {
    let one = |result: &Became| Done {
        verb: Verb::Update,
        object: name("ConfigMap", "", "configmaps", "web"),
        result: *result,
        verified: (*result == Became::Done).then_some(Verified::Equal),
        message: None,
        differences: Vec::new(),
    };
    let actions: Vec<Done> = results.iter().map(one).collect();
    let whole = results.iter().all(|result| *result == Became::Done);
    let mut restore = Restore::nothing(plan);
    (restore.actions, restore.whole) = (actions, whole);
    restore
}

/// The exit codes of `plan`, and of `restore` that has nothing to do.
fn codes(of: &Plan) -> (u8, u8) {
    (plan(of, false).code(), restore(&Restore::nothing(of), false).code())
}

#[test]
fn nothing_to_do_is_0_whatever_controllers_and_rules_keep() {
    assert_eq!(codes(&nothing()), (0, 0));
    assert_eq!(codes(&with(Standing::Machines)), (0, 0));
    assert_eq!(codes(&with(Standing::Rule)), (0, 0), "left alone by rule");
    assert_eq!(codes(&kept(Standing::Machines)), (0, 0));
    assert_eq!(codes(&kept(Standing::Rule)), (0, 0));
}

#[test]
fn what_is_done_is_1_in_a_plan_and_0_in_a_restore() {
    let mut deploy = bad_deploy();
    deploy.left.clear();
    assert_eq!(plan(&deploy, false).code(), 1);
    assert_eq!(restore(&done(&deploy, &[Became::Done]), false).code(), 0);
}

#[test]
fn what_is_left_alone_for_want_of_a_flag_is_1() {
    assert_eq!(codes(&with(Standing::Wanting)), (1, 1));
    assert_eq!(codes(&with(Standing::Unable)), (1, 1));
    assert_eq!(codes(&kept(Standing::Wanting)), (1, 1));
    assert_eq!(restore(&done(&with(Standing::Wanting), &[Became::Done]), false).code(), 1, "the rest was done");
    assert_eq!(codes(&with(Standing::Beside)), (1, 0), "a namespace was asked for, not what is beside it");
}

#[test]
fn what_is_refused_in_part_is_1_and_altogether_2() {
    let of = |results: &[Became]| restore(&done(&nothing(), results), false).code();
    assert_eq!(of(&[Became::Done, Became::Refused]), 1);
    assert_eq!(of(&[Became::Done, Became::Conflict]), 1);
    assert_eq!(of(&[Became::Refused, Became::Conflict]), 2);
    assert_eq!(of(&[Became::Failed]), 1, "whether it was done is not known");
    let mut late = done(&nothing(), &[Became::Done]);
    late.whole = false;
    assert_eq!(restore(&late, false).code(), 1, "a rollout is not ready");
}

#[test]
fn a_reservation_is_3_and_hides_nothing() {
    assert_eq!(plan(&nothing(), true).code(), 3);
    assert_eq!(restore(&Restore::nothing(&nothing()), true).code(), 3);
    assert_eq!(plan(&bad_deploy(), true).code(), 1);
    assert_eq!(restore(&done(&nothing(), &[Became::Refused]), true).code(), 2);
    assert_eq!(restore(&done(&with(Standing::Wanting), &[Became::Done]), true).code(), 1);
}
