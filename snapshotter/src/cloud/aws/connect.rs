//! A client of EC2: whose credentials, which region, which address.
//!
//! One crypto provider, ring, serves every connection. The SDK's own retries are off.

use std::path::PathBuf;

use aws_config::{
    BehaviorVersion,
    provider_config::ProviderConfig,
    retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig,
    web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider},
};
use aws_sdk_ec2::{
    Client,
    config::{self, Region, SharedHttpClient},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use hindcast_journal::{Error, Result};

use super::super::Hidden;

/// How to reach EC2, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The region; what the SDK finds, if empty.
    pub region: String,
    /// Another address than the region's own.
    pub endpoint: Option<String>,
    /// As whom.
    pub credentials: Credentials,
    /// Whether ids may have been given to an earlier process that died: true for one that takes up what was begun, false
    /// for a command that draws its own.
    pub earlier: bool,
}

/// As whom EC2 is asked.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// As whoever the SDK finds: environment, profile, web identity, the container's or the machine's role.
    #[default]
    Found,
    /// As the owner of a key.
    Key {
        /// `aws_access_key_id`.
        id: String,
        /// `aws_secret_access_key`.
        secret: Hidden,
        /// `aws_session_token`, of temporary ones.
        session: Option<Hidden>,
    },
    /// As a profile of the shared files says.
    Profile(String),
    /// As a role that is given to a service account (IRSA).
    WebIdentity {
        /// The role's ARN.
        role: String,
        /// The file with the account's token.
        token: PathBuf,
    },
}

/// A client, and the region it is for.
pub(super) async fn client(settings: Settings) -> Result<(Client, String)> {
    const WHAT: &str = "the client of Amazon EC2";
    let http: SharedHttpClient = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let region = Some(settings.region).filter(|region| !region.is_empty()).map(Region::new);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = region.clone() {
        loader = loader.region(region);
    }
    loader = match settings.credentials {
        Credentials::Found => loader,
        Credentials::Key { id, secret, session } => {
            let session = session.map(|session| session.reveal().to_owned());
            loader.credentials_provider(config::Credentials::new(id, secret.reveal(), session, None, "hindcast"))
        }
        Credentials::Profile(name) => loader.profile_name(name),
        Credentials::WebIdentity { role, token } => {
            let identity = StaticConfiguration {
                web_identity_token_file: token,
                role_arn: role,
                session_name: "hindcast".to_owned(),
            };
            let around = ProviderConfig::without_region().with_http_client(http).with_region(region.clone());
            loader.credentials_provider(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(&around)
                    .static_configuration(identity)
                    .build(),
            )
        }
    };
    let found = loader.load().await;
    let region = found.region().map(|region| region.as_ref().to_owned()).ok_or_else(|| {
        Error::invalid(
            WHAT,
            "no region is set, and none is found in the environment, a profile or the machine's metadata",
        )
        .with_hint("set the volume location's region, or AWS_REGION")
    })?;
    let mut config = config::Builder::from(&found);
    if let Some(endpoint) = settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok((Client::from_conf(config.build()), region))
}
