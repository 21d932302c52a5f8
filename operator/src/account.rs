//! Acting as a service account: every request of a restore bears its name, and the server gives it that account's rights.
//!
//! **Invariants.** (1) Who is acted as is what the server says, asked before anything else [`client`]: a restore is never
//! done with our own rights because a header was lost. (2) What is asked as another account goes over our own connections
//! and credentials, which alone may speak for others.

use http::{HeaderValue, Request};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::ServiceAccount};
use kube::{Api, Client, api::PostParams, client::Body};

use crate::{
    api::Verdict,
    status::{is, unavailable},
};

/// A client that acts as a service account; or why there is none.
pub(crate) async fn client(own: &Client, namespace: &str, name: &str) -> Result<Client, Verdict> {
    let accounts: Api<ServiceAccount> = Api::namespaced(own.clone(), namespace);
    accounts.get(name).await.map_err(|error| match is(&error, 404) {
        true => Verdict::no("NoServiceAccount", format!("there is no service account {name} in {namespace}")),
        false => Verdict::failed("ServiceAccountUnread", &unavailable(&error)),
    })?;
    let user = format!("system:serviceaccount:{namespace}:{name}");
    let Ok(value) = HeaderValue::from_str(&user) else {
        return Err(Verdict::no("NoServiceAccount", format!("{name:?} is no name of a service account")));
    };
    let acting = acting(own, value);
    let reviews: Api<SelfSubjectReview> = Api::all(acting.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.map_err(|error| {
        let hint =
            "the account of `hindcast run` needs the verb impersonate on service accounts, as in deploy/rbac.yaml";
        Verdict::no(
            "NotImpersonated",
            format!("cannot act as {user}: {} ({hint})", hindcast_journal::Error::causes(&error)),
        )
    })?;
    let found = review.status.and_then(|status| status.user_info).and_then(|info| info.username).unwrap_or_default();
    if found == user {
        return Ok(acting);
    }
    Err(Verdict::no("NotImpersonated", format!("what was to act as {user} is {found} for the server: nothing is done")))
}

/// A client whose requests are made as somebody else.
fn acting(own: &Client, user: HeaderValue) -> Client {
    let own = own.clone();
    let namespace = own.default_namespace().to_owned();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let own = own.clone();
        request.headers_mut().insert("impersonate-user", user.clone());
        async move { own.send(request).await }
    });
    Client::new(service, namespace)
}
