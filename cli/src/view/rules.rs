//! `hindcast rules -o json`.

use hindcast_restorer::rules;
use serde::Serialize;

use super::API_VERSION;
use crate::{names::kind_name, words::CommandLine};

/// The rules of what a restore may touch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rules {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    /// As `get` takes them; none for a rule about every kind.
    pub(crate) kinds: Vec<String>,
    pub(crate) what: String,
    pub(crate) why: &'static str,
}

impl Rules {
    /// Rules, in the order of the table.
    pub(crate) fn new(rules: &[&rules::Rule]) -> Self {
        let rule = |rule: &&rules::Rule| Rule {
            id: rule.id,
            kinds: rule.kinds.iter().map(|key| kind_name(key)).collect(),
            what: rule.what(&CommandLine),
            why: rule.why,
        };
        Self { api_version: API_VERSION, kind: "Rules", rules: rules.iter().map(rule).collect() }
    }
}
