use super::*;

#[test]
fn sizes_are_rounded_up_and_never_below_the_snapshot() {
    assert_eq!(gibibytes(8), 8 << 30);
    assert_eq!(gibibytes(-1), 0);
    assert_eq!(in_gibibytes(1, 0), 1);
    assert_eq!(in_gibibytes((8 << 30) + 1, 0), 9);
    assert_eq!(in_gibibytes(1 << 30, 10 << 30), 10);
    assert_eq!(in_gibibytes(0, 0), 1);
}

#[test]
fn text_is_cut_between_characters() {
    assert_eq!(cut("näheres", 2), "nä");
}

#[test]
fn what_is_no_name_gets_one_of_its_own() {
    assert_eq!(label("hindcast-restore-0a-1"), "hindcast-restore-0a-1");
    for odd in ["Shop/Data", "9lives", "ends-", "", &"long".repeat(40)] {
        let name = label(odd);
        assert!(name.len() <= 63 && name.starts_with('x'), "{odd}: {name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{odd}: {name}");
    }
    assert_ne!(label("Shop/Data"), label("Shop_Data"));
}

#[test]
fn moments_with_offsets_are_read() {
    assert_eq!(moment("1970-01-01T00:00:01.5-00:00"), Some(1_500_000));
    assert_eq!(moment("2026-11-29T12:00:00.000-08:00"), moment("2026-11-29T20:00:00Z"));
    assert_eq!(moment("yesterday"), None);
}
