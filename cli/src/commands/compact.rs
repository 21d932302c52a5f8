//! `hindcast compact`: what `run` does by itself, for a journal of which it does not run, or at once.

use hindcast_compactor::{self as compactor, Outlook, Policy};

use crate::{
    args::{Compact, Output},
    context::Context,
    failure::{Exit, Result},
    names::count,
    past, render,
    store::Access,
    view::{Compaction, MergedFile, TableCommit},
};

/// Who wrote a checkpoint that nobody's `run` did.
const WRITER: &str = "hindcast compact";

/// Answers `compact`.
pub(super) async fn run(context: &Context<'_>, args: &Compact) -> Result<Exit> {
    let (location, cluster) = past::place(context, Access::Prove).await?;
    let mut past = past::open_cluster(context, &location, &cluster).await?;
    past.tell_of_bypass(None).await;
    let journal = past.journal;
    let keep = args.keep_raw.and_then(Into::into);
    let policy = Policy { keep, table: !args.no_delta_table, ..Policy::default() };
    let compaction = match args.plan {
        true => Compaction::planned(&Outlook::of(&journal, &policy).await?),
        false => {
            let mut all = Vec::new();
            compactor::compact(&journal, &policy, WRITER, |done| all.push(done)).await?;
            Compaction::done(&all)
        }
    };
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &compaction)?,
        _ => say(context, &compaction),
    }
    Ok(if args.plan && !compaction.is_nothing() { Exit::Differences } else { Exit::Done })
}

fn say(context: &Context<'_>, compaction: &Compaction) {
    if compaction.is_nothing() {
        context.printer.note("nothing to do");
    }
    if let Some(checkpoint) = &compaction.checkpoint {
        context.printer.data(&format!("checkpoint: {checkpoint}\n"));
    }
    for MergedFile { level, first, last, bytes } in &compaction.merged {
        let size = bytes.map_or(String::new(), |bytes| format!(", {bytes} bytes"));
        let segments = count((last - first + 1) as usize, "segment");
        context.printer.data(&format!("merge: {segments} from {first} to {last} into a file of level {level}{size}\n"));
    }
    if let Some(TableCommit { version, position, .. }) = &compaction.table {
        context.printer.data(&format!("delta table: version {version}, up to position {position}\n"));
    }
    if compaction.removed > 0 {
        let segments = count(compaction.removed as usize, "segment");
        context.printer.data(&format!("remove: {segments} that merged files hold too\n"));
    }
}
