//! A small HTTP server on loopback that answers, or cuts the connection instead.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::faults::Faults;

/// What becomes of a request.
pub(crate) enum Reply {
    /// It is answered.
    Answer(Response<Full<Bytes>>),
    /// The connection is cut.
    Cut,
}

/// A cloud: what it holds, behind a server, and what strikes.
#[derive(Debug)]
pub(super) struct Cloud<S> {
    server: Server,
    state: Arc<Mutex<S>>,
    pub(super) faults: Arc<Faults>,
}

impl<S: Default + Send + 'static> Cloud<S> {
    /// One that holds nothing, and answers as `serve` says.
    pub(super) async fn start(serve: fn(&mut S, &Faults, &Request<Bytes>) -> Reply) -> Result<Self> {
        let (state, faults) = (Arc::<Mutex<S>>::default(), Arc::<Faults>::default());
        let (held, strikes) = (Arc::clone(&state), Arc::clone(&faults));
        let server = Server::start(move |request| {
            let reply = serve(&mut held.lock().unwrap_or_else(PoisonError::into_inner), &strikes, &request);
            async move { reply }
        });
        Ok(Self { server: server.await?, state, faults })
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// What it holds.
    pub(super) fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server. Dropping it ends it and its connections.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    serving: JoinHandle<()>,
}

impl Server {
    /// A server that is up.
    pub(crate) async fn start<F>(handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { port, serving: tokio::spawn(serve(listener, Arc::new(handler))) })
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve<H, F>(listener: TcpListener, handler: Arc<H>)
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Aborted with the task, so that no connection outlives the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let handler = Arc::clone(&handler);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let handler = Arc::clone(&handler);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                    match handler(Request::from_parts(head, body)).await {
                        Reply::Answer(answer) => Ok(answer),
                        // An error of the service ends the connection without an answer.
                        Reply::Cut => Err(io::Error::other("cut")),
                    }
                }
            });
            // An error means that the client left, or that the connection was cut as told.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// An answer.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::new(body.into()))
        .expect("the parts are constant and valid")
}
