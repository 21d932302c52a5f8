//! An HTTP proxy as companies have one: clients ask it by `CONNECT` for a tunnel to a host that only it can resolve.
//!
//! Every host is loopback to it, so that a client that goes through it may use a name that resolves nowhere, and one
//! that does not go through it fails. It passes bytes, so that TLS stays verified end to end.
//! Start reading at [`ConnectProxy::start`].

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How long a request for a tunnel may be.
const HEAD: usize = 8 * 1024;

/// A proxy. Dropping it ends it and its tunnels.
#[derive(Debug)]
pub struct ConnectProxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl ConnectProxy {
    /// A proxy that lets through whoever gives this `name:password`; everybody if there is none.
    pub async fn start(login: Option<&str>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let wanted = login.map(|login| format!("Basic {}", BASE64_STANDARD.encode(login)));
        let serving = tokio::spawn(serve(listener, wanted, asked.clone()));
        Ok(Self { port, asked, serving })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The hosts that tunnels were made to, as they were asked for: `host:port`.
    pub fn tunnels(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, wanted: Option<String>, asked: Arc<Mutex<Vec<String>>>) {
    // Aborted with the task, so that no tunnel outlives the proxy.
    let mut tunnels = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (wanted, asked) = (wanted.clone(), asked.clone());
        tunnels.spawn(async move {
            // An error is the end of the tunnel, which its client sees.
            let _ = tunnel(client, wanted.as_deref(), &asked).await;
        });
        while tunnels.try_join_next().is_some() {}
    }
}

async fn tunnel(mut client: TcpStream, wanted: Option<&str>, asked: &Mutex<Vec<String>>) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < HEAD, "a request without an end");
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.strip_prefix("CONNECT ")?.split(' ').next());
    let Some(target) = target else {
        client.write_all(b"HTTP/1.1 405 Only CONNECT\r\n\r\n").await?;
        return Ok(());
    };
    let login = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim())
    });
    if wanted.is_some() && login != wanted {
        client.write_all(b"HTTP/1.1 407 Who are you\r\n\r\n").await?;
        return Ok(());
    }
    let port = target.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).context("no port")?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(target.to_owned());
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
