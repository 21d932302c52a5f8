//! `hindcast journal ls|cat`: the files and rows themselves, so that nobody has to take our word for them.

use futures::StreamExt as _;
use hindcast_journal::{Journal, layout::Layout};

use crate::{
    args::{JournalVerb, Output},
    context::Context,
    failure::{Exit, Result},
    files, past, render,
    view::{File, Files, Row as RowView},
};

/// How many of the newest segments `ls` opens; older ones are listed by name and size.
const OPENED: usize = 1000;

/// Answers `journal`.
pub(super) async fn run(context: &Context<'_>, verb: &JournalVerb) -> Result<Exit> {
    let past = past::open(context).await?;
    match verb {
        JournalVerb::Ls => list(context, &past.journal).await,
        JournalVerb::Cat { what } => {
            let hide = past.hide();
            let rows = files::rows(&past.journal, what).await?;
            if rows.is_empty() {
                context.printer.note("no rows: a file without rows says who writes, or how far was seen");
            }
            for row in rows {
                if !context.printer.is_read() {
                    break;
                }
                render::row(context.printer, context.common.output, &RowView::new(&row, hide))?;
            }
            Ok(Exit::Done)
        }
    }
}

async fn list(context: &Context<'_>, journal: &Journal) -> Result<Exit> {
    let root = journal.store().layout().root().clone();
    let mut listed = journal.store().list(&root, None).await?;
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    let prefix = format!("{root}/");
    let name = |path: &object_store::path::Path| {
        let path = path.to_string();
        path.strip_prefix(&prefix).map_or(path.clone(), str::to_owned)
    };
    let segments = listed.iter().filter(|l| name(&l.path).starts_with("wal/")).count();
    let skip = segments.saturating_sub(OPENED);
    let mut seen = 0;
    let mut found = Vec::with_capacity(listed.len());
    for file in &listed {
        let shown = File { name: name(&file.path), bytes: file.size, ..File::default() };
        let is_segment = shown.name.starts_with("wal/");
        seen += usize::from(is_segment);
        found.push((shown, Layout::number(&file.path).filter(|_| is_segment && seen > skip)));
    }
    let files: Vec<File> = futures::stream::iter(found)
        .map(|(file, number)| files::open(journal, file, number))
        .buffered(16)
        .collect()
        .await;
    let broken = files.iter().any(|file| file.error.is_some());
    let files = Files::new(journal.cluster(), files);
    match context.common.output {
        Output::Json | Output::Yaml => {
            render::document(context.printer, context.common.output, &files)?;
        }
        _ => render::files(context.printer, &context.wall, &files),
    }
    if skip > 0 {
        context.printer.note(format!("note: only the newest {OPENED} of {segments} segments were opened"));
    }
    Ok(if broken { Exit::Failed } else { Exit::Done })
}
