//! The way to restores: the right cluster, a moment that is known exactly, where records are kept, and what a plan leaves
//! to be said.
//!
//! **Invariants.** (1) Nothing is read of a cluster that is not the journal's own [`cluster`]. (2) A moment that is not
//! known exactly is refused, whatever flags are given [`open`]. Not here: how a restore goes
//! ([`hindcast_restorer::Session`]).

use std::{path::Path, time::Duration};

use hindcast_journal::Journal;
use hindcast_restorer::{
    Records, Selection,
    plan::Nowhere,
    selection::{Reach, What},
    session::{Compared, Session, Unopened},
};

use crate::{
    context::Context,
    failure::{Failure, Result},
    kubeconfig, movers,
    names::kind_name,
    past::{self, Reading},
    paths, render,
    store::{self, Access},
    view::Gap,
    words::CommandLine,
};

/// How long the API server may take to say which cluster it is.
const LIMIT: Duration = Duration::from_secs(10);

/// The cluster of the context, which is the journal's.
pub(crate) struct Cluster {
    /// What is done to it.
    pub(crate) session: Session,
    /// What else asks it.
    pub(crate) client: kube::Client,
    /// The context's name.
    pub(crate) context: String,
    /// The API server's address.
    pub(crate) server: String,
}

/// Opens the journal for a restore.
pub(crate) async fn open<'a>(context: &'a Context<'a>) -> Result<Reading<'a>> {
    if context.common.allow_stale {
        return Err(Failure::new("--allow-stale", "a restore needs a moment that is known exactly")
            .hint("leave it out; readers (diff, get, show) take it"));
    }
    let mut past = past::open_quietly(context).await?;
    past.exact = true;
    Ok(past)
}

/// The cluster of the context; refused if it is another one than the journal's.
pub(crate) async fn cluster(context: &Context<'_>, past: &Reading<'_>) -> Result<Cluster> {
    let reach = kubeconfig::reach(context, kubeconfig::interaction())?;
    let server = reach.server();
    // A plugin that asks somebody to log in has all the time of that.
    reach.log_in().await?;
    let name = kubeconfig::context_name(context.common);
    let name = name.map_or_else(|| "the cluster of this Pod".to_owned(), |name| format!("context \"{name}\""));
    let client = reach.connect()?;
    match Session::open(client.clone(), &past.timeline, LIMIT, context.common.wait).await {
        Ok(session) => {
            let session = session.with_movers(movers::at_hand(context, past.journal.cluster())?);
            Ok(Cluster { session, client, context: name, server })
        }
        Err(unopened @ Unopened::Another { .. }) => Err(Failure::new(name, unopened.to_string()).hint(
            "--context chooses another context, --journal and --cluster another journal: a restore puts a cluster's own \
             past back; to restore elsewhere use clone, which is not built yet",
        )),
        Err(unopened @ Unopened::Silent(_)) => {
            Err(reach.refused(&unopened).hint("the past can be read without it: hindcast get, show, diff, log"))
        }
        Err(unopened) => Err(reach.refused(&unopened)),
    }
}

/// Says what is to be known of a plan beside it, and gives the gaps of its kinds since the moment; refuses a scope that names
/// nothing, then or now.
pub(crate) async fn judge(context: &Context<'_>, past: &mut Reading<'_>, compared: &Compared) -> Result<Vec<Gap>> {
    let Compared { prepared, gaps, late, waited, is_of_nothing, nowhere, bypassed } = compared;
    past.tell_of_bypass(bypassed.as_deref()).await;
    if let Some(error) = late {
        context.printer.note(format!("note: the newest changes may not be known yet: {error}"));
    }
    if context.common.verbose > 0 {
        context.printer.note(format!("waited {} ms for the cut of now to close", waited.as_millis()));
    }
    if *is_of_nothing {
        let what = render::plan::what(&prepared.plan.selection);
        return Err(Failure::new(what, "was not there then, and is not now")
            .hint("hindcast get and hindcast log show what there was; check the name and the namespace"));
    }
    let selection = &prepared.plan.selection;
    if let Some(Nowhere { path, nearest }) = nowhere {
        let narrowed = Selection { path: None, ..selection.clone() };
        let what = render::plan::what(&narrowed);
        let failure =
            Failure::new(format!("path {}", paths::spell(path)), format!("is in no object of {what}, then or now"));
        return Err(match nearest {
            Some(nearest) => failure.hint(format!("did you mean {}?", paths::spell(nearest))),
            None => failure.hint("hindcast show prints an object with all its fields"),
        });
    }
    past.reserve_uncertain(|key| selection.reach(key) != Reach::Out);
    for reservation in &prepared.plan.reservations {
        past.reserve("plan", reservation.to_string());
    }
    Ok(gaps.iter().map(|(kind, gap)| Gap::new(&kind_name(kind), gap)).collect())
}

/// Where records of restores are: in the journal's bucket, or in a folder of their own.
pub(crate) async fn records(context: &Context<'_>, past: &mut Reading<'_>, folder: Option<&Path>) -> Result<Records> {
    let elsewhere = match folder {
        None => None,
        Some(folder) => {
            let place = store::open(&folder.display().to_string(), Access::Write)?;
            let parts = context.parts.clone();
            Some(Journal::open(place.store, &place.prefix, past.journal.cluster(), parts).store().clone())
        }
    };
    Ok(Records::of(&mut past.timeline, elsewhere).await?.with_words(&CommandLine))
}

/// The name that is typed to confirm deletes: of the namespace, or of the object where it has none, or `all`.
pub(crate) fn word(selection: &Selection) -> &str {
    match &selection.what {
        What::Namespace(namespace) => namespace,
        What::Object { namespace, name, .. } if namespace.is_empty() => name,
        What::Object { namespace, .. } => namespace,
        What::All => "all",
    }
}
