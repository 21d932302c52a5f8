//! From what an object says to what the snapshotter takes: a point to make, a timetable, what is kept.
//!
//! **Invariant.** What cannot be understood is an error that names the field, and is found before anything is begun.

use std::collections::BTreeMap;

use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    labels::Selector,
    point::{self, About, PointScope, Volumes},
};
use hindcast_snapshotter::{
    ExecSpec, HookSpec, Request,
    policy::ResourcePolicies,
    retention::Policy,
    schedule::{self, Schedule, duration},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use crate::{
    api::{Exec, Hook, OnError, Overlap, Retention, ScheduleSpec, Template, VolumesMode},
    status::{is, unavailable},
};

/// What a point is to be made of.
pub(crate) async fn request(
    client: &Client,
    namespace: &str,
    (name, schedule): (&str, &str),
    template: &Template,
) -> Result<Request> {
    point::check_name(name)?;
    let checked = |what: &str, selector: &str| {
        Selector::parse(selector).map_err(|error| error_in(what, &error))?;
        Ok::<_, Error>(selector.to_owned())
    };
    let mut hooks = Vec::with_capacity(template.hooks.len());
    for hook in &template.hooks {
        checked(&format!("hook {}: selector", hook.name), &hook.selector)?;
        hooks.push(hook_of(hook));
    }
    let ttl = template.ttl.as_deref().map(|ttl| duration("ttl", ttl)).transpose()?;
    Ok(Request {
        name: name.to_owned(),
        schedule: schedule.to_owned(),
        scope: PointScope {
            namespaces: template.namespaces.clone(),
            excluded_namespaces: template.excluded_namespaces.clone(),
            selector: checked("selector", &template.selector)?,
        },
        volumes: match template.volumes {
            VolumesMode::Auto => Volumes::Auto,
            VolumesMode::None => Volumes::None,
            VolumesMode::Snapshot => Volumes::Snapshot,
            VolumesMode::Files => Volumes::Files,
        },
        moves: template.move_snapshots,
        ttl: ttl.map(|ttl| i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)),
        labels: template.labels.clone(),
        annotations: BTreeMap::new(),
        hooks,
        policies: policies(client, namespace, template).await?,
    })
}

fn hook_of(hook: &Hook) -> HookSpec {
    let exec = |exec: &Exec| ExecSpec {
        container: exec.container.clone(),
        command: exec.command.clone(),
        on_error: match exec.on_error {
            OnError::Fail => point::OnError::Fail,
            OnError::Continue => point::OnError::Continue,
        },
        timeout: exec.timeout.clone(),
    };
    HookSpec {
        name: hook.name.clone(),
        scope: PointScope {
            namespaces: hook.namespaces.clone(),
            excluded_namespaces: hook.excluded_namespaces.clone(),
            selector: hook.selector.clone(),
        },
        pre: hook.pre.iter().map(exec).collect(),
        post: hook.post.iter().map(exec).collect(),
    }
}

/// The volume policies that a template names.
async fn policies(client: &Client, namespace: &str, template: &Template) -> Result<Option<ResourcePolicies>> {
    let Some(name) = &template.volume_policies else { return Ok(None) };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = maps.get(name).await.map_err(|error| match is(&error, 404) {
        true => Error::invalid(format!("volumePolicies {name}"), format!("there is no such ConfigMap in {namespace}"))
            .with_hint("create it, with the policies under one key of its data"),
        false => unavailable(&error),
    })?;
    ResourcePolicies::of_config_map(name, &map.data.unwrap_or_default()).map(Some)
}

/// A schedule that was made at a moment and last unpaused at another.
pub(crate) fn timetable(
    name: &str,
    spec: &ScheduleSpec,
    made: Timestamp,
    unpaused: Option<Timestamp>,
) -> Result<Schedule> {
    let settings = schedule::Settings {
        schedule: spec.schedule.clone(),
        time_zone: spec.time_zone.clone(),
        jitter: spec.jitter.as_deref().map(|text| duration("jitter", text)).transpose()?.unwrap_or_default(),
        starting_deadline: spec
            .starting_deadline
            .as_deref()
            .map(|text| duration("startingDeadline", text))
            .transpose()?,
        overlap: match spec.overlap {
            Overlap::Forbid => schedule::Overlap::Forbid,
            Overlap::Queue => schedule::Overlap::Queue,
            Overlap::Allow => schedule::Overlap::Allow,
        },
        paused: spec.paused,
        skip_immediately: spec.skip_immediately,
    };
    Schedule::new(name, &settings, made, unpaused)
}

/// What is kept of a schedule's points.
pub(crate) fn retention(spec: &ScheduleSpec) -> Result<Policy> {
    let Some(retention) = &spec.retention else { return Ok(Policy::default()) };
    let Retention { last, within, hourly, daily, weekly, monthly, yearly, failed, time_zone } = retention;
    let many = |count: &u32| usize::try_from(*count).unwrap_or(usize::MAX);
    let policy = Policy {
        last: many(last),
        within: within.as_deref().map(|text| duration("retention.within", text)).transpose()?,
        hourly: many(hourly),
        daily: many(daily),
        weekly: many(weekly),
        monthly: many(monthly),
        yearly: many(yearly),
        failed: failed.as_ref().map_or(Policy::default().failed, many),
        ..Policy::default()
    };
    match time_zone.as_ref().or(spec.time_zone.as_ref()) {
        Some(zone) => policy.in_zone(zone),
        None => Ok(policy),
    }
}

/// The template of a point as far as the bucket tells it.
pub(crate) fn template(about: &About) -> Template {
    let ttl = about.expires.map(|expires| format!("{}s", expires.saturating_sub(about.began).div_euclid(1_000_000)));
    Template {
        namespaces: about.scope.namespaces.clone(),
        excluded_namespaces: about.scope.excluded_namespaces.clone(),
        selector: about.scope.selector.clone(),
        ttl,
        labels: about.labels.clone(),
        ..Template::default()
    }
}

/// An error that says where.
fn error_in(what: &str, error: &Error) -> Error {
    let (thing, reason) = error.thing_and_reason();
    let named = Error::new(ErrorKind::Invalid, what, format!("{thing}: {reason}"));
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}
