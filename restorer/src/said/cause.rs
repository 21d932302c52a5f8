//! Why an action was not done, or is not as it was to be.

use std::fmt;

use crate::{ending::Ending, names::some};

/// Why an action ended as it did, where the server's words do not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The plan holds no body for it.
    NoBody,
    /// The plan holds no pre-image of it.
    NoPreImage,
    /// What is to be written is no object.
    NoObject,
    /// It was deleted since the plan was made.
    Deleted,
    /// It was changed since the plan was made.
    Changed,
    /// What is to be changed is not there.
    Gone,
    /// Another object of its name is there.
    Another,
    /// Somebody created it, and otherwise than it was to be.
    CreatedOtherwise,
    /// Others write it too often; with what the server said, where that counts.
    Contended(Option<String>),
    /// Others create and delete it.
    CreatedAndDeleted,
    /// It is being deleted, once these finalizers are done.
    Terminating(Vec<String>),
    /// It is still being deleted, after so many seconds where they were counted.
    StillTerminating(Option<u64>, Vec<String>),
    /// Its owner was not created: resource and name.
    OwnerNotCreated(String, String),
    /// What it owns was changed since the plan was made, and would go with it.
    ChildChanged(String),
    /// What it owns would go with it, as the reference to it cannot be taken out; why follows.
    HeldBy(String),
    /// These are still there and would go with it.
    Holds(Vec<String>),
    /// The restore was interrupted before it was begun.
    NotBegun,
    /// The restore was interrupted before it was done.
    NotDone,
    /// The restore was interrupted, and somebody has changed it since it was begun.
    ChangedMeanwhile,
    /// The API server has not answered for too long.
    ServerGone,
    /// There was no answer in time, and what happened instead.
    Unanswered(String),
    /// The restore was interrupted while there was no answer.
    InterruptedUnanswered(String),
    /// It was deleted again by somebody.
    DeletedAgain,
    /// Another object of its name was created since.
    AnotherSince,
    /// It was to go and is still there.
    StillThere,
    /// It was deleted to be created again, and is not there.
    Away,
    /// It went with its owner.
    WentWithOwner,
    /// The server would not let it be created again, so it was not deleted; why follows.
    NotCreatable,
    /// Whether it could be created again cannot be found out, so it was not deleted; why follows.
    Untried,
    /// A webhook that has to be asked cannot be called.
    WebhookDown {
        /// The webhook.
        webhook: String,
        /// What the server said.
        said: String,
        /// Its configuration, and what is the matter with what answers it, where that was found out.
        of: Option<(String, String)>,
    },
    /// The namespace is being deleted, so nothing can be created in it.
    NamespaceEnds(Ending),
}

/// `; its finalizers: a, b`
struct Finalizers<'a>(&'a [String]);

impl fmt::Display for Finalizers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; its finalizers: {}", self.0.join(", ")) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBody => "the plan holds no body for it",
            Self::NoPreImage => "the plan holds no pre-image of it",
            Self::NoObject => "what is to be written is no object",
            Self::Deleted => "it was deleted since the plan was made",
            Self::Changed => "it was changed since the plan was made",
            Self::Gone => "what is to be changed is not there any more",
            Self::Another => "another object of the same name is there by now",
            Self::CreatedOtherwise => "somebody created it since the plan was made, and otherwise",
            Self::Contended(None) => "it is being written too often by others",
            Self::Contended(Some(said)) => return write!(f, "it is being written too often by others: {said}"),
            Self::CreatedAndDeleted => "it is being created and deleted by others",
            Self::Terminating(finalizers) => return write!(f, "it is being deleted{}", Finalizers(finalizers)),
            Self::StillTerminating(None, finalizers) => {
                return write!(f, "it is still being deleted{}", Finalizers(finalizers));
            }
            Self::StillTerminating(Some(waited), finalizers) => {
                return write!(f, "it is still being deleted after {waited} s{}", Finalizers(finalizers));
            }
            Self::OwnerNotCreated(resource, name) => {
                return write!(f, "its owner {resource}/{name} was not created");
            }
            Self::ChildChanged(child) => {
                return write!(
                    f,
                    "{child}, which it owns and which would go with it, was changed since the plan was made"
                );
            }
            Self::HeldBy(child) => {
                return write!(f, "{child} would go with it, as the reference to it could not be taken out");
            }
            Self::Holds(left) => {
                let is = if left.len() == 1 { "is" } else { "are" };
                return write!(f, "{} {is} still there and would go with it", some(left));
            }
            Self::NotBegun => "interrupted before it was begun",
            Self::NotDone => "interrupted before it was done",
            Self::ChangedMeanwhile => "the restore was interrupted, and somebody has changed it since it was begun",
            Self::ServerGone => "the API server has not answered for too long; resume when it is back",
            Self::Unanswered(why) => return write!(f, "the API server did not answer in time: {why}"),
            Self::InterruptedUnanswered(why) => return write!(f, "interrupted while it was not answered: {why}"),
            Self::DeletedAgain => "it was deleted again by somebody",
            Self::AnotherSince => "another object of the same name was created since",
            Self::StillThere => "it is still there",
            Self::Away => "IT IS NOT THERE: it had been deleted to be created again",
            Self::WentWithOwner => "it went with its owner",
            Self::NotCreatable => "nothing was deleted, since it could not be created again",
            Self::Untried => "nothing was deleted, since nobody can tell whether it could be created again",
            Self::WebhookDown { said, of: None, .. } => said,
            Self::WebhookDown { webhook, of: Some((configuration, what)), .. } => {
                return write!(f, "webhook {webhook} of {configuration} has to be asked and cannot be: {what}");
            }
            Self::NamespaceEnds(ending) => return ending.fmt(f),
        })
    }
}
