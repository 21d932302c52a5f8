//! A journal's URL, and the object store behind it.
//!
//! **Words**: a *location* is a store and the prefix in it. An *option* is what stands behind `?` in its URL.
//!
//! **Invariants.**
//! 1. `file://` syncs what it writes before it answers, or an acknowledged segment could turn into zeros.
//! 2. Credentials come from the environment, never from the URL, so that a URL can be printed and logged; what is not secret may
//!    stand in it, for one process may have to do with several stores.
//! 3. A reader makes no folder: a mistyped path is an error, not an empty journal.
//! 4. `AWS_CA_BUNDLE` and `caCert` add to the authorities that the system trusts, as the AWS tools have it; a bundle that cannot be
//!    read is an error, never left out. Nothing switches off that certificates are verified.
//! 5. What was asked for and cannot be had is refused by name: an option, half of a credential, a kind of one.
//!
//! Not here: whether the store keeps its word (create-if-absent); the journal's writer probes that.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use hindcast_journal::Error;
use object_store::{
    ObjectStore, aws::AwsCredentialProvider, gcp::GcpCredentialProvider, local::LocalFileSystem, memory::InMemory,
    path::Path,
};
use url::Url;

use self::{
    client::Asked,
    environment::Environment,
    options::{Known, Options},
};
use crate::failure::{Failure, Result};

#[cfg(feature = "aws")]
mod assumed;
mod azure;
mod cache;
mod client;
pub(crate) mod environment;
#[cfg(feature = "gcp")]
mod federated;
mod gcs;
mod options;
mod region;
mod s3;
mod shared;
mod tagged;
#[cfg(test)]
mod tests;

/// Limits of one request. They are set one by one, since the environment sets others.
const REQUEST_LIMIT: &str = "30 seconds";
/// A pack of files is large, and its limit grows with it, elsewhere.
const PACK_LIMIT: &str = "10 minutes";

/// A folder, or memory, has no options.
const PLAIN: &[(&str, Known)] = &[
    ("file", Known { scheme: "file", taken: &[], refused: &[] }),
    ("memory", Known { scheme: "memory", taken: &[], refused: &[] }),
];

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
    /// Who proves what is there, or removes something: every byte comes from the store itself.
    Prove,
}

/// A cache: its folder and how large it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cache<'a> {
    /// The folder.
    pub(crate) folder: &'a FilePath,
    /// Bytes.
    pub(crate) limit: u64,
}

/// Opens the store of a journal's URL, of which a reader keeps what never changes in a cache.
pub(crate) fn open_behind(cache: Option<Cache<'_>>, text: &str, access: Access, env: &Environment) -> Result<Location> {
    let location = open_in(text, access, env)?;
    match cache {
        Some(Cache { folder, limit }) if access == Access::Read => {
            let store = cache::before(location.store, &location.url, folder, limit)?;
            Ok(Location { store, ..location })
        }
        _ => Ok(location),
    }
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

/// Whether a journal's URL can be meant, with these variables; nothing is asked of the store, and no folder made.
pub(crate) fn check(text: &str, env: &Environment) -> Result<()> {
    match parse(text)?.scheme() {
        "file" | "memory" => Ok(()),
        _ => open_in(text, Access::Read, env).map(|_| ()),
    }
}

/// Opens the store of a journal's URL; a path without a scheme is a folder.
pub(crate) fn open(text: &str, access: Access) -> Result<Location> {
    open_in(text, access, &Environment::of_process())
}

/// The same with these variables.
pub(crate) fn open_in(text: &str, access: Access, env: &Environment) -> Result<Location> {
    // The stores' client is built without a provider of cryptography and takes the process's; an earlier choice stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = parse(text)?;
    let limit = if access == Access::Move { PACK_LIMIT } else { REQUEST_LIMIT };
    let asked =
        |known: &'static Known| Ok::<_, Failure>(Asked { url: &url, options: Options::of(&url, known)?, env, limit });
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => return open_folder(&url, access),
        "memory" => Arc::new(InMemory::new()),
        "s3" => s3::open(&asked(&s3::KNOWN)?)?,
        "az" | "azure" => azure::open(&asked(&azure::KNOWN)?)?,
        _ => gcs::open(&asked(&gcs::KNOWN)?)?,
    };
    let prefix = Path::from_url_path(url.path()).map_err(|e| Failure::new(format!("journal {url}"), e.to_string()))?;
    Ok(Location { url: url.to_string(), store, prefix })
}

/// The credentials of a profile that takes a role, or asks a program.
#[cfg(feature = "aws")]
#[allow(clippy::unnecessary_wraps, reason = "a build without the feature refuses")]
fn assumed(_: &Asked<'_>, name: &str, region: Option<String>) -> Result<AwsCredentialProvider> {
    Ok(assumed::provider(name, region))
}

/// The credentials of a profile that takes a role, or asks a program: this build cannot.
#[cfg(not(feature = "aws"))]
fn assumed(asked: &Asked<'_>, name: &str, _: Option<String>) -> Result<AwsCredentialProvider> {
    let reason = format!("the profile `{name}` takes a role, or asks a program, which this build cannot");
    Err(asked.refuse(reason).hint(
        "build Hindcast with the feature `aws`; or give the keys themselves: `aws configure export-credentials` says them",
    ))
}

/// The credentials that a file trades for others.
#[cfg(feature = "gcp")]
#[allow(clippy::unnecessary_wraps, reason = "a build without the feature refuses")]
fn federated(_: &Asked<'_>, file: serde_json::Value, _: &str) -> Result<GcpCredentialProvider> {
    Ok(federated::provider(file))
}

/// The credentials that a file trades for others: this build cannot.
#[cfg(not(feature = "gcp"))]
fn federated(asked: &Asked<'_>, _: serde_json::Value, kind: &str) -> Result<GcpCredentialProvider> {
    let reason = format!(
        "the credentials in GOOGLE_APPLICATION_CREDENTIALS are of the type `{kind}`, which this build cannot use"
    );
    Err(asked.refuse(reason).hint("build Hindcast with the feature `gcp`; or give the file of a service account's key"))
}

/// Where the credentials of a bucket come from.
pub(crate) fn remedy(url: &str) -> Option<&'static str> {
    Some(match url.split_once("://")?.0 {
        "s3" => {
            "credentials and endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT \
             (and AWS_ALLOW_HTTP=true for http), a profile of the shared files (AWS_PROFILE), a Pod's role (IRSA, EKS Pod \
             Identity) or the machine's; `hindcast --help` has the URL's options"
        }
        "az" | "azure" => {
            "the account comes from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or another AZURE_… credential; a \
             workload identity or the machine's managed identity needs no key; `hindcast --help` has the URL's options"
        }
        "gs" => {
            "credentials come from GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS, or from the machine's or the Pod's \
             own service account; `hindcast --help` has the URL's options"
        }
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
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(Failure::new(
            format!("journal {}://…", url.scheme()),
            "credentials do not belong in the URL, which is printed and logged",
        )
        .hint("they come from the environment: AWS_…, AZURE_…, GOOGLE_…"));
    }
    let known = match url.scheme() {
        "s3" => &s3::KNOWN,
        "az" | "azure" => &azure::KNOWN,
        "gs" => &gcs::KNOWN,
        scheme => match PLAIN.iter().find(|(plain, _)| *plain == scheme) {
            Some((_, plain)) => plain,
            None => {
                let mut bare = url.clone();
                bare.set_query(None);
                let reason = format!("unknown store `{scheme}`");
                return Err(Failure::new(format!("journal {bare}"), reason).hint(forms));
            }
        },
    };
    // So that whoever is only shown the URL is not shown what does not belong there.
    let options = Options::of(&url, known)?;
    if matches!(url.scheme(), "s3" | "az" | "azure" | "gs") {
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Failure::new(options.what(), "the bucket is missing").hint(forms));
        }
        if url.port().is_some() {
            let reason = "what stands behind :// is the bucket, which has no port";
            return Err(Failure::new(options.what(), reason).hint(
                "an endpoint has an option of its own: s3Url=, storageAccountURI= or storeEndpoint=http://HOST:PORT",
            ));
        }
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
        _ if folder.is_dir() => {}
        _ => return Err(absent(&what, &folder)),
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
