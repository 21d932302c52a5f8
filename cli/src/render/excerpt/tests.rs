use super::*;

#[test]
fn a_text_that_is_too_long_shows_its_beginning() {
    for (text, shown) in [("", ""), ("abcde", "abcde"), ("abcdef", "abcd…"), ("ééééééé", "éééé…")] {
        assert_eq!(shorten(text, 5), shown);
    }
}

#[test]
fn two_texts_are_cut_around_what_differs() {
    let same = "x".repeat(500_000);
    let (old, new) = (format!("{same}a{same}"), format!("{same}b{same}"));
    assert_eq!(around(&old, &new, 12), ("…xxxaxxxxxx…".to_owned(), "…xxxbxxxxxx…".to_owned()));
    assert_eq!(around(&format!("a{same}"), &format!("b{same}"), 6), ("axxxx…".to_owned(), "bxxxx…".to_owned()));
    assert_eq!(around(&same, &format!("{same}b"), 6), ("…x".to_owned(), "…xb".to_owned()));
    assert_eq!(around("short", "other", 6), ("short".to_owned(), "other".to_owned()));
    let roles =
        |last: &str| format!(r#"[{{"apiGroups":["","apps","batch"],"resources":["*"],"verbs":["get","{last}"]}}]"#);
    let (old, new) = around(&roles("list"), &roles("watch"), 30);
    assert_eq!((old.as_str(), new.as_str()), (r#"…:["get","list"]}]"#, r#"…:["get","watch"]}]"#));
}

/// Of all pairs of texts of few letters: what differs is shown to differ, and fits.
#[test]
fn what_differs_is_shown_to_differ() {
    let mut texts = vec![String::new()];
    for letter in ["a", "é", "\u{1f600}"] {
        let longer: Vec<String> =
            texts.iter().flat_map(|text| (1..4).map(|n| text.clone() + &letter.repeat(n * 3))).collect();
        texts.extend(longer);
    }
    for old in &texts {
        for new in &texts {
            for width in [3, 5, 9, 40] {
                let (left, right) = around(old, new, width);
                assert!(left.chars().count() <= width && right.chars().count() <= width, "{old} {new} {width}");
                assert_eq!(left == right, old == new, "{old} and {new} in {width}: {left} and {right}");
            }
        }
    }
}
