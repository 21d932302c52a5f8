//! A proxy that sees each HTTP request, before a store that speaks plain HTTP.
//!
//! Words: a *rule* says which requests a [`Fault`] strikes, and how many of them. "Before" means that the store
//! never saw the request; "after" means that it took effect and the answer is lost.
//!
//! Invariants:
//! - A request passes byte for byte, `Host` included, so that its signature stays valid.
//! - The first rule that matches and is not used up strikes; one request meets one rule.
//!
//! Faults of whole connections come from the [`Proxy`] it stands behind ([`HttpProxy::set`]).
//! Start reading at [`HttpProxy::inject`].

use super::proxy::{Mode, Proxy};
use crate::until::ends;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a request that a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status, with S3's error body for it; the store never sees it. With 200, as a success that did
    /// nothing: what a store that ignores create-if-absent says the second time.
    Status(u16),
    /// The same with a code of S3's: a status has several.
    Refused(u16, &'static str),
    /// Answered with this status and a page for people, as a proxy or a login page does; the store never sees it.
    Page(u16),
    /// The connection is cut; the store never sees the request.
    CutBefore,
    /// The store answers (normally: has acted), then the connection is cut instead of passing the answer on.
    CutAfter,
    /// No answer until the rule is withdrawn, then a cut; the store never sees the request.
    HangBefore,
    /// The store acts on it; no answer until the rule is withdrawn, then a cut.
    HangAfter,
    /// Passed on after this long.
    Delay(Duration),
}

/// A proxy before a store. Dropping it ends it.
#[derive(Debug)]
pub struct HttpProxy {
    front: Proxy,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// A rule in force. Dropping the handle leaves the rule; [`Rule::withdraw`] ends it.
#[derive(Clone, Debug)]
pub struct Rule {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    method: Option<Method>,
    path: String,
    fault: Fault,
    /// How many more requests it will take.
    left: AtomicU64,
    /// How often it has struck; raised when the fault has had its effect.
    struck: watch::Sender<u64>,
    withdrawn: watch::Sender<bool>,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<BTreeMap<String, u64>>,
}

impl HttpProxy {
    /// A proxy before `target`, passing everything.
    pub async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let front = Proxy::start(listener.local_addr()?.port()).await?;
        let shared = Arc::new(Shared { target, rules: Mutex::default(), requests: Mutex::default() });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { front, shared, serving })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.front.port()
    }

    /// Switches how whole connections are treated.
    pub async fn set(&self, mode: Mode) -> Result<()> {
        self.front.set(mode).await
    }

    /// Puts a rule in force: the next `times` requests of `method` (`"*"`: any) whose path and query
    /// contain `path` meet the fault.
    pub fn inject(&self, method: &str, path: &str, times: u64, fault: Fault) -> Rule {
        let method = (method != "*").then(|| method.parse().expect("the method is a token"));
        let inner = Inner {
            method,
            path: path.to_owned(),
            fault,
            left: AtomicU64::new(times),
            struck: watch::Sender::new(0),
            withdrawn: watch::Sender::new(false),
        };
        let rule = Rule { inner: Arc::new(inner) };
        lock(&self.shared.rules).push(rule.clone());
        rule
    }

    /// Withdraws every rule.
    pub fn clear(&self) {
        for rule in lock(&self.shared.rules).drain(..) {
            rule.withdraw();
        }
    }

    /// How many requests of this method have come in so far (`"*"`: of any), struck ones included.
    pub fn requests(&self, method: &str) -> u64 {
        let requests = lock(&self.shared.requests);
        match method {
            "*" => requests.values().sum(),
            method => requests.get(method).copied().unwrap_or(0),
        }
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.clear();
        self.serving.abort();
    }
}

impl Rule {
    /// How often it struck.
    pub fn struck(&self) -> u64 {
        *self.inner.struck.borrow()
    }

    /// Waits until it has struck `times`. Of "after" faults: until the store has acted.
    pub async fn wait(&self, times: u64, within: Duration) -> Result<()> {
        let mut struck = self.inner.struck.subscribe();
        let enough = struck.wait_for(|struck| *struck >= times);
        let what = format!("{:?} on {:?} strikes {times} times", self.inner.fault, self.inner.path);
        let enough = ends(what, within, enough)
            .await
            .map_err(|error| anyhow!("{error:#}; it struck {} times", self.struck()))?;
        enough.map(|_| ()).context("the rule is gone")
    }

    /// Ends it, and cuts the requests that hang in it.
    pub fn withdraw(&self) {
        self.inner.withdrawn.send_replace(true);
    }

    async fn until_withdrawn(&self) {
        // Only an ended rule has no sender.
        let _ = self.inner.withdrawn.subscribe().wait_for(|withdrawn| *withdrawn).await;
    }
}

impl Shared {
    /// Counts the request, and takes one use of the rule that strikes it.
    fn rule_for(&self, request: &Request<Incoming>) -> Option<Rule> {
        *lock(&self.requests).entry(request.method().to_string()).or_default() += 1;
        let target = request.uri().to_string();
        let rules = lock(&self.rules);
        rules.iter().find(|rule| rule.inner.takes(request.method(), &target)).cloned()
    }
}

impl Inner {
    fn takes(&self, method: &Method, target: &str) -> bool {
        let matches = !*self.withdrawn.borrow()
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && target.contains(&self.path);
        let one_more = |left: u64| left.checked_sub(1);
        matches && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Aborted with the task, so that no request outlives the proxy.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = hyper::service::service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { answer(&shared, request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            // An error is a cut, ours or the client's; either is meant.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Answer> {
    let Some(rule) = shared.rule_for(&request) else {
        return forward(shared.target, request).await;
    };
    let strike = || rule.inner.struck.send_modify(|struck| *struck += 1);
    match rule.inner.fault {
        Fault::Status(status) => {
            // Read whole first: an answer in the middle of a request looks like a cut to some clients.
            request.into_body().collect().await?;
            strike();
            return s3_error(status);
        }
        Fault::Refused(status, code) => {
            request.into_body().collect().await?;
            strike();
            return s3_document(status, code);
        }
        Fault::Page(status) => {
            request.into_body().collect().await?;
            strike();
            let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
            let answer = Response::builder().status(StatusCode::from_u16(status)?);
            return Ok(answer.header("content-type", "text/html").body(Full::new(page.into()))?);
        }
        Fault::Delay(latency) => {
            strike();
            // The delay is the fault.
            tokio::time::sleep(latency).await;
            return forward(shared.target, request).await;
        }
        Fault::CutBefore => strike(),
        Fault::CutAfter => {
            forward(shared.target, request).await?;
            strike();
        }
        Fault::HangBefore => {
            strike();
            rule.until_withdrawn().await;
        }
        Fault::HangAfter => {
            forward(shared.target, request).await?;
            strike();
            rule.until_withdrawn().await;
        }
    }
    bail!("cut by a rule")
}

/// Sends the request on over a connection of its own and takes the whole answer.
async fn forward(target: u16, request: Request<Incoming>) -> Result<Answer> {
    let (head, body) = request.into_parts();
    let body = Full::new(body.collect().await?.to_bytes());
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDropHandle(tokio::spawn(connection));
    let answer = sender.send_request(Request::from_parts(head, body)).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    drop(connection);
    Ok(Response::from_parts(head, Full::new(body)))
}

/// S3's error body: clients decide by its code as well as by the status.
fn s3_error(status: u16) -> Result<Answer> {
    if status == 200 {
        return Ok(Response::builder().header("etag", "\"injected\"").body(Full::default())?);
    }
    let code = match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        501 => "NotImplemented",
        503 => "SlowDown",
        507 => "XMinioStorageFull",
        _ => "InternalError",
    };
    s3_document(status, code)
}

fn s3_document(status: u16, code: &str) -> Result<Answer> {
    let text = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
    let answer = Response::builder().status(StatusCode::from_u16(status)?);
    Ok(answer.header("content-type", "application/xml").body(Full::new(text.into()))?)
}

/// A task that ends with the request that needed it, also when that one is cut.
struct AbortOnDropHandle<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panicking holder leaves a consistent value behind: each change is one push, drain or addition.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
