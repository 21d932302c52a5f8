//! `hindcast point` as text.

use hindcast_journal::point::Point;

use super::table;
use crate::{
    context::Context,
    printer::Text,
    view::{PointPlan, RecoveryPoint, RecoveryPoints},
};

/// Prints all points as a table.
pub(crate) fn list(context: &Context<'_>, points: &[Point], view: &RecoveryPoints) {
    let heading = format!("AT ({})", context.wall.zone_name());
    let headings = ["NAME", "STATE", heading.as_str(), "REV", "VOLUMES", "SIZE", "EXPIRES", "SCOPE"];
    let made = points.iter().zip(&view.points).map(|(point, shown)| {
        let usable = point.is_usable();
        let snapshots = point.snapshots();
        let wanted = point.volumes.iter().filter(|volume| !volume.wanted).count();
        vec![
            shown.name.clone(),
            shown.state.to_owned(),
            if usable { context.wall.show_change(point.time) } else { "-".to_owned() },
            point.cut().domains.get(hindcast_journal::cut::MAIN).map_or_else(|| "-".to_owned(), |at| at.rv.to_string()),
            if snapshots == wanted { snapshots.to_string() } else { format!("{snapshots} of {wanted}") },
            size(point.bytes()),
            point.about.expires.map_or_else(|| "never".to_owned(), |time| context.wall.show_change(time)),
            scope(shown),
        ]
    });
    let going = view.going.iter().map(|going| vec![going.name.clone(), going.stage.to_owned()]);
    let rows: Vec<Vec<String>> = made.chain(going).collect();
    if rows.is_empty() {
        context.printer.note("no recovery points; `hindcast point create NAME -n NAMESPACE` makes one");
        return;
    }
    for line in table::lines(&headings, rows) {
        context.printer.line(&Text::plain(line));
    }
}

/// Prints one point.
pub(crate) fn show(context: &Context<'_>, point: &Point) {
    let shown = RecoveryPoint::new(point);
    let line = |text: String| context.printer.line(&Text::plain(text));
    line(format!("point {}: {}", shown.name, shown.state));
    if point.is_usable() {
        line(format!("  at        {} = rev {}", context.wall.show(point.time), point.cut().rev()));
        line(format!("  volumes   taken between rev {} and {}", point.between.0, point.between.1));
    }
    line(format!("  scope     {}", scope(&shown)));
    if !shown.schedule.is_empty() {
        line(format!("  schedule  {}", shown.schedule));
    }
    line(format!("  made      {}", context.wall.show_millis(point.made)));
    line(format!(
        "  expires   {}",
        point.about.expires.map_or_else(|| "never".to_owned(), |time| context.wall.show_millis(time))
    ));
    volumes(context, &shown.volumes);
    if !shown.hooks.is_empty() {
        line(String::new());
        let rows = shown.hooks.iter().map(|hook| {
            let outcome = hook.failed.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("failed: {why}"));
            let pod = format!("{}/{}", hook.namespace, hook.pod);
            vec![hook.phase.to_owned(), pod, hook.container.clone(), format!("{} ms", hook.milliseconds), outcome]
        });
        for text in table::lines(&["HOOK", "POD", "CONTAINER", "TOOK", "OUTCOME"], rows.collect()) {
            line(text);
        }
    }
    for (what, texts) in [("missing", &shown.missing), ("warning", &shown.warnings)] {
        for text in texts {
            line(format!("{what}: {text}"));
        }
    }
}

/// Prints what a point would take.
pub(crate) fn plan(context: &Context<'_>, plan: &PointPlan) {
    let line = |text: String| context.printer.line(&Text::plain(text));
    volumes(context, &plan.volumes);
    if !plan.hooks.is_empty() {
        line(String::new());
        let rows = plan.hooks.iter().map(|hook| {
            let pod = format!("{}/{}", hook.namespace, hook.pod);
            vec![hook.phase.to_owned(), pod, hook.container.clone(), hook.source.clone(), hook.command.join(" ")]
        });
        for text in table::lines(&["HOOK", "POD", "CONTAINER", "FROM", "COMMAND"], rows.collect()) {
            line(text);
        }
    }
    if plan.volumes.is_empty() && plan.hooks.is_empty() {
        context.printer.note("no volumes and no hooks: the point is the closed cut alone");
    }
    for warning in &plan.warnings {
        context.printer.warning(warning);
    }
}

fn volumes(context: &Context<'_>, volumes: &[crate::view::PointVolume]) {
    if volumes.is_empty() {
        return;
    }
    context.printer.line(&Text::plain(""));
    let rows = volumes.iter().map(|volume| {
        let snapshot = match (&volume.snapshot, &volume.why) {
            (Some(handle), _) => handle.clone(),
            (None, Some(why)) => format!("- {why}"),
            (None, None) => String::new(),
        };
        let zone = volume.zone.clone().unwrap_or_default();
        let claim = format!("{}/{}", volume.namespace, volume.claim);
        let by = match (&volume.by, &volume.group) {
            (Some(by), Some(group)) => format!("{by}, group {group}"),
            (Some(by), None) => by.clone(),
            (None, _) => String::new(),
        };
        vec![claim, volume.driver.clone(), volume.class.clone(), size(volume.capacity), zone, by, snapshot]
    });
    for text in table::lines(&["CLAIM", "DRIVER", "CLASS", "CAPACITY", "ZONE", "BY", "SNAPSHOT"], rows.collect()) {
        context.printer.line(&Text::plain(text));
    }
}

fn scope(point: &RecoveryPoint) -> String {
    let mut out = match point.namespaces.is_empty() {
        true => "all namespaces".to_owned(),
        false => point.namespaces.join(","),
    };
    if !point.excluded_namespaces.is_empty() {
        out.push_str(" but ");
        out.push_str(&point.excluded_namespaces.join(","));
    }
    if !point.selector.is_empty() {
        out.push_str(" with ");
        out.push_str(&point.selector);
    }
    out
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    match bytes {
        0 => "-".to_owned(),
        _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}
