//! What a running Hindcast answers over HTTP: `/metrics`, `/healthz`, `/readyz` and `POST /close`.
//!
//! **Invariants.** (1) Nothing of an object is served: figures, and words about kinds. (2) The default address is a
//! loopback one; there is no authentication here, so another one is the operator's decision.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hindcast_watcher::Handle;
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// How long the last answers may take when the process stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

struct Shared {
    registry: Registry,
    handle: Handle,
}

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(format!("--listen {address}"), e.to_string())
            .hint("another `hindcast run` may be there; --listen 127.0.0.1:0 takes any free port")
    })
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    registry: Registry,
    handle: Handle,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening");
    }
    let app = router(registry, handle);
    let (told, mut heard) = tokio::sync::watch::channel(false);
    let graceful = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        told.send_replace(true);
    });
    let late = async {
        let _ = heard.wait_for(|told| *told).await;
        #[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        ended = async { graceful.await } => {
            if let Err(error) = ended {
                tracing::warn!(%error, "the listener ended; protection goes on");
            }
        }
        () = late => {}
    }
}

fn router(registry: Registry, handle: Handle) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/close", post(close))
        .with_state(Arc::new(Shared { registry, handle }))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&shared.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let status = shared.handle.status();
    // What is seen but not yet in the store protects nobody.
    let durable = !shared.handle.durable().borrow().frontier.is_empty();
    if status.ready && durable {
        "ready\n".into_response()
    } else {
        let starting = if status.ready { "the first segment is not durable yet" } else { "starting" };
        let reason = if status.reason.is_empty() { starting } else { &status.reason };
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
    }
}

/// Closes the cut of now and answers with the frontier once it is durable.
async fn close(State(shared): State<Arc<Shared>>) -> Response {
    match shared.handle.close().await {
        Ok(frontier) => axum_json(&frontier),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn axum_json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// How many bytes of segments were committed, as the figures say.
pub(crate) fn segment_bytes(registry: &Registry) -> u64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "hindcast_segment_bytes_total");
    family
        .and_then(|family| family.get_metric().first())
        .map_or(0, |m| m.get_counter().get_value() as u64)
}
