//! How a plan is written down, and read again: JSON, for the record of a restore.
//!
//! **Invariant.** Everything that carrying the plan out depends on is exact. The values of changed fields are there to be
//! shown, so a number among them may lose its spelling.

use hindcast_journal::{Error, Result, fold::ObjectKey};
use serde::{Deserialize, Serialize};

use super::{Plan, Verb};
use crate::{
    json,
    message::Plain,
    reason::{Reason, Standing},
};

impl Plan {
    /// The plan as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always serialise")
    }

    /// Reads what [`Plan::to_json`] wrote; `what` names it in errors.
    pub fn from_json(what: &str, bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt(what, format!("is not a plan: {e}")))
    }
}

/// What is left alone, as it is written down: in the words of whoever made the plan.
#[derive(Serialize, Deserialize)]
pub(super) struct Left {
    #[serde(with = "json::key")]
    key: ObjectKey,
    kind: String,
    verb: Verb,
    code: String,
    reason: String,
    flag: Option<String>,
    #[serde(default)]
    standing: Option<Standing>,
}

impl From<super::Left> for Left {
    fn from(left: super::Left) -> Self {
        let flag = left.permission(&Plain);
        let (code, reason) = (left.reason.code().to_owned(), left.reason.to_string());
        let standing = Some(left.standing());
        Self { key: left.key, kind: left.kind, verb: left.verb, code, reason, flag, standing }
    }
}

impl From<Left> for super::Left {
    fn from(left: Left) -> Self {
        let Left { key, kind, verb, code, reason, flag, standing } = left;
        // Earlier records do not say it.
        let standing = standing.unwrap_or(if flag.is_some() { Standing::Wanting } else { Standing::Rule });
        Self { key, kind, verb, reason: Reason::Told { code, text: reason, permission: flag, standing }, unless: None }
    }
}

#[cfg(test)]
mod tests;
