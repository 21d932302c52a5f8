//! Work on the row groups of a file, on two cores where there are two.
//!
//! **Invariant.** What comes of it is as if it had been done one after the other: only the time it takes differs.

use std::num::NonZero;

/// Threads at most.
const MOST: usize = 4;

/// What `each` makes of some things, in their order.
pub(crate) fn on_cores<T: Send, R: Send>(things: Vec<T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST).min(things.len());
    if cores < 2 {
        return things.into_iter().map(each).collect();
    }
    let mut shares: Vec<Vec<(usize, T)>> = (0..cores).map(|_| Vec::new()).collect();
    for (at, thing) in things.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(at % cores) {
            share.push((at, thing));
        }
    }
    let each = &each;
    let mut made: Vec<(usize, R)> = std::thread::scope(|scope| {
        let work = |share: Vec<(usize, T)>| share.into_iter().map(|(at, thing)| (at, each(thing))).collect::<Vec<_>>();
        let mut shares = shares.into_iter();
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let mut made = work(own);
        for other in others {
            match other.join() {
                Ok(part) => made.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        made
    });
    made.sort_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_it_is_in_order() {
        for count in [0, 1, 2, 7, 100] {
            let things: Vec<usize> = (0..count).collect();
            assert_eq!(on_cores(things, |n| n * 3), (0..count).map(|n| n * 3).collect::<Vec<_>>());
        }
    }
}
