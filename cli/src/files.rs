//! The files of a journal and the rows in them, as they are.

use hindcast_journal::{
    Journal, Position, Row,
    checkpoint::Manifest,
    error::ErrorKind,
    fold::{Entry, Scope},
    layout::Layout,
    level::Merged,
    row::Body,
};

use crate::{
    failure::{Failure, Result},
    view::File,
};

/// A segment with what its metadata says; what is wrong with it is shown, and the rest goes on.
pub(crate) async fn open(journal: &Journal, mut file: File, number: Option<u64>) -> File {
    let Some(number) = number else { return file };
    match journal.segment(number).await {
        Ok(segment) => {
            let meta = segment.meta;
            file.first = Some(meta.first);
            file.last = Some(meta.last);
            file.epoch = Some(meta.epoch);
            file.writer = Some(meta.writer);
            file.written = Some(crate::moment::rfc3339(meta.time));
            file.closed_rev = meta.frontier.get(hindcast_journal::cut::MAIN).map(|p| p.rv);
        }
        Err(error) => file.error = Some(error.to_string()),
    }
    file
}

/// The rows of a file, a position or a range.
pub(crate) async fn rows(journal: &Journal, what: &str) -> Result<Vec<Row>> {
    if let Some((from, to)) = range(what) {
        return positions(journal, from, to).await;
    }
    if let Some((level, first, last)) = Layout::numbers(what) {
        let segments = Merged::read_named(journal, level, first..=last).await?;
        return Ok(segments.iter().flat_map(|segment| segment.rows.iter()).cloned().collect());
    }
    let name = what.rsplit('/').next().unwrap_or(what);
    let path = object_store::path::Path::from(name);
    let refuse = || {
        Failure::new(format!("`{what}`"), "not a file with rows, a position or a range of positions")
            .hint("hindcast journal ls lists files; a range is 4700-4720")
    };
    let number = Layout::number(&path).ok_or_else(refuse)?;
    if !what.contains("checkpoints/") {
        return match journal.segment(number).await {
            // One that was removed is in a merged file.
            Err(error) if error.kind() == ErrorKind::NotFound && number < journal.boundary().await? => {
                let segments = journal.segments(number..number + 1).await?;
                Ok(segments.into_iter().flat_map(|segment| segment.rows.to_vec()).collect())
            }
            read => Ok(read?.rows.to_vec()),
        };
    }
    let manifest = Manifest::read(journal).await?;
    let checkpoint = manifest
        .newest(journal, |c| c.pos <= number)
        .await?
        .filter(|c| c.pos == number)
        .ok_or_else(|| Failure::new(format!("`{what}`"), "no checkpoint of the newest manifest"))?;
    let state = checkpoint.load(journal, &Scope::default()).await?;
    Ok(state.objects.values().map(full).collect())
}

/// The row that a checkpoint holds for an object.
fn full(entry: &Entry) -> Row {
    let mut row = entry.row.clone();
    row.change.body = Body::Object(entry.public());
    row.change.managed_fields = Some(entry.managed()).filter(|m| !m.is_empty());
    row.change.state_hash = entry.hash();
    row.change.cells = entry.cells.values().cloned().collect();
    row
}

/// A position, or two with a dash between.
fn range(what: &str) -> Option<(Position, Position)> {
    let what = what.strip_prefix("pos:").unwrap_or(what);
    // The 20 digits of a segment's name are a name.
    let number = |text: &str| (text.len() < 20).then(|| text.parse().ok()).flatten();
    match what.split_once('-') {
        Some((from, to)) => Some((number(from)?, number(to)?)),
        None => number(what).map(|pos| (pos, pos)),
    }
}

async fn positions(journal: &Journal, from: Position, to: Position) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    let mut tail = journal.tail(from).await?;
    while let Some(run) = tail.ready().await? {
        found.extend(run.rows.iter().filter(|row| (from..=to).contains(&row.pos)).cloned());
        if run.meta.last >= to {
            break;
        }
    }
    if found.is_empty() {
        let numbers = journal.segments_after(0).await?;
        let last = match numbers.is_empty() {
            true => 0,
            false => journal.segment(numbers.end - 1).await?.meta.last,
        };
        return Err(Failure::new(
            format!("positions {from} to {to}"),
            format!("not in the journal, whose last is {last}"),
        ));
    }
    Ok(found)
}
