use super::*;

fn text(old: &str, new: &str) -> String {
    let (old, new) = split(old, new);
    let mut out = String::new();
    for hunk in hunks(&old, &new) {
        out.push_str(&hunk.heading);
        for (sign, line) in &hunk.lines {
            out.push('\n');
            out.push(sign.mark());
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[test]
fn it_reads_as_diff_u() {
    assert_eq!(text("a\nb", "a\nb"), "");
    assert_eq!(
        text("1\n2\n3\n4\n5\n6\n7\n8", "1\n2\n3\n4\nfive\n6\n7\n8"),
        "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    );
    assert_eq!(text("a", "a\nb"), "@@ -1 +1,2 @@\n a\n+b\n");
    assert_eq!(text("a\n", "b\n"), "@@ -1 +1 @@\n-a\n+b\n");
    assert_eq!(text("a", "a\n"), "@@ -1 +1,2 @@\n a\n+\n");
    let far: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let changed = far.join("\n").replacen('3', "three", 1).replacen("39", "end", 1);
    assert_eq!(text(&far.join("\n"), &changed).matches("@@ -").count(), 2);
}

#[test]
fn both_texts_can_be_had_back() {
    let (old, new) = split("a\nb\nc\nd", "x\nb\nd\ne\nf");
    let hunks = hunks(&old, &new);
    let side = |not: Sign| -> Vec<&str> {
        let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
        lines.filter(|(sign, _)| *sign != not).map(|(_, line)| *line).collect()
    };
    assert_eq!((side(Sign::New), side(Sign::Old)), (old, new));
}

#[test]
fn a_long_line_shows_where_it_differs() {
    let same = "x".repeat(1_000_000);
    let (old, new) = (format!("a\n{same}1{same}\nb\ngone"), format!("a\n{same}2{same}\nb"));
    let (old, new) = split(&old, &new);
    let shown: Vec<String> = hunks(&old, &new)
        .iter()
        .flat_map(|hunk| hunk.within(12))
        .map(|(sign, line)| format!("{}{line}", sign.mark()))
        .collect();
    assert_eq!(shown, [" a", "-…xxx1xxxxxx…", "+…xxx2xxxxxx…", " b", "-gone"]);
}
