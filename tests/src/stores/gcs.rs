//! Google's XML interface before fake-gcs-server, which serves the JSON interface whole and that one in parts.
//!
//! What the reference has for objects is served: create with `x-goog-if-generation-match: 0`, read, read of a range, remove, and
//! listings of version 2 in short pages. Whoever shows no token that was given is refused.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use url::form_urlencoded;

use super::front::{Answer, Upstream, header_of, reply, without};
use crate::{
    clouds::{Reply, Server, answer},
    real::FakeGcs,
    stores::Identities,
};

/// How many names a page has.
const PAGE: usize = 400;

/// A front. Dropping it ends it.
#[derive(Debug)]
pub struct GcsFront {
    server: Server,
}

impl GcsFront {
    /// One before `gcs`, which takes the tokens that `identities` gave.
    pub async fn start(gcs: &FakeGcs, identities: Arc<Identities>) -> Result<Self> {
        let upstream = Upstream::new(gcs.port())?;
        let server = Server::start(move |request| {
            let (identities, upstream) = (identities.clone(), upstream.clone());
            async move { serve(&identities, &upstream, &request).await }
        });
        Ok(Self { server: server.await? })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.url()
    }
}

async fn serve(identities: &Identities, upstream: &Upstream, request: &Request<Bytes>) -> Reply {
    let token = header_of(request, "authorization").and_then(|shown| shown.strip_prefix("Bearer "));
    if !token.is_some_and(|token| identities.gave(token)) {
        return refused(401, "AuthenticationRequired");
    }
    let path = request.uri().path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let answered = match (request.method(), key) {
        (&Method::GET, "") => list(upstream, bucket, request).await,
        (&Method::PUT, key) if !key.is_empty() => put(upstream, bucket, key, request).await,
        (&Method::GET | &Method::HEAD, key) if !key.is_empty() => {
            let headers = without(request.headers(), &[header::AUTHORIZATION, header::HOST, header::CONNECTION]);
            upstream.ask(request.method().clone(), &format!("/{bucket}/{key}"), headers, Bytes::new()).await
        }
        (&Method::DELETE, key) if !key.is_empty() => {
            let one = format!("/storage/v1/b/{bucket}/o/{}", whole(key));
            upstream.ask(Method::DELETE, &one, HeaderMap::new(), Bytes::new()).await.map(|mut answer| {
                if answer.status() == 200 {
                    *answer.status_mut() = http::StatusCode::NO_CONTENT;
                }
                answer
            })
        }
        _ => return refused(400, "InvalidURI"),
    };
    match reply(answered) {
        Reply::Answer(answer) if answer.status() == 404 => refused(404, "NoSuchKey"),
        Reply::Answer(answer) if answer.status() == 412 => refused(412, "PreconditionFailed"),
        other => other,
    }
}

fn refused(status: u16, code: &str) -> Reply {
    let text = format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>");
    Reply::Answer(answer(status, "application/xml; charset=UTF-8", text))
}

/// A key of a path as one part of a path.
fn whole(key: &str) -> String {
    key.replace('/', "%2F")
}

/// A key as it is, out of a path.
fn plain(key: &str) -> String {
    // `+` is itself in a path, and a space in a form.
    let form = format!("k={}", key.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, key)| key.into_owned()).unwrap_or_default()
}

/// A query.
fn written<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn json(answered: Answer) -> Result<(u16, Value)> {
    let status = answered.status().as_u16();
    let bytes = answered.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

async fn put(upstream: &Upstream, bucket: &str, key: &str, request: &Request<Bytes>) -> Result<Answer> {
    let name = plain(key);
    let generation = header_of(request, "x-goog-if-generation-match").map(|value| ("ifGenerationMatch", value));
    let query = [("uploadType", "media"), ("name", &*name)].into_iter().chain(generation);
    let path = format!("/upload/storage/v1/b/{bucket}/o?{}", written(query));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/octet-stream".parse()?);
    let (status, said) = json(upstream.ask(Method::POST, &path, headers, request.body().clone()).await?).await?;
    let mut out = Response::builder().status(status);
    if status == 200 {
        let etag = said["etag"].as_str().context("an object has an etag")?;
        let generation = said["generation"].as_str().context("an object has a generation")?;
        out = out.header("etag", format!("\"{etag}\"")).header("x-goog-generation", generation);
    }
    Ok(out.body(Full::default())?)
}

async fn list(upstream: &Upstream, bucket: &str, request: &Request<Bytes>) -> Result<Answer> {
    let asked = request.uri().query().unwrap_or_default();
    let asked: Vec<(String, String)> = form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    let of = |name: &str| asked.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let after = of("start-after");
    const PARAMETERS: [(&str, &str); 4] = [
        ("prefix", "prefix"),
        ("delimiter", "delimiter"),
        ("start-after", "startOffset"),
        ("continuation-token", "pageToken"),
    ];
    let page = PAGE.to_string();
    let query = PARAMETERS.into_iter().filter_map(|(xml, json)| Some((json, of(xml)?)));
    let query = [("maxResults", page.as_str())].into_iter().chain(query);
    let path = format!("/storage/v1/b/{bucket}/o?{}", written(query));
    let (status, said) = json(upstream.ask(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?).await?;
    if status != 200 {
        return Ok(Response::builder().status(status).body(Full::default())?);
    }
    let text = |value: &Value, name: &str| escaped(value[name].as_str().unwrap_or_default());
    let mut out = String::from("<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>");
    for object in said["items"].as_array().into_iter().flatten() {
        // Theirs begins with the name that ours is after.
        if object["name"].as_str() == after {
            continue;
        }
        out += &format!(
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>\"{}\"</ETag><Size>{}</Size></Contents>",
            text(object, "name"),
            text(object, "updated"),
            text(object, "etag"),
            text(object, "size"),
        );
    }
    for prefix in said["prefixes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(prefix));
    }
    if let Some(token) = said["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
        out += &format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(token));
    }
    out += "</ListBucketResult>";
    Ok(answer(200, "application/xml; charset=UTF-8", out))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
