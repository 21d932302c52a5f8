//! `s3://`: Amazon S3, and the stores that speak as it does.
//!
//! **Whose credentials**, the first that there is: the profile that the URL names; keys in the environment; the profile of
//! `AWS_PROFILE`; a Pod's role (a web identity, or the container's endpoint); the profile `default` of the shared files; the
//! machine's role.
//!
//! **Invariants.** (1) What was half given is refused by name, never passed over for the machine's role. (2) A key of the
//! customer's does not go over plain http.
//!
//! Not here: profiles (`shared`), what the library does with each of the settings.

use std::{path::Path, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use object_store::{
    ClientConfigKey, ObjectStore,
    aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, Checksum},
};
use url::{Host, Url};

use super::{
    client::{Asked, CONNECT_LIMIT, retry},
    options::Known,
    region::Regional,
    shared::{self, Means, Profile},
    tagged::Tagged,
};
use crate::failure::Result;

/// What may stand in a URL.
pub(super) const KNOWN: Known = Known {
    scheme: "s3",
    taken: &[
        "region",
        "s3Url",
        "s3ForcePathStyle",
        "allowHttp",
        "caCert",
        "profile",
        "enableSharedConfig",
        "serverSideEncryption",
        "kmsKeyId",
        "customerKeyEncryptionFile",
        "checksumAlgorithm",
        "tagging",
        "requesterPays",
        "signatureVersion",
    ],
    refused: &[
        ("bucket", "the bucket and the prefix are the URL itself", "s3://BUCKET/PREFIX"),
        ("prefix", "the bucket and the prefix are the URL itself", "s3://BUCKET/PREFIX"),
        (
            "publicUrl",
            "Hindcast signs no URLs for others: who reads the journal has access to the bucket",
            "leave it out",
        ),
        (
            "customerKeyEncryptionSecret",
            "a reader needs the bucket alone, and asks no cluster for a Secret",
            "mount the Secret, and give customerKeyEncryptionFile=FILE",
        ),
    ],
};

/// Kinds of encryption by the store that take the store's own keys.
const KINDS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];

/// Opens it.
pub(super) fn open(asked: &Asked<'_>) -> Result<Arc<dyn ObjectStore>> {
    let profile = shared::of(asked)?;
    let of_profile = |name: &str| profile.as_ref().and_then(|profile| profile.value(name));
    let bundles = [("AWS_CA_BUNDLE", asked.env.get("AWS_CA_BUNDLE")), ("ca_bundle", of_profile("ca_bundle"))];
    let mut builder = AmazonS3Builder::new().with_client_options(asked.client(&bundles)?).with_http_connector(Regional);
    for (name, value) in asked.variables("AWS_")? {
        let Ok(key) = name.to_ascii_lowercase().parse::<Key>() else { continue };
        // Set as a whole, below; and a profile's credentials are not mixed with others.
        let elsewhere = matches!(key, Key::Encryption(_) | Key::Checksum | Key::VirtualHostedStyleRequest);
        let left_out = elsewhere || profile.is_some() && is_credential(key);
        if !left_out {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(url) = asked.env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        builder = builder.with_metadata_endpoint(url.trim_end_matches('/'));
    }
    let region = asked.options.text("region").or_else(|| {
        let none = builder.get_config_value(&Key::Region).is_none();
        of_profile("region").filter(|_| none)
    });
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    let (builder, endpoint) = addressed(asked, builder, of_profile("endpoint_url"))?;
    let builder = encrypted(asked, builder, endpoint.as_ref())?;
    let builder = summed(asked, builder)?;
    let builder = credentials(asked, builder, profile)?;
    signed(asked)?;
    let builder = match asked.options.flag("requesterPays")? {
        Some(pays) => builder.with_request_payer(pays),
        None => builder,
    };
    let tagging = asked.options.text("tagging").map(|text| tags(asked, text)).transpose()?;
    // The environment would have the store's client leave them out without a word.
    let builder = if tagging.is_some() { builder.with_disable_tagging(false) } else { builder };
    let store = builder
        .with_bucket_name(asked.bucket())
        .with_retry(retry())
        // Objects are removed one by one, and not every store knows the request that removes many.
        .with_disable_bulk_delete(true)
        .with_allow_http(asked.may_be_plain("AWS_ALLOW_HTTP")?)
        .with_config(Key::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
        .with_config(Key::Client(ClientConfigKey::Timeout), asked.limit)
        .build()
        .map_err(|error| asked.unbuilt(&error))?;
    Ok(match tagging {
        Some(tags) => Arc::new(Tagged::new(store, tags)),
        None => Arc::new(store),
    })
}

/// Whether it says who asks.
fn is_credential(key: Key) -> bool {
    matches!(
        key,
        Key::AccessKeyId
            | Key::SecretAccessKey
            | Key::Token
            | Key::RoleArn
            | Key::RoleSessionName
            | Key::WebIdentityTokenFile
            | Key::ContainerCredentialsRelativeUri
            | Key::ContainerCredentialsFullUri
            | Key::ContainerAuthorizationTokenFile
            | Key::SkipSignature
    )
}

/// Where requests go, and whether the bucket is in the path or in the host.
fn addressed(
    asked: &Asked<'_>,
    builder: AmazonS3Builder,
    of_profile: Option<&str>,
) -> Result<(AmazonS3Builder, Option<Url>)> {
    let of_env = asked.env.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
    let named = asked.options.text("s3Url").map(|url| ("s3Url", url)).or(of_env);
    let named = named.or_else(|| of_profile.map(|url| ("endpoint_url of the profile", url)));
    let in_host = match asked.options.flag("s3ForcePathStyle")? {
        Some(in_path) => !in_path,
        None => asked.env.is_on("AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
    };
    let builder = builder.with_virtual_hosted_style_request(in_host);
    let Some((name, text)) = named else { return Ok((builder, None)) };
    let mut url = asked.endpoint(name, text, "AWS_ALLOW_HTTP")?;
    if in_host {
        let bucket = asked.bucket();
        match url.host() {
            Some(Host::Domain(host)) if host.starts_with(&format!("{bucket}.")) => {}
            Some(Host::Domain(host)) => {
                let host = format!("{bucket}.{host}");
                let wrong = |_| asked.refuse(format!("`{host}` is no name of a host")).hint("s3ForcePathStyle=true");
                url.set_host(Some(&host)).map_err(wrong)?;
            }
            _ => {
                let reason = format!("the endpoint in {name} is an address, which no bucket's name can stand before");
                return Err(asked
                    .refuse(reason)
                    .hint("s3ForcePathStyle=true puts the bucket into the path; or give the endpoint by its name"));
            }
        }
    }
    let endpoint = url.as_str().trim_end_matches('/');
    Ok((builder.with_config(Key::S3Endpoint, endpoint), Some(url)))
}

/// How the store is to encrypt what it keeps.
fn encrypted(asked: &Asked<'_>, builder: AmazonS3Builder, endpoint: Option<&Url>) -> Result<AmazonS3Builder> {
    let options = &asked.options;
    let kind = options.text("serverSideEncryption").or_else(|| asked.env.get("AWS_SERVER_SIDE_ENCRYPTION"));
    let key = options.text("kmsKeyId").or_else(|| asked.env.get("AWS_SSE_KMS_KEY_ID"));
    let customers = match options.text("customerKeyEncryptionFile") {
        Some(file) => Some(customers_key(asked, Path::new(file))?),
        None => asked.env.get("AWS_SSE_CUSTOMER_KEY_BASE64").map(str::to_owned),
    };
    if let Some(customers) = customers {
        if key.is_some() || kind.is_some_and(|kind| kind != "sse-c") {
            return Err(asked
                .refuse("a key of the customer's and a key of the store's are asked for at once")
                .hint("give customerKeyEncryptionFile, or serverSideEncryption and kmsKeyId"));
        }
        if endpoint.is_some_and(|url| url.scheme() == "http") {
            return Err(asked
                .refuse("the customer's key would go over plain http with each request")
                .hint("give the endpoint with https://"));
        }
        return Ok(builder.with_ssec_encryption(customers));
    }
    let Some(kind) = kind.or(key.map(|_| "aws:kms")) else { return Ok(builder) };
    if !KINDS.contains(&kind) {
        let hint = format!("it is one of {}; a key of your own is customerKeyEncryptionFile=FILE", KINDS.join(", "));
        return Err(asked
            .refuse("serverSideEncryption (AWS_SERVER_SIDE_ENCRYPTION) is no kind of encryption")
            .hint(hint));
    }
    if key.is_some() && kind == "AES256" {
        return Err(asked
            .refuse("AES256 is encryption with the store's own key, and kmsKeyId names another")
            .hint("serverSideEncryption=aws:kms, or no kmsKeyId"));
    }
    let mut builder = builder;
    for (name, value) in [("aws_server_side_encryption", Some(kind)), ("aws_sse_kms_key_id", key)] {
        if let (Ok(name), Some(value)) = (name.parse(), value) {
            builder = builder.with_config(name, value);
        }
    }
    if let Some(enabled) = asked.env.get("AWS_SSE_BUCKET_KEY_ENABLED").and_then(super::environment::switch) {
        builder = builder.with_bucket_key(enabled);
    }
    Ok(builder)
}

/// The customer's key as base64: 32 bytes in a file, as they are or as base64.
fn customers_key(asked: &Asked<'_>, file: &Path) -> Result<String> {
    let wrong = |reason: String| {
        asked
            .options
            .wrong("customerKeyEncryptionFile", format!("names {}, which {reason}", file.display()))
            .hint("the file holds the 32 bytes of a key, as they are or as base64: head -c 32 /dev/urandom > FILE")
    };
    let bytes = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if bytes.len() == 32 {
        return Ok(BASE64_STANDARD.encode(bytes));
    }
    match BASE64_STANDARD.decode(bytes.trim_ascii()) {
        Ok(key) if key.len() == 32 => Ok(BASE64_STANDARD.encode(key)),
        _ => Err(wrong("is no key of 32 bytes".to_owned())),
    }
}

/// The checksum that goes with each object.
fn summed(asked: &Asked<'_>, builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
    let given = asked.options.text("checksumAlgorithm").or_else(|| asked.env.get("AWS_CHECKSUM_ALGORITHM"));
    let Some(name) = given.filter(|name| !name.is_empty()) else { return Ok(builder) };
    match name.parse::<Checksum>() {
        Ok(checksum) => Ok(builder.with_checksum_algorithm(checksum)),
        Err(()) => {
            let known = ["CRC32", "CRC32C", "SHA1"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
            let reason = known.map_or_else(
                || "checksumAlgorithm (AWS_CHECKSUM_ALGORITHM) names no checksum of S3".to_owned(),
                |known| format!("the checksum {known} is not made here"),
            );
            Err(asked.refuse(reason).hint(
                "checksumAlgorithm=SHA256 or CRC64NVME; without it the signature covers each object's SHA-256 all the same",
            ))
        }
    }
}

/// Only one version of signatures is made.
fn signed(asked: &Asked<'_>) -> Result<()> {
    match asked.options.text("signatureVersion") {
        None | Some("4") => Ok(()),
        Some(_) => Err(asked
            .options
            .wrong("signatureVersion", "names another version than 4")
            .hint("requests are signed by version 4, which every S3 has had since 2014; leave it out")),
    }
}

/// `team=shop,env=prod`, also with `&` between them.
fn tags(asked: &Asked<'_>, text: &str) -> Result<Vec<(String, String)>> {
    let wrong = |reason: &str| {
        asked.options.wrong("tagging", reason).hint("tagging=team=shop,env=prod; S3 takes ten tags of an object")
    };
    let tags: Option<Vec<_>> = text
        .split([',', '&'])
        .map(|tag| tag.split_once('=').filter(|(name, _)| !name.is_empty()))
        .map(|tag| tag.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let tags = tags.ok_or_else(|| wrong("is no list of NAME=VALUE"))?;
    if tags.len() > 10 {
        return Err(wrong("names more than ten tags"));
    }
    Ok(tags)
}

/// Whoever asks.
fn credentials(asked: &Asked<'_>, builder: AmazonS3Builder, profile: Option<Profile>) -> Result<AmazonS3Builder> {
    if let Some(profile) = profile {
        return match profile.means() {
            Means::Provider(provider) => Ok(builder.with_credentials(provider)),
            Means::WebIdentity { role, token, session } => {
                let builder = builder.with_config(Key::RoleArn, role).with_config(Key::WebIdentityTokenFile, token);
                Ok(match session {
                    Some(session) => builder.with_config(Key::RoleSessionName, session),
                    None => builder,
                })
            }
        };
    }
    let given = |name: &str| asked.env.get(name).is_some();
    let pair = |one: &str, other: &str, what: &str| {
        let (there, missing) = if given(one) { (one, other) } else { (other, one) };
        asked.refuse(format!("{there} is set, and {missing} is not")).hint(format!("{what} needs both, or neither"))
    };
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    if given(id) != given(secret) {
        return Err(pair(id, secret, "a key"));
    }
    if given(id) || asked.env.is_on("AWS_SKIP_SIGNATURE") {
        return Ok(builder);
    }
    let (token, role) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN");
    if given(token) && !given(role) {
        return Err(pair(token, role, "a web identity (IRSA)"));
    }
    if given(token) || given("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return Ok(builder);
    }
    let (uri, file) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if given(uri) && !given(file) {
        let failure = asked.refuse(format!("{uri} is set, and {file} is not"));
        return Err(failure.hint(
            "a container's credentials are asked for with a token out of a file, as EKS Pod Identity mounts it; where the \
             token is in a variable, write it into a file and name that",
        ));
    }
    if !given(uri) && asked.env.is_on("AWS_EC2_METADATA_DISABLED") {
        let reason = "there are no credentials, and AWS_EC2_METADATA_DISABLED forbids to ask the machine for its role";
        let failure = asked.refuse(reason);
        return Err(match super::remedy(asked.url.as_str()) {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        });
    }
    Ok(builder)
}
