//! Retention against a table that was written down by hand, and over many random histories.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{Dropped, Facts, Judged, Policy, Reason, Standing, Tier, Verdict, plan};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

fn days(n: u64) -> Duration {
    hours(24 * n)
}

/// `2026-11-08T02 P 24h`: a time to the hour, how it stands (complete without a letter), and a ttl.
fn point(text: &str) -> Facts {
    let mut words = text.split(' ');
    let hour = words.next().expect("a time");
    let mut point = Facts {
        name: text.to_owned(),
        schedule: Some("nightly".to_owned()),
        scope: "shop".to_owned(),
        at: time(&format!("{hour}:00:00Z")),
        standing: Standing::Complete,
        ttl: None,
    };
    for word in words {
        match word {
            "P" => point.standing = Standing::Partial,
            "F" => point.standing = Standing::Failed,
            "…" => point.standing = Standing::InProgress,
            ttl => point.ttl = Some(hours(ttl.trim_end_matches('h').parse().expect("hours"))),
        }
    }
    point
}

fn kept(judged: &[Judged]) -> Vec<&str> {
    let kept = judged.iter().filter(|j| matches!(j.verdict, Verdict::Keep(_)));
    kept.map(|judged| judged.name.as_str()).collect()
}

const NOW: &str = "2026-11-09T12:00:00Z";

#[test]
fn each_rule_keeps_what_the_table_says() {
    let berlin = || TimeZone::get("Europe/Berlin").expect("a zone");
    let none = Policy::default;
    // A name, the points with a `+` before those that stay, the newest first; and the policy.
    let table: Vec<(&str, &[&str], Policy)> = vec![
        ("no rule drops nothing good", &["+2026-11-09T02", "+2026-11-08T02 P", "+2020-01-01T00"], none()),
        (
            "the last three, of which a partial one is one",
            &["+2026-11-09T02", "+2026-11-08T02 P", "+2026-11-07T02", "2026-11-06T02", "2026-11-05T02"],
            Policy { last: 3, ..none() },
        ),
        (
            "all of two days",
            &["+2026-11-09T02", "+2026-11-08T02", "+2026-11-07T12", "2026-11-07T11", "2026-11-06T02"],
            Policy { within: Some(days(2)), ..none() },
        ),
        (
            "of each hour the newest, of the two newest hours that have one",
            &["+2026-11-09T09", "+2026-11-09T03", "2026-11-09T02"],
            Policy { hourly: 2, ..none() },
        ),
        (
            "of each day the newest; a day without one does not count",
            &["+2026-11-09T08", "2026-11-09T02", "+2026-11-07T22", "2026-11-07T02", "+2026-11-01T02", "2026-10-31T02"],
            Policy { daily: 3, ..none() },
        ),
        (
            "in Berlin the day is another one",
            // 23:00Z of the seventh is the eighth there.
            &["+2026-11-08T22", "2026-11-07T23", "+2026-11-07T22", "2026-11-06T23"],
            Policy { daily: 2, zone: berlin(), ..none() },
        ),
        (
            "a complete one comes before a newer partial one of its day",
            &[
                "+2026-11-09T08",
                "2026-11-08T20 P",
                "+2026-11-08T10",
                "2026-11-08T02",
                "+2026-11-07T20 P",
                "2026-11-07T02 P",
            ],
            Policy { daily: 3, ..none() },
        ),
        (
            "a week begins on Monday",
            // The ninth is a Monday; the fourth of January 2026 a Sunday, of the year's first week.
            &["+2026-11-09T02", "+2026-11-08T02", "2026-11-02T02", "+2026-11-01T02", "2026-10-31T02"],
            Policy { weekly: 3, ..none() },
        ),
        (
            "a week across the turn of the year is one",
            &["+2026-01-04T02", "2026-01-01T02", "2025-12-29T02", "+2025-12-28T02"],
            Policy { weekly: 2, ..none() },
        ),
        (
            "months and years",
            &[
                "+2026-11-09T02",
                "2026-11-01T02",
                "+2026-10-31T02",
                "2026-10-01T02",
                "+2025-12-31T02",
                "2025-11-30T02",
                "+2024-03-01T02",
            ],
            Policy { monthly: 2, yearly: 3, ..none() },
        ),
        (
            "rules add up, and a point may be of several",
            &["+2026-11-09T08", "+2026-11-09T02", "+2026-11-08T02", "2026-11-07T02", "+2026-10-31T02", "2026-10-30T02"],
            Policy { last: 2, daily: 2, monthly: 2, ..none() },
        ),
        (
            "the last good one stays, whatever failed after it and however old it is",
            &[
                "+2026-11-09T02 F",
                "+2026-11-08T02 F",
                "+2026-11-07T02 F",
                "2026-11-06T02 F",
                "2026-11-05T02 F",
                "+2026-01-01T00 1h",
                "2025-12-31T00",
            ],
            Policy { within: Some(days(1)), ..none() },
        ),
        (
            "the last complete one stays when newer ones are partial",
            &["+2026-11-09T02 P", "2026-11-08T02 P", "+2026-10-01T02", "2026-09-01T02"],
            Policy { last: 1, ..none() },
        ),
        (
            "without a complete one it is the newest partial one",
            &["+2026-11-09T02 F", "+2026-10-01T02 P", "2026-09-01T02 P"],
            Policy { within: Some(days(1)), ..none() },
        ),
        (
            "none of the failed ones need stay",
            &["2026-11-09T02 F", "+2026-11-08T02", "2026-11-07T02 F"],
            Policy { failed: 0, ..none() },
        ),
        (
            "what is in progress stays, and is not yet the last",
            &["+2026-11-09T12 …", "+2026-11-09T02", "2026-11-08T02", "+2026-11-01T02 …"],
            Policy { last: 1, ..none() },
        ),
        (
            "a ttl keeps a point that no rule does, and no longer",
            &["+2026-11-09T02", "+2026-11-07T02 72h", "2026-11-06T02 72h", "2026-11-05T02"],
            Policy { last: 1, ..none() },
        ),
        (
            "a ttl that ran out takes nothing from the rules",
            &["+2026-11-09T02 1h", "+2026-11-08T02 1h", "2026-11-07T02 1h"],
            Policy { daily: 2, ..none() },
        ),
        (
            "with a ttl alone points live as long as it says, but for the last good one",
            &["+2026-11-08T13 24h", "2026-11-08T11 24h", "2026-11-07T02 24h", "+2026-11-06T02"],
            none(),
        ),
        (
            "a point of the future is a new one",
            &["+2027-01-01T00", "+2026-11-09T02", "2026-11-01T02"],
            Policy { within: Some(days(1)), ..none() },
        ),
    ];
    for (name, rows, policy) in table {
        let points: Vec<Facts> = rows.iter().map(|row| point(row.trim_start_matches('+'))).collect();
        let expected: Vec<&str> = rows.iter().filter_map(|row| row.strip_prefix('+')).collect();
        let mut shuffled = points.clone();
        shuffled.reverse();
        let judged = plan(&shuffled, &policy, time(NOW));
        assert_eq!(kept(&judged), expected, "{name}:\n{}", lines(&judged));
        assert_eq!(judged.len(), points.len(), "{name}: each is judged");
    }
}

fn lines(judged: &[Judged]) -> String {
    judged.iter().map(|judged| format!("{judged}\n")).collect()
}

#[test]
fn an_hour_that_is_shown_twice_is_two() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let points = [point("2026-10-25T01"), point("2026-10-25T00"), point("2026-10-24T23")];
    let judged = plan(&points, &Policy { hourly: 2, zone, ..Policy::default() }, time(NOW));
    assert_eq!(
        lines(&judged),
        "keep 2026-10-25T01: last good, hourly 2026-10-25 02:00+01:00 (1 of 2)\n\
         keep 2026-10-25T00: hourly 2026-10-25 02:00+02:00 (2 of 2)\n\
         drop 2026-10-24T23: no rule keeps it\n"
    );
}

#[test]
fn a_plan_can_be_printed() {
    let rows = [
        "2026-11-09T12 …",
        "2026-11-09T02 F",
        "2026-11-09T01",
        "2026-11-08T02 F",
        "2026-11-07T02 P 96h",
        "2026-11-06T02 24h",
        "2026-11-05T02",
    ];
    let policy = Policy { last: 1, within: Some(hours(36)), weekly: 1, failed: 1, ..Policy::default() };
    let points: Vec<Facts> = rows.iter().map(|row| point(row)).collect();
    assert_eq!(
        lines(&plan(&points, &policy, time(NOW))),
        "keep 2026-11-09T12 …: in progress\n\
         keep 2026-11-09T02 F: failed, 1 of 1 to look at\n\
         keep 2026-11-09T01: last good, last 1 of 1, within 36h, weekly 2026-W46 (1 of 1)\n\
         drop 2026-11-08T02 F: failed, and not one of the newest 1 that did\n\
         keep 2026-11-07T02 P 96h: ttl until 2026-11-11T02:00:00Z\n\
         drop 2026-11-06T02 24h: its ttl ran out 2026-11-07T02:00:00Z\n\
         drop 2026-11-05T02: no rule keeps it\n"
    );
}

#[test]
fn groups_do_not_see_each_other_and_points_made_by_hand_are_under_no_rule() {
    let of = |row: &str, schedule: Option<&str>, scope: &str| Facts {
        name: format!("{row} {schedule:?} {scope}"),
        schedule: schedule.map(str::to_owned),
        scope: scope.to_owned(),
        ..point(row)
    };
    let points = [
        of("2026-11-01T02", Some("nightly"), "shop"),
        of("2026-11-02T02", Some("nightly"), "shop"),
        of("2026-10-01T02", Some("nightly"), "all"),
        of("2026-09-01T02", Some("weekly"), "shop"),
        of("2026-08-01T02", None, "shop"),
        of("2026-08-02T02", None, "shop"),
        of("2026-08-03T02 24h", None, "shop"),
        of("2026-08-03T02 24h", None, "other"),
    ];
    let judged = plan(&points, &Policy { last: 1, ..Policy::default() }, time(NOW));
    let dropped: BTreeMap<&str, &Verdict> = judged
        .iter()
        .filter(|j| matches!(j.verdict, Verdict::Drop(_)))
        .map(|j| (j.name.as_str(), &j.verdict))
        .collect();
    let expired = Verdict::Drop(Dropped::NoRule);
    assert_eq!(dropped, BTreeMap::from([("2026-11-01T02 Some(\"nightly\") shop", &expired)]));
    let by_hand = judged.iter().find(|j| j.name == "2026-08-02T02 None shop").expect("it is judged");
    assert_eq!(by_hand.verdict, Verdict::Keep(vec![Reason::NoRule]));
}

#[test]
fn a_zone_that_there_is_none_of_is_refused() {
    let error = Policy::default().in_zone("Mars/Olympus").expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "retention: timeZone \"Mars/Olympus\": there is no time zone \"Mars/Olympus\" in the time zone database"
    );
    assert!(error.hint().is_some());
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn policy(&mut self) -> Policy {
        let mut some = |n: u64| usize::try_from(self.below(n).saturating_sub(n / 2)).expect("small");
        let (last, hourly, daily, weekly, monthly, yearly, failed) =
            (some(8), some(8), some(8), some(6), some(6), some(4), some(6));
        let within = (self.below(2) == 0).then(|| hours(self.below(200)));
        let zone = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"][usize::try_from(self.below(3)).expect("small")];
        Policy { last, within, hourly, daily, weekly, monthly, yearly, failed, ..Policy::default() }
            .in_zone(zone)
            .expect("a zone")
    }

    fn point(&mut self, n: u64, at: Timestamp) -> Facts {
        let standing = match self.below(8) {
            0 => Standing::InProgress,
            1 | 2 => Standing::Failed,
            3 | 4 => Standing::Partial,
            _ => Standing::Complete,
        };
        Facts {
            name: format!("point-{n}"),
            schedule: (self.below(6) > 0).then(|| format!("schedule-{}", self.below(2))),
            scope: format!("scope-{}", self.below(2)),
            at,
            standing,
            ttl: (self.below(3) == 0).then(|| hours(self.below(100))),
        }
    }
}

/// The last good point of each group, found without any regard to how the plan does it.
fn last_good(points: &[Facts]) -> BTreeSet<String> {
    let mut best: BTreeMap<(Option<String>, String), (bool, Timestamp, String)> = BTreeMap::new();
    for point in points {
        let complete = match point.standing {
            Standing::Complete => true,
            Standing::Partial => false,
            Standing::Failed | Standing::InProgress => continue,
        };
        let this = (complete, point.at, point.name.clone());
        let group = best.entry((point.schedule.clone(), point.scope.clone())).or_insert_with(|| this.clone());
        if this > *group {
            *group = this;
        }
    }
    best.into_values().map(|(_, _, name)| name).collect()
}

#[test]
fn over_ten_thousand_random_histories_the_last_good_point_is_never_dropped() {
    let mut dice = Dice(0x51ed_c0de);
    let mut dropped = 0;
    for history in 0..10_000 {
        let policy = dice.policy();
        let mut now = time("2026-01-01T00:00:00Z");
        let mut points: Vec<Facts> = Vec::new();
        for n in 0..dice.below(24) {
            now = now.checked_add(SignedDuration::from_mins(i64::try_from(dice.below(3000)).expect("small"))).unwrap();
            let point = dice.point(n, now);
            points.push(point);
            if dice.below(4) > 0 {
                continue;
            }
            let judged = plan(&points, &policy, now);
            assert_eq!(judged.len(), points.len(), "history {history}: each is judged");
            let goes: BTreeSet<&str> =
                judged.iter().filter(|j| matches!(j.verdict, Verdict::Drop(_))).map(|j| j.name.as_str()).collect();
            let told = || lines(&judged);
            for name in last_good(&points) {
                assert!(!goes.contains(name.as_str()), "history {history} drops {name} of {policy:?}:\n{}", told());
            }
            let in_progress = points.iter().filter(|point| point.standing == Standing::InProgress);
            assert!(in_progress.into_iter().all(|p| !goes.contains(p.name.as_str())), "history {history}:\n{}", told());
            dropped += goes.len();
            let goes: BTreeSet<String> = goes.into_iter().map(str::to_owned).collect();
            points.retain(|point| !goes.contains(&point.name));
            // What was kept is kept for what it is, not for what went.
            assert_eq!(kept(&plan(&points, &policy, now)).len(), points.len(), "history {history}:\n{}", told());
            // What was being made is done by the next look.
            for point in points.iter_mut().filter(|point| point.standing == Standing::InProgress) {
                point.standing = Standing::Complete;
            }
        }
    }
    assert!(dropped > 10_000, "the histories drop something at all: {dropped}");
}

#[test]
fn buckets_are_printed_as_they_are_told_apart() {
    let at = time("2027-01-01T00:30:00Z").to_zoned(TimeZone::UTC);
    let tiers = [Tier::Hourly, Tier::Daily, Tier::Weekly, Tier::Monthly, Tier::Yearly];
    let printed: Vec<String> = tiers.iter().map(|tier| tier.bucket(&at)).collect();
    assert_eq!(printed, ["2027-01-01 00:00+00:00", "2027-01-01", "2026-W53", "2027-01", "2027"]);
}
