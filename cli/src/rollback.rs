//! The one door to restores: the right cluster, what a scope becomes as a plan, and where records are kept.
//!
//! **Invariants.** (1) Nothing is read of a cluster, let alone written, that is not the journal's own [`cluster`]. (2) A
//! moment that is not known exactly is refused, whatever flags are given [`open`]. (3) Only [`crate::commands`] that were
//! confirmed write.

use std::{path::Path, time::Duration};

use hindcast_journal::{
    Journal, Moment, Past,
    cut::MAIN,
    facts::{Discovery, Uncovered},
};
use hindcast_restorer::{
    Desired, Known, Live, Plan, Prepared, Protection, Records, Selection,
    live::{self, Listed},
    prepare,
    selection::What,
};
use kube::Client;

use crate::{
    commands::Context,
    failure::{Failure, Result},
    kubeconfig,
    moment::{T, rfc3339},
    past::{self, Reading, kind_name},
    store::{self, Access},
    view::Gap,
    words::CommandLine,
};

/// How long the API server may take to say which cluster it is.
const LIMIT: Duration = Duration::from_secs(10);

/// The cluster of the context, which is the journal's.
pub(crate) struct Cluster {
    /// To reach it.
    pub(crate) client: Client,
    /// The context's name.
    pub(crate) context: String,
    /// The API server's address.
    pub(crate) server: String,
}

/// A plan, and the gaps of its kinds since the moment.
pub(crate) struct Compared {
    /// The plan with its bodies.
    pub(crate) prepared: Prepared,
    /// What was missed since.
    pub(crate) gaps: Vec<Gap>,
}

/// Opens the journal for a restore.
pub(crate) async fn open<'a>(context: &'a Context<'a>) -> Result<Reading<'a>> {
    if context.common.allow_stale {
        return Err(Failure::new("--allow-stale", "a restore needs a moment that is known exactly")
            .hint("leave it out; readers (diff, get, show) take it"));
    }
    let mut past = past::open(context).await?;
    past.exact = true;
    Ok(past)
}

/// The cluster of the context; refused if it is another one than the journal's.
pub(crate) async fn cluster(context: &Context<'_>, past: &Reading<'_>) -> Result<Cluster> {
    let reach = kubeconfig::reach(context, kubeconfig::interaction())?;
    let server = reach.server();
    let name = kubeconfig::context_name(context.common);
    // A plugin that asks somebody to log in has all the time of that.
    reach.log_in().await?;
    let client = reach.connect()?;
    let asked = kubeconfig::cluster_uid(&client, &reach);
    #[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
    let uid = tokio::time::timeout(LIMIT, asked).await.map_err(|_| {
        Failure::new(format!("the API server {server}"), format!("did not answer within {} s", LIMIT.as_secs()))
            .hint("the past can be read without it: hindcast get, show, diff, log")
    })??;
    let name = name.map_or_else(|| "the cluster of this Pod".to_owned(), |name| format!("context \"{name}\""));
    let wanted = past.journal.cluster();
    if uid != wanted {
        return Err(Failure::new(name, format!("is cluster {uid}, the journal is of {wanted}")).hint(
            "--context chooses another context, --journal and --cluster another journal: a restore puts a cluster's own \
             past back; to restore elsewhere use clone, which is not built yet",
        ));
    }
    Ok(Cluster { client, context: name, server })
}

/// The past at the moment that T is; refused if it is not known exactly.
pub(crate) async fn at(past: &mut Reading<'_>, t: &T) -> Result<Past> {
    past.at(t, false).await
}

/// T, as it can be asked again at any time and means the same.
pub(crate) fn again(t: &T, moment: &Moment) -> String {
    let main = moment.cut.domains.get(MAIN).copied();
    match t {
        T::Time(time) => rfc3339(*time),
        T::Rev(rv, incarnation) => {
            format!("rev:{rv}@{}", incarnation.or(main.map(|p| p.incarnation)).unwrap_or(0))
        }
        T::Pos(pos) => format!("pos:{pos}"),
        T::Now => format!("rev:{}@{}", moment.cut.rev(), main.map_or(0, |p| p.incarnation)),
        T::Before(t) => format!("before:{}", again(t, moment)),
    }
}

/// The plan that puts a selection back to a moment.
pub(crate) async fn plan(
    context: &Context<'_>,
    past: &mut Reading<'_>,
    cluster: &Cluster,
    then: &Past,
    selection: &Selection,
) -> Result<Compared> {
    let desired = Desired::gather(&mut past.timeline, then, selection).await?;
    protected(context, selection, &desired)?;
    compare(context, past, cluster, selection, &desired).await
}

/// Refuses an object whose kind was not protected: nothing is known of it. Of a namespace or a cluster the others are
/// put back, and the kind is named.
fn protected(context: &Context<'_>, selection: &Selection, desired: &Desired) -> Result<()> {
    let What::Object { kind, .. } = &selection.what else { return Ok(()) };
    let Some((_, Protection::NotProtected(end))) = desired.kinds.get(kind) else { return Ok(()) };
    if end.as_ref().is_some_and(|end| end.reason == Uncovered::Gone) {
        return Ok(());
    }
    let time = context.wall.show(desired.time);
    let why = past::why(end.as_ref());
    Err(Failure::new(kind_name(kind), format!("not protected at {time}: {why}"))
        .hint("nothing is known of it then; `hindcast status` shows since when each kind is protected"))
}

/// The plan that makes the live state what is desired.
pub(crate) async fn compare(
    context: &Context<'_>,
    past: &mut Reading<'_>,
    cluster: &Cluster,
    selection: &Selection,
    desired: &Desired,
) -> Result<Compared> {
    past.catch_up(|kind| selection.wants_kind(&kind.kind_key(), kind.namespaced)).await?;
    let known = Known::gather(&mut past.timeline, selection).await?;
    let served = known.kinds.values().map(|kind| &kind.discovery);
    let served: Vec<_> = served.filter(|kind| !kind.resource.is_empty() && !kind.gone).cloned().collect();
    let live = live::read(&cluster.client, &context.parts, &served, selection, desired).await?;
    exists(selection, desired, &live)?;
    let prepared = prepare(selection, desired, &live, &known);
    let mut gaps = Vec::new();
    let wanted = |kind: &Discovery| selection.wants_kind(&kind.kind_key(), kind.namespaced);
    for (key, kind) in known.kinds.iter().filter(|(_, kind)| wanted(&kind.discovery)) {
        let since = kind.gaps.iter().filter(|(_, gap)| gap.time_to >= desired.time);
        gaps.extend(since.map(|(_, gap)| Gap::new(&kind_name(key), gap)));
    }
    for text in &prepared.plan.reservations {
        past.reserve("plan", text.clone());
    }
    Ok(Compared { prepared, gaps })
}

/// The plan of a restore that was interrupted before its first write, made again.
pub(crate) async fn anew(
    context: &Context<'_>,
    past: &mut Reading<'_>,
    cluster: &Cluster,
    records: &Records,
    plan: &Plan,
) -> Result<Prepared> {
    let selection = &plan.selection;
    let desired = match &plan.undoes {
        Some(id) => records.open(id).await?.desired().await?,
        None => {
            let then = past.at_cut(&plan.cut, plan.time).await?;
            Desired::gather(&mut past.timeline, &then, selection).await?
        }
    };
    Ok(compare(context, past, cluster, selection, &desired).await?.prepared)
}

/// Refuses a scope that names nothing, then or now: more likely it is misspelt than meant.
fn exists(selection: &Selection, desired: &Desired, live: &Live) -> Result<()> {
    let nothing = desired.keys().next().is_none() && live.objects.is_empty() && live.unprotected.is_empty();
    let unread = |listed: &Listed| matches!(listed, Listed::Forbidden(_) | Listed::Failed(_));
    let whole = !live.kinds.values().any(unread);
    // By labels nothing may well be found.
    if !nothing || !whole || !selection.labels.is_empty() {
        return Ok(());
    }
    let what = crate::render::plan::what(selection);
    Err(Failure::new(what, "was not there then, and is not now")
        .hint("hindcast get and hindcast log show what there was; check the name and the namespace"))
}

/// Where records of restores are: in the journal's bucket, or in a folder of their own.
pub(crate) async fn records(context: &Context<'_>, past: &mut Reading<'_>, folder: Option<&Path>) -> Result<Records> {
    let store = match folder {
        None => past.journal.store().clone(),
        Some(folder) => {
            let place = store::open(&folder.display().to_string(), Access::Write)?;
            let parts = context.parts.clone();
            Journal::open(place.store, &place.prefix, past.journal.cluster(), parts).store().clone()
        }
    };
    let plaintext = past.secrets().await?.as_deref() == Some("plaintext");
    let rules = past.timeline.rules().clone();
    Ok(Records::new(store, past::keys(context)?, plaintext).with_rules(rules).with_words(&CommandLine))
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
