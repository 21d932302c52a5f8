//! A journal's URL, and the object store behind it.
//!
//! **Words**: a *location* is a store and the prefix in it.
//!
//! **Invariants.**
//! 1. `file://` syncs what it writes before it answers, or an acknowledged segment could turn into zeros.
//! 2. Credentials come from the environment, never from the URL, so that a URL can be printed and logged.
//! 3. A reader makes no folder: a mistyped path is an error, not an empty journal.
//! 4. `AWS_CA_BUNDLE` adds to the authorities that the system trusts, as the AWS tools have it; a bundle that cannot be read
//!    is an error, never left out.
//!
//! Not here: whether the store keeps its word (create-if-absent); the journal's writer probes that.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use hindcast_journal::Error;
use object_store::{
    Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    memory::InMemory,
    path::Path,
};
use url::Url;

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// Limits of one request. They are set one by one, since the environment sets others (`AWS_ALLOW_HTTP`).
const CONNECT_LIMIT: &str = "5 seconds";
const REQUEST_LIMIT: &str = "30 seconds";
/// A pack of files is large, and its limit grows with it, elsewhere.
const PACK_LIMIT: &str = "10 minutes";

/// A store and the prefix in it.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The URL, as it is printed.
    pub(crate) url: String,
    /// The store.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Where in the store the journal is.
    pub(crate) prefix: Path,
}

/// Who opens a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A reader.
    Read,
    /// `run`, which makes the folder of a `file://` journal.
    Write,
    /// A mover of files.
    Move,
}

/// The journal of who names none: a folder in the user's data directory.
pub(crate) fn default_url() -> Result<String> {
    let folder = data_folder()?.join("journal");
    Url::from_file_path(&folder)
        .map(String::from)
        .map_err(|()| Failure::new(folder.display().to_string(), "not an absolute path"))
}

/// The key file of the default journal.
pub(crate) fn default_key_file() -> Result<PathBuf> {
    Ok(data_folder()?.join("keys.json"))
}

fn data_folder() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = if cfg!(target_os = "macos") {
        from("HOME").map(|home| home.join("Library/Application Support"))
    } else if cfg!(windows) {
        from("LOCALAPPDATA")
    } else {
        from("XDG_DATA_HOME").or_else(|| from("HOME").map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("hindcast")).ok_or_else(|| {
        Failure::new("the default journal", "there is no home directory to put it in")
            .hint("name a journal: --journal file:///path, s3://bucket/prefix (or HINDCAST_JOURNAL)")
    })
}

/// A journal's URL as it is printed.
pub(crate) fn shown(text: &str) -> Result<String> {
    parse(text).map(|url| url.to_string())
}

/// Opens the store of a journal's URL; a path without a scheme is a folder.
pub(crate) fn open(text: &str, access: Access) -> Result<Location> {
    // The stores' client is built without a provider of cryptography and takes the process's; an earlier choice stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = parse(text)?;
    let shown = url.to_string();
    let limit = if access == Access::Move { PACK_LIMIT } else { REQUEST_LIMIT };
    let refuse = |error: object_store::Error| {
        let failure = Failure::new(format!("journal {shown}"), Error::causes(&error));
        match remedy(&shown) {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        }
    };
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => return open_folder(&url, access),
        "memory" => Arc::new(InMemory::new()),
        "s3" => Arc::new(
            s3(&shown)?
                .with_url(url.as_str())
                .with_retry(retry())
                .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
                .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), limit)
                .build()
                .map_err(refuse)?,
        ),
        "az" | "azure" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_url(url.as_str())
                .with_retry(retry())
                .with_config(AzureConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
                .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), limit)
                .build()
                .map_err(refuse)?,
        ),
        _ => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_url(url.as_str())
                .with_retry(retry())
                .with_config(GoogleConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
                .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), limit)
                .build()
                .map_err(refuse)?,
        ),
    };
    let prefix =
        Path::from_url_path(url.path()).map_err(|e| Failure::new(format!("journal {shown}"), e.to_string()))?;
    Ok(Location { url: shown, store, prefix })
}

/// S3's settings from the environment, as the library takes them, and with the authorities of `AWS_CA_BUNDLE`.
fn s3(shown: &str) -> Result<AmazonS3Builder> {
    let mut options = ClientOptions::new();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        for certificate in bundle(FilePath::new(&path))? {
            options = options.with_root_certificate(certificate);
        }
    }
    let mut builder = AmazonS3Builder::new().with_client_options(options);
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse());
        if let Some(Ok(key)) = key {
            builder = builder.with_config(key, value);
        }
    }
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or(value(AmazonS3ConfigKey::Endpoint));
    let allowed = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    if endpoint.is_some_and(|url| url.starts_with("http://")) && allowed.as_deref() != Some("true") {
        return Err(Failure::new(
            format!("journal {shown}"),
            "the endpoint in AWS_ENDPOINT is plain http, which is not allowed unasked",
        )
        .hint("AWS_ALLOW_HTTP=true allows it: whoever is on the way reads along; or give it with https://"));
    }
    Ok(builder)
}

/// The certificates of a PEM file.
fn bundle(path: &FilePath) -> Result<Vec<Certificate>> {
    let what = format!("AWS_CA_BUNDLE {}", path.display());
    let hint = "it names a file of PEM certificates; unset it where the system's authorities are enough";
    let refuse = |reason: String| Failure::new(&what, reason).hint(hint);
    let pem = std::fs::read(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| refuse(Error::causes(&e)))?;
    if certificates.is_empty() {
        return Err(refuse("holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Where the credentials of a bucket come from.
pub(crate) fn remedy(url: &str) -> Option<&'static str> {
    Some(match url.split_once("://")?.0 {
        "s3" => {
            "credentials and endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT \
             (and AWS_ALLOW_HTTP=true for http)"
        }
        "az" | "azure" => {
            "the account comes from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or another AZURE_… credential"
        }
        "gs" => "credentials come from GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
        _ => return None,
    })
}

fn parse(text: &str) -> Result<Url> {
    let forms = "a journal is file:///path, s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or \
                 memory:// (for trials)";
    if !text.contains("://") {
        let path = std::path::absolute(text)
            .map_err(|e| Failure::new(format!("journal {text}"), e.to_string()).hint(forms))?;
        return Url::from_file_path(&path)
            .map_err(|()| Failure::new(format!("journal {text}"), "not a path").hint(forms));
    }
    // The text is not quoted before it is known to hold no credentials.
    let url = Url::parse(text).map_err(|e| Failure::new("the journal's URL", e.to_string()).hint(forms))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Failure::new(
            format!("journal {}://…", url.scheme()),
            "credentials and options do not belong in the URL, which is printed and logged",
        )
        .hint("they come from the environment: AWS_…, AZURE_…, GOOGLE_…"));
    }
    let known = ["file", "memory", "s3", "az", "azure", "gs"];
    if !known.contains(&url.scheme()) {
        return Err(Failure::new(format!("journal {url}"), format!("unknown store `{}`", url.scheme())).hint(forms));
    }
    if matches!(url.scheme(), "s3" | "az" | "azure" | "gs") && url.host_str().is_none_or(str::is_empty) {
        return Err(Failure::new(format!("journal {url}"), "the bucket is missing").hint(forms));
    }
    Ok(url)
}

fn open_folder(url: &Url, access: Access) -> Result<Location> {
    let what = format!("journal {url}");
    let folder = url
        .to_file_path()
        .map_err(|()| Failure::new(&what, "not an absolute path").hint("three slashes: file:///var/lib/hindcast"))?;
    match access {
        Access::Write => std::fs::create_dir_all(&folder).map_err(|e| {
            Failure::new(&what, format!("the folder cannot be made: {e}"))
                .hint("name another place with --journal, or give this user the right to write there")
        })?,
        Access::Read | Access::Move if folder.is_dir() => {}
        Access::Read | Access::Move => return Err(absent(&what, &folder)),
    }
    let store =
        LocalFileSystem::new_with_prefix(&folder).map_err(|e| Failure::new(&what, Error::causes(&e)))?.with_fsync(true);
    Ok(Location { url: url.to_string(), store: Arc::new(store), prefix: Path::default() })
}

fn absent(what: &str, folder: &FilePath) -> Failure {
    let reason = if folder.exists() { "not a folder" } else { "there is no such folder" };
    Failure::new(what, reason)
        .hint("`hindcast run` begins a journal; to read another, give --journal URL or HINDCAST_JOURNAL")
}

/// The journal retries by its own rules, above the store; here only a hiccup is bridged, so that a store that is
/// away is reported in seconds.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(8), ..RetryConfig::default() }
}
