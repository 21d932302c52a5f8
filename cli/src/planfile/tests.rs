use hindcast_journal::cut::CutPoint;
use hindcast_restorer::{
    plan::{Action, Wave},
    selection::{Volumes, What, Widen},
};

use super::*;

fn action(name: &str, live: &str) -> Action {
    Action {
        key: ObjectKey {
            namespace: "shop".into(),
            group: "apps".into(),
            resource: "deployments".into(),
            name: name.into(),
        },
        kind: "Deployment".into(),
        version: "v1".into(),
        verb: Verb::Update,
        propagation: hindcast_restorer::plan::Propagation::default(),
        wave: Wave { group: 0, depth: 0 },
        live: Some(LiveRef { uid: "u".into(), rv: "7".into(), hash: live.into() }),
        wanted: Some(WantedRef { pos: 3, uid: "u".into(), hash: "w".into() }),
        changes: Vec::new(),
        kept: Vec::new(),
        evidence: None,
        warnings: Vec::new(),
    }
}

fn prepared(rev: u64, actions: Vec<Action>) -> Prepared {
    let mut cut = hindcast_journal::cut::Cut::default();
    cut.domains.insert("main".into(), CutPoint { incarnation: 0, rv: rev });
    let selection = Selection {
        what: What::Namespace("shop".into()),
        labels: String::new(),
        only: Vec::new(),
        path: Some("/spec/template".into()),
        volumes: Volumes::All,
        widen: Widen { allow_recreate: true, ..Widen::default() },
    };
    Prepared {
        plan: hindcast_restorer::Plan {
            cluster: "7385".into(),
            cut,
            time: 0,
            undoes: None,
            selection,
            actions,
            left: Vec::new(),
            notes: Vec::new(),
            reservations: Vec::new(),
            unchanged: 0,
            kept: Vec::new(),
            system: Vec::new(),
            switches_on: Vec::new(),
        },
        bodies: BTreeMap::new(),
        around: hindcast_restorer::intent::Surroundings::default(),
        places: Vec::new(),
    }
}

fn kept(prepared: &Prepared) -> PlanFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    write(&path, &view::Plan::new(prepared, "rev:9@0".into())).unwrap();
    read(&path).unwrap()
}

#[test]
fn a_kept_plan_does_what_it_says_and_no_more() {
    let file = kept(&prepared(9, vec![action("web", "a"), action("gone", "a")]));
    assert_eq!((file.cluster.as_str(), file.at.as_str()), ("7385", "rev:9@0"));
    let mut now = prepared(9, vec![action("new", "x"), action("web", "a")]);
    assert_eq!(file.selection, now.plan.selection);
    let notes = file.confine(&mut now).unwrap();
    let names: Vec<&str> = now.plan.actions.iter().map(|a| a.key.name.as_str()).collect();
    assert_eq!(names, ["web"]);
    assert!(notes[0].starts_with("Deployment/gone -n shop is in the plan file"), "{notes:?}");
    assert!(notes[1].starts_with("1 object differs by now"), "{notes:?}");
}

#[test]
fn a_stale_plan_is_refused_with_what_changed() {
    let file = kept(&prepared(9, vec![action("web", "a")]));
    let failure = file.confine(&mut prepared(9, vec![action("web", "b")])).unwrap_err();
    assert!(failure.to_string().contains("Deployment/web -n shop changed"), "{failure}");
    let failure = file.confine(&mut prepared(10, vec![action("web", "a")])).unwrap_err();
    assert!(failure.to_string().contains("another cut"), "{failure}");
}

#[test]
fn what_is_no_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (text, said) in [
        (None, "No such file"),
        (Some("{"), "not a plan"),
        (Some("{}"), "not a plan of this version"),
        (Some(r#"{"apiVersion":"hindcast.dev/v2","kind":"Plan"}"#), "not a plan of this version"),
        (Some(r#"{"apiVersion":"hindcast.dev/v1","kind":"Plan"}"#), "not a whole plan"),
        (Some(r#"{"apiVersion":"hindcast.dev/v1","kind":"Plan","undoes":"x"}"#), "the plan of an undo"),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let failure = read(&path).unwrap_err();
        assert!(failure.to_string().contains(said) && !failure.hints.is_empty(), "{failure}");
    }
}
