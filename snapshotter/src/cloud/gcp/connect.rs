//! Clients of Compute Engine: whose credentials, which project, which address.
//!
//! The libraries' own retries are off. Whoever runs this has installed a crypto provider for rustls, as for every connection
//! of the process: the libraries' default one is left out.

use google_cloud_auth::credentials::{self, external_account, service_account};
use google_cloud_compute_v1::client::{Disks, RegionDisks, Snapshots};
use google_cloud_gax::retry_policy::NeverRetry;
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};

use super::super::Hidden;

/// The scope of every right here; which of them there are, IAM says.
const SCOPE: &str = "https://www.googleapis.com/auth/compute";

/// How to reach Compute Engine, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The project that snapshots are made in, and that disks of built-in volumes are in.
    pub project: String,
    /// Another address than Google's.
    pub endpoint: Option<String>,
    /// As whom.
    pub credentials: Credentials,
}

/// As whom Compute Engine is asked.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// As the application default credentials say: a file, the user's own, or the machine's or pod's service account.
    #[default]
    Found,
    /// As a credentials file in JSON says: of a service account's key, or of a workload identity federation
    /// (`external_account`).
    File(Hidden),
}

/// The clients.
pub(super) async fn clients(settings: &Settings) -> Result<(Snapshots, Disks, RegionDisks)> {
    const WHAT: &str = "the client of Google Compute Engine";
    if settings.project.is_empty() {
        return Err(Error::invalid(WHAT, "no project is set").with_hint("set the volume location's project"));
    }
    let credentials = who(&settings.credentials)?;
    let wrong = |error: &dyn std::error::Error| Error::new(ErrorKind::Invalid, WHAT, Error::causes(error));
    /// One builder of the generated ones: they are of three types.
    macro_rules! client {
        ($client:ident) => {{
            let mut builder = $client::builder().with_credentials(credentials.clone()).with_retry_policy(NeverRetry);
            if let Some(endpoint) = &settings.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build().await.map_err(|error| wrong(&error))?
        }};
    }
    Ok((client!(Snapshots), client!(Disks), client!(RegionDisks)))
}

fn who(credentials: &Credentials) -> Result<credentials::Credentials> {
    const WHAT: &str = "the credentials for Google Compute Engine";
    let built = match credentials {
        Credentials::Found => credentials::Builder::default().with_scopes([SCOPE]).build(),
        Credentials::File(text) => {
            let hint = "give the JSON file of a service account's key or of a workload identity federation";
            // The text is secret, so of a mistake in it only the place is told.
            let file: serde_json::Value = serde_json::from_str(text.reveal()).map_err(|error| {
                let reason = format!("they are no JSON: line {}, column {}", error.line(), error.column());
                Error::invalid(WHAT, reason).with_hint(hint)
            })?;
            match file["type"].as_str() {
                Some("service_account") => {
                    let access = service_account::AccessSpecifier::from_scopes([SCOPE]);
                    service_account::Builder::new(file).with_access_specifier(access).build()
                }
                Some("external_account") => external_account::Builder::new(file).with_scopes([SCOPE]).build(),
                other => {
                    let reason = format!("their type is {}", other.unwrap_or("not said"));
                    return Err(Error::invalid(WHAT, reason).with_hint(hint));
                }
            }
        }
    };
    built.map_err(|error| {
        let hint = "give a credentials file, or run as a service account with workload identity";
        Error::new(ErrorKind::Denied, WHAT, Error::causes(&error)).with_hint(hint)
    })
}
