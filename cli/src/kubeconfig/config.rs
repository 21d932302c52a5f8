//! From a kubeconfig and the environment to how a cluster is reached: server, authority, proxy, credentials.
//!
//! **Invariants.** (1) What is missing or broken is named, with the file or field to mend. (2) A Pod's own account and a
//! kubeconfig go the same ways: the same proxies, the same renewal.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_journal::Parts;
use http::Uri;
use kube::{
    Config,
    config::{AuthInfo, Cluster, ExecAuthCluster, Kubeconfig},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    client::Reach,
    credentials::{Credentials, Interaction, Source, bearer},
    proxy::{self, Environment},
};
use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// How the context `wanted`, or else the current one, is reached.
pub(crate) fn of_context(
    kubeconfig: &Kubeconfig,
    wanted: Option<&str>,
    environment: &Environment,
    interaction: Interaction,
    parts: &Parts,
) -> Result<Reach> {
    let (cluster, user, namespace) = chosen(kubeconfig, wanted)?;
    let mut config = Config::new(server(cluster)?);
    if let Some(namespace) = namespace {
        config.default_namespace = namespace;
    }
    config.root_cert = authority(cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Some(proxy::read("the kubeconfig (proxy-url)", url)?),
        None => environment.proxy_for(&config.cluster_url)?,
    };
    config.auth_info = user;
    if let Some(exec) = config.auth_info.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let described = ExecAuthCluster::try_from(cluster);
        exec.cluster = Some(described.map_err(|e| broken("the cluster", &e.to_string()))?);
    }
    reach(config, interaction, parts)
}

/// How the cluster is reached whose Pod this is.
pub(crate) fn of_pod(mut config: Config, environment: &Environment, parts: &Parts) -> Result<Reach> {
    config.proxy_url = environment.proxy_for(&config.cluster_url)?;
    reach(config, Interaction::None, parts)
}

fn reach(mut config: Config, interaction: Interaction, parts: &Parts) -> Result<Reach> {
    // Watches stay open for minutes: only connecting has a limit here, requests have their own.
    config.read_timeout = None;
    // The client's own retries of 429, 503 and 504 go on for minutes: an API that is down would be a request that hangs.
    // The watcher has rules of its own, and a reader does without the cluster.
    config.default_retry = false;
    let source = renewed(&mut config.auth_info, interaction)?;
    Ok(Reach::new(config, source.map(|source| Credentials::new(source, parts.clone()))))
}

/// The cluster and the user of a context, and its namespace.
fn chosen<'a>(
    kubeconfig: &'a Kubeconfig,
    wanted: Option<&str>,
) -> Result<(&'a Cluster, AuthInfo, Option<String>)> {
    let Some(name) = wanted.or(kubeconfig.current_context.as_deref()) else {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect();
        let hint = match known.as_slice() {
            [] => "--kubeconfig FILE, or KUBECONFIG, names one with a context".to_owned(),
            known => format!("--context NAME chooses one: {}", known.join(", ")),
        };
        return Err(Failure::new("kubeconfig", "no context is the current one").hint(hint));
    };
    let absent = |what: String| broken(&what, "is not there");
    let context = kubeconfig.contexts.iter().find(|named| named.name == name);
    let context = context.and_then(|named| named.context.as_ref()).ok_or_else(|| absent(format!("context \"{name}\"")))?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    let cluster = cluster
        .and_then(|named| named.cluster.as_ref())
        .ok_or_else(|| absent(format!("cluster \"{}\" of context \"{name}\"", context.cluster)))?;
    // As kubectl: who is not described is nobody.
    let user = context.user.as_deref().and_then(|user| kubeconfig.auth_infos.iter().find(|named| named.name == user));
    let user = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    Ok((cluster, user, context.namespace.clone().filter(|namespace| !namespace.is_empty())))
}

fn server(cluster: &Cluster) -> Result<Uri> {
    let text = cluster.server.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| broken("the cluster", "names no server"))?;
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    whole.parse().map_err(|e| broken(&format!("the server {text:?}"), &format!("is no URL: {e}")))
}

/// The certificates that the server's has to be signed by; nothing for those of the system.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>> {
    let full = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (what, pem) = match (full(&cluster.certificate_authority_data), full(&cluster.certificate_authority)) {
        (Some(data), _) => {
            let what = "certificate-authority-data".to_owned();
            let pem = BASE64_STANDARD.decode(data.trim()).map_err(|e| broken(&what, &e.to_string()))?;
            (what, pem)
        }
        (None, Some(file)) => {
            let what = format!("certificate-authority {file}");
            let pem = std::fs::read(&file).map_err(|e| broken(&what, &e.to_string()))?;
            (what, pem)
        }
        (None, None) => return Ok(None),
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = read.map_err(|e| broken(&what, &e.to_string()))?;
    if found.is_empty() {
        return Err(broken(&what, "holds no certificate"));
    }
    Ok(Some(found.into_iter().map(|der| der.as_ref().to_vec()).collect()))
}

/// Takes out of a user what is renewed here, and leaves what is good for ever.
fn renewed(user: &mut AuthInfo, interaction: Interaction) -> Result<Option<Source>> {
    // Kept as the client has them: both are from before plugins.
    if user.auth_provider.is_some() || user.username.is_some() {
        return Ok(None);
    }
    let file = user.token_file.take().filter(|path| !path.is_empty());
    let exec = user.exec.take();
    let token = user.token.as_ref().map(|token| secrecy::ExposeSecret::expose_secret(token).trim().to_owned());
    let token = token.filter(|token| !token.is_empty());
    let header = token.map(|token| {
        bearer(&token).ok_or_else(|| broken("the user's token", "cannot stand in a header"))
    });
    let header = header.transpose()?;
    if let Some(path) = file {
        user.token = None;
        return Ok(Some(Source::TokenFile(path.into(), header)));
    }
    if header.is_some() {
        return Ok(None);
    }
    user.token = None;
    if let Some(exec) = exec {
        return Ok(Some(Source::Plugin(Box::new(exec), interaction)));
    }
    let file = |data: bool, path: &Option<String>| path.clone().filter(|path| !data && !path.is_empty());
    let certificate = file(user.client_certificate_data.is_some(), &user.client_certificate);
    let key = file(user.client_key_data.is_some(), &user.client_key);
    let files: Vec<PathBuf> = certificate.into_iter().chain(key).map(PathBuf::from).collect();
    Ok((!files.is_empty()).then_some(Source::CertificateFiles(files)))
}

fn broken(what: &str, reason: &str) -> Failure {
    Failure::new("kubeconfig", format!("{what} {reason}")).hint("--kubeconfig FILE and --context NAME choose another")
}
