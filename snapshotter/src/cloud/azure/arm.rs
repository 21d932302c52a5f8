//! The seam to Azure's API: requests and answers of `azure_mgmt_compute`, over our own connections.
//!
//! That crate is the last of its line, so nothing else here names its clients. Its retries are off, its own waiting for
//! long-running operations is not used: an answer that says where an operation is to be asked for is given back as an
//! [`Operation`], and asked for on the injected clock. An operation's address is asked only where Azure itself is, since the
//! request bears the token.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    BytesStream, HttpClient, Request, Response, RetryOptions, StatusCode, TransportOptions, Url,
    auth::{AccessToken, TokenCredential},
    error::{Error as Refusal, ErrorKind as Refused, ResultExt as _},
    headers::{HeaderName, HeaderValue, Headers},
};
use azure_mgmt_compute::package_2024_07_01::{
    Client,
    models::{Disk, Snapshot, SnapshotList},
};
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};
use serde::de::DeserializeOwned;

use super::{
    Settings,
    identity::Identity,
    names::Id,
    sort::{Answered, fault, sorted},
};
use crate::cloud::patience::{Fault, Patience};

/// Azure's public cloud.
const ENDPOINT: &str = "https://management.azure.com";

/// Rights, as errors name them.
mod rights {
    pub(super) const READ: &str = "Microsoft.Compute/snapshots/read";
    pub(super) const WRITE: &str =
        "Microsoft.Compute/snapshots/write and Microsoft.Compute/disks/beginGetAccess/action";
    pub(super) const DELETE: &str = "Microsoft.Compute/snapshots/delete";
    pub(super) const READ_DISK: &str = "Microsoft.Compute/disks/read";
    pub(super) const WRITE_DISK: &str = "Microsoft.Compute/disks/write";
    pub(super) const DELETE_DISK: &str = "Microsoft.Compute/disks/delete";
}

/// Something that Azure goes on with by itself.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// Where it is asked for.
    pub(super) url: String,
    /// How long Azure wants not to be asked.
    pub(super) after: Duration,
}

/// How an operation stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// It goes on; so long Azure wants not to be asked.
    Going(Duration),
    /// It is done.
    Done,
    /// It came to nothing.
    Failed(Fault),
}

/// Azure's API.
pub(super) struct Arm {
    client: Client,
    http: reqwest::Client,
    endpoint: Url,
    identity: Arc<Identity>,
    patience: Patience,
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// Our connections, as the client's.
#[derive(Debug)]
struct Transport(reqwest::Client);

/// The tokens that [`Identity`] keeps, as the client asks for them.
#[derive(Debug)]
struct Kept(Arc<Identity>);

impl Arm {
    pub(super) fn new(settings: &Settings, patience: Patience) -> Result<Self> {
        const WHAT: &str = "the client of Azure";
        let endpoint = settings.endpoint.as_deref().unwrap_or(ENDPOINT);
        let wrong =
            |error: &dyn std::error::Error| Error::invalid(WHAT, format!("{endpoint}: {}", Error::causes(error)));
        let url = Url::parse(endpoint).map_err(|error| wrong(&error))?;
        // An answer elsewhere would be given the token.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| wrong(&error))?;
        let (authority, who) = (settings.authority.as_deref(), settings.credentials.clone());
        let identity = Arc::new(Identity::new(http.clone(), authority, endpoint, who, patience.clone()));
        let client = Client::builder(Arc::new(Kept(Arc::clone(&identity))))
            .endpoint(url.clone())
            .retry(RetryOptions::none())
            .transport(TransportOptions::new(Arc::new(Transport(http.clone()))))
            .build()
            .map_err(|error| wrong(&error))?;
        Ok(Self { client, http, endpoint: url, identity, patience })
    }

    /// An answer, with a token at hand before it is asked for.
    async fn answer(
        &self,
        what: &str,
        right: &str,
        request: impl Future<Output = azure_core::Result<Response>>,
    ) -> Result<(StatusCode, Headers, Vec<u8>), Fault> {
        self.identity.ready().await?;
        let asked = async {
            let read = async {
                let (status, headers, body) = request.await?.deconstruct();
                Ok((status, headers, body.collect().await?.to_vec()))
            };
            let answer: azure_core::Result<_> = read.await;
            answer.map_err(|error| fault(what, right, &error))
        };
        let answer = self.patience.answer(what, asked).await;
        // A token can be revoked before its end: the next one is a new one.
        if answer.as_ref().is_err_and(|fault| fault.error().kind() == ErrorKind::Denied) {
            self.identity.forget();
        }
        answer
    }

    /// What is read; `None` if it is not there.
    async fn read<T: DeserializeOwned>(
        &self,
        what: &str,
        right: &str,
        request: impl Future<Output = azure_core::Result<Response>>,
    ) -> Result<Option<T>, Fault> {
        match self.answer(what, right, request).await {
            Ok((_, _, body)) => parsed(what, &body).map(Some),
            Err(fault) if fault.error().kind() == ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// What is begun, unless it is done with the answer.
    async fn begun(
        &self,
        what: &str,
        right: &str,
        request: impl Future<Output = azure_core::Result<Response>>,
    ) -> Result<Option<Operation>, Fault> {
        let (status, headers, _) = self.answer(what, right, request).await?;
        let at = |name: &'static str| headers.get_optional_string(&HeaderName::from_static(name));
        let url = at("azure-asyncoperation").or_else(|| at("location"));
        match (status, url) {
            (StatusCode::Created | StatusCode::Accepted, Some(url)) => {
                Ok(Some(Operation { url, after: after(&headers) }))
            }
            _ => Ok(None),
        }
    }

    pub(super) async fn snapshot(&self, what: &str, id: &Id) -> Result<Option<Snapshot>, Fault> {
        let request = self.client.snapshots_client().get(&id.subscription, &id.group, &id.name);
        self.read(what, rights::READ, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    pub(super) async fn put_snapshot(&self, what: &str, id: &Id, body: &Snapshot) -> Result<Option<Operation>, Fault> {
        let request = self.client.snapshots_client();
        let request = request.create_or_update(&id.subscription, &id.group, &id.name, body.clone());
        self.begun(what, rights::WRITE, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    pub(super) async fn delete_snapshot(&self, what: &str, id: &Id) -> Result<Option<Operation>, Fault> {
        let request = self.client.snapshots_client().delete(&id.subscription, &id.group, &id.name);
        self.begun(what, rights::DELETE, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    /// A page of a group's snapshots: the first, or the one at this address.
    pub(super) async fn snapshots(
        &self,
        what: &str,
        subscription: &str,
        group: &str,
        next: Option<String>,
    ) -> Result<SnapshotList, Fault> {
        if let Some(next) = next {
            let (_, _, body) = self.at(what, rights::READ, &next).await?;
            return parsed(what, &body);
        }
        let path =
            format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/snapshots");
        let (_, _, body) = self.at(what, rights::READ, &format!("{path}?api-version={VERSION}")).await?;
        parsed(what, &body)
    }

    pub(super) async fn disk(&self, what: &str, id: &Id) -> Result<Option<Disk>, Fault> {
        let request = self.client.disks_client().get(&id.subscription, &id.group, &id.name);
        self.read(what, rights::READ_DISK, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    pub(super) async fn put_disk(&self, what: &str, id: &Id, body: &Disk) -> Result<Option<Operation>, Fault> {
        let request = self.client.disks_client().create_or_update(&id.subscription, &id.group, &id.name, body.clone());
        self.begun(what, rights::WRITE_DISK, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    pub(super) async fn delete_disk(&self, what: &str, id: &Id) -> Result<Option<Operation>, Fault> {
        let request = self.client.disks_client().delete(&id.subscription, &id.group, &id.name);
        self.begun(what, rights::DELETE_DISK, async { Ok(request.send().await?.into_raw_response()) }).await
    }

    /// How an operation stands. One that is not known any more was done long ago.
    pub(super) async fn operation(&self, what: &str, url: &str) -> Result<Standing, Fault> {
        let (status, headers, body) = match self.at(what, rights::READ, url).await {
            Err(fault) if fault.error().kind() == ErrorKind::NotFound => return Ok(Standing::Done),
            answer => answer?,
        };
        // What is asked for by `Location` answers 202 until it is done; `Azure-AsyncOperation` says it in its body.
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        match (status, said["status"].as_str()) {
            (_, Some("Succeeded")) => Ok(Standing::Done),
            (_, Some(state @ ("Failed" | "Canceled" | "Cancelled"))) => {
                let code = said["error"]["code"].as_str().unwrap_or(state);
                let message = said["error"]["message"].as_str().unwrap_or("no message");
                let reason = format!("the operation ended with {code}: {message}");
                Ok(Standing::Failed(sorted(what, "it", 400, code, reason)))
            }
            (StatusCode::Accepted, _) | (_, Some(_)) => Ok(Standing::Going(after(&headers))),
            _ => Ok(Standing::Done),
        }
    }

    /// What is at an address that Azure gave.
    async fn at(&self, what: &str, right: &str, url: &str) -> Result<(StatusCode, Headers, Vec<u8>), Fault> {
        let wrong = |reason: String| Error::new(ErrorKind::Refused, what, reason);
        let url = self.endpoint.join(url).map_err(|error| wrong(format!("Azure gave no address: {error}")))?;
        if url.origin() != self.endpoint.origin() {
            return Err(wrong(format!("Azure gave the address {url}, which is not its own")).into());
        }
        let request = async {
            let token = self.identity.kept();
            let token = token.ok_or_else(|| Refusal::message(Refused::Credential, "the token has ended"))?;
            ours(self.http.get(url.as_str()).bearer_auth(token.reveal())).await
        };
        self.answer(what, right, request).await
    }
}

/// The version of the list, the one that the client asks for everything else in.
const VERSION: &str = "2024-03-02";

/// How long Azure wants not to be asked.
fn after(headers: &Headers) -> Duration {
    let value = headers.get_optional_string(&HeaderName::from_static("retry-after"));
    value.and_then(|value| value.parse().ok()).map(Duration::from_secs).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        Fault::lost(Error::new(ErrorKind::Unavailable, what, format!("Azure's answer cannot be read: {error}")))
    })
}

/// A request of ours, answered as the client's; an answer that is an error is one here, with all that it says.
async fn ours(request: reqwest::RequestBuilder) -> azure_core::Result<Response> {
    let answer = request.send().await.context(Refused::Io, "the request failed")?;
    let status = answer.status().as_u16();
    let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        let value = HeaderValue::from(value.to_str().ok()?.to_owned());
        Some((HeaderName::from(name.as_str().to_owned()), value))
    };
    let headers: HashMap<_, _> = answer.headers().iter().filter_map(text).collect();
    let headers = Headers::from(headers);
    let body = answer.bytes().await.context(Refused::Io, "the answer broke off")?;
    if !(200..300).contains(&status) {
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = |name: &str| said["error"][name].as_str().unwrap_or_default().to_owned();
        let after = Some(after(&headers)).filter(|after| !after.is_zero());
        let answered = Answered { status, code: said("code"), message: said("message"), after };
        return Err(Refusal::new(Refused::Other, answered));
    }
    let status = StatusCode::try_from(status).map_err(|_| Refusal::message(Refused::DataConversion, "no status"))?;
    Ok(Response::new(status, headers, Box::pin(BytesStream::new(body))))
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<Response> {
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes());
        let method = method.context(Refused::DataConversion, "no method")?;
        let mut asked = self.0.request(method, request.url().as_str());
        for (name, value) in request.headers().iter() {
            asked = asked.header(name.as_str(), value.as_str());
        }
        let azure_core::Body::Bytes(body) = request.body().clone() else {
            return Err(Refusal::message(Refused::Other, "a body that is a stream is not sent here"));
        };
        ours(asked.body(body)).await
    }
}

#[async_trait]
impl TokenCredential for Kept {
    async fn get_token(&self, _scopes: &[&str]) -> azure_core::Result<AccessToken> {
        let token = self.0.kept().ok_or_else(|| Refusal::message(Refused::Credential, "the token has ended"))?;
        // When it ends is our own matter: the client only sends it.
        let ends = azure_core::date::parse_rfc3339("9999-01-01T00:00:00Z")?;
        Ok(AccessToken::new(token.reveal().to_owned(), ends))
    }

    async fn clear_cache(&self) -> azure_core::Result<()> {
        self.0.forget();
        Ok(())
    }
}
