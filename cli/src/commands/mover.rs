//! `hindcast mover backup|restore|list|forget|prune|password`: the files of volumes, as a Pod of the node moves them.
//!
//! Not shown in the help: what starts such Pods knows its words. How far a copy is goes to standard error, with `-o json` as
//! lines of JSON to standard output, and what came of it last.

use std::{sync::Arc, time::Duration};

use hindcast_journal::{layout::Layout, store::Store};
use hindcast_mover::{Key, Marks, Meter, Repository};
use serde::Serialize;

use crate::{
    args::{MoverArgs, MoverVerb, Output},
    context::Context,
    failure::{Exit, Failure, Result},
    movers, past,
    store::Access,
};

/// How often it is told how far a copy is.
const TELL: Duration = Duration::from_secs(2);

/// Moves files.
pub(super) async fn run(context: &Context<'_>, args: &MoverArgs) -> Result<Exit> {
    let (location, cluster) = past::place(context, Access::Move).await?;
    let keys = keys(context, args, &cluster)?;
    if matches!(args.verb, MoverVerb::Password) {
        // The newest one: the first key of the file.
        let newest = keys.first().map(Key::password).unwrap_or_default();
        context.printer.data(&format!("{newest}\n"));
        return Ok(Exit::Done);
    }
    let layout = Layout::new(&location.prefix, &cluster);
    let repository = Repository::new(&Store::new(location.store, layout, context.parts.clone()), keys);
    match &args.verb {
        MoverVerb::Backup { source, point, name, volume, claim } => {
            let marks = Marks { point: point.clone(), name: name.clone(), index: *volume, claim: claim.clone() };
            let meter = Meter::new(context.parts.clone());
            let kept = told(context, &meter, repository.backup(source, &marks, &meter)).await?;
            for missed in &kept.missed {
                context.printer.warning(format!("not read: {missed}"));
            }
            finish(context, &kept, &format!("kept {} as {}", kept.marks.claim, kept.id))?;
            // What could not be read is in what is kept; whoever started this looks there.
            Ok(Exit::Done)
        }
        MoverVerb::Restore { id, target } => {
            let meter = Meter::new(context.parts.clone());
            let restored = told(context, &meter, repository.restore(id, target, &meter)).await?;
            for differs in &restored.differs {
                context.printer.warning(format!("not as it was: {differs}"));
            }
            finish(context, &restored, &format!("put {id} back into {}", target.display()))?;
            Ok(Exit::Done)
        }
        MoverVerb::List { point } => {
            for kept in repository.list(point.as_deref()).await? {
                let text = format!("{} {} {} {} B", kept.id, kept.marks.point, kept.marks.claim, kept.bytes);
                finish(context, &kept, &text)?;
            }
            Ok(Exit::Done)
        }
        MoverVerb::Forget { ids } => {
            repository.forget(ids).await?;
            Ok(Exit::Done)
        }
        MoverVerb::Prune { grace } => {
            let pruned = repository.prune(*grace).await?;
            let text = format!("removed {} B, marked {} B, {} B are used", pruned.removed, pruned.marked, pruned.used);
            finish(context, &pruned, &text)?;
            Ok(Exit::Done)
        }
        MoverVerb::Password => Ok(Exit::Done),
    }
}

/// The repository's keys: of the password that a Pod is given, or of the journal's key file.
fn keys(context: &Context<'_>, args: &MoverArgs, cluster: &str) -> Result<Vec<Key>> {
    if let Some(path) = &args.password_file {
        let what = format!("password file {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::new(what, error.to_string()))?;
        return Ok(vec![Key::parse(&text)?]);
    }
    movers::keys(context, cluster)
}

/// Carries a copy out, and tells how far it is.
async fn told<T>(
    context: &Context<'_>,
    meter: &Arc<Meter>,
    copy: impl Future<Output = hindcast_journal::Result<T>>,
) -> Result<T> {
    let mut copy = std::pin::pin!(copy);
    loop {
        if let Some(done) = context.parts.timeout(TELL, &mut copy).await {
            return Ok(done?);
        }
        let report = meter.report();
        match context.common.output {
            Output::Json => finish(context, &report, "")?,
            _ => context.printer.progress(&report.to_string()),
        }
    }
}

/// Prints what came of it.
fn finish(context: &Context<'_>, value: &impl Serialize, text: &str) -> Result<()> {
    match context.common.output {
        Output::Json => {
            let json = serde_json::to_string(value).map_err(|error| Failure::new("the outcome", error.to_string()))?;
            context.printer.data(&format!("{json}\n"));
        }
        _ => context.printer.data(&format!("{text}\n")),
    }
    Ok(())
}
