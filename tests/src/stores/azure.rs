//! A front before Azurite: listings come in short pages, and tokens are taken in place of the account's key.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderName, Method, Request, header};

use super::front::{Answer, Upstream, header_of, reply, target, without};
use crate::{
    clouds::{Reply, Server, answer},
    real::Azurite,
    stores::Identities,
};

/// How many names a page has.
const PAGE: usize = 400;

/// A front. Dropping it ends it.
#[derive(Debug)]
pub struct AzureFront {
    server: Server,
}

impl AzureFront {
    /// One before `azurite`, which takes the tokens that `identities` gave.
    pub async fn start(azurite: Arc<Azurite>, identities: Arc<Identities>) -> Result<Self> {
        let upstream = Upstream::new(azurite.port())?;
        let server = Server::start(move |request| {
            let (azurite, identities, upstream) = (azurite.clone(), identities.clone(), upstream.clone());
            async move { serve(&azurite, &identities, &upstream, &request).await }
        });
        Ok(Self { server: server.await? })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.server.port()
    }
}

async fn serve(azurite: &Azurite, identities: &Identities, upstream: &Upstream, request: &Request<Bytes>) -> Reply {
    let lists = request.method() == Method::GET && target(request).contains("comp=list");
    match header_of(request, "authorization").and_then(|shown| shown.strip_prefix("Bearer ")) {
        Some(token) if !identities.gave(token) => {
            let text = "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.</Message></Error>";
            Reply::Answer(answer(403, "application/xml", text))
        }
        Some(_) => reply(again(azurite, upstream, request, lists).await),
        None if lists => {
            // A page is cut short only for who is known: the server itself is asked first, as it was asked.
            match upstream.pass(request).await {
                Ok(answered) if answered.status() != 200 => Reply::Answer(answered),
                _ => reply(again(azurite, upstream, request, lists).await),
            }
        }
        None => reply(upstream.pass(request).await),
    }
}

/// Passes a request on, signed with the account's key.
async fn again(azurite: &Azurite, upstream: &Upstream, request: &Request<Bytes>, lists: bool) -> Result<Answer> {
    const UNSIGNED: [HeaderName; 5] =
        [header::AUTHORIZATION, header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::DATE];
    let path = if lists { format!("{}&maxresults={PAGE}", target(request)) } else { target(request).to_owned() };
    let mut unsigned = Request::builder().method(request.method()).uri(upstream.url(&path));
    if let Some(all) = unsigned.headers_mut() {
        *all = without(request.headers(), &UNSIGNED);
        if !request.body().is_empty() {
            all.insert(header::CONTENT_LENGTH, request.body().len().into());
        }
    }
    let headers = azurite.sign(unsigned)?;
    upstream.ask(request.method().clone(), &path, headers, request.body().clone()).await
}
