//! What every front does: passes a request on, signs it again, answers in the store's place.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use http_body_util::Full;
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpRequest, HttpRequestBody},
};

use crate::clouds::{Reply, answer};

/// An answer, whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// The server behind.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    client: reqwest::Client,
    base: String,
}

impl Upstream {
    /// The one at this port.
    pub(super) fn new(port: u16) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { client, base: format!("http://127.0.0.1:{port}") })
    }

    /// An address of it.
    pub(super) fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    /// Asks it.
    pub(super) async fn ask(&self, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer> {
        let mut headers = headers;
        if [Method::PUT, Method::POST].contains(&method) {
            // Nothing is said of an empty body otherwise, and some servers insist on it.
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        let asked = self.client.request(method, self.url(path)).headers(headers).body(body);
        let answered = asked.send().await?;
        let mut out = Response::builder().status(answered.status());
        for (name, value) in answered.headers() {
            if ![header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
                out = out.header(name, value);
            }
        }
        Ok(out.body(Full::new(answered.bytes().await?))?)
    }

    /// Passes a request on as it is, with its own signature.
    pub(super) async fn pass(&self, request: &Request<Bytes>) -> Result<Answer> {
        let headers = without(request.headers(), &[header::CONTENT_LENGTH, header::CONNECTION]);
        self.ask(request.method().clone(), target(request), headers, request.body().clone()).await
    }
}

/// The path and query that are asked for.
pub(super) fn target(request: &Request<Bytes>) -> &str {
    request.uri().path_and_query().map_or("/", |asked| asked.as_str())
}

/// A header's text.
pub(super) fn header_of<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Headers but for these.
pub(super) fn without(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut left = headers.clone();
    for name in names {
        left.remove(name);
    }
    left
}

/// Signs a request to a service of Amazon's.
pub(super) fn sign(
    keys: &AwsCredential,
    service: &str,
    region: &str,
    request: http::request::Builder,
    body: &[u8],
) -> Result<HeaderMap> {
    let mut request: HttpRequest = request.body(HttpRequestBody::empty())?;
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    AwsAuthorizer::new(keys, service, region).try_authorize(&mut request, Some(digest.as_ref()))?;
    Ok(request.into_parts().0.headers)
}

/// S3's refusal.
pub(super) fn refusal(status: u16, code: &str, more: &str) -> Reply {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code>{more}</Error>");
    Reply::Answer(answer(status, "application/xml", text))
}

/// The answer, or a broken connection where there is none.
pub(super) fn reply(answered: Result<Answer>) -> Reply {
    match answered {
        Ok(answer) => Reply::Answer(answer),
        Err(error) => {
            eprintln!("a front could not pass on: {error:#}");
            Reply::Cut
        }
    }
}
