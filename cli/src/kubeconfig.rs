//! The kubeconfig: the default namespace, and the way to a cluster where one is needed.
//!
//! **Map.** `files` says what the files say together, `text` what one of them says, `config` what a context means, `proxy` what stands between, `exec` how
//! a credential plugin is asked, `credentials` who we are and for how long, `client` how requests are made with all that, `refusal`
//! why the first of them got no answer.
//!
//! **Invariants.** (1) For a reader everything here is optional: no kubeconfig, a broken one or a missing context leaves
//! the namespace at `default` and is an error only where a cluster is needed (`run`). (2) A cluster that kubectl reaches with
//! the same files and environment is reached, by the same way and as the same user. (3) No token, key or password stands in
//! an error.

mod client;
mod config;
mod credentials;
mod exec;
mod files;
mod proxy;
mod refusal;
mod text;

use std::{io::IsTerminal as _, path::PathBuf};

use hindcast_cluster::identity;
use hindcast_journal::Error;
use hindcast_restorer::session::Unopened;
use kube::{Client, Config, config::Kubeconfig};

pub(crate) use self::{client::Reach, credentials::Interaction};
use crate::{
    args::{Common, Place},
    context::Context,
    failure::{Failure, Result},
};

/// Which namespaces are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// All.
    All,
    /// One.
    One(String),
}

/// The namespace of the arguments, or the default one, which is said.
pub(crate) fn namespace(context: &Context<'_>, place: &Place) -> Namespaces {
    if place.all_namespaces {
        return Namespaces::All;
    }
    if let Some(namespace) = &place.namespace {
        return Namespaces::One(namespace.clone());
    }
    let (namespace, whence) = match read(context.common) {
        Ok(Some(config)) => match context_of(&config, context.common) {
            Some((name, Some(namespace))) => (namespace, format!(" (of context {name})")),
            Some((name, None)) => ("default".to_owned(), format!(" (of context {name})")),
            None => ("default".to_owned(), String::new()),
        },
        Ok(None) => ("default".to_owned(), String::new()),
        Err(failure) => {
            context.printer.note(format!("note: {failure}"));
            ("default".to_owned(), String::new())
        }
    };
    context.printer.note(format!("namespace {namespace}{whence}"));
    Namespaces::One(namespace)
}

/// The kubeconfig of the options; nothing if none was named and there is none.
fn read(common: &Common) -> Result<Option<Kubeconfig>> {
    Ok(files::find(common.kubeconfig.as_deref())?.config)
}

/// Whether there is a kubeconfig to find a cluster with.
pub(crate) fn is_there(common: &Common) -> bool {
    // A broken one is an error where it is used.
    !matches!(read(common), Ok(None))
}

/// The context in use and its namespace.
fn context_of(config: &Kubeconfig, common: &Common) -> Option<(String, Option<String>)> {
    let name = common.context.clone().or_else(|| config.current_context.clone())?;
    let found = config.contexts.iter().find(|c| c.name == name)?;
    let namespace = found.context.as_ref().and_then(|c| c.namespace.clone());
    Some((name, namespace.filter(|n| !n.is_empty())))
}

/// The name of the context in use, if there is a kubeconfig with one.
pub(crate) fn context_name(common: &Common) -> Option<String> {
    let config = read(common).ok()??;
    common.context.clone().or(config.current_context)
}

/// How to reach the cluster of the options: the kubeconfig's if it chooses one, else the Pod's that this runs in. `interaction` says whether a plugin may
/// ask a person.
pub(crate) fn reach(context: &Context<'_>, interaction: Interaction) -> Result<Reach> {
    let environment = proxy::Environment::of_process();
    let found = files::find(context.common.kubeconfig.as_deref())?;
    let wanted = context.common.context.as_deref();
    if let Some(kubeconfig) = found.choosing(wanted) {
        return config::of_context(kubeconfig, wanted, &environment, interaction, &context.parts);
    }
    match (Config::incluster(), &found.config) {
        (Ok(pod), _) => config::of_pod(pod, &environment, &context.parts),
        (Err(_), Some(kubeconfig)) => config::of_context(kubeconfig, wanted, &environment, interaction, &context.parts),
        (Err(error), None) => Err(nowhere(&error, &found.missing)),
    }
}

/// Why there is no way to a cluster at all.
fn nowhere(error: &kube::config::InClusterError, missing: &[PathBuf]) -> Failure {
    use kube::config::InClusterError::ReadEnvironmentVariable;
    let failure = match error {
        ReadEnvironmentVariable(_) => Failure::new("kubeconfig", "there is none, and this is not a Pod of a cluster")
            .hint("--kubeconfig FILE, or KUBECONFIG; readers (log, get, show, status) need none"),
        broken => Failure::new(
            "kubeconfig",
            format!("there is none, and this Pod's account cannot be used: {}", Error::causes(broken)),
        )
        .hint("the Pod needs its service account's token (automountServiceAccountToken), or a kubeconfig"),
    };
    let missing: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
    match missing.as_slice() {
        [] => failure,
        missing => failure.hint(format!("KUBECONFIG names what is not there: {}", missing.join(", "))),
    }
}

/// Whether somebody sits at standard input.
pub(crate) fn interaction() -> Interaction {
    if std::io::stdin().is_terminal() { Interaction::Terminal } else { Interaction::None }
}

/// The uid of the cluster that answers.
pub(crate) async fn cluster_uid(client: &Client, reach: &Reach) -> Result<String> {
    match identity::of(client).await {
        Ok(Some(uid)) => Ok(uid),
        Ok(None) => Err(reach.refused(&Unopened::Nameless)),
        Err(error) => Err(reach.refused(&Unopened::Refused(error))),
    }
}
