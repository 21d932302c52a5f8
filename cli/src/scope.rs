//! SCOPE and its flags: from words to what the restorer takes.
//!
//! **Invariants.** (1) A scope is never guessed: without one of its three forms there is an error that names them.
//! (2) Every kind and name is resolved against the journal's own discovery, so that a word that means nothing is refused
//! and never an empty scope.

use hindcast_journal::Past;
use hindcast_restorer::{
    ask::scope::{self, Wanted},
    selection::{Selection, Volumes, Widen},
};

use crate::{
    args::{self, Target},
    context::Context,
    failure::{Failure, Result},
    kubeconfig::{self, Namespaces},
    past::Reading,
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
    let wanted = Wanted {
        object: target.kind.clone().map(|kind| (kind, target.name.clone())),
        namespace: target.namespace.clone(),
        only: target.only.clone(),
        labels: target.selector.clone().unwrap_or_default(),
        path: target.path.clone(),
        volumes: match target.volumes {
            args::FromPoints::Missing => Volumes::Missing,
            args::FromPoints::None => Volumes::None,
            args::FromPoints::All => Volumes::All,
        },
        allow_delete: widen.allow_delete.clone(),
        widen: allowed(widen, Vec::new()),
    };
    let place = args::Place { namespace: target.namespace.clone(), all_namespaces: false };
    let home = || match kubeconfig::namespace(context, &place) {
        Namespaces::One(namespace) => namespace,
        Namespaces::All => String::new(),
    };
    Ok(wanted.selection(&mut past.timeline, then, home).await?)
}

/// What may be done beyond the default.
pub(crate) async fn widen(args: &args::Widen, past: &mut Reading<'_>) -> Result<Widen> {
    Ok(allowed(args, scope::deletes(&mut past.timeline, &args.allow_delete).await?))
}

fn allowed(args: &args::Widen, allow_delete: Vec<String>) -> Widen {
    Widen {
        with_cluster_scoped: args.with_cluster_scoped,
        include_system: args.include_system,
        allow_delete,
        allow_recreate: args.allow_recreate,
        restart: args.restart,
        accept_gap: args.accept_gap,
        rerun_jobs: args.rerun_jobs,
        allow_empty_volumes: args.allow_empty_volumes,
        bypass_webhooks: args.bypass_webhooks,
    }
}

/// Refuses what is no scope, before anything is read.
pub(crate) fn check(target: &Target) -> Result<()> {
    if target.all_namespaces && target.namespace.is_some() {
        return Err(Failure::new("--namespace and -A", "are two scopes").hint("give one of them"));
    }
    Selector::parse(target.selector.as_deref().unwrap_or_default())?;
    target.path.as_deref().map(scope::pointer).transpose()?;
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
