//! The client of Kafka: a producer that is made anew for every connection.
//!
//! **Invariants.** (1) Every message that was handed over is answered, through its delivery report, exactly once; the
//! channel between the client's thread and us holds no more than was handed over [`Context::delivery`]. (2) What would
//! block runs beside the runtime [`Kafka::connect`], [`Producer::close`]. (3) How large a message may be is asked of the
//! topic where that is allowed; else it is what brokers take by default. (4) What was found out of the target goes before
//! what was set [`Kafka::options`]. (5) No value of an option is in a text of ours: it may be a password [`refused`].

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hindcast_journal::{Error, Position, Result};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{
        BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
    },
};
use tokio::sync::mpsc;

use super::{Settings, sort};
use crate::{
    message::{Message, Topics},
    sink::{Answer, Care, Sink, Target, Unsent},
};

/// How long a connection may take until it is seen to work.
const CONTACT: Duration = Duration::from_secs(10);

/// How long a topic may take to tell its limit; without an answer it is what brokers take by default.
const TOLD: Duration = Duration::from_secs(5);

/// The largest batch of messages that brokers take by default.
const DEFAULT_LIMIT: usize = 1_048_588;

/// How much librdkafka puts into a batch by default.
const DEFAULT_BATCH: usize = 1_000_000;

/// The client's own limits of what it holds are above ours, so that ours are met first.
const QUEUE: &str = "100000";
const QUEUE_KIB: &str = "1048576";

/// Kafka.
pub(super) struct Kafka {
    settings: Settings,
    topics: Topics,
}

impl Kafka {
    pub(super) fn new(settings: Settings, topics: Topics) -> Result<Self> {
        let kafka = Self { settings, topics };
        // What the client does not know is said now, and not when brokers are there.
        kafka.options(DEFAULT_LIMIT, Care::default()).create_native_config().map_err(|error| refused(&error))?;
        Ok(kafka)
    }

    /// The options, for messages up to a limit.
    fn options(&self, limit: usize, care: Care) -> ClientConfig {
        let mut config = self.connection();
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.messages", QUEUE),
            ("queue.buffering.max.kbytes", QUEUE_KIB),
            ("compression.type", "lz4"),
            ("linger.ms", "20"),
            ("message.max.bytes", &limit.to_string()),
            ("batch.size", &DEFAULT_BATCH.min(limit).to_string()),
            ("reconnect.backoff.max.ms", "2000"),
        ] {
            config.set(name, value);
        }
        for (name, value) in &self.settings.options {
            config.set(name, value);
        }
        if care.alone {
            config.set("batch.num.messages", "1");
        }
        if care.below.is_some() {
            config.set("message.max.bytes", limit.to_string());
        }
        config
    }

    /// What it takes to reach the brokers, without who we are.
    fn connection(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.settings.brokers).set("client.id", "hindcast");
        let protocol = match (&self.settings.tls, &self.settings.login) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.settings.tls {
            let files = [
                ("ssl.ca.location", &tls.ca),
                ("ssl.certificate.location", &tls.certificate),
                ("ssl.key.location", &tls.key),
            ];
            for (name, path) in files {
                if let Some(path) = path {
                    config.set(name, path.display().to_string());
                }
            }
        }
        config
    }

    /// Adds who we are, as the files say it now.
    fn log_in(&self, config: &mut ClientConfig) -> Result<()> {
        if let Some(login) = &self.settings.login {
            config.set("sasl.mechanism", &login.mechanism);
            config.set("sasl.username", read(&login.username)?);
            config.set("sasl.password", read(&login.password)?);
        }
        Ok(())
    }

    /// How large a message to the topic may be, as far as that is ours to know.
    async fn limit(&self, credentials: &ClientConfig) -> Option<usize> {
        let mut config = credentials.clone();
        for (name, value) in &self.settings.options {
            // Of the options only those of connections are known to every client.
            if ["ssl.", "sasl.", "security.", "socket.", "broker."].iter().any(|part| name.starts_with(part)) {
                config.set(name, value);
            }
        }
        let admin: AdminClient<DefaultClientContext> = config.create().ok()?;
        let options = AdminOptions::new().request_timeout(Some(TOLD));
        let topic = [ResourceSpecifier::Topic(&self.topics.base)];
        let answer = admin.describe_configs(&topic, &options).await;
        // It joins threads of its own.
        let dropped = tokio::task::spawn_blocking(move || drop(admin));
        let found = answer.ok()?.into_iter().next()?.ok()?;
        let limit = found.get("max.message.bytes")?.value.as_ref()?.parse().ok();
        let _ = dropped.await;
        limit
    }
}

fn refused(error: &KafkaError) -> Error {
    let (what, reason) = match error {
        KafkaError::ClientConfig(_, reason, option, value) => (format!("the option {option}"), without(reason, value)),
        other => ("the options of Kafka's client".to_owned(), other.to_string()),
    };
    Error::invalid(what, reason).with_hint("the options are librdkafka's: its CONFIGURATION.md lists them")
}

/// A text without a value that the client may have put into it, and without the line end that it put behind.
fn without(text: &str, value: &str) -> String {
    let text = text.trim_end_matches(['\0', '\n']);
    // So short a one would take letters out of other words.
    if value.len() < 3 { text.to_owned() } else { text.replace(value, "…") }
}

/// A credential of one line.
fn read(path: &Path) -> Result<String> {
    let what = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::invalid(what(), format!("cannot be read: {e}")).with_hint("it is to hold one line"))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Error::invalid(what(), "is empty").with_hint("it is to hold one line"));
    }
    Ok(line.to_owned())
}

#[async_trait]
impl Target for Kafka {
    fn name(&self) -> String {
        format!("kafka topic {}{}", self.topics.base, if self.topics.per_kind { ".*" } else { "" })
    }

    async fn connect(&mut self, care: Care) -> Result<Box<dyn Sink>> {
        let mut credentials = self.connection();
        self.log_in(&mut credentials)?;
        let limit = match self.settings.options.get("message.max.bytes").and_then(|set| set.parse().ok()) {
            Some(set) => set,
            None => self.limit(&credentials).await.unwrap_or(DEFAULT_LIMIT),
        };
        let limit = care.below.map_or(limit, |below| limit.min(below));
        // Below a thousand bytes the client takes no limit.
        let mut config = self.options(limit.max(1000), care);
        self.log_in(&mut config)?;
        let (answers, heard) = mpsc::unbounded_channel();
        let said = Arc::new(Mutex::new(None));
        let context = Context { answers, said: said.clone(), brokers: self.settings.brokers.clone() };
        let (topic, brokers) = (self.topics.base.clone(), self.settings.brokers.clone());
        let made = tokio::task::spawn_blocking(move || contact(&config, context, &topic, &brokers, &said));
        let client = made.await.map_err(|e| Error::internal("the client of Kafka", e.to_string()))??;
        Ok(Box::new(Producer { client, heard, limit }))
    }
}

type Client = ThreadedProducer<Context, NoCustomPartitioner>;

/// Makes a producer, and asks it for the topic: whatever stands between us and the brokers shows by that.
fn contact(
    config: &ClientConfig,
    context: Context,
    topic: &str,
    brokers: &str,
    said: &Mutex<Option<(Code, String)>>,
) -> Result<Client> {
    let producer: Client = config.create_with_context(context).map_err(|error| refused(&error))?;
    let metadata = producer.client().fetch_metadata(Some(topic), CONTACT).map_err(|error| {
        // What the client told meanwhile says more than that nobody answered in time.
        match said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((code, reason)) => sort::by_code(&format!("kafka at {brokers}"), code, &reason),
            None => sort::sort(&format!("kafka at {brokers}"), &error, None),
        }
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if let Some(error) = found.and_then(rdkafka::metadata::MetadataTopic::error) {
        let code = Code::from(error);
        return Err(sort::by_code(&format!("topic {topic} at {brokers}"), code, &code.to_string()));
    }
    Ok(producer)
}

/// What the client tells, from a thread of its own.
struct Context {
    answers: mpsc::UnboundedSender<Answer>,
    /// What it last said of the brokers; that one refuses us is not covered up by that none is left.
    said: Arc<Mutex<Option<(Code, String)>>>,
    brokers: String,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error or a report; this is for whoever looks closer.
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let telling = |code: &Code| matches!(code, Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed);
        if !said.as_ref().is_some_and(|(known, _)| telling(known)) || telling(&code) {
            *said = Some((code, reason.to_owned()));
        }
        // After a fatal error nothing is taken any more, and every message is reported for itself.
        if !matches!(code, Code::Fatal | Code::GaplessGuarantee) {
            let error = sort::by_code(&format!("kafka at {}", self.brokers), code, reason);
            let _ = self.answers.send(Answer::Trouble(error));
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<(Position, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, of: Self::DeliveryOpaque) {
        let (position, bytes) = *of;
        let answer = match result {
            Ok(_) => Answer::Taken(position),
            Err((error, _)) if error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge) => {
                Answer::TooLarge { position, bytes }
            }
            Err((error, message)) => {
                let what = format!("topic {} at {}", message.topic(), self.brokers);
                Answer::Refused(position, sort::sort(&what, error, None))
            }
        };
        // Nobody listens to a connection that was given up.
        let _ = self.answers.send(answer);
    }
}

/// One connection.
struct Producer {
    client: Client,
    heard: mpsc::UnboundedReceiver<Answer>,
    limit: usize,
}

#[async_trait]
impl Sink for Producer {
    fn send(&mut self, message: Message) -> Result<(), Unsent> {
        let bytes = message.size();
        if bytes > self.limit {
            return Err(Unsent::TooLarge(message));
        }
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (name, value) in &message.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let record = BaseRecord::with_opaque_to(&message.topic, Box::new((message.position, bytes)))
            .key(message.key.as_bytes())
            .payload(message.value.as_ref())
            .headers(headers);
        match self.client.send(record).map_err(|(error, _)| error) {
            Ok(()) => Ok(()),
            Err(KafkaError::MessageProduction(Code::QueueFull)) => Err(Unsent::Full(message)),
            Err(KafkaError::MessageProduction(Code::MessageSizeTooLarge)) => Err(Unsent::TooLarge(message)),
            Err(error) => Err(Unsent::Failed(sort::sort(&format!("topic {}", message.topic), &error, None))),
        }
    }

    async fn answer(&mut self) -> Answer {
        match self.heard.recv().await {
            Some(answer) => answer,
            // The client holds the other end for as long as it lives.
            None => std::future::pending().await,
        }
    }

    async fn close(self: Box<Self>) {
        let Self { client, heard, .. } = *self;
        drop(heard);
        // Without that it would wait for what is in flight, for as long as the brokers are away.
        client.purge(PurgeConfig::default().queue().inflight());
        let _ = tokio::task::spawn_blocking(move || drop(client)).await;
    }
}

#[cfg(test)]
mod tests;
