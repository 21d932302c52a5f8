//! A plugin for tests that answers as it is told, also as no plugin made with a library would.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hindcast_journal::Parts;
use hindcast_snapshotter::{
    cloud::Limits,
    driver::{Order, Tag, Volume},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::UnixListener, task::JoinSet};
use tonic::Code;

use crate::{
    Address, Plugin, PluginDriver,
    wire::{self, HandshakeResponse, TransformCapability, VolumeDriverCapability},
};

/// The driver whose volumes it takes.
pub(crate) const DRIVER: &str = "fake.example.com";

/// An answer.
pub(crate) struct Reply {
    message: Vec<u8>,
    trailers: Vec<(&'static str, String)>,
    never: bool,
}

impl Reply {
    /// A message.
    pub(crate) fn of(message: impl Message) -> Self {
        Self { message: message.encode_to_vec(), trailers: vec![("grpc-status", "0".into())], never: false }
    }

    /// An error.
    pub(crate) fn error(code: Code, text: &str) -> Self {
        let trailers = vec![("grpc-status", (code as i32).to_string()), ("grpc-message", text.into())];
        Self { message: Vec::new(), trailers, never: false }
    }

    /// None, for ever.
    pub(crate) fn never() -> Self {
        Self { message: Vec::new(), trailers: Vec::new(), never: true }
    }

    /// The same with one more trailer.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.trailers.push((name, value.into()));
        self
    }

    async fn answered(self) -> Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> {
        if self.never {
            std::future::pending::<()>().await;
        }
        let pair = |(name, value): (&'static str, String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap())
        };
        let trailers: HeaderMap = self.trailers.into_iter().map(pair).collect();
        let mut answer = Response::builder().header("content-type", "application/grpc");
        let mut body = Vec::new();
        if self.message.is_empty() && trailers["grpc-status"] != "0" {
            // An error stands at the head, where nothing else follows.
            answer.headers_mut().unwrap().extend(trailers.clone());
        } else {
            body.push(0);
            body.extend((self.message.len() as u32).to_be_bytes());
            body.extend(self.message);
        }
        let trailers = async move { Some(Ok(trailers)) };
        answer.body(Full::new(Bytes::from(body)).with_trailers(trailers).boxed()).unwrap()
    }
}

/// What it answers to a call of this name and message.
type Answers = dyn Fn(&str, &[u8]) -> Reply + Send + Sync;

/// A plugin that listens until it is dropped.
pub(crate) struct Fake {
    pub(crate) folder: tempfile::TempDir,
    /// What it declares from the next handshake on.
    pub(crate) met: Arc<Mutex<HandshakeResponse>>,
    open: Arc<Mutex<JoinSet<()>>>,
    asked: Arc<Mutex<Vec<String>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What it declares, unless it is told otherwise.
pub(crate) fn declared() -> HandshakeResponse {
    HandshakeResponse {
        version: 1,
        versions: vec![1],
        name: "fake".into(),
        plugin_version: "1".into(),
        volume_driver: Some(VolumeDriverCapability { drivers: vec![DRIVER.into()], disks: false, settle_ms: 0 }),
        transforms: vec![TransformCapability {
            name: "label".into(),
            kinds: vec![wire::Kind { group: String::new(), kind: "Secret".into() }],
            sealed_values: true,
        }],
    }
}

impl Fake {
    /// Starts it.
    pub(crate) fn start(answers: impl Fn(&str, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("fake.sock")).unwrap();
        let answers: Arc<Answers> = Arc::new(answers);
        let met = Arc::new(Mutex::new(declared()));
        let (open, asked) = (Arc::new(Mutex::new(JoinSet::new())), Arc::<Mutex<Vec<String>>>::default());
        let parts = (Arc::clone(&met), Arc::clone(&open), Arc::clone(&asked));
        let accepting = tokio::spawn(async move {
            let (met, open, asked) = parts;
            while let Ok((stream, _)) = listener.accept().await {
                let (met, asked, answers) = (Arc::clone(&met), Arc::clone(&asked), Arc::clone(&answers));
                let serve = service_fn(move |request: Request<Incoming>| {
                    let (met, asked, answers) = (Arc::clone(&met), Arc::clone(&asked), Arc::clone(&answers));
                    async move {
                        let call = request.uri().path().rsplit('/').next().unwrap().to_owned();
                        let message = request.into_body().collect().await?.to_bytes();
                        asked.lock().unwrap().push(call.clone());
                        let reply = match call.as_str() {
                            "Handshake" => Reply::of(met.lock().unwrap().clone()),
                            _ => answers(&call, &message[5..]),
                        };
                        Ok::<_, hyper::Error>(reply.answered().await)
                    }
                });
                let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve);
                open.lock().unwrap().spawn(async move {
                    let _ = serving.await;
                });
            }
        });
        Self { folder, met, open, asked, accepting }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Address {
        Address::parse(&format!("unix://{}/fake.sock", self.folder.path().display())).unwrap()
    }

    /// It, not met yet.
    pub(crate) fn plugin(&self) -> Plugin {
        Plugin::at(self.address(), limits(), Parts::system())
    }

    /// It, as a driver that was met.
    pub(crate) async fn driver(&self) -> PluginDriver {
        self.driver_within(limits()).await
    }

    /// The same, with other limits.
    pub(crate) async fn driver_within(&self, limits: Limits) -> PluginDriver {
        let plugin = Plugin::at(self.address(), limits, Parts::system());
        plugin.meet().await.unwrap();
        PluginDriver::new(Arc::new(plugin))
    }

    /// Ends its connections, as if it were started again.
    pub(crate) fn cut(&self) {
        self.open.lock().unwrap().abort_all();
    }

    /// How often it was asked by a call.
    pub(crate) fn asked(&self, call: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == call).count()
    }
}

/// Limits that no answer of this machine's reaches, however busy it is; but a listing is soon too long.
pub(crate) fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(30),
        patience: Duration::from_secs(30),
        operation: Duration::from_secs(2),
        settle: Duration::ZERO,
        pause: Duration::from_millis(2),
        at_once: 20,
        page: 500,
    }
}

/// Limits that who never answers is soon at the end of.
pub(crate) fn short() -> Limits {
    Limits { request: Duration::from_secs(2), patience: Duration::from_secs(3), ..limits() }
}

/// The tag of an order.
pub(crate) fn tag(index: u32) -> Tag {
    Tag { cluster: "c".into(), point: "nightly".into(), id: "0a".repeat(16), index }
}

/// Orders of so many volumes.
pub(crate) fn orders(many: u32) -> Vec<Order> {
    let volume = |index| Volume {
        namespace: "shop".into(),
        claim: format!("data-{index}"),
        driver: DRIVER.into(),
        handle: format!("vol-{index}"),
        ..Volume::default()
    };
    (0..many).map(|index| Order::bare(tag(index), volume(index))).collect()
}

/// A snapshot of the order of this index.
pub(crate) fn snapshot(index: u32) -> wire::Taken {
    wire::Taken {
        tag: Some((&tag(index)).into()),
        handle: format!("snap-{index}"),
        size: 1,
        time: Some(1),
        details: [("driver".to_owned(), DRIVER.to_owned())].into(),
    }
}
