//! Sends a request to an API server, waits for the answer until a deadline, and says what a refusal means.
//!
//! **Words**: a [`Reply`] is any answer that arrived whole, [`Unanswered`] says that none did; a [`Refused`] is a reply
//! that is not a success, sorted by what callers can do about it.
//!
//! **Invariants.** (1) Every request goes out here, once: whether and when it is sent again is up to the caller. (2)
//! Its deadline, on the injected clock, is for the whole answer; only a watch is left open. (3) Nothing is decided by
//! the wording of an answer, except what the server says in words alone.

use std::time::Duration;

use bytes::Bytes;
use hindcast_journal::{
    Error, Parts,
    exact::{self, Value},
    parts::Micros,
};
use http_body_util::BodyExt as _;
use kube::client::Body;

use crate::json;

/// Whole objects, or lists of them.
pub const JSON: &str = "application/json";
/// An object's metadata alone. A server that does not support that returns the object whole.
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// A list with the metadata of each object alone. A server that does not support that returns the objects whole.
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The verb.
    pub method: http::Method,
    /// The path, with its query.
    pub path: String,
    /// The forms that the answer may come in.
    pub accept: &'static str,
    /// The type of the body; sent only if there is one.
    pub content: &'static str,
    /// What is sent.
    pub body: Bytes,
}

impl Ask {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: http::Method::GET, path: path.into(), accept: JSON, content: JSON, body: Bytes::new() }
    }

    /// A write of an object, or of the options of a delete.
    pub fn write(method: http::Method, path: String, body: &Value) -> Self {
        Self { method, path, accept: JSON, content: JSON, body: Bytes::from(exact::to_canonical(body)) }
    }

    /// A change to the named members alone.
    pub fn merge_patch(path: String, body: &Value) -> Self {
        Self { content: "application/merge-patch+json", ..Self::write(http::Method::PATCH, path, body) }
    }

    /// The same, accepting the answer in other forms.
    #[must_use]
    pub fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }
}

/// When a request was under way, on the monotonic clock, and what the server's clock said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct When {
    /// It was sent after this moment.
    pub began: Duration,
    /// Its answer had begun to come by this one.
    pub answered: Duration,
    /// Its answer was whole by this one.
    pub ended: Duration,
    /// The `Date` of the answer, which is truncated to a second.
    pub date: Option<Micros>,
}

/// An answer that arrived whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// As received.
    pub body: Bytes,
    /// How long the server asks to wait.
    pub after: Option<Duration>,
    /// When it was asked for and when it arrived.
    pub when: When,
}

impl Reply {
    /// The body of a success, or why there is none.
    pub fn success(&self) -> Result<&Bytes, Refused> {
        if (200..300).contains(&self.status) {
            return Ok(&self.body);
        }
        Err(Refused::of(self.status, &self.body, self.after))
    }
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// The path is not valid: nothing was sent.
    Malformed(String),
    /// The server was not reached, or went away before it answered.
    Unsent(String),
    /// The answer began but did not end.
    Cut {
        /// The HTTP status it began with.
        status: u16,
        /// How long the server asked to wait.
        after: Option<Duration>,
        /// What became of the rest.
        why: String,
    },
    /// It did not arrive within this time.
    Late(Duration),
}

/// A reply that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it means.
    pub sort: Sort,
    /// The server's words, or the HTTP status.
    pub message: String,
    /// How long the server asks to wait.
    pub after: Option<Duration>,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The revision, or the page of a list, is too old for the server.
    Expired,
    /// The revision lies in the server's future.
    TooLarge,
    /// The account is not allowed to.
    Forbidden,
    /// The path is served, and there is no such object.
    Absent,
    /// There is no such path, or it does not take the verb.
    NoPath,
    /// Too many requests.
    Throttled,
    /// The server, or one behind it, is failing or away for now.
    Busy,
    /// Anything else.
    Other,
}

impl Refused {
    /// What a status code and the `Status` object that came with it mean.
    pub fn of(code: u16, status: &[u8], after: Option<Duration>) -> Self {
        let text = |object, member| json::member(object, member).and_then(json::text).filter(|text| !text.is_empty());
        let message = text(status, "message").unwrap_or_else(|| format!("HTTP {code}"));
        let reason = text(status, "reason").unwrap_or_default();
        let too_large = message.contains("Too large resource version")
            || status.windows(23).any(|window| window == b"ResourceVersionTooLarge");
        // A missing object is named in the answer; a missing path is answered without a name.
        let named = || json::member(status, "details").is_some_and(|details| text(details, "name").is_some());
        let sort = match code {
            _ if too_large => Sort::TooLarge,
            410 => Sort::Expired,
            _ if reason == "Expired" || reason == "Gone" => Sort::Expired,
            403 => Sort::Forbidden,
            404 if named() => Sort::Absent,
            404 | 405 => Sort::NoPath,
            429 => Sort::Throttled,
            500 | 502 | 503 | 504 => Sort::Busy,
            _ => Sort::Other,
        };
        Self { sort, message, after }
    }
}

/// Sends, and waits for the whole answer.
pub async fn send(client: &kube::Client, parts: &Parts, deadline: Duration, ask: &Ask) -> Result<Reply, Unanswered> {
    let work = async {
        let began = parts.clock.monotonic();
        let response = open(client, ask).await?;
        whole(response, began, parts).await
    };
    parts.timeout(deadline, work).await.unwrap_or(Err(Unanswered::Late(deadline)))
}

/// Sends, and waits for the beginning of the answer.
pub(crate) async fn open(client: &kube::Client, ask: &Ask) -> Result<http::Response<Body>, Unanswered> {
    let mut request = http::Request::builder()
        .method(ask.method.clone())
        .uri(&ask.path)
        .header(http::header::ACCEPT, ask.accept)
        // Servers compress a watch event by event, which a decoder for whole bodies cuts short; and compressing costs
        // them more than the extra bytes cost us.
        .header(http::header::ACCEPT_ENCODING, "identity");
    let mut body = Body::empty();
    if !ask.body.is_empty() {
        request = request.header(http::header::CONTENT_TYPE, ask.content);
        body = Body::from(ask.body.to_vec());
    }
    let request = request.body(body).map_err(|e| Unanswered::Malformed(format!("{}: {e}", ask.path)))?;
    client.send(request).await.map_err(|e| Unanswered::Unsent(Error::causes_beneath(&e)))
}

/// The rest of an answer.
pub(crate) async fn whole(response: http::Response<Body>, began: Duration, parts: &Parts) -> Result<Reply, Unanswered> {
    let (answered, date) = (parts.clock.monotonic(), date(&response));
    let status = response.status().as_u16();
    let after = response.headers().get(http::header::RETRY_AFTER);
    let after = after.and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = response.into_body().collect().await;
    let body = body.map_err(|e| Unanswered::Cut { status, after, why: Error::causes(&e) })?.to_bytes();
    Ok(Reply { status, body, after, when: When { began, answered, ended: parts.clock.monotonic(), date } })
}

/// The server's clock, as given in an answer.
pub(crate) fn date(response: &http::Response<Body>) -> Option<Micros> {
    let date = response.headers().get(http::header::DATE)?;
    date_micros(date.to_str().ok()?)
}

/// `Mon, 23 Nov 2026 05:39:50 GMT` in microseconds.
fn date_micros(text: &str) -> Option<Micros> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests;
