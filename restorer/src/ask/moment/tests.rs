use super::*;

fn wall(now: &str, zone: &str) -> Wall {
    Wall { now: now.parse().unwrap(), zone: TimeZone::get(zone).unwrap() }
}

/// 2026-11-02 15:30 in Berlin, winter time.
fn berlin() -> Wall {
    wall("2026-11-02T14:30:00Z", "Europe/Berlin")
}

fn at(text: &str, wall: &Wall) -> String {
    match parse(text, wall).unwrap_or_else(|e| panic!("{text}: {e}")) {
        T::Time(micros) => Timestamp::from_microsecond(micros).unwrap().to_string(),
        other => panic!("{text} is {other:?}"),
    }
}

fn refused(text: &str, wall: &Wall) -> (String, String) {
    let failure = parse(text, wall).expect_err(text);
    (failure.to_string(), failure.hint().unwrap_or_default().to_owned())
}

#[test]
fn absolute_times() {
    for (text, expected) in [
        ("2026-11-01T14:01:00Z", "2026-11-01T14:01:00Z"),
        ("2026-11-01t14:01:00z", "2026-11-01T14:01:00Z"),
        ("2026-11-01T14:01:00+05:30", "2026-11-01T08:31:00Z"),
        ("2026-11-01 14:01:00-08:00", "2026-11-01T22:01:00Z"),
        ("2026-11-01T14:01:00.250Z", "2026-11-01T14:01:00.25Z"),
        ("2026-11-01T14:01:00.123456789Z", "2026-11-01T14:01:00.123456Z"),
        ("2026-11-01", "2026-10-31T23:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("2026-11-01 14:01", "2026-11-01T13:01:00Z"),
        ("2026-11-01T14:01", "2026-11-01T13:01:00Z"),
        ("2026-11-01 14:01:09.5", "2026-11-01T13:01:09.5Z"),
        ("  2026-07-01 14:01  ", "2026-07-01T12:01:00Z"),
    ] {
        assert_eq!(at(text, &berlin()), expected, "{text}");
    }
}

#[test]
fn a_clock_time_is_the_latest_that_is_not_in_the_future() {
    let wall = berlin();
    assert_eq!(at("14:01", &wall), "2026-11-02T13:01:00Z");
    assert_eq!(at("15:30", &wall), "2026-11-02T14:30:00Z", "now itself is not the future");
    assert_eq!(at("15:30:00.001", &wall), "2026-11-01T14:30:00.001Z");
    assert_eq!(at("23:59:59", &wall), "2026-11-01T22:59:59Z");
    assert_eq!(at("9:05", &wall), "2026-11-02T08:05:00Z");
    // Yesterday was still summer time on the day the clocks went back.
    let monday = super::tests::wall("2026-10-26T00:10:00Z", "Europe/Berlin");
    assert_eq!(at("01:30", &monday), "2026-10-24T23:30:00Z");
}

#[test]
fn yesterday_is_the_day_before_in_the_zone() {
    assert_eq!(at("yesterday 22:00", &berlin()), "2026-11-01T21:00:00Z");
    assert_eq!(at("yesterday 23:59:59.999", &berlin()), "2026-11-01T22:59:59.999Z");
    let auckland = wall("2026-11-02T14:30:00Z", "Pacific/Auckland");
    assert_eq!(at("yesterday 22:00", &auckland), "2026-11-02T09:00:00Z");
}

#[test]
fn spans_count_back_from_now() {
    for (text, expected) in [
        ("5m", "2026-11-02T14:25:00Z"),
        ("2h30m ago", "2026-11-02T12:00:00Z"),
        ("2h30m", "2026-11-02T12:00:00Z"),
        ("2h 30m ago", "2026-11-02T12:00:00Z"),
        ("90s", "2026-11-02T14:28:30Z"),
        ("250ms", "2026-11-02T14:29:59.75Z"),
        ("1d", "2026-11-01T14:30:00Z"),
        ("1w1d", "2026-10-25T14:30:00Z"),
        ("0s", "2026-11-02T14:30:00Z"),
    ] {
        assert_eq!(at(text, &berlin()), expected, "{text}");
    }
    // Ten days back over the change of the clocks are 240 hours.
    assert_eq!(at("10d", &berlin()), "2026-10-23T14:30:00Z");
}

#[test]
fn revisions_positions_and_before() {
    let wall = berlin();
    assert_eq!(parse("rev:812", &wall).unwrap(), T::Rev(812, None));
    assert_eq!(parse("rev:812@3", &wall).unwrap(), T::Rev(812, Some(3)));
    assert_eq!(parse("pos:4711", &wall).unwrap(), T::Pos(4711));
    assert_eq!(parse("now", &wall).unwrap(), T::Now);
    assert_eq!(parse("before:pos:4711", &wall).unwrap(), T::Before(Box::new(T::Pos(4711))));
    assert_eq!(parse("before:rev:8@1", &wall).unwrap(), T::Before(Box::new(T::Rev(8, Some(1)))));
    assert!(matches!(parse("before:14:01", &wall), Ok(T::Before(t)) if matches!(*t, T::Time(_))));
}

#[test]
fn what_is_no_time_is_refused_with_the_grammar() {
    for text in [
        "",
        "tomorrow",
        "14",
        "14:1",
        "25:00",
        "14:60",
        "14:00:60",
        "24:00",
        "14:00:00.",
        "rev:",
        "rev:x",
        "rev:-1",
        "rev:+1",
        "rev:1@",
        "rev:1@x",
        "rev:99999999999999999999",
        "pos:",
        "pos:1.5",
        "before:before:now",
        "before:",
        "yesterday",
        "yesterday noon",
        "2026-13-01",
        "2026-02-30",
        "2026-11-01T",
        "2026-11-01X14:00",
        "2026-11-01T14:00:00+5",
        "2026-11-01T14:00:00+99:00",
        "ago",
        "5",
        "5x",
        "5m5h",
        "5m5m",
        "-5m",
        "5m from now",
        "2026-1-1",
        "２０26-11-01",
        "9999999999999999w",
        "2026-11-01T14:00:00.1234567890Z",
        "Now",
        "2026-11-0é",
    ] {
        let (message, hint) = refused(text, &berlin());
        assert!(message.starts_with(&format!("time `{text}`: ")), "{text}: {message}");
        assert!(hint.contains("before:T"), "{text}: {hint}");
    }
}

#[test]
fn a_time_that_happens_twice_names_both() {
    let wall = wall("2026-11-05T12:00:00Z", "America/New_York");
    let (message, hint) = refused("2026-11-01 01:30", &wall);
    assert_eq!(message, "time 2026-11-01 01:30:00: happens twice in America/New_York, where the clocks go back");
    assert_eq!(hint, "write 2026-11-01T01:30:00-04:00 (the first) or 2026-11-01T01:30:00-05:00 (the second)");
    assert_eq!(at("2026-11-01T01:30:00-04:00", &wall), "2026-11-01T05:30:00Z");
    assert_eq!(at("2026-11-01T01:30:00-05:00", &wall), "2026-11-01T06:30:00Z");
}

#[test]
fn a_time_that_does_not_happen_names_the_sides() {
    let wall = wall("2026-04-05T12:00:00Z", "Europe/Berlin");
    let (message, hint) = refused("2026-03-29 02:30:15", &wall);
    assert_eq!(
        message,
        "time 2026-03-29 02:30:15: does not happen in Europe/Berlin, where the clocks go forward over it"
    );
    assert_eq!(hint, "write 2026-03-29T01:30:15+01:00 (before the change) or 2026-03-29T03:30:15+02:00 (after it)");
}

#[test]
fn clock_times_and_yesterday_are_refused_in_folds_and_holes_too() {
    let fold = wall("2026-11-01T18:00:00Z", "America/New_York");
    assert!(refused("01:30", &fold).0.contains("happens twice"));
    let after = wall("2026-11-02T18:00:00Z", "America/New_York");
    assert!(refused("yesterday 01:30", &after).0.contains("happens twice"));
    let hole = wall("2026-03-29T10:00:00Z", "Europe/Berlin");
    assert!(refused("02:30", &hole).0.contains("does not happen"));
    // Before the hole has come, the latest 02:30 is yesterday's.
    let early = wall("2026-03-29T00:10:00Z", "Europe/Berlin");
    assert_eq!(at("02:30", &early), "2026-03-28T01:30:00Z");
    // A zone whose midnight does not happen on the day of the change.
    let santiago = wall("2026-09-10T12:00:00Z", "America/Santiago");
    assert!(refused("2026-09-06", &santiago).0.contains("does not happen"));
}

#[test]
fn a_shown_time_reads_back_as_itself() {
    let wall = berlin();
    let time = 1_793_538_060_000_000;
    assert_eq!(wall.show(time), "2026-11-01 14:01:00.000+01:00");
    assert_eq!(parse(&wall.show(time), &wall).unwrap(), T::Time(time));
    assert_eq!(parse(&wall.show(time + 17), &wall).unwrap(), T::Time(time + 17));
}

#[test]
fn a_copied_time_of_a_change_includes_it() {
    let wall = berlin();
    for time in [1_793_538_060_123_001, 1_793_538_060_123_999, 1_793_538_060_123_000] {
        let Ok(T::Time(read)) = parse(&wall.show_change(time), &wall) else { panic!("no time") };
        assert!(read >= time && read - time < 1000, "{time} became {read}");
    }
}

#[test]
fn an_unknown_zone_is_named() {
    let failure = Wall::new(0, Some("Mars/Olympus")).unwrap_err();
    assert!(failure.to_string().contains("Mars/Olympus"));
    assert!(failure.hint().is_some_and(|hint| hint.contains("Europe/Berlin")));
}
