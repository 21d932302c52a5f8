//! `run --ha`: whose turn it is to protect, and what is taken over from standing by.
//!
//! **Invariants.** (1) The journal is claimed only by whoever was elected [`claim`]. (2) Whoever is told to stop, or fails,
//! lets the Lease go first. (3) Whoever has claimed, and whose store takes nothing, leaves the Lease to others now and then [`begin`]. Not
//! here: how it is agreed who leads, which is the watcher's (`hindcast_watcher::ha`).

use std::{pin::Pin, time::Duration};

use hindcast_journal::{Error, Journal, Parts, Writer, exact, writer::Identity};
use hindcast_watcher::ha::{Kept, Leadership, Member, Role, Terms, With};
use tokio::sync::watch;

use super::{signals::Stop, start::Start};
use crate::{
    args::Ha,
    failure::{Exit, Failure, Result},
};

/// Where a Pod reads its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The namespace of the Lease outside of a cluster: it is always there.
const OUTSIDE: &str = "kube-system";
/// Who is elected and cannot claim the journal, or write to it then, for this long lets another try.
const CLAIM: Duration = Duration::from_secs(30);

/// How a start ends.
pub(super) enum Claimed {
    /// This process protects.
    Leads(Box<Writer>, Option<(Kept, Leadership)>),
    /// It was told to stop before.
    Stopped(Stop),
}

/// The Lease of a journal: processes of one journal have one, whatever they are called.
pub(super) fn terms(args: &Ha, url: &str, journal: &Journal, identity: &Identity) -> Terms {
    Terms {
        namespace: namespace(args.ha_namespace.as_ref()),
        name: name(url, journal.cluster()),
        identity: identity.writer.clone(),
    }
}

/// The namespace that was named, or this process's own.
pub(super) fn namespace(named: Option<&String>) -> String {
    let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|name| name.trim().to_owned());
    let namespace = named.cloned().or_else(own).filter(|name| !name.is_empty());
    namespace.unwrap_or_else(|| OUTSIDE.to_owned())
}

/// The name that follows from where a journal is, whichever options its URL has.
pub(super) fn name(url: &str, cluster: &str) -> String {
    let place = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let digest = u64::from_be_bytes(exact::state_hash(format!("{place}/{cluster}").as_bytes()));
    format!("hindcast-{digest:016x}")
}

/// Begins to take part in the election, if there is one.
pub(super) fn join(
    terms: Option<&Terms>,
    with: impl FnOnce() -> With,
    role: watch::Sender<Option<Role>>,
) -> Result<Option<Member>> {
    let Some(terms) = terms else { return Ok(None) };
    Ok(Some(Member::join(terms, with(), role)?))
}

/// Claims the journal, when it is this process's turn.
pub(super) async fn claim(
    member: Option<Member>,
    (parts, start): (&Parts, &mut Start),
    mut claim: impl AsyncFnMut() -> Result<Writer, Error>,
    mut stopping: Pin<&mut impl Future<Output = Stop>>,
) -> Result<Claimed> {
    let doing = "claiming the journal";
    let Some(mut member) = member else {
        return Ok(Claimed::Leads(Box::new(start.ride(doing, claim).await?), None));
    };
    loop {
        start.done();
        let elected = tokio::select! {
            stop = &mut stopping => Err(stop),
            elected = member.elected() => Ok(elected),
        };
        match elected {
            Err(stop) => {
                member.leave().await;
                return Ok(Claimed::Stopped(stop));
            }
            Ok(elected) => elected?,
        }
        member.claims();
        let claimed = tokio::select! {
            stop = &mut stopping => Err(Some(stop)),
            claimed = parts.timeout(CLAIM, start.ride(doing, &mut claim)) => claimed.ok_or(None),
        };
        match claimed {
            Ok(Ok(writer)) => return Ok(Claimed::Leads(Box::new(writer), Some(member.lead()))),
            Ok(Err(failure)) => {
                member.leave().await;
                return Err(failure);
            }
            Err(Some(stop)) => {
                member.leave().await;
                return Ok(Claimed::Stopped(stop));
            }
            Err(None) => {
                start.done();
                member.step_back().await;
            }
        }
    }
}

/// Takes the first steps of a process that has claimed the journal, however long the store takes; how it ends, if it is told to stop
/// before.
pub(super) async fn begin(
    parts: &Parts,
    leadership: Option<&Leadership>,
    steps: impl Future<Output = Result<()>>,
    mut stopping: Pin<&mut impl Future<Output = Stop>>,
) -> Result<Option<Stop>> {
    let mut steps = std::pin::pin!(steps);
    loop {
        tokio::select! {
            biased;
            stop = &mut stopping => return Ok(Some(stop)),
            done = &mut steps => return done.map(|()| None),
            () = parts.clock.sleep(CLAIM) => {
                if let Some(leadership) = leadership {
                    leadership.yields();
                }
            }
        }
    }
}

/// A fenced process that may be started again says so: it stands by then.
pub(super) fn ended(failure: Failure) -> Failure {
    if failure.exit != Exit::Fenced {
        return failure;
    }
    Failure { hints: vec!["started again with --ha it stands by".to_owned()], ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_has_one_lease_however_its_address_is_written() {
        let name = |url| name(url, "uid");
        assert_eq!(name("s3://bucket/prefix"), name("s3://bucket/prefix/?region=eu-west-1&profile=ops"));
        assert_ne!(name("s3://bucket/prefix"), name("s3://other/prefix"));
        assert_ne!(name("s3://bucket/prefix"), super::name("s3://bucket/prefix", "another"));
        assert!(name("s3://b").len() == "hindcast-".len() + 16);
    }

    #[tokio::test]
    async fn a_store_that_takes_nothing_holds_up_no_stop() {
        let parts = Parts::system();
        let begin = async |steps: Option<Result<()>>, stop: Option<Stop>| {
            let steps = async { if let Some(done) = steps { done } else { std::future::pending().await } };
            let stop = async { if let Some(exit) = stop { exit } else { std::future::pending().await } };
            begin(&parts, None, steps, std::pin::pin!(stop)).await.map_err(|failure| failure.what)
        };
        assert_eq!(begin(None, Some(Stop::Anew)).await, Ok(Some(Stop::Anew)));
        assert_eq!(begin(Some(Ok(())), None).await, Ok(None));
        let failed = Failure::new("the journal", "is taken over");
        assert_eq!(begin(Some(Err(failed)), None).await, Err("the journal".to_owned()));
    }
}
