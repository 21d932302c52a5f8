//! What the server says of webhooks.

use bytes::Bytes;

use crate::apply::request::Reply;

#[test]
fn the_server_names_the_webhook() {
    let reply = |message: &str| Reply {
        status: 500,
        body: Bytes::from(format!(r#"{{"message":"{}"}}"#, message.replace('"', "\\\""))),
        doubtful: false,
    };
    let down = reply(r#"Internal error occurred: failed calling webhook "a.x": failed to call webhook: Post"#);
    assert_eq!(down.webhook().as_deref(), Some("a.x"));
    let no = reply(r#"admission webhook "b.x" denied the request: no"#);
    assert_eq!(no.webhook().as_deref(), Some("b.x"));
    assert_eq!(reply("exceeded quota").webhook(), None);
}
