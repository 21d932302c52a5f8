//! What a URL says of its store, against a MinIO that insists on its region, has a service of keys, and a certificate of nobody
//! that this machine trusts.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{Parts, layout::Layout, store::Store};
use hindcast_tests::{
    real::{Minio, process::Workdir, tls::Authority},
    stores::{World, suite},
};

use super::{has, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_of_the_url_reach_a_store_that_insists_on_them() -> Result<()> {
    let authority = Authority::new("a company's own")?;
    let minio = Minio::start_strict(&authority).await?;
    let home = Workdir::new()?;
    let file = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, bytes).map(|()| path.display().to_string())
    };
    let bundle = file("bundle.pem", authority.pem().as_bytes())?;
    // Only the credentials come from the environment.
    let mut world = World::new(minio.url("options"), minio.env());
    world.env.retain(|(name, _)| name.ends_with("_KEY_ID") || name.ends_with("_ACCESS_KEY"));
    let endpoint = format!("https://127.0.0.1:{}", minio.port());
    let base = format!("s3Url={endpoint}&caCert={bundle}");

    let stranger = world.asking(&format!("s3Url={endpoint}&region=us-east-1"));
    let said = status(&stranger, &home).await?;
    said.is(2, &["signed by nobody this machine trusts", "AWS_CA_BUNDLE=FILE"])?;
    let elsewhere = world.asking(&format!("{base}&region=eu-west-1"));
    status(&elsewhere, &home).await?.is(2, &["is in another region", "region=us-east-1"])?;

    let plain = world.asking(&format!("{base}&region=us-east-1&insecureSkipTLSVerify=false&signatureVersion=4"));
    suite::written(&plain.open()?).await?;
    status(&plain, &home).await?.is(0, &[suite::CLUSTER])?;

    for (folder, more) in [
        ("sse-s3", "serverSideEncryption=AES256".to_owned()),
        ("sse-kms", format!("serverSideEncryption=aws:kms&kmsKeyId={}", minio.kms_key())),
        ("sse-kms-alone", format!("kmsKeyId={}", minio.kms_key())),
    ] {
        let world =
            World { url: minio.url(folder), ..world.clone() }.asking(&format!("{base}&region=us-east-1&{more}"));
        let opened = world.open()?;
        suite::what_is_written_is_read(&opened).await.context(folder)?;
        let store = Store::new(opened.0, Layout::new(&opened.1, "reads"), Parts::system());
        let kept = minio.kept(&store.layout().segment(2))?;
        has(&kept, &[if folder == "sse-s3" { "-S3-Sealed-Key" } else { "-Kms-Sealed-Key" }]).context(folder)?;
        ensure!(!kept.contains("0123456789"), "{folder}: it lies there as it was written");
    }
    let strange = World { url: minio.url("strange"), ..world.clone() };
    let strange = strange.asking(&format!("{base}&region=us-east-1&kmsKeyId=nobodys"));
    let (inner, prefix) = strange.open()?;
    let store = Store::new(inner, Layout::new(&prefix, "x"), Parts::system());
    let error = store.probe().await.err().context("with a key that is not there")?;
    has(&format!("{error} {}", error.hint().unwrap_or_default()), &["does not encrypt with that key", "kmsKeyId"])?;

    let (key, other) = (file("customer.key", &[7; 32])?, file("other.key", &[8; 32])?);
    let customers = World { url: minio.url("sse-c"), ..world.clone() };
    let keyed = |key: &str| format!("{base}&region=us-east-1&customerKeyEncryptionFile={key}");
    let with = |key: &str| customers.asking(&keyed(key));
    // What this writes is no journal that `status` could read.
    let apart = World { url: minio.url("sse-c-reads"), ..world.clone() }.asking(&keyed(&key));
    suite::what_is_written_is_read(&apart.open()?).await.context("a key of the customer's")?;
    suite::written(&with(&key).open()?).await?;
    status(&with(&key), &home).await?.is(0, &[suite::CLUSTER])?;
    let keyless = customers.asking(&format!("{base}&region=us-east-1"));
    status(&keyless, &home).await?.is(2, &["encrypted with another key", "customerKeyEncryptionFile=FILE"])?;
    // A wrong key is no more than a refusal to MinIO.
    status(&with(&other), &home).await?.is(2, &["refused permission", "the same key"])
}
