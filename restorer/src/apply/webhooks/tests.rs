//! Switching a webhook off and on again leaves its configuration as it was.

use bytes::Bytes;
use hindcast_journal::exact;

use super::{in_the_way, switched};
use crate::apply::request::Reply;

#[test]
fn webhook_bypass_off_and_on_again_is_nothing() {
    let text =
        br#"{"webhooks":[{"name":"a.x"},{"matchConditions":[{"expression":"true","name":"own"}],"name":"b.x"}]}"#;
    let configuration = exact::parse(text).expect("a test's own JSON");
    for name in ["a.x", "b.x"] {
        let off = switched(&configuration, Some(name)).expect("it is there");
        assert_ne!(off, configuration);
        assert_eq!(switched(&off, Some(name)), None, "once is enough");
        assert_eq!(switched(&off, None).as_ref(), Some(&configuration));
    }
    assert_eq!(switched(&configuration, Some("c.x")), None);
    assert_eq!(switched(&configuration, None), None, "what others set is not ours to take away");
}

#[test]
fn the_server_names_the_webhook() {
    let reply = |message: &str| Reply {
        status: 500,
        body: Bytes::from(format!(r#"{{"message":"{}"}}"#, message.replace('"', "\\\""))),
        doubtful: false,
    };
    let down = reply(r#"Internal error occurred: failed calling webhook "a.x": failed to call webhook: Post"#);
    assert_eq!(in_the_way(&down).as_deref(), Some("a.x"));
    let no = reply(r#"admission webhook "b.x" denied the request: no"#);
    assert_eq!(in_the_way(&no).as_deref(), Some("b.x"));
    assert_eq!(in_the_way(&reply("exceeded quota")), None);
}
