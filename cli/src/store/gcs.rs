//! `gs://`: Google Cloud Storage.
//!
//! **Whose credentials**: a bearer token; a service account's key in `GOOGLE_SERVICE_ACCOUNT` or `GOOGLE_SERVICE_ACCOUNT_KEY`; the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names, or else gcloud's own in the home; the machine's or the Pod's service account, by
//! the metadata server (`GCE_METADATA_HOST`).
//!
//! Not here: files that trade other credentials for Google's (`federated`).

use std::{path::PathBuf, sync::Arc};

use object_store::{
    ClientConfigKey, ObjectStore,
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key},
};
use serde_json::Value;

use super::{
    client::{Asked, CONNECT_LIMIT, retry},
    options::Known,
};
use crate::failure::{Failure, Result};

/// What may stand in a URL.
pub(super) const KNOWN: Known = Known {
    scheme: "gs",
    taken: &["storeEndpoint", "allowHttp", "caCert"],
    refused: &[
        (
            "kmsKeyName",
            "a key is not named with each object",
            "make it the bucket's own: gcloud storage buckets update gs://BUCKET --default-encryption-key=KEY",
        ),
        (
            "serviceAccount",
            "Hindcast signs no URLs, for which an account is named",
            "who asks is the account of the credentials; to act as another, give a credentials file of the type \
             impersonated_service_account",
        ),
    ],
};

/// Where gcloud keeps the user's own credentials.
const OF_THE_USER: &str = ".config/gcloud/application_default_credentials.json";

/// What a Secret calls the text of such a file; no variable of a process has this name.
const HELD: &str = "credentials.json";

/// Opens it.
pub(super) fn open(asked: &Asked<'_>) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(asked.client(&[])?);
    for (name, value) in asked.variables("GOOGLE_")? {
        if let Ok(key) = name.to_ascii_lowercase().parse::<Key>()
            && key != Key::ApplicationCredentials
        {
            builder = builder.with_config(key, value);
        }
    }
    let named = asked.options.text("storeEndpoint").map(|url| ("storeEndpoint", url.to_owned()));
    let named = named.or_else(|| Some(("GOOGLE_BASE_URL", builder.get_config_value(&Key::BaseUrl)?)));
    if let Some((name, text)) = named {
        let url = asked.endpoint(name, &text, "GOOGLE_ALLOW_HTTP")?;
        builder = builder.with_base_url(url.as_str().trim_end_matches('/'));
    }
    let builder = credentials(asked, builder)?;
    let store = builder
        .with_bucket_name(asked.bucket())
        .with_retry(retry())
        .with_config(
            Key::Client(ClientConfigKey::AllowHttp),
            if asked.may_be_plain("GOOGLE_ALLOW_HTTP")? { "true" } else { "false" },
        )
        .with_config(Key::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
        .with_config(Key::Client(ClientConfigKey::Timeout), asked.limit)
        .build()
        .map_err(|error| asked.unbuilt(&error))?;
    Ok(Arc::new(store))
}

/// Whoever asks.
fn credentials(asked: &Asked<'_>, builder: GoogleCloudStorageBuilder) -> Result<GoogleCloudStorageBuilder> {
    let has = |key: &Key| builder.get_config_value(key).is_some();
    if [Key::ServiceAccount, Key::ServiceAccountKey, Key::BearerToken].iter().any(has) {
        return Ok(builder);
    }
    if let Some(text) = asked.env.get(HELD) {
        return held(asked, builder, text);
    }
    let named = asked.env.get("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let file = match named {
        Some(file) => file,
        None => match asked.env.in_home(OF_THE_USER).filter(|file| file.exists()) {
            Some(file) => file,
            None => return Ok(builder),
        },
    };
    let what = file.display().to_string();
    let refuse = |reason: String| {
        Failure::new(&what, reason).hint(
            "GOOGLE_APPLICATION_CREDENTIALS names the JSON file of a service account's key or of a workload identity \
             federation; in a Pod with workload identity leave it out",
        )
    };
    let text = std::fs::read_to_string(&file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    // The text is secret, so of a mistake in it only the place is told.
    let read: Value = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("is no JSON: line {}, column {}", error.line(), error.column())))?;
    match read["type"].as_str() {
        Some("service_account" | "authorized_user") => Ok(builder.with_application_credentials(what)),
        Some(kind @ ("external_account" | "impersonated_service_account")) => {
            let kind = kind.to_owned();
            super::federated(asked, read, &kind).map(|provider| builder.with_credentials(provider))
        }
        Some(kind) => Err(refuse(format!("holds credentials of the type `{kind}`, which are not used here"))),
        None => Err(refuse("does not say what type of credentials it holds".to_owned())),
    }
}

/// Whoever asks by the text of a file.
fn held(asked: &Asked<'_>, builder: GoogleCloudStorageBuilder, text: &str) -> Result<GoogleCloudStorageBuilder> {
    let refuse = |reason: String| {
        asked.refuse(format!("{HELD} {reason}"))
            .hint("it is the JSON file of a service account's key or of a workload identity federation; with workload identity leave it out")
    };
    // The text is secret, so of a mistake in it only the place is told.
    let read: Value = serde_json::from_str(text)
        .map_err(|error| refuse(format!("is no JSON: line {}, column {}", error.line(), error.column())))?;
    match read["type"].as_str() {
        Some("service_account") => Ok(builder.with_service_account_key(text)),
        Some(kind @ ("external_account" | "impersonated_service_account")) => {
            let kind = kind.to_owned();
            super::federated(asked, read, &kind).map(|provider| builder.with_credentials(provider))
        }
        Some(kind) => Err(refuse(format!("holds credentials of the type `{kind}`, which are not used here"))),
        None => Err(refuse("does not say what type of credentials it holds".to_owned())),
    }
}
