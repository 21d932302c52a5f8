//! A store's error, sorted by what has to be done about it.
//!
//! The library sorts a few answers by kind and the rest by nothing, so most is read off the text: the status, the code
//! in the store's own document, and what the transport says. Each cause that a person has to put right has a remedy of
//! its own.
//!
//! **Invariant.** What a store tells back of credentials is in no error, nor in its causes: errors reach terminals and logs
//! [`without_secrets`].

use object_store::path::Path;

use crate::{
    Error,
    error::{ErrorKind, Outage},
};

/// What some errors say, what that means, and what helps.
struct Sign {
    /// Any of these in the text.
    says: &'static [&'static str],
    kind: ErrorKind,
    outage: Outage,
    /// Stands before the error's own text.
    reason: &'static str,
    hint: &'static str,
}

const PLAIN: Outage = Outage::Hiccup;

/// In order: the first that fits decides, so the more specific come first.
const SIGNS: &[Sign] = &[
    Sign {
        says: &["RequestTimeTooSkewed", "RequestTimeSkewed", "Request date header too old"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "this machine's clock and the store's are too far apart",
        hint: "set the clock of this machine, or of the store (timedatectl, chronyc tracking): requests are signed with the time",
    },
    Sign {
        says: &["ExpiredToken", "TokenRefreshRequired"],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "the credentials have expired",
        hint: "renew the session's credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)",
    },
    Sign {
        says: &["AssumeRole", "InvalidIdentityToken", "IDPRejectedClaim"],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "the token service gives no credentials of the role",
        hint: "check the role's trust policy: it names the cluster's OIDC provider and this service account; and that AWS_ROLE_ARN \
               is the role (the service account's annotation eks.amazonaws.com/role-arn)",
    },
    Sign {
        says: &["AADSTS", "invalid_client", "unauthorized_client"],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "Microsoft Entra gives no token",
        hint: "check AZURE_CLIENT_ID and AZURE_TENANT_ID, the secret if there is one, and of a workload identity that the \
               application trusts this cluster's issuer and service account (az identity federated-credential list)",
    },
    Sign {
        says: &["invalid_grant", "invalid_target", "invalid_scope"],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "Google gives no token",
        hint: "check the credentials file; of a federation, that the pool's provider takes this issuer and audience, and that the \
               account may be impersonated (roles/iam.workloadIdentityUser)",
    },
    Sign {
        says: &["SecondLevelDomainForbidden", "PathStyleDomainForbidden"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store wants the bucket in the host's name, not in the path",
        hint: "s3ForcePathStyle=false in the journal's URL (or AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true)",
    },
    Sign {
        says: &["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "there is no such bucket",
        hint: "make the bucket, or correct the journal's URL: Hindcast makes objects, never a bucket; of a store that only knows \
               buckets in the path, or only in the host's name: s3ForcePathStyle=true or =false in the URL",
    },
    Sign {
        says: &["must be made over a secure connection"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store takes a key of the customer's by https alone",
        hint: "give the endpoint with https://",
    },
    Sign {
        says: &[
            "stored using a form of Server Side Encryption",
            "provided encryption parameters did not match",
            "not applicable to this object",
            "access key provided does not match",
            "calculated MD5 hash of the key did not match",
        ],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the object is encrypted with another key than was given, or with none",
        hint: "name the file of the customer's key that it was written with: customerKeyEncryptionFile=FILE in the journal's URL; \
               leave it out of a journal that was written without",
    },
    Sign {
        says: &["KMS.", "KMSNotConfigured", "KmsNotConfigured", "kms:", "KMS is not configured", "KMS key"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store's key service does not encrypt with that key",
        hint: "check kmsKeyId (AWS_SSE_KMS_KEY_ID): that it is in the bucket's region and enabled, and that these credentials may use it \
               (kms:GenerateDataKey and kms:Decrypt)",
    },
    Sign {
        says: &["Content-MD5", "x-amz-checksum- HTTP header is required"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store wants a checksum with each object, as a bucket with object lock does",
        hint: "checksumAlgorithm=SHA256 in the journal's URL (or AWS_CHECKSUM_ALGORITHM)",
    },
    Sign {
        says: &["<Header>x-amz-tagging", "'x-amz-tagging", "header x-amz-tagging"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store knows no tags of objects",
        hint: "leave `tagging` out of the journal's URL",
    },
    Sign {
        says: &["<Header>x-amz-checksum", "'x-amz-checksum", "<Header>x-amz-sdk-checksum"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store does not know this checksum",
        hint: "leave `checksumAlgorithm` out of the journal's URL: the signature covers each object's SHA-256 all the same",
    },
    Sign {
        says: &["<Header>x-amz-server-side", "'x-amz-server-side"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store does not encrypt as it was asked to",
        hint: "leave `serverSideEncryption` and `kmsKeyId` out of the journal's URL; values of Secrets are sealed in any case",
    },
    Sign {
        says: &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraint",
            "301 Moved Permanently",
            "302 Found",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
            "Received redirect without LOCATION",
        ],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: ELSEWHERE,
        hint: "set AWS_REGION to the bucket's region (aws s3api get-bucket-location), and AWS_ENDPOINT to its endpoint or not at all; \
               or region= and s3Url= in the journal's URL",
    },
    Sign {
        says: &["501 Not Implemented"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store does not know create-if-absent",
        hint: "Hindcast needs a store that honours If-None-Match: * on PUT; a newer version of this one may, or what stands \
               before it takes the header away",
    },
    Sign {
        says: &["URL scheme is not allowed"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the endpoint is plain http, which is not allowed unasked",
        hint: "set AWS_ALLOW_HTTP=true (AZURE_ALLOW_HTTP, GOOGLE_ALLOW_HTTP), or give the endpoint with https://",
    },
    Sign {
        says: &["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the endpoint speaks https, and was asked in plain http",
        hint: "give the endpoint with https://",
    },
    Sign {
        says: &["InvalidContentType", "wrong version number"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the endpoint does not speak https",
        hint: "give the endpoint with http:// and set AWS_ALLOW_HTTP=true, or the port where it speaks https",
    },
    Sign {
        says: &[
            "UnknownIssuer",
            "self-signed certificate",
            "self signed certificate",
            "unable to get local issuer",
            "CaUsedAsEndEntity",
        ],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store's certificate is signed by nobody this machine trusts",
        hint: "name the authority's certificate with AWS_CA_BUNDLE=FILE (PEM; caCert=FILE in the journal's URL, of any store), or add it \
               to the system's (SSL_CERT_FILE)",
    },
    Sign {
        says: &["NotValidForName", "not valid for name"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store's certificate is for another name",
        hint: "give the endpoint by a name that is in its certificate",
    },
    Sign {
        says: &["invalid peer certificate"],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store's certificate does not hold",
        hint: "renew it; if it only seems out of date, the clock of this machine is wrong",
    },
    Sign {
        says: &[
            "507 Insufficient",
            "StorageFull",
            "No space left",
            "os error 28",
            "QuotaExceeded",
            "Disk quota exceeded",
        ],
        kind: ErrorKind::Refused,
        outage: PLAIN,
        reason: "the store is full",
        hint: "make room in the store, or raise its quota",
    },
    Sign {
        says: &["429 Too Many Requests", "503 Service Unavailable", "SlowDown", "ServerBusy", "TooManyRequests"],
        kind: ErrorKind::Unavailable,
        outage: Outage::Busy,
        reason: "the store asks for fewer requests",
        hint: "it passes; if it lasts, raise the store's rate, or see who else keeps it busy",
    },
    Sign {
        says: &[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidToken",
            "InvalidClientTokenId",
            "UnrecognizedClient",
            "AuthenticationFailed",
        ],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "the store does not know these credentials, or not with this secret",
        hint: "check the credentials: the key and its secret, of temporary ones the session's token, and that they are of this store",
    },
    Sign {
        says: &["403 Forbidden", "401 Unauthorized"],
        kind: ErrorKind::Denied,
        outage: PLAIN,
        reason: "the store refused permission",
        hint: "check the credentials in the environment, and their rights on the journal's prefix",
    },
    Sign {
        says: METADATA,
        kind: ErrorKind::Unavailable,
        outage: Outage::Unreached,
        reason: "there are no credentials, and the machine's own metadata server gives none",
        hint: "give credentials in the environment (AWS_…, AZURE_…, GOOGLE_…), or a role to the machine or the Pod; right after a Pod's \
               start its metadata server may take some seconds",
    },
    Sign {
        says: &[
            "client error (Connect)",
            "tcp connect error",
            "dns error",
            "Connection refused",
            "No route to host",
            "Network is unreachable",
        ],
        kind: ErrorKind::Unavailable,
        outage: Outage::Unreached,
        reason: "",
        hint: UP,
    },
];

/// Requests for the credentials of a machine or Pod, as they stand in an error.
const METADATA: &[&str] = &[
    "/latest/api/token",
    "/latest/meta-data/iam",
    "/metadata/identity/oauth2/token",
    "/computeMetadata/v1/",
    "://169.254.170.2/",
    "://169.254.170.23/",
];

const UP: &str = "check that the store is up, and that the journal's URL and endpoint name it";

/// Whatever answers with an HTML page is not the store, or not the store alone.
const PAGES: &[&str] = &["<html", "<!doctype html"];
/// How a page that came with a success status shows: it lacks everything a store's answer has.
const FOREIGN: &[&str] = &["invalid list response", "Unable to extract metadata from headers"];

/// Whether a refusal may have a reason that was not told: what is asked for the head alone is answered without a body.
pub(crate) fn is_mute(error: &object_store::Error) -> bool {
    let refused = ["400 Bad Request", "403 Forbidden"];
    let text = Error::causes(error);
    // Where there was a body, it follows the status.
    refused.iter().any(|status| text.trim_end_matches([' ', ':']).ends_with(status))
}

/// Sorts a store's error by remedy.
pub(crate) fn convert(path: &Path, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let (text, secret) = without_secrets(Error::causes(&error));
    let out = |kind, reason: String| Error::new(kind, path.to_string(), reason);
    if let Some(page) = page(&text) {
        return out(page, format!("something else than the store answered: {}", before_page(&text)))
            .with_hint(ELSE)
            .with_source(Page);
    }
    let sign = SIGNS.iter().find(|sign| sign.says.iter().any(|part| text.contains(part)));
    let (kind, reason, hint, outage) = match (&error, sign) {
        // The library has sorted these already; only an exact cause says more.
        (E::PermissionDenied { .. } | E::Unauthenticated { .. } | E::NotFound { .. }, Some(sign))
            if matches!(sign.kind, ErrorKind::Refused | ErrorKind::Denied) && sign.reason != PERMISSION =>
        {
            (sign.kind, sign.reason.to_owned(), Some(sign.hint), sign.outage)
        }
        (E::NotFound { .. }, _) => (ErrorKind::NotFound, "is not in the bucket".to_owned(), None, PLAIN),
        (E::PermissionDenied { .. }, _) => (
            ErrorKind::Denied,
            PERMISSION.to_owned(),
            Some(
                "the writer needs put, get and list on the journal's prefix; no delete; where the requester of a bucket pays, \
                 requesterPays=true in its URL; of what was written with a key of the customer's, the same key",
            ),
            PLAIN,
        ),
        (E::Unauthenticated { .. }, _) => (
            ErrorKind::Denied,
            "the store did not accept the credentials".to_owned(),
            Some("check the credentials in the environment (AWS_ACCESS_KEY_ID, …)"),
            PLAIN,
        ),
        (E::NotImplemented { .. } | E::NotSupported { .. }, _) => (
            ErrorKind::Invalid,
            format!("the store cannot do this: {text}"),
            Some("Hindcast needs create-if-absent, get and list"),
            PLAIN,
        ),
        (_, Some(sign)) if sign.reason.is_empty() => (sign.kind, text.clone(), Some(sign.hint), sign.outage),
        (_, Some(sign)) => (sign.kind, format!("{}: {text}", sign.reason), Some(sign.hint), sign.outage),
        (_, None) => (ErrorKind::Unavailable, text.clone(), Some(UP), PLAIN),
    };
    let hint = match region(&text).filter(|_| reason.starts_with(ELSEWHERE)) {
        Some(region) => Some(format!(
            "the store says that the region is {region}: AWS_REGION={region}, or region={region} in the journal's URL"
        )),
        None => hint.map(str::to_owned),
    };
    let told = out(kind, reason).with_outage(outage);
    let told = if secret { told.with_source(Told(text)) } else { told.with_source(error) };
    match hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// What S3 tells back of a request that it does not accept: its headers, among them the session's token and a key of the customer's,
/// and what they were signed as.
const TOLD_BACK: [&str; 6] = [
    "CanonicalRequest",
    "CanonicalRequestBytes",
    "StringToSign",
    "StringToSignBytes",
    "SignatureProvided",
    "AWSAccessKeyId",
];

/// The same with a number behind it: the token that has expired, or is of somebody else.
const TOKENS: &str = "Token-";

/// A text without what a store tells back of credentials, and whether there was any of that.
fn without_secrets(text: String) -> (String, bool) {
    let is_secret = |name: &str| TOLD_BACK.contains(&name) || name.starts_with(TOKENS);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        let Some((name, inside)) = behind.split_once('>').filter(|(name, _)| is_secret(name)) else {
            out.push('<');
            rest = behind;
            continue;
        };
        // One that was cut off has no end.
        rest = inside.split_once(&format!("</{name}>")).map_or("", |(_, rest)| rest);
    }
    let found = out.len() + rest.len() < text.len();
    if found {
        out.push_str(rest);
        return (out, true);
    }
    (text, false)
}

/// Stands for an error among the causes that held secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// The region that an answer says the bucket is in.
fn region(text: &str) -> Option<&str> {
    let region = text.split_once("<Region>")?.1.split_once("</Region>")?.0;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    Some(region).filter(|region| !region.is_empty() && region.len() < 40 && region.chars().all(plain))
}

const ELSEWHERE: &str =
    "the store sends this request elsewhere: the bucket is in another region, or at another endpoint";

/// Something answers that every name exists.
pub(crate) fn foreign(path: &Path) -> Error {
    Error::new(
        ErrorKind::Refused,
        path.to_string(),
        "something else than the store answered: it says that any name is there",
    )
    .with_hint(ELSE)
}

const ELSE: &str = "a proxy, a login page or a console answers in the store's place: check the endpoint and its port, and HTTPS_PROXY, \
                    HTTP_PROXY and NO_PROXY";

const PERMISSION: &str = "the store refused permission";

/// The kind of an error that contains an HTML page. A gateway's own errors may pass; anything else it says will not.
fn page(text: &str) -> Option<ErrorKind> {
    let lower = text.to_ascii_lowercase();
    let is_page = PAGES.iter().any(|part| lower.contains(part)) || FOREIGN.iter().any(|part| text.contains(part));
    let passes =
        ["500 ", "502 ", "503 ", "504 ", "429 "].iter().any(|status| text.contains(&format!("status code: {status}")));
    is_page.then_some(if passes { ErrorKind::Unavailable } else { ErrorKind::Refused })
}

/// The text up to the page itself, which is long and of no use here.
fn before_page(text: &str) -> &str {
    let end = text.find('<').unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end_matches([' ', ':'])
}

/// Stands for a page among an error's causes.
#[derive(Debug, thiserror::Error)]
#[error("an HTML page")]
struct Page;
