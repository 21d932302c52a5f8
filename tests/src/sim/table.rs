//! The Delta table that a run left, as a naive reader of the published format sees it: lines of JSON, version by version.
//!
//! **Checked.** (1) Every version has, by its statistics, the rows from the first up to some position, each in one file, and that
//! position never falls. (2) The files of the newest are all there, of the size that is said, and say what the log says.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_journal::{Journal, layout::Layout, level::Merged};
use serde_json::Value;

/// What is wrong with the table.
pub(super) async fn check(journal: &Journal) -> Option<String> {
    let mut versions = 0;
    let checked = read(journal, &mut versions).await;
    checked.err().map(|problem| format!("the Delta table, version {versions}: {problem:#}"))
}

async fn read(journal: &Journal, versions: &mut u64) -> Result<()> {
    let (store, table) = (journal.store(), journal.store().layout().table());
    let (mut live, mut before): (BTreeMap<String, Value>, u64) = (BTreeMap::new(), 0);
    while let Some(commit) = store.get_opt(&table.clone().join(format!("{versions:020}.json"))).await? {
        let lines = commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let actions = lines.map(serde_json::from_slice).collect::<Result<Vec<Value>, _>>()?;
        let path = |said: &Value| said.get("path").and_then(Value::as_str).map(str::to_owned);
        for gone in actions.iter().filter_map(|action| path(action.get("remove")?)) {
            ensure!(live.remove(&gone).is_some(), "{gone} goes, and was not there");
        }
        for add in actions.iter().filter_map(|action| action.get("add")) {
            let path = path(add).context("a file has a path")?;
            ensure!(live.insert(path.clone(), add.clone()).is_none(), "{path} comes twice");
        }
        let end = end(&live)?;
        ensure!(end >= before, "it ended at {before}, and now at {end}");
        before = end;
        *versions += 1;
    }
    for (path, add) in &live {
        let (level, first, last) =
            Layout::numbers(&format!("log/{path}")).with_context(|| format!("{path} is none of ours"))?;
        let file = journal.store().layout().merged(level, first, last);
        let size = store.get(&file).await?.len() as u64;
        ensure!(add.get("size").and_then(Value::as_u64) == Some(size), "{path} has {size} bytes, not as {add}");
        let held = Merged::read_named(journal, level, first..=last).await?;
        let said = journal.segments(first..last + 1).await?;
        let same = held.iter().zip(&said).all(|(a, b)| a.meta == b.meta && a.rows == b.rows);
        ensure!(held.len() == said.len() && same, "{path} does not say what the log says");
    }
    Ok(())
}

/// The last position in files that hold all rows up to it once.
fn end(live: &BTreeMap<String, Value>) -> Result<u64> {
    let mut ranges = Vec::new();
    for (path, add) in live {
        let stats = add.get("stats").and_then(Value::as_str).with_context(|| format!("{path} has no statistics"))?;
        let stats: Value = serde_json::from_str(stats)?;
        let number = |at| stats.pointer(at).and_then(Value::as_u64);
        let said = (number("/minValues/pos"), number("/maxValues/pos"), number("/numRecords"));
        let (Some(first), Some(last), Some(count)) = said else { bail!("{path}: {stats}") };
        ensure!(last - first + 1 == count, "{path} has {count} rows from {first} to {last}");
        ranges.push((first, last, path));
    }
    ranges.sort();
    ranges.iter().try_fold(0, |end, (first, last, path)| {
        ensure!(*first == end + 1, "behind {end} stands {path}, which begins at {first}");
        Ok(*last)
    })
}
