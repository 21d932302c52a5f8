use std::os::unix::fs::PermissionsExt as _;

use tonic::Code;

use super::*;
use crate::{
    fake::{Fake, Reply, snapshot},
    wire::{CreateOutcome, CreateResponse, LookRequest, LookResponse, Standing, Stands},
};

async fn look(plugin: &Plugin) -> Result<LookResponse> {
    let request = LookRequest { taken: Some(snapshot(0)) };
    plugin.call("a snapshot", Method::LOOK, request).await.map_err(Error::from)
}

fn refused<T: std::fmt::Debug>(answer: Result<T>, says: &str) -> Error {
    let error = answer.expect_err(says);
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains(says), "{says}: {error:?}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "no remedy: {error}");
    error
}

#[tokio::test]
async fn malformed_details_of_a_status_are_dropped_unread() {
    let details = "grpc-status-details-bin";
    let failing =
        Fake::start(move |_, _| Reply::error(Code::FailedPrecondition, "it is locked").with(details, "no base64!"));
    let plugin = failing.plugin();
    refused(look(&plugin).await, "it is locked");
    assert_eq!(failing.asked("Handshake"), 1, "the connection stays");
    // After a message, they stand behind it.
    let answering = Fake::start(move |_, _| {
        let standing = Some(Standing { standing: Some(Stands::Gone(crate::wire::Gone {})) });
        Reply::of(LookResponse { taken: None, standing }).with(details, "no base64!")
    });
    let answered = look(&answering.plugin()).await.unwrap();
    assert!(answered.standing.is_some());
}

#[tokio::test]
async fn what_is_larger_than_its_call_needs_is_not_taken_in() {
    let fake = Fake::start(|call, _| match call {
        "Create" => Reply::of(CreateResponse { outcomes: vec![CreateOutcome::default(); 5000] }),
        _ => Reply::of(LookResponse {
            taken: Some(crate::wire::Taken { handle: "a".repeat(2 << 20), ..snapshot(0) }),
            standing: None,
        }),
    });
    let plugin = fake.plugin();
    refused(look(&plugin).await, "more than the 1048576 it may have");
    let created = plugin.call("snapshots", Method::CREATE, crate::wire::CreateRequest { orders: vec![] }).await;
    let created: Result<CreateResponse> = created.map_err(Error::from);
    refused(created, "5000 fields, more than the 1000");
    // Also who it says that it is.
    fake.met.lock().unwrap().plugin_version = "1".repeat(70_000);
    refused(fake.plugin().meet().await, "more than the 65536 it may have");
}

#[tokio::test]
async fn two_of_one_name_are_not_asked_beside_one_another() {
    let (one, two) = (Fake::start(|_, _| Reply::never()), Fake::start(|_, _| Reply::never()));
    let first = one.plugin();
    let second = two.plugin().beside(&first);
    first.meet().await.unwrap();
    let error = refused(second.meet().await, "has the name fake, as the one");
    assert!(error.to_string().contains(&one.address().to_string()), "{error}");
    assert!(second.met().is_none() && second.name().contains(&two.address().to_string()));
    // Of another name it may be, and of another process.
    two.met.lock().unwrap().name = "other".into();
    second.meet().await.unwrap();
    assert_eq!(second.name(), "other");
    assert!(one.plugin().meet().await.is_ok());
}

#[tokio::test]
async fn a_socket_that_others_could_replace_is_not_asked() {
    let fake = Fake::start(|_, _| Reply::never());
    let plugin = fake.plugin();
    std::fs::set_permissions(fake.folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    refused(plugin.meet().await, "others than its owner can write to the folder");
    assert_eq!(fake.asked("Handshake"), 0);
    std::fs::set_permissions(fake.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    plugin.meet().await.unwrap();
}
