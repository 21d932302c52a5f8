//! What is done of itself: points that no rule keeps are deleted, what dead processes left is finished.
//!
//! **Invariants.** (1) What goes is decided by [`retention::plan`] alone, so never the last good point of a schedule [`doomed`]. (2)
//! Whose schedule cannot be read, or cannot be understood, loses nothing: its rules may keep what others do not.

use std::{collections::BTreeMap, time::Duration};

use hindcast_journal::{Error, Result, parts::Micros, point::PointState};
use hindcast_snapshotter::retention::{self, Facts, Policy, Standing, Verdict};
use kube::{ResourceExt as _, core::DeserializeGuard};

use crate::{
    api::Schedule,
    operator::Operator,
    request,
    schedules::moment,
    shelf::{Book, Books},
    watched::listed,
};

#[cfg(test)]
mod tests;

/// Deletes the points that no rule keeps.
pub(crate) async fn prune(operator: &Operator, books: &Books) -> Result<()> {
    // Most of the time there is nothing whose rules matter.
    if books.made().next().is_none() {
        return Ok(());
    }
    let policies = policies(operator).await?;
    for (name, why) in doomed(books, &policies, operator.now()) {
        match operator.maker.delete(&name, &why).await {
            Ok(()) => tracing::info!("deleted point {name}: {why}"),
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "point {name} is to go ({why}) and is still there");
            }
        }
    }
    operator.shelf.look().await?;
    Ok(())
}

/// What each schedule keeps; nothing for one that cannot be understood.
async fn policies(operator: &Operator) -> Result<BTreeMap<String, Option<Policy>>> {
    let list = listed::<Schedule>(&operator.client, &operator.namespace).await?;
    let policy = |schedule: DeserializeGuard<Schedule>| {
        let name = schedule.name_any();
        let policy = schedule.0.ok().and_then(|schedule| request::retention(&schedule.spec).ok());
        (name, policy)
    };
    Ok(list.into_iter().map(policy).collect())
}

/// The points that go, and why.
fn doomed(books: &Books, policies: &BTreeMap<String, Option<Policy>>, now: Micros) -> Vec<(String, String)> {
    let mut of_schedule: BTreeMap<&str, Vec<Facts>> = BTreeMap::new();
    for (name, about) in books.all() {
        let standing = match books.0.get(name) {
            Some(Book::Made(point)) => match point.state {
                PointState::Complete => Standing::Complete,
                PointState::Partial => Standing::Partial,
                PointState::Failed => Standing::Failed,
            },
            _ => Standing::InProgress,
        };
        let ttl = about.expires.map(|expires| expires.saturating_sub(about.began).max(0).unsigned_abs());
        of_schedule.entry(&about.schedule).or_default().push(Facts {
            name: name.clone(),
            schedule: (!about.schedule.is_empty()).then(|| about.schedule.clone()),
            scope: serde_json::to_string(&about.scope).unwrap_or_default(),
            at: moment(about.began),
            standing,
            ttl: ttl.map(Duration::from_micros),
        });
    }
    let mut out = Vec::new();
    let none = Some(Policy::default());
    for (schedule, facts) in of_schedule {
        // A schedule that is gone keeps by its points' ttl alone.
        let Some(policy) = policies.get(schedule).unwrap_or(&none) else { continue };
        for judged in retention::plan(&facts, policy, moment(now)) {
            if let Verdict::Drop(why) = judged.verdict {
                out.push((judged.name, why.to_string()));
            }
        }
    }
    out
}

/// Finishes what dead processes left.
pub(crate) async fn mend(operator: &Operator) {
    match operator.maker.reconcile().await {
        Ok(mended) => {
            for one in mended {
                match one.failed {
                    None => tracing::info!(left = ?one.left, "finished what a process left behind"),
                    Some(why) => tracing::warn!(left = ?one.left, "what a process left behind is still there: {why}"),
                }
            }
        }
        Err(error) => {
            tracing::warn!(error = %Error::causes(&error), "what processes left behind could not be looked for");
        }
    }
}
