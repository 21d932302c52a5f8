//! The kubeconfig: the default namespace, and a client where one is needed.
//!
//! **Invariant.** For a reader everything here is optional: no kubeconfig, a broken one or a missing context leaves
//! the namespace at `default` and is an error only where a cluster is needed (`run`).

use hindcast_journal::Error;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::{
    args::{Common, Place},
    commands::Context,
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
    let found = match &common.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    match found {
        Ok(config) => Ok(Some(config)),
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(e, _))
            if common.kubeconfig.is_none() && e.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(e) => {
            Err(Failure::new("kubeconfig", Error::causes(&e)).hint("--kubeconfig FILE, or KUBECONFIG"))
        }
    }
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

/// How to reach the cluster of the options: the kubeconfig, else the Pod this runs in.
pub(crate) async fn config(common: &Common) -> Result<Config> {
    let options =
        KubeConfigOptions { context: common.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match read(common)? {
        Some(kubeconfig) => {
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| {
                Failure::new("kubeconfig", Error::causes(&e))
                    .hint("--kubeconfig FILE and --context NAME choose another")
            })?
        }
        None => Config::incluster().map_err(|_| {
            Failure::new("kubeconfig", "there is none, and this is not a Pod of a cluster").hint(
                "--kubeconfig FILE, or KUBECONFIG; readers (log, get, show, status) need none",
            )
        })?,
    };
    // Watches stay open for minutes: only connecting has a limit here, requests have their own.
    config.read_timeout = None;
    // The client's own retries of 429, 503 and 504 go on for minutes: an API that is down would be a request that hangs.
    // The watcher has rules of its own, and a reader does without the cluster.
    config.default_retry = false;
    Ok(config)
}

/// The uid of kube-system, which is the identity of a cluster.
pub(crate) async fn cluster_uid(client: &Client) -> Result<String> {
    let what = "the cluster";
    let request = http::Request::get("/api/v1/namespaces/kube-system")
        .body(Vec::new())
        .map_err(|e| Failure::new(what, e.to_string()))?;
    let object: serde_json::Value = client.request(request).await.map_err(|e| {
        Failure::new(what, format!("namespace kube-system cannot be read: {}", Error::causes(&e)))
            .hint("the API server has to answer, and this user to have get on namespaces")
    })?;
    let uid =
        object.pointer("/metadata/uid").and_then(serde_json::Value::as_str).unwrap_or_default();
    if uid.is_empty() {
        return Err(Failure::new(what, "namespace kube-system has no uid"));
    }
    Ok(uid.to_owned())
}
