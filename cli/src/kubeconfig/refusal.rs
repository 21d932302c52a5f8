//! Why a cluster does not say which it is, in words, and what to do about it.
//!
//! **Invariants.** (1) The server's own words are told, on one line and not at any length: what answers may be a proxy with a
//! page of its own. (2) Nothing is told in the form that Rust prints for debugging.

use std::error::Error as StdError;

use hindcast_journal::Error;
use hindcast_restorer::session::Unopened;
use http::StatusCode;
use kube::core::Status;
use rustls::CertificateError;

use super::Reach;
use crate::failure::Failure;

#[cfg(test)]
mod tests;

/// How much of an answer is told.
const TOLD: usize = 300;

impl Reach {
    /// Why a cluster does not say which it is, or is not the one that was meant.
    pub(crate) fn refused(&self, unopened: &Unopened) -> Failure {
        match unopened {
            Unopened::Refused(error) => refused(error, self),
            Unopened::Nameless => Failure::new("the cluster", unopened.to_string()),
            Unopened::Silent(_) | Unopened::Another { .. } => {
                Failure::new(format!("the API server {}", self.server()), unopened.to_string())
            }
        }
    }
}

/// Why asking for kube-system failed.
fn refused(error: &kube::Error, reach: &Reach) -> Failure {
    if let Some(own) = causes(error).find_map(|cause| cause.downcast_ref::<Failure>()) {
        return own.clone();
    }
    let failure = |reason: &str| Failure::new("the cluster", format!("namespace kube-system cannot be read: {reason}"));
    let answers = "the API server has to answer, and this user to have get on namespaces";
    match error {
        kube::Error::Api(status) if status.code == 401 => failure(&said(status))
            .hint("the API server does not know these credentials: log in anew, or renew the token or certificate of the kubeconfig's user"),
        kube::Error::Api(status) if status.code == 403 => failure(&said(status))
            .hint("give this account get, list and watch on all resources; get on the namespace kube-system is the least"),
        kube::Error::Api(status) => failure(&said(status)).hint(answers),
        kube::Error::SerdeError(_) => failure("what answers is no API server").hint(format!(
            "{} is the server of the kubeconfig: is it a page to log in at, or was it moved?",
            reach.server()
        )),
        other => {
            if let Some((reason, hint)) = causes(other).find_map(certificate).map(untrusted) {
                return failure(&format!("the server's certificate is not accepted: {reason}")).hint(hint);
            }
            let failed = failure(&Error::causes(without_layer(other)));
            match reach.proxy() {
                Some(proxy) => failed.hint(format!(
                    "{} is reached through the proxy {proxy}: does it let this through? NO_PROXY names what is reached without \
                     it, proxy-url of the kubeconfig another",
                    reach.server()
                )),
                None => failed.hint(answers),
            }
        }
    }
}

/// The server's own words: the error's would be its whole `Status`, twice.
fn said(status: &Status) -> String {
    let line = status.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = StatusCode::from_u16(status.code).ok().and_then(|code| code.canonical_reason());
    let line = if line.is_empty() { known.unwrap_or("no reason is given").to_owned() } else { line };
    let cut = if line.chars().nth(TOLD).is_some() { "…" } else { "" };
    format!("{}{cut} ({})", line.chars().take(TOLD).collect::<String>(), status.code)
}

/// An error and its causes, those included that are wrapped as one of input and output.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| cause.source())
    })
}

fn certificate<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a CertificateError> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

/// Why a certificate is not accepted, and what to do.
fn untrusted(error: &CertificateError) -> (String, &'static str) {
    let signed = "certificate-authority of the kubeconfig's cluster holds who signs the server's certificate";
    match error {
        CertificateError::UnknownIssuer => ("nobody signed it who is trusted".to_owned(), signed),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (error.to_string(), "tls-server-name of the kubeconfig's cluster says which name it has to be for")
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            "it is an authority's own".to_owned(),
            "have the authority sign one for the server (basicConstraints CA:FALSE), and leave certificate-authority as it is",
        ),
        CertificateError::Other(other) if other.to_string().contains("UnsupportedCertVersion") => (
            "it is of a version without names".to_owned(),
            "have it signed anew, as version 3 and with a subjectAltName",
        ),
        CertificateError::Other(other) => (other.to_string(), signed),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "it is signed with a kind of key that is not supported".to_owned(),
            "RSA from 2048 bits, ECDSA with P-256 or P-384 and Ed25519 are",
        ),
        other => (other.to_string(), signed),
    }
}

/// What a layer of the client passes on, without its name.
fn without_layer(error: &kube::Error) -> &(dyn StdError + 'static) {
    match error {
        kube::Error::Service(inner) => inner.as_ref(),
        other => other,
    }
}
