//! `hindcast blame` as text: each line of the object's YAML beside the change that gave it its value.

use hindcast_journal::exact::Value;
use hindcast_restorer::blame::{Blame, Origin};

use super::{author, table, yaml};
use crate::{
    context::Context,
    printer::{Style, Text},
};

/// Prints an object with the origin of each line. `object` is what may be shown of it.
pub(crate) fn print(context: &Context<'_>, blame: &Blame, object: &Value) {
    let lines = yaml::lines(object);
    let origins: Vec<Option<Origin>> = lines.iter().map(|line| blame.origin(&line.pointer)).collect();
    let rows = origins.iter().zip(lines).map(|(origin, line)| {
        let mut row = origin.as_ref().map_or_else(|| vec![String::new(); 4], |o| cells(context, o));
        row.push(format!("| {}", line.text));
        row
    });
    let heading = format!("TIME ({})", context.wall.zone_name());
    let mut laid = table::lines(&[heading.as_str(), "POS", "REV", "BY", "|"], rows.collect()).into_iter();
    if let Some(headings) = laid.next() {
        let mut line = Text::default();
        line.push(Style::Dim, headings);
        context.printer.line(&line);
    }
    for (origin, text) in origins.iter().zip(laid) {
        // What was there from the beginning steps back; what somebody did since stands out.
        let old = origin.as_ref().is_none_or(|origin| origin.first);
        let mut line = Text::default();
        line.push(if old { Style::Dim } else { Style::Plain }, text);
        context.printer.line(&line);
    }
}

fn cells(context: &Context<'_>, origin: &Origin) -> Vec<String> {
    let time = context.wall.show_change(origin.time);
    let by = match (origin.manager.as_str(), origin.subresource.as_str()) {
        // What nobody owns was there from the beginning, or somebody has changed it since.
        ("", _) if origin.first => String::new(),
        (manager, subresource) => author(manager, subresource),
    };
    vec![
        if origin.listed { format!("before {time}") } else { time },
        origin.pos.to_string(),
        origin.rev.to_string(),
        by,
    ]
}
