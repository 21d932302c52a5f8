//! Removes steps from a failing history as long as it still fails in the same way: a smaller one that fails in another
//! way would be a different bug.

use futures::{StreamExt as _, stream};

use super::{
    Op,
    history::Act,
    trial::{World, one},
};

/// The smallest history found that fails like the whole one did, for `reason`, and why it fails.
pub(super) async fn shrink(world: &World, mut ops: Vec<Op>, reason: &str) -> (Vec<Op>, String) {
    let kind = kind(reason);
    let mut why = "not again: it fails only at times".to_owned();
    let mut round = 0_u32;
    let mut chunk = ops.len() / 2;
    // Each try takes a namespace and half a dozen calls of the binary; forty rounds take a few minutes.
    while chunk >= 1 && round < 40 {
        let tries: Vec<Vec<Op>> = (0..ops.len())
            .step_by(chunk)
            .map(|from| {
                let keep = |(n, op): (usize, &Op)| {
                    (op.act == Act::Moment || n < from || n >= from + chunk).then(|| op.clone())
                };
                ops.iter().enumerate().filter_map(keep).collect::<Vec<_>>()
            })
            .filter(|fewer| fewer.len() < ops.len())
            .collect();
        round += 1;
        let mut results = stream::iter(tries.into_iter().enumerate())
            .map(|(n, fewer)| async move {
                let result = one(world, &format!("shrink-{round}-{n}"), &fewer).await;
                result.err().map(|error| (fewer, format!("{error:#}")))
            })
            .buffered(6);
        let mut smaller = None;
        while let Some(result) = results.next().await {
            smaller = result.filter(|(_, reason)| self::kind(reason) == kind);
            if smaller.is_some() {
                break;
            }
        }
        drop(results);
        match smaller {
            Some((fewer, reason)) => {
                ops = fewer;
                why = reason;
                chunk = chunk.min(ops.len() / 2).max(1);
            }
            None => chunk /= 2,
        }
    }
    (ops, why)
}

/// What a failure is like: the words of its first line, without names, paths and values.
fn kind(reason: &str) -> String {
    let first = reason.lines().next().unwrap_or_default();
    let word = |w: &&str| w.trim_end_matches([':', ',', ';']).chars().all(char::is_alphabetic);
    first.split_whitespace().filter(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn failures_are_told_apart_by_their_words() {
        let a = kind("ConfigMap/a: then and now: /data/x is 1, not 2\n$ hindcast restore");
        assert_eq!(a, kind("Service/web-7: then and now: /spec/ports is [], not [1]"));
        assert_ne!(a, kind("ConfigMap/a: not acted on, and gone"));
    }
}
