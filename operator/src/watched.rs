//! What stands, listed, and what is new of it, told.

use futures::{Stream, stream};
use hindcast_journal::Result;
use kube::{Api, Client, Resource, api::ListParams, core::DeserializeGuard};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::status::{is, unavailable};

/// The objects of one of our kinds in a namespace; without the kind there is none.
pub(crate) async fn listed<K>(client: &Client, namespace: &str) -> Result<Vec<DeserializeGuard<K>>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(error) if is(&error, 404) => Ok(Vec::new()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// When something else is told, from now on.
pub(crate) fn news<T: Send + Sync + 'static>(told: &watch::Sender<T>) -> impl Stream<Item = ()> + Send + use<T> {
    let mut told = told.subscribe();
    told.mark_unchanged();
    stream::unfold(told, async |mut told| told.changed().await.ok().map(|()| ((), told)))
}
