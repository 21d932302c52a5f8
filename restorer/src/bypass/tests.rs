//! Switching a webhook off and on again leaves its configuration as it was.

use hindcast_journal::exact::{self, Value};

use super::{Bypassed, lift, lifted, off};

fn value(text: &str) -> Value {
    exact::parse(text.as_bytes()).expect("a test's own JSON")
}

fn configuration() -> Value {
    value(
        r#"{"metadata":{"name":"guard"},"webhooks":[{"name":"a.x"},{"matchConditions":[{"expression":"true","name":"own"}],"name":"b.x"}]}"#,
    )
}

#[test]
fn webhook_bypass_off_and_on_again_is_nothing() {
    let configuration = configuration();
    for name in ["a.x", "b.x"] {
        let mut off = off(&configuration, name, "r1").expect("it is there");
        assert_ne!(off, configuration);
        assert_eq!(super::off(&off, name, "r1"), None, "once is enough");
        assert!(lifted(&mut off));
        assert_eq!(off, configuration);
    }
    assert_eq!(off(&configuration, "c.x", "r1"), None);
    assert!(!lifted(&mut configuration.clone()), "what others set is not ours to take away");
}

#[test]
fn each_restore_switches_on_what_it_switched_off() {
    let first = off(&configuration(), "a.x", "r1").expect("it is there");
    let both = off(&first, "b.x", "r2").expect("it is there");
    let found = Bypassed::of("ValidatingWebhookConfiguration", &both);
    let told: Vec<_> = found.iter().map(|off| (off.to_string(), off.restore.clone())).collect();
    let of = |webhook: &str| format!("{webhook} of ValidatingWebhookConfiguration guard");
    assert_eq!(told, [(of("a.x"), Some("r1".to_owned())), (of("b.x"), Some("r2".to_owned()))]);
    let mut now = both;
    assert!(lift(&mut now, Some(&["r2".to_owned()].into())));
    assert_eq!(now, first, "another restore's stays off");
}

/// As it was written before the condition named its restore.
#[test]
fn a_condition_that_names_no_restore_is_known_and_taken_out_by_any() {
    let mut old = value(
        r#"{"metadata":{"name":"guard"},"webhooks":[{"matchConditions":[{"expression":"false","name":"hindcast-bypass"}],"name":"a.x"}]}"#,
    );
    let found = Bypassed::of("ValidatingWebhookConfiguration", &old);
    assert!(found.iter().all(|off| off.restore.is_none()) && found.len() == 1, "{found:?}");
    assert!(lift(&mut old, Some(&["r2".to_owned()].into())));
    assert_eq!(old, value(r#"{"metadata":{"name":"guard"},"webhooks":[{"name":"a.x"}]}"#));
}
