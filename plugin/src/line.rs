//! The line to a plugin: its connection, the handshake that each begins with, and one call.
//!
//! **Invariants.**
//! 1. A call takes at most the limit for a request, with all that it waits for: its turn, the connection, the handshake,
//!    the answer ([`Plugin::call`]).
//! 2. A connection that broke, or on which nobody answered in time, is let go: the next call makes another one.
//! 3. Nothing is asked on a connection before the handshake, and nothing of a plugin of another name than the one that was
//!    met first, or of the name of another one beside it ([`Plugin::opened`]).
//! 4. What was made ready for what a plugin had declared is not given to it if it declares something else by now
//!    ([`Plugin::call_if`]).

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use hindcast_journal::{
    Parts, Result,
    error::{Error, ErrorKind},
};
use hindcast_snapshotter::cloud::{
    Limits,
    patience::{Fault, Patience},
};
use http::{Uri, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::sync::Mutex;
use tonic::{
    client::Grpc,
    transport::{Channel, Endpoint},
};

use crate::{
    address::Address,
    bounds::{Bounds, Counting},
    check::{Answer, Capabilities, HINT},
    peer, sort,
    wire::{
        HandshakeRequest, HandshakeResponse, HealthCheckRequest, HealthCheckResponse, Method, ServingStatus, VERSIONS,
    },
};

/// The largest message that is sent.
const LARGEST: usize = 32 << 20;

/// A plugin.
#[derive(Debug)]
pub struct Plugin {
    address: Address,
    pub(crate) patience: Patience,
    open: Mutex<Open>,
    /// Of the first handshake, and for ever.
    name: OnceLock<String>,
    met: RwLock<Option<Arc<Capabilities>>>,
    /// The address that each name was met at, among the plugins that are beside one another.
    names: Arc<SyncMutex<BTreeMap<String, Address>>>,
}

/// The connection; the number tells it from those before.
#[derive(Debug, Default)]
struct Open {
    number: u64,
    channel: Option<Connection>,
}

/// A connection on which the handshake was made, and what was declared by it.
#[derive(Debug, Clone)]
struct Connection {
    number: u64,
    channel: Channel,
    met: Arc<Capabilities>,
}

/// Whether what a plugin declares is fit for a call.
pub(crate) type Fit<'a> = &'a (dyn Fn(&Capabilities) -> Result<()> + Sync);

/// Whether a plugin says that it can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Serving,
    /// It cannot for now.
    NotServing,
    /// It does not say.
    Unknown,
}

impl Plugin {
    /// A plugin that is not asked anything yet: the first call meets it.
    pub fn at(address: Address, limits: Limits, parts: Parts) -> Self {
        Self {
            address,
            patience: Patience { parts, limits },
            open: Mutex::default(),
            name: OnceLock::new(),
            met: RwLock::default(),
            names: Arc::default(),
        }
    }

    /// The same, in one process with that one: the second of one name is refused, whenever it is met.
    #[must_use]
    pub fn beside(mut self, other: &Self) -> Self {
        self.names = Arc::clone(&other.names);
        self
    }

    /// A plugin that was met, and says that it can work.
    pub async fn connect(address: Address, limits: Limits, parts: Parts) -> Result<Self> {
        let plugin = Self::at(address, limits, parts);
        plugin.works().await?;
        Ok(plugin)
    }

    /// Meets it; an error unless it says that it can work.
    pub async fn works(&self) -> Result<()> {
        self.meet().await?;
        let what = self.title();
        match self.health().await? {
            Health::Serving => Ok(()),
            Health::NotServing | Health::Unknown => {
                Err(Error::new(ErrorKind::Unavailable, what, "says that it cannot work for now")
                    .with_hint("look at its log for what it waits for, then try again"))
            }
        }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its name; as long as it was never met, `plugin` and its address.
    pub fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_else(|| self.title())
    }

    /// How it is called in errors.
    pub fn title(&self) -> String {
        match self.name.get() {
            Some(name) => format!("plugin {name} ({})", self.address),
            None => format!("plugin {}", self.address),
        }
    }

    /// What it declared when it was met last; `None` if it never was.
    pub fn met(&self) -> Option<Arc<Capabilities>> {
        self.met.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Meets it, unless a connection to it stands; what it declares.
    pub async fn meet(&self) -> Result<Arc<Capabilities>> {
        let what = self.title();
        let limit = self.patience.limits.request;
        let opened = self.patience.parts.timeout(limit, self.opened(&what)).await;
        opened.unwrap_or_else(|| Err(sort::late(&what, &what, Method::HANDSHAKE, Some(limit))))?;
        self.met().ok_or_else(|| Error::internal(what, "was met and is not known"))
    }

    /// Whether it says that it can work.
    pub async fn health(&self) -> Result<Health> {
        let what = self.title();
        let asked = self.call(&what, Method::HEALTH, HealthCheckRequest { service: String::new() }).await;
        let answer: HealthCheckResponse = match asked {
            Ok(answer) => answer,
            Err(fault) if fault.error().kind() == ErrorKind::Invalid => {
                let reason = "does not serve grpc.health.v1.Health, as every plugin has to";
                return Err(Error::new(ErrorKind::Refused, what, reason).with_hint(HINT));
            }
            Err(fault) => return Err(fault.into()),
        };
        Ok(match answer.status() {
            ServingStatus::Serving => Health::Serving,
            ServingStatus::NotServing => Health::NotServing,
            ServingStatus::Unknown | ServingStatus::ServiceUnknown => Health::Unknown,
        })
    }

    /// One call about `what`.
    pub(crate) async fn call<Q, A>(&self, what: &str, method: Method, request: Q) -> Result<A, Fault>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call_within(self.patience.limits.request, what, method, request).await
    }

    /// The same, in less time than a request may take.
    pub(crate) async fn call_within<Q, A>(
        &self,
        limit: Duration,
        what: &str,
        method: Method,
        request: Q,
    ) -> Result<A, Fault>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call_if((limit, &|_| Ok(())), what, method, request).await
    }

    /// The same, only if what the plugin declares by now is fit for it.
    pub(crate) async fn call_if<Q, A>(
        &self,
        (limit, fit): (Duration, Fit<'_>),
        what: &str,
        method: Method,
        request: Q,
    ) -> Result<A, Fault>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let limit = limit.min(self.patience.limits.request);
        let called = async {
            let open = self.opened(what).await?;
            fit(&open.met)?;
            let (fault, broken) = match self.ask(what, open.channel, method, request).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if broken {
                self.let_go(open.number).await;
            }
            Err(fault)
        };
        match self.patience.parts.timeout(limit, called).await {
            Some(called) => called,
            None => {
                // Whoever holds it now is about to find out the same.
                if let Ok(mut open) = self.open.try_lock() {
                    open.channel = None;
                }
                Err(sort::late(&self.title(), what, method, Some(limit)))
            }
        }
    }

    async fn let_go(&self, number: u64) {
        let mut open = self.open.lock().await;
        if number == open.number {
            open.channel = None;
        }
    }

    /// A connection on which the handshake was made.
    async fn opened(&self, what: &str) -> Result<Connection, Fault> {
        let mut open = self.open.lock().await;
        if let Some(open) = &open.channel {
            return Ok(open.clone());
        }
        let channel = self.dial(what).await?;
        let request =
            HandshakeRequest { versions: VERSIONS.to_vec(), hindcast_version: env!("CARGO_PKG_VERSION").to_owned() };
        let asked = self.ask(what, channel.clone(), Method::HANDSHAKE, request).await;
        let met: HandshakeResponse = asked.map_err(|(fault, _)| fault)?;
        let who = self.title();
        let met = Answer { who: &who, what, method: Method::HANDSHAKE }.capabilities(met)?;
        self.named(what, &met.name)?;
        let met = Arc::new(met);
        *self.met.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&met));
        open.number += 1;
        let connection = Connection { number: open.number, channel, met };
        open.channel = Some(connection.clone());
        Ok(connection)
    }

    /// Takes the name by which it was met, unless it had another one or another plugin has it.
    fn named(&self, what: &str, name: &str) -> Result<()> {
        if let Some(before) = self.name.get().filter(|before| *before != name) {
            let reason = format!("at {} is the plugin {name} now, and it was {before}", self.address);
            let hint = "start the one that was there again, or start Hindcast again with the one that is there now";
            return Err(Error::new(ErrorKind::Refused, what, reason).with_hint(hint));
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.entry(name.to_owned()).or_insert_with(|| self.address.clone());
        if *at != self.address {
            let reason = format!("the plugin {} has the name {name}, as the one {at} has", self.address);
            let hint = "a recovery point knows its drivers by their names: leave one of the two out";
            return Err(Error::new(ErrorKind::Refused, what, reason).with_hint(hint));
        }
        self.name.get_or_init(|| name.to_owned());
        Ok(())
    }

    /// A connection that ends with its stream: the client must not make another one by itself, before a handshake.
    async fn dial(&self, what: &str) -> Result<Channel, Fault> {
        let connected = peer::connect(self.address.path(), what, &self.title()).await;
        let stream = connected.map_err(|error| self.undialled(what, &error))??;
        let mut stream = Some(TokioIo::new(stream));
        let once = tower::service_fn(move |_: Uri| {
            let stream = stream.take().ok_or_else(|| io::Error::other("its connection ended"));
            async move { stream }
        });
        // The name is for the protocol alone: nobody looks it up.
        let dialled = Endpoint::from_static("http://plugin").connect_with_connector(once).await;
        dialled.map_err(|error| self.undialled(what, &io::Error::other(Error::causes(&error))))
    }

    /// Why there is no connection.
    fn undialled(&self, what: &str, error: &io::Error) -> Fault {
        let (kind, reason, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                ErrorKind::Unavailable,
                "there is no socket at its address".to_owned(),
                "start the plugin, or correct the address",
            ),
            io::ErrorKind::ConnectionRefused => (
                ErrorKind::Unavailable,
                "nobody listens on its socket: it is not running".to_owned(),
                "look at its log for why it ended, and start it again",
            ),
            io::ErrorKind::PermissionDenied => (
                ErrorKind::Denied,
                "its socket may not be used by this user".to_owned(),
                "let the user of this process read and write the socket",
            ),
            _ => (ErrorKind::Unavailable, error.to_string(), "see that the plugin is running, and look at its log"),
        };
        let who = self.title();
        let reason = if what == who { reason } else { format!("{who}: {reason}") };
        let error = Error::new(kind, what, reason).with_hint(hint);
        match kind {
            ErrorKind::Unavailable => Fault::busy(error, None),
            _ => Fault::last(error),
        }
    }

    /// One question on one connection; with a failure, whether the connection is to be let go.
    async fn ask<Q, A>(&self, what: &str, channel: Channel, method: Method, request: Q) -> Result<A, (Fault, bool)>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let who = self.title();
        let mut client = Grpc::new(Bounds::of(channel, method))
            .max_decoding_message_size(method.largest())
            .max_encoding_message_size(LARGEST);
        if let Err(error) = client.ready().await {
            let error = tonic::Status::from_error(error.into());
            return Err(sort::of_call(&who, what, method, &error));
        }
        let mut request = tonic::Request::new(request);
        // Our own clock decides; the plugin is told of a moment soon after.
        let limit = self.patience.limits.request;
        request.set_timeout(limit + limit / 4);
        let path = PathAndQuery::from_static(method.0);
        let answer = client.unary(request, path, Counting::<Q, A>::default()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| sort::of_call(&who, what, method, &status))
    }
}

#[cfg(test)]
mod tests;
