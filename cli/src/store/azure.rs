//! `az://`: Azure Blob Storage.
//!
//! **Whose credentials**, as the store's client has it: a token, the account's key, a Pod's workload identity, an
//! application's secret, a shared access signature, Azure's command line if it is allowed, the machine's managed identity.
//!
//! Names that Azure's command line, its other tools and Velero have for the same are taken too.

use std::sync::Arc;

use object_store::{
    ClientConfigKey, ObjectStore,
    azure::{AzureConfigKey as Key, MicrosoftAzureBuilder},
};

use super::{
    client::{Asked, CONNECT_LIMIT, retry},
    options::Known,
};
use crate::failure::Result;

/// What may stand in a URL.
pub(super) const KNOWN: Known = Known {
    scheme: "az",
    taken: &[
        "storageAccount",
        "storageAccountURI",
        "storageAccountKeyEnvVar",
        "activeDirectoryAuthorityURI",
        "useAAD",
        "allowHttp",
        "caCert",
    ],
    refused: &[
        ("resourceGroup", ARM.0, ARM.1),
        ("subscriptionId", ARM.0, ARM.1),
        (
            "blockSizeInBytes",
            "an object is written in one request, as only that can be refused if one stands there",
            "leave it out",
        ),
    ],
};

/// Why the account's management is not asked.
const ARM: (&str, &str) = (
    "Hindcast asks no management API for the account's keys",
    "leave it out; storageAccount=NAME in the URL, and a credential in the environment: AZURE_STORAGE_ACCOUNT_KEY, a \
     workload identity or a managed identity",
);

/// Other names of what the library takes.
const OTHERS: &[(&str, Key)] = &[
    ("AZURE_ACCOUNT_NAME", Key::AccountName),
    ("AZURE_STORAGE_ACCOUNT", Key::AccountName),
    ("AZURE_ACCOUNT_KEY", Key::AccessKey),
    ("AZURE_STORAGE_ACCOUNT_ACCESS_KEY", Key::AccessKey),
    ("AZURE_STORAGE_KEY", Key::AccessKey),
];

/// Credentials that the library does not read, and what to give instead.
const UNREAD: &[(&str, &str)] = &[
    (
        "AZURE_STORAGE_CONNECTION_STRING",
        "give what is in it one by one: AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, \
         and AZURE_STORAGE_ENDPOINT where it names one",
    ),
    ("AZURE_CLIENT_CERTIFICATE_PATH", "give AZURE_CLIENT_SECRET, or a workload identity: AZURE_FEDERATED_TOKEN_FILE"),
];

/// Opens it.
pub(super) fn open(asked: &Asked<'_>) -> Result<Arc<dyn ObjectStore>> {
    let options = &asked.options;
    let by_identity = options.flag("useAAD")? == Some(true);
    let mut builder = MicrosoftAzureBuilder::new();
    // Replaces what was set of the client so far, so it comes first.
    builder = builder.with_client_options(asked.client(&[])?);
    for (name, key) in OTHERS {
        if let Some(value) = asked.env.get(name) {
            builder = builder.with_config(*key, value);
        }
    }
    for (name, value) in asked.variables("AZURE_")? {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(url) = asked.env.get("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(url);
    }
    if let Some(account) = options.text("storageAccount") {
        builder = builder.with_account(account);
    }
    if let Some(variable) = options.text("storageAccountKeyEnvVar") {
        let key = asked.env.get(variable).ok_or_else(|| {
            options
                .wrong("storageAccountKeyEnvVar", format!("names {variable}, which is not set"))
                .hint("set it to the account's key, or leave the option out")
        })?;
        builder = builder.with_access_key(key);
    }
    if let Some(host) = options.text("activeDirectoryAuthorityURI") {
        builder = builder.with_authority_host(host);
    }
    // AKS gives it with a slash at its end, and the tenant's path begins with one.
    if let Some(host) = builder.get_config_value(&Key::AuthorityHost) {
        builder = builder.with_authority_host(host.trim_end_matches('/'));
    }
    let named = options.text("storageAccountURI").map(|url| ("storageAccountURI", url.to_owned()));
    let named = named.or_else(|| Some(("AZURE_STORAGE_ENDPOINT", builder.get_config_value(&Key::Endpoint)?)));
    if let Some((name, text)) = named {
        let url = asked.endpoint(name, &text, "AZURE_ALLOW_HTTP")?;
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/').to_owned());
    }
    let kind = identity(asked, &builder, by_identity)?;
    if let Some(kind) = kind {
        builder = builder.with_credential_type(kind);
    }
    let store = builder
        .with_container_name(asked.bucket())
        .with_retry(retry())
        .with_allow_http(asked.may_be_plain("AZURE_ALLOW_HTTP")?)
        .with_config(Key::Client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
        .with_config(Key::Client(ClientConfigKey::Timeout), asked.limit)
        .build()
        .map_err(|error| asked.unbuilt(&error))?;
    Ok(Arc::new(store))
}

/// Checks that what was given of a credential is whole, and says which kind it is where keys are not to be used.
fn identity(asked: &Asked<'_>, builder: &MicrosoftAzureBuilder, by_identity: bool) -> Result<Option<&'static str>> {
    let has = |key: &Key| builder.get_config_value(key).is_some();
    let keyed = [Key::AccessKey, Key::SasKey, Key::Token].iter().any(has);
    if !keyed {
        if let Some((name, hint)) = UNREAD.iter().find(|(name, _)| asked.env.get(name).is_some()) {
            return Err(asked.refuse(format!("{name} is set, which is not read here")).hint(*hint));
        }
        let identity = has(&Key::ClientId) && has(&Key::AuthorityId);
        for (key, name) in
            [(Key::FederatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE"), (Key::ClientSecret, "AZURE_CLIENT_SECRET")]
        {
            if has(&key) && !identity {
                let missing = if has(&Key::ClientId) { "AZURE_TENANT_ID" } else { "AZURE_CLIENT_ID" };
                return Err(asked.refuse(format!("{name} is set, and {missing} is not")).hint(
                    "an application is known by AZURE_CLIENT_ID and AZURE_TENANT_ID; a workload identity's webhook sets them in a \
                     Pod whose service account bears azure.workload.identity/client-id",
                ));
            }
        }
    }
    if !by_identity {
        return Ok(None);
    }
    Ok(Some(if has(&Key::FederatedTokenFile) {
        "workload_identity"
    } else if has(&Key::ClientSecret) {
        "client_secret"
    } else {
        "managed_identity"
    }))
}
