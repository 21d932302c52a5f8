use serde_json::json;

use super::*;

fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": "u", "annotations": annotations, "labels": {"app": "db"}},
        "spec": {"containers": [{"name": "db"}, {"name": "side"}]},
        "status": {"phase": "Running"},
    })
}

fn found(pods: &[Value], specs: &[HookSpec]) -> Found {
    let keys: Vec<_> = pods.iter().map(|pod| ("shop".to_owned(), text(pod, "/metadata/name"))).collect();
    find(keys.iter().zip(pods), specs).unwrap()
}

#[test]
fn annotations_are_read_as_velero_reads_them() {
    let both = json!({
        "pre.hook.backup.velero.io/command": "[\"/bin/sh\", \"-c\", \"echo a\"]",
        "pre.hook.backup.velero.io/container": "side",
        "pre.hook.backup.velero.io/on-error": "Continue",
        "pre.hook.backup.velero.io/timeout": "1m30s",
        "post.hook.backup.velero.io/command": "/thaw",
    });
    let hooks = found(&[pod("a", &both)], &[]).hooks;
    let seen: Vec<_> = hooks.iter().map(|(_, h)| (h.phase, h.container.as_str(), h.on_error, h.timeout)).collect();
    assert_eq!(seen, [(Phase::Pre, "side", OnError::Continue, 90_000), (Phase::Post, "db", OnError::Fail, 30_000)]);
    assert_eq!(hooks[0].1.command, ["/bin/sh", "-c", "echo a"]);
    assert_eq!(hooks[1].1.command, ["/thaw"]);
}

#[test]
fn keys_without_a_phase_mean_before_and_newer_ones_win() {
    let old = json!({"hook.backup.velero.io/command": "/old"});
    assert_eq!(found(&[pod("a", &old)], &[]).hooks[0].1.command, ["/old"]);
    let both = json!({"hook.backup.velero.io/command": "/old", "pre.hook.backup.velero.io/command": "/new"});
    let hooks = found(&[pod("a", &both)], &[]).hooks;
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks[0].1.command, ["/new"]);
}

#[test]
fn annotations_go_before_templates_and_rounds_are_the_templates_order() {
    let spec = |name: &str, command: &str| HookSpec {
        name: name.to_owned(),
        pre: vec![ExecSpec { command: vec![command.to_owned()], ..ExecSpec::default() }],
        ..HookSpec::default()
    };
    let own = json!({"pre.hook.backup.velero.io/command": "/own"});
    let found = found(&[pod("a", &own), pod("b", &json!({}))], &[spec("first", "/1"), spec("second", "/2")]);
    let seen: Vec<_> = found.hooks.iter().map(|(round, h)| (*round, h.pod.as_str(), h.source.as_str())).collect();
    assert_eq!(seen, [(0, "a", "annotations"), (1, "b", "first"), (2, "b", "second")]);
}

#[test]
fn what_cannot_be_understood_names_the_annotation() {
    for (key, value, says) in [
        ("container", "nope", "there is no container nope, only db, side"),
        ("on-error", "Panic", "neither Fail nor Continue"),
        ("timeout", "soon", "no duration"),
        ("timeout", "5h", "longer than 4 h"),
        ("timeout", "0s", "leaves no time"),
        ("command", "[", "a list of words"),
        ("command", "[]", "has no word"),
    ] {
        let mut annotations = json!({"pre.hook.backup.velero.io/command": "/x"});
        annotations[format!("pre.hook.backup.velero.io/{key}")] = value.into();
        let found = found(&[pod("a", &annotations)], &[]);
        let why = found.wrong.values().next().unwrap();
        assert!(why.contains(says) && why.contains(key), "{why}");
        assert!(found.hooks.is_empty());
    }
}

#[test]
fn nothing_is_run_in_a_pod_that_does_not_run() {
    let mut done = pod("a", &json!({"pre.hook.backup.velero.io/command": "/x"}));
    done["status"]["phase"] = "Succeeded".into();
    let mut going = pod("b", &json!({"pre.hook.backup.velero.io/command": "/x"}));
    going["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z".into();
    assert!(found(&[done, going], &[]).hooks.is_empty());
}
