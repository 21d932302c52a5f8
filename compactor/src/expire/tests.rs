use std::time::Duration;

use hindcast_journal::{Position, cut::CutPoint};
use proptest::prelude::*;

use super::*;

const HOUR: Micros = 3_600_000_000;
const DAY: Micros = 24 * HOUR;
const SEGMENT: Micros = HOUR / 2;

fn hours(n: i64) -> Duration {
    Duration::from_micros((n * HOUR) as u64)
}

fn micros(duration: Duration) -> Micros {
    duration.as_micros() as Micros
}

#[test]
fn the_moments_of_a_tier_are_those_of_calendars() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_microsecond();
    for (every, from, first) in [
        (Every::Hour, "2026-02-28T23:00:00Z", "2026-02-28T23:00:00Z"),
        (Every::Hour, "2026-02-28T23:00:00.000001Z", "2026-03-01T00:00:00Z"),
        (Every::Day, "2024-02-28T00:00:01Z", "2024-02-29T00:00:00Z"),
        (Every::Month, "2024-02-01T00:00:00Z", "2024-02-01T00:00:00Z"),
        (Every::Month, "2024-02-01T00:00:00.000001Z", "2024-03-01T00:00:00Z"),
        (Every::Month, "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
        (Every::Span(90_000_000), "1970-01-01T00:01:31Z", "1970-01-01T00:03:00Z"),
    ] {
        assert_eq!(every.first_from(at(from)), Some(at(first)), "{every:?} from {from}");
    }
    assert_eq!(Every::Month.first_from(Micros::MAX), None);
    assert_eq!(Every::Hour.first_from(Micros::MAX), None);
}

fn cut(pos: Position, time: Micros, needs: u64) -> Cut {
    let main = Some(CutPoint { incarnation: 0, rv: time as u64 });
    Cut { pos, time, main, needs, exactly: Vec::new(), revision: false }
}

/// A journal that has run for so many days, a segment each half an hour and a checkpoint every few of them, its files of days made
/// but for the newest, as it stands at the end.
fn world(days: i64, every: i64, late: i64) -> (Known, Micros) {
    let (per_day, all) = (DAY / SEGMENT, days * DAY / SEGMENT);
    let now = all * SEGMENT + 7;
    let live = (1..=all / every).map(|n| {
        let segment = n * every;
        cut(segment as u64, segment * SEGMENT, (segment - late).max(1) as u64)
    });
    let days = (0..days - 1).map(|day| ((day * per_day + 1) as u64, ((day + 1) * per_day) as u64));
    let known = Known { begin: 1, since: 0, live: live.collect(), days: days.collect(), ..Known::default() };
    (known, now)
}

/// What there is after a plan was carried out, without what it lets go.
fn done(known: &Known, plan: &Plan) -> Known {
    let mut after = known.clone();
    let (base, _) = plan.base;
    let mut kept: Vec<Cut> = plan.stay.keys().map(|at| known.kept[*at].clone()).collect();
    for make in plan.make.keys() {
        let (time, own) = match make {
            Make::At(time) => (time - time.rem_euclid(SEGMENT), Cut { exactly: vec![*time], ..cut(0, 0, 0) }),
            Make::Point(main) => (main.rv as Micros, Cut { revision: true, ..cut(0, 0, 0) }),
        };
        let pos = (time / SEGMENT) as Position;
        let main = Some(CutPoint { incarnation: 0, rv: time as u64 });
        kept.push(Cut { pos, time, main, needs: 0, ..own });
    }
    // What is of the same cut is one with it.
    let own = match plan.moves {
        true => known.live.iter().find(|cut| cut.pos == base).expect("the base is live").clone(),
        false => known.kept.last().expect("there is one").clone(),
    };
    kept.push(own);
    let mut one: Vec<Cut> = Vec::new();
    for cut in kept.into_iter().rev() {
        match one.iter_mut().find(|own| own.pos == cut.pos) {
            Some(own) => {
                own.exactly.extend(cut.exactly);
                own.revision |= cut.revision;
            }
            None => one.push(cut),
        }
    }
    one.reverse();
    after.begin = plan.segment;
    after.days.retain(|(first, _)| *first >= plan.segment);
    after.live.retain(|cut| cut.pos >= base);
    after.kept = one;
    after
}

/// What is answered for a moment: the time of the cut, and whether it is of this very moment.
fn answer(known: &Known, time: Micros) -> Option<(Micros, bool)> {
    let base = known.kept.last().map(|base| base.time);
    if base.is_none_or(|base| time > base) {
        return Some((time - time.rem_euclid(SEGMENT), true));
    }
    if let Some(cut) = known.kept.iter().find(|cut| cut.exactly.contains(&time)) {
        return Some((cut.time, true));
    }
    known.kept.iter().filter(|cut| cut.time <= time).map(|cut| (cut.time, false)).max()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever the policy, and however often it is carried out while time goes on: everything newer than `all`, every mark of a tier
    /// that is young enough, every recovery point and the newest state remain, exactly; and nothing goes twice.
    #[test]
    fn what_is_to_be_kept_is_kept(
        days in 1_i64..40,
        every in 1_i64..60,
        late in 0_i64..30,
        all in 1_i64..300,
        tiers in (0_i64..400, 0_i64..900, 0_i64..2000),
        points in proptest::collection::vec(0_i64..1000, 0..4),
        making in proptest::option::of(0_i64..1000),
        rounds in proptest::collection::vec((0_i64..200, 1_i64..300), 1..4),
    ) {
        let (mut known, mut now) = world(days, every, late);
        let total = now;
        let within = |n: i64| (n * total / 1000).div_euclid(SEGMENT) * SEGMENT;
        let points: Vec<Micros> = points.into_iter().map(within).filter(|time| *time > 0).collect();
        known.points = points.iter().enumerate().map(|(n, time)| {
            Pin { name: format!("p{n}"), main: CutPoint { incarnation: 0, rv: *time as u64 } }
        }).collect();
        known.making = making.map(within);
        let tier = |every, keep| Tier { every, keep: hours(keep) };
        let tiers = vec![tier(Every::Hour, tiers.0), tier(Every::Day, tiers.1), tier(Every::Month, tiers.2)];
        let mut retention = Retention { all: hours(all), tiers, grace: Retention::GRACE };
        // A mark that an earlier policy let go is not there for a later one.
        let mut least = retention.clone();
        for (passes, shorter) in rounds {
            let newest = known.live.last().cloned();
            if let Some(plan) = plan(&known, &retention, now) {
                let after = done(&known, &plan);
                prop_assert!(plan.stay.len() + plan.go.len() == known.kept.len());
                prop_assert_eq!(after.live.last().cloned(), newest, "the newest checkpoint stays");
                // All of the log that any live checkpoint needs is there.
                prop_assert!(after.live.iter().all(|cut| cut.needs >= after.begin));
                let again = super::plan(&after, &retention, now);
                prop_assert!(again.as_ref().is_none_or(Plan::is_nothing), "{:?} after {:?}", again, plan);
                known = after;
            }
            let exact = |time: Micros| answer(&known, time) == Some((time - time.rem_euclid(SEGMENT), true));
            for n in 0..20 {
                let time = now - n * micros(least.all) / 20;
                prop_assert!(time <= 0 || exact(time), "{} of the last {:?}", time, least.all);
            }
            if let Some(begun) = known.making {
                prop_assert!(exact(begun + 1));
            }
            for tier in &least.tiers {
                let mut next = tier.every.first_from((now - micros(tier.keep)).max(1));
                while let Some(mark) = next.filter(|mark| *mark <= now) {
                    prop_assert!(exact(mark), "{} of {:?}", mark, tier);
                    next = tier.every.first_from(mark + 1);
                }
            }
            for (n, time) in points.iter().enumerate() {
                let base = known.kept.last().map_or(0, |base| base.time);
                let kept = known.kept.iter().any(|cut| cut.revision && cut.time == *time);
                prop_assert!(*time > base || kept, "point {}", n);
            }
            // Time goes on without a change, and the policy gets stricter.
            now += passes * HOUR;
            known.making = None;
            retention.all = retention.all.min(hours(shorter));
            least.all = retention.all;
        }
    }
}

#[test]
fn nothing_is_planned_where_nothing_can_go() {
    let retention = Retention { all: hours(1), tiers: Vec::new(), grace: Retention::GRACE };
    assert_eq!(plan(&Known { begin: 1, ..Known::default() }, &retention, 5 * DAY), None, "an empty journal");
    let (known, now) = world(1, 4, 0);
    assert_eq!(plan(&known, &retention, now), None, "no day is over");
    let (mut known, now) = world(3, 4, 0);
    known.days.clear();
    assert_eq!(plan(&known, &retention, now), None, "nothing is merged");
    let (known, now) = world(3, 4, 0);
    let week = Retention { all: hours(24 * 7), ..retention.clone() };
    assert_eq!(plan(&known, &week, now), None, "all of it is new");
    let plan = plan(&known, &retention, now).expect("two days are over");
    assert_eq!((plan.segment, plan.base), (97, (100, 100 * SEGMENT)));
    assert!(plan.moves && plan.make.is_empty() && plan.stay.is_empty() && plan.go.is_empty());
}

#[test]
fn a_point_that_is_gone_lets_its_cut_go() {
    let (mut known, now) = world(5, 4, 0);
    let retention = Retention { all: hours(24), tiers: Vec::new(), grace: Retention::GRACE };
    let main = CutPoint { incarnation: 0, rv: (30 * SEGMENT) as u64 };
    known.points = vec![Pin { name: "nightly".to_owned(), main }];
    let first = plan(&known, &retention, now).expect("there is something");
    assert_eq!(first.make.keys().copied().collect::<Vec<_>>(), [Make::Point(main)]);
    let mut after = done(&known, &first);
    assert_eq!(after.kept.len(), 2);
    assert!(plan(&after, &retention, now).expect("it is looked at").is_nothing());
    after.points.clear();
    let second = plan(&after, &retention, now).expect("there is something");
    assert_eq!((second.go, second.moves), (vec![0], false));
}
