//! MinIO behind a front with a quirk that is known of some S3-compatible store, or of Amazon's own in some setting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{HeaderName, Method, Request, header};
use object_store::aws::AwsCredential;

use super::{
    World,
    front::{Answer, Upstream, header_of, refusal, reply, sign, target, without},
};
use crate::{
    clouds::{Reply, Server},
    real::Minio,
};

/// What is odd about a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// It takes no notice of `If-None-Match`, and overwrites.
    IgnoresConditions,
    /// It says 409 where 412 is meant.
    ConflictForPrecondition,
    /// It thinks this long about each page of a listing.
    SlowLists(Duration),
    /// It asks for fewer requests, so many times.
    Busy(u64),
    /// It is in this region, says so, and serves no request that is signed for another.
    InRegion(&'static str),
    /// Its clock is ahead by so many minutes, and it serves nothing that is signed more than 15 minutes from its time.
    ClockAhead(i64),
    /// It sends every request elsewhere, and says in a header, if this is something, to which region.
    SendsElsewhere(Option<&'static str>),
    /// It knows a bucket by its host alone, `BUCKET.DOMAIN`.
    HostStyle(&'static str),
    /// It takes the first part of a path for the bucket, whatever the host is.
    PathStyle,
    /// Whoever asks has to say that he pays.
    RequesterPays,
    /// It takes no object without a checksum in a header of its own.
    WantsChecksums,
    /// It does not know the request that removes many objects.
    NoBulkDelete,
    /// It refuses every request, and tells back what it was asked with, as Amazon's does.
    TellsBack,
    /// It does not know tags; what it does not know is answered with the header's name.
    NoTags,
}

/// MinIO with a quirk.
#[derive(Debug)]
pub struct QuirkyS3 {
    server: Server,
    asked: Arc<AtomicU64>,
    world: World,
}

struct Front {
    quirk: Quirk,
    upstream: Upstream,
    keys: AwsCredential,
    region: &'static str,
    bucket: &'static str,
    asked: Arc<AtomicU64>,
}

impl QuirkyS3 {
    /// A front with this quirk.
    pub async fn start(minio: &Minio, prefix: &str, quirk: Quirk) -> Result<Self> {
        let asked = Arc::<AtomicU64>::default();
        let front = Arc::new(Front {
            quirk,
            upstream: Upstream::new(minio.port())?,
            keys: minio.keys(),
            region: minio.region(),
            bucket: minio.bucket(),
            asked: asked.clone(),
        });
        let server = Server::start(move |request| {
            let front = Arc::clone(&front);
            async move { front.serve(request).await }
        })
        .await?;
        let world = World::new(minio.url(prefix), minio.env()).with("AWS_ENDPOINT", &server.url());
        Ok(Self { server, asked, world })
    }

    /// The store as its user has it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// How many requests it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The second that a signature is of.
fn moment(text: &str) -> Option<i64> {
    let read = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(read.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

impl Front {
    async fn serve(&self, request: Request<Bytes>) -> Reply {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        let puts = request.method() == Method::PUT;
        let has = |name: &str| request.headers().contains_key(name);
        match &self.quirk {
            Quirk::IgnoresConditions if puts => {
                let mut request = request;
                request.headers_mut().remove(header::IF_NONE_MATCH);
                return reply(self.again(&request, target(&request)).await);
            }
            Quirk::ConflictForPrecondition => {
                let answered = reply(self.upstream.pass(&request).await);
                return match &answered {
                    Reply::Answer(answer) if answer.status() == 412 => {
                        refusal(409, "ConditionalRequestConflict", "<Message>Another one was faster.</Message>")
                    }
                    _ => answered,
                };
            }
            Quirk::TellsBack => {
                let headers = request.headers().iter();
                let headers: String = headers.map(|(name, value)| format!("{name}:{value:?}\n")).collect();
                let token = header_of(&request, "x-amz-security-token").unwrap_or_default();
                let more = format!(
                    "<CanonicalRequest>{headers}</CanonicalRequest><Token-0>{token}</Token-0><RequestId>R1</RequestId>"
                );
                return refusal(400, "ExpiredToken", &more);
            }
            Quirk::SlowLists(pause) if target(&request).contains("list-type=2") => {
                // The pause is the quirk.
                tokio::time::sleep(*pause).await;
            }
            Quirk::Busy(times) if before < *times => {
                return refusal(503, "SlowDown", "<Message>Please reduce your request rate.</Message>");
            }
            Quirk::InRegion(region) => {
                let scope = format!("/{region}/s3/aws4_request");
                if !header_of(&request, "authorization").is_some_and(|signed| signed.contains(&scope)) {
                    let more = format!(
                        "<Message>The authorization header is malformed; the region is wrong; expecting '{region}'</Message>\
                         <Region>{region}</Region>"
                    );
                    return refusal(400, "AuthorizationHeaderMalformed", &more);
                }
                return reply(self.again(&request, target(&request)).await);
            }
            Quirk::ClockAhead(minutes) => {
                let signed = header_of(&request, "x-amz-date").and_then(moment);
                let theirs = jiff::Timestamp::now().as_second() + minutes * 60;
                if signed.is_none_or(|signed| signed.abs_diff(theirs) > 15 * 60) {
                    let text = "<Message>The difference between the request time and the server's time is too large.</Message>";
                    return refusal(403, "RequestTimeTooSkewed", text);
                }
            }
            Quirk::SendsElsewhere(region) => {
                let mut answered = refusal(301, "PermanentRedirect", "");
                if let (Reply::Answer(answer), Some(region)) = (&mut answered, region) {
                    answer.headers_mut().insert("x-amz-bucket-region", header::HeaderValue::from_static(region));
                }
                return answered;
            }
            Quirk::HostStyle(domain) => {
                let host = header_of(&request, "host").unwrap_or_default();
                if host.split(':').next() != Some(&format!("{}.{domain}", self.bucket)) {
                    let text =
                        "<Message>The bucket you are attempting to access must be addressed using the host.</Message>";
                    return refusal(403, "SecondLevelDomainForbidden", text);
                }
                let path = format!("/{}{}", self.bucket, target(&request));
                return reply(self.again(&request, &path).await);
            }
            Quirk::PathStyle => return reply(self.again(&request, target(&request)).await),
            Quirk::RequesterPays if header_of(&request, "x-amz-request-payer") != Some("requester") => {
                return refusal(403, "AccessDenied", "<Message>Access Denied</Message>");
            }
            Quirk::WantsChecksums if puts => {
                let digest = ring::digest::digest(&ring::digest::SHA256, request.body());
                let right = BASE64_STANDARD.encode(digest);
                match header_of(&request, "x-amz-checksum-sha256") {
                    Some(given) if given == right => {}
                    Some(_) => return refusal(400, "BadDigest", ""),
                    None => {
                        let text = "<Message>Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests \
                                    with Object Lock parameters</Message>";
                        return refusal(400, "InvalidRequest", text);
                    }
                }
            }
            Quirk::NoBulkDelete if request.method() == Method::POST => return refusal(501, "NotImplemented", ""),
            Quirk::NoTags if has("x-amz-tagging") => {
                return refusal(501, "NotImplemented", "<Header>x-amz-tagging</Header>");
            }
            _ => {}
        }
        reply(self.upstream.pass(&request).await)
    }

    /// Passes a request on, signed again.
    async fn again(&self, request: &Request<Bytes>, path: &str) -> Result<Answer> {
        const UNSIGNED: [HeaderName; 4] =
            [header::AUTHORIZATION, header::HOST, header::CONTENT_LENGTH, header::CONNECTION];
        let mut headers = without(request.headers(), &UNSIGNED);
        for name in ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
            headers.remove(name);
        }
        let mut unsigned = Request::builder().method(request.method()).uri(self.upstream.url(path));
        if let Some(all) = unsigned.headers_mut() {
            *all = headers;
        }
        let headers = sign(&self.keys, "s3", self.region, unsigned, request.body())?;
        self.upstream.ask(request.method().clone(), path, headers, request.body().clone()).await
    }
}
