//! `hindcast verify`: whether the journal is what was written.

use hindcast_cluster::notice;
use hindcast_journal::{
    Journal, Position,
    proof::{self, Trust},
    verify::{self, Asked},
};
use hindcast_restorer::session::{Session, prove::Proof};

use super::run::told;
use crate::{
    args::{Output, Verify},
    context::Context,
    ending,
    failure::{Exit, Failure, Result},
    kubeconfig::{self, Interaction},
    past, progress, render,
    store::Access,
    view::{Stand, Verification},
};

/// Answers `verify`. The journal is not opened for reading, which damage would refuse.
pub(super) async fn run(context: &Context<'_>, args: &Verify) -> Result<Exit> {
    let mut asked = asked(context, &args.public_key, args.known.as_deref())?;
    let (location, cluster) = past::place(context, Access::Prove).await?;
    let stand =
        if args.live { stand(context, (&location.url, &cluster), &asked.trust).await? } else { Stand::default() };
    asked.told.clone_from(&stand.told);
    let journal = Journal::open(location.store.clone(), &location.prefix, &cluster, context.parts.clone());
    let line = progress::Line::new(context.printer, &context.parts);
    let report = verify::verify(&journal, &asked, &|progress| line.tell(|| progress::looked_at(&progress))).await?;
    let live = match args.live {
        true => Some(live(context, &line).await?),
        false => None,
    };
    let verification = Verification::new(&report, !asked.trust.is_empty(), live.as_ref()).with(&stand);
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &verification)?,
        _ => render::verify::print(context, &verification),
    }
    for open in &verification.open {
        context.printer.warning(&open.message);
    }
    Ok(ending::verify(&verification))
}

/// What seals are checked with, and what the log must still hold.
pub(super) fn asked(context: &Context<'_>, public_keys: &[String], known_at: Option<&str>) -> Result<Asked> {
    let given = public_keys.iter().map(|text| proof::public_key(text)).collect::<hindcast_journal::Result<_>>()?;
    let trust = Trust::new(&past::keys(context)?, given)?;
    Ok(Asked { trust, known: known_at.map(known).transpose()?, told: Vec::new() })
}

fn known(text: &str) -> Result<(Position, String)> {
    let parts = text.split_once(':').and_then(|(pos, chain)| Some((pos.parse().ok()?, chain.to_lowercase())));
    parts.filter(|(_, chain)| chain.len() == 64 && chain.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(|| {
        Failure::new(format!("--known {text}"), "is not a position and a chain value")
            .hint("as `hindcast verify` prints them")
    })
}

/// What the cluster says beside the journal.
async fn live(context: &Context<'_>, line: &progress::Line<'_>) -> Result<Proof> {
    if !kubeconfig::is_there(context.common) {
        return Err(Failure::new("--live", "there is no kubeconfig to reach the cluster by").hint("--kubeconfig FILE"));
    }
    let mut past = past::open_quietly(context).await?;
    let reach = kubeconfig::reach(context, Interaction::None)?;
    let client = reach.connect()?;
    let opening = Session::open(client, &past.timeline, past::close::CLUSTER_LIMIT, context.common.wait);
    let session = opening.await.map_err(|unopened| reach.refused(&unopened))?;
    let tell = |done: u64, of: u64| line.tell(|| format!("asking the cluster: {done} of {of} kinds"));
    Ok(session.prove(&mut past.timeline, &tell).await?)
}

/// The seals that stand in the cluster for this journal.
async fn stand(context: &Context<'_>, (url, cluster): (&str, &str), trust: &Trust) -> Result<Stand> {
    if !kubeconfig::is_there(context.common) {
        // What follows says so.
        return Ok(Stand::default());
    }
    let client = kubeconfig::reach(context, Interaction::None)?.connect()?;
    let (_, of) = told::name(url, cluster);
    let mut stand = Stand::default();
    match notice::find(&client, &context.parts, &of, past::close::CLUSTER_LIMIT).await {
        Ok(found) => {
            for posted in found {
                match told::told(&posted).filter(|newest| newest.is_of(cluster)) {
                    Some(newest) => stand.take(newest, &posted.label(), trust),
                    None => stand.unread.push(format!("{}: is no seal of this journal", posted.label())),
                }
            }
        }
        Err(refused) => stand.unread.push(format!("configmaps of all namespaces: {refused}")),
    }
    Ok(stand)
}
