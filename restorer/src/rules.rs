//! What a restore may touch: the one table that says so, and prints itself.
//!
//! **Words**: a *rule* is a row of the table; a [`Verdict`] is what the rules say of one object.
//!
//! **Invariants.** (1) Every id that a verdict or a kept field names is in the table, and every row has a test by its
//! name (`tests`). (2) `RULES.md` is [`markdown`], word for word, in the words of the command line, whose test it is.
//!
//! Where: what is true of one kind is said by its descriptor ([`kinds`](crate::kinds)); here is what holds for any, and
//! who is asked in which order: `verdict` judges objects, `change` says what a change destroys and needs and when it is
//! made, `gitops` who undoes it, `reads` who reads it. Fields that are kept: `intent`.

use std::sync::LazyLock;

use crate::{kinds, message::Words, permission::Permission};

mod change;
mod chapters;
mod gitops;
mod reads;
mod table;
mod verdict;

pub use crate::{
    kinds::{Rule, Turn, Verdict, is_built_in},
    references::{Controller, controller},
};
pub(crate) use change::without_meanwhile;
pub use change::{
    adjust, as_given, destroys, destroys_by_change, destroys_outside, escalation, not_served, propagation, recreate,
    recreate_needs, stops, suspend, waits, warnings, wave, without_taken,
};
pub use gitops::gitops;
pub use reads::{Reads, Source, pod_spec, reads};
pub(crate) use verdict::is_made_by_machines;
pub use verdict::{absent_then, create, verdict};

/// The turns of changes, in their order.
pub const GROUPS: &[Turn] = &Turn::ALL;

/// The table: rows about any kind and those of the families, in the order of the chapters.
static TABLE: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let place = |rule: &Rule| chapters::CHAPTERS.iter().flat_map(|(_, ids)| *ids).position(|id| *id == rule.id);
    let mut rules: Vec<Rule> = table::RULES.iter().chain(kinds::rules()).copied().collect();
    rules.sort_by_key(|rule| place(rule).unwrap_or(usize::MAX));
    rules
});

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
        "cluster-scoped" => Permission::ClusterScoped,
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

/// Every rule, in the order they are printed.
pub fn all() -> &'static [Rule] {
    &TABLE
}

/// The rule of an id.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().iter().find(|rule| rule.id == id)
}

/// The rules about a kind, those about all kinds included.
pub fn about(kind_key: &str) -> impl Iterator<Item = &'static Rule> {
    all().iter().filter(move |rule| rule.kinds.is_empty() || rule.kinds.contains(&kind_key))
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
