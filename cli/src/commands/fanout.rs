//! `hindcast fanout`: publish what is committed, in a process of its own.

use hindcast_fanout::{Metrics, Parts};
use hindcast_journal::Journal;
use prometheus::Registry;

use super::run::{signals::signalled, start::identity};
use crate::{
    args::{FanoutKafka, FanoutVerb},
    context::Context,
    failure::{Exit, Result},
    fanouts::{Begin, Entry, Ready},
    listen, logging, past,
    store::Access,
};

/// Publishes until it is stopped, or another process takes over.
pub(super) async fn run(context: &Context<'_>, verb: &FanoutVerb) -> Result<Exit> {
    let FanoutVerb::Kafka(args) = verb;
    logging::for_run(args.log_format, context.common.verbose, !context.common.no_color);
    let entry = Entry::of_flags(args)?;
    let begin = entry.begin(context)?;
    // A moment of the journal is asked for only once all else is known to be right.
    let Ready { mut settings, target } = entry.ready(hindcast_fanout::From::Now)?;
    settings.every = args.cursor_every;
    let (location, cluster) = past::place(context, Access::Read).await?;
    let journal = Journal::open(location.store.clone(), &location.prefix, &cluster, context.parts.clone());
    settings.from = match begin {
        Begin::At(from) => from,
        Begin::Of(t) => {
            let mut past = past::open_cluster(context, &location, &cluster).await?;
            hindcast_fanout::From::Time(past.at(&t, false).await?.moment().time)
        }
    };
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let served = serve(args, registry).await?;
    let holder = crate::fanouts::holder(identity(&context.parts));
    let parts = Parts { journal, target, holder, news: None, metrics };
    let mut exit = Exit::Done;
    let ended = hindcast_fanout::run(settings, parts, async { exit = signalled().await }).await;
    if let Some(served) = served {
        served.abort();
    }
    ended?;
    Ok(exit)
}

/// Serves the figures, if an address was given.
async fn serve(args: &FanoutKafka, registry: Registry) -> Result<Option<tokio::task::JoinHandle<()>>> {
    let Some(address) = args.listen else { return Ok(None) };
    let listener = listen::bind(address).await?;
    Ok(Some(tokio::spawn(listen::serve_figures(listener, registry))))
}
