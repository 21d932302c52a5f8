//! `hindcast rules`: the table of what a restore may touch, and why.

use hindcast_restorer::rules::{self, Rule};

use super::Context;
use crate::{
    args::{self, Output},
    failure::{Exit, Failure, Result},
    past::kind_name,
    render, view,
};

/// Prints the rules, or those that name a kind.
pub(super) fn run(context: &Context<'_>, args: &args::Rules) -> Result<Exit> {
    let all = rules::all();
    let rules: Vec<&Rule> = match &args.kind {
        None => all.iter().collect(),
        Some(word) => all.iter().filter(|rule| touches(rule, word)).collect(),
    };
    if let (Some(word), true) = (&args.kind, rules.is_empty()) {
        return Err(Failure::new(format!("kind `{word}`"), "no rule names it")
            .hint("then only the rules for every kind apply: `hindcast rules` prints all")
            .hint("kinds are named in full here: deployments, horizontalpodautoscalers.autoscaling"));
    }
    match context.common.output {
        Output::Json | Output::Yaml => {
            render::document(context.printer, context.common.output, &view::Rules::new(&rules))?;
        }
        _ => render::rules(context.printer, &rules),
    }
    Ok(Exit::Done)
}

/// Whether a rule names a kind: in full, by its resource, or by the singular of that.
fn touches(rule: &Rule, word: &str) -> bool {
    let word = word.to_lowercase();
    rule.kinds.iter().any(|key| {
        let resource = key.rsplit('/').next().unwrap_or_default();
        [kind_name(key).as_str(), key, resource].contains(&word.as_str())
            || resource.strip_suffix('s') == Some(&word)
            || resource.strip_suffix("es") == Some(&word)
            || resource.strip_suffix("ies").map(|stem| format!("{stem}y")) == Some(word.clone())
    })
}
