//! Clients of the API server whose credentials are renewed under them.
//!
//! **Invariants.** (1) A request that is refused for its credentials (401, so nothing was done) is made once more if there are
//! newer ones, and never a third time. (2) All clients of one [`Reach`] share its credentials; each has connections of its
//! own. (3) A certificate that changed is used from the next request on: it belongs to a connection, so the client makes
//! new ones.

use std::sync::{Arc, Mutex, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_journal::Error;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use kube::{Client, Config, client::Body};

use super::{
    credentials::{Credentials, Issued},
    proxy,
};
use crate::failure::{Failure, Result};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How to reach a cluster.
#[derive(Clone)]
pub(crate) struct Reach {
    config: Config,
    credentials: Option<Arc<Credentials>>,
}

impl Reach {
    /// With `config`, and credentials that are renewed unless the config holds what is good for ever.
    pub(crate) fn new(config: Config, credentials: Option<Credentials>) -> Self {
        Self { config, credentials: credentials.map(Arc::new) }
    }

    /// The API server's address.
    pub(crate) fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The proxy before it, without its password.
    pub(crate) fn proxy(&self) -> Option<String> {
        self.config.proxy_url.as_ref().map(proxy::shown)
    }

    /// Gets the credentials now, where that may take the time of a login, so that no request has to wait for them.
    pub(crate) async fn log_in(&self) -> Result<()> {
        match &self.credentials {
            Some(credentials) => credentials.current().await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// A client with connections of its own.
    pub(crate) fn connect(&self) -> Result<Client> {
        let inner = connect(self.config.clone())?;
        let Some(credentials) = self.credentials.clone() else { return Ok(inner) };
        let namespace = self.config.default_namespace.clone();
        let renewing =
            Arc::new(Renewing { config: self.config.clone(), credentials, inner: Mutex::new((None, inner)) });
        let service = tower::service_fn(move |request| renewing.clone().send(request));
        Ok(Client::new(service, namespace))
    }
}

fn connect(config: Config) -> Result<Client> {
    let user = &config.auth_info;
    let certified = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    Client::try_from(config).map_err(|e| {
        let failure = Failure::new("kubeconfig", Error::causes_beneath(&e));
        if !certified {
            return failure;
        }
        failure.hint("client-certificate and client-key of the kubeconfig's user are PEM, each a file or as base64 in …-data, and belong together")
    })
}

struct Renewing {
    config: Config,
    credentials: Arc<Credentials>,
    /// The client, and the number of the certificate that its connections are made with.
    inner: Mutex<(Option<u64>, Client)>,
}

impl Renewing {
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let made = |issued: &Issued| {
            let mut request = Request::from_parts(head.clone(), Body::from(body.clone()));
            if let Some(header) = &issued.header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            request
        };
        let issued = self.credentials.current().await?;
        let response = self.client(&issued)?.send(made(&issued)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.credentials.renew(&issued).await? {
            Some(newer) => Ok(self.client(&newer)?.send(made(&newer)).await?),
            None => Ok(response),
        }
    }

    /// The client whose connections are made with what is issued.
    fn client(&self, issued: &Issued) -> Result<Client> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = issued.has_certificate().then_some(issued.number);
        let (made_with, client) = &mut *inner;
        // An older one may still be on its way to be refused: it must not take the newer one's place.
        if wanted > *made_with {
            let mut config = self.config.clone();
            if let Some(identity) = &issued.identity {
                config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(&identity.certificate));
                config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(&identity.key).into());
            }
            *client = connect(config)?;
            *made_with = wanted;
        }
        Ok(client.clone())
    }
}
