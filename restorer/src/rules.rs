//! What a restore may touch: the one table that says so, and prints itself.
//!
//! **Words**: a *rule* is a row of the table; a [`Verdict`] is what the rules say of one object.
//!
//! **Invariants.** (1) Every id that a verdict or a kept field names is in the table, and every row has a test by its
//! name (`tests`). (2) `RULES.md` is [`markdown`], word for word, in the words of the command line, whose test it is.
//!
//! Where: `verdict` judges objects, `change` says what a change destroys and needs, `order` when it is made, `crd` what a
//! definition does to its objects, `gitops` who undoes it, `reads` who reads it. Fields that are kept: `intent`.

use crate::{
    desired::Full,
    message::Words,
    reason::Ruled,
    selection::{Permission, Widen},
};

mod change;
mod chapters;
mod crd;
mod gitops;
mod order;
mod reads;
pub(crate) mod secrets;
pub(crate) mod size;
mod table;
mod verdict;

pub use change::{
    adjust, as_given, destroys, destroys_by_change, escalation, propagation, rebind, recreate, recreate_needs, suspend,
    warnings, without_taken,
};
pub use crd::{holds, not_served, pruned_fields};
pub use gitops::gitops;
pub use order::{GROUPS, SCALERS, VERTICAL, wave};
pub use reads::{Reads, Source, pod_spec, reads};
pub use verdict::{Controller, absent_then, claim, controller, is_finished};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A short name, which plans print and tests are named by: `hpa-replicas`.
    pub id: &'static str,
    /// The kinds it is about, as kind keys; empty for all.
    pub kinds: &'static [&'static str],
    /// What is done. What may be allowed stands in braces: [`Rule::what()`].
    pub(crate) what: &'static str,
    /// Why.
    pub why: &'static str,
}

impl Rule {
    /// What is done, with permissions as whoever calls spells them.
    pub fn what(&self, words: &dyn Words) -> String {
        let mut out = String::new();
        let mut rest = self.what;
        while let Some((before, more)) = rest.split_once('{') {
            let (named, after) = more.split_once('}').unwrap_or((more, ""));
            out.push_str(before);
            out.push_str(&spelled(named, words).unwrap_or_default());
            rest = after;
        }
        out + rest
    }
}

/// What the table names in braces.
fn spelled(named: &str, words: &dyn Words) -> Option<String> {
    let (name, of) = named.split_once(' ').unwrap_or((named, ""));
    let permission = match name {
        "part" => return Some(words.part(of)),
        "bypass-webhooks" => Permission::BypassWebhooks,
        "delete" => Permission::Delete(of.to_owned()),
        "empty-volumes" => Permission::EmptyVolumes,
        "recreate" => Permission::Recreate,
        "rerun-jobs" => Permission::RerunJobs,
        "restart" => Permission::Restart,
        "system" => Permission::System,
        _ => return None,
    };
    Some(words.permission(&permission))
}

/// What the rules say of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be restored.
    Act,
    /// It is left alone.
    Leave {
        /// The rule, and why, about this object.
        rule: Ruled,
        /// What would have to be allowed to do it, if that helps.
        unless: Option<Permission>,
    },
}

/// Every rule, in the order they are printed.
pub fn all() -> &'static [Rule] {
    table::RULES
}

/// The rule of an id.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().iter().find(|rule| rule.id == id)
}

/// The rules about a kind, those about all kinds included.
pub fn about(kind_key: &str) -> impl Iterator<Item = &'static Rule> {
    all().iter().filter(move |rule| rule.kinds.is_empty() || rule.kinds.contains(&kind_key))
}

/// What the rules say of one object, given both sides of it.
pub fn verdict(kind_key: &str, wanted: Option<&Full>, live: Option<&Full>, widen: &Widen) -> Verdict {
    verdict::verdict(kind_key, wanted, live, widen)
}

/// The table as a document, in somebody's words.
pub fn markdown(words: &dyn Words) -> String {
    let mut out = String::from(
        "# What a restore does, kind by kind\n\n\
         This is the table of `hindcast rules`, and a test keeps both equal. A plan names the rule of everything it keeps \
         or leaves alone.\n",
    );
    for (title, rules) in chapters::CHAPTERS {
        out.extend(["\n## ", title, "\n\n| rule | kinds | what is done | why |\n|---|---|---|---|\n"]);
        for id in *rules {
            let Some(rule) = find(id) else { continue };
            let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.trim_start_matches('/')).collect();
            let kinds = if kinds.is_empty() { "all".to_owned() } else { kinds.join(", ") };
            let (what, why) = (cell(&rule.what(words)), cell(rule.why));
            out.extend(["| `", rule.id, "` | ", &kinds, " | ", &what, " | ", &why, " |\n"]);
        }
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests;
