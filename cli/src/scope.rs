//! SCOPE and its flags: from words to what the restorer takes.
//!
//! **Invariants.** (1) A scope is never guessed: without one of its three forms there is an error that names them.
//! (2) Every kind and name is resolved against the journal's own discovery, so that a word that means nothing is refused
//! and never an empty scope.

use hindcast_journal::{Past, facts::Discovery};
use hindcast_restorer::selection::{Selection, Volumes, What, Widen};

use crate::{
    args::{self, Target},
    context::Context,
    failure::{Failure, Result},
    kinds::{self, Asked},
    kubeconfig::{self, Namespaces},
    past::Reading,
    paths,
    selector::Selector,
};

#[cfg(test)]
mod tests;

/// What a plan or restore is about.
pub(crate) async fn selection(
    context: &Context<'_>,
    target: &Target,
    widen: &args::Widen,
    past: &mut Reading<'_>,
    then: &Past,
) -> Result<Selection> {
    let mut only = Vec::with_capacity(target.only.len());
    for word in &target.only {
        let asked = past.asked(then, word.trim(), None).await?;
        only.push(one(&format!("--only {word}"), asked)?);
    }
    Ok(Selection {
        what: what(context, target, past, then).await?,
        labels: target.selector.clone().unwrap_or_default(),
        only,
        path: target.path.as_deref().map(pointer).transpose()?,
        volumes: match target.volumes {
            args::FromPoints::Missing => Volumes::Missing,
            args::FromPoints::None => Volumes::None,
            args::FromPoints::All => Volumes::All,
        },
        widen: self::widen(widen, past).await?,
    })
}

/// What may be done beyond the default.
pub(crate) async fn widen(args: &args::Widen, past: &mut Reading<'_>) -> Result<Widen> {
    let mut allow_delete = Vec::with_capacity(args.allow_delete.len());
    if !args.allow_delete.is_empty() {
        let known: Vec<Discovery> = past.kinds_ever().await?.into_values().map(|k| k.discovery).collect();
        for word in &args.allow_delete {
            let kind = kinds::resolve(word.trim(), &known)?.kind_key();
            if !allow_delete.contains(&kind) {
                allow_delete.push(kind);
            }
        }
    }
    Ok(Widen {
        with_cluster_scoped: args.with_cluster_scoped,
        include_system: args.include_system,
        allow_delete,
        allow_recreate: args.allow_recreate,
        restart: args.restart,
        accept_gap: args.accept_gap,
        rerun_jobs: args.rerun_jobs,
        allow_empty_volumes: args.allow_empty_volumes,
        bypass_webhooks: args.bypass_webhooks,
    })
}

/// Refuses what is no scope, before anything is read.
pub(crate) fn check(target: &Target) -> Result<()> {
    if target.all_namespaces && target.namespace.is_some() {
        return Err(Failure::new("--namespace and -A", "are two scopes").hint("give one of them"));
    }
    Selector::parse(target.selector.as_deref().unwrap_or_default())?;
    target.path.as_deref().map(pointer).transpose()?;
    let Some(kind) = &target.kind else {
        if target.namespace.is_some() || target.all_namespaces {
            return Ok(());
        }
        return Err(Failure::new("the scope", "missing: what is put back is never guessed")
            .hint("KIND/NAME, as deploy/web -n shop: one object")
            .hint("-n NS: the objects of a namespace")
            .hint("-A: the cluster, without its system namespaces"));
    };
    if kind.starts_with('/') {
        return Err(Failure::new(format!("`{kind}`"), "the kind is missing").hint("KIND/NAME, as deploy/web"));
    }
    if target.all_namespaces {
        return Err(Failure::new(format!("{kind} -A"), "an object is of one namespace")
            .hint("give the namespace with -n, or leave the object out"));
    }
    if target.name.is_none() && !kind.contains('/') {
        return Err(Failure::new(format!("`{kind}`"), "not a scope: a kind alone names no object")
            .hint("KIND/NAME, as deploy/web; or -n NS for all of a namespace, narrowed by --only and -l"));
    }
    if !target.only.is_empty() || target.selector.is_some() {
        return Err(Failure::new(format!("`{kind}`"), "one object cannot be narrowed by --only or -l")
            .hint("leave them out, or give -n NS instead of the object"));
    }
    Ok(())
}

async fn what(context: &Context<'_>, target: &Target, past: &mut Reading<'_>, then: &Past) -> Result<What> {
    let Some(kind) = &target.kind else {
        return Ok(match &target.namespace {
            Some(namespace) => What::Namespace(namespace.clone()),
            None => What::All,
        });
    };
    let asked = past.asked(then, kind, target.name.as_deref()).await?;
    let namespaced = asked.kinds.iter().any(|kind| kind.namespaced);
    let (kind, name) = one(kind, asked)?;
    let place = args::Place { namespace: target.namespace.clone(), all_namespaces: false };
    let namespace = match namespaced.then(|| kubeconfig::namespace(context, &place)) {
        Some(Namespaces::One(namespace)) => namespace,
        _ => String::new(),
    };
    Ok(What::Object { kind, namespace, name })
}

/// One kind and one name.
fn one(text: &str, asked: Asked) -> Result<(String, String)> {
    match (asked.kinds.as_slice(), asked.name) {
        ([kind], Some(name)) => Ok((kind.kind_key(), name)),
        _ => Err(Failure::new(format!("`{text}`"), "not one object").hint("KIND/NAME, as deploy/web")),
    }
}

/// The JSON pointer of a path as people write it.
fn pointer(path: &str) -> Result<String> {
    paths::pointer(path).map_err(|reason| {
        Failure::new(format!("path `{path}`"), reason).hint(
            "as spec.template, spec.template.spec.containers[web].image, metadata.annotations[\"a.b/c\"], or /spec/template",
        )
    })
}
