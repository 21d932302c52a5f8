//! What the clients of all stores have alike: whom they trust, how long they wait, how they come by plain http.
//!
//! **Invariant.** Certificates are verified always: what switches that off is refused, whether the environment or the URL
//! says it.

use std::{path::Path, time::Duration};

use hindcast_journal::Error;
use object_store::{Certificate, ClientOptions, RetryConfig};
use url::Url;

use super::{
    environment::Environment,
    options::{Options, TRUST},
};
use crate::failure::{Failure, Result};

/// How long a connection may take. It is set last, as the limit of a request is, since the environment may set others.
pub(super) const CONNECT_LIMIT: &str = "5 seconds";

/// A store that is to be opened.
pub(super) struct Asked<'a> {
    /// The whole URL.
    pub(super) url: &'a Url,
    /// What it says behind `?`.
    pub(super) options: Options,
    /// The variables.
    pub(super) env: &'a Environment,
    /// How long one request may take.
    pub(super) limit: &'static str,
}

impl Asked<'_> {
    /// A refusal of the store as a whole.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> Failure {
        Failure::new(self.options.what(), reason)
    }

    /// What the library has against its settings.
    pub(super) fn unbuilt(&self, error: &object_store::Error) -> Failure {
        let failure = self.refuse(Error::causes(error));
        match super::remedy(self.url.as_str()) {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        }
    }

    /// The bucket.
    pub(super) fn bucket(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The variables of one cloud, without those that a client may not be told so.
    pub(super) fn variables<'b>(&'b self, prefix: &'static str) -> Result<Vec<(&'b str, &'b str)>> {
        let insecure = format!("{prefix}ALLOW_INVALID_CERTIFICATES");
        if self.env.is_on(&insecure) {
            return Err(self.refuse(format!("{insecure} is not taken: {}", TRUST.0)).hint(TRUST.1));
        }
        Ok(self.env.starting(prefix).filter(|(name, _)| *name != insecure).collect())
    }

    /// Whom a client trusts: the system's authorities and those of the file that the URL, or else one of
    /// these, names.
    pub(super) fn client(&self, bundles: &[(&str, Option<&str>)]) -> Result<ClientOptions> {
        let given = [("caCert", self.options.text("caCert"))];
        let file = given.iter().chain(bundles).find_map(|(name, path)| Some((*name, (*path)?)));
        let mut options = ClientOptions::new();
        if let Some((name, path)) = file {
            for certificate in bundle(name, Path::new(path))? {
                options = options.with_root_certificate(certificate);
            }
        }
        if let Some(pem) = self.env.authority() {
            for certificate in
                certificates("caCert", "leave it out where the system's authorities are enough", pem.as_bytes())?
            {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options)
    }

    /// An endpoint that was named: that it is one, and that plain http was asked for. `named` is where it stands.
    pub(super) fn endpoint(&self, named: &str, text: &str, variable: &str) -> Result<Url> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            self.refuse(format!("the endpoint in {named} is no URL"))
                .hint("an endpoint is https://HOST, with :PORT where it has one of its own")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self
                .refuse(format!("the endpoint in {named} holds credentials"))
                .hint("credentials come from variables of their own"));
        }
        if url.scheme() == "http" && !self.may_be_plain(variable)? {
            let reason = format!("the endpoint in {named} is plain http, which is not allowed unasked");
            return Err(self.refuse(reason).hint(format!(
                "{variable}=true allows it, or allowHttp=true in the URL: whoever is on the way reads along; or give it \
                 with https://"
            )));
        }
        Ok(url)
    }

    /// Whether plain http was asked for.
    pub(super) fn may_be_plain(&self, variable: &str) -> Result<bool> {
        Ok(self.options.flag("allowHttp")?.unwrap_or_else(|| self.env.is_on(variable)))
    }
}

/// The certificates of a PEM file.
fn bundle(name: &str, path: &Path) -> Result<Vec<Certificate>> {
    let what = format!("{name} {}", path.display());
    let hint = "it names a file of PEM certificates; leave it out where the system's authorities are enough";
    let pem = std::fs::read(path).map_err(|e| Failure::new(&what, format!("cannot be read: {e}")).hint(hint))?;
    certificates(&what, hint, &pem)
}

/// The certificates of a text, of which there is one at least.
fn certificates(what: &str, hint: &str, pem: &[u8]) -> Result<Vec<Certificate>> {
    let refuse = |reason: String| Failure::new(what, reason).hint(hint);
    let certificates = Certificate::from_pem_bundle(pem).map_err(|e| refuse(Error::causes(&e)))?;
    if certificates.is_empty() {
        return Err(refuse("holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// The journal retries by its own rules, above the store; here only a hiccup is bridged, so that a store that is
/// away is reported in seconds.
pub(super) fn retry() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(8), ..RetryConfig::default() }
}
