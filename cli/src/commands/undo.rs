//! `hindcast undo`: takes a restore back, as an ordinary plan towards what it replaced.

use super::execute::{self, Work};
use crate::{
    args,
    context::Context,
    failure::{Exit, Result},
    rollback, scope,
};

/// Answers `undo`.
pub(super) async fn run(context: &Context<'_>, args: &args::Undo) -> Result<Exit> {
    execute::run(context, &args.going, async {
        let mut past = rollback::open(context).await?;
        let cluster = rollback::cluster(context, &past).await?;
        let records = rollback::records(context, &mut past, args.going.record_dir.as_deref()).await?;
        let record = records.open(&args.id).await?;
        let widen = scope::widen(&args.widen, &mut past).await?;
        let compared = cluster.session.undo(&mut past.timeline, &record, &widen).await?;
        let gaps = rollback::judge(context, &mut past, &compared).await?;
        Work::planned(past, cluster, compared.prepared, (String::new(), gaps), &args.going).await
    })
    .await
}
