//! Fan-outs: from flags, or from a file with several targets, to what the library takes.
//!
//! **Words**: an *entry* is one target as it was said.
//!
//! `run --fanout FILE` takes a file, and not flags: a target has two dozen settings and there may be several, which a
//! `ConfigMap` holds better than arguments; `hindcast fanout kafka` has the same settings as flags, for a process of its
//! own. That is the choice for whoever does not want a C library in the process that protects.
//!
//! **Invariants.** (1) What can be refused is refused before anything is begun: a file with an error must not let a
//! journal be claimed [`read`]. (2) A target has a task of its own, and how it ends ends nothing else [`Targets::spawn`].

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use hindcast_fanout::{
    Bounds, Filter, Format, From, Metrics, Parts, Settings, Target, Topics,
    cursor::{self, Holder, Rewind},
    kafka::{self, Login, Tls},
};
use hindcast_journal::{
    Error, Journal,
    writer::{Durable, Identity},
};
use prometheus::Registry;
use serde::Deserialize;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    args::{FanoutKafka, Fanouts, FormatArg},
    context::Context,
    failure::{Failure, Result},
    moment::{self, T},
};

#[cfg(test)]
mod tests;

/// What `run --fanout` reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    targets: Vec<Entry>,
}

/// One target, as it was said.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Entry {
    name: Option<String>,
    kafka: KafkaEntry,
    #[serde(default)]
    format: Format,
    from: Option<String>,
    rewind: Option<String>,
    #[serde(skip)]
    always_rewind: bool,
    #[serde(skip)]
    once: bool,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
    cursor_every: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KafkaEntry {
    brokers: String,
    topic: String,
    #[serde(default)]
    topic_per_kind: bool,
    tls: Option<TlsEntry>,
    sasl: Option<SaslEntry>,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TlsEntry {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SaslEntry {
    mechanism: String,
    username_file: PathBuf,
    password_file: PathBuf,
}

/// Where a new cursor begins, as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// What the library takes.
    At(From),
    /// A moment that the journal has to be asked for.
    Of(T),
}

/// One target that is ready to be begun.
pub(crate) struct Ready {
    /// How it publishes.
    pub(crate) settings: Settings,
    /// Where to.
    pub(crate) target: Box<dyn Target>,
}

impl Entry {
    /// The target of `hindcast fanout kafka`, and how often its cursor is written.
    pub(crate) fn of_flags(args: &FanoutKafka) -> Result<Self> {
        let option = |set: &String| {
            let (name, value) = set.split_once('=').ok_or_else(|| {
                Failure::new(format!("--set {set}"), "is not KEY=VALUE").hint("as librdkafka has it: linger.ms=100")
            })?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let tls = args.tls || args.tls_ca.is_some() || args.tls_certificate.is_some();
        let sasl = match (&args.sasl_mechanism, &args.sasl_username_file, &args.sasl_password_file) {
            (Some(mechanism), Some(username), Some(password)) => Some(SaslEntry {
                mechanism: mechanism.clone(),
                username_file: username.clone(),
                password_file: password.clone(),
            }),
            _ => None,
        };
        Ok(Self {
            name: args.name_of_cursor.clone(),
            kafka: KafkaEntry {
                brokers: args.brokers.clone(),
                topic: args.topic.clone(),
                topic_per_kind: args.topic_per_kind,
                tls: tls.then(|| TlsEntry {
                    ca: args.tls_ca.clone(),
                    certificate: args.tls_certificate.clone(),
                    key: args.tls_key.clone(),
                }),
                sasl,
                options: args.set.iter().map(option).collect::<Result<_>>()?,
            },
            format: match args.format {
                FormatArg::Structured => Format::Structured,
                FormatArg::Binary => Format::Binary,
            },
            from: args.from.clone(),
            rewind: None,
            always_rewind: args.rewind,
            once: args.once,
            namespaces: args.namespace.clone(),
            kinds: args.kind.clone(),
            cursor_every: None,
        })
    }

    /// Where a new cursor begins.
    pub(crate) fn begin(&self, context: &Context<'_>) -> Result<Begin> {
        let Some(text) = self.from.as_deref() else { return Ok(Begin::At(From::Now)) };
        let text = text.trim();
        if text == "beginning" {
            return Ok(Begin::At(From::Beginning));
        }
        if let Ok(position) = text.parse() {
            return Ok(Begin::At(From::Position(position)));
        }
        Ok(match moment::parse(text, &context.wall)? {
            T::Now => Begin::At(From::Now),
            T::Pos(position) => Begin::At(From::Position(position)),
            T::Time(time) => Begin::At(From::Time(time)),
            other => Begin::Of(other),
        })
    }

    /// Whether an old cursor is put to where a new one begins: by the flag at each start, by the file once for each word.
    fn rewinds(&self) -> Result<Rewind> {
        let Some(word) = &self.rewind else {
            return Ok(if self.always_rewind { Rewind::Always } else { Rewind::No });
        };
        let say = "any word that was not there before, such as today's date: each puts the cursor to `from` once";
        if !(1..=LONGEST_WORD).contains(&word.chars().count()) {
            return Err(Failure::new("rewind", format!("is not a word of 1 to {LONGEST_WORD} characters")).hint(say));
        }
        if self.from.is_none() {
            return Err(Failure::new("rewind", "does not say where to").hint("`from` beside it does"));
        }
        Ok(Rewind::Once(word.clone()))
    }

    /// What the library takes.
    pub(crate) fn ready(&self, from: From) -> Result<Ready> {
        let kafka = &self.kafka;
        let name = self.name.clone().unwrap_or_else(|| default_name(&kafka.topic));
        cursor::check_name(&name)?;
        let every = match &self.cursor_every {
            None => Duration::from_mins(1),
            Some(text) => moment::duration(text)
                .and_then(|micros| u64::try_from(micros).ok())
                .map(Duration::from_micros)
                .ok_or_else(|| Failure::new(format!("cursorEvery {text}"), "is no duration").hint("1m, 30s"))?,
        };
        let rewind = self.rewinds()?;
        let topics = Topics { base: kafka.topic.clone(), per_kind: kafka.topic_per_kind };
        let reached = kafka::Settings {
            brokers: kafka.brokers.clone(),
            tls: kafka.tls.clone().map(|tls| Tls { ca: tls.ca, certificate: tls.certificate, key: tls.key }),
            login: kafka.sasl.clone().map(|sasl| Login {
                mechanism: sasl.mechanism,
                username: sasl.username_file,
                password: sasl.password_file,
            }),
            options: kafka.options.clone(),
        };
        let target = kafka::target(reached, &topics)?;
        let settings = Settings {
            name,
            topics,
            format: self.format,
            filter: Filter { namespaces: self.namespaces.clone(), kinds: self.kinds.clone() },
            from,
            rewind,
            once: self.once,
            every,
            bounds: Bounds::default(),
        };
        Ok(Ready { settings, target })
    }
}

/// The longest word that a cursor is put elsewhere for.
const LONGEST_WORD: usize = 63;

/// `kafka-` and the topic, in letters that a name may have.
fn default_name(topic: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut name: String = "kafka-".chars().chain(topic.chars().map(fits)).collect();
    name.truncate(63);
    name
}

/// Who publishes, for the process that it is.
pub(crate) fn holder(identity: Identity) -> Holder {
    Holder { name: identity.writer, instance: identity.instance }
}

/// The targets of `run`.
#[derive(Default)]
pub(crate) struct Targets(Vec<Ready>);

/// Reads the targets of `run --fanout`.
pub(crate) fn read(context: &Context<'_>, args: &Fanouts) -> Result<Targets> {
    let Some(path) = &args.file else { return Ok(Targets::default()) };
    let what = format!("--fanout {}", path.display());
    let sample = "deploy/fanout.yaml is one, with every setting";
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::new(&what, format!("cannot be read: {e}")).hint(sample))?;
    parse(context, &what, &text).map_err(|failure| failure.hint(sample))
}

fn parse(context: &Context<'_>, what: &str, text: &str) -> Result<Targets> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| Failure::new(what, format!("is not what it should be: {e}")))?;
    let mut targets: Vec<Ready> = Vec::new();
    for entry in &file.targets {
        let about = |mut failure: Failure| {
            failure.reason = format!("target {}: {}: {}", entry.kafka.topic, failure.what, failure.reason);
            what.clone_into(&mut failure.what);
            failure
        };
        let from = match entry.begin(context).map_err(about)? {
            Begin::At(from) => from,
            Begin::Of(_) => {
                return Err(about(
                    Failure::new("from", "names a moment that only a journal can tell")
                        .hint("here it is a time, a position, `beginning` or `now`"),
                ));
            }
        };
        let ready = entry.ready(from).map_err(about)?;
        if let Some(other) = targets.iter().find(|other| other.settings.name == ready.settings.name) {
            let reason = format!("two targets are called {}", other.settings.name);
            return Err(Failure::new(what, reason).hint("name: gives each its own, under which its cursor is kept"));
        }
        targets.push(ready);
    }
    Ok(Targets(targets))
}

impl Targets {
    /// Begins each in a task of its own, until `stopped`. Committed segments are heard of from the writer here.
    pub(crate) fn spawn(
        self,
        journal: &Journal,
        registry: &Registry,
        holder: &Holder,
        news: &watch::Receiver<Durable>,
        stopped: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let metrics = Metrics::new(registry);
        let mut tasks = JoinSet::new();
        for Ready { settings, target } in self.0 {
            let parts = Parts {
                journal: journal.clone(),
                target,
                holder: holder.clone(),
                news: Some(news.clone()),
                metrics: metrics.clone(),
            };
            let mut stopped = stopped.clone();
            tasks.spawn(async move {
                let name = settings.name.clone();
                // A sender that is gone means the same.
                let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
                if let Err(error) = hindcast_fanout::run(settings, parts, stop).await {
                    let (said, hint) = (Error::causes(&error), error.hint());
                    tracing::error!(fanout = name, error = said, hint, "the fan-out has ended; protection goes on");
                }
            });
        }
        tasks
    }
}
