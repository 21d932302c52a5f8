use super::*;

#[test]
fn what_is_ahead_of_the_clock_is_said_to_be() {
    for (micros, said) in [
        (63_000_000, "63s ago"),
        (0, "0s ago"),
        // Clocks that differ by so little are taken for the same.
        (-1_500_000, "0s ago"),
        (-180_000_000, "3m ahead of this machine's clock"),
    ] {
        assert_eq!(since(micros), said);
    }
}

#[test]
fn a_window_that_has_not_begun_is_none() {
    let seen = |from: Option<&str>, to: Option<&str>, since: Option<&str>| {
        let text = |time: Option<&str>| time.map(str::to_owned);
        window((&text(from), &text(to), &text(since)), |time| format!("<{time}>"))
    };
    assert_eq!(seen(Some("1"), Some("2"), Some("1")), "<1> to <2>");
    assert_eq!(seen(None, None, Some("5")), "nothing yet: protected since <5>, and not closed up to there");
    assert_eq!(seen(None, None, None), "nothing yet");
}
