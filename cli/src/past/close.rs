//! Closing a cut for a reader: with the cluster's help, with a running Hindcast's, or by waiting.
//!
//! **Invariant.** Whatever fails here, the reader still gets the answer that the bucket alone gives: a cluster that is
//! away, forbidden or another one is a note, never an error.

use std::time::Duration;

use hindcast_journal::{At, Moment};

use super::Past;
use crate::{commands::Context, failure::Result};

/// How often the bucket is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The moment, closed if that can be done.
pub(super) async fn close(
    past: &mut Past<'_>,
    context: &Context<'_>,
    at: &At,
    moment: Moment,
) -> Result<Moment> {
    if let Some(address) = &context.common.run_address {
        match ask_run(address, context.common.wait).await {
            Ok(()) => {
                past.timeline.refresh().await?;
                let moment = past.timeline.resolve(at).await?;
                if moment.closed {
                    return Ok(moment);
                }
            }
            Err(reason) => context.printer.note(format!("note: {address} did not close the cut: {reason}")),
        }
    }
    // The newest closed cut is an answer as it stands; only a moment that was named is worth waiting for.
    if *at == At::Now {
        return Ok(moment);
    }
    wait(past, context, at, moment).await
}

/// Waits for segments that close the moment.
async fn wait(past: &mut Past<'_>, context: &Context<'_>, at: &At, mut moment: Moment) -> Result<Moment> {
    let clock = &context.parts.clock;
    let end = clock.monotonic() + context.common.wait;
    let mut said = false;
    while !moment.closed && clock.monotonic() < end {
        if !said && context.common.verbose > 0 {
            context.printer.note("waiting for the journal to reach that moment");
            said = true;
        }
        clock.sleep(LOOK_EVERY).await;
        if past.timeline.refresh().await? {
            moment = past.timeline.resolve(at).await?;
        }
    }
    Ok(moment)
}

/// `POST /close` of a running Hindcast. Plain HTTP in a few lines: the address is a loopback or in-cluster one, and
/// the answer is a status.
async fn ask_run(address: &str, limit: Duration) -> Result<(), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(host).await.map_err(|e| e.to_string())?;
        let request = format!("POST /close HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
        let mut answer = Vec::new();
        stream.take(64 << 10).read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if status == "200" {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
        Err(format!("HTTP {status} {body}"))
    };
    #[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
    match tokio::time::timeout(limit, exchange).await {
        Ok(done) => done,
        Err(_) => Err("no answer in time".to_owned()),
    }
}
