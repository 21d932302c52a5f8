//! What a running Hindcast answers over HTTP: `/metrics`, `/healthz`, `/readyz`, `/role` and `POST /close`.
//!
//! **Words**: the *stage* is what a start waits for; there is none any more once the watcher runs.
//!
//! **Invariants.** (1) Nothing of an object is served: figures, and words about kinds. (2) The default address is a
//! loopback one; there is no authentication here, so another one is the operator's decision. (3) A web page reaches
//! nothing, though a browser beside this process can: not with a name of its own that leads here [`guard::is_ours`], not from
//! another site [`guard::is_foreign`]. (4) What is asked is answered at once, from the moment the address is taken, but for a
//! closing; of those who wait for one there are at most [`WAITING`], and they share it (the watcher's part).

mod guard;
pub(crate) mod role;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hindcast_watcher::{Handle, ha::Role};
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// How long the last answers may take when the process stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How many may wait for a closing at once.
const WAITING: usize = 64;

/// What is told of, and what is asked.
pub(crate) struct Served {
    /// The figures.
    pub(crate) registry: Registry,
    /// The watcher.
    pub(crate) handle: Handle,
    /// What the start waits for; `None` once the watcher runs.
    pub(crate) stage: watch::Receiver<Option<String>>,
    /// What this process is, where there may be several.
    pub(crate) role: watch::Receiver<Option<Role>>,
    /// Names by which this process is asked, beside its addresses.
    pub(crate) names: Vec<String>,
}

struct Shared {
    served: Served,
    waiting: Semaphore,
}

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(format!("--listen {address}"), e.to_string())
            .hint("another `hindcast run` may be there; --listen 127.0.0.1:0 takes any free port")
    })
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, served: Served, stop: impl Future<Output = ()> + Send + 'static) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening");
    }
    let app = router(served);
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

/// Serves the figures alone, of a process that protects nothing.
pub(crate) async fn serve_figures(listener: TcpListener, registry: Registry) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening");
    }
    let app = Router::new()
        .route("/metrics", get(move || std::future::ready(figures(&registry))))
        .route("/healthz", get(async || "ok\n"))
        .layer(middleware::from_fn_with_state(Arc::new(Vec::new()), guard::guard));
    if let Err(error) = axum::serve(listener, app).await {
        tracing::warn!(%error, "the listener ended; publishing goes on");
    }
}

fn router(served: Served) -> Router {
    let names = Arc::new(served.names.clone());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/role", get(role))
        .route("/close", post(close))
        .with_state(Arc::new(Shared { served, waiting: Semaphore::new(WAITING) }))
        .layer(middleware::from_fn_with_state(names, guard::guard))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    figures(&shared.served.registry)
}

fn figures(registry: &Registry) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let Served { handle, stage, .. } = &shared.served;
    let stage = stage.borrow().clone();
    if let Some(stage) = stage {
        return not_ready(&stage);
    }
    let role = shared.served.role.borrow().clone();
    if let Some(role) = role.as_ref().filter(|role| !role.leads) {
        // Protection is the leader's; this one is ready to take it over.
        let said = role::said(role);
        return if role.ready { format!("ready: {said}\n").into_response() } else { not_ready(&said) };
    }
    if let Err(why) = protecting(handle) {
        return not_ready(&why);
    }
    let role = role.map_or_else(|| "ready\n".to_owned(), |role| format!("ready: {}\n", role::said(&role)));
    // What was found to be lost is over, and no reason to be taken for not ready.
    let note = match handle.status().proof.newest.as_str() {
        "" => String::new(),
        newest => format!("note: not all that was written had been told: {newest}\n"),
    };
    format!("{role}{note}").into_response()
}

/// Whether what a watcher has to protect is protected; if not, why not.
pub(crate) fn protecting(handle: &Handle) -> Result<(), String> {
    let status = handle.status();
    // What is seen but not yet in the store protects nobody.
    let durable = !handle.durable().borrow().frontier.is_empty();
    if status.ready && durable {
        return Ok(());
    }
    let starting = if status.ready { "the first segment is not durable yet" } else { "starting" };
    Err(if status.reason.is_empty() { starting.to_owned() } else { status.reason.clone() })
}

fn not_ready(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
}

/// The role of this process; `null` where it is the only one.
async fn role(State(shared): State<Arc<Shared>>) -> Response {
    let role = shared.served.role.borrow().clone();
    axum_json(&role)
}

/// Closes the cut of now and answers with the frontier once it is durable.
async fn close(State(shared): State<Arc<Shared>>) -> Response {
    let stage = shared.served.stage.borrow().clone();
    if let Some(stage) = stage {
        return not_ready(&stage);
    }
    let role = shared.served.role.borrow().clone();
    if let Some(role) = role.filter(|role| !role.leads) {
        return not_ready(&role::said(&role));
    }
    let Ok(_waiting) = shared.waiting.try_acquire() else {
        let body = format!("{WAITING} others wait for a closing already\n");
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3")], body).into_response();
    };
    match shared.served.handle.close().await {
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
