//! `hindcast rules`: the table of what a restore may touch, and why.

use hindcast_restorer::{
    mapping,
    rules::{self, Rule},
};

use crate::{
    args::{self, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    names::{count, kind_name},
    printer::Text,
    render, view,
};

/// kubectl's short names of kinds that rules name; there may be no journal at hand that knows them.
const SHORT: [(&str, &str); 20] = [
    ("cj", "cronjobs"),
    ("cm", "configmaps"),
    ("crd", "customresourcedefinitions"),
    ("deploy", "deployments"),
    ("ds", "daemonsets"),
    ("ep", "endpoints"),
    ("hpa", "horizontalpodautoscalers"),
    ("ing", "ingresses"),
    ("limits", "limitranges"),
    ("no", "nodes"),
    ("ns", "namespaces"),
    ("po", "pods"),
    ("pv", "persistentvolumes"),
    ("pvc", "persistentvolumeclaims"),
    ("quota", "resourcequotas"),
    ("rc", "replicationcontrollers"),
    ("rs", "replicasets"),
    ("sa", "serviceaccounts"),
    ("sts", "statefulsets"),
    ("svc", "services"),
];

/// Prints the rules, or those that name a kind.
pub(super) fn run(context: &Context<'_>, args: &args::Rules) -> Result<Exit> {
    if args.references {
        if matches!(context.common.output, Output::Json | Output::Yaml) {
            return Err(Failure::new("--references", "is printed in Markdown alone").hint("leave -o out"));
        }
        for line in mapping::markdown().lines() {
            context.printer.line(&Text::plain(line));
        }
        return Ok(Exit::Done);
    }
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
    let general = all.iter().filter(|rule| rule.kinds.is_empty()).count();
    if args.kind.is_some() && general > 0 {
        let rules = count(general, "rule");
        context.printer.note(format!("and {rules} for every kind; `hindcast rules` prints all"));
    }
    Ok(Exit::Done)
}

/// Whether a rule names a kind: in full, by its resource, or by the singular of that.
fn touches(rule: &Rule, word: &str) -> bool {
    let word = word.to_lowercase();
    let long = SHORT.iter().find(|(short, _)| *short == word).map(|(_, long)| *long);
    let word = long.map_or(word, str::to_owned);
    rule.kinds.iter().any(|key| {
        let resource = key.rsplit('/').next().unwrap_or_default();
        [kind_name(key).as_str(), key, resource].contains(&word.as_str())
            || resource.strip_suffix('s') == Some(&word)
            || resource.strip_suffix("es") == Some(&word)
            || resource.strip_suffix("ies").map(|stem| format!("{stem}y")) == Some(word.clone())
    })
}
