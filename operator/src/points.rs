//! `RecoveryPoint`: an object stands for the point of its name, and a point for which none stands gets one.
//!
//! | the bucket has | the object | what is done |
//! |---|---|---|
//! | no such point | stood for none yet | it is made |
//! | no such point | stood for one | the object goes: its point is gone |
//! | it | is there | the object tells of it |
//! | it | is not there | the object is created |
//! | it | is deleted | nothing, or if its policy says so, the point is deleted first |
//!
//! **Invariants.** (1) Which point an object stood for is written in its metadata before anything is told of it, so that a
//! point is not made again that was deleted [`mark`]. (2) Nothing is deleted in the bucket unless the object's policy says so, and then
//! the object stays until it is done.

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    point::{About, Point, PointState},
};
use hindcast_restorer::ask::moment::rfc3339;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::DeserializeGuard,
    runtime::controller,
};
use serde_json::json;

use crate::{
    api::{
        DELETES, DeletionPolicy, POINT_ID, Phase, RecoveryPoint, RecoveryPointSpec, RecoveryPointStatus, SCHEDULE,
        Verdict, seconds, set,
    },
    operator::{AGAIN, NotNow, Operator, SELDOM},
    request,
    schedules::{elsewhere, moment, verdict},
    shelf::{Book, Books},
    status::{self, is, unavailable},
};

/// How many lines of a list a status has.
const SHOWN: usize = 20;

/// The longest value of a label.
const LABEL: usize = 63;

/// Reconciles a recovery point.
pub(crate) async fn reconcile(
    object: Arc<DeserializeGuard<RecoveryPoint>>,
    operator: Arc<Operator>,
) -> Result<controller::Action, NotNow> {
    let Ok(object) = &object.0 else { return Ok(controller::Action::await_change()) };
    let name = object.name_any();
    let mut new = object.status.clone().unwrap_or_default();
    if object.namespace().unwrap_or_default() != operator.namespace {
        tell(&operator, object, &mut new, elsewhere(&operator.namespace)).await?;
        return Ok(controller::Action::requeue(SELDOM));
    }
    if object.metadata.deletion_timestamp.is_some() {
        return going(&operator, object, &name, new).await;
    }
    let wants = object.spec.deletion_policy == DeletionPolicy::Delete;
    if wants != object.finalizers().iter().any(|one| one == DELETES) {
        finalize(&operator, object, wants).await?;
    }
    let mut books = operator.shelf.fresh().await?;
    if !books.0.contains_key(&name) {
        // What follows from that one is not there is decided by what is there now.
        books = operator.shelf.look().await?;
    }
    match books.0.get(&name) {
        Some(Book::Made(point)) => {
            mark(&operator, object, &point.about).await?;
            new = RecoveryPointStatus { conditions: new.conditions, ..of_point(point) };
            tell(&operator, object, &mut new, verdict(point)).await?;
        }
        Some(Book::Making(about)) => {
            if let Some(about) = about {
                mark(&operator, object, about).await?;
                new = RecoveryPointStatus { conditions: new.conditions, ..of_about(about) };
            }
            new.phase = Phase::InProgress;
            tell(&operator, object, &mut new, Verdict::unknown("InProgress", "it is being made")).await?;
        }
        Some(Book::Going) => {
            new.phase = Phase::Deleting;
            tell(&operator, object, &mut new, Verdict::no("Deleting", "it is being deleted")).await?;
        }
        Some(Book::Unread(why)) => tell(&operator, object, &mut new, Verdict::unknown("Unreadable", why)).await?,
        None if object.annotations().contains_key(POINT_ID) => remove(&operator, object).await?,
        None => return make(&operator, object, &name, new).await,
    }
    Ok(controller::Action::requeue(SELDOM))
}

/// Makes the point that an object asks for.
async fn make(
    operator: &Operator,
    object: &RecoveryPoint,
    name: &str,
    mut new: RecoveryPointStatus,
) -> Result<controller::Action, NotNow> {
    if operator.works.has(name) {
        new.phase = Phase::InProgress;
        tell(operator, object, &mut new, Verdict::unknown("InProgress", "it is about to be made")).await?;
        return Ok(controller::Action::requeue(SELDOM));
    }
    let asked = request::request(&operator.client, &operator.namespace, (name, ""), &object.spec.template).await;
    let request = match asked {
        Ok(request) => request,
        Err(error) if error.kind().may_pass() => {
            let why = Verdict::unknown("Unavailable", error.told());
            tell(operator, object, &mut new, why).await?;
            return Ok(controller::Action::requeue(AGAIN));
        }
        Err(error) => {
            tell(operator, object, &mut new, Verdict::failed("Invalid", &error)).await?;
            return Ok(controller::Action::requeue(AGAIN.saturating_mul(4)));
        }
    };
    // What was said of an earlier object of that name is not said of this one.
    let made = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let failed = operator.works.not_begun(name).filter(|failed| made.is_none_or(|made| moment(failed.at) >= made));
    if let Some(failed) = failed {
        let again = moment(failed.at).checked_add(AGAIN).unwrap_or_default();
        if !failed.may_pass || again > moment(operator.now()) {
            tell(operator, object, &mut new, Verdict::no("NotBegun", failed.why)).await?;
            return Ok(match failed.may_pass {
                true => controller::Action::requeue(AGAIN),
                false => controller::Action::requeue(SELDOM),
            });
        }
    }
    operator.works.start(request);
    new.phase = Phase::InProgress;
    tell(operator, object, &mut new, Verdict::unknown("InProgress", "it is about to be made")).await?;
    Ok(controller::Action::requeue(SELDOM))
}

/// Sees to an object that is being deleted.
async fn going(
    operator: &Operator,
    object: &RecoveryPoint,
    name: &str,
    mut new: RecoveryPointStatus,
) -> Result<controller::Action, NotNow> {
    if !object.finalizers().iter().any(|one| one == DELETES) {
        return Ok(controller::Action::await_change());
    }
    if object.spec.deletion_policy == DeletionPolicy::Delete {
        let (maker, point) = (operator.maker.clone(), name.to_owned());
        let delete = move || async move { maker.delete(&point, "its RecoveryPoint was deleted").await };
        match operator.local.run(delete).await {
            Ok(()) => tracing::info!("deleted point {name}: its RecoveryPoint was deleted"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                new.phase = Phase::Deleting;
                tell(operator, object, &mut new, Verdict::failed("NotDeleted", &error)).await?;
                return Ok(controller::Action::requeue(AGAIN));
            }
        }
        operator.shelf.look().await?;
    }
    finalize(operator, object, false).await?;
    Ok(controller::Action::await_change())
}

/// Creates objects for points that have none. `there` are the names of those that are.
pub(crate) async fn mirror(operator: &Operator, books: &Books, there: &BTreeSet<String>) {
    for (name, about) in books.all().filter(|(name, _)| !there.contains(*name)) {
        // One that is asked for by an object just created is on its way.
        let api: Api<RecoveryPoint> = Api::namespaced(operator.client.clone(), &operator.namespace);
        let mut object = RecoveryPoint::new(
            name,
            RecoveryPointSpec { template: request::template(about), deletion_policy: DeletionPolicy::Retain },
        );
        object.annotations_mut().insert(POINT_ID.to_owned(), about.id.clone());
        if !about.schedule.is_empty() && about.schedule.len() <= LABEL {
            object.labels_mut().insert(SCHEDULE.to_owned(), about.schedule.clone());
        }
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => tracing::debug!("point {name} appears as a RecoveryPoint"),
            Err(error) if is(&error, 409) => {}
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "point {name} cannot appear as a RecoveryPoint");
                // The others would fail alike where it is for the namespace or the rights.
                if is(&error, 403) || is(&error, 404) {
                    return;
                }
            }
        }
    }
}

/// Writes down which point an object stands for.
async fn mark(operator: &Operator, object: &RecoveryPoint, about: &About) -> Result<()> {
    if object.annotations().get(POINT_ID) == Some(&about.id) {
        return Ok(());
    }
    patch(operator, object, json!({"annotations": {POINT_ID: about.id}})).await
}

/// Puts our finalizer there, or takes it away.
async fn finalize(operator: &Operator, object: &RecoveryPoint, wanted: bool) -> Result<()> {
    let mut finalizers: Vec<&String> = object.finalizers().iter().filter(|one| *one != DELETES).collect();
    let ours = DELETES.to_owned();
    if wanted {
        finalizers.push(&ours);
    }
    // The revision makes sure that nobody else's is taken away.
    let revision = object.resource_version();
    patch(operator, object, json!({"finalizers": finalizers, "resourceVersion": revision})).await
}

async fn patch(operator: &Operator, object: &RecoveryPoint, mut metadata: serde_json::Value) -> Result<()> {
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("uid".to_owned(), json!(object.uid()));
    }
    let api: Api<RecoveryPoint> = status::api_of(&operator.client, object);
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, 404) => Ok(()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Deletes an object whose point is gone.
async fn remove(operator: &Operator, object: &RecoveryPoint) -> Result<()> {
    let api: Api<RecoveryPoint> = status::api_of(&operator.client, object);
    let preconditions = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(&object.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(error) if is(&error, 404) || is(&error, 409) => Ok(()),
        Err(error) => Err(unavailable(&error)),
    }
}

async fn tell(
    operator: &Operator,
    object: &RecoveryPoint,
    new: &mut RecoveryPointStatus,
    verdict: Verdict,
) -> Result<()> {
    let generation = object.metadata.generation.unwrap_or_default();
    set(&mut new.conditions, "Made", verdict, generation, operator.now());
    status::write(&operator.client, object, object.status.as_ref(), new).await
}

fn of_about(about: &About) -> RecoveryPointStatus {
    RecoveryPointStatus {
        id: about.id.clone(),
        began: Some(seconds(about.began)),
        expires: about.expires.map(seconds),
        ..RecoveryPointStatus::default()
    }
}

fn of_point(point: &Point) -> RecoveryPointStatus {
    RecoveryPointStatus {
        phase: match point.state {
            PointState::Complete => Phase::Complete,
            PointState::Partial => Phase::Partial,
            PointState::Failed => Phase::Failed,
        },
        revision: point.is_usable().then(|| point.cut().rev() as i64),
        time: point.is_usable().then(|| rfc3339(point.time)),
        made: Some(seconds(point.made)),
        volumes: point.volumes.len() as i64,
        snapshots: point.snapshots() as i64,
        bytes: point.bytes() as i64,
        hooks: point.hooks.len() as i64,
        missing: point.missing.iter().take(SHOWN).cloned().collect(),
        missing_count: point.missing.len() as i64,
        warnings: point.warnings.iter().take(SHOWN).cloned().collect(),
        ..of_about(&point.about)
    }
}
