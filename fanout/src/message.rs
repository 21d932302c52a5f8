//! An event as a message of Kafka, as the binding of `CloudEvents` 1.0 to Kafka has it.
//!
//! | | structured | binary |
//! |---|---|---|
//! | value | the whole event, JSON | the data |
//! | header `content-type` | `application/cloudevents+json; charset=UTF-8` | `application/json` |
//! | headers `ce_…` | none | each attribute, UTF-8 |
//! | key | the event's key | the event's key |
//!
//! **Invariants.** (1) Either form holds the whole event: which is chosen changes nothing that a consumer can know. (2)
//! A topic is a function of the event alone, so an object never moves from one to another.

use bytes::Bytes;
use hindcast_journal::Position;
use serde::Deserialize;

use crate::event::{Event, Object};

/// The version of `CloudEvents`.
const VERSION: &str = "1.0";

/// What the data are.
const DATA_TYPE: &str = "application/json";

/// What a message takes on the wire beside its key, value and headers, at most.
const OVERHEAD: usize = 96;

/// The longest name that a topic may have.
const LONGEST_TOPIC: usize = 249;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The event is the value.
    #[default]
    Structured,
    /// The data are the value, the rest is in headers.
    Binary,
}

/// Which topic an event goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// The topic; with one per kind what their names begin with, and the one for what is about the whole journal.
    pub base: String,
    /// A topic for each kind: the base, a dot and `deployments.apps`.
    pub per_kind: bool,
}

impl Topics {
    /// The topic of an event.
    pub fn of(&self, event: &Event) -> String {
        if !self.per_kind || event.kind.is_empty() {
            return self.base.clone();
        }
        let fits = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
        let mut name = format!("{}.{}", self.base, event.kind.chars().map(fits).collect::<String>());
        name.truncate(LONGEST_TOPIC);
        name
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// What it is ordered by.
    pub key: String,
    /// Beside the value.
    pub headers: Vec<(String, String)>,
    /// The value.
    pub value: Bytes,
    /// The position of its row.
    pub position: Position,
}

impl Message {
    /// The message of an event.
    pub fn of(event: &Event, format: Format, topics: &Topics) -> Self {
        let (content, mut headers, value) = match format {
            Format::Structured => ("application/cloudevents+json; charset=UTF-8", Vec::new(), structured(event)),
            Format::Binary => {
                let headers = attributes(event).map(|(name, value)| (format!("ce_{name}"), value.to_owned()));
                (DATA_TYPE, headers.collect(), event.data.clone())
            }
        };
        headers.push(("content-type".to_owned(), content.to_owned()));
        Self { topic: topics.of(event), key: event.key.clone(), headers, value, position: event.position }
    }

    /// How much it takes, at most.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
        self.key.len() + self.value.len() + headers + OVERHEAD
    }
}

/// The attributes that an event has, in order, but for the type of its data.
fn attributes(event: &Event) -> impl Iterator<Item = (&str, &str)> {
    let own: [(&str, &str); 6] = [
        ("specversion", VERSION),
        ("id", &event.id),
        ("source", &event.source),
        ("type", event.type_),
        ("subject", &event.subject),
        ("time", &event.time),
    ];
    let extensions = event.extensions.iter().map(|(name, value)| (*name, value.as_str()));
    own.into_iter().chain(extensions).filter(|(_, value)| !value.is_empty())
}

fn structured(event: &Event) -> Bytes {
    let mut out = Object::new(1024 + event.data.len());
    for (name, value) in attributes(event) {
        out.text(name, value);
    }
    out.text("datacontenttype", DATA_TYPE);
    out.raw("data", &event.data);
    out.end()
}
