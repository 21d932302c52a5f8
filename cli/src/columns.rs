//! The columns of `hindcast get`: a table for the kinds everybody looks at, a CRD's own columns at T for the rest.
//!
//! **Words**: a *wide* column is shown with `-o wide` only.
//!
//! **Invariants.** (1) Ages are relative to T, not to now: a past answer shows what kubectl showed then. (2) A
//! field that is missing or of an unexpected type makes an empty cell, never an error: the past holds what it holds.
//!
//! Not here: which objects there are, and laying the table out (`render::table`). It is not a copy of the API
//! server's tables, only of what people read in them.

use hindcast_journal::{exact::Value, facts::Discovery, parts::Micros};

use self::jsonpath::Path;

mod builtin;
mod jsonpath;
#[cfg(test)]
mod tests;

/// How a cell comes out of an object.
#[derive(Debug, Clone)]
enum Cell {
    /// A function of ours.
    Own(fn(&Value, Micros) -> String),
    /// A path, and whether what is there is a date.
    Path(Path, bool),
    /// A path that cannot be read: the column stays, empty.
    Unknown,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) heading: String,
    /// Whether it is shown with `-o wide` only.
    wide: bool,
    cell: Cell,
}

impl Column {
    fn own(heading: &str, cell: fn(&Value, Micros) -> String) -> Self {
        Self { heading: heading.to_owned(), wide: false, cell: Cell::Own(cell) }
    }

    fn wide(heading: &str, cell: fn(&Value, Micros) -> String) -> Self {
        Self { wide: true, ..Self::own(heading, cell) }
    }

    /// The cell for an object as it was at `time`.
    pub(crate) fn cell(&self, object: &Value, time: Micros) -> String {
        match &self.cell {
            Cell::Own(cell) => cell(object, time),
            Cell::Unknown => String::new(),
            Cell::Path(path, is_date) => {
                let found = path.find(object);
                if *is_date {
                    found.first().map_or_else(String::new, |value| age_of(value, time))
                } else {
                    found.iter().map(|value| text(value)).collect::<Vec<_>>().join(",")
                }
            }
        }
    }
}

/// The columns of a kind after NAME.
pub(crate) fn of(kind: &Discovery, wide: bool) -> Vec<Column> {
    let mut columns = match builtin::of(&kind.group, &kind.resource) {
        Some(columns) => columns,
        None => custom(kind),
    };
    columns.retain(|column| wide || !column.wide);
    columns
}

fn custom(kind: &Discovery) -> Vec<Column> {
    if kind.columns.is_empty() {
        return vec![Column::own("AGE", age)];
    }
    kind.columns
        .iter()
        .map(|column| Column {
            heading: column.name.to_uppercase(),
            wide: column.priority > 0,
            cell: Path::parse(&column.json_path).map_or(Cell::Unknown, |path| Cell::Path(path, column.type_ == "date")),
        })
        .collect()
}

/// How old an object was at `time`.
fn age(object: &Value, time: Micros) -> String {
    object.pointer("/metadata/creationTimestamp").map_or_else(|| "<unknown>".to_owned(), |stamp| age_of(stamp, time))
}

fn age_of(stamp: &Value, time: Micros) -> String {
    stamp
        .as_str()
        .and_then(|stamp| stamp.parse::<jiff::Timestamp>().ok())
        .map_or_else(|| "<unknown>".to_owned(), |stamp| span(time - stamp.as_microsecond()))
}

/// A duration as kubectl shows it: two units while they matter, one afterwards.
pub(crate) fn span(micros: Micros) -> String {
    let seconds = micros.div_euclid(1_000_000);
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, small: i64, sub: char| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{sub}") }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, 'm', seconds % 60, 's')
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if days < 730 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, 'y', days % 365, 'd')
    } else {
        format!("{}y", days / 365)
    }
}

/// A value as a cell: strings bare, numbers as their tokens, anything larger as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    }
}
