use hindcast_restorer::selection::What;
use serde_json::json;

use super::*;
use crate::{
    render::plan::tests::{bad_deploy, empty, field, name},
    view::restore::{Pod, Summary},
};

fn done(verb: Verb, object: crate::view::plan::Name, result: Became, verified: Option<Verified>) -> Done {
    Done { verb, object, result, verified, message: None, differences: Vec::new() }
}

fn restore(actions: Vec<Done>) -> Restore {
    let mut restore = Restore::nothing(&empty(What::Namespace("shop".into())));
    restore.whole = actions.iter().all(Done::is_right);
    restore.summary = Summary::of(&actions);
    restore.undo = "hindcast undo 20261101-130500-ab12".into();
    restore.actions = actions;
    restore
}

fn text(restore: &Restore) -> String {
    crate::printer::tests::plain(&lines(restore, false, false))
}

#[test]
fn all_is_well() {
    let mut web = done(
        Verb::Update,
        name("Deployment", "apps", "deployments", "web"),
        Became::Done,
        Some(Verified::EqualButForControllerOwned),
    );
    web.differences.push(field("/spec/replicas", Some(json!(3)), Some(json!(5))));
    let mut restore = restore(vec![
        done(Verb::Update, name("ConfigMap", "", "configmaps", "web"), Became::Done, Some(Verified::Equal)),
        done(Verb::Create, name("Service", "", "services", "web"), Became::Done, Some(Verified::Equal)),
        web,
        done(Verb::Delete, name("ConfigMap", "", "configmaps", "debug-tools"), Became::Already, None),
    ]);
    restore.left = bad_deploy().left;
    let ready = |name: &str| Rollout {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
        ready: true,
        message: String::new(),
        pods: Vec::new(),
    };
    restore.rollouts = vec![ready("web")];
    assert!(restore.whole);
    insta::assert_snapshot!(text(&restore));
}

#[test]
fn what_went_wrong_stands_below_with_the_reason() {
    let mut conflict = done(Verb::Update, name("Deployment", "apps", "deployments", "web"), Became::Conflict, None);
    conflict.differences.push(field("/spec/paused", None, Some(json!(true))));
    let mut refused = done(Verb::Create, name("Secret", "", "secrets", "db"), Became::Refused, None);
    refused.message = Some("secrets is forbidden: User \"night\" cannot create secrets".into());
    let mut admission = done(
        Verb::Update,
        name("ConfigMap", "", "configmaps", "web"),
        Became::Done,
        Some(Verified::ChangedByAdmission),
    );
    admission.differences.push(field("/metadata/labels/team", None, Some(json!("x"))));
    let mut skipped = done(Verb::Delete, name("Service", "", "services", "old"), Became::Skipped, None);
    skipped.message = Some("interrupted before it was begun".into());
    let mut restore = restore(vec![
        conflict,
        refused,
        done(Verb::Update, name("ConfigMap", "", "configmaps", "app"), Became::Done, Some(Verified::Equal)),
        admission,
        skipped,
    ]);
    restore.rollouts = vec![Rollout {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: "api".into(),
        ready: false,
        message: "1 of 3 replicas are ready after 5 min".into(),
        pods: vec![Pod { name: "api-7d9-x".into(), reason: "CrashLoopBackOff: exit code 1".into() }],
    }];
    restore.notes = vec!["Deployment api still reads ConfigMap app as it was; --restart rolls it".into()];
    assert!(!restore.whole);
    crate::commands::schema("restore", &serde_json::to_string(&restore).unwrap());
    insta::assert_snapshot!(text(&restore));
}

#[test]
fn what_did_nothing_says_so_and_is_not_to_be_undone() {
    let refused = done(Verb::Create, name("Secret", "", "secrets", "db"), Became::Refused, None);
    assert_eq!(text(&restore(vec![refused])), "refused: create Secret/db\n\nnothing was restored: 1 refused\n");
    // What is deleted to be created again may be gone when that is refused.
    let half = done(Verb::Recreate, name("Secret", "", "secrets", "db"), Became::Refused, None);
    assert!(text(&restore(vec![half])).contains("undo: hindcast undo"));
}

#[test]
fn many_that_were_not_begun_share_a_line() {
    let object = |n: usize| name("ConfigMap", "", "configmaps", &format!("c{n}"));
    let actions = (0..100).map(|n| Done {
        message: Some("interrupted before it was begun".into()),
        ..done(Verb::Create, object(n), Became::Skipped, None)
    });
    let shown = text(&restore(actions.collect()));
    assert!(
        shown.contains("not done 100: create ConfigMap/c0, create ConfigMap/c1, create ConfigMap/c2, create ConfigMap/c3 and 96 more\n  interrupted before it was begun\n"),
        "{shown}"
    );
    assert!(shown.lines().count() < 10, "{shown}");
}

#[test]
fn many_right_ones_are_counted() {
    let object = |n: usize| name("ConfigMap", "", "configmaps", &format!("c{n}"));
    let actions = (0..100).map(|n| done(Verb::Update, object(n), Became::Done, Some(Verified::Equal)));
    let restore = restore(actions.collect());
    let short = text(&restore);
    assert!(short.contains("and 60 more, as they should be; -v names all"), "{short}");
    let all = crate::printer::tests::plain(&lines(&restore, true, true));
    assert!(all.contains("ConfigMap/c99 -n shop"), "{all}");
}
