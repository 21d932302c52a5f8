use super::*;
use crate::api::Condition;

fn told(changes: u64, at: u64) -> Telling {
    Telling { told: Some((changes, Duration::from_secs(at))), ..Telling::default() }
}

fn status(reason: &str, message: &str) -> JournalStatus {
    let condition =
        Condition { kind: "Ready".into(), reason: reason.into(), message: message.into(), ..Condition::default() };
    JournalStatus { conditions: vec![condition], ..JournalStatus::default() }
}

#[test]
fn a_status_is_told_when_something_is_new_and_is_no_news_itself() {
    let (same, late) = (status("Protecting", "all"), Duration::from_mins(1));
    let due = |telling: &Telling, new: &JournalStatus, changes, now| telling.is_due(&same, new, changes, now);
    assert!(due(&Telling::default(), &same, 0, late), "a process that has begun tells how it is");
    // What it makes itself is not counted.
    assert!(!due(&told(100, 0), &same, 100, late));
    assert!(due(&told(100, 0), &same, 101, late));
    // Not each second.
    assert!(!due(&told(100, 50), &same, 200, late));
    // What is another than before is told at once, in other words not.
    assert!(due(&told(100, 60), &status("NotReady", "all"), 100, late));
    assert!(!due(&told(100, 50), &status("Protecting", "for 7 s"), 100, late));
    assert!(due(&told(100, 30), &status("Protecting", "for 7 s"), 100, late));
    let kept = JournalStatus { retention: "all=7d".into(), ..same.clone() };
    assert!(due(&told(100, 60), &kept, 100, late));
}
