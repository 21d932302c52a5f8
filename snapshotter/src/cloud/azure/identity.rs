//! As whom Azure is asked: tokens of Microsoft Entra, kept until shortly before they end.
//!
//! The client library's own crate of credentials is left out: it is as old as the library, and brings several more to
//! trust. What is here is three requests, each in Microsoft's documentation of the token endpoint: a client's secret, a client's
//! assertion (workload identity), and the machine's own identity.

use std::{fmt, path::PathBuf, sync::Mutex, sync::PoisonError, time::Duration};

use hindcast_journal::error::{Error, ErrorKind};
use serde::Deserialize;

use super::super::{
    Hidden,
    patience::{Fault, Patience},
};

/// Where Azure's public cloud gives tokens.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where a machine asks for its own.
const MACHINE: &str = "http://169.254.169.254";
/// How long before its end a token is not used any more.
const EARLY: Duration = Duration::from_mins(5);

/// As whom Azure is asked.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// As an application with a secret.
    Secret {
        /// Its tenant.
        tenant: String,
        /// Its id.
        client: String,
        /// Its secret.
        secret: Hidden,
    },
    /// As an application that trusts a service account (workload identity).
    WorkloadIdentity {
        /// Its tenant.
        tenant: String,
        /// Its id.
        client: String,
        /// The file with the account's token.
        token: PathBuf,
    },
    /// As the identity of the machine this runs on; the one of this id, where it has several.
    Machine(Option<String>),
}

impl Default for Credentials {
    fn default() -> Self {
        Self::Machine(None)
    }
}

impl Credentials {
    /// Those that the environment names, by the variables that every program of Azure's reads; the machine's if it names none.
    pub fn found(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (tenant, client) = (set("AZURE_TENANT_ID"), set("AZURE_CLIENT_ID"));
        let (token, secret) = (set("AZURE_FEDERATED_TOKEN_FILE"), set("AZURE_CLIENT_SECRET"));
        match (tenant, client, token, secret) {
            (Some(tenant), Some(client), Some(token), _) => {
                Self::WorkloadIdentity { tenant, client, token: token.into() }
            }
            (Some(tenant), Some(client), None, Some(secret)) => {
                Self::Secret { tenant, client, secret: Hidden::new(secret) }
            }
            (_, client, ..) => Self::Machine(client),
        }
    }
}

/// Gets tokens.
pub(super) struct Identity {
    http: reqwest::Client,
    authority: String,
    /// What tokens are for: Azure's own API.
    audience: String,
    credentials: Credentials,
    patience: Patience,
    /// The newest token, and when it ends on the clock that never steps back.
    kept: Mutex<Option<(Hidden, Duration)>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// An answer of the token endpoint. The machine's says the time as text.
#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Identity {
    pub(super) fn new(
        http: reqwest::Client,
        authority: Option<&str>,
        audience: &str,
        credentials: Credentials,
        patience: Patience,
    ) -> Self {
        let default = if matches!(credentials, Credentials::Machine(_)) { MACHINE } else { AUTHORITY };
        let authority = authority.unwrap_or(default).trim_end_matches('/').to_owned();
        let audience = audience.trim_end_matches('/').to_owned();
        Self { http, authority, audience, credentials, patience, kept: Mutex::default() }
    }

    /// The newest token, if it is good for a while.
    pub(super) fn kept(&self) -> Option<Hidden> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(_, ends)| self.patience.now() < *ends).map(|(token, _)| token.clone())
    }

    /// Forgets the newest token, which was refused.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sees to it that there is a token.
    pub(super) async fn ready(&self) -> Result<Hidden, Fault> {
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        const WHAT: &str = "a token for Azure";
        let lost = |error: &reqwest::Error| Fault::lost(Error::new(ErrorKind::Unavailable, WHAT, Error::causes(error)));
        let request = self.request(WHAT)?;
        let asked = async {
            let answer = request.send().await.map_err(|error| lost(&error))?;
            let status = answer.status().as_u16();
            Ok((status, answer.bytes().await.map_err(|error| lost(&error))?))
        };
        let (status, body) = self.patience.answer(WHAT, asked).await?;
        if status != 200 {
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let said = said["error_description"].as_str().or_else(|| said["error"].as_str()).unwrap_or("no reason");
            let reason = format!("{} answers {status}: {said}", self.authority);
            return Err(match status {
                429 | 500.. => Fault::busy(Error::new(ErrorKind::Unavailable, WHAT, reason), None),
                _ => Fault::last(
                    Error::new(ErrorKind::Denied, WHAT, reason)
                        .with_hint("check tenant, client and secret, or which service account the application trusts"),
                ),
            });
        }
        let given: Given = serde_json::from_slice(&body)
            .map_err(|_| Fault::last(Error::new(ErrorKind::Denied, WHAT, "the answer holds no token")))?;
        let seconds = given.expires_in.as_u64().or_else(|| given.expires_in.as_str()?.parse().ok()).unwrap_or(600);
        let ends = self.patience.now() + Duration::from_secs(seconds).saturating_sub(EARLY);
        let token = Hidden::new(given.access_token);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), ends));
        Ok(token)
    }

    fn request(&self, what: &str) -> Result<reqwest::RequestBuilder, Fault> {
        let scope = format!("{}/.default", self.audience);
        let form = |tenant: &str, fields: &[(&str, &str)]| {
            let more = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
            let body = url_form(&[fields, more.as_slice()].concat());
            let url = format!("{}/{tenant}/oauth2/v2.0/token", self.authority);
            self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
        };
        Ok(match &self.credentials {
            Credentials::Secret { tenant, client, secret } => {
                form(tenant, &[("client_id", client), ("client_secret", secret.reveal())])
            }
            Credentials::WorkloadIdentity { tenant, client, token } => {
                // Read each time: the kubelet replaces it.
                let assertion = std::fs::read_to_string(token).map_err(|error| {
                    let reason = format!("the service account's token {}: {error}", token.display());
                    Error::new(ErrorKind::Denied, what, reason).with_hint("mount it, or set AZURE_FEDERATED_TOKEN_FILE")
                })?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let fields = [
                    ("client_id", client.as_str()),
                    ("client_assertion_type", kind),
                    ("client_assertion", assertion.trim()),
                ];
                form(tenant, &fields)
            }
            Credentials::Machine(client) => {
                let resource = format!("{}/", self.audience);
                let mut query = vec![("api-version", "2018-02-01"), ("resource", resource.as_str())];
                query.extend(client.as_ref().map(|client| ("client_id", client.as_str())));
                let url = format!("{}/metadata/identity/oauth2/token?{}", self.authority, url_form(&query));
                self.http.get(url).header("metadata", "true")
            }
        })
    }
}

/// Fields as a form has them.
fn url_form(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        let each = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(each).collect::<String>()
    };
    let pair = |(name, value): &(&str, &str)| format!("{}={}", escaped(name), escaped(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests;
