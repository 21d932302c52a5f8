//! Lists and watches of an API server, and what their failures mean for whoever follows them.
//!
//! Everything goes through [`kube::Client::send`] with bytes in and out, so that objects are kept as received and a
//! simulated server can take the place of the real one. **Words**: a [`Failure`] is an answer, sorted by what the
//! caller should do next.
//!
//! **Invariants.** (1) Every request has a deadline on the injected clock. (2) Watches never share a client with
//! lists, and no client carries more than its share of watches. (3) A list's revision, page and items come from one
//! answer. (4) Nothing here writes to the cluster: every request is a GET.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hindcast_journal::{Parts, row::Revision};
use http_body_util::BodyExt as _;
use kube::client::Body;

use crate::{
    json,
    lines::Lines,
    request::{self, Ask, JSON, METADATA_LIST, Refused, Sort, Unanswered, When},
};

/// Makes independent clients, each with connections of its own.
pub trait Connector: Send + Sync {
    /// A new client.
    fn connect(&self) -> Result<kube::Client, NoClient>;
}

/// Why no client could be made: what is wrong, and in which way. Nothing was sent; whoever set it up has to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoClient {
    /// What is wrong.
    pub what: String,
    /// In which way.
    pub reason: String,
}

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl std::error::Error for NoClient {}

/// Why a request gave nothing, sorted by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The revision is too old for the server (410).
    Expired(String),
    /// The revision lies in the server's future.
    TooLarge(String),
    /// The account is not allowed to.
    Forbidden(String),
    /// There is no such kind or object.
    NotFound(String),
    /// Too many requests; wait.
    Throttled(Option<Duration>),
    /// The revisions are not numbers, so nothing can be ordered by them.
    Opaque,
    /// The server answered, but not usefully.
    Server(String),
    /// No answer, or one cut short.
    Transport(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled(_) => f.write_str("too many requests"),
            Self::Opaque => f.write_str("its revisions are not decimal numbers"),
            Self::Expired(m)
            | Self::TooLarge(m)
            | Self::Forbidden(m)
            | Self::NotFound(m)
            | Self::Server(m)
            | Self::Transport(m) => f.write_str(m),
        }
    }
}

impl Failure {
    /// What an `ERROR` event of a watch means.
    pub fn of_event(status: &[u8]) -> Self {
        let code = json::member(status, "code")
            .and_then(|span| std::str::from_utf8(span).ok())
            .and_then(|text| text.parse().ok())
            .unwrap_or(500);
        Refused::of(code, status, None).into()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let message = refused.message;
        match refused.sort {
            Sort::Expired => Self::Expired(message),
            Sort::TooLarge => Self::TooLarge(message),
            Sort::Forbidden => Self::Forbidden(message),
            Sort::Absent | Sort::NoPath => Self::NotFound(message),
            Sort::Throttled => Self::Throttled(refused.after),
            Sort::Busy | Sort::Other => Self::Server(message),
        }
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Malformed(why) => Self::NotFound(why),
            // The status code decides, even where its words could not be read.
            Unanswered::Cut { status, after, .. } if !(200..300).contains(&status) => {
                Refused::of(status, b"", after).into()
            }
            Unanswered::Unsent(why) | Unanswered::Cut { why, .. } => Self::Transport(why),
            Unanswered::Late(limit) => Self::Transport(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }
}

/// An answer with its body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As received.
    pub body: Bytes,
    /// When it was asked and answered.
    pub when: When,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// `None` when the revision is not a decimal number.
    pub rv: Option<Revision>,
    /// The token to ask for the next page with; `None` on the last.
    pub next: Option<String>,
    /// The objects, as received.
    pub items: Vec<Bytes>,
    /// When it was asked for and answered.
    pub when: When,
}

/// A client, and a token that every watch on it holds a clone of.
type Counted = (kube::Client, Arc<()>);

/// The clients, and how to make requests with them.
pub struct Api {
    parts: Parts,
    connector: Arc<dyn Connector>,
    lists: kube::Client,
    /// Clients of watches, each with the watches open on it.
    watches: Mutex<Vec<Counted>>,
    per_client: usize,
    timeout: Duration,
}

impl Api {
    /// Connects the first client; nothing is sent yet.
    pub fn new(
        parts: Parts,
        connector: Arc<dyn Connector>,
        per_client: usize,
        timeout: Duration,
    ) -> Result<Self, NoClient> {
        let lists = connector.connect()?;
        Ok(Self { parts, connector, lists, watches: Mutex::default(), per_client, timeout })
    }

    /// An API over a single client, for readers that close a cut.
    pub fn single(parts: Parts, client: kube::Client, timeout: Duration) -> Self {
        struct One(kube::Client);
        impl Connector for One {
            fn connect(&self) -> Result<kube::Client, NoClient> {
                Ok(self.0.clone())
            }
        }
        let connector = Arc::new(One(client.clone()));
        let watches = Mutex::default();
        Self { parts, connector, lists: client, watches, per_client: usize::MAX, timeout }
    }

    /// The clock that requests are timed by, and the source of randomness.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// A GET with its whole body.
    pub async fn get(&self, path: &str, accept: &'static str) -> Result<Answer, Failure> {
        let ask = Ask::get(path).accepting(accept);
        let reply = request::send(&self.lists, &self.parts, self.timeout, &ask).await?;
        Ok(Answer { body: reply.success()?.clone(), when: reply.when })
    }

    /// One page of a list; `query` is what follows the `?`.
    pub async fn page(&self, path: &str, query: &str) -> Result<Page, Failure> {
        self.paged(path, query, JSON).await
    }

    /// One page of a list, of each object its metadata alone.
    pub async fn metadata(&self, path: &str, query: &str) -> Result<Page, Failure> {
        self.paged(path, query, METADATA_LIST).await
    }

    async fn paged(&self, path: &str, query: &str, accept: &'static str) -> Result<Page, Failure> {
        let answer = self.get(&format!("{path}?{query}"), accept).await?;
        page(&answer).ok_or_else(|| Failure::Server("the answer is not a list".to_owned()))
    }

    /// The revision of a consistent list, which is begun after this is called. It also makes the server's watch
    /// cache for the kind catch up with it.
    pub async fn sample(&self, path: &str) -> Result<Page, Failure> {
        self.page(path, "limit=1").await
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str, query: &str) -> Result<Watch, Failure> {
        let (client, lease) = self.client().map_err(|e| Failure::Transport(e.to_string()))?;
        let ask = Ask::get(format!("{path}?watch=1&allowWatchBookmarks=true&{query}"));
        let began = self.parts.clock.monotonic();
        let opening = async {
            let response = request::open(&client, &ask).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let refused = request::whole(response, began, &self.parts).await?.success().err();
            Err(refused.map_or_else(|| Failure::Server("the watch did not open".into()), Failure::from))
        };
        let opened = self.parts.timeout(self.timeout, opening).await;
        let response = opened.unwrap_or_else(|| Err(Failure::Transport("the watch did not open".into())))?;
        let answered = self.parts.clock.monotonic();
        let when = When { began, answered, ended: answered, date: request::date(&response) };
        Ok(Watch {
            when,
            body: response.into_body(),
            lines: Lines::default(),
            parts: self.parts.clone(),
            _lease: lease,
        })
    }

    /// A client with room for one more watch, and the token that takes that room.
    fn client(&self) -> Result<Counted, NoClient> {
        let mut clients = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let free = clients.iter().find(|(_, token)| Arc::strong_count(token) <= self.per_client);
        if let Some((client, token)) = free {
            return Ok((client.clone(), token.clone()));
        }
        let (client, token) = (self.connector.connect()?, Arc::new(()));
        clients.push((client.clone(), token.clone()));
        Ok((client, token))
    }
}

/// An open watch.
pub struct Watch {
    /// When it was opened.
    pub when: When,
    body: Body,
    lines: Lines,
    parts: Parts,
    /// Held while the watch is open: what [`Api::client`] counts.
    _lease: Arc<()>,
}

impl Watch {
    /// The next line; `None` when the server ended the stream.
    pub async fn line(&mut self, idle: Duration) -> Result<Option<Bytes>, Failure> {
        loop {
            let next = self.lines.take();
            if let Some(line) = next.map_err(|_| Failure::Server("a line that never ends".into()))? {
                return Ok(Some(line));
            }
            let Some(frame) = self.parts.timeout(idle, self.body.frame()).await else {
                return Err(Failure::Transport("the watch was silent for too long".to_owned()));
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::Transport(hindcast_journal::Error::causes(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data);
                    }
                }
            }
        }
    }
}

/// Splits a list. Custom resources have `metadata` after `items`, built-in kinds before.
fn page(answer: &Answer) -> Option<Page> {
    let mut page = Page { rv: None, next: None, items: Vec::new(), when: answer.when };
    let mut members = json::Members::of(&answer.body);
    let mut metadata = None;
    for (key, value) in members.by_ref() {
        match key {
            b"metadata" => metadata = Some(value),
            b"items" if value.starts_with(b"[") => {
                let items = json::elements(value)?;
                page.items = items.into_iter().map(|i| json::share(&answer.body, i)).collect();
            }
            _ => {}
        }
    }
    if !members.complete() {
        return None;
    }
    let metadata = metadata?;
    let rv = json::member(metadata, "resourceVersion").and_then(json::text);
    page.rv = rv.and_then(|text| text.parse().ok());
    page.next = json::member(metadata, "continue").and_then(json::text).filter(|t| !t.is_empty());
    Some(page)
}

#[cfg(test)]
mod tests;
