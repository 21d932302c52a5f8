//! What runs once: Jobs, the `CronJobs` that make them, and the runs of other programs.

use hindcast_journal::{exact::Value, parts::Micros};
use jiff::Timestamp;

use self::schedule::Schedule;
use super::{Anew, Family, Kind, Made, Pause, Rule, Sides, Turn, Verdict, text, workloads::TEMPLATE};
use crate::{
    kept::{Fresh, Keeping},
    permission::{Permission, Widen},
    reason::{Loss, Ruled},
};

mod schedule;

/// A kind whose objects stand for one run.
const fn run(group: &'static str, resource: &'static str) -> Kind {
    Kind { runs_once: true, ..Kind::of(group, resource) }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            made: Made::ByController,
            judge: Some(ran),
            destroys: Some(work),
            rows: &[TEMPLATE],
            keep: Some(selector),
            immutable: &[
                "/spec/selector",
                "/spec/template",
                "/spec/completions",
                "/spec/completionMode",
                "/spec/podFailurePolicy",
                "/spec/successPolicy",
                "/spec/backoffLimitPerIndex",
                "/spec/managedBy",
            ],
            anew: Anew::Rerun,
            turn: Turn::Workloads,
            ..Kind::of("batch", "jobs")
        },
        Kind {
            rows: &[TEMPLATE],
            pause: Some(Pause { starts: is_on, hold: suspend, missed }),
            turn: Turn::Workloads,
            pods: "/spec/jobTemplate/spec/template/spec",
            ..Kind::of("batch", "cronjobs")
        },
        run("acme.cert-manager.io", "challenges"),
        run("acme.cert-manager.io", "orders"),
        run("argoproj.io", "analysisruns"),
        run("argoproj.io", "workflows"),
        run("cert-manager.io", "certificaterequests"),
        run("tekton.dev", "pipelineruns"),
        run("tekton.dev", "taskruns"),
    ],
    rules: &[
        Rule {
            id: "job-selector",
            kinds: &["batch/jobs"],
            what: "The selector and labels made of the Job's uid (`controller-uid`, `job-name`) stay as they are live; a new Job gets new ones. Not with `manualSelector`.",
            why: "The old uid would select Pods of a Job that is gone.",
        },
        Rule {
            id: "job-finished",
            kinds: &["batch/jobs"],
            what: "A Job that had finished at the moment is never created.",
            why: "It would run again.",
        },
        Rule {
            id: "job-running",
            kinds: &["batch/jobs"],
            what: "A Job that was running at the moment is created only with `{rerun-jobs}`.",
            why: "It would start over: mails sent twice, migrations run twice.",
        },
        Rule {
            id: "run-once",
            kinds: &[
                "acme.cert-manager.io/challenges",
                "acme.cert-manager.io/orders",
                "argoproj.io/analysisruns",
                "argoproj.io/workflows",
                "cert-manager.io/certificaterequests",
                "tekton.dev/pipelineruns",
                "tekton.dev/taskruns",
            ],
            what: "Objects that stand for one run are created only with `{rerun-jobs}`.",
            why: "As with Jobs: created again, they run again.",
        },
        Rule {
            id: "cronjob-suspended",
            kinds: &["batch/cronjobs"],
            what: "A CronJob is created suspended and resumed when all else is done.",
            why: "A run missed since the moment would start at once, in the middle of the restore.",
        },
        Rule {
            id: "cronjob-missed-run",
            kinds: &["batch/cronjobs"],
            what: "A CronJob that is suspended and was not is resumed when all else is done; the plan names the missed run that starts then.",
            why: "Its controller starts the newest run that it missed, however long ago, unless `startingDeadlineSeconds` is over.",
        },
    ],
};

fn ran(sides: &Sides<'_>, widen: &Widen) -> Option<Verdict> {
    let job = sides.coming()?;
    if is_finished(job) {
        return Some(Verdict::leave(Ruled::JobFinished));
    }
    if widen.rerun_jobs || job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    Some(Verdict::unless(Ruled::JobRunning, Permission::RerunJobs))
}

/// Whether a Job has run to its end, well or not.
fn is_finished(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array).unwrap_or_default();
    let ended = |condition: &Value| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
    };
    conditions.iter().any(ended) || job.pointer("/status/completionTime").is_some_and(|time| !time.is_null())
}

fn work(job: &Value) -> Option<Loss> {
    (!is_finished(job)).then_some(Loss::Job)
}

/// Selector and labels that the server makes of the Job's uid.
fn selector(of: &mut Keeping<'_>) {
    if of.any(|job| job.pointer("/spec/manualSelector").and_then(Value::as_bool) == Some(true)) {
        return;
    }
    let owner = "the server";
    of.add_pattern("spec selector", "job-selector", owner, Fresh::Absent, true);
    for label in ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"] {
        for labels in ["spec template metadata labels", "metadata labels"] {
            of.add_pattern(&format!("{labels} {label}"), "job-selector", owner, Fresh::Absent, true);
        }
    }
    let tracking = "metadata annotations batch.kubernetes.io/job-tracking";
    of.add_pattern(tracking, "job-selector", owner, Fresh::Absent, true);
}

fn is_on(cron: &Value) -> bool {
    cron.pointer("/spec/suspend").and_then(Value::as_bool) != Some(true)
}

/// Suspended, no run that was missed fires.
fn suspend(cron: &mut Value) -> bool {
    let Some(spec) = cron.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    let before = spec.insert("suspend", Value::from(true));
    before.and_then(|value| value.as_bool()) != Some(true)
}

/// The newest run that its controller missed and starts at once when it is resumed, as it finds it: after the last run, or its
/// creation, and within the deadline.
fn missed(live: &Value, target: &Value, now: Micros) -> Option<String> {
    let time = |path: &str| text(live, path).parse::<Timestamp>().ok();
    let after = time("/status/lastScheduleTime").or_else(|| time("/metadata/creationTimestamp"))?;
    let now = Timestamp::from_microsecond(now).ok()?;
    let running = live.pointer("/status/active").and_then(Value::as_array).is_some_and(|active| !active.is_empty());
    if running && text(target, "/spec/concurrencyPolicy") == "Forbid" {
        return None;
    }
    let schedule = text(target, "/spec/schedule");
    let zone = target.pointer("/spec/timeZone").and_then(Value::as_str);
    let Some(read) = Schedule::parse(schedule, zone) else {
        return Some(format!(
            "a run of its schedule {schedule:?} that was missed while it was suspended starts at once then"
        ));
    };
    let run = read.last(after, now)?;
    let deadline = target.pointer("/spec/startingDeadlineSeconds").and_then(Value::as_i64);
    if deadline.is_some_and(|seconds| now.as_second() - run.as_second() > seconds) {
        return None;
    }
    Some(format!("the run of {run}, missed while it was suspended (schedule {schedule:?}), starts at once then"))
}
