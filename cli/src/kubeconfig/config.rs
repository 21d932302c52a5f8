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
    config::{AuthInfo, AuthProviderConfig, Cluster, ExecAuthCluster, Kubeconfig},
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
    let authority = authority(cluster)?;
    config.root_cert = authority.certificates;
    config.root_cert_file = authority.file;
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
fn chosen<'a>(kubeconfig: &'a Kubeconfig, wanted: Option<&str>) -> Result<(&'a Cluster, AuthInfo, Option<String>)> {
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
    let context =
        context.and_then(|named| named.context.as_ref()).ok_or_else(|| absent(format!("context \"{name}\"")))?;
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
    let secured = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false if secured => format!("https://{text}"),
        // As kubectl: nothing speaks of TLS.
        false => format!("http://{text}"),
    };
    whole.parse().map_err(|e| broken(&format!("the server {text:?}"), &format!("is no URL: {e}")))
}

/// Whom the server's certificate has to be signed by.
#[derive(Debug, Default)]
struct Authority {
    /// Nothing for those whom the system trusts.
    certificates: Option<Vec<Vec<u8>>>,
    /// The file they are in, which is read again: authorities are rotated too.
    file: Option<PathBuf>,
}

fn authority(cluster: &Cluster) -> Result<Authority> {
    let file = cluster.certificate_authority.as_ref();
    let (what, pem) = match (&cluster.certificate_authority_data, file) {
        (Some(data), _) => {
            let what = "certificate-authority-data".to_owned();
            let pem = BASE64_STANDARD.decode(data).map_err(|_| broken(&what, "is no base64"))?;
            (what, pem)
        }
        (None, Some(file)) => {
            let what = format!("certificate-authority {file}");
            let pem = std::fs::read(file).map_err(|e| broken(&what, &e.to_string()))?;
            (what, pem)
        }
        (None, None) => return Ok(Authority::default()),
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = read.map_err(|e| broken(&what, &e.to_string()))?;
    let count = found.len();
    // One that cannot be read takes nothing from the others.
    let trusted = |der: &CertificateDer<'_>| rustls::RootCertStore::empty().add(der.clone().into_owned()).is_ok();
    let good: Vec<_> = found.into_iter().filter(trusted).map(|der| der.as_ref().to_vec()).collect();
    if good.is_empty() {
        return Err(broken(&what, "holds no certificate"));
    }
    // Who reads the file again takes all of it or nothing.
    let whole = good.len() == count && cluster.certificate_authority_data.is_none();
    let file = file.filter(|_| whole).map(PathBuf::from);
    Ok(Authority { certificates: Some(good), file })
}

/// Takes out of a user what is renewed here, and leaves what is good for ever. Of several credentials one is used, and it is
/// the one that kubectl uses; where kubectl refuses to choose, a name and a password go before a token.
fn renewed(user: &mut AuthInfo, interaction: Interaction) -> Result<Option<Source>> {
    let provider = user.auth_provider.take();
    let exec = user.exec.take();
    let file = user.token_file.take();
    let token = user.token.take();
    if user.username.is_some() {
        user.password.get_or_insert_with(|| String::new().into());
        return Ok(None);
    }
    let token = token.map(|token| secrecy::ExposeSecret::expose_secret(&token).trim().to_owned());
    let token = token.filter(|token| !token.is_empty());
    let header = token
        .as_deref()
        .map(|token| bearer(token).ok_or_else(|| broken("the user's token", "cannot stand in a header")));
    let header = header.transpose()?;
    if let Some(path) = file {
        return Ok(Some(Source::TokenFile(path.into(), header)));
    }
    if let Some(token) = token {
        user.token = Some(token.into());
        return Ok(None);
    }
    if let Some(provider) = provider {
        let token = of_provider(provider)?;
        bearer(&token).ok_or_else(|| broken("the user's id-token", "cannot stand in a header"))?;
        user.token = Some(token.into());
        return Ok(None);
    }
    let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    if let Some(exec) = exec.filter(|_| !has_certificate) {
        return Ok(Some(Source::Plugin(Box::new(exec), interaction)));
    }
    let file = |data: bool, path: &Option<String>| path.clone().filter(|_| !data);
    let certificate = file(user.client_certificate_data.is_some(), &user.client_certificate);
    let key = file(user.client_key_data.is_some(), &user.client_key);
    let files: Vec<PathBuf> = certificate.into_iter().chain(key).map(PathBuf::from).collect();
    Ok((!files.is_empty()).then_some(Source::CertificateFiles(files)))
}

/// The token of an `auth-provider`, which is what was before plugins.
fn of_provider(mut provider: AuthProviderConfig) -> Result<String> {
    let of = |name: &str| format!("the user's auth-provider {name}");
    let successor = match provider.name.as_str() {
        "oidc" => {
            let token = provider.config.remove("id-token").map(|token| token.trim().to_owned());
            // It is not renewed here: what the issuer gives for it would be kept from the kubeconfig's other users.
            return token.filter(|token| !token.is_empty()).ok_or_else(|| {
                Failure::new("kubeconfig", format!("{} holds no id-token", of("oidc")))
                    .hint("log in anew, or use a credential plugin such as kubelogin, which renews its tokens")
            });
        }
        "gcp" => "the plugin gke-gcloud-auth-plugin",
        "azure" => "the plugin kubelogin (https://github.com/Azure/kubelogin)",
        _ => "a credential plugin (exec)",
    };
    Err(Failure::new("kubeconfig", format!("{} is not known any more, to kubectl neither", of(&provider.name)))
        .hint(format!("have the kubeconfig written anew, with {successor}")))
}

fn broken(what: &str, reason: &str) -> Failure {
    Failure::new("kubeconfig", format!("{what} {reason}")).hint("--kubeconfig FILE and --context NAME choose another")
}
