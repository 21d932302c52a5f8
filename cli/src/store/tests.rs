use object_store::{ObjectStoreExt as _, PutMode, PutPayload};

use super::*;

#[tokio::test]
async fn a_folder_is_made_for_the_writer_only() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("deep/journal");
    let url = format!("file://{}", folder.display());
    let failure = open(&url, Access::Read).unwrap_err();
    assert!(failure.to_string().contains("no such folder"), "{failure}");
    assert!(failure.to_string().contains(&url));
    assert!(!folder.exists());
    let location = open(&url, Access::Write).unwrap();
    let path = location.prefix.clone().join("x");
    location.store.put(&path, PutPayload::from_static(b"1")).await.unwrap();
    let again = location.store.put_opts(&path, PutPayload::from_static(b"2"), PutMode::Create.into()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })));
    assert!(folder.join("x").is_file());
    open(&url, Access::Read).unwrap();
    let plain = open(folder.to_str().unwrap(), Access::Read).unwrap();
    assert_eq!(plain.url, location.url);
}

#[test]
fn bad_urls_are_refused_by_name_and_credentials_not_repeated() {
    for (url, reason) in [
        ("ftp://x/y", "unknown store `ftp`"),
        ("s3://", "bucket is missing"),
        ("file://relative/path", "not an absolute path"),
        ("gs:///x", "bucket is missing"),
        ("s3://k:planted@bucket/x", "do not belong in the URL"),
        ("s3://bucket/x?secret=planted", "do not belong in the URL"),
        ("://", "the journal's URL"),
    ] {
        let failure = open(url, Access::Read).unwrap_err();
        assert!(failure.to_string().contains(reason), "{url}: {failure}");
        assert!(!failure.to_string().contains("planted"), "{failure}");
        assert!(!failure.hints.is_empty(), "{url}");
    }
}

#[test]
fn memory_needs_nothing() {
    assert_eq!(open("memory://", Access::Read).unwrap().prefix, Path::default());
}
