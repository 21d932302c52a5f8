//! The arguments of `hindcast fanout`, and of `run` about fan-outs.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::LogFormat;

/// `hindcast fanout`.
#[derive(Debug, Subcommand)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) enum FanoutVerb {
    /// To Kafka, as CloudEvents: each row of the journal at least once, the changes of one object in order
    Kafka(FanoutKafka),
}

/// Fan-outs beside the protection.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Fanouts {
    /// Publish what is committed to the targets of this file, as deploy/fanout.yaml; nothing of it can hold protection up
    #[arg(long = "fanout", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// `hindcast fanout kafka`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "A consumer keeps, per key, the highest `position` it has dealt with, and ignores what is not \
                        above it: the rest comes in order, once. Values of Secrets are never published, only their \
                        placeholders. Where nothing was protected, dev.hindcast.gap and dev.hindcast.coverage events \
                        say so.\nHow far a fan-out is, and what keeps it: hindcast status")]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) struct FanoutKafka {
    /// Brokers to begin with; several with commas
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: String,
    /// The topic
    #[arg(long, value_name = "NAME")]
    pub(crate) topic: String,
    /// A topic for each kind: NAME.deployments.apps; what is about the whole journal goes to NAME
    #[arg(long)]
    pub(crate) topic_per_kind: bool,
    /// How an event is written
    #[arg(long, value_name = "FORMAT", default_value = "structured")]
    pub(crate) format: FormatArg,
    /// Where to begin at the first start: a T, a position, `beginning` or `now` [default: now]; later starts go on from the cursor
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Begin at --from again, though there is a cursor
    #[arg(long, requires = "from")]
    pub(crate) rewind: bool,
    /// Only objects in this namespace, and all that is about their kinds; may be repeated
    #[arg(short, long, value_name = "NS", value_delimiter = ',')]
    pub(crate) namespace: Vec<String>,
    /// Only this kind (plural, singular or plural.group); may be repeated
    #[arg(short, long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
    /// The name of the cursor, which is kept in the journal's folder [default: kafka- and the topic]
    #[arg(long, value_name = "NAME")]
    pub(crate) name_of_cursor: Option<String>,
    /// How often the cursor is written, at most: a killed process repeats what it published since
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = super::duration)]
    pub(crate) cursor_every: std::time::Duration,
    /// An option of librdkafka: compression.type=zstd; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Speak TLS, with the authorities that the system trusts
    #[arg(long)]
    pub(crate) tls: bool,
    /// Speak TLS, with the authorities of this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Our certificate, where the brokers ask for one (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How the brokers ask who we are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
    #[arg(long, value_name = "NAME", requires_all = ["sasl_username_file", "sasl_password_file"])]
    pub(crate) sasl_mechanism: Option<String>,
    /// A file with our name, read anew for every connection
    #[arg(long, value_name = "FILE", requires = "sasl_mechanism")]
    pub(crate) sasl_username_file: Option<PathBuf>,
    /// A file with our password
    #[arg(long, value_name = "FILE", requires = "sasl_mechanism")]
    pub(crate) sasl_password_file: Option<PathBuf>,
    /// End when everything is published that is committed by now
    #[arg(long)]
    pub(crate) once: bool,
    /// Where to serve /metrics and /healthz
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// How to write the log on stderr
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// The whole event is the value, JSON
    Structured,
    /// The data are the value, the attributes are headers
    Binary,
}
