//! What an error of Kafka means, and what can be done about it.

use hindcast_journal::{Error, error::ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// An error about `what`, with what the client said of it before, if that says more.
pub(super) fn sort(what: &str, error: &KafkaError, said: Option<&str>) -> Error {
    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
    let reason = said.map_or_else(|| told(error, code), str::to_owned);
    by_code(what, code, &reason)
}

fn told(error: &KafkaError, code: Code) -> String {
    match error {
        // The code's own words are shorter than those of the layers around it, and say the same.
        _ if code != Code::Unknown => code.to_string(),
        other => other.to_string(),
    }
}

/// The same for a code and a reason.
pub(super) fn by_code(what: &str, code: Code, reason: &str) -> Error {
    let (kind, hint) = match code {
        Code::Authentication | Code::SaslAuthenticationFailed => (
            ErrorKind::Denied,
            "the brokers refuse the name or the password; they are read from their files at each try",
        ),
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            (ErrorKind::Refused, "the brokers' listener has another SASL mechanism, or none")
        }
        Code::SSL => (
            ErrorKind::Refused,
            "name a file with the certificate of the authority that signed the brokers' own; see that the address is one \
             that the certificate is for, and that the listener speaks TLS",
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => (
            ErrorKind::Refused,
            "make the topic (kafka-topics.sh --create --topic NAME), or let the brokers make topics by themselves",
        ),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => (
            ErrorKind::Denied,
            "the account needs Write and Describe on the topic, and before Kafka 2.8 IdempotentWrite on the cluster",
        ),
        Code::InvalidTopic => (ErrorKind::Refused, "Kafka takes no topic of that name"),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            (ErrorKind::Unavailable, "fewer replicas are in sync than min.insync.replicas asks for")
        }
        Code::InvalidConfig | Code::InvalidArgument => {
            (ErrorKind::Invalid, "see the options of librdkafka that were set")
        }
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::BrokerNotAvailable
        | Code::LeaderNotAvailable => (
            ErrorKind::Unavailable,
            "see that the brokers are up, that their addresses are right, also those that they advertise, and that the \
             listener speaks TLS if and only if we do",
        ),
        _ => (ErrorKind::Unavailable, "the brokers' logs may say more"),
    };
    Error::new(kind, what, reason).with_hint(hint)
}
