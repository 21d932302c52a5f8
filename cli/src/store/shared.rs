//! The shared files of Amazon's tools, `~/.aws/config` and `~/.aws/credentials`: a profile, and how it comes by credentials.
//!
//! **Words**: a *profile* is what both files say under one name; the credentials file wins.
//!
//! **Invariants.** (1) A profile that was asked for by name and is not there, or gives no credentials, is an error. (2) Keys in
//! a file are read again as time passes, so that a tool that renews them there renews them here. (3) No value is repeated in
//! an error but names of files and profiles.
//!
//! Not here: a profile that takes another's role or asks a program (`assumed`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use object_store::{
    CredentialProvider,
    aws::{AwsCredential, AwsCredentialProvider},
};

use super::{client::Asked, environment::Environment};
use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// How long keys out of a file are used before it is read again.
const FRESH: Duration = Duration::from_mins(1);

/// A profile.
pub(super) struct Profile {
    means: Means,
    values: BTreeMap<String, String>,
}

/// How a profile comes by credentials.
pub(super) enum Means {
    /// By itself.
    Provider(AwsCredentialProvider),
    /// By a token in a file, which the store's client trades for a role's keys.
    WebIdentity {
        /// The role.
        role: String,
        /// The file.
        token: String,
        /// The session's name.
        session: Option<String>,
    },
}

/// The two files, which need not be there.
#[derive(Debug, Clone)]
struct Files {
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

impl Profile {
    /// What it says under this name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// How it comes by credentials.
    pub(super) fn means(self) -> Means {
        self.means
    }
}

/// The profile whose credentials are used, if it is a profile's.
pub(super) fn of(asked: &Asked<'_>) -> Result<Option<Profile>> {
    let env = asked.env;
    if asked.options.flag("enableSharedConfig")? == Some(false) {
        if asked.options.text("profile").is_some() {
            return Err(asked
                .options
                .wrong("enableSharedConfig", "says no, and `profile` names one of the shared files"));
        }
        return Ok(None);
    }
    let files = Files::of(env);
    if let Some(name) = asked.options.text("profile") {
        return read(asked, &files, name).map(Some);
    }
    if env.first(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]).is_some() || env.is_on("AWS_SKIP_SIGNATURE") {
        return Ok(None);
    }
    if let Some((_, name)) = env.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]) {
        return read(asked, &files, name).map(Some);
    }
    let of_pod =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    if env.first(&of_pod).is_some() {
        return Ok(None);
    }
    // Nobody asked for it: a `default` that only names a region gives none, and the machine is asked.
    match files.profile("default")? {
        Some(values) if gives(&values) => read(asked, &files, "default").map(Some),
        _ => Ok(None),
    }
}

/// Whether it says how to come by credentials.
fn gives(values: &BTreeMap<String, String>) -> bool {
    ["aws_access_key_id", "role_arn", "credential_process", "sso_session", "sso_account_id"]
        .iter()
        .any(|name| values.contains_key(*name))
}

fn read(asked: &Asked<'_>, files: &Files, name: &str) -> Result<Profile> {
    let values = files.profile(name)?.ok_or_else(|| {
        asked.refuse(format!("the profile `{name}` is not in the shared files ({})", files.shown())).hint(
            "name one that is there: profile=NAME in the URL, or AWS_PROFILE; AWS_CONFIG_FILE and \
                   AWS_SHARED_CREDENTIALS_FILE say where the files are",
        )
    })?;
    let means = means(asked, files, name, &values)?;
    Ok(Profile { means, values })
}

fn means(asked: &Asked<'_>, files: &Files, name: &str, values: &BTreeMap<String, String>) -> Result<Means> {
    let has = |key: &str| values.contains_key(key);
    let value = |key: &str| values.get(key).cloned();
    if let (Some(role), Some(token)) = (value("role_arn"), value("web_identity_token_file")) {
        return Ok(Means::WebIdentity { role, token, session: value("role_session_name") });
    }
    if has("role_arn") || has("credential_process") {
        let region = asked.options.text("region").or_else(|| asked.env.get("AWS_REGION")).map(str::to_owned);
        return super::assumed(asked, name, region.or_else(|| value("region"))).map(Means::Provider);
    }
    if let Some(keys) = keys(values) {
        let held = Mutex::new((now(), Arc::new(keys)));
        return Ok(Means::Provider(Arc::new(Keys { files: files.clone(), name: name.to_owned(), held })));
    }
    let what = asked.options.what();
    if has("sso_session") || has("sso_account_id") {
        let reason =
            format!("the profile `{name}` signs in by SSO, which a person does in a browser and a service cannot");
        return Err(Failure::new(what, reason).hint(format!(
            "`aws configure export-credentials --profile {name} --format env` says its keys for some hours; \
             a service has a role of its own, as a web identity"
        )));
    }
    let reason = format!("the profile `{name}` says no credentials ({})", files.shown());
    Err(Failure::new(what, reason).hint(
        "give it aws_access_key_id and aws_secret_access_key, role_arn with web_identity_token_file or source_profile, or \
         credential_process",
    ))
}

fn keys(values: &BTreeMap<String, String>) -> Option<AwsCredential> {
    Some(AwsCredential {
        key_id: values.get("aws_access_key_id")?.clone(),
        secret_key: values.get("aws_secret_access_key")?.clone(),
        token: values.get("aws_session_token").cloned(),
    })
}

#[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Keys out of a file.
#[derive(Debug)]
struct Keys {
    files: Files,
    name: String,
    /// What was read last, and when.
    held: Mutex<(Instant, Arc<AwsCredential>)>,
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0.elapsed() >= FRESH {
            // While a file is being replaced, what was read before still holds.
            let renewed = self.files.profile(&self.name).ok().flatten().and_then(|values| keys(&values));
            *held = (now(), renewed.map_or_else(|| held.1.clone(), Arc::new));
        }
        Ok(held.1.clone())
    }
}

impl Files {
    fn of(env: &Environment) -> Self {
        let file = |variable: &str, usual: &str| env.get(variable).map(PathBuf::from).or_else(|| env.in_home(usual));
        Self {
            config: file("AWS_CONFIG_FILE", ".aws/config"),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        }
    }

    fn shown(&self) -> String {
        let files = [&self.config, &self.credentials].into_iter().flatten();
        files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// What they say of a profile; none if it is in neither.
    fn profile(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let in_config = if name == "default" { "default".to_owned() } else { format!("profile {name}") };
        let mut found = None;
        for (file, section) in [(&self.config, in_config.as_str()), (&self.credentials, name)] {
            let Some(text) = file.as_deref().map(text).transpose()?.flatten() else { continue };
            if let Some(values) = section_of(&text, section) {
                found.get_or_insert_with(BTreeMap::new).extend(values);
            }
        }
        Ok(found)
    }
}

/// A file's text, if it is there.
fn text(file: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(file.display().to_string(), error.to_string())
            .hint("it is one of the shared files of Amazon's tools; make it readable, or name another")),
    }
}

/// What stands under `[name]`, which may come more than once; nested settings are left out.
fn section_of(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let wanted: Vec<&str> = name.split_whitespace().collect();
    let mut values = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = head.0.split_whitespace().collect::<Vec<_>>() == wanted;
            if inside {
                values.get_or_insert_with(BTreeMap::new);
            }
            continue;
        }
        if inside
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = trimmed.split_once('=')
            && let Some(values) = values.as_mut()
        {
            let value = [" #", " ;", "\t#", "\t;"]
                .iter()
                .fold(value, |value, mark| value.split_once(mark).map_or(value, |(before, _)| before));
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}
