//! `hindcast verify`: whether the journal is what was written.

use hindcast_journal::{
    Journal, Position,
    proof::{self, Trust},
    verify::{self, Asked},
};
use hindcast_restorer::session::{Session, prove::Proof};

use crate::{
    args::{Output, Verify},
    context::Context,
    ending,
    failure::{Exit, Failure, Result},
    kubeconfig::{self, Interaction},
    past, progress, render,
    store::Access,
    view::Verification,
};

/// Answers `verify`. The journal is not opened for reading, which damage would refuse.
pub(super) async fn run(context: &Context<'_>, args: &Verify) -> Result<Exit> {
    let asked = asked(context, args)?;
    let (location, cluster) = past::place(context, Access::Read).await?;
    let journal = Journal::open(location.store.clone(), &location.prefix, &cluster, context.parts.clone());
    let line = progress::Line::new(context.printer, &context.parts);
    let report = verify::verify(&journal, &asked, &|progress| line.tell(|| progress::looked_at(&progress))).await?;
    let live = match args.live {
        true => Some(live(context, &line).await?),
        false => None,
    };
    let verification = Verification::new(&report, !asked.trust.is_empty(), live.as_ref());
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
fn asked(context: &Context<'_>, args: &Verify) -> Result<Asked> {
    let given = args.public_key.iter().map(|text| proof::public_key(text)).collect::<hindcast_journal::Result<_>>()?;
    let trust = Trust::new(&past::keys(context)?, given)?;
    Ok(Asked { trust, known: args.known.as_deref().map(known).transpose()? })
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
