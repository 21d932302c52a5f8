//! Whoever gives credentials to a workload, as each cloud publishes it: the token service and the endpoints of machines and Pods
//! of Amazon, Microsoft's token endpoint and machines, Google's metadata server and token exchange.
//!
//! Amazon's keys are MinIO's own temporary ones, so that MinIO checks key, signature and session; tokens are drawn here, each
//! once, and the fronts ask which were given. A request that is not as the reference has it is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use object_store::aws::AwsCredential;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::front::{Upstream, header_of, sign};
use crate::{
    clouds::{Reply, Server, answer},
    real::{Minio, https::HttpsServer, tls::Authority},
};

/// The token of a service account that Kubernetes would mount, as each cloud trusts it.
pub const SUBJECT_TOKEN: &str = "header.subject-of-the-testbed.signature";
/// A role, an application and its tenant, and the audience of a pool.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/journal";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";
const CLIENT: &str = "66666666-7777-4888-8999-000000000000";
const SECRET: &str = "an application's secret";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/kubernetes";
/// A service account of Google's, and its key.
const ACCOUNT: &str = "journal@testbed.iam.gserviceaccount.com";
const KEY_ID: &str = "key-of-the-testbed";
static KEY: LazyLock<String> = LazyLock::new(|| {
    let mut make = std::process::Command::new("openssl");
    make.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let made = make.output().expect("`openssl` makes a service account's key; hint: install the package openssl");
    String::from_utf8(made.stdout).expect("a key is text")
});
/// The session of a machine's metadata service.
const SESSION: &str = "AQAAA-session==";

/// The endpoints. Dropping them ends them.
pub struct Identities {
    server: Server,
    /// The same by https, as Amazon's token service is asked.
    secure: HttpsServer,
    authority: Authority,
    given: Arc<Given>,
}

#[derive(Debug, Default)]
struct Given {
    keys: Mutex<Option<Arc<AwsCredential>>>,
    tokens: Mutex<BTreeSet<String>>,
    /// How often each way was gone.
    ways: Mutex<BTreeMap<&'static str, u64>>,
}

impl Identities {
    /// Endpoints that give nothing of Amazon's yet.
    pub async fn start() -> Result<Self> {
        let given = Arc::<Given>::default();
        let all = given.clone();
        let server = Server::start(move |request| {
            let reply = all.serve(&request);
            async move { reply }
        });
        let authority = Authority::new("of the token service")?;
        let all = given.clone();
        let secure = HttpsServer::start(authority.serving(&[])?, move |request| match all.serve(&request) {
            Reply::Answer(answer) => answer.map(Full::boxed),
            Reply::Cut => Response::new(Full::default().boxed()),
        });
        Ok(Self { server: server.await?, secure: secure.await?, authority, given })
    }

    /// Has temporary keys of this store to give.
    pub async fn of(&self, minio: &Minio) -> Result<()> {
        *lock(&self.given.keys) = Some(Arc::new(temporary(minio).await?));
        Ok(())
    }

    /// Where they are.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Amazon's token service, by https alone.
    pub fn sts(&self) -> String {
        format!("https://127.0.0.1:{}/sts", self.secure.port())
    }

    /// The certificate of the token service's authority as PEM.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// A token, as somebody gets it by hand.
    pub fn token(&self) -> String {
        self.given.draw()
    }

    /// Whether the token was given, or is one that the service account of [`Identities::service_account`] signed.
    pub fn gave(&self, token: &str) -> bool {
        lock(&self.given.tokens).contains(token) || self.given.signed(token).is_some()
    }

    /// How often this way was gone: `irsa`, `pod`, `machine`, `federated`, `secret`, `managed`, `metadata`, `exchange`, `signed`.
    pub fn went(&self, way: &str) -> u64 {
        lock(&self.given.ways).get(way).copied().unwrap_or_default()
    }

    /// What AKS puts into the environment of a Pod with a workload identity, but for the token's file; its authority ends with
    /// a slash.
    pub fn of_aks(&self) -> Vec<(String, String)> {
        [
            ("AZURE_TENANT_ID", TENANT.to_owned()),
            ("AZURE_CLIENT_ID", CLIENT.to_owned()),
            ("AZURE_AUTHORITY_HOST", format!("{}/", self.url())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The application's secret.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// A credentials file with a service account's key, which signs tokens for itself.
    pub fn service_account(&self) -> String {
        json!({
            "type": "service_account", "project_id": "testbed", "private_key_id": KEY_ID, "private_key": *KEY,
            "client_email": ACCOUNT, "client_id": "1", "token_uri": format!("{}/token", self.url()),
        })
        .to_string()
    }

    /// A credentials file of a workload identity federation, whose subject's token is in `token`.
    pub fn federation(&self, token: &std::path::Path) -> String {
        json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", self.url()),
            "credential_source": { "file": token.display().to_string() },
        })
        .to_string()
    }
}

impl Given {
    fn draw(&self) -> String {
        let mut tokens = lock(&self.tokens);
        let token = format!("token-{}-of-the-testbed", tokens.len());
        tokens.insert(token.clone());
        token
    }

    /// A token that the service account signed for itself: who it says it is, for what and how long, and the signature.
    fn signed(&self, token: &str) -> Option<()> {
        let (text, signature) = token.rsplit_once('.')?;
        let (head, claims) = text.split_once('.')?;
        let read = |part: &str| serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (head, claims) = (read(head)?, read(claims)?);
        let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).ok()?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        key.verify(text.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let now = UNIX_EPOCH.elapsed().ok()?.as_secs();
        let (from, to) = (claims["iat"].as_u64()?, claims["exp"].as_u64()?);
        let whole = head["alg"] == "RS256"
            && head["kid"] == KEY_ID
            && claims["iss"] == ACCOUNT
            && claims["sub"] == ACCOUNT
            && claims["scope"].as_str()?.contains("https://www.googleapis.com/auth/")
            && (from..to).contains(&now)
            && to - from <= 3600;
        whole.then(|| self.went("signed"))
    }

    fn went(&self, way: &'static str) {
        *lock(&self.ways).entry(way).or_default() += 1;
    }

    fn serve(&self, request: &Request<Bytes>) -> Reply {
        let query = form(request.uri().query().unwrap_or_default().as_bytes());
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/sts" | "/sts/") => self.assume(request, &query),
            (&Method::GET, "/v1/credentials") => self.pod(request),
            (_, path) if path.starts_with("/latest/") => self.machine(request),
            (&Method::POST, "/v1/token") => self.exchange(request),
            (&Method::POST, path) if path.ends_with("/oauth2/v2.0/token") => self.entra(request),
            (&Method::GET, "/metadata/identity/oauth2/token") => self.managed(request, &query),
            (&Method::GET, "/computeMetadata/v1/instance/service-accounts/default/token") => self.metadata(request),
            _ => said(404, &json!({ "error": "not_found" })),
        }
    }

    fn keys(&self) -> Option<Arc<AwsCredential>> {
        lock(&self.keys).clone()
    }

    /// `AssumeRoleWithWebIdentity`, its parameters in the query or in a form.
    fn assume(&self, request: &Request<Bytes>, query: &BTreeMap<String, String>) -> Reply {
        let mut given = query.clone();
        given.extend(form(request.body()));
        let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
        let refused = |status, code: &str, text: &str| {
            let body = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>{text}</Message></Error></ErrorResponse>"
            );
            Reply::Answer(answer(status, "text/xml", body))
        };
        let whole = is("Action", "AssumeRoleWithWebIdentity")
            && is("Version", "2011-06-15")
            && given.contains_key("RoleSessionName")
            && !request.headers().contains_key(header::AUTHORIZATION);
        if !whole {
            return refused(400, "ValidationError", "the request is not as the reference has it");
        }
        if !is("WebIdentityToken", SUBJECT_TOKEN) {
            return refused(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account");
        }
        if !is("RoleArn", ROLE) {
            return refused(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        }
        let Some(keys) = self.keys() else { return refused(500, "InternalFailure", "there are no keys to give") };
        self.went("irsa");
        let body = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
             <SessionToken>{}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
            keys.key_id,
            keys.secret_key,
            keys.token.as_deref().unwrap_or_default(),
        );
        Reply::Answer(answer(200, "text/xml", body))
    }

    /// Amazon's keys as containers and machines are told them.
    fn told(&self, way: &'static str) -> Reply {
        let Some(keys) = self.keys() else { return said(500, &json!({ "message": "there are no keys to give" })) };
        self.went(way);
        said(
            200,
            &json!({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": keys.key_id, "SecretAccessKey": keys.secret_key,
                "Token": keys.token, "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2999-01-01T00:00:00Z",
            }),
        )
    }

    /// EKS Pod Identity.
    fn pod(&self, request: &Request<Bytes>) -> Reply {
        match header_of(request, "authorization") == Some(SUBJECT_TOKEN) {
            true => self.told("pod"),
            false => said(401, &json!({ "message": "the token is not known" })),
        }
    }

    /// The second version of a machine's metadata service.
    fn machine(&self, request: &Request<Bytes>) -> Reply {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        let plain = |status, text: &str| Reply::Answer(answer(status, "text/plain", text.to_owned()));
        let path = request.uri().path();
        if request.method() == Method::PUT && path == "/latest/api/token" {
            let ttl = header_of(request, "x-aws-ec2-metadata-token-ttl-seconds").and_then(|ttl| ttl.parse().ok());
            return match ttl {
                Some(1..=21_600) => plain(200, SESSION),
                _ => plain(400, "bad ttl"),
            };
        }
        if header_of(request, "x-aws-ec2-metadata-token") != Some(SESSION) {
            return plain(401, "Unauthorized");
        }
        match path.strip_prefix(ROLES) {
            Some("") => plain(200, "journal"),
            Some("journal") => self.told("machine"),
            _ => plain(404, "Not Found"),
        }
    }

    /// Microsoft's token endpoint.
    fn entra(&self, request: &Request<Bytes>) -> Reply {
        let given = form(request.body());
        let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
        if request.uri().path() != format!("/{TENANT}/oauth2/v2.0/token") {
            return said(
                400,
                &json!({ "error": "invalid_tenant", "error_description": "AADSTS90002: Tenant not found." }),
            );
        }
        let whole = is("client_id", CLIENT)
            && is("grant_type", "client_credentials")
            && is("scope", "https://storage.azure.com/.default");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let federated = is("client_assertion_type", kind) && is("client_assertion", SUBJECT_TOKEN);
        if whole && federated && given.len() == 5 {
            self.went("federated");
        } else if whole && is("client_secret", SECRET) && given.len() == 4 {
            self.went("secret");
        } else {
            let text = "AADSTS70021: No matching federated identity record found for presented assertion.";
            return said(401, &json!({ "error": "invalid_request", "error_description": text }));
        }
        said(200, &json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": self.draw() }))
    }

    /// A machine's identity of Microsoft's.
    fn managed(&self, request: &Request<Bytes>, query: &BTreeMap<String, String>) -> Reply {
        let is = |name: &str, value: &str| query.get(name).is_some_and(|given| given == value);
        let version = ["2018-02-01", "2019-08-01"].iter().any(|version| is("api-version", version));
        let resource = query.get("resource").is_some_and(|resource| resource.starts_with("https://storage.azure.com"));
        if !version || !resource || header_of(request, "metadata") != Some("true") {
            return said(400, &json!({ "error": "invalid_request" }));
        }
        self.went("managed");
        // Numbers are said as text.
        said(
            200,
            &json!({
                "access_token": self.draw(), "expires_in": "3599", "expires_on": "32472144000",
                "resource": "https://storage.azure.com/", "token_type": "Bearer",
            }),
        )
    }

    /// Google's metadata server.
    fn metadata(&self, request: &Request<Bytes>) -> Reply {
        if header_of(request, "metadata-flavor") != Some("Google") {
            return said(403, &json!({ "error": "Missing Metadata-Flavor:Google header." }));
        }
        self.went("metadata");
        said(200, &json!({ "access_token": self.draw(), "expires_in": 3599, "token_type": "Bearer" }))
    }

    /// Google's exchange of tokens.
    fn exchange(&self, request: &Request<Bytes>) -> Reply {
        let given = form(request.body());
        let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
        let whole = is("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            && is("audience", AUDIENCE)
            && is("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
            && is("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
            && given.get("scope").is_some_and(|scope| scope.contains("https://www.googleapis.com/auth/"));
        if !whole {
            return said(400, &json!({ "error": "invalid_request" }));
        }
        if !is("subject_token", SUBJECT_TOKEN) {
            let text = "The given credential is rejected by the attribute condition.";
            return said(400, &json!({ "error": "invalid_grant", "error_description": text }));
        }
        self.went("exchange");
        said(
            200,
            &json!({
                "access_token": self.draw(), "expires_in": 3599, "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }),
        )
    }
}

fn form(text: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn said(status: u16, body: &Value) -> Reply {
    Reply::Answer(answer(status, "application/json", body.to_string()))
}

/// Keys of MinIO's that end within the hour.
async fn temporary(minio: &Minio) -> Result<AwsCredential> {
    let upstream = Upstream::new(minio.port())?;
    let body = "Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600";
    let unsigned = Request::builder().method("POST").uri(upstream.url("/"));
    let unsigned = unsigned.header("content-type", "application/x-www-form-urlencoded");
    let headers = sign(&minio.keys(), "sts", minio.region(), unsigned, body.as_bytes())?;
    let answered = upstream.ask(Method::POST, "/", headers, Bytes::from_static(body.as_bytes())).await?;
    let status = answered.status();
    let said = answered.into_body().collect().await?.to_bytes();
    let said = String::from_utf8_lossy(&said);
    ensure!(status == 200, "MinIO gave no temporary keys: {status} {said}");
    let text = |tag: &str| {
        let value = said.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>"))?.0;
        Some(value.to_owned())
    };
    Ok(AwsCredential {
        key_id: text("AccessKeyId").context("MinIO did not say the key")?,
        secret_key: text("SecretAccessKey").context("MinIO did not say the secret")?,
        token: text("SessionToken"),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
