//! What gives whoever restores their rights.

use std::collections::BTreeSet;

use super::scene::{Scene, key, object};
use crate::{caller::Caller, full::Full, kinds::rbac};

const BINDING: &str = "RoleBinding team";

fn binding(role: &str, user: &str) -> String {
    format!(
        r#"{{"roleRef":{{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"{role}"}},"subjects":[{{"kind":"User","name":"{user}"}}]}}"#
    )
}

fn by(mut scene: Scene, user: &str, groups: &[&str]) -> Scene {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let roles = Ok(BTreeSet::from([key("ClusterRole deployer")]));
    scene.live.caller = Some(Ok(Caller { user: user.to_owned(), groups, roles, components: BTreeSet::new() }));
    scene
}

#[test]
fn callers_rights_are_not_taken_by_a_binding_that_is_made_again() {
    let scene = || Scene::shop().then(BINDING, &binding("reader", "alice")).now(BINDING, &binding("deployer", "alice"));
    assert_eq!(by(scene(), "alice", &[]).lines(), ["leave update rolebinding team: callers-rights"]);
    // Somebody else's, and one of whoever no rule binds, may go for a moment.
    assert_eq!(by(scene(), "bob", &[]).lines(), ["recreate rolebinding team"]);
    assert_eq!(by(scene(), "alice", &["system:masters"]).lines(), ["recreate rolebinding team"]);
    let mut unknown = scene();
    unknown.live.caller = Some(Err("selfsubjectreviews is forbidden".into()));
    assert_eq!(unknown.lines(), ["leave update rolebinding team: callers-rights"]);
}

#[test]
fn callers_rights_are_not_taken_by_a_delete_or_by_less_subjects() {
    let added = || Scene::shop().now_as(BINDING, "x", &binding("deployer", "alice"));
    assert_eq!(by(added(), "alice", &[]).lines(), ["leave delete rolebinding team: callers-rights"]);
    assert_eq!(by(added(), "bob", &[]).lines(), ["delete rolebinding team"]);
    let less = || Scene::shop().then(BINDING, &binding("deployer", "bob")).now(BINDING, &binding("deployer", "alice"));
    assert_eq!(by(less(), "alice", &[]).lines(), ["leave update rolebinding team: callers-rights"]);
    let more = Scene::shop().then(BINDING, &binding("deployer", "alice")).now(BINDING, &binding("deployer", "bob"));
    assert_eq!(by(more, "alice", &[]).lines(), ["update rolebinding team"]);
}

#[test]
fn callers_rights_are_not_taken_with_a_role_an_account_or_its_namespace() {
    let role = |verbs: &str| format!(r#"{{"rules":[{{"apiGroups":[""],"resources":["pods"],"verbs":[{verbs}]}}]}}"#);
    let name = "ClusterRole deployer";
    let scene = |then: &str, now: &str| {
        let scene = Scene::new(crate::selection::What::All);
        scene.then(name, &role(then)).now(name, &role(now))
    };
    let (get, both) = (r#""get""#, r#""get","delete""#);
    assert_eq!(by(scene(get, both), "alice", &[]).lines(), ["leave update clusterrole deployer: callers-rights"]);
    let mut others = by(scene(get, both), "alice", &[]);
    if let Some(Ok(caller)) = &mut others.live.caller {
        caller.roles = Ok(BTreeSet::new());
    }
    assert_eq!(others.lines(), ["update clusterrole deployer"]);

    let robot = "system:serviceaccount:shop:robot";
    let account = || Scene::shop().now_as("ServiceAccount robot", "x", "{}");
    assert_eq!(by(account(), robot, &[]).lines(), ["leave delete serviceaccount robot: callers-rights"]);
    assert_eq!(by(account(), "alice", &[]).lines(), ["delete serviceaccount robot"]);
}

#[test]
fn callers_rights_are_not_taken_with_a_role_that_theirs_is_gathered_of() {
    let role = |label: &str, verbs: &str| {
        format!(
            r#"{{"metadata":{{"labels":{{{label}}}}},"rules":[{{"apiGroups":["example.com"],"resources":["widgets"],"verbs":[{verbs}]}}]}}"#
        )
    };
    let gathers = |label: &str| {
        format!(r#"{{"aggregationRule":{{"clusterRoleSelectors":[{{"matchLabels":{{"{label}":"true"}}}}]}}}}"#)
    };
    let expression = r#"{"metadata":{"labels":{"to-deployer":"true"}},"aggregationRule":{"clusterRoleSelectors":[{"matchExpressions":[{"key":"kit","operator":"In","values":["a","b"]}]}]}}"#;
    let full =
        |name: &str, body: &str| Full { value: object(&format!("ClusterRole {name}"), "u", 1, body), managed: None };
    let all = [
        full("deployer", &gathers("to-deployer")),
        full("widgets", &role(r#""to-deployer":"true""#, r#""get""#)),
        full("kits", expression),
        full("kit", &role(r#""kit":"b""#, r#""get""#)),
        full("other", &role(r#""kit":"c""#, r#""get""#)),
    ];
    let components = rbac::components(&BTreeSet::from([key("ClusterRole deployer")]), &all);
    let names: Vec<&str> = components.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["kit", "kits", "widgets"]);

    let lines = |name: &str, then: Option<&str>, now: &str| {
        let mut scene = Scene::new(crate::selection::What::All).now(name, now);
        if let Some(then) = then {
            scene = scene.then(name, then);
        }
        let mut scene = by(scene, "alice", &[]);
        if let Some(Ok(caller)) = &mut scene.live.caller {
            caller.components.clone_from(&components);
        }
        scene.lines()
    };
    let (label, both) = (r#""to-deployer":"true""#, r#""get","delete""#);
    let widgets = "ClusterRole widgets";
    let left = |verb: &str, name: &str| [format!("leave {verb} clusterrole {name}: callers-rights")];
    assert_eq!(lines(widgets, None, &role(label, both)), left("delete", "widgets"));
    assert_eq!(lines(widgets, Some(&role(label, r#""get""#)), &role(label, both)), left("update", "widgets"));
    assert_eq!(
        lines(widgets, Some(&role("", both)), &role(label, both)),
        left("update", "widgets"),
        "not gathered then"
    );
    assert_eq!(lines(widgets, Some(&role(label, both)), &role(label, r#""get""#)), ["update clusterrole widgets"]);
    assert_eq!(lines("ClusterRole other", None, &role("", both)), ["delete clusterrole other"]);
    let deployer = "ClusterRole deployer";
    let (then, now) = (gathers("to-somebody"), gathers("to-deployer"));
    assert_eq!(lines(deployer, Some(&then), &now), left("update", "deployer"), "it gathers less then");
}
