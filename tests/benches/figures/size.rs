//! `mix`: what the workload consists of. `bytes`: what a change takes in the journal.

use std::collections::BTreeMap;

use anyhow::Result;
use hindcast_journal::{Change, row::Body};
use hindcast_tests::workload::{Class, Workload};

use crate::{
    SEED,
    feed::{self, Feed},
    quantile, row,
};

/// Shares and sizes of the classes.
pub(crate) fn mix(quick: bool) {
    let (objects, steps) = if quick { (2_000, 10_000) } else { (20_000, 100_000) };
    let mut workload = Workload::new(SEED, objects);
    let mut sizes: BTreeMap<Class, Vec<usize>> = BTreeMap::new();
    for step in workload.initial() {
        sizes.entry(step.class).or_default().push(step.object.len());
    }
    for _ in 0..steps {
        let step = workload.next_step();
        sizes.entry(step.class).or_default().push(step.object.len());
    }
    let mut all = Vec::new();
    let mut line = |name: &str, mut sizes: Vec<usize>, share: f64| {
        sizes.sort_unstable();
        let mean = sizes.iter().sum::<usize>() / sizes.len().max(1);
        let at = |share| quantile(&sizes, share);
        row(
            &format!("mix: {name}"),
            "",
            &format!("{:.2} %; {mean} B mean", share * 100.0),
            &format!("size p10 {}, p50 {}, p90 {}, p99 {}", at(0.1), at(0.5), at(0.9), at(0.99)),
        );
        if name != Class::Initial.as_str() {
            all.extend(sizes);
        }
    };
    for (class, sizes) in sizes {
        let share = if class == Class::Initial { 0.0 } else { sizes.len() as f64 / f64::from(steps) };
        line(class.as_str(), sizes, share);
    }
    all.sort_unstable();
    let mean = all.iter().sum::<usize>() / all.len().max(1);
    row(
        "mix: all writes",
        "",
        &format!("{mean} B mean"),
        &format!("size p50 {}, p99 {}", quantile(&all, 0.5), quantile(&all, 0.99)),
    );
}

/// Bytes per change, in segments as they are written and sorted as merged files will be.
pub(crate) async fn bytes(quick: bool) -> Result<()> {
    let (objects, steps) = if quick { (2_000, 10_000) } else { (20_000, 100_000) };
    let mut workload = Workload::new(SEED, objects);
    let key = feed::key();
    let mut feed = Feed::new(&key);
    for step in workload.initial() {
        feed.observe(&step, step.object.as_bytes());
    }
    let rows: Vec<(Class, Change)> = (0..steps)
        .map(|_| {
            let step = workload.next_step();
            (step.class, feed.observe(&step, step.object.as_bytes()))
        })
        .collect();
    let all: Vec<Change> = rows.iter().map(|(_, change)| change.clone()).collect();
    let count = all.len() as f64;
    let payload = |change: &Change| match &change.body {
        Body::Patch(bytes) | Body::Object(bytes) => bytes.len(),
        Body::None => 0,
    };
    let cells = |change: &Change| change.cells.iter().map(|c| c.secret.len()).sum::<usize>();
    let bare: usize = all.iter().map(payload).sum();
    let sealed: usize = all.iter().map(cells).sum();
    let managed: usize = all.iter().filter_map(|c| c.managed_fields.as_ref().map(bytes::Bytes::len)).sum();
    row(
        "bytes: payload before encoding",
        "",
        &format!("{:.0} B/change", bare as f64 / count),
        &format!(
            "patches and new objects; managedFields {:.0} and values to seal {:.0} beside",
            managed as f64 / count,
            sealed as f64 / count
        ),
    );
    for rows in [1, 100, 1_000, 10_000] {
        let some = if rows == 1 { all.get(..1_000).unwrap_or(&all) } else { &all };
        both(&format!("bytes: segments of {rows}"), some, rows, "as written, zstd 3").await?;
    }
    let mut sorted = all.clone();
    sorted.sort_by_cached_key(Change::key);
    both(
        "bytes: sorted by object",
        &sorted,
        sorted.len(),
        "all changes in one file, sorted by key, zstd 3: what merging would give",
    )
    .await?;
    for (class, _) in Class::MIX {
        let of_class: Vec<Change> =
            rows.iter().filter(|(c, _)| *c == class).map(|(_, change)| change.clone()).collect();
        let how = format!("{} of them alone, in segments of up to 10,000", of_class.len());
        both(&format!("bytes: {}", class.as_str()), &of_class, 10_000, &how).await?;
    }
    Ok(())
}

/// With and without managedFields.
async fn both(figure: &str, changes: &[Change], rows: usize, how: &str) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let with = written(changes, rows).await?;
    let without: Vec<Change> = changes.iter().map(|c| Change { managed_fields: None, ..c.clone() }).collect();
    let without = written(&without, rows).await?;
    let each = |bytes: u64| bytes as f64 / changes.len() as f64;
    row(figure, "", &format!("{:.1} B/change; without managedFields {:.1}", each(with), each(without)), how);
    Ok(())
}

async fn written(changes: &[Change], rows: usize) -> Result<u64> {
    let journal = feed::in_memory();
    let mut writer = feed::writer(&journal, &feed::key()).await?;
    let mut bytes = 0;
    for chunk in changes.chunks(rows) {
        let last = chunk.iter().map(|c| c.rv).max().unwrap_or(0);
        let time = chunk.iter().map(|c| c.time_hi).max().unwrap_or(0);
        bytes += feed::commit(&mut writer, chunk.to_vec(), feed::frontier(last, time)).await?.bytes;
    }
    Ok(bytes)
}
