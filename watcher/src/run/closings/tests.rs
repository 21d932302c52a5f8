use hindcast_journal::segment::FrontierPoint;
use tokio::sync::oneshot;

use super::*;
use crate::Error;

const ZERO: Duration = Duration::ZERO;

fn ask(closings: &mut Closings, count: usize) -> Vec<oneshot::Receiver<Result<FrontierVector>>> {
    let one = |_| {
        let (reply, answer) = oneshot::channel();
        closings.take(Command::Close(reply));
        answer
    };
    (0..count).map(one).collect()
}

#[test]
fn who_asks_meanwhile_shares_the_next_closing_which_begins_a_second_later() {
    let mut closings = Closings::default();
    assert!(closings.begin(ZERO).is_none() && closings.wait(ZERO).is_none(), "nobody asked");
    let first = ask(&mut closings, 10);
    let begun = closings.begin(ZERO).expect("it is due");
    let second = ask(&mut closings, 1000);
    let frontier = FrontierVector::from([("main".to_owned(), FrontierPoint { incarnation: 0, rv: 7, time: 9 })]);
    begun.answer(&Ok(frontier.clone()));
    for mut answer in first {
        assert_eq!(answer.try_recv().expect("all are answered").expect("it closed"), frontier);
    }
    let soon = Duration::from_millis(400);
    assert!(closings.begin(soon).is_none(), "too soon after the first began");
    assert_eq!(closings.wait(soon), Some(Duration::from_millis(600)));
    let begun = closings.begin(APART).expect("it is due");
    assert!(closings.begin(2 * APART).is_none(), "one closing was for all thousand");
    begun.answer(&Err(Error::unavailable("close", "a kind was not seen in time").with_hint("look at it")));
    for mut answer in second {
        let error = answer.try_recv().expect("all are answered").expect_err("it failed");
        assert_eq!(
            (error.to_string().as_str(), error.hint()),
            ("close: a kind was not seen in time", Some("look at it"))
        );
    }
}

#[test]
fn nothing_is_closed_for_those_who_left() {
    let mut closings = Closings::default();
    drop(ask(&mut closings, 3));
    assert!(closings.begin(ZERO).is_none());
    let stayed = ask(&mut closings, 1);
    assert!(closings.begin(ZERO).is_some(), "who left has used nothing up");
    drop(stayed);
}

#[test]
fn a_closing_answers_the_newest_knock_among_those_who_ask() {
    let mut closings = Closings::default();
    let mut answers = ask(&mut closings, 1);
    for knock in [4, 3] {
        let (reply, answer) = oneshot::channel();
        closings.take(Command::Knock(knock, reply));
        answers.push(answer);
    }
    assert_eq!(closings.begin(ZERO).map(|begun| begun.knock), Some(4));
    let more = ask(&mut closings, 1);
    assert_eq!(closings.begin(APART).map(|begun| begun.knock), Some(0), "it was answered");
    drop((answers, more));
}
