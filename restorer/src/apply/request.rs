//! Requests of a restore: where an object is, asking until there is an answer, what an answer means.
//!
//! **Words**: a [`Reply`] is any answer that is about the object; [`Lost`] says that there was none in time.
//!
//! **Invariants.** (1) Every write names the field manager [`MANAGER`]. (2) What is sent again after no answer, or after an answer
//! that does not say whether it was done, is marked so: [`Reply::doubtful`]. (3) Waiting ends: each request within the
//! settings' deadline, all of them at once when the server has been silent for as long.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
pub(crate) use hindcast_cluster::request::Ask;
use hindcast_cluster::{
    path,
    request::{self, Unanswered},
};
use hindcast_journal::{
    Parts,
    exact::{self, Value},
    fold::ObjectKey,
};

use super::{Settings, pace::Pace};
use crate::desired::Full;
pub(crate) use crate::names::MANAGER;

/// How often an answer is asked for again that blames the server itself.
const SERVER_ERRORS: u32 = 4;

/// An answer about the object.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// An earlier try of the same request had no answer: it may have been done.
    pub(crate) doubtful: bool,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The object that came back.
    pub(crate) fn object(&self) -> Result<Full, String> {
        let mut value = exact::parse(&self.body).map_err(|e| format!("the server's answer: {e}"))?;
        let managed = exact::split_managed_fields(&mut value);
        Ok(Full { value, managed })
    }

    fn says(&self, member: &str) -> Option<String> {
        exact::parse(&self.body).ok()?.get(member)?.as_str().map(str::to_owned)
    }

    /// The server's words.
    pub(crate) fn message(&self) -> String {
        self.says("message").unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&self.body);
            let text: String = text.trim().chars().take(300).collect();
            if text.is_empty() { format!("HTTP {}", self.status) } else { text }
        })
    }

    /// Whether the server knows nothing of such a path, rather than of such an object.
    pub(crate) fn is_unserved(&self) -> bool {
        self.status == 404 && self.says("kind").as_deref() != Some("Status")
    }

    /// Whether its namespace is being deleted, so that nothing can be created in it.
    pub(crate) fn ends_namespace(&self) -> bool {
        self.status == 403 && self.has_cause("reason", "NamespaceTerminating")
    }

    /// Whether a webhook that does more than answer stands in the way of trying it out.
    pub(crate) fn has_no_dry_run(&self) -> bool {
        self.status == 400 && self.message().contains("does not support dry run")
    }

    /// The webhook that refused a write, or could not be called for it, in the words of the API server.
    pub(crate) fn webhook(&self) -> Option<String> {
        let words = self.message();
        let before = ["failed calling webhook \"", "admission webhook \""];
        let rest = before.iter().find_map(|b| words.split_once(b).map(|(_, rest)| rest))?;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    }

    /// Whether a port that was asked for is somebody else's. The server calls that an error of its own where it is the port of
    /// health checks.
    pub(crate) fn is_port_taken(&self) -> bool {
        self.status == 500 && self.message().contains("failed to allocate requested HealthCheck NodePort")
    }

    /// Whether a quota has no room for it.
    pub(crate) fn is_over_quota(&self) -> bool {
        self.status == 403 && self.message().contains("exceeded quota")
    }

    /// Whether a field is what it names as wrong.
    pub(crate) fn blames(&self, field: &str) -> bool {
        self.has_cause("field", field)
    }

    /// Whether one of its causes says this.
    fn has_cause(&self, member: &str, says: &str) -> bool {
        let Ok(status) = exact::parse(&self.body) else { return false };
        let causes = status.pointer("/details/causes").and_then(Value::as_array).unwrap_or_default();
        causes.iter().any(|cause| cause.get(member).and_then(Value::as_str) == Some(says))
    }

    /// The machine-readable reason: `AlreadyExists`, `Conflict`, ….
    pub(crate) fn reason(&self) -> String {
        self.says("reason").unwrap_or_default()
    }
}

/// There was no answer in time, and why.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) why: String,
    /// The person at the keyboard did not want to wait on.
    pub(crate) cancelled: bool,
}

/// The way to the API server, shared by everything that a restore does at once.
pub(crate) struct Link<'a> {
    client: &'a kube::Client,
    pub(crate) parts: Parts,
    pace: Pace,
    pub(crate) settings: &'a Settings,
    cancel: Option<tokio::sync::watch::Receiver<bool>>,
    /// Since when nothing has been answered; on the monotonic clock.
    silent: Mutex<Option<Duration>>,
    /// The server has been silent for longer than the deadline: nobody waits any more.
    gone: AtomicBool,
    /// Webhooks that could not be called, with their configuration and what is the matter. Filled by [`Link::named`].
    pub(super) hooks: tokio::sync::Mutex<BTreeMap<String, Option<(String, String)>>>,
}

impl<'a> Link<'a> {
    pub(crate) fn new(
        client: &'a kube::Client,
        parts: Parts,
        settings: &'a Settings,
        cancel: Option<tokio::sync::watch::Receiver<bool>>,
    ) -> Self {
        let pace = Pace::new(parts.clone(), settings.first, settings.most);
        let silent = Mutex::default();
        let hooks = tokio::sync::Mutex::default();
        Self { client, parts, pace, settings, cancel, silent, gone: AtomicBool::new(false), hooks }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|c| *c.borrow())
    }

    /// Whether the server is thought to be away for good.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Sends until there is an answer about the object.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Reply, Lost> {
        let began = self.parts.clock.monotonic();
        let mut tries = 0;
        let mut errors = 0;
        let mut doubtful = false;
        loop {
            tries += 1;
            let (why, wait) = match self.once(ask).await {
                Ok((429, _, after)) => {
                    let after = after.unwrap_or(Duration::from_secs(1));
                    self.pace.ease(after);
                    ("the server has too many requests (429)".to_owned(), after)
                }
                Ok((status, body, after)) => {
                    let reply = Reply { status, body, doubtful };
                    if !is_passing(&reply) || errors >= patience(&reply) {
                        return Ok(reply);
                    }
                    errors += 1;
                    // A timeout inside the server does not say whether the write was done.
                    doubtful |= status >= 500;
                    (reply.message(), after.unwrap_or_else(|| backoff(tries)))
                }
                Err(why) => {
                    doubtful = true;
                    (why, backoff(tries))
                }
            };
            let waited = self.parts.clock.monotonic().saturating_sub(began);
            if self.is_gone() || waited + wait > self.settings.deadline {
                return Err(Lost { why, cancelled: false });
            }
            if self.cancelled_within(wait).await {
                return Err(Lost { why, cancelled: true });
            }
        }
    }

    /// One try: status, body, `Retry-After`.
    async fn once(&self, ask: &Ask) -> Result<(u16, Bytes, Option<Duration>), String> {
        let _slot = self.pace.enter().await;
        let began = self.parts.clock.monotonic();
        let answer = request::send(self.client, &self.parts, self.settings.request, ask).await;
        let answer = answer.map(|reply| (reply.status, reply.body, reply.after));
        let answer = answer.map_err(|unanswered| match unanswered {
            Unanswered::Malformed(why) | Unanswered::Unsent(why) | Unanswered::Cut { why, .. } => why,
            Unanswered::Late(limit) => format!("no answer within {} s", limit.as_secs()),
        });
        self.heard(answer.is_ok());
        if answer.as_ref().is_ok_and(|(status, ..)| *status != 429) {
            self.pace.answered(self.parts.clock.monotonic().saturating_sub(began));
        }
        answer
    }

    /// Keeps account of how long the server has been silent.
    fn heard(&self, answered: bool) {
        let now = self.parts.clock.monotonic();
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            *silent = None;
            self.gone.store(false, Ordering::Relaxed);
        } else if now.saturating_sub(*silent.get_or_insert(now)) > self.settings.deadline {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Waits; true when the restore was cancelled meanwhile.
    pub(crate) async fn cancelled_within(&self, wait: Duration) -> bool {
        let Some(cancel) = &self.cancel else {
            self.parts.clock.sleep(wait).await;
            return false;
        };
        let mut cancel = cancel.clone();
        let asked = async {
            // A sender that is gone will not ask any more.
            if cancel.wait_for(|c| *c).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        self.parts.timeout(wait, asked).await.is_some()
    }

    /// The object as it is; `None` when there is none.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Full>, Problem> {
        let reply = self.send(&Ask::get(path)).await.map_err(Problem::Lost)?;
        match reply.status {
            404 => Ok(None),
            _ if reply.is_success() => reply.object().map(Some).map_err(Problem::Odd),
            _ => Err(Problem::Reply(reply)),
        }
    }
}

/// Why an object could not be read.
#[derive(Debug, Clone)]
pub(crate) enum Problem {
    Lost(Lost),
    Reply(Reply),
    Odd(String),
}

/// Whether the answer says "not now" rather than "no".
fn is_passing(reply: &Reply) -> bool {
    match reply.status {
        500 if reply.is_port_taken() => false,
        500 | 502 | 503 | 504 => true,
        // Quota is counted with optimistic locking: losing a race there is no conflict about the object.
        409 => reply.message().contains("resourcequotas"),
        // Rights and discovery are not there yet in the first moments of an API server.
        403 => is_starting(reply),
        _ => false,
    }
}

/// How often an answer that blames the server is asked for again.
fn patience(reply: &Reply) -> u32 {
    match reply {
        _ if is_starting(reply) => u32::MAX,
        // A webhook that is away for longer than a moment is told: it may be the one that is to be restored.
        _ if reply.message().contains("failed calling webhook") => 2,
        _ => SERVER_ERRORS,
    }
}

/// Whether the server is there, but not ready: then it is waited for until the deadline.
fn is_starting(reply: &Reply) -> bool {
    let message = || reply.message();
    match reply.status {
        503 => true,
        // Not yet synced caches of an authorizer or an admission plugin, in the words of the server.
        403 => message().contains("not yet ready to handle request"),
        500 => message().contains("not yet ready") || message().contains("etcdserver: leader changed"),
        _ => false,
    }
}

fn backoff(tries: u32) -> Duration {
    Duration::from_millis(100 << tries.min(5))
}

/// The folder of an object's kind, in its namespace.
pub(crate) fn collection(key: &ObjectKey, version: &str) -> String {
    path::collection(&key.group, version, &key.namespace, &key.resource)
}

/// The object's own path.
pub(crate) fn object(key: &ObjectKey, version: &str) -> String {
    path::object(&collection(key, version), &key.name)
}

/// What every write says beside. Unknown fields are not refused: what is written was served once, and a field that the
/// schema of today does not know is dropped by the server and then told by the verification.
pub(crate) fn manners(dry_run: bool) -> &'static str {
    if dry_run {
        "?fieldManager=hindcast&fieldValidation=Ignore&dryRun=All"
    } else {
        "?fieldManager=hindcast&fieldValidation=Ignore"
    }
}
