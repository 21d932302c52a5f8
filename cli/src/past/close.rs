//! Closing a cut for a reader: with the cluster's help, with a running Hindcast's, or by a knock and waiting.
//!
//! **Invariant.** Whatever fails here, the reader still gets the answer that the bucket alone gives: a cluster that is
//! away, forbidden or another one is a note, never an error.

use std::time::Duration;

use bytes::Bytes;
use hindcast_cluster::request::{self, Ask};
use hindcast_journal::{Error, Parts, Past, cut::At, exact::Value};
use hindcast_restorer::session::{Session, Unopened};
use hindcast_watcher::ha::Role;
use kube::{Client, Config};

use super::Reading;
use crate::{
    context::Context,
    failure::Result,
    kubeconfig::{self, Interaction},
};

/// How long the API server may take to say which cluster it is; at 3 a.m. it may be what is down.
pub(crate) const CLUSTER_LIMIT: Duration = Duration::from_secs(4);

/// How long a running Hindcast may take to close the cut, at least.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// The answer, closed if that can be done.
pub(super) async fn close(past: &mut Reading<'_>, context: &Context<'_>, at: &At, mut answer: Past) -> Result<Past> {
    match live(past, context, at).await {
        // What was laid over what was read stays the newest: nothing more is read behind it.
        Ok(Some(seen)) => return Ok(seen),
        Ok(None) => {}
        Err(failure) => {
            context.printer.note(format!("note: the cluster did not help to close the cut: {failure}"));
        }
    }
    let wait = context.common.wait;
    if let Some(address) = &context.common.run_address {
        match ask_run(&context.parts, address, wait.max(CLOSE_LIMIT)).await {
            Ok(()) => {
                past.timeline.refresh().await?;
                answer = past.timeline.at(at).await?;
            }
            Err(reason) => {
                context.printer.note(format!("note: {address} did not close the cut: {reason}"));
            }
        }
    }
    // The newest closed cut is an answer as it stands; only a moment that was named is worth waiting for.
    if answer.moment().closed || *at == At::Now {
        return Ok(answer);
    }
    if context.common.verbose > 0 {
        context.printer.note("waiting for the journal to reach that moment");
    }
    let (answer, unasked) = past.timeline.wait(at, answer, wait).await?;
    past.unasked = unasked;
    Ok(answer)
}

/// Closes the cut through the context's cluster, if it is the journal's.
async fn live(past: &mut Reading<'_>, context: &Context<'_>, at: &At) -> Result<Option<Past>> {
    if !kubeconfig::is_there(context.common) {
        return Ok(None);
    }
    // A reader asks nobody: it can do without the cluster.
    let reach = kubeconfig::reach(context, Interaction::None)?;
    let client = reach.connect()?;
    let opening = Session::open(client, &past.timeline, CLUSTER_LIMIT, context.common.wait);
    let session = match opening.await {
        Ok(session) => session,
        Err(Unopened::Another { found, .. }) => {
            if context.common.verbose > 0 {
                context.printer.note(format!("note: the context's cluster is {found}, not the journal's"));
            }
            return Ok(None);
        }
        Err(unopened) => return Err(reach.refused(&unopened)),
    };
    Ok(Some(session.close(&mut past.timeline, at).await?))
}

/// `POST /close` of a running Hindcast; its address is a loopback or in-cluster one.
pub(crate) async fn ask_run(parts: &Parts, address: &str, limit: Duration) -> Result<(), String> {
    ask(parts, address, limit, &Ask::write(http::Method::POST, "/close".to_owned(), &Value::Null)).await.map(|_| ())
}

/// What a running Hindcast says of its role; nothing if it is the only one.
pub(crate) async fn role_of(parts: &Parts, address: &str) -> Result<Option<Role>, String> {
    let body = ask(parts, address, CLUSTER_LIMIT, &Ask::get("/role")).await?;
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}

async fn ask(parts: &Parts, address: &str, limit: Duration, ask: &Ask) -> Result<Bytes, String> {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let url = format!("http://{host}").parse::<http::Uri>().map_err(|e| Error::causes(&e))?;
    let client = Client::try_from(Config::new(url)).map_err(|e| Error::causes(&e))?;
    let reply = request::send(&client, parts, limit, ask).await;
    let reply = reply.map_err(|e| hindcast_cluster::Failure::from(e).to_string())?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    Err(format!("HTTP {} {}", reply.status, String::from_utf8_lossy(&reply.body).trim()))
}
