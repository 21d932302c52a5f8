//! The arguments of `hindcast expire`, and how `run` keeps the past.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use hindcast_compactor::expire::{Every, Retention, Tier};

use super::duration;

/// `hindcast expire`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Expire {
    /// Only say what goes, what stays and why, and how large that is
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
}

/// How the past is kept.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Keeping {
    /// Thin the past out: every change for the first time, then the state of each hour, day and month (UTC) for longer:
    /// all=7d,hourly=30d,daily=365d,monthly=1825d; recovery points keep their moments [default: keep everything]
    #[arg(long, value_name = "POLICY", value_parser = retention)]
    pub(crate) retention: Option<Retention>,
    /// The same from a file, a line each: `all: 7d`
    #[arg(long, value_name = "FILE", conflicts_with = "retention")]
    pub(crate) retention_file: Option<PathBuf>,
    /// Remove nothing: what has expired is left to whoever may delete, as where objects are locked
    #[arg(long)]
    pub(crate) no_delete: bool,
}

/// The shortest time that anything is kept for.
const LEAST: Duration = Duration::from_hours(1);

/// A policy, from `all=7d,hourly=30d` or lines like `all: 7d`.
pub(crate) fn retention(text: &str) -> Result<Retention, String> {
    let (mut all, mut tiers) = (None, Vec::new());
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    for part in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|part| !part.is_empty()) {
        let Some((name, time)) = part.split_once(['=', ':']).map(|(name, time)| (name.trim(), time.trim())) else {
            return Err(format!("`{part}` is not as all=7d, hourly=30d, daily=365d or monthly=1825d"));
        };
        let keep = duration(time).map_err(|why| format!("{name}: {why}; days are 30d"))?;
        if keep < LEAST {
            return Err(format!("{name}: what is kept is kept for an hour at least"));
        }
        let every = match name {
            "all" if all.is_none() => {
                all = Some(keep);
                continue;
            }
            "hourly" => Every::Hour,
            "daily" => Every::Day,
            "monthly" => Every::Month,
            "all" => return Err("all stands there twice".to_owned()),
            other => return Err(format!("`{other}` is none of all, hourly, daily, monthly")),
        };
        if tiers.iter().any(|tier: &Tier| tier.every == every) {
            return Err(format!("{name} stands there twice"));
        }
        tiers.push(Tier { every, keep });
    }
    let all = all.ok_or("how long every change is kept has to be said: all=7d")?;
    tiers.sort_by_key(|tier| tier.every);
    let mut before = ("all", all);
    for tier in &tiers {
        let name = match tier.every {
            Every::Hour => "hourly",
            Every::Day => "daily",
            _ => "monthly",
        };
        if tier.keep <= before.1 {
            return Err(format!("{name} reaches no further than {} does, so it keeps nothing", before.0));
        }
        before = (name, tier.keep);
    }
    Ok(Retention { all, tiers, grace: Retention::GRACE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_one_line_or_several_and_says_what_is_wrong_with_it() {
        let days = |days: u64| Duration::from_hours(24 * days);
        let policy = retention("all=7d,hourly=30d,monthly=365d").expect("is one");
        assert_eq!(policy.all, days(7));
        let tier = |every, keep| Tier { every, keep: days(keep) };
        assert_eq!(policy.tiers, [tier(Every::Hour, 30), tier(Every::Month, 365)]);
        let lines = "# what we promised\nmonthly: 365d\nall: 7d   # a week\n\nhourly: 30d\n";
        assert_eq!(retention(lines).expect("is one"), policy);
        assert_eq!(retention("all=1h").expect("is one").tiers, []);
        for (text, why) in [
            ("", "all=7d"),
            ("hourly=30d", "how long every change"),
            ("all=7d,hourly=7d", "hourly reaches no further than all"),
            ("all=7d,daily=30d,hourly=60d", "daily reaches no further than hourly"),
            ("all=7d,all=8d", "twice"),
            ("all=7d,weekly=30d", "`weekly` is none of"),
            ("all=7d,daily=30d,daily=60d", "daily stands there twice"),
            ("all=59m", "an hour at least"),
            ("all=soon", "all: "),
            ("seven days", "is not as"),
        ] {
            let said = retention(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
