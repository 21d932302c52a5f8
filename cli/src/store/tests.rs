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
        ("s3://bucket/x#planted", "do not belong in the URL"),
        ("ftp://x/y?secret=planted", "unknown store `ftp`"),
        ("s3://localhost:9000/bucket/x", "has no port"),
        ("az://127.0.0.1:10000/con/x", "has no port"),
        ("gs://b:443/x", "has no port"),
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

fn env(variables: &[(&str, &str)]) -> Environment {
    Environment::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// What is said of a journal with these variables, with the hints.
fn said(url: &str, variables: &[(&str, &str)]) -> String {
    let failure = open_in(url, Access::Read, &env(variables)).unwrap_err();
    format!("{failure}\n{}", failure.hints.join("\n"))
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "planted")];

#[test]
fn what_is_no_option_is_refused_by_name_and_what_has_no_effect_with_the_reason() {
    for (url, phrases) in [
        ("s3://b/p?regoin=eu-west-1", &["`regoin` is no option of s3://", "region, s3Url"][..]),
        ("s3://b/p?secret=planted", &["`secret` is no option", "credentials are no options"]),
        ("s3://b/p?planted", &["what stands behind `?` is no option", "NAME=VALUE"]),
        ("s3://b/p?region=a&region=b", &["`region` is given twice"]),
        ("s3://b/p?s3ForcePathStyle=planted", &["`s3ForcePathStyle` says neither true nor false"]),
        ("s3://b/p?insecureSkipTLSVerify=true", &["`insecureSkipTLSVerify` is not taken", "read along", "caCert=FILE"]),
        ("az://con/p?insecureSkipTLSVerify=yes", &["`insecureSkipTLSVerify` is not taken"]),
        ("s3://b/p?publicUrl=https://x", &["`publicUrl` is not taken", "leave it out"]),
        ("s3://b/p?customerKeyEncryptionSecret=x/y", &["customerKeyEncryptionFile=FILE"]),
        ("s3://b/p?signatureVersion=2", &["`signatureVersion` names another version than 4"]),
        ("s3://b/p?checksumAlgorithm=CRC32C", &["the checksum CRC32C is not made here", "SHA256 or CRC64NVME"]),
        ("s3://b/p?checksumAlgorithm=planted", &["names no checksum of S3"]),
        ("s3://b/p?serverSideEncryption=aes", &["is no kind of encryption", "AES256, aws:kms, aws:kms:dsse"]),
        ("s3://b/p?serverSideEncryption=AES256&kmsKeyId=k", &["kmsKeyId names another"]),
        ("s3://b/p?customerKeyEncryptionFile=/nowhere.key", &["names /nowhere.key, which cannot be read", "32 bytes"]),
        ("s3://b/p?caCert=/nowhere.pem", &["caCert /nowhere.pem: cannot be read"]),
        ("s3://b/p?s3Url=store.example", &["the endpoint in s3Url is no URL"]),
        ("s3://b/p?s3Url=http://store.example", &["plain http, which is not allowed unasked", "allowHttp=true"]),
        ("s3://b/p?s3Url=https://k:planted@store.example", &["the endpoint in s3Url holds credentials"]),
        ("s3://b/p?tagging=team", &["`tagging` is no list of NAME=VALUE"]),
        ("az://con/p?resourceGroup=rg", &["`resourceGroup` is not taken", "management API"]),
        ("az://con/p?subscriptionId=s", &["`subscriptionId` is not taken"]),
        ("az://con/p?storageAccountKeyEnvVar=NONE", &["names NONE, which is not set"]),
        ("gs://b/p?kmsKeyName=k", &["`kmsKeyName` is not taken", "--default-encryption-key"]),
        ("gs://b/p?serviceAccount=a", &["`serviceAccount` is not taken"]),
        ("file:///tmp?region=x", &["`region` is no option of file://", "file:// has no options"]),
    ] {
        let said = said(url, &KEYS);
        for phrase in phrases {
            assert!(said.contains(phrase), "{url}: no {phrase:?} in {said}");
        }
        assert!(!said.contains("planted"), "{said}");
    }
}

#[test]
fn every_option_is_in_the_help() {
    use clap::CommandFactory as _;
    let help = crate::args::Cli::command().render_long_help().to_string();
    for known in [&s3::KNOWN, &azure::KNOWN, &gcs::KNOWN] {
        for option in known.taken {
            assert!(help.contains(option), "{option} of {} is not in the help", known.scheme);
        }
    }
}

#[test]
fn what_is_half_given_is_refused_by_name_and_certificates_are_always_verified() {
    let s3 = "s3://b/p";
    for (url, variables, phrases) in [
        (s3, &[("AWS_ACCESS_KEY_ID", "planted")][..], &["AWS_SECRET_ACCESS_KEY is not"][..]),
        (s3, &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")], &["AWS_ROLE_ARN is not"]),
        (s3, &[("AWS_EC2_METADATA_DISABLED", "true")], &["there are no credentials", "AWS_PROFILE"]),
        (s3, &[("AWS_ALLOW_INVALID_CERTIFICATES", "true")], &["AWS_ALLOW_INVALID_CERTIFICATES is not taken"]),
        (
            "az://con/p",
            &[("AZURE_ALLOW_INVALID_CERTIFICATES", "1")],
            &["AZURE_ALLOW_INVALID_CERTIFICATES is not taken"],
        ),
        (
            "gs://b/p",
            &[("GOOGLE_ALLOW_INVALID_CERTIFICATES", "on")],
            &["GOOGLE_ALLOW_INVALID_CERTIFICATES is not taken"],
        ),
        ("az://con/p", &[], &["Account must be specified", "AZURE_STORAGE_ACCOUNT_NAME"]),
        (
            "az://con/p",
            &[("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_CLIENT_CERTIFICATE_PATH", "/c")],
            &["AZURE_CLIENT_CERTIFICATE_PATH is set, which is not read here", "AZURE_CLIENT_SECRET"],
        ),
        (
            "az://con/p",
            &[("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_CLIENT_SECRET", "planted")],
            &["AZURE_CLIENT_SECRET is set, and AZURE_CLIENT_ID is not"],
        ),
        (
            "gs://b/p",
            &[("GOOGLE_BASE_URL", "http://store.example"), ("GOOGLE_BEARER_TOKEN", "planted")],
            &["GOOGLE_BASE_URL is plain http", "GOOGLE_ALLOW_HTTP=true"],
        ),
        (s3, &[("AWS_SSE_CUSTOMER_KEY_BASE64", "planted"), ("AWS_SSE_KMS_KEY_ID", "k")], &["are asked for at once"]),
    ] {
        let said = said(url, variables);
        for phrase in phrases {
            assert!(said.contains(phrase), "{url} {variables:?}: no {phrase:?} in {said}");
        }
        assert!(!said.contains("planted"), "{said}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let nothing = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SESSION_TOKEN", ""), ("AWS_ENDPOINT", ""), ("AWS_CA_BUNDLE", "")];
    open_in("s3://b/p", Access::Read, &env(&nothing)).unwrap();
}

#[test]
fn options_are_part_of_the_url_and_no_part_of_the_prefix() {
    let location = open_in("s3://b/a/p?region=eu-west-1", Access::Read, &env(&KEYS)).unwrap();
    assert_eq!((location.prefix.as_ref(), location.url.as_str()), ("a/p", "s3://b/a/p?region=eu-west-1"));
}

#[test]
fn unsigned_requests_are_asked_for_by_yes_alone_and_never_in_the_place_of_a_profile_that_was_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let file = home.path().join(".aws/credentials");
    std::fs::write(file, "[ops]\naws_access_key_id = id\naws_secret_access_key = secret\n").unwrap();
    let home = home.path().to_str().unwrap();
    let shown = |url: &str, variables: &[(&str, &str)]| {
        let all = [&[("HOME", home)][..], variables].concat();
        open_in(url, Access::Read, &env(&all)).map(|location| format!("{:?}", location.store)).unwrap_or_default()
    };
    let unsigned = "skip_signature: true";
    assert!(shown("s3://b/p", &[("AWS_SKIP_SIGNATURE", "true")]).contains(unsigned));
    let no = [("AWS_SKIP_SIGNATURE", "false"), ("AWS_PROFILE", "ops")];
    assert!(shown("s3://b/p", &no).contains("Keys"), "a profile that is named is used: {}", shown("s3://b/p", &no));
    let both = shown("s3://b/p?profile=ops", &[("AWS_SKIP_SIGNATURE", "true")]);
    assert!(both.contains("Keys") && !both.contains(unsigned), "{both}");
    let none = said("s3://b/p", &[("AWS_SKIP_SIGNATURE", "no"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    assert!(none.contains("there are no credentials"), "{none}");
    let tagged = shown("s3://b/p?tagging=a=b", &[("AWS_SKIP_SIGNATURE", "true"), ("AWS_DISABLE_TAGGING", "true")]);
    assert!(tagged.contains("disable_tagging: false"), "{tagged}");
}

#[test]
fn another_is_asked_for_with_nothing_of_who_asked_before() {
    let before = [
        ("AWS_PROFILE", "ops"),
        ("AWS_SESSION_TOKEN", "old"),
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_REGION", "r"),
        ("AWS_ENDPOINT_URL", "https://h"),
        ("AZURE_CLIENT_SECRET", "old"),
        ("AZURE_AUTHORITY_HOST", "https://h"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/f"),
        ("HOME", "/home"),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let env =
        Environment::of(before.map(text)).of_another([("AWS_ACCESS_KEY_ID", "new"), ("AWS_REGION", "")].map(text));
    let there = before.map(|(name, _)| name).into_iter().filter(|name| env.get(name).is_some());
    assert_eq!(there.collect::<Vec<_>>(), ["AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_AUTHORITY_HOST", "HOME"]);
    assert_eq!(env.get("AWS_ACCESS_KEY_ID"), Some("new"));
}

#[test]
fn an_authority_in_words_is_one_or_is_refused() {
    let env = Environment::of([]).trusting("no certificate");
    let failure = open_in("s3://b/p?region=r", Access::Read, &env).unwrap_err();
    assert!(failure.to_string().contains("caCert: holds no certificate"), "{failure}");
}
