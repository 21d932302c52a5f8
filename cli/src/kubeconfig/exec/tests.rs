use std::{os::unix::fs::PermissionsExt as _, path::Path};

use super::*;

const V1: &str = "client.authentication.k8s.io/v1";

fn plugin(dir: &Path, script: &str) -> ExecConfig {
    let path = dir.join("plugin");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    ExecConfig { api_version: Some(V1.to_owned()), command: Some(path.display().to_string()), ..ExecConfig::default() }
}

async fn answer(script: &str) -> Result<Given> {
    let dir = tempfile::tempdir().unwrap();
    ask(&plugin(dir.path(), script), false, &Parts::system()).await
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named_with_its_install_hint() {
    let mut exec = ExecConfig {
        api_version: Some(V1.to_owned()),
        command: Some("no-such-login-plugin".to_owned()),
        install_hint: Some("brew install login-plugin\n".to_owned()),
        ..ExecConfig::default()
    };
    let failure = ask(&exec, false, &Parts::system()).await.unwrap_err();
    assert!(failure.what.contains("`no-such-login-plugin`"), "{failure}");
    assert!(failure.reason.contains("not installed"), "{failure}");
    assert_eq!(failure.hints, ["brew install login-plugin"]);
    exec.install_hint = None;
    let failure = ask(&exec, false, &Parts::system()).await.unwrap_err();
    assert!(failure.hints[0].contains("no-such-login-plugin"), "{failure:?}");
}

#[tokio::test]
async fn a_plugin_that_must_ask_a_person_is_not_begun_without_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut exec = plugin(dir.path(), &format!("touch {}/begun", dir.path().display()));
    exec.interactive_mode = Some(ExecInteractiveMode::Always);
    let failure = ask(&exec, false, &Parts::system()).await.unwrap_err();
    assert!(failure.reason.contains("no terminal"), "{failure}");
    assert!(!dir.path().join("begun").exists());
}

#[tokio::test]
async fn a_plugin_is_told_what_it_is_for_and_reads_nothing_where_nobody_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut exec = plugin(
        dir.path(),
        r#"read -r line && exit 9
test "${CARGO_PKG_NAME-unset}" = "" || exit 8 # set, to nothing
printf '{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"%s-%s","expirationTimestamp":"2026-11-01T00:00:00Z"}}' "$2" "$1" "$WHO"
printf '%s' "$KUBERNETES_EXEC_INFO" > "$0.info""#,
    );
    exec.args = Some(vec!["first".to_owned(), V1.to_owned()]);
    let variable = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    exec.env = Some(vec![variable(&[("name", "WHO"), ("value", "me")]), variable(&[("name", "CARGO_PKG_NAME")])]);
    let given = ask(&exec, false, &Parts::system()).await.unwrap();
    assert_eq!(given.token.as_deref(), Some("first-me"));
    assert_eq!(given.expires, Some(1_793_491_200_000_000));
    let info = std::fs::read(dir.path().join("plugin.info")).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info, json!({"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": false}}));
}

#[tokio::test]
async fn a_plugin_that_fails_is_quoted_and_one_that_answers_oddly_is_not() {
    let failure = answer("echo hunter2; echo 'the session   has\nexpired' >&2; exit 3").await.unwrap_err();
    assert!(failure.reason.contains("exit status: 3: the session has expired"), "{failure}");
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    let credential = |version: &str, status: &str| {
        format!("echo '{{\"apiVersion\": \"{version}\", \"kind\": \"ExecCredential\", \"status\": {status}}}'")
    };
    for (script, reason) in [
        ("echo hunter2".to_owned(), "no ExecCredential"),
        (
            credential("client.authentication.k8s.io/v1alpha1", "{\"token\": \"hunter2\"}"),
            "answers in `client.authentication.k8s.io/v1alpha1`",
        ),
        (credential(V1, "{}"), "neither a token nor a certificate"),
        (credential(V1, "null"), "no credentials"),
        (credential(V1, "{\"clientKeyData\": \"hunter2\"}"), "without its certificate"),
        (credential(V1, "{\"token\": \"hunter2\", \"expirationTimestamp\": \"soon\"}"), "no time"),
    ] {
        let failure = answer(&script).await.unwrap_err();
        assert!(failure.reason.contains(reason), "{script}: {failure}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
}
