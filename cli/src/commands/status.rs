//! `hindcast status`: what is protected, and up to when.

use hindcast_cluster::discovery::API_SERVICES;
use hindcast_fanout::cursor;
use hindcast_journal::{cut::At, fold::Scope, proof};
use hindcast_restorer::View;

use crate::{
    args::Output,
    context::Context,
    failure::{Exit, Result},
    names,
    past::{self, Reading, alias},
    render,
    store::Access,
    view::{Cluster, DeadApi, Fanout, Process, Sealed, Status, Warning},
    words,
};

/// Answers `status`. It ends with 0 whenever the journal could be read: what is wrong is in what it says.
pub(super) async fn run(context: &Context<'_>) -> Result<Exit> {
    let location = past::locate(context, Access::Read)?;
    let (mut clusters, mut warnings) = (Vec::new(), Vec::new());
    let uids = match &context.common.cluster {
        Some(_) => vec![past::open_quietly(context).await?.journal.cluster().to_owned()],
        None => past::clusters(&context.parts, &location).await?,
    };
    for uid in uids {
        let mut past = past::open_cluster(context, &location, &uid).await?;
        let status = past.timeline.status().await?;
        let alias = alias(context, &location, &uid).await?;
        // What was just read may have been written since this command began.
        let mut cluster = Cluster::new(&status, alias, context.parts.clock.now());
        cluster.dead_apis = dead_apis(&mut past).await?;
        cluster.fanouts = fanouts(&past, cluster.last_position).await?;
        let sealed = proof::newest(past.journal.store(), &uid).await;
        let mut warn = |code: &str, message: String| {
            warnings.push(Warning { code: code.to_owned(), message: format!("cluster {uid}: {message}") });
        };
        match sealed {
            Ok(sealed) => cluster.sealed = sealed.map(Sealed::new),
            Err(error) => warn("seal-unreadable", format!("the newest seal cannot be read: {error}")),
        }
        if let Some(hole) = &status.hole {
            let text = format!(
                "this is of before {} of the log, which cannot be read: {}; `hindcast doctor` says what helps",
                hole.what(),
                hole.why
            );
            warn("damaged", text);
        }
        if cluster.secrets == "dropped" {
            warn("secrets-dropped", "Secrets not restorable: no key".to_owned());
        }
        let unstored = status.counts.unstored();
        if unstored > 0 {
            let names: Vec<String> = status.counts.unstored_names().iter().map(names::object_name).collect();
            let again = if cluster.secrets == "dropped" { "with a key" } else { "at its next start" };
            warn(
                "values-not-stored",
                format!(
                    "values of {} are not stored, since there was no key when they were recorded, or none that worked: {}; \
                     `run` reads them again {again}",
                    names::count(unstored as usize, "object"),
                    names::some_of(&names, unstored as usize)
                ),
            );
        }
        if cluster.secrets == "sealed" && status.counts.in_clear() > 0 {
            let secrets = names::count(status.counts.in_clear() as usize, "Secret");
            warn(
                "values-in-clear",
                format!(
                    "the newest version of {secrets} is kept with values in clear; `run` seals them at its next start"
                ),
            );
        }
        for off in past.timeline.bypassed().await? {
            warn("webhooks-bypassed", words::bypassed(&off));
        }
        let lost = cluster.gaps.iter().filter(|gap| gap.grade == "lost").count();
        if lost > 0 {
            warn("lost-gap", names::count(lost, "interval") + " in which changes may be missing");
        }
        clusters.push(cluster);
    }
    let mut process = None;
    if let Some(address) = &context.common.run_address {
        match past::close::role_of(&context.parts, address).await {
            Ok(role) => process = Some(Process::new(address, role)),
            Err(reason) => {
                let message = format!("{address} does not say what it is: {reason}");
                warnings.push(Warning { code: "process-silent".to_owned(), message });
            }
        }
    }
    let mut status = Status::new(&location.url, clusters, warnings);
    status.process = process;
    match context.common.output {
        Output::Json | Output::Yaml => {
            render::document(context.printer, context.common.output, &status)?;
        }
        _ => render::status::print(context, &status),
    }
    Ok(Exit::Done)
}

/// What is published, as far as cursors tell.
async fn fanouts(past: &Reading<'_>, last: u64) -> Result<Vec<Fanout>> {
    let mut out = Vec::new();
    for name in cursor::names(&past.journal).await? {
        if let Some(fact) = cursor::read(&past.journal, &name).await? {
            out.push(Fanout::new(name, fact, last));
        }
    }
    Ok(out)
}

/// The aggregated APIs that do not answer, as far as the journal knows.
async fn dead_apis(past: &mut Reading<'_>) -> Result<Vec<DeadApi>> {
    let newest = past.timeline.at(&At::NowOpen).await?;
    let scope = Scope { kinds: Some(vec![API_SERVICES.to_owned()]), ..Scope::default() };
    let services = View::of(&newest, &scope).await?.objects;
    Ok(services.iter().filter_map(|service| DeadApi::of(&service.value)).collect())
}
