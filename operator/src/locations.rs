//! `VolumeLocation`: while an object says where the snapshots of a cloud's disks are, the driver of that cloud is there.
//!
//! | `Ready` | reason | when |
//! |---|---|---|
//! | True | `Ready` | the driver is there, and the cloud answered it |
//! | Unknown | `Unavailable` | the API server, or the cloud, does not answer now |
//! | False | `Refused` | the driver is there, and the cloud refuses it |
//! | False | `NotOpened` | what is said cannot be meant |
//! | False | `NoSecret`, `SecretIncomplete` | what it names as credentials is not there, or not all of it |
//! | False | `UnknownProvider` | this build has no such driver |
//! | False | `Superseded` | another location of this provider counts |
//! | False | `OtherNamespace` | it is in a namespace that does not count |
//!
//! **Invariants.** (1) What a Secret holds is in no text, whatever fails: errors name its keys [`held`]. (2) A driver is let go of when its
//! object does not stand any more as it did, or its Secret [`placed`], [`follow`]. (3) What is wrong with one location, or with a Secret,
//! stops no other and nothing else.
//!
//! Not here: whose turn it is, and which drivers are there ([`crate::places`]).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hindcast_journal::{Error, Result, error::ErrorKind};
use hindcast_snapshotter::{cloud::Hidden, driver::VolumeDriver};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{WatchStreamExt as _, controller, watcher},
};

use crate::{
    api::{Verdict, VolumeLocation, set},
    operator::{AGAIN, NotNow, Operator, SELDOM},
    places::{Claim, Keys, Open, Opener, Place, Version, turn},
    schedules::elsewhere,
    status::{self, is, unavailable},
    watched::listed,
};

#[cfg(test)]
mod tests;

/// How often a Secret that is named is looked at: it may have changed.
const SECRETS: Duration = Duration::from_mins(1);

/// How often it is looked for locations that are gone, if nothing tells of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long a driver may take to be opened, and the cloud to answer it for the first time.
const ANSWER: Duration = Duration::from_secs(30);

/// Why a location has no driver, and when that is looked at again.
struct Without(Verdict, Duration);

impl From<Error> for Without {
    /// Of what was asked of the API server.
    fn from(error: Error) -> Self {
        Self(Verdict::unknown("Unavailable", error.told()), AGAIN)
    }
}

/// Reconciles a location.
pub(crate) async fn reconcile(
    object: Arc<DeserializeGuard<VolumeLocation>>,
    operator: Arc<Operator>,
) -> Result<controller::Action, NotNow> {
    let Ok(object) = &object.0 else { return Ok(controller::Action::await_change()) };
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(controller::Action::await_change());
    }
    let (ready, wake) = if object.namespace().unwrap_or_default() == operator.namespace {
        step(object, &operator).await
    } else {
        (elsewhere(&operator.namespace), SELDOM)
    };
    let mut new = object.status.clone().unwrap_or_default();
    set(&mut new.conditions, "Ready", ready, object.metadata.generation.unwrap_or_default(), operator.now());
    status::write(&operator.client, object, object.status.as_ref(), &new).await?;
    Ok(controller::Action::requeue(wake))
}

async fn step(object: &VolumeLocation, operator: &Operator) -> (Verdict, Duration) {
    let (driver, proven) = match placed(object, operator).await {
        Ok(placed) => placed,
        Err(Without(verdict, wake)) => return (verdict, wake),
    };
    let ready = Verdict::yes("Ready", format!("disks of {} are taken where it says", object.spec.provider.name()));
    let wake = if object.spec.credentials.is_some() { SECRETS } else { SELDOM };
    if proven {
        return (ready, wake);
    }
    let answer = operator.journal.parts().timeout(ANSWER, driver.all(operator.journal.cluster())).await;
    let late = || {
        let reason = format!("did not answer within {} s", ANSWER.as_secs());
        Err(Error::new(ErrorKind::Unavailable, format!("the API of {}", driver.name()), reason)
            .with_hint("see that it can be reached from where Hindcast runs"))
    };
    match answer.unwrap_or_else(late) {
        Ok(_) => {
            operator.places.prove(&driver).await;
            (ready, wake)
        }
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            let Without(verdict, wake) = error.into();
            (verdict, wake)
        }
        Err(error) => (Verdict::failed("Refused", &error), SECRETS),
    }
}

/// The driver of a location, opened if need be, and whether the cloud answered it before.
async fn placed(object: &VolumeLocation, operator: &Operator) -> Result<(Arc<dyn VolumeDriver>, bool), Without> {
    let (places, claim) = (&operator.places, Claim::of(object));
    let provider = claim.provider;
    let mut standing = places.standing.lock().await;
    places.settle(&mut standing, claims(operator).await?);
    let keys = allowed(&claim, &standing.claims, &*places.opener)?;
    let found = match &object.spec.credentials {
        None => Ok(None),
        Some(named) => secret(operator, &named.secret_name, keys).await.map(Some),
    };
    let (version, credentials) = match found {
        Ok(found) => found.unzip(),
        Err(without) => {
            // What it was opened with is not there any more; whoever could not look at it leaves it.
            if without.0.status == "False" {
                places.shut(&mut standing, provider);
            }
            return Err(without);
        }
    };
    if let Some(there) = standing.open.get(provider).filter(|there| there.secret == version) {
        return Ok((there.driver.clone(), there.proven));
    }
    places.shut(&mut standing, provider);
    let place = Place { provider, settings: object.spec.settings(), credentials };
    let late = || {
        let reason = format!("was not ready within {} s", ANSWER.as_secs());
        Err(Error::new(ErrorKind::Unavailable, format!("the driver of {provider}"), reason)
            .with_hint("see that what it asks for its identity can be reached from where Hindcast runs"))
    };
    let opened = operator.journal.parts().timeout(ANSWER, places.opener.open(&place)).await.unwrap_or_else(late);
    let driver = opened.map_err(|error| match error.kind() {
        ErrorKind::Unavailable => error.into(),
        _ => Without(Verdict::failed("NotOpened", &error), SECRETS),
    })?;
    tracing::info!(location = claim.name, provider, "disks are taken where a volume location says");
    places.put(&mut standing, Open { claim, secret: version, driver: driver.clone(), proven: false });
    Ok((driver, false))
}

/// What a Secret of a location has to hold, if it has its turn and this build the driver.
fn allowed(claim: &Claim, claims: &[Claim], opener: &dyn Opener) -> Result<Keys, Without> {
    let provider = claim.provider;
    let keys = opener.keys(provider).ok_or_else(|| {
        let why =
            format!("this build has no driver of {provider}: use a release, or build with the feature {provider}");
        Without(Verdict::no("UnknownProvider", why), SELDOM)
    })?;
    match turn(claims, provider, opener.told(provider)) {
        Ok(holder) if holder == claim => Ok(keys),
        Ok(holder) if holder.uid != claim.uid => {
            Err(superseded(provider, &format!("VolumeLocation {}, which is older", holder.name)))
        }
        Err(Some(told)) => Err(superseded(provider, &told)),
        // It is another one than it was, or gone, which is heard of soon.
        Ok(_) | Err(None) => Err(Without(Verdict::unknown("Changed", "it changed just now"), AGAIN)),
    }
}

fn superseded(provider: &str, by: &str) -> Without {
    let why = format!("one location of each provider counts, and of {provider} that is {by}: take one of them away");
    Without(Verdict::no("Superseded", why), SELDOM)
}

/// The objects that count, as they stand now.
async fn claims(operator: &Operator) -> Result<Vec<Claim>> {
    let list = listed::<VolumeLocation>(&operator.client, &operator.namespace).await?;
    let stand = list.into_iter().filter_map(|object| object.0.ok());
    let stand = stand.filter(|object| object.metadata.deletion_timestamp.is_none());
    Ok(stand.map(|object| Claim::of(&object)).collect())
}

/// A Secret, as it is now: what tells it from any other, and what it holds of these keys.
async fn secret(operator: &Operator, name: &str, keys: Keys) -> Result<(Version, BTreeMap<String, Hidden>), Without> {
    let namespace = &operator.namespace;
    if !is_name(name) {
        let why = format!("credentials: {name:?} is no name of a Secret: name one in {namespace}");
        return Err(Without(Verdict::no("NoSecret", why), SELDOM));
    }
    let api: Api<Secret> = Api::namespaced(operator.client.clone(), namespace);
    let secret = api.get(name).await.map_err(|error| match is(&error, 404) {
        true => {
            let why =
                format!("credentials: there is no Secret {name} in {namespace}: create it, or leave credentials out");
            Without(Verdict::no("NoSecret", why), AGAIN)
        }
        false => unavailable(&error).into(),
    })?;
    let version = (secret.metadata.uid.clone(), secret.metadata.resource_version.clone());
    Ok((version, held(name, &secret, keys)?))
}

/// Whether a name is one, and no path to something else.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(plain) && name.chars().all(|c| plain(c) || c == '-' || c == '.')
}

/// What a Secret holds of what is needed.
fn held(name: &str, secret: &Secret, keys: Keys) -> Result<BTreeMap<String, Hidden>, Without> {
    let incomplete = |reason: String| {
        let needs = keys.must.join(", ");
        Without(Verdict::no("SecretIncomplete", format!("Secret {name} {reason}: it has to hold {needs}")), AGAIN)
    };
    let mut held = BTreeMap::new();
    for key in keys.must.iter().chain(keys.may) {
        let value = secret.data.as_ref().and_then(|data| data.get(*key));
        let text = value.map(|value| std::str::from_utf8(&value.0)).transpose();
        let text = text.map_err(|_| incomplete(format!("holds what is no text as {key}")))?.unwrap_or_default().trim();
        if !text.is_empty() {
            held.insert((*key).to_owned(), Hidden::new(text));
        } else if keys.must.contains(key) {
            return Err(incomplete(format!("holds no {key}")));
        }
    }
    Ok(held)
}

/// Lets go of locations that are gone: a controller is not called for these.
pub(crate) async fn follow(operator: &Operator) {
    let api: Api<PartialObjectMeta<VolumeLocation>> = Api::namespaced(operator.client.clone(), &operator.namespace);
    let touched = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
    let mut touched = std::pin::pin!(touched);
    loop {
        tokio::select! {
            biased;
            one = touched.next() => if one.is_none() { return },
            () = operator.journal.parts().clock.sleep(LOOK_EVERY) => {}
        }
        let mut standing = operator.places.standing.lock().await;
        match claims(operator).await {
            Ok(claims) => operator.places.settle(&mut standing, claims),
            // They stand until it is known that they do not.
            Err(error) => {
                tracing::debug!(error = %Error::causes(&error), "whether volume locations stand is not known");
            }
        }
    }
}
