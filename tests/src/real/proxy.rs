//! A TCP proxy on loopback that misbehaves on demand, before the API server or a store.
//!
//! It passes bytes and knows nothing of what they mean, so that TLS stays verified end to end.
//! For faults in single HTTP requests see [`super::HttpProxy`].
//!
//! A proxy lives on the async runtime it was started on, and ends with it or when dropped.

use super::process::Port;
use crate::until::{SOON, until_every};
use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// How a proxy treats every connection, open ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Holds each piece back for this long, in both directions.
    Delay(Duration),
    /// Accepts connections and passes nothing, until the mode changes: a host that went silent.
    Hang,
    /// Accepts connections and resets them.
    Reset,
    /// Stops listening, and resets what is open: a host whose process is gone.
    Refuse,
}

/// A proxy before one port of loopback.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    target: u16,
    mode: watch::Sender<Mode>,
    connections: Arc<AtomicU64>,
    /// The accepting task; `None` while connections are refused.
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// A proxy before `target`, passing.
    pub async fn start(target: u16) -> Result<Self> {
        let proxy = Self {
            port: Port::lease()?,
            target,
            mode: watch::Sender::new(Mode::Pass),
            connections: Arc::default(),
            accepting: Mutex::new(None),
        };
        proxy.set(Mode::Pass).await?;
        Ok(proxy)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// How many connections have come in so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Switches the mode. When it returns, a new connection finds the new mode.
    pub async fn set(&self, mode: Mode) -> Result<()> {
        let mut accepting = self.accepting.lock().await;
        if mode == Mode::Refuse {
            if let Some(task) = accepting.take() {
                task.abort();
                // Cancelled, as told; the listener is closed once it has ended.
                let _ = task.await;
            }
        } else if accepting.is_none() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port()))
                .await
                .with_context(|| format!("the proxy's port {} is taken", self.port()))?;
            let (target, mode) = (self.target, self.mode.subscribe());
            let connections = Arc::clone(&self.connections);
            *accepting = Some(tokio::spawn(accept(listener, target, mode, connections)));
        }
        self.mode.send_replace(mode);
        Ok(())
    }

    /// Resets every open connection once; new ones are passed as before.
    pub async fn cut(&self) -> Result<()> {
        let before = *self.mode.borrow();
        self.set(Mode::Reset).await?;
        // The relays see a mode change when they next run; the number of receivers shows when they have.
        let gone = async || Ok(self.mode.receiver_count() <= 1);
        until_every(Duration::from_millis(1), "every open connection is reset", SOON, gone).await?;
        self.set(before).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.get_mut().take() {
            task.abort();
        }
        self.mode.send_replace(Mode::Refuse);
    }
}

async fn accept(listener: TcpListener, target: u16, mode: watch::Receiver<Mode>, connections: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(relay(client, target, mode.clone()));
    }
}

/// One connection, until either side ends it or the mode says to.
async fn relay(mut client: TcpStream, target: u16, mut mode: watch::Receiver<Mode>) {
    let (mut first, up_mode, down_mode) = (mode.clone(), mode.clone(), mode.clone());
    let both = async {
        passing(&mut first).await;
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        tokio::try_join!(pump(client_reads, server_writes, up_mode), pump(server_reads, client_writes, down_mode),)
    };
    let orderly = tokio::select! {
        ended = both => ended.is_ok(),
        _ = mode.wait_for(|mode| matches!(mode, Mode::Reset | Mode::Refuse)) => false,
    };
    if !orderly {
        // The client must see a reset, not an orderly end, which could pass for a complete answer.
        let _ = client.set_zero_linger();
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        passing(&mut mode).await;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// Waits until bytes may pass.
async fn passing(mode: &mut watch::Receiver<Mode>) {
    // An error means the proxy is gone, and with it the relay.
    let current = mode.wait_for(|mode| *mode != Mode::Hang).await.map(|mode| *mode);
    if let Ok(Mode::Delay(latency)) = current {
        // The delay is the fault.
        tokio::time::sleep(latency).await;
    }
}
