//! A profile that takes a role with another's keys, or asks a program: by Amazon's own client, which speaks with its token
//! service.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::{profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use hindcast_journal::Error;
use object_store::{
    CredentialProvider,
    aws::{AwsCredential, AwsCredentialProvider},
};
use tokio::sync::Mutex;

/// Keys that end sooner are asked for anew.
const AHEAD: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Assumed {
    name: String,
    provider: ProfileFileCredentialsProvider,
    /// The last keys, and when they end.
    held: Mutex<Option<(Option<SystemTime>, Arc<AwsCredential>)>>,
}

/// The credentials of a profile of the shared files.
pub(super) fn provider(name: &str, region: Option<String>) -> AwsCredentialProvider {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let region = region.map(aws_config::Region::new);
    let around = ProviderConfig::without_region().with_http_client(http).with_region(region);
    let provider = ProfileFileCredentialsProvider::builder().configure(&around).profile_name(name).build();
    Arc::new(Assumed { name: name.to_owned(), provider, held: Mutex::default() })
}

#[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[async_trait]
impl CredentialProvider for Assumed {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        if let Some((ends, keys)) = &*held
            && ends.is_none_or(|ends| ends > now() + AHEAD)
        {
            return Ok(keys.clone());
        }
        let given = self.provider.provide_credentials().await.map_err(|error| {
            let source = format!("the credentials of the profile `{}`: {}", self.name, Error::causes(&error));
            object_store::Error::Unauthenticated { path: String::new(), source: source.into() }
        })?;
        let keys = Arc::new(AwsCredential {
            key_id: given.access_key_id().to_owned(),
            secret_key: given.secret_access_key().to_owned(),
            token: given.session_token().map(str::to_owned),
        });
        *held = Some((given.expiry(), keys.clone()));
        Ok(keys)
    }
}
