//! MinIO, an S3-compatible store, as a child process.
//!
//! It speaks plain HTTP on loopback, so that [`super::HttpProxy`] can stand before it and see each request; or HTTPS
//! with a certificate of an authority that no system trusts. A bucket is a folder of its data made before the start: no
//! client here can create one over the API.

use super::build::Program;
use super::process::{Port, Process, Workdir};
use super::tls::Authority;
use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{Certificate, ClientOptions, ObjectStoreExt, RetryConfig};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The bucket every store is started with.
const BUCKET: &str = "hindcast";
const USER: &str = "testbed";
const PASSWORD: &str = "testbed-secret";
const REGION: &str = "us-east-1";
const KMS_KEY: &str = "testbed-key";

/// A running MinIO with one bucket. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Minio {
    process: Process,
    port: Port,
    dir: Workdir,
    /// The certificate of its authority as PEM, if it speaks HTTPS.
    authority: Option<String>,
}

impl Minio {
    /// Builds it if needed, starts it, and returns when it answers.
    pub async fn start() -> Result<Self> {
        Self::start_with(None, &[]).await
    }

    /// The same, speaking HTTPS with a certificate of this authority.
    pub async fn start_https(authority: &Authority) -> Result<Self> {
        Self::start_with(Some(authority), &[]).await
    }

    /// The same, that is particular: it insists on its region, and has a service of keys with one key in it,
    /// [`Minio::kms_key`].
    pub async fn start_strict(authority: &Authority) -> Result<Self> {
        let key = format!("{KMS_KEY}:{}", BASE64_STANDARD.encode([7; 32]));
        Self::start_with(Some(authority), &[("MINIO_SITE_REGION", REGION), ("MINIO_KMS_SECRET_KEY", &key)]).await
    }

    async fn start_with(authority: Option<&Authority>, env: &[(&str, &str)]) -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| Program::Minio.ensure()).await??;
        let dir = Workdir::new()?;
        let port = Port::lease()?;
        let data = dir.path().join("data");
        fs::create_dir_all(data.join(BUCKET))?;
        if let Some(authority) = authority {
            let certs = dir.path().join(".minio/certs");
            let identity = authority.serving(&[])?;
            fs::create_dir_all(&certs)?;
            fs::write(certs.join("public.crt"), identity.cert)?;
            fs::write(certs.join("private.key"), identity.key)?;
        }
        let process = Process::new("minio", program, dir.path())
            .args(["server".to_owned(), "--address".to_owned(), format!("127.0.0.1:{}", port.number())])
            .args([data.display().to_string()])
            .env("MINIO_ROOT_USER", USER)
            .env("MINIO_ROOT_PASSWORD", PASSWORD)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            // Lets the data lie on the root disk, as a temporary folder often does.
            .env("MINIO_CI_CD", "1")
            .env("HOME", &dir.path().display().to_string());
        let process = env.iter().fold(process, |process, (name, value)| process.env(name, value));
        let authority = authority.map(Authority::pem);
        let minio = Self { process, port, dir, authority };
        minio.restart().await?;
        Ok(minio)
    }

    /// The port of its S3 API on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its region.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// The name of the key that a strict one has.
    pub fn kms_key(&self) -> &'static str {
        KMS_KEY
    }

    /// Keys to sign with.
    pub fn keys(&self) -> AwsCredential {
        AwsCredential { key_id: USER.to_owned(), secret_key: PASSWORD.to_owned(), token: None }
    }

    /// Its bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// A journal's URL in its bucket.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// What a process needs in its environment to reach it.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.env_via(self.port())
    }

    /// The same through another port, such as a proxy's.
    pub fn env_via(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", self.endpoint(port)),
            ("AWS_ACCESS_KEY_ID", USER.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", PASSWORD.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    fn endpoint(&self, port: u16) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// A client for its bucket.
    pub fn store(&self) -> AmazonS3 {
        self.store_via(self.port())
    }

    /// A client for its bucket through another port, such as a proxy's.
    pub fn store_via(&self, port: u16) -> AmazonS3 {
        self.builder_via(port).build().expect("the testbed's own settings are complete")
    }

    /// The same before it is built, for a client with retries or timeouts of its own.
    pub fn builder_via(&self, port: u16) -> AmazonS3Builder {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = ClientOptions::new();
        if let Some(authority) = &self.authority {
            let authority = Certificate::from_pem(authority.as_bytes());
            options = options.with_root_certificate(authority.expect("it was made here"));
        }
        AmazonS3Builder::new()
            .with_client_options(options)
            .with_endpoint(self.endpoint(port))
            .with_bucket_name(BUCKET)
            .with_access_key_id(USER)
            .with_secret_access_key(PASSWORD)
            .with_region(REGION)
            .with_allow_http(true)
    }

    /// Its folder: the log, and the data under `data`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it keeps of an object on its disk beside the bytes of a large one: its metadata, and a small one itself.
    pub fn kept(&self, object: &object_store::path::Path) -> Result<String> {
        let file = self.dir.path().join("data").join(BUCKET).join(object.as_ref()).join("xl.meta");
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// Kills it if it runs, starts it on its port and data, and returns when it answers.
    pub async fn restart(&self) -> Result<()> {
        self.process.kill();
        self.process.start()?;
        let retry = RetryConfig { max_retries: 0, ..Default::default() };
        let store = self.builder_via(self.port()).with_retry(retry).build()?;
        self.process.wait_ready(Duration::from_mins(1), || writes(&store)).await
    }
}

/// Whether a write succeeds. MinIO's own health check says yes while requests are still answered with 503.
async fn writes(store: &AmazonS3) -> bool {
    let probe = object_store::path::Path::from("testbed-probe");
    store.put(&probe, "probe".into()).await.is_ok() && store.delete(&probe).await.is_ok()
}
