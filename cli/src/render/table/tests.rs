use super::*;

#[test]
fn a_name_that_is_too_long_widens_only_its_own_row() {
    let row = |name: &str| vec![name.to_owned(), "1".to_owned()];
    let long = "x".repeat(253);
    let edge = "y".repeat(WIDEST);
    let laid = lines(&["NAME", "DATA"], vec![row("a"), row(&long), row("bcdefg")]);
    assert_eq!(laid, ["NAME     DATA", "a        1", &format!("{long}   1"), "bcdefg   1"]);
    let laid = lines(&["NAME", "DATA"], vec![row("a"), row(&edge)]);
    assert_eq!(laid[1], format!("a{}1", " ".repeat(WIDEST + 2)), "names of the usual length stand in line");
    assert_eq!(lines(&["NAME", "DATA"], vec![row(&long)]), ["NAME   DATA", &format!("{long}   1")]);
}
