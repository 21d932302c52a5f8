//! Azurite, which answers as Azure Blob Storage does, as a child process: a package of Node.js in a folder of its own.
//!
//! The folder lies in the cache of built servers, named by the hash of its lock file; it is made beside its place and
//! renamed, under a lock, as the Go servers are ([`super::build`]). No script of a package is run.

use super::build::{kept, sha256};
use super::process::{Port, Process, Workdir, tied_to_us};
use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const PACKAGE: &str = include_str!("../../servers/azurite/package.json");
const LOCK: &str = include_str!("../../servers/azurite/package-lock.json");
/// Where in it the server of blobs is.
const MAIN: &str = "node_modules/azurite/dist/src/blob/main.js";

const ACCOUNT: &str = "testbed";
const CONTAINER: &str = "hindcast";

/// A running Azurite with one account and one container. Dropping it ends it; what it held was in memory.
#[derive(Debug)]
pub struct Azurite {
    port: Port,
    _process: Process,
    _dir: Workdir,
}

impl Azurite {
    /// Installs it if needed, starts it, and returns when it answers.
    pub async fn start() -> Result<Self> {
        let main = tokio::task::spawn_blocking(ensure_installed).await??;
        let dir = Workdir::new()?;
        let port = Port::lease()?;
        let process = Process::new("azurite", PathBuf::from("node"), dir.path())
            .args([main.display().to_string(), "--blobHost".to_owned(), "127.0.0.1".to_owned()])
            .args(["--blobPort".to_owned(), port.number().to_string()])
            .args(["--inMemoryPersistence", "--disableTelemetry", "--silent"])
            .env("AZURITE_ACCOUNTS", &format!("{ACCOUNT}:{}", key()));
        process.start()?;
        process.wait_ready(Duration::from_mins(1), || port.listens()).await?;
        let azurite = Self { port, _process: process, _dir: dir };
        azurite.make_container().await?;
        Ok(azurite)
    }

    /// The port of its blobs on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its account.
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// A journal's URL in its container.
    pub fn url(&self, prefix: &str) -> String {
        format!("az://{CONTAINER}/{prefix}")
    }

    /// What says where it is, through this port, to a process that has credentials from elsewhere.
    pub fn place(&self, port: u16) -> Vec<(String, String)> {
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{port}/{ACCOUNT}")),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The account's key.
    pub fn key(&self) -> String {
        key()
    }

    /// A shared access signature of the account, for everything in it, as a portal hands it out.
    pub fn sas(&self) -> Result<String> {
        const VERSION: &str = "2023-11-03";
        let (rights, services, kinds, until) = ("rwdlac", "b", "sco", "2999-01-01T00:00:00Z");
        // Without a begin, an address, a protocol and an encryption scope.
        let signed = format!("{ACCOUNT}\n{rights}\n{services}\n{kinds}\n\n{until}\n\n\n{VERSION}\n\n");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &BASE64_STANDARD.decode(key())?);
        let signature = BASE64_STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        let pairs = [
            ("sv", VERSION),
            ("ss", services),
            ("srt", kinds),
            ("sp", rights),
            ("se", until),
            ("sig", signature.as_str()),
        ];
        Ok(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    }

    /// Signs a request with the account's key; returns the headers that go with it.
    pub fn sign(&self, request: http::request::Builder) -> Result<http::HeaderMap> {
        let mut request: HttpRequest = request.body(HttpRequestBody::empty())?;
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(&key())?);
        AzureAuthorizer::new(&credential, ACCOUNT).try_authorize(&mut request)?;
        Ok(request.into_parts().0.headers)
    }

    async fn make_container(&self) -> Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://127.0.0.1:{}/{ACCOUNT}/{CONTAINER}?restype=container", self.port());
        let headers = self.sign(http::Request::builder().method("PUT").uri(&url))?;
        let answer = reqwest::Client::new().put(url).headers(headers).body(Bytes::new()).send().await?;
        let status = answer.status();
        ensure!(status == 201, "Azurite made no container: {status} {}", answer.text().await?);
        Ok(())
    }
}

fn key() -> String {
    BASE64_STANDARD.encode("a key of the testbed's own account")
}

/// The path of the installed server.
fn ensure_installed() -> Result<PathBuf> {
    kept("azurite", &sha256(&format!("{PACKAGE}\n{LOCK}")), MAIN, install)
}

fn install(into: &Path) -> Result<()> {
    eprintln!("installing Azurite, the first time about 1 min");
    fs::write(into.join("package.json"), PACKAGE)?;
    fs::write(into.join("package-lock.json"), LOCK)?;
    let mut npm = tied_to_us(Path::new("npm"));
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]).current_dir(into);
    let remedy = "Azurite, which answers as Azure Blob Storage does, needs Node.js 18 or newer with npm\n\
                  hint: install the packages `nodejs` and `npm`, as with apt-get install nodejs npm";
    // `setpriv` is there for every server, so what is missing is npm: its status says so too.
    let out = npm.stdin(Stdio::null()).output().context(remedy)?;
    ensure!(out.status.code() != Some(127), remedy);
    let (said, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    ensure!(out.status.success(), "`npm ci` of Azurite's packages: {}\n{said}{told}\nhint: {remedy}", out.status);
    ensure!(into.join(MAIN).exists(), "npm installed no {MAIN}");
    Ok(())
}
