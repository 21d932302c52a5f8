//! Kafka as a target: what has to be said of it, and the client of it where this build has one.
//!
//! What is asked of Kafka, and cannot be changed by options: an idempotent producer that waits for all replicas in sync,
//! messages that wait without a limit while brokers are away, and no message of a partition after one that was lost
//! (`enable.gapless.guarantee`): so within a partition the order holds whatever brokers and connections do. The
//! partitioner is that of Kafka's own clients (murmur2 of the key), so others who write the same keys meet the same
//! partitions.
//!
//! **Invariants.** (1) Credentials come from files, read anew for every connection, and are in no text of ours
//! [`Login`]. (2) Options of librdkafka that would break a promise are refused by name [`Settings::check`].
//!
//! Not here: topics are not made. A broker that makes them by itself does so; another is told of the topic by name.

use std::{collections::BTreeMap, path::PathBuf};

use hindcast_journal::{Error, Result};

use crate::{message::Topics, sink::Target};

#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod sort;

/// Options that promises rest on.
const OURS: [&str; 11] = [
    "acks",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "request.required.acks",
    "retries",
    "transactional.id",
];

/// How a cluster of Kafka is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to begin with: `kafka-1:9092,kafka-2:9092`.
    pub brokers: String,
    /// TLS, if it is to be used.
    pub tls: Option<Tls>,
    /// Who we are, if the brokers ask.
    pub login: Option<Login>,
    /// Options of librdkafka.
    pub options: BTreeMap<String, String>,
}

/// TLS with the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file of the authorities that are trusted, PEM; the system's if there is none.
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
}

/// A name and a password, each in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// A file with the name.
    pub username: PathBuf,
    /// A file with the password.
    pub password: PathBuf,
}

impl Settings {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<()> {
        if self.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(Error::invalid("the brokers", "there is none").with_hint("HOST:PORT, several with commas"));
        }
        if let Some(option) = self.options.keys().find(|option| OURS.contains(&option.as_str())) {
            return Err(Error::invalid(
                format!("the option {option}"),
                "is not for choosing: order and safety rest on it",
            ));
        }
        if let Some(login) = &self.login {
            let known = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
            if !known.contains(&login.mechanism.as_str()) {
                let what = format!("the SASL mechanism `{}`", login.mechanism.escape_debug());
                return Err(Error::invalid(what, "is not known here").with_hint(known.join(", ")));
            }
        }
        if let Some(tls) = &self.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            return Err(Error::invalid("the client's certificate", "comes with its key, or neither"));
        }
        Ok(())
    }
}

/// Refuses a topic that Kafka would.
pub fn check_topic(topic: &str) -> Result<()> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
    if (1..=249).contains(&topic.len()) && topic.bytes().all(fits) && topic != "." && topic != ".." {
        return Ok(());
    }
    Err(Error::invalid(format!("the topic `{}`", topic.escape_debug()), "is not a name that Kafka takes")
        .with_hint("1 to 249 letters, digits, dots, hyphens and underscores"))
}

/// Kafka as a target. In a build without the feature `kafka` it is refused.
pub fn target(settings: Settings, topics: &Topics) -> Result<Box<dyn Target>> {
    settings.check()?;
    check_topic(&topics.base)?;
    client(settings, topics)
}

#[cfg(feature = "kafka")]
fn client(settings: Settings, topics: &Topics) -> Result<Box<dyn Target>> {
    Ok(Box::new(client::Kafka::new(settings, topics.clone())?))
}

#[cfg(not(feature = "kafka"))]
fn client(_: Settings, _: &Topics) -> Result<Box<dyn Target>> {
    Err(Error::invalid("the fan-out to Kafka", "this build has no client of Kafka")
        .with_hint("a build with the feature `kafka` has, as those that are released"))
}
