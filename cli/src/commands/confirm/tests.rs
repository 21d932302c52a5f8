use clap::Parser as _;
use hindcast_journal::Parts;
use hindcast_restorer::selection::What;
use tokio::sync::oneshot::{Receiver, channel};

use super::*;
use crate::{
    args::Cli,
    failure::Exit,
    moment::Wall,
    printer::{Printer, tests::Buffer},
    render::plan::tests::{bad_deploy, empty},
};

/// Asks about a plan; what is said, and whether it was agreed to.
fn asked(plan: &Plan, answers: Option<fn() -> Receiver<String>>) -> (String, Result<()>) {
    let err = Buffer::default();
    let mut printer = Printer::to(Box::new(Buffer::default()), Box::new(err.clone()));
    if let Some(answers) = answers {
        printer = printer.answered(answers);
    }
    let cli = Cli::try_parse_from(["hindcast", "status"]).unwrap();
    let wall = Wall::new(0, Some("UTC")).unwrap();
    let context = Context {
        common: &cli.common,
        printer: &printer,
        parts: Parts::system(),
        wall,
        held: crate::settings::Held::default(),
    };
    let place = Place { context: "context \"prod-eu\"", server: "https://10.0.0.1:6443/" };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let agreed = runtime.block_on(ask(&context, plan, &place));
    (err.text(), agreed)
}

fn says(text: &str) -> Receiver<String> {
    let (send, receive) = channel();
    send.send(text.to_owned()).unwrap();
    receive
}

#[test]
fn it_names_where_what_and_how_much() {
    let (said, agreed) = asked(&bad_deploy(), Some(|| says("shop\n")));
    agreed.unwrap();
    insta::assert_snapshot!(said);
}

#[test]
fn it_says_how_much_the_server_would_refuse() {
    let mut plan = bad_deploy();
    assert!(asked(&plan, Some(|| says("shop\n"))).0.contains("would refuse 1 of these actions"));
    for action in &mut plan.actions {
        action.check = Some(hindcast_restorer::apply::Check::Refused("no".into()));
    }
    assert!(asked(&plan, Some(|| says("shop\n"))).0.contains("would refuse all of it"));
}

#[test]
fn a_delete_is_confirmed_by_its_name_alone() {
    for answers in [|| says("y\n"), || says("all\n"), || says("\n"), || channel().1] {
        let failure = asked(&bad_deploy(), Some(answers)).1.unwrap_err();
        assert_eq!((failure.exit, failure.what.as_str()), (Exit::Failed, "declined"));
    }
    let mut all = bad_deploy();
    all.selection = empty(What::All).selection;
    assert!(asked(&all, Some(|| says("all\n"))).1.is_ok());
    assert!(asked(&all, Some(|| says("shop\n"))).1.is_err());
}

#[test]
fn without_a_delete_a_y_is_enough() {
    let mut plan = bad_deploy();
    plan.actions.retain(|action| action.verb != Verb::Delete);
    assert!(asked(&plan, Some(|| says("y\n"))).1.is_ok());
    assert!(asked(&plan, Some(|| says("\n"))).1.is_err());
    assert!(asked(&plan, Some(|| says("n\n"))).1.is_err());
}

#[test]
fn without_a_terminal_nothing_is_done() {
    let failure = asked(&bad_deploy(), None).1.unwrap_err();
    assert_eq!(failure.exit, Exit::Failed);
    assert!(failure.hints.iter().any(|hint| hint.contains("--yes")), "{:?}", failure.hints);
}
