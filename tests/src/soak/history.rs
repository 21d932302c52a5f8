//! Down for longer than the server keeps history: exact again afterwards, and every command tells of the lost interval.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    oracle::{
        self, Load, Met, Verdict, newest_revision, now,
        subject::{Hindcast, Place},
    },
    real::{Part, process::Workdir},
};

/// Runs the trial: the server keeps `history` of history, and Hindcast is down until that is surely gone.
pub async fn past_the_history(binary: &str, history: Duration) -> Result<Verdict> {
    let dir = Workdir::new()?;
    let cluster = oracle::builder().compaction_interval(history).start().await?;
    let place = Place::folder(&dir.path().join("journal"))?;
    let hindcast = Hindcast::new(binary, dir.path(), place, cluster.kubeconfig())?;
    let client = cluster.client();
    // The API server compacts to what was the newest revision one interval before; its watch cache, which would still
    // have the rest, goes with a restart.
    let down = history * 2 + Duration::from_secs(10);
    let rate = 20.0;
    let load = Load {
        seed: 5,
        writers: 8,
        writes: ((down.as_secs_f64() + 12.0) * rate) as u64,
        rate: Some(rate),
        prefix: "gone".to_owned(),
        kinds: oracle::kinds(),
    };
    oracle::prepare(&client, &load).await?;
    let running = hindcast.run(&[]).await?;
    let writing = oracle::begin(&client, &load, true);
    // Some of the load is seen before.
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.process.kill();
    let begun = now();
    // How long it is down is the subject: until the server has surely forgotten what came meanwhile.
    tokio::time::sleep(down / 2).await;
    let inside = now();
    // See above.
    tokio::time::sleep(down / 2).await;
    cluster.kill(Part::Apiserver)?;
    cluster.restart(Part::Apiserver).await?;
    let running = hindcast.run(&[]).await?;
    let written = writing.await??;
    running.close().await?;

    let journal = hindcast.place.journal().await?;
    let met = Met { outages: vec![(begun, now())], ..Met::default() };
    let verdict = oracle::check(&journal, &hindcast.keys()?, &written, &met).await?;
    verdict.accounted()?;
    ensure!(verdict.lost > 0 && verdict.gaps.1 > 0, "an interval must be lost in this trial: {verdict}");
    let newest = newest_revision(&client, &load.kinds[0]).await?;
    running.close().await?;
    oracle::exact_lists_agree(&client, &journal, &hindcast.keys()?, 1, (newest, newest), 3).await?;
    every_command_tells(&hindcast, inside).await?;
    running.stop().await?;
    Ok(verdict)
}

/// `status`, `log`, `get` and `show` each tell of the lost interval, and those that answer from inside it have a
/// reservation.
async fn every_command_tells(hindcast: &Hindcast, inside: i64) -> Result<()> {
    let at = jiff::Timestamp::from_microsecond(inside)?.to_string();
    let calls: [(&[&str], i32); 4] = [
        (&["status"], 0),
        (&["log", "-A", "--since", "1h"], 3),
        (&["get", "configmaps", "-n", "gone-0", "--at", &at], 3),
        (&["get", "configmaps", "-n", "gone-1", "--at", &at, "-o", "json"], 3),
    ];
    for (args, code) in calls {
        let output = hindcast.call(args, false).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure!(text.contains("lost"), "hindcast {} says nothing of the lost interval:\n{text}", args.join(" "));
        ensure!(
            output.status.code() == Some(code),
            "hindcast {}: {:?}, not {code}\n{text}",
            args.join(" "),
            output.status
        );
    }
    let list = hindcast.call(&["get", "configmaps", "-n", "gone-0", "--at", &at, "-o", "name"], false).await?;
    let names = String::from_utf8_lossy(&list.stdout).into_owned();
    if let Some(name) = names.lines().find(|n| n.contains("gone-")) {
        let name = name.trim();
        let shown = hindcast.call(&["show", name, "-n", "gone-0", "--at", &at], false).await?;
        let text = String::from_utf8_lossy(&shown.stderr).into_owned();
        ensure!(text.contains("lost") && shown.status.code() == Some(3), "show {name}: {:?}\n{text}", shown.status);
    }
    Ok(())
}
