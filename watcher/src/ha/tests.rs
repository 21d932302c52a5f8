use hindcast_cluster::Failure;

use super::*;

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a leader has that holds the Lease, who sees its orders, and who tells it of the Lease.
fn leader() -> (Kept, mpsc::Receiver<Order>, watch::Sender<Told>) {
    let (orders, taken) = mpsc::channel(1);
    let (tell, told) = watch::channel(Told { looked: true, held: true, ..Told::default() });
    let (standby, until) = (Mutex::default(), Mutex::default());
    let kept = Kept { standby, until, told, asked: Mutex::default(), orders, yielded: Mutex::default() };
    (kept, taken, tell)
}

#[test]
fn a_leader_without_a_store_leaves_the_lease_to_others_now_and_then() {
    let (kept, mut taken, tell) = leader();
    let mut yields = |since: u64, now: u64| {
        kept.without_store(second(since), second(now));
        taken.try_recv().is_ok_and(|Order::LetGo(rest, _)| rest == Some(REST))
    };
    assert!(!yields(100, 129), "it may come back");
    assert!(yields(100, 130));
    assert!(!yields(100, 160), "nobody took it");
    assert!(yields(100, 190));
    tell.send_replace(Told { looked: true, other: Some("b".to_owned()), ..Told::default() });
    assert!(!yields(100, 300), "it has none");
}

#[test]
fn an_order_that_nobody_has_taken_yet_is_not_waited_for() {
    let (kept, _taken, _tell) = leader();
    kept.without_store(second(0), second(100));
    kept.without_store(second(0), second(200));
}

#[test]
fn what_was_held_is_kept_until_the_streams_had_time_to_take_it() {
    let (kept, ..) = leader();
    let until = || *kept.until.lock().unwrap();
    kept.tidy(second(100), false);
    kept.tidy(second(1_000), false);
    assert_eq!(until(), None, "no stream has begun");
    kept.tidy(second(1_100), true);
    kept.tidy(second(1_200), true);
    assert_eq!(until(), Some(second(1_100) + TAKEN));
}

#[test]
fn a_journal_that_cannot_be_looked_at_is_not_silent() {
    let silence = |looked: u64, now: u64| standby::silence(second(100), second(looked), second(now));
    assert_eq!(silence(400, 410), second(310));
    assert_eq!(silence(400, 430), Duration::ZERO);
    assert_eq!(silence(431, 431), second(331), "it has not grown in all that time");
}

#[test]
fn one_of_many_calls_that_fails_is_made_again_a_few_times() {
    let cut = || Failure::Transport("reset".to_owned());
    let mut failures = 0;
    let waits: Vec<bool> = (0..6).map(|_| bridge::again(cut(), &mut failures).is_ok()).collect();
    assert_eq!(waits, [true, true, true, true, false, false]);
    let mut failures = 0;
    let busy = |after| Failure::Throttled(Some(second(after)));
    assert_eq!(bridge::again(busy(2), &mut failures), Ok(second(2)));
    assert_eq!(bridge::again(busy(60), &mut failures), Err(busy(60)), "others need not wait for so long");
    assert!((0..20).any(|_| bridge::again(busy(0), &mut failures).is_err()), "nor for ever");
    let gone = || Failure::Expired("too old".to_owned());
    assert_eq!(bridge::again(gone(), &mut 0), Err(gone()));
}
