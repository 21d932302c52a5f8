//! A credential plugin: a command that a kubeconfig names and that prints a token or a client certificate.
//!
//! **Words**: what it prints is an `ExecCredential`; it may ask a person something if it is *interactive*.
//!
//! **Invariants.**
//! 1. A plugin gets a terminal only where there is one; without one it is not begun if it must have it, and it is not waited
//!    for longer than [`LIMIT`] otherwise.
//! 2. What it prints is never told on: an error quotes its standard error at most.
//!
//! Not here: when it is asked again ([`super::credentials`]).

use std::{io::ErrorKind, process::Stdio, time::Duration};

use hindcast_journal::{Parts, parts::Micros};
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::credentials::Identity;
use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// How long a plugin that asks nobody may take.
const LIMIT: Duration = Duration::from_mins(1);
/// How much of a plugin's standard error is told.
const TOLD: usize = 500;

/// What a plugin gave.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// A bearer token.
    pub(crate) token: Option<String>,
    /// A client certificate.
    pub(crate) identity: Option<Identity>,
    /// Until when both are good, where it said.
    pub(crate) expires: Option<Micros>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    client_certificate_data: Option<String>,
    #[serde(default)]
    client_key_data: Option<String>,
    #[serde(default)]
    expiration_timestamp: Option<String>,
}

/// Runs the plugin. `terminal` says whether somebody sits at standard input.
pub(crate) async fn ask(exec: &ExecConfig, terminal: bool, parts: &Parts) -> Result<Given> {
    let name = exec.command.as_deref().unwrap_or_default();
    let what = format!("the kubeconfig's credential plugin `{name}`");
    let version = exec.api_version.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(Failure::new(what, "names no command").hint("set exec.command of the kubeconfig's user"));
    }
    if !matches!(version, "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
        return Err(Failure::new(what, format!("speaks `{version}`, which is not understood"))
            .hint("exec.apiVersion is client.authentication.k8s.io/v1 or …/v1beta1: have the plugin write the kubeconfig anew"));
    }
    let interactive = match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !terminal => {
            return Err(Failure::new(what, "asks a person (interactiveMode: Always), and standard input is no terminal")
                .hint("log in where there is a terminal, or give this process credentials that ask nobody: a service account's token, a certificate"));
        }
        Some(ExecInteractiveMode::Always) => true,
        Some(ExecInteractiveMode::IfAvailable) | None => terminal,
    };
    let output = run(exec, name, &what, interactive, parts).await?;
    if !output.status.success() {
        let mut reason = format!("ended with {}", output.status);
        let said = said(&output.stderr);
        if !said.is_empty() {
            reason = format!("{reason}: {said}");
        }
        return Err(
            Failure::new(what, reason).hint("run the command by itself to see what it wants; it may need a new login")
        );
    }
    given(&output.stdout, version)
        .map_err(|reason| Failure::new(what, reason).hint("bring the plugin and the kubeconfig it wrote up to date"))
}

async fn run(
    exec: &ExecConfig,
    name: &str,
    what: &str,
    interactive: bool,
    parts: &Parts,
) -> Result<std::process::Output> {
    let spec = match &exec.cluster {
        Some(cluster) if exec.provide_cluster_info => json!({"interactive": interactive, "cluster": cluster}),
        _ => json!({"interactive": interactive}),
    };
    let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    let mut command = tokio::process::Command::new(name);
    command.args(exec.args.iter().flatten()).env("KUBERNETES_EXEC_INFO", info.to_string());
    for variable in exec.env.iter().flatten() {
        if let Some(name) = variable.get("name") {
            command.env(name, variable.get("value").map_or("", String::as_str));
        }
    }
    command.stdout(Stdio::piped()).kill_on_drop(true);
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let output = async { command.spawn()?.wait_with_output().await };
    let ended = if interactive { Some(output.await) } else { parts.timeout(LIMIT, output).await };
    let Some(ended) = ended else {
        return Err(Failure::new(what, format!("did not end within {} s", LIMIT.as_secs()))
            .hint("run the command by itself to see what it waits for"));
    };
    ended.map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            let hint = exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
            Failure::new(what, "is not installed: there is no such command")
                .hint(hint.map_or_else(|| format!("install `{name}`, or put its folder on PATH"), str::to_owned))
        }
        _ => Failure::new(what, format!("cannot be run: {e}")),
    })
}

/// Reads an `ExecCredential`; the reason why it is none quotes nothing of it.
fn given(output: &[u8], version: &str) -> Result<Given, String> {
    // YAML, of which JSON is a part: some plugins print that, and kubectl takes it.
    let credential: Credential =
        serde_saphyr::from_slice(output).map_err(|_| "printed what is no ExecCredential".to_owned())?;
    if credential.kind != "ExecCredential" {
        return Err("printed what is no ExecCredential".to_owned());
    }
    if credential.api_version != version {
        return Err(format!("answers in `{}`, and the kubeconfig says `{version}`", credential.api_version));
    }
    let status = credential.status.ok_or("gave no credentials")?;
    let full = |text: Option<String>| text.filter(|text| !text.is_empty());
    let identity = match (full(status.client_certificate_data), full(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        _ => return Err("gave a certificate without its key, or a key without its certificate".to_owned()),
    };
    let token = full(status.token);
    if token.is_none() && identity.is_none() {
        return Err("gave neither a token nor a certificate".to_owned());
    }
    let expires = match full(status.expiration_timestamp) {
        Some(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|_| "gave an expirationTimestamp that is no time")?;
            Some(time.as_microsecond())
        }
        None => None,
    };
    Ok(Given { token, identity, expires })
}

/// What stands in a plugin's standard error, on one line: its end, where the reason is.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = line.chars().count().saturating_sub(TOLD);
    line.chars().skip(skipped).collect()
}
