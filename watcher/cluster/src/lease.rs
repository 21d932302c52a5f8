//! A Lease of `coordination.k8s.io`: who holds it, and how it is taken, renewed and let go.
//!
//! **Words**: a [`Stand`] is the Lease as it was read; its *sign* changes with every renewal.
//!
//! **Invariants.** (1) Every write is for the version that was read, or for none: of two who take it at once one is
//! refused [`Lease::write`]. (2) What others have written into the object stays there. Not here: when it may be taken,
//! which is for whoever follows it.

use std::time::Duration;

use bytes::Bytes;
use hindcast_journal::{Parts, parts::Micros};
use http::Method;
use serde_json::{Value, json};

use crate::{
    Failure,
    path::{collection, object},
    request::{self, Ask},
};

/// One Lease, and how it is reached.
pub struct Lease {
    client: kube::Client,
    parts: Parts,
    namespace: String,
    name: String,
    deadline: Duration,
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand(Value);

impl Stand {
    fn spec(&self, field: &str) -> Option<&Value> {
        self.0.get("spec")?.get(field)
    }

    /// Who holds it; empty if nobody does.
    pub fn holder(&self) -> &str {
        self.spec("holderIdentity").and_then(Value::as_str).unwrap_or_default()
    }

    /// For how long after a renewal nobody else takes it.
    pub fn duration(&self) -> Option<Duration> {
        self.spec("leaseDurationSeconds")?.as_u64().map(Duration::from_secs)
    }

    /// What is another after every renewal.
    pub fn sign(&self) -> String {
        let text = |field| self.spec(field).map(Value::to_string).unwrap_or_default();
        format!("{} {}", text("holderIdentity"), text("renewTime"))
    }
}

impl Lease {
    /// The Lease of that name; every request may take `deadline`.
    pub fn new(client: kube::Client, parts: Parts, namespace: &str, name: &str, deadline: Duration) -> Self {
        Self { client, parts, namespace: namespace.to_owned(), name: name.to_owned(), deadline }
    }

    /// Namespace and name, as people write them.
    pub fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Reads it; nothing if there is none.
    pub async fn read(&self) -> Result<Option<Stand>, Failure> {
        match self.ask(&Ask::get(object(&self.collection(), &self.name))).await {
            Ok(body) => Ok(Some(stand(&body)?)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Takes or renews it for `holder`, or lets it go where that is empty, as long as it is as it was read.
    pub async fn write(&self, read: Option<&Stand>, holder: &str, duration: Duration) -> Result<Stand, Failure> {
        let new = || {
            json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "namespace": self.namespace, "name": self.name } })
        };
        let mut lease = read.map_or_else(new, |read| read.0.clone());
        let now = micro_time(self.parts.clock.now());
        let changes_hands = read.is_none_or(|read| read.holder() != holder);
        if !lease.get("spec").is_some_and(Value::is_object) {
            lease["spec"] = json!({});
        }
        let spec = &mut lease["spec"];
        spec["holderIdentity"] = json!(holder);
        spec["leaseDurationSeconds"] = json!(duration.as_secs().max(1));
        spec["renewTime"] = json!(now);
        if changes_hands {
            let transitions = spec.get("leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
            spec["acquireTime"] = json!(now);
            spec["leaseTransitions"] = json!(transitions + u64::from(read.is_some() && !holder.is_empty()));
        }
        let (method, path) = match read {
            None => (Method::POST, self.collection()),
            Some(_) => (Method::PUT, object(&self.collection(), &self.name)),
        };
        let ask = Ask { method, path, accept: request::JSON, content: request::JSON, body: lease.to_string().into() };
        stand(&self.ask(&ask).await?)
    }

    fn collection(&self) -> String {
        collection("coordination.k8s.io", "v1", &self.namespace, "leases")
    }

    async fn ask(&self, ask: &Ask) -> Result<Bytes, Failure> {
        let reply = request::send(&self.client, &self.parts, self.deadline, ask).await?;
        Ok(reply.success()?.clone())
    }
}

fn stand(body: &[u8]) -> Result<Stand, Failure> {
    let read = serde_json::from_slice(body).map(Stand);
    read.map_err(|error| Failure::Server(format!("the Lease cannot be read: {error}")))
}

/// A moment as Leases have it.
fn micro_time(now: Micros) -> String {
    let now = jiff::Timestamp::from_microsecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_told_apart_after_each_renewal_and_moments_are_written_as_the_server_takes_them() {
        let lease = |renewed: &str| {
            let text =
                format!(r#"{{"spec":{{"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"{renewed}"}}}}"#);
            stand(text.as_bytes()).unwrap()
        };
        let (one, two) = (lease("2026-11-01T14:01:00.000000Z"), lease("2026-11-01T14:01:02.000000Z"));
        assert_eq!((one.holder(), one.duration()), ("a", Some(Duration::from_secs(15))));
        assert_ne!(one.sign(), two.sign());
        let empty = stand(b"{}").unwrap();
        assert_eq!((empty.holder(), empty.duration()), ("", None));
        assert_eq!(micro_time(1_793_541_660_000_120), "2026-11-01T14:01:00.000120Z");
        stand(b"[").unwrap_err();
    }
}
