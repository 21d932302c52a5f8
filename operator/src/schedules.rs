//! `Schedule`: starts the points that are due, and tells what comes next.
//!
//! **Invariants.** (1) What is due is decided by [`schedule::decide`], from what the bucket has: a status that was lost, or a process that
//! died, starts nothing twice and forgets nothing [`runs`]. (2) The status says that a run was started when the bucket has it,
//! not before. (3) What is wrong with a schedule is said of it, and stops no other.

use std::{sync::Arc, time::Duration};

use hindcast_journal::{
    Result,
    parts::Micros,
    point::{Point, PointState},
};
use hindcast_snapshotter::schedule::{self, Action, Decision, point_due};
use jiff::Timestamp;
use kube::{ResourceExt as _, core::DeserializeGuard, runtime::controller};

use crate::{
    api::{Schedule, ScheduleStatus, Skip, Verdict, set},
    operator::{AGAIN, NotNow, Operator, SELDOM},
    request,
    shelf::Books,
    status,
    works::NotBegun,
};

#[cfg(test)]
mod tests;

/// What is known of a schedule's runs.
#[derive(Debug, Default)]
struct Runs {
    /// When the newest was due that was begun, or failed for good.
    started: Option<Timestamp>,
    /// When the newest is due that is on its way to be begun.
    starting: Option<Timestamp>,
    /// The points that are being made.
    running: Vec<String>,
    /// Why the newest could not be begun.
    not_begun: Option<(String, NotBegun)>,
}

/// Reconciles a schedule.
pub(crate) async fn reconcile(
    object: Arc<DeserializeGuard<Schedule>>,
    operator: Arc<Operator>,
) -> Result<controller::Action, NotNow> {
    let Ok(object) = &object.0 else { return Ok(controller::Action::await_change()) };
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(controller::Action::await_change());
    }
    let (name, now) = (object.name_any(), operator.now());
    let old = object.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let generation = object.metadata.generation.unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let (ready, wake) = if namespace == operator.namespace {
        match step(object, &name, &operator, &mut new).await {
            Ok(done) => done,
            Err(error) if error.kind().may_pass() => (Verdict::unknown("Unavailable", error.told()), AGAIN),
            Err(error) => {
                new.next_run = None;
                (Verdict::failed("Invalid", &error), AGAIN.saturating_mul(4))
            }
        }
    } else {
        (elsewhere(&operator.namespace), SELDOM)
    };
    set(&mut new.conditions, "Ready", ready, generation, now);
    status::write(&operator.client, object, object.status.as_ref(), &new).await?;
    Ok(controller::Action::requeue(wake))
}

/// What is said of an object that is not where it must be.
pub(crate) fn elsewhere(namespace: &str) -> Verdict {
    Verdict::no(
        "OtherNamespace",
        format!(
            "nothing is made of it here: only namespace {namespace} is for whoever may make recovery points of the whole cluster"
        ),
    )
}

async fn step(
    object: &Schedule,
    name: &str,
    operator: &Operator,
    new: &mut ScheduleStatus,
) -> Result<(Verdict, Duration)> {
    let (spec, now) = (&object.spec, moment(operator.now()));
    if was_paused(new) && !spec.paused {
        new.unpaused = Some(now.to_string());
    }
    let made = object.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let timetable = request::timetable(name, spec, made, parsed(new.unpaused.as_deref()))?;
    request::retention(spec)?;
    // What is wrong with the template is said now, and not when the first run is due.
    let mut request = request::request(&operator.client, &operator.namespace, ("p", name), &spec.template).await?;
    let books = operator.shelf.fresh().await?;
    let runs = runs(name, &books, operator.works.of(name), operator.works.not_begun_of(name), new);
    let decision = decide(&timetable, &runs, new, now);
    tell_runs(name, &books, &runs, new, object.metadata.generation.unwrap_or_default(), operator.now());
    let mut wake = decision.wake;
    match &decision.action {
        Action::Run { due, point, .. } => {
            tracing::info!("schedule {name} {}", decision.action);
            request.name.clone_from(point);
            operator.works.start(request);
            new.active.push(point.clone());
            wake = Some(timetable.next_due(*due).map_or(now, |next| timetable.start(next)));
        }
        Action::Skip { due, reason } => {
            tracing::warn!("schedule {name} {}", decision.action);
            new.last_skipped = Some(Skip { due: due.to_string(), reason: reason.to_string() });
        }
        Action::Wait { .. } | Action::Idle | Action::Paused => {}
    }
    new.next_run = (!spec.paused).then(|| timetable.next_due(now)).flatten().map(|next| next.to_string());
    let ready = match &decision.action {
        Action::Paused => Verdict::yes("Paused", "nothing is started while it is paused"),
        Action::Wait { .. } | Action::Skip { .. } => Verdict::yes("Scheduled", decision.action.to_string()),
        // What is not said anew each time is not written anew each time.
        Action::Run { .. } | Action::Idle => Verdict::yes("Scheduled", "runs as it says"),
    };
    let retry = runs.not_begun.is_some().then_some(AGAIN);
    let wait = wake.map(|wake| wake.duration_since(now).unsigned_abs().max(Duration::from_millis(50)));
    let wait = wait.map_or(SELDOM, |wait| wait.min(SELDOM));
    Ok((ready, retry.map_or(wait, |retry| wait.min(retry))))
}

/// What there is of a schedule's runs: in the bucket, here, and in the status that is left of earlier ones.
fn runs(
    name: &str,
    books: &Books,
    here: Vec<String>,
    not_begun: Option<(String, NotBegun)>,
    status: &ScheduleStatus,
) -> Runs {
    let of_it = books.all().filter(|(_, about)| about.schedule == name);
    let in_bucket = of_it.map(|(point, about)| point_due(point).unwrap_or_else(|| moment(about.began))).max();
    let mut running: Vec<String> =
        books.making().filter(|(_, about)| about.schedule == name).map(|(point, _)| point.clone()).collect();
    let mut starting = None;
    for point in here {
        if !books.0.contains_key(&point) {
            starting = starting.max(point_due(&point));
        }
        if !running.contains(&point) {
            running.push(point);
        }
    }
    Runs { started: in_bucket.max(parsed(status.last_scheduled.as_deref())), starting, running, not_begun }
}

/// What is to be done.
fn decide(timetable: &schedule::Schedule, runs: &Runs, status: &ScheduleStatus, now: Timestamp) -> Decision {
    let skipped = status.last_skipped.as_ref().and_then(|skip| parsed(Some(&skip.due)));
    // What failed for good was started; what may pass is due still.
    let failed = runs.not_begun.as_ref().filter(|(_, failed)| !failed.may_pass);
    let failed = failed.and_then(|(point, _)| point_due(point));
    let last = runs.started.max(runs.starting).max(skipped).max(failed);
    let decision = schedule::decide(timetable, last, &runs.running, now);
    let Some((point, failed)) = &runs.not_begun else { return decision };
    let again = moment(failed.at).checked_add(AGAIN).unwrap_or(now);
    match &decision.action {
        // Not at once.
        Action::Run { point: due, .. } if due == point && failed.may_pass && again > now => {
            let wake = decision.wake.into_iter().chain([again]).min();
            Decision { action: Action::Idle, wake }
        }
        _ => decision,
    }
}

/// Says what there is of a schedule's points.
fn tell_runs(name: &str, books: &Books, runs: &Runs, new: &mut ScheduleStatus, generation: i64, now: Micros) {
    let made: Vec<&Arc<Point>> = books.made().filter(|point| point.about.schedule == name).collect();
    let newest = made.iter().max_by_key(|point| point.about.began);
    let good = made.iter().filter(|point| point.is_usable()).max_by_key(|point| point.about.began);
    let failed = runs.not_begun.as_ref().filter(|(_, failed)| !failed.may_pass);
    let started = runs.started.max(failed.and_then(|(point, _)| point_due(point)));
    new.last_scheduled = started.map(|due| due.to_string());
    new.points = made.len() as i64;
    new.last_good = good.map(|point| point.about.name.clone());
    new.active.clone_from(&runs.running);
    let verdict = match (&runs.not_begun, newest) {
        (Some((point, failed)), _) => Some(Verdict::no("NotBegun", format!("{point}: {}", failed.why))),
        (None, None) => None,
        (None, Some(point)) => Some(verdict(point)),
    };
    if let Some(verdict) = verdict {
        set(&mut new.conditions, "PointMade", verdict, generation, now);
    }
}

/// How a point came out.
pub(crate) fn verdict(point: &Point) -> Verdict {
    let name = &point.about.name;
    let missing = || {
        let first = point.missing.first().map_or("nothing is known of why", String::as_str);
        match point.missing.len() {
            0 | 1 => first.to_owned(),
            many => format!("{first}, and {} more", many - 1),
        }
    };
    match point.state {
        PointState::Complete => Verdict::yes("Complete", format!("{name} has all that was wanted")),
        PointState::Partial => Verdict::yes("Partial", format!("{name} lacks {}", missing())),
        PointState::Failed => Verdict::no("Failed", format!("{name} came to nothing: {}", missing())),
    }
}

/// Whether the schedule was paused when its status was written.
fn was_paused(status: &ScheduleStatus) -> bool {
    status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.reason == "Paused")
}

fn parsed(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

pub(crate) fn moment(time: Micros) -> Timestamp {
    Timestamp::from_microsecond(time).unwrap_or_default()
}
