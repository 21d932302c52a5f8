use super::*;
use crate::printer::tests::Buffer;

fn progress(done: usize, seconds: Option<u64>) -> Progress<'static> {
    Progress {
        stage: Stage::Applying,
        done,
        total: 500,
        rate: 210.4,
        remaining: seconds.map(Duration::from_secs),
        action: None,
    }
}

#[test]
fn it_says_how_far_how_fast_and_how_long() {
    assert_eq!(line(&progress(120, Some(1))), "120 of 500 (24 %), 210/s, 2 s left");
    assert_eq!(line(&progress(500, Some(0))), "500 of 500 (100 %), 210/s");
    assert_eq!(line(&progress(0, None)), "0 of 500 (0 %), 210/s");
}

#[test]
fn away_from_a_terminal_lines_are_few() {
    let err = Buffer::default();
    let printer = Printer::to(Box::new(Buffer::default()), Box::new(err.clone()));
    let parts = Parts::system();
    let watch = Watch::new(&printer, &parts);
    (0..500).for_each(|n| watch.tell(&progress(n, None)));
    assert_eq!(err.text(), "", "all of this took no five seconds");
}
