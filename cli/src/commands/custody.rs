//! `hindcast key status|rewrap` and `hindcast forget`: who opens what the journal sealed, and what nobody is to open any more.

use std::sync::Arc;

use hindcast_journal::{
    Journal,
    custody::{
        forget::{self, Asked},
        rewrap, survey, told,
    },
    fold::ObjectKey,
    seal::Key,
};
use hindcast_mover::Repository;

use super::{confirm, run::start::identity};
use crate::{
    args::{Forget, Output, Rewrap},
    context::Context,
    failure::{Exit, Failure, Result},
    moment::T,
    movers,
    names::count,
    past, render,
    store::Access,
    view::{Forgetting, KeyStatus, Rewrapping},
};

/// What the bucket itself holds, and the keys that were named.
pub(super) async fn open(context: &Context<'_>) -> Result<(Journal, Vec<Arc<Key>>)> {
    let keys = past::keys(context)?;
    if keys.is_empty() {
        return Err(Failure::new("the key file", "is not named").hint("--key-file FILE, or HINDCAST_KEY_FILE"));
    }
    let (location, cluster) = past::place(context, Access::Prove).await?;
    Ok((Journal::open(location.store, &location.prefix, &cluster, context.parts.clone()), keys))
}

/// Answers `key status`.
pub(super) async fn status(context: &Context<'_>) -> Result<Exit> {
    let (journal, keys) = open(context).await?;
    let status = KeyStatus::new(&survey(&journal, &keys).await?, &keys, &told(&journal).await?);
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &status)?,
        _ => render::custody::status(context.printer, &status),
    }
    Ok(Exit::Done)
}

/// Does `key rewrap`.
pub(super) async fn rewrap(context: &Context<'_>, args: &Rewrap) -> Result<Exit> {
    let (journal, keys) = open(context).await?;
    let plan = rewrap::plan(&survey(&journal, &keys).await?);
    let who = identity(&context.parts).writer;
    let removes = args.remove_old && !plan.spare.is_empty();
    if removes && !args.plan && !args.yes {
        let what = format!("this removes what only older keys open of {}", count(plan.all as usize, "data key"));
        confirm::word(context, &what, &keys.first().map(|key| key.name.clone()).unwrap_or_default()).await?;
    }
    let (mut done, mut removed, mut repository) = (None, None, None);
    if !args.plan {
        done = Some(rewrap::wrap(&journal, &keys, &who).await?);
        let admitted = repository.insert(admit(context, &journal).await);
        if args.remove_old && admitted.is_ok() {
            removed = Some(rewrap::remove(&journal, &keys, &who).await?);
        }
    }
    let status = KeyStatus::new(&survey(&journal, &keys).await?, &keys, &told(&journal).await?);
    let mut said = Rewrapping::new(&plan, (done.as_ref(), removed.as_ref()), args.remove_old, status);
    match repository {
        Some(Err(error)) => said.refused(error.to_string()),
        Some(Ok(there)) => said.repository = there,
        None => {}
    }
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &said)?,
        _ => render::custody::rewrapping(context.printer, &said),
    }
    let todo = !plan.wrap.is_empty() || (args.remove_old && !plan.spare.is_empty());
    Ok(match args.plan {
        true if todo => Exit::Differences,
        false if !said.closed.is_empty() || said.repository_refused.is_some() => Exit::Partly,
        _ => Exit::Done,
    })
}

/// Has the newest key open the repository of files, if there is one.
async fn admit(context: &Context<'_>, journal: &Journal) -> Result<bool> {
    let repository = Repository::new(journal.store(), movers::keys(context, journal.cluster())?);
    Ok(repository.admit().await?)
}

/// Does `forget`.
pub(super) async fn forget(context: &Context<'_>, args: &Forget) -> Result<Exit> {
    let (journal, keys) = open(context).await?;
    let asked = asked(context, args).await?;
    let plan = forget::plan(&journal, &keys, &asked).await?;
    let refusal = plan.refusal(&asked);
    let mut said = Forgetting::new(&asked, &plan);
    let text = !matches!(context.common.output, Output::Json | Output::Yaml);
    if text && (args.plan || !plan.is_nothing()) {
        render::custody::forgetting(context, &said);
    }
    let done = !args.plan && !plan.is_nothing();
    if let Some(refusal) = refusal.filter(|_| !args.plan) {
        return Err(refusal.into());
    }
    if done {
        if !args.yes {
            let word = asked.object.as_ref().map_or(asked.namespace.as_str(), |object| object.name.as_str());
            let word = if word.is_empty() { "cluster-scoped" } else { word };
            confirm::word(context, "this destroys what opens these values", word).await?;
        }
        context.printer.note("told, and waiting until `hindcast run` has seen it …");
        let told = forget::apply(&journal, &keys, &asked, &plan, &identity(&context.parts).writer).await?;
        said.done(told.as_ref());
    }
    match text {
        false => render::document(context.printer, context.common.output, &said)?,
        true => render::custody::forgotten(context.printer, &said),
    }
    Ok(match (args.plan, plan.is_nothing()) {
        (true, false) if said.refused.is_some() => Exit::Failed,
        (true, false) => Exit::Differences,
        _ => Exit::Done,
    })
}

/// What is to be forgotten: a namespace that was named, or one object.
async fn asked(context: &Context<'_>, args: &Forget) -> Result<Asked> {
    let reason = args.reason.clone();
    let Some(kind) = &args.kind else {
        let namespace = match (&args.namespace, args.cluster_scoped) {
            (Some(namespace), _) => namespace.clone(),
            (None, true) => String::new(),
            (None, false) => {
                return Err(
                    Failure::new("forget", "needs to be told what").hint("KIND/NAME -n NS, -n NS, or --cluster-scoped")
                );
            }
        };
        return Ok(Asked { namespace, object: None, reason });
    };
    let mut past = past::open_quietly(context).await?;
    let then = past.at(&T::Now, true).await?;
    let asked = past.asked(&then, kind, args.name.as_deref()).await?;
    let (Some(name), [kind]) = (asked.name.clone(), asked.kinds.as_slice()) else {
        return Err(Failure::new(format!("`{kind}`"), "forget takes one object, or a namespace")
            .hint("KIND/NAME -n NS, or -n NS"));
    };
    let namespace = match (&args.namespace, kind.namespaced) {
        (Some(namespace), true) => namespace.clone(),
        (None, true) => {
            return Err(Failure::new(format!("{}/{name}", kind.resource), "is of a namespace").hint("-n NS"));
        }
        (_, false) => String::new(),
    };
    let (group, resource) = (kind.group.clone(), kind.resource.clone());
    Ok(Asked { object: Some(ObjectKey { namespace: namespace.clone(), group, resource, name }), namespace, reason })
}
