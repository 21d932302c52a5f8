//! Whose credentials a store is asked with: each way that a cloud has for a workload, against endpoints that serve what is published
//! and nothing else, by the binary as a user starts it; and what is said where a way is half given, refused or not there.

use std::{fs, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    real::{Azurite, FakeGcs, Minio, process::Workdir},
    stores::{AzureFront, GcsFront, Identities, ROLE, SUBJECT_TOKEN, World, suite},
};

use super::{status, status_with};

/// A folder with files in it, and their paths as text.
struct Files(Workdir);

impl Files {
    fn new() -> Result<Self> {
        Ok(Self(Workdir::new()?))
    }

    fn put(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().context("it is in the folder")?)?;
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amazons_ways_to_credentials() -> Result<()> {
    let minio = Minio::start().await?;
    let identities = Identities::start().await?;
    identities.of(&minio).await?;
    let owner = World::new(minio.url("ways"), minio.env());
    suite::written(&owner.open()?).await?;
    let files = Files::new()?;
    let home = &files.0;
    let token = files.put("token", SUBJECT_TOKEN)?;
    let other = files.put("other-token", "somebody-else")?;

    // What is left knows the store, and nobody.
    let mut nobody = owner.clone();
    nobody.env.retain(|(name, _)| !name.ends_with("_KEY_ID") && !name.ends_with("_ACCESS_KEY"));
    let nobody = nobody.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");

    // The token service is asked by https, whatever is allowed of the store.
    let nobody = nobody.with("AWS_CA_BUNDLE", &files.put("sts.pem", &identities.authority())?);
    let sts = identities.sts();
    let irsa = nobody.with("AWS_ENDPOINT_URL_STS", &sts).with("AWS_ROLE_ARN", ROLE);
    status(&irsa.with("AWS_WEB_IDENTITY_TOKEN_FILE", &token), home).await?.is(0, &[suite::CLUSTER]).context("IRSA")?;
    suite::the_newest_writer_wins(
        &World { url: minio.url("by-role"), ..irsa.with("AWS_WEB_IDENTITY_TOKEN_FILE", &token) }.open()?,
    )
    .await
    .context("a writer by IRSA")?;
    for refused in [
        irsa.with("AWS_WEB_IDENTITY_TOKEN_FILE", &other),
        irsa.with("AWS_WEB_IDENTITY_TOKEN_FILE", &token).with("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/other"),
    ] {
        status(&refused, home).await?.is(2, &["gives no credentials of the role", "trust policy"]).context("IRSA")?;
    }
    ensure!(identities.went("irsa") == 2, "{}", identities.went("irsa"));

    let pod = nobody.with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", identities.url()));
    let known = pod.with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token);
    status(&known, home).await?.is(0, &[suite::CLUSTER]).context("EKS Pod Identity")?;
    ensure!(identities.went("pod") == 1);
    status(&pod, home)
        .await?
        .is(2, &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is not", "hint: "])
        .context("no token")?;

    let machine = nobody.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &identities.url());
    status(&machine, home).await?.is(0, &[suite::CLUSTER]).context("the machine's role")?;
    ensure!(identities.went("machine") == 1);
    let said = status(&nobody, home).await?;
    said.is(2, &["there are no credentials, and the machine's own metadata server gives none", "AWS_PROFILE"])?;

    profiles(&minio, &nobody, &sts, &token, &files).await.context("profiles")
}

async fn profiles(minio: &Minio, nobody: &World, sts: &str, token: &str, files: &Files) -> Result<()> {
    let home = &files.0;
    let keys = minio.keys();
    let pair = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", keys.key_id, keys.secret_key);
    let process = files.put(
        "process.json",
        &format!(
            "{{\"Version\": 1, \"AccessKeyId\": \"{}\", \"SecretAccessKey\": \"{}\"}}",
            keys.key_id, keys.secret_key
        ),
    )?;
    files.put(
        ".aws/credentials",
        &format!("[ops]\n{pair}\n[wrong]\naws_access_key_id = AKIANOBODY\naws_secret_access_key = no\n"),
    )?;
    files.put(
        ".aws/config",
        &format!(
            "[default]\nregion = eu-west-1\n[profile ops]\nregion = us-east-1\n[profile asks]\ncredential_process = cat {process}\n\
             [profile role]\nrole_arn = {ROLE}\nweb_identity_token_file = {token}\n\
             [profile browser]\nsso_session = company\nsso_account_id = 1\n[profile empty]\noutput = json\n",
        ),
    )?;
    for name in ["ops", "asks"] {
        status(&nobody.asking(&format!("profile={name}")), home).await?.is(0, &[suite::CLUSTER]).context(name)?;
        status(&nobody.with("AWS_PROFILE", name), home).await?.is(0, &[suite::CLUSTER]).context(name)?;
    }
    let role = nobody.with("AWS_ENDPOINT_URL_STS", sts).asking("profile=role");
    status(&role, home).await?.is(0, &[suite::CLUSTER]).context("a profile with a web identity")?;
    let strange = role.with("AWS_ACCESS_KEY_ID", "AKIANOBODY").with("AWS_SECRET_ACCESS_KEY", "no");
    status(&strange, home).await?.is(0, &[suite::CLUSTER]).context("keys in the environment beside it")?;
    // A file of its own, as a Secret of Velero's is mounted.
    let mounted = files.put("cloud", &format!("[default]\n{pair}"))?;
    status(&nobody.with("AWS_SHARED_CREDENTIALS_FILE", &mounted), home)
        .await?
        .is(0, &[suite::CLUSTER])
        .context("mounted")?;
    for (name, phrases) in [
        ("nobodys", &["profile `nobodys` is not in the shared files", ".aws/config", "AWS_PROFILE"][..]),
        ("browser", &["signs in by SSO", "export-credentials --profile browser"]),
        ("empty", &["profile `empty` says no credentials", "credential_process"]),
        ("wrong", &["does not know these credentials", "hint: check the credentials"]),
    ] {
        status(&nobody.asking(&format!("profile={name}")), home).await?.is(2, phrases).context(name)?;
    }
    // Keys in the environment come before a profile that is only in the environment too, and a profile of the URL before both.
    let both = nobody.with("AWS_ACCESS_KEY_ID", &keys.key_id).with("AWS_SECRET_ACCESS_KEY", &keys.secret_key);
    status(&both.with("AWS_PROFILE", "wrong"), home).await?.is(0, &[suite::CLUSTER]).context("keys")?;
    status(&both.asking("profile=wrong"), home).await?.is(2, &["does not know these credentials"]).context("the URL")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsofts_ways_to_credentials() -> Result<()> {
    let azurite = Arc::new(Azurite::start().await?);
    let identities = Arc::new(Identities::start().await?);
    let front = AzureFront::start(azurite.clone(), identities.clone()).await?;
    let files = Files::new()?;
    let home = &files.0;
    let token = files.put("token", SUBJECT_TOKEN)?;
    let other = files.put("other-token", "somebody-else")?;
    let nobody = World::new(azurite.url("ways"), azurite.place(front.port()));

    // Straight to the server, which checks the signature of every request.
    let keyed = World::new(azurite.url("ways"), azurite.place(azurite.port()));
    let keyed = keyed.with("AZURE_STORAGE_ACCOUNT_KEY", &azurite.key());
    suite::written(&keyed.open()?).await?;
    status(&keyed, home).await?.is(0, &[suite::CLUSTER]).context("the account's key")?;
    let shared = World::new(azurite.url("ways"), azurite.place(azurite.port()));
    let shared = shared.with("AZURE_STORAGE_SAS_TOKEN", &azurite.sas()?);
    status(&shared, home).await?.is(0, &[suite::CLUSTER]).context("a shared access signature")?;
    let mut unnamed = nobody.clone();
    unnamed.env.retain(|(name, _)| name == "AZURE_ALLOW_HTTP");
    let endpoint = format!("http://127.0.0.1:{}/{}", azurite.port(), azurite.account());
    let by_options = unnamed.with("OF_THE_STORE", &azurite.key()).asking(&format!(
        "storageAccount={}&storageAccountURI={endpoint}&storageAccountKeyEnvVar=OF_THE_STORE",
        azurite.account()
    ));
    status(&by_options, home).await?.is(0, &[suite::CLUSTER]).context("by options")?;
    let tools = unnamed.with("AZURE_STORAGE_ACCOUNT", azurite.account()).with("AZURE_STORAGE_KEY", &azurite.key());
    let tools = tools.with("AZURE_STORAGE_ENDPOINT", &endpoint);
    status(&tools, home).await?.is(0, &[suite::CLUSTER]).context("by the names of Azure's command line")?;

    let app = identities.of_aks().into_iter().fold(nobody.clone(), |world, (name, value)| world.with(&name, &value));
    let pod = app.with("AZURE_FEDERATED_TOKEN_FILE", &token);
    status(&pod, home).await?.is(0, &[suite::CLUSTER]).context("workload identity")?;
    suite::the_newest_writer_wins(&World { url: azurite.url("by-identity"), ..pod.clone() }.open()?)
        .await
        .context("a writer by workload identity")?;
    ensure!(identities.went("federated") == 2);
    let refused = status(&app.with("AZURE_FEDERATED_TOKEN_FILE", &other), home).await?;
    refused.is(2, &["Microsoft Entra gives no token", "AADSTS70021", "federated-credential list"])?;
    status(&app.with("AZURE_CLIENT_SECRET", identities.secret()), home).await?.is(0, &[suite::CLUSTER])?;
    ensure!(identities.went("secret") == 1);
    // A key in the environment is left alone where the URL wants an identity.
    let by_identity = pod.with("AZURE_STORAGE_ACCOUNT_KEY", "bm90IHRoZSBrZXk=").asking("useAAD=true");
    status(&by_identity, home).await?.is(0, &[suite::CLUSTER]).context("useAAD")?;

    let machine = format!("{}/metadata/identity/oauth2/token", identities.url());
    status(&nobody.with("AZURE_MSI_ENDPOINT", &machine), home).await?.is(0, &[suite::CLUSTER]).context("managed")?;
    ensure!(identities.went("managed") == 1);
    let none = nobody.with("AZURE_MSI_ENDPOINT", "http://127.0.0.1:1/metadata/identity/oauth2/token");
    status(&none, home).await?.is(2, &["there are no credentials", "managed identity"])?;
    let half = nobody.with("AZURE_FEDERATED_TOKEN_FILE", &token);
    status(&half, home).await?.is(2, &["AZURE_CLIENT_ID is not", "azure.workload.identity/client-id"])?;
    let string = nobody.with("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=planted");
    let said = status(&string, home).await?;
    said.is(2, &["AZURE_STORAGE_CONNECTION_STRING is set, which is not read here", "one by one"])?;
    ensure!(!said.text.contains("planted"), "{}", said.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn googles_ways_to_credentials() -> Result<()> {
    let gcs = FakeGcs::start().await?;
    let identities = Arc::new(Identities::start().await?);
    let front = GcsFront::start(&gcs, identities.clone()).await?;
    let files = Files::new()?;
    let home = &files.0;
    let env = [("GOOGLE_BASE_URL", front.url()), ("GOOGLE_ALLOW_HTTP", "true".to_owned())];
    let nobody = World::new(gcs.url("ways"), env);
    let keyed = nobody.with("GOOGLE_BEARER_TOKEN", &identities.token());
    suite::written(&keyed.open()?).await?;
    status(&keyed, home).await?.is(0, &[suite::CLUSTER]).context("a token")?;
    let stranger = nobody.with("GOOGLE_BEARER_TOKEN", "nobody's");
    status(&stranger, home)
        .await?
        .is(2, &["refused permission", "hint: check the credentials"])
        .context("nobody's token")?;

    let account = files.put("account.json", &identities.service_account())?;
    for name in ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"] {
        status(&nobody.with(name, &account), home).await?.is(0, &[suite::CLUSTER]).context(name)?;
    }
    ensure!(identities.went("signed") > 0);

    let metadata = [("GCE_METADATA_HOST".to_owned(), identities.address())];
    status_with(&nobody, home, &metadata).await?.is(0, &[suite::CLUSTER]).context("the metadata server")?;
    ensure!(identities.went("metadata") == 1);
    let none = ["GCE_METADATA_HOST", "GCE_METADATA_IP"].map(|name| (name.to_owned(), "127.0.0.1:1".to_owned()));
    status_with(&nobody, home, &none).await?.is(2, &["there are no credentials", "GOOGLE_APPLICATION_CREDENTIALS"])?;

    let token = files.put("token", SUBJECT_TOKEN)?;
    let federation = files.put("federation.json", &identities.federation(token.as_ref()))?;
    let federated = nobody.with("GOOGLE_APPLICATION_CREDENTIALS", &federation);
    status(&federated, home).await?.is(0, &[suite::CLUSTER]).context("a federation")?;
    ensure!(identities.went("exchange") == 1);
    let other = files.put("other-token", "somebody-else")?;
    let refused = files.put("refused.json", &identities.federation(other.as_ref()))?;
    let refused = status(&nobody.with("GOOGLE_APPLICATION_CREDENTIALS", &refused), home).await?;
    refused.is(2, &["Google gives no token", "roles/iam.workloadIdentityUser"]).context("a federation refused")?;

    for (name, text, phrase) in [
        ("alien.json", "{\"type\": \"gdch_service_account\"}", "of the type `gdch_service_account`"),
        ("untyped.json", "{\"client_id\": \"planted\"}", "does not say what type"),
        ("broken.json", "{\"planted\": ", "is no JSON: line 1"),
    ] {
        let file = files.put(name, text)?;
        let said = status(&nobody.with("GOOGLE_APPLICATION_CREDENTIALS", &file), home).await?;
        said.is(2, &[phrase, &file, "hint: GOOGLE_APPLICATION_CREDENTIALS names"]).context(name)?;
        ensure!(!said.text.contains("planted"), "{}", said.text);
    }
    Ok(())
}
