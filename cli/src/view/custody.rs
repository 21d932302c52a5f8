//! Who opens what is sealed, and what becomes of that.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{
    custody::{
        Held, Survey,
        forget::{self, Asked},
        rewrap,
    },
    parts::Micros,
    seal::{Deed, Key, Told},
    segment::hex,
};
use serde::Serialize;

use super::API_VERSION;
use crate::moment::rfc3339;

/// What each key opens.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyStatus {
    api_version: &'static str,
    kind: &'static str,
    /// How many data keys the journal has.
    pub(crate) data_keys: u64,
    /// The keys of the file; the first seals new values.
    pub(crate) keys: Vec<KeyUse>,
    /// Keys that are not in the file and that alone open data keys, with how many.
    pub(crate) missing: BTreeMap<String, u64>,
    /// Data keys that no key of the file opens.
    pub(crate) closed: u64,
    /// What was forgotten, oldest first.
    pub(crate) forgotten: Vec<Forgotten>,
}

/// What was forgotten, as it was told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forgotten {
    /// The statement's number.
    pub(crate) statement: u64,
    pub(crate) time: String,
    /// For people.
    #[serde(skip)]
    pub(crate) micros: Micros,
    /// Host and process.
    pub(crate) by: String,
    /// The namespace; empty for what stands in none.
    pub(crate) namespace: String,
    /// The one object, as `group/resource/namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How many data keys were destroyed.
    pub(crate) data_keys: u64,
    /// Whether files of them are still there, or there again.
    pub(crate) unfinished: bool,
}

impl Forgotten {
    fn new(told: &Told, survey: &Survey) -> Option<Self> {
        let Deed::Forgotten { namespace, object, reason } = &told.deed else { return None };
        Some(Self {
            statement: told.number,
            time: rfc3339(told.time),
            micros: told.time,
            by: told.by.clone(),
            namespace: namespace.clone(),
            object: object.clone(),
            reason: reason.clone(),
            data_keys: told.ids.len() as u64,
            unfinished: survey.held.iter().any(|held| told.ids.contains(&held.id)),
        })
    }
}

/// What a key opens.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyUse {
    /// Its name.
    pub(crate) name: String,
    /// Whether new values are sealed with it.
    pub(crate) active: bool,
    /// How many data keys it opens.
    pub(crate) opens: u64,
    /// How many of them no other key of the file opens.
    pub(crate) alone: u64,
    /// Whether it may be taken out of the file, as far as data keys go: all that it opens opens with the active one.
    pub(crate) retirable: bool,
    /// What its seals and statements are checked with where it is not at hand.
    pub(crate) public_key: String,
}

impl KeyStatus {
    /// What was found.
    pub(crate) fn new(survey: &Survey, keys: &[Arc<Key>], told: &[Told]) -> Self {
        let same = |held: &Held| held.opens_with(0) && !held.conflict;
        let active = |at: usize| survey.held.iter().all(|held| !held.opens_with(at) || same(held));
        let one = |(at, key): (usize, &Arc<Key>)| {
            let (opens, alone) = survey.of_key(at);
            KeyUse {
                name: key.name.clone(),
                active: at == 0,
                opens,
                alone,
                retirable: at > 0 && active(at),
                public_key: key.public().map(|public| hex(&public)).unwrap_or_default(),
            }
        };
        Self {
            api_version: API_VERSION,
            kind: "KeyStatus",
            data_keys: survey.held.len() as u64,
            keys: keys.iter().enumerate().map(one).collect(),
            missing: survey.wanting(),
            closed: survey.closed().count() as u64,
            forgotten: told.iter().filter_map(|told| Forgotten::new(told, survey)).collect(),
        }
    }
}

/// What rewrapping would do, or did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rewrapping {
    api_version: &'static str,
    kind: &'static str,
    /// Whether it is done, and not only planned.
    pub(crate) done: bool,
    /// How many data keys there were.
    pub(crate) data_keys: u64,
    /// How many were wrapped anew, or are to be.
    pub(crate) wrapped: u64,
    /// Whether files are removed that only older keys open.
    pub(crate) removes: bool,
    /// How many were, or are to be.
    pub(crate) removed: u64,
    /// The newest statement that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<u64>,
    /// Whether there is a repository of files, which the newest key opens now.
    pub(crate) repository: bool,
    /// Why the newest key does not open it: then no key may go, and nothing was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository_refused: Option<String>,
    /// What stays as it is, since no key at hand opens it: data key and why.
    pub(crate) closed: BTreeMap<String, String>,
    /// How it stands now.
    pub(crate) status: KeyStatus,
}

impl Rewrapping {
    /// The repository of files does not open with the newest key: older ones are needed for it.
    pub(crate) fn refused(&mut self, why: String) {
        self.repository_refused = Some(why);
        for key in &mut self.status.keys {
            key.retirable = false;
        }
    }

    /// What was planned, and what was done of it.
    pub(crate) fn new(
        plan: &rewrap::Plan,
        (done, removed): (Option<&rewrap::Done>, Option<&rewrap::Done>),
        removes: bool,
        status: KeyStatus,
    ) -> Self {
        let told = removed.and_then(|done| done.told.as_ref()).or(done.and_then(|done| done.told.as_ref()));
        let spare = plan.spare.len() as u64;
        Self {
            api_version: API_VERSION,
            kind: "KeyRewrapping",
            done: done.is_some(),
            data_keys: plan.all,
            wrapped: done.map_or(plan.wrap.len() as u64, |done| done.wrapped),
            removes,
            removed: if removes { removed.map_or(spare, |done| done.removed) } else { 0 },
            statement: told.map(|told| told.number),
            repository: false,
            repository_refused: None,
            closed: plan.closed.iter().cloned().collect(),
            status,
        }
    }
}

/// What forgetting would destroy, or did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forgetting {
    api_version: &'static str,
    kind: &'static str,
    /// Whether it is done, and not only planned.
    pub(crate) done: bool,
    /// The namespace; empty for what stands in none.
    pub(crate) namespace: String,
    /// The one object, as `group/resource/namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How many data keys are destroyed.
    pub(crate) data_keys: u64,
    /// How many files hold them.
    pub(crate) files: u64,
    /// Data keys that were forgotten before and of which files are still there, or there again: these go too.
    pub(crate) left: u64,
    /// The statement that tells it, who signed it, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// The objects whose values go.
    pub(crate) objects: Vec<ForgottenObject>,
    /// What of the past could not be read: there may be more objects.
    pub(crate) unread: Vec<String>,
    /// Whether values of the past may be kept in clear, which forgetting does not reach.
    pub(crate) clear: bool,
    /// Why it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// An object whose values are forgotten.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ForgottenObject {
    /// As `group/resource/namespace/name`.
    pub(crate) object: String,
    /// How many ciphertexts of it were found.
    pub(crate) values: u64,
    /// Whether it stands, as far as the journal knows.
    pub(crate) stands: bool,
}

impl Forgetting {
    /// What is done; `told` is the statement, if one was to be written.
    pub(crate) fn done(&mut self, told: Option<&Told>) {
        self.done = true;
        self.statement = told.map(|told| told.number);
        self.key = told.map(|told| told.key.clone());
        self.time = told.map(|told| rfc3339(told.time));
    }

    /// What was planned.
    pub(crate) fn new(asked: &Asked, plan: &forget::Plan) -> Self {
        let name = |key: &hindcast_journal::fold::ObjectKey| {
            format!("{}/{}/{}/{}", key.group, key.resource, key.namespace, key.name)
        };
        let object = |(object, values): (&String, &u64)| ForgottenObject {
            object: object.clone(),
            values: *values,
            stands: plan.standing.contains(object),
        };
        Self {
            api_version: API_VERSION,
            kind: "Forgetting",
            done: false,
            namespace: asked.namespace.clone(),
            object: asked.object.as_ref().map(name),
            reason: asked.reason.clone(),
            data_keys: plan.ids.len() as u64,
            files: plan.files.len() as u64,
            left: plan.left.len() as u64,
            statement: None,
            key: None,
            time: None,
            objects: plan.objects.iter().map(object).collect(),
            unread: plan.unread.clone(),
            clear: plan.clear,
            refused: plan.refusal(asked).map(|error| error.to_string()),
        }
    }
}
