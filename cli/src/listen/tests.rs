use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, Method};
use hindcast_watcher::channel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{guard::is_ours, *};

async fn ask(address: SocketAddr, request: &str) -> String {
    ask_with(address, request, "Host: x\r\n").await
}

async fn ask_with(address: SocketAddr, request: &str, headers: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let text = format!("{request} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A process that listens, with what it is told by; it ends with the test's runtime.
async fn listening() -> (SocketAddr, watch::Sender<Option<String>>, hindcast_watcher::Commands, Registry) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    hindcast_watcher::Metrics::new(&registry);
    let (handle, commands) = channel();
    let (stage, shown) = watch::channel(None);
    let names = vec!["hindcast.example.com".to_owned()];
    let (_, role) = watch::channel(None);
    let served = Served { registry: registry.clone(), handle, stage: shown, role, names };
    tokio::spawn(serve(listener, served, std::future::pending()));
    (address, stage, commands, registry)
}

#[tokio::test]
async fn it_answers_and_says_when_it_cannot() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = bind(address).await.unwrap_err();
    assert!(taken.to_string().contains(&address.to_string()), "{taken}");
    let registry = Registry::new();
    hindcast_watcher::Metrics::new(&registry);
    let (handle, commands) = channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (_stage, shown) = watch::channel(None);
    let (_, role) = watch::channel(None);
    let served = Served { registry: registry.clone(), handle, stage: shown, role, names: Vec::new() };
    let server = tokio::spawn(serve(listener, served, async {
        let _ = stopped.await;
    }));
    assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
    let ready = ask(address, "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("not ready: starting"), "{ready}");
    let metrics = ask(address, "GET /metrics").await;
    assert!(metrics.contains("hindcast_segment_bytes_total 0"), "{metrics}");
    drop(commands);
    let close = ask(address, "POST /close").await;
    assert!(close.starts_with("HTTP/1.1 503"), "the watcher has stopped: {close}");
    assert!(ask(address, "GET /close").await.starts_with("HTTP/1.1 405"));
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn what_a_start_waits_for_is_told_and_nothing_waits_with_it() {
    let (address, stage, _commands, _) = listening().await;
    stage.send_replace(Some("waiting for the store (claiming the journal): 409".to_owned()));
    for request in ["GET /readyz", "POST /close"] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("not ready: waiting for the store (claiming the journal): 409"), "{answer}");
    }
    assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn no_web_page_closes_a_cut_or_reads_figures() {
    let (address, _stage, commands, _) = listening().await;
    // Nobody is there to close: who gets as far is told so at once.
    drop(commands);
    let own = format!("127.0.0.1:{}", address.port());
    let closes = format!("POST /close HTTP/1.1 503 of {own}");
    for (headers, status) in [
        (format!("Host: {own}\r\n"), "503"),
        (format!("Host: {own}\r\nOrigin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n"), "503"),
        ("Host: hindcast.example.com\r\n".to_owned(), "503"),
        (format!("Host: {own}\r\nOrigin: https://evil.example\r\n"), "403"),
        (format!("Host: {own}\r\nOrigin: null\r\n"), "403"),
        (format!("Host: {own}\r\nOrigin: http://{own}.evil.example\r\n"), "403"),
        (format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\n"), "403"),
        (format!("Host: {own}\r\nSec-Fetch-Site: same-site\r\n"), "403"),
        // A name that was made to lead here: the page is of the same site then, by the browser's lights.
        (
            "Host: rebound.evil.example\r\nOrigin: http://rebound.evil.example\r\nSec-Fetch-Site: same-origin\r\n"
                .to_owned(),
            "421",
        ),
        (String::new(), "421"),
    ] {
        let answer = ask_with(address, "POST /close", &headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{closes}, {headers:?}: {answer}");
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        let answer = ask_with(address, &format!("GET {path}"), "Host: rebound.evil.example\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
    }
    let link = format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\n");
    let answer = ask_with(address, "GET /metrics", &link).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "a link to a page here is harmless: {answer}");
}

#[test]
fn names_that_a_stranger_can_have_are_not_ours() {
    let names = ["Hindcast.example.com".to_owned()];
    let ours = [
        "127.0.0.1:9464",
        "10.0.0.7",
        "[::1]:9464",
        "[fe80::1]",
        "localhost:9464",
        "LOCALHOST",
        "a.localhost",
        "hindcast:80",
    ];
    let more = ["hindcast.monitoring.svc:9464", "hindcast.monitoring.svc.cluster.local.", "hindcast.example.com:443"];
    for host in ours.iter().chain(&more) {
        assert!(is_ours(host, &names), "{host}");
    }
    let strangers = [
        "evil.example",
        "127.0.0.1.evil.example:9464",
        "localhost.evil.example",
        "svc.evil.example",
        "",
        ":80",
        "[::1",
        "x.hindcast.example.com",
    ];
    for host in strangers {
        assert!(!is_ours(host, &names), "{host}");
    }
    assert!(!guard::is_foreign(&Method::POST, &HeaderMap::new(), "x"), "programs send no Origin");
}

#[expect(clippy::disallowed_methods, reason = "a bound for a test that hangs")]
#[tokio::test]
async fn no_more_wait_for_a_closing_than_are_stated() {
    // Nobody takes the commands, so that all wait.
    let (address, _stage, _commands, _) = listening().await;
    let refused = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = watch::channel(());
    for _ in 0..WAITING + 3 {
        let (refused, tell) = (refused.clone(), tell.clone());
        tokio::spawn(async move {
            let answer = ask(address, "POST /close").await;
            assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
            refused.fetch_add(1, Ordering::Relaxed);
            tell.send_replace(());
        });
    }
    let three = told.wait_for(|()| refused.load(Ordering::Relaxed) == 3);
    tokio::time::timeout(Duration::from_secs(30), three).await.expect("three are refused").unwrap();
}

#[tokio::test]
async fn a_standby_is_ready_closes_nothing_and_says_what_it_is() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, _commands) = channel();
    let (_stage, shown) = watch::channel(None);
    let standby =
        Role { lease: "kube-system/hindcast-1".into(), holder: Some("node-1/7/abc".into()), ..Role::default() };
    let (tell, role) = watch::channel(Some(standby.clone()));
    let served = Served { registry: Registry::new(), handle, stage: shown, role, names: Vec::new() };
    tokio::spawn(serve(listener, served, std::future::pending()));
    let early = ask(address, "GET /readyz").await;
    assert!(early.starts_with("HTTP/1.1 503") && early.contains("stands by"), "{early}");
    tell.send_replace(Some(Role { ready: true, ..standby }));
    let ready = ask(address, "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("node-1/7/abc holds the Lease"), "{ready}");
    let close = ask(address, "POST /close").await;
    assert!(close.starts_with("HTTP/1.1 503") && close.contains("stands by"), "{close}");
    let role = ask(address, "GET /role").await;
    assert!(role.contains(r#""leads":false"#) && role.contains(r#""holder":"node-1/7/abc""#), "{role}");
}
