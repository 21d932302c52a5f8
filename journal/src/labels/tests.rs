use super::*;

fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
    Selector::parse(selector).unwrap().matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
}

#[test]
fn selectors_mean_what_kubectl_means() {
    let web: &[(&str, &str)] = &[("app", "web"), ("tier", "front"), ("n", "7"), ("x.io/y", "")];
    for (selector, expected) in [
        ("", true),
        ("app", true),
        ("gone", false),
        ("!gone", true),
        ("!app", false),
        ("app=web", true),
        ("app==web", true),
        ("app = web", true),
        ("app=db", false),
        ("app!=db", true),
        ("app!=web", false),
        ("gone!=web", true),
        ("tier in (front,back)", true),
        ("tier in (back)", false),
        ("tier notin (back)", true),
        ("tier notin (front)", false),
        ("gone notin (front)", true),
        ("gone in (front)", false),
        ("app=web,tier in (front, back),!gone", true),
        ("app=web,gone", false),
        ("x.io/y=", true),
        ("x.io/y", true),
        ("n>6", true),
        ("n>7", false),
        ("n<8", true),
        ("app>1", false),
        ("gone>1", false),
    ] {
        assert_eq!(matches(selector, web), expected, "{selector}");
    }
}

#[test]
fn malformed_selectors_are_refused_by_name() {
    for text in [
        ",",
        "app=web,",
        "=web",
        "app in front",
        "app in (front",
        "app in front)",
        "app is (front)",
        "app=we b",
        "a b",
        "app>x",
        "!",
        "app=\u{1b}[2J",
        "app in ((a))",
    ] {
        let failure = Selector::parse(text).expect_err(text);
        assert!(failure.to_string().contains(text), "{failure}");
        assert_eq!(failure.hint(), Some(SYNTAX));
    }
}
