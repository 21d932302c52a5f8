//! A plan in a file: what `plan --out` keeps, and `restore --plan` does.
//!
//! **Invariant.** The file holds positions and hashes, no bodies and no values: these are read again
//! ([`hindcast_restorer::outline`]).

use std::{collections::BTreeMap, path::Path};

use hindcast_journal::fold::ObjectKey;
use hindcast_restorer::{
    Prepared, Selection,
    outline::{self, Confined, OutOfDate, Outline},
    plan::{LiveRef, Verb, WantedRef},
};
use serde::Deserialize;

use crate::{
    failure::{Failure, Result},
    names::count,
    view::{self, API_VERSION, plan::Name},
};

#[cfg(test)]
mod tests;

/// How many objects a refusal names.
const NAMED: usize = 5;

/// A plan as it was kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanFile {
    /// The cluster.
    pub(crate) cluster: String,
    /// T, as it can be asked again.
    pub(crate) at: String,
    cut: CutFile,
    /// What it is about.
    pub(crate) selection: Selection,
    actions: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct CutFile {
    rev: u64,
    domains: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Step {
    verb: Verb,
    kind: String,
    group: String,
    resource: String,
    namespace: String,
    name: String,
    live: Option<LiveRef>,
    wanted: Option<WantedRef>,
}

/// Keeps a plan.
pub(crate) fn write(path: &Path, plan: &view::Plan) -> Result<()> {
    let refuse = |e: &dyn std::fmt::Display| {
        Failure::new(format!("plan file {}", path.display()), format!("cannot be written: {e}"))
    };
    let mut plan = plan.clone();
    plan.leave_values_out();
    let text = serde_json::to_string_pretty(&plan).map_err(|e| refuse(&e))?;
    std::fs::write(path, text + "\n").map_err(|e| refuse(&e))
}

/// Reads a kept plan.
pub(crate) fn read(path: &Path) -> Result<PlanFile> {
    let what = format!("plan file {}", path.display());
    let text = std::fs::read(path)
        .map_err(|e| Failure::new(&what, e.to_string()).hint("`hindcast plan SCOPE --at T --out FILE` makes one"))?;
    let refuse = |reason: String| Failure::new(&what, reason).hint("`hindcast plan SCOPE --at T --out FILE` makes one");
    let document: serde_json::Value = serde_json::from_slice(&text).map_err(|e| refuse(format!("not a plan: {e}")))?;
    let word = |name: &str| document.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    if word("apiVersion") != API_VERSION || word("kind") != "Plan" {
        return Err(refuse(format!(
            "not a plan of this version: it says `{} {}`, and this program knows `{API_VERSION} Plan`",
            word("apiVersion"),
            word("kind")
        )));
    }
    if document.get("undoes").is_some() {
        return Err(refuse("it is the plan of an undo".to_owned()).hint("hindcast undo ID"));
    }
    serde_json::from_value(document).map_err(|e| refuse(format!("not a whole plan: {e}")))
}

impl PlanFile {
    /// Confines a plan that was made anew to what the file names, and refuses where what it was about is another thing
    /// by now. What need not be done any more, or may not, is named.
    pub(crate) fn confine(&self, prepared: &mut Prepared) -> Result<Vec<String>> {
        let outline = Outline {
            cut: (self.cut.rev, self.cut.domains.clone()),
            steps: self.actions.iter().map(Step::outlined).collect(),
        };
        let Confined { idle, beyond } = prepared.confine(&outline).map_err(|why| self.out_of_date(&why))?;
        let mut notes = Vec::new();
        for (kind, key) in &idle {
            let name = name(kind, key);
            notes.push(format!("{name} is in the plan file, and needs nothing or may not be touched by now"));
        }
        if beyond > 0 {
            notes.push(format!("{} by now and not in the plan file: left alone", differ(beyond)));
        }
        Ok(notes)
    }

    fn out_of_date(&self, why: &OutOfDate) -> Failure {
        match why {
            OutOfDate::Moment => Failure::new("the plan", format!("its moment {} is another cut by now", self.at))
                .hint("the journal has changed since; make the plan again"),
            OutOfDate::Objects(changed) => {
                let named: Vec<String> = changed.iter().take(NAMED).map(|(kind, key)| name(kind, key)).collect();
                let named = named.join(", ");
                let more = changed.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Failure::new("the plan", format!("out of date: {named}{more} changed since it was made"))
                    .hint("make it again with `hindcast plan`, and look at what is different; nothing was done")
            }
        }
    }
}

fn differ(n: usize) -> String {
    format!("{} {}", count(n, "object"), if n == 1 { "differs" } else { "differ" })
}

fn name(kind: &str, key: &ObjectKey) -> String {
    Name::new(kind, key).text(true)
}

impl Step {
    fn outlined(&self) -> outline::Step {
        let key = ObjectKey {
            namespace: self.namespace.clone(),
            group: self.group.clone(),
            resource: self.resource.clone(),
            name: self.name.clone(),
        };
        let (live, wanted) = (self.live.clone(), self.wanted.clone());
        outline::Step { verb: self.verb, kind: self.kind.clone(), key, live, wanted }
    }
}
