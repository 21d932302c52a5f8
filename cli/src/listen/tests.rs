use hindcast_watcher::channel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let text =
        format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
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
    let server = tokio::spawn(serve(listener, registry.clone(), handle, async {
        let _ = stopped.await;
    }));
    assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
    let ready = ask(address, "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("not ready: starting"), "{ready}");
    let metrics = ask(address, "GET /metrics").await;
    assert!(metrics.contains("hindcast_segment_bytes_total 0"), "{metrics}");
    assert_eq!(segment_bytes(&registry), 0);
    drop(commands);
    let close = ask(address, "POST /close").await;
    assert!(close.starts_with("HTTP/1.1 503"), "the watcher has stopped: {close}");
    assert!(ask(address, "GET /close").await.starts_with("HTTP/1.1 405"));
    stop.send(()).unwrap();
    server.await.unwrap();
}
