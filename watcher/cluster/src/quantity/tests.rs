//! Quantities compare as the server compares them.

use super::Quantity;

fn parse(text: &str) -> Option<Quantity> {
    Quantity::parse(text)
}

#[test]
fn the_same_amount_in_other_words_is_the_same() {
    for (a, b) in [
        ("1Gi", "1024Mi"),
        ("1.5Gi", "1536Mi"),
        ("1G", "1000M"),
        ("1e3", "1k"),
        ("1E3", "1k"),
        ("100m", "0.1"),
        ("1E", "1000P"),
        ("+5", "5"),
        ("1500000n", "1.5m"),
    ] {
        assert_eq!(parse(a), parse(b), "{a} and {b}");
        assert!(parse(a).is_some(), "{a}");
    }
    assert!(parse("10Gi") > parse("10G"));
    assert!(parse("2Gi") > parse("1.9Gi"));
    assert!(parse("-1") < parse("0"));
}

#[test]
fn what_is_no_quantity_is_none() {
    for text in ["", "Gi", "1Zi", "1.2.3", "--1", "1-", ".", "1e99", "999999999999999999999999999999999999999Ei", "ten"]
    {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_size_is_its_bytes_rounded_up() {
    for (text, bytes) in [
        ("1Ki", 1024),
        ("1.5Gi", 1_610_612_736),
        ("1m", 1),
        ("0", 0),
        ("-5", 0),
        ("9007199254740993", 9_007_199_254_740_993),
    ] {
        assert_eq!(parse(text).map(Quantity::ceil), Some(bytes), "{text}");
    }
}
