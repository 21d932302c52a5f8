//! Retention: which recovery points stay, and which go.
//!
//! **Words.** A *group* is the points of one schedule and one scope; those that were made by hand are groups of their own, one for
//! each scope. A *good* point is complete or partial: it can be restored from. The *last good* one of a group is its newest complete point,
//! or, without any, its newest partial one.
//!
//! **Rules**, of each group by itself. What any rule keeps is kept; what none keeps is dropped.
//! 1. A point in progress is kept.
//! 2. The last good one is kept, whatever its age, its ttl, and whatever failed after it.
//! 3. A failed point is kept while it is among the newest [`Policy::failed`] of the failed ones, to be looked at. No other rule keeps it.
//! 4. A good point with a ttl of its own is kept until that has run out.
//! 5. `last`: the newest so many good points are kept.
//! 6. `within`: good points not older than that are kept.
//! 7. `hourly`, `daily`, `weekly`, `monthly`, `yearly`: of each of the newest so many hours (days, …) *in which there is a good point*, one is
//!    kept, as restic has it: the newest complete one, or, if there is none, the newest partial one. Hours and so on are those
//!    of the policy's time zone; a week begins on Monday; an hour that the clock shows twice is two hours.
//! 8. Where a policy has none of 5 to 7, a good point without a ttl stays for ever. Points made by hand are under no policy: of these
//!    rules they know 1, 2, 3 and 4, and stay for ever without a ttl.
//!
//! A point counts in each rule whether or not another rule keeps it: a day's point is the day's point, also if it is one of the last
//! three. A point made while the clock was wrong is as old as it says, and one of the future is new.
//!
//! **Invariant.** [`plan`] judges every point it is given, and is a function of its arguments.
//!
//! Not here: deleting.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use hindcast_journal::{Error, Result};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

use crate::schedule::zone_named;

#[cfg(test)]
mod tests;

/// How a point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is being made.
    InProgress,
    /// All of it is there.
    Complete,
    /// Some of it is missing, and named.
    Partial,
    /// Nothing can be restored from it.
    Failed,
}

/// What of a point is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// The schedule it is of; there is none where it was made by hand.
    pub schedule: Option<String>,
    /// What it holds, in words that are the same for the same scope.
    pub scope: String,
    /// Its moment.
    pub at: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// How long it is to be kept at least.
    pub ttl: Option<Duration>,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The newest so many.
    pub last: usize,
    /// All that are not older.
    pub within: Option<Duration>,
    /// One of each of so many hours.
    pub hourly: usize,
    /// One of each of so many days.
    pub daily: usize,
    /// One of each of so many weeks.
    pub weekly: usize,
    /// One of each of so many months.
    pub monthly: usize,
    /// One of each of so many years.
    pub yearly: usize,
    /// So many of the newest failed ones.
    pub failed: usize,
    /// Whose hours and days they are.
    pub zone: TimeZone,
}

impl Default for Policy {
    /// No rule: everything good stays, and the newest three that failed.
    fn default() -> Self {
        Self {
            last: 0,
            within: None,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            failed: 3,
            zone: TimeZone::UTC,
        }
    }
}

impl Policy {
    /// The same in the time zone of that name.
    pub fn in_zone(self, name: &str) -> Result<Self> {
        let zone = zone_named(name).map_err(|wrong| {
            Error::invalid(format!("retention: {} {:?}", wrong.field, wrong.value), wrong.reason)
                .with_hint(wrong.remedy)
        })?;
        Ok(Self { zone, ..self })
    }

    fn tiers(&self) -> [(Tier, usize); 5] {
        [
            (Tier::Hourly, self.hourly),
            (Tier::Daily, self.daily),
            (Tier::Weekly, self.weekly),
            (Tier::Monthly, self.monthly),
            (Tier::Yearly, self.yearly),
        ]
    }

    fn has_rules(&self) -> bool {
        self.last > 0 || self.within.is_some() || self.tiers().iter().any(|(_, count)| *count > 0)
    }
}

/// A size of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Of hours.
    Hourly,
    /// Of days.
    Daily,
    /// Of weeks, from Monday.
    Weekly,
    /// Of months.
    Monthly,
    /// Of years.
    Yearly,
}

impl Tier {
    /// The bucket of a moment, as it is printed.
    fn bucket(self, at: &Zoned) -> String {
        match self {
            // With its offset, so that the hour that is shown twice is two.
            Self::Hourly => at.strftime("%Y-%m-%d %H:00%:z").to_string(),
            Self::Daily => at.strftime("%Y-%m-%d").to_string(),
            Self::Weekly => {
                let week = at.date().iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Self::Monthly => at.strftime("%Y-%m").to_string(),
            Self::Yearly => at.strftime("%Y").to_string(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }
}

/// Why a point is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is being made.
    InProgress,
    /// Nothing newer in its group is as good.
    LastGood,
    /// It failed, and is to be looked at: the how manieth of how many.
    Failed(usize, usize),
    /// Its ttl runs until then.
    Ttl(Timestamp),
    /// It is one of the last: the how manieth of how many.
    Last(usize, usize),
    /// It is not older than that.
    Within(Duration),
    /// It is the one of its bucket: which bucket, the how manieth of how many.
    Tier(Tier, String, usize, usize),
    /// No rule says that points go.
    NoRule,
}

/// Why a point goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// Its ttl ran out then, and no rule keeps it.
    Expired(Timestamp),
    /// No rule keeps it.
    NoRule,
    /// It failed, and as many newer ones failed as are kept.
    Failed(usize),
}

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for each of these.
    Keep(Vec<Reason>),
    /// It goes.
    Drop(Dropped),
}

/// A point, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The point's name.
    pub name: String,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of each point, group by group, the newest first.
pub fn plan(points: &[Facts], policy: &Policy, now: Timestamp) -> Vec<Judged> {
    let mut groups: BTreeMap<(Option<&str>, &str), Vec<&Facts>> = BTreeMap::new();
    for point in points {
        groups.entry((point.schedule.as_deref(), &point.scope)).or_default().push(point);
    }
    let of_group = |((schedule, _), mut group): ((Option<&str>, &str), Vec<&Facts>)| {
        group.sort_by(|a, b| (b.at, &b.name).cmp(&(a.at, &a.name)));
        judge(&group, policy, schedule.is_some(), now)
    };
    groups.into_iter().flat_map(of_group).collect()
}

/// Judges the points of a group, the newest of which stands first.
fn judge(group: &[&Facts], policy: &Policy, scheduled: bool, now: Timestamp) -> Vec<Judged> {
    let mut reasons: Vec<Vec<Reason>> = group.iter().map(|_| Vec::new()).collect();
    let mut keep = |at: usize, reason: Reason| {
        if let Some(reasons) = reasons.get_mut(at) {
            reasons.push(reason);
        }
    };
    let with = |standing: Standing| group.iter().enumerate().filter(move |(_, p)| p.standing == standing);
    let good = || group.iter().enumerate().filter(|(_, point)| is_good(point));
    let ruled = scheduled && policy.has_rules();

    with(Standing::InProgress).for_each(|(at, _)| keep(at, Reason::InProgress));
    if let Some((at, _)) = with(Standing::Complete).next().or_else(|| with(Standing::Partial).next()) {
        keep(at, Reason::LastGood);
    }
    for (n, (at, _)) in with(Standing::Failed).take(policy.failed).enumerate() {
        keep(at, Reason::Failed(n + 1, policy.failed));
    }
    for (at, point) in good() {
        match expiry(point) {
            Some(expiry) if expiry > now => keep(at, Reason::Ttl(expiry)),
            None if !ruled => keep(at, Reason::NoRule),
            _ => {}
        }
    }
    if ruled {
        for (n, (at, _)) in good().take(policy.last).enumerate() {
            keep(at, Reason::Last(n + 1, policy.last));
        }
        if let Some(within) = policy.within {
            let young = good().filter(|(_, point)| now.duration_since(point.at) <= signed(within));
            young.for_each(|(at, _)| keep(at, Reason::Within(within)));
        }
        for (tier, count) in policy.tiers() {
            for (n, (bucket, at)) in chosen(tier, count, good(), &policy.zone).into_iter().enumerate() {
                keep(at, Reason::Tier(tier, bucket, n + 1, count));
            }
        }
    }
    let verdict = |(point, reasons): (&&Facts, Vec<Reason>)| {
        let verdict = match (reasons.is_empty(), point.standing, expiry(point)) {
            (false, ..) => Verdict::Keep(reasons),
            (true, Standing::Failed, _) => Verdict::Drop(Dropped::Failed(policy.failed)),
            (true, _, Some(expiry)) => Verdict::Drop(Dropped::Expired(expiry)),
            (true, _, None) => Verdict::Drop(Dropped::NoRule),
        };
        Judged { name: point.name.clone(), verdict }
    };
    group.iter().zip(reasons).map(verdict).collect()
}

/// The point of each of the newest buckets, with the bucket and where the point stands.
fn chosen<'p>(
    tier: Tier,
    count: usize,
    good: impl Iterator<Item = (usize, &'p &'p Facts)>,
    zone: &TimeZone,
) -> Vec<(String, usize)> {
    let mut buckets: Vec<(String, usize)> = Vec::new();
    // Of which buckets a complete point was found.
    let mut complete = BTreeSet::new();
    for (at, point) in good {
        let bucket = tier.bucket(&point.at.to_zoned(zone.clone()));
        let is_complete = point.standing == Standing::Complete;
        // The newest first, so a bucket's points stand side by side.
        if buckets.last().is_none_or(|(last, _)| *last != bucket) {
            if buckets.len() == count {
                break;
            }
            buckets.push((bucket.clone(), at));
        }
        if is_complete
            && complete.insert(bucket)
            && let Some((_, chosen)) = buckets.last_mut()
        {
            *chosen = at;
        }
    }
    buckets
}

fn is_good(point: &Facts) -> bool {
    matches!(point.standing, Standing::Complete | Standing::Partial)
}

fn expiry(point: &Facts) -> Option<Timestamp> {
    // A ttl beyond the end of time never runs out.
    point.ttl.map(|ttl| point.at.checked_add(signed(ttl)).unwrap_or(Timestamp::MAX))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProgress => f.write_str("in progress"),
            Self::LastGood => f.write_str("last good"),
            Self::Failed(n, of) => write!(f, "failed, {n} of {of} to look at"),
            Self::Ttl(until) => write!(f, "ttl until {until}"),
            Self::Last(n, of) => write!(f, "last {n} of {of}"),
            Self::Within(within) => write!(f, "within {:#}", signed(*within)),
            Self::Tier(tier, bucket, n, of) => write!(f, "{} {bucket} ({n} of {of})", tier.word()),
            Self::NoRule => f.write_str("no rule drops it"),
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => write!(f, "its ttl ran out {at}"),
            Self::NoRule => f.write_str("no rule keeps it"),
            Self::Failed(kept) => write!(f, "failed, and not one of the newest {kept} that did"),
        }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Keep(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "keep {}: {}", self.name, reasons.join(", "))
            }
            Verdict::Drop(reason) => write!(f, "drop {}: {reason}", self.name),
        }
    }
}
