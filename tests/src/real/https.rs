//! A small HTTPS server on loopback, for what the API server calls: aggregated APIs and webhooks.

use super::process::Port;
use super::tls::Identity;
use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The body of an answer, whole or streamed.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A server on one port, which can go down and come back up there.
pub(crate) struct HttpsServer {
    port: Port,
    identity: Identity,
    handler: Arc<Handler>,
    serving: Option<JoinHandle<()>>,
}

type Handler = dyn Fn(Request<Bytes>) -> Response<Body> + Send + Sync;

impl HttpsServer {
    /// A server that is up.
    pub(crate) async fn start(
        identity: Identity,
        handler: impl Fn(Request<Bytes>) -> Response<Body> + Send + Sync + 'static,
    ) -> Result<Self> {
        let handler = Arc::new(handler);
        let mut server = Self { port: Port::lease()?, identity, handler, serving: None };
        server.up().await?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Listens again on its port.
    pub(super) async fn up(&mut self) -> Result<()> {
        if self.serving.is_none() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port())).await?;
            let acceptor = TlsAcceptor::from(self.identity.server_config()?);
            self.serving = Some(tokio::spawn(serve(listener, acceptor, Arc::clone(&self.handler))));
        }
        Ok(())
    }

    /// Closes the port and every connection; returns when that is done.
    pub(super) async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Cancelled, as told.
            let _ = serving.await;
        }
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, handler: Arc<Handler>) {
    // Aborted with the task, so that no connection outlives the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return; // The client did not trust us, or left.
            };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let handler = Arc::clone(&handler);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    hyper::Result::Ok(handler(Request::from_parts(head, body)))
                }
            });
            // An error means that the client left.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// An answer with a JSON body.
pub(super) fn json(status: u16, value: &serde_json::Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(value.to_string()).boxed())
        .expect("the parts are constant and valid")
}
