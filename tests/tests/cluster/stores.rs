//! What a store does to a start, and what is said of it: busy stores are ridden out, what needs a hand is told with its
//! remedy.
//!
//! A real API server and MinIO, with a proxy before it that answers in its place.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, empty_config_map},
    oracle::subject::{Hindcast, Place, Running},
    real::{Cluster, Fault, HttpProxy, Minio, process::Workdir, tls::Authority},
};
use http::Method;

use crate::scene::{BINARY, SOON, ask, create, run_to_its_end, until};

/// What a start may take while the store is busy.
const PATIENCE: Duration = Duration::from_mins(2);

/// `/readyz` says no, with all of these in its reason, while the process lives.
async fn waits(running: &Running, phrases: &[&str]) -> Result<()> {
    until(&format!("/readyz tells {phrases:?}"), SOON, async || {
        ensure!(running.process.exited()?.is_none(), "it ended: {}", running.process.log_tail());
        let Ok((status, body)) = running.http("GET", "/readyz").await else { return Ok(false) };
        Ok(status == 503 && phrases.iter().all(|phrase| body.contains(phrase)))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_rides_out_what_passes_by_itself_and_says_what_it_waits_for() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let dir = Workdir::new()?;
    let place = Place::minio(&minio, "start", proxy.port());
    let hindcast = Hindcast::new(BINARY, dir.path(), place, cluster.kubeconfig())?;

    conflicts_where_nothing_stands(&hindcast, &proxy).await.context("conflicts where nothing stands")?;
    a_store_that_hangs(&hindcast, &proxy).await.context("a store that hangs")?;
    a_busy_store(&hindcast, &proxy).await.context("a busy store")
}

/// At each step of the start that writes.
async fn conflicts_where_nothing_stands(hindcast: &Hindcast, proxy: &HttpProxy) -> Result<()> {
    let probe = proxy.inject("PUT", "/meta/probe/", 3, Fault::Status(409));
    let claim = proxy.inject("PUT", "/wal/", 3, Fault::Status(409));
    let running = hindcast.run(&[]).await?;
    ensure!((probe.struck(), claim.struck()) == (3, 3), "{probe:?} {claim:?}");
    running.stop().await
}

/// Nothing answers: who asks is told so at once, and a closing is refused.
async fn a_store_that_hangs(hindcast: &Hindcast, proxy: &HttpProxy) -> Result<()> {
    let hangs = proxy.inject("PUT", "/meta/probe/", 1, Fault::HangBefore);
    let running = hindcast.launch(&[])?;
    hangs.wait(1, SOON).await?;
    waits(&running, &["not ready: waiting for the store (trying out the store)"]).await?;
    let (status, body) = running.http("POST", "/close").await?;
    ensure!(status == 503 && body.contains("waiting for the store"), "{status} {body}");
    ensure!(running.http("GET", "/healthz").await?.0 == 200, "it lives");
    hangs.withdraw();
    running.wait_ready(PATIENCE).await?;
    running.stop().await
}

/// Busy for as long as forty requests take that are spread ever wider: claim, then what is read after it.
async fn a_busy_store(hindcast: &Hindcast, proxy: &HttpProxy) -> Result<()> {
    let busy = proxy.inject("PUT", "/wal/", 40, Fault::Status(503));
    let running = hindcast.launch(&[])?;
    waits(&running, &["claiming the journal", "the store asks for fewer requests", "SlowDown"]).await?;
    busy.wait(40, PATIENCE).await?;
    running.wait_ready(PATIENCE).await?;
    running.stop().await?;
    let reads = proxy.inject("GET", "/wal/", 30, Fault::Status(429));
    let running = hindcast.launch(&[])?;
    reads.wait(30, PATIENCE).await?;
    running.wait_ready(PATIENCE).await?;
    running.close().await?;

    // A reader waits for a busy store too.
    let reads = proxy.inject("GET", "", 20, Fault::Status(503));
    ask(hindcast, &["get", "cm", "-A"]).await?.is(0, &["extension-apiserver-authentication"])?;
    ensure!(reads.struck() == 20, "{reads:?}");
    running.stop().await
}

/// The same with other environment.
fn with(hindcast: &Hindcast, name: &str, value: Option<&str>) -> Hindcast {
    let mut other = hindcast.clone();
    other.place.env.retain(|(key, _)| key != name);
    other.place.env.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_hand_ends_a_start_with_a_remedy_of_its_own() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let dir = Workdir::new()?;
    let place = Place::minio(&minio, "hand", proxy.port());
    let hindcast = Hindcast::new(BINARY, dir.path(), place, cluster.kubeconfig())?;

    answers_that_need_a_hand(&hindcast, &proxy).await.context("answers of the store")?;
    plain_http(&hindcast).await.context("plain http")?;
    certificates(&cluster, &dir, &hindcast).await.context("certificates")
}

/// Each answer of the store ends a start, and a question, with the remedy for that one.
async fn answers_that_need_a_hand(hindcast: &Hindcast, proxy: &HttpProxy) -> Result<()> {
    let page = "something else than the store answered";
    for (fault, reason, remedy) in [
        (Fault::Page(200), page, "NO_PROXY"),
        (Fault::Page(403), page, "NO_PROXY"),
        (Fault::Status(501), "does not know create-if-absent", "If-None-Match"),
        (Fault::Status(301), "is in another region", "AWS_REGION"),
        (Fault::Refused(307, "TemporaryRedirect"), "is in another region", "AWS_REGION"),
        (Fault::Refused(400, "AuthorizationHeaderMalformed"), "is in another region", "AWS_REGION"),
        (Fault::Refused(403, "RequestTimeTooSkewed"), "clock and the store's are too far apart", "set the clock"),
        (Fault::Refused(404, "NoSuchBucket"), "there is no such bucket", "make the bucket"),
    ] {
        let rule = proxy.inject("PUT", "", u64::MAX, fault);
        let said = run_to_its_end(hindcast, &[]).await?;
        said.is(2, &["error: ", reason, "hint: ", remedy])?.never(&["check that the store is up", "Please log in"])?;
        rule.withdraw();
    }
    for (fault, remedy) in [
        (Fault::Page(200), "NO_PROXY"),
        (Fault::Status(301), "AWS_REGION"),
        (Fault::Refused(403, "RequestTimeTooSkewed"), "set the clock"),
    ] {
        let rule = proxy.inject("*", "", u64::MAX, fault);
        let said = ask(hindcast, &["status"]).await?;
        said.is(2, &["error: ", "hint: ", remedy])?.never(&["check that the store is up", "Please log in"])?;
        rule.withdraw();
    }
    Ok(())
}

async fn plain_http(hindcast: &Hindcast) -> Result<()> {
    let plain = with(hindcast, "AWS_ALLOW_HTTP", None);
    for said in [run_to_its_end(&plain, &[]).await?, ask(&plain, &["status"]).await?] {
        said.is(2, &["plain http, which is not allowed unasked", "hint: AWS_ALLOW_HTTP=true"])?;
    }
    Ok(())
}

/// A store whose certificate a company has signed itself: refused with the variable that names its authority, reached
/// with it.
async fn certificates(cluster: &Cluster, dir: &Workdir, hindcast: &Hindcast) -> Result<()> {
    let authority = Authority::new("a company's own")?;
    let secure = Minio::start_https(&authority).await?;
    let bundle = dir.path().join("bundle.pem");
    std::fs::write(&bundle, authority.pem())?;
    let named = bundle.display().to_string();
    let place = Place::minio(&secure, "tls", secure.port());
    let folder = dir.path().join("secure");
    std::fs::create_dir_all(&folder)?;
    let secure = Hindcast::new(BINARY, &folder, place, cluster.kubeconfig())?;
    for said in [run_to_its_end(&secure, &[]).await?, ask(&secure, &["status"]).await?] {
        said.is(2, &["certificate is signed by nobody this machine trusts", "hint: ", "AWS_CA_BUNDLE=FILE"])?;
    }
    for (path, reason) in
        [("/nowhere.pem", "cannot be read"), (&*hindcast.key_file.display().to_string(), "holds no certificate")]
    {
        let said = run_to_its_end(&with(&secure, "AWS_CA_BUNDLE", Some(path)), &[]).await?;
        said.is(2, &[&format!("AWS_CA_BUNDLE {path}: "), reason])?;
    }
    let trusting = with(&secure, "AWS_CA_BUNDLE", Some(&named));
    let running = trusting.run(&[]).await?;
    running.close().await?;
    ask(&trusting, &["get", "cm", "-A"]).await?.is(0, &["extension-apiserver-authentication"])?;
    running.stop().await
}

/// A closing asks the API server; a web page must not be able to, and a crowd that asks shares it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_shares_one_closing_and_a_web_page_gets_none() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    let hindcast = crate::scene::on_folder(&dir, "main", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let url = format!("http://{}/close", running.address);
    let client = reqwest::Client::new();
    for (name, value) in [("origin", "http://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "cross-site")]
    {
        let answer = client.request(Method::POST, &url).header(name, value).send().await?;
        ensure!([403, 421].contains(&answer.status().as_u16()), "{name}: {}", answer.status());
    }
    let object = create(&cluster.client(), DEFAULT_CONFIG_MAPS, empty_config_map("late")).await?;
    let rv: u64 = crate::scene::rv(&object).parse()?;
    let all = (0..40).map(async |_| {
        let answer = client.post(&url).send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        Ok(answer.text().await?)
    });
    let frontiers: Vec<String> = futures::future::try_join_all(all).await?;
    let different: std::collections::BTreeSet<&String> = frontiers.iter().collect();
    ensure!(different.len() <= 2, "one closing runs, one waits: {different:?}");
    for frontier in different {
        let frontier: serde_json::Value = serde_json::from_str(frontier)?;
        ensure!(frontier["main"]["rv"].as_u64() >= Some(rv), "{frontier} is not up to {rv}");
    }
    // With the client that readers have.
    let by_address = ["get", "cm", "-A", "--at", &format!("rev:{rv}"), "--run-address", &running.address];
    ask(&hindcast, &by_address).await?.is(0, &["late"])?.never(&["did not close the cut"])?;
    running.stop().await
}
