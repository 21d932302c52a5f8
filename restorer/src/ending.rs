//! Why a namespace that is being deleted does not go: what it says of that itself, with what helps.
//!
//! **Words**: a namespace is *ending* while it is being deleted; what it waits for *holds* it.
//!
//! **Invariant.** Whether it can finish at all is told by the types of its conditions; their texts are only shown.
//!
//! Not here: waiting for it (`apply`), and what cannot be restored meanwhile (`plan`).

use std::fmt;

use hindcast_cluster::discovery::{self, Aggregated};
use hindcast_journal::exact::{self, Value};

use crate::{
    full::{self, Full},
    names::some,
};

/// A namespace that is being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// The namespace.
    pub namespace: String,
    /// What holds it, as far as it is known.
    pub holds: Vec<Hold>,
}

/// What a namespace waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// An aggregated API that is not answered: whether the namespace holds objects of it cannot be seen.
    DeadApi {
        /// The `APIService`.
        name: String,
        /// The Service behind it: namespace and name.
        service: Option<(String, String)>,
        /// What is the matter with it, in the server's words.
        said: String,
    },
    /// What is in it cannot be found out, in the server's words.
    Discovery(String),
    /// Something in it cannot be deleted, in the server's words.
    Content(String),
    /// Objects in it have a finalizer that is not done.
    Finalizer {
        /// The finalizer.
        finalizer: String,
        /// How many objects, in the server's words.
        count: String,
        /// Those that are known: resource with its group, and name.
        objects: Vec<String>,
    },
    /// It has finalizers of its own.
    Own(Vec<String>),
    /// Something is still in it, in the server's words.
    Remaining(String),
}

impl Ending {
    /// What a namespace that is being deleted says of it.
    pub(crate) fn of(namespace: &Value) -> Self {
        let name = namespace.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let mut holds = Vec::new();
        for condition in namespace.pointer("/status/conditions").and_then(Value::as_array).unwrap_or_default() {
            let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
            if text("status") != "True" {
                continue;
            }
            let said = text("message").to_owned();
            match text("type") {
                "NamespaceDeletionDiscoveryFailure" | "NamespaceDeletionGroupVersionParsingFailure" => {
                    holds.push(Hold::Discovery(said));
                }
                "NamespaceDeletionContentFailure" => holds.push(Hold::Content(said)),
                "NamespaceFinalizersRemaining" => holds.extend(finalizers(&said)),
                "NamespaceContentRemaining" => holds.push(Hold::Remaining(said)),
                _ => {}
            }
        }
        let own: Vec<String> = ["/metadata/finalizers", "/spec/finalizers"]
            .iter()
            .flat_map(|path| namespace.pointer(path).and_then(Value::as_array).unwrap_or_default())
            .filter_map(Value::as_str)
            // The namespace controller's, which it takes off last.
            .filter(|finalizer| *finalizer != "kubernetes")
            .map(str::to_owned)
            .collect();
        if !own.is_empty() {
            holds.push(Hold::Own(own));
        }
        // That something remains is no cause of its own beside one that says why.
        if holds.iter().any(|hold| !matches!(hold, Hold::Remaining(_))) {
            holds.retain(|hold| !matches!(hold, Hold::Remaining(_)));
        }
        Self { namespace: name.to_owned(), holds }
    }

    /// The same, where a dead API is the cause with its name, out of `services`: the list of all, which is asked for only then.
    pub(crate) async fn found(namespace: &Value, services: impl Future<Output = Option<Full>>) -> Self {
        let ending = Self::of(namespace);
        if !ending.is_stuck() {
            return ending;
        }
        match services.await {
            Some(services) => ending.with_apis(&services.value),
            None => ending,
        }
    }

    /// Whether it waits for what only comes back when somebody does something: what is in it cannot be found out.
    pub(crate) fn is_stuck(&self) -> bool {
        self.holds.iter().any(|hold| matches!(hold, Hold::DeadApi { .. } | Hold::Discovery(_)))
    }

    /// Names the aggregated APIs that are not answered, out of the list of all, in place of the server's words.
    #[must_use]
    fn with_apis(mut self, services: &Value) -> Self {
        let dead: Vec<Hold> =
            services.get("items").and_then(Value::as_array).unwrap_or_default().iter().filter_map(dead_api).collect();
        if !dead.is_empty() && self.is_stuck() {
            self.holds.retain(|hold| !matches!(hold, Hold::Discovery(_)));
            self.holds.splice(0..0, dead);
        }
        self
    }

    /// Names the objects that have the finalizers, out of those that are known.
    pub(crate) fn name_objects<'o>(&mut self, known: impl Iterator<Item = (String, &'o Value)> + Clone) {
        for hold in &mut self.holds {
            let Hold::Finalizer { finalizer, objects, .. } = hold else { continue };
            let has = |object: &Value| full::finalizers(object).any(|one| one == finalizer);
            objects.extend(known.clone().filter(|(_, object)| has(object)).map(|(name, _)| name));
        }
    }
}

/// `Some content in the namespace has finalizers remaining: a.b/c in 2 resource instances, …`
fn finalizers(said: &str) -> Vec<Hold> {
    let list = said.split_once(": ").map_or(said, |(_, list)| list);
    let one = |part: &str| {
        let (finalizer, count) = part.split_once(" in ")?;
        let count = count.split(' ').next().unwrap_or_default();
        let count = if count == "1" { "1 object".to_owned() } else { format!("{count} objects") };
        Some(Hold::Finalizer { finalizer: finalizer.to_owned(), count, objects: Vec::new() })
    };
    list.split(", ").filter_map(one).collect()
}

fn dead_api(service: &Value) -> Option<Hold> {
    let Aggregated { name, service, dead, .. } = discovery::aggregated(&exact::to_canonical(service))?;
    let service = service.split_once('/').map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    Some(Hold::DeadApi { name, service, said: dead?.why })
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "namespace {} is being deleted", self.namespace)?;
        if self.is_stuck() {
            f.write_str(" and cannot finish")?;
        }
        for (at, hold) in self.holds.iter().enumerate() {
            f.write_str(if at == 0 { ": " } else { "; " })?;
            hold.tell(&self.namespace, f)?;
        }
        Ok(())
    }
}

impl Hold {
    fn tell(&self, namespace: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeadApi { name, service, said } => {
                write!(f, "API {name} is not answered")?;
                if let Some((namespace, service)) = service {
                    write!(f, " by Service {service} in namespace {namespace}")?;
                }
                if !said.is_empty() {
                    write!(f, " ({said})")?;
                }
                write!(f, "; bring it back, or if it is gone for good: kubectl delete apiservice {name}")
            }
            Self::Discovery(said) | Self::Content(said) | Self::Remaining(said) => f.write_str(said),
            Self::Finalizer { finalizer, count, objects } => {
                let on = if objects.is_empty() { count.clone() } else { some(objects) };
                let one = objects.first().map_or("KIND/NAME", String::as_str);
                write!(
                    f,
                    "finalizer {finalizer} is not done on {on}; start its controller, or if that is gone for good take the finalizer \
                     off: kubectl edit {one} -n {namespace}"
                )
            }
            Self::Own(finalizers) => write!(
                f,
                "its own finalizers are not done: {}; start their controllers, or if they are gone for good take the finalizers off",
                finalizers.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests;
