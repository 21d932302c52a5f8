//! Google credentials that are traded for another cloud's or cluster's, or for another account's: by Google's own client.

use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_auth::credentials::{AccessTokenCredentials, external_account, impersonated};
use hindcast_journal::Error;
use object_store::{
    CredentialProvider,
    gcp::{GcpCredential, GcpCredentialProvider},
};
use serde_json::Value;
use tokio::sync::OnceCell;

/// What a token has to be good for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

struct Federated {
    file: Value,
    /// Built with the first request, since it asks for tokens in a task of its own.
    credentials: OnceCell<AccessTokenCredentials>,
}

impl std::fmt::Debug for Federated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federated").finish_non_exhaustive()
    }
}

/// The credentials that a file of this type describes.
pub(super) fn provider(file: Value) -> GcpCredentialProvider {
    Arc::new(Federated { file, credentials: OnceCell::new() })
}

impl Federated {
    fn build(&self) -> object_store::Result<AccessTokenCredentials> {
        let file = self.file.clone();
        let built = match self.file["type"].as_str() {
            Some("impersonated_service_account") => {
                impersonated::Builder::new(file).with_scopes([SCOPE]).build_access_token_credentials()
            }
            _ => external_account::Builder::new(file).with_scopes([SCOPE]).build_access_token_credentials(),
        };
        built.map_err(|error| refused(&error))
    }
}

#[async_trait]
impl CredentialProvider for Federated {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let credentials = self.credentials.get_or_try_init(async || self.build()).await?;
        let token = credentials.access_token().await.map_err(|error| refused(&error))?;
        Ok(Arc::new(GcpCredential { bearer: token.token }))
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> object_store::Error {
    let source = format!("the token for Google Cloud Storage: {}", Error::causes(error));
    object_store::Error::Unauthenticated { path: String::new(), source: source.into() }
}
