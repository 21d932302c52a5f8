//! Takes steps away from a failing history while it still fails.

use futures::{StreamExt as _, stream};

use super::{
    Op,
    history::Act,
    trial::{World, one},
};

/// The smallest failing history found, and why it fails.
pub(super) async fn shrink(world: &World, mut ops: Vec<Op>) -> (Vec<Op>, String) {
    let mut why = "not again: it fails only at times".to_owned();
    let mut round = 0_u32;
    let mut chunk = ops.len() / 2;
    // Each try is a namespace and half a dozen calls of the binary; forty rounds are a few minutes.
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
            if result.is_some() {
                smaller = result;
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
