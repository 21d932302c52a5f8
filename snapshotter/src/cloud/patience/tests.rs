use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use hindcast_journal::parts::{BoxFuture, Clock, Micros, Random};

use super::*;

/// A clock on which every wait is over at once and remembered.
#[derive(Debug, Default)]
struct Leaps(Mutex<Vec<Duration>>);

impl Clock for Leaps {
    fn now(&self) -> Micros {
        self.monotonic().as_micros() as Micros
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(async {})
    }
}

/// Draws the same each time.
#[derive(Debug)]
struct Draws(u8);

impl Random for Draws {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn patience(limits: Limits) -> (Patience, Arc<Leaps>) {
    let clock = Arc::new(Leaps::default());
    let parts = Parts { clock: Arc::clone(&clock) as _, random: Arc::new(Draws(0)) };
    (Patience { parts, limits }, clock)
}

fn busy() -> Error {
    Error::new(ErrorKind::Unavailable, "x", "slow down")
}

#[tokio::test]
async fn what_may_pass_is_tried_again_after_growing_pauses_until_patience_ends() {
    let (patience, clock) = patience(Limits { patience: Duration::from_secs(30), ..Limits::default() });
    let tries = AtomicU32::new(0);
    let asked = patience.ride("snapshot of a/b", || async {
        tries.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(Fault::busy(busy(), None))
    });
    let error = asked.await.unwrap_err();
    let pauses = clock.0.lock().unwrap().clone();
    assert!(pauses.iter().sum::<Duration>() <= Duration::from_secs(30), "{pauses:?}");
    assert!(pauses.windows(2).all(|two| two[0] <= two[1]) && pauses.len() > 4, "{pauses:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    let tries = tries.load(Ordering::Relaxed);
    assert!(text.starts_with(&format!("snapshot of a/b: not done after {tries} tries in 2")), "{text}");
    assert!(text.contains("the last answer: slow down") && error.hint().is_some(), "{text}");
}

#[tokio::test]
async fn the_pause_that_the_cloud_asks_for_is_kept_and_one_beyond_patience_ends_at_once() {
    let (patience, clock) = patience(Limits { patience: Duration::from_secs(30), ..Limits::default() });
    let tries = AtomicU32::new(0);
    let after = |seconds| Some(Duration::from_secs(seconds));
    let asked = patience.ride("x", || async {
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Fault::busy(busy(), after(7))),
            _ => Ok(5),
        }
    });
    assert_eq!(asked.await.unwrap(), 5);
    assert_eq!(*clock.0.lock().unwrap(), [Duration::from_secs(7)]);
    let error = patience.ride("x", || async { Err::<(), _>(Fault::busy(busy(), after(600))) }).await.unwrap_err();
    assert!(error.to_string().contains("asks for a pause of 600 s"), "{error}");
    assert_eq!(clock.0.lock().unwrap().len(), 1, "it was not waited for");
}

#[tokio::test]
async fn what_cannot_pass_ends_at_once() {
    let (patience, clock) = patience(Limits::default());
    let denied = || Error::new(ErrorKind::Denied, "x", "no").with_hint("ask");
    let error = patience.ride("x", || async { Err::<(), _>(Fault::last(denied())) }).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Denied, Some("ask")));
    assert!(clock.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_operation_that_is_never_done_ends_with_what_was_waited_for() {
    let (patience, clock) = patience(Limits::default());
    let error = patience.until("deletion of s", || async { Ok(None::<()>) }).await.unwrap_err();
    assert!(error.to_string().starts_with("deletion of s: not done "), "{error}");
    let waited = clock.monotonic();
    assert!(waited <= Duration::from_mins(10) && waited > Duration::from_mins(9), "{waited:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_lost() {
    let (patience, _) = patience(Limits::default());
    let never = futures::future::pending::<Result<(), Fault>>();
    let fault = patience.answer("x", never).await.unwrap_err();
    assert!(fault.is_lost() && fault.error().to_string().contains("no answer within 30 s"), "{fault:?}");
}
