//! What keeps web pages out: a browser on this machine, or one that reaches this address, sends what any page tells it to.
//!
//! **Invariants.** (1) A page that makes its own name lead to this address asks by that name, so a name must be one that no
//! stranger can have: an address, a name without dots, or one of a cluster's or this machine's own; others are allowed by the
//! operator. (2) A page of another site says so in `Origin`, and newer browsers in `Sec-Fetch-Site`; programs send neither.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// Ends of names that nobody can register.
const OWN: [&str; 3] = [".localhost", ".svc", ".cluster.local"];

/// Refuses what a web page may have sent.
pub(super) async fn guard(State(names): State<Arc<Vec<String>>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    // A request for a proxy names the host in its first line.
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| text(headers, header::HOST)).unwrap_or_default();
    if !is_ours(host, &names) {
        let body =
            "asked by a name that is not this process's: ask by its address, or allow the name with --listen-name\n";
        return (StatusCode::MISDIRECTED_REQUEST, body).into_response();
    }
    if is_foreign(request.method(), headers, host) {
        return (StatusCode::FORBIDDEN, "asked by a page of another site\n").into_response();
    }
    next.run(request).await
}

/// Whether a host, with or without a port, is a name of this process.
pub(super) fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let allowed = names.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name));
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let own = !name.contains('.') || OWN.iter().any(|end| name.ends_with(end));
    name.parse::<IpAddr>().is_ok() || (plain && (own || allowed))
}

/// Whether a page of another site sent it.
pub(super) fn is_foreign(method: &Method, headers: &HeaderMap, host: &str) -> bool {
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN).unwrap_or_default();
        let from = origin.split_once("://").map(|(_, from)| from);
        if from != Some(host) {
            return true;
        }
    }
    // Following a link to read a page here is harmless, and no page sees the answer.
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let site = headers.get("sec-fetch-site").map(object_store::HeaderValue::as_bytes);
    !reads && site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
