//! What a broker refuses: each is told with its remedy, tried again by itself, and never in the way of the rest.

use hindcast_tests::real::{
    Cluster,
    kafka::{PASSWORD, STRANGER, WRITER},
};

use super::*;

/// Waits until a process has said all of this.
async fn says(process: &Process, phrases: &[&str]) -> Result<()> {
    let said = async || {
        ensure!(process.exited()?.is_none(), "it ended: {}", process.log_tail());
        let log = std::fs::read_to_string(process.log())?;
        Ok(phrases.iter().all(|phrase| log.contains(phrase)))
    };
    until(format!("the log says {phrases:?}"), SOON, said).await.with_context(|| process.log_tail())?;
    Ok(())
}

async fn ends_well(process: &Process) -> Result<()> {
    let ended = process.wait(SOON).await.with_context(|| process.log_tail())?;
    ensure!(ended.code() == Some(0), "{ended}: {}", process.log_tail());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_refuses_is_told_with_its_remedy_and_stops_nothing_else() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let dir = Workdir::new()?;
    let authority = Authority::new("kafka")?;
    let kafka = Kafka::start(&authority).await?;
    let mut log = Log::begin(&dir).await?;
    // Most are small, two are not.
    let carried = (0..60).map(|n| if n == 20 || n == 41 { 150_000 } else { 10 }).enumerate();
    let changes = carried.map(|(n, carry)| log.change(n as u64 * 7, carry)).collect();
    log.commit(changes).await?;
    let rows = log.rows().await?;

    no_topic(&log, &dir, &kafka, &rows).await.context("no topic")?;
    who_one_is(&log, &dir, &kafka, &authority, &rows).await.context("who one is")?;
    too_large(&log, &dir, &kafka, &rows).await.context("too large")?;
    two_of_one_name(&mut log, &dir, &kafka).await.context("two of one name")?;
    beside_protection(&dir, &kafka).await.context("beside protection")
}

async fn no_topic(log: &Log, dir: &Workdir, kafka: &Kafka, rows: &[Row]) -> Result<()> {
    let args = ["--from", "beginning", "--once", "--cursor-every", "1s"];
    let fanout = log.fanout(dir, &kafka.brokers(), "absent", &args);
    fanout.start()?;
    says(&fanout, &["topic absent at", "Unknown topic", "kafka-topics.sh --create"]).await?;
    let failing = async || Ok(log.told("kafka-absent").await?.is_some_and(|told| told["failingSince"].is_string()));
    until("the status tells of it", SOON, failing).await?;
    kafka.topic("absent", 2, &[]).await?;
    ends_well(&fanout).await?;
    ensure!(compare(&kafka.consume("absent").await?, &rows.iter().collect::<Vec<_>>())? == rows.len());
    let told = log.told("kafka-absent").await?.context("it has a cursor")?;
    ensure!(told["position"] == rows.len() && told.get("reason").is_none(), "{told}");
    Ok(())
}

/// A wrong password, a stranger, and a certificate of nobody's; what is put right in the files is met without a restart.
async fn who_one_is(log: &Log, dir: &Workdir, kafka: &Kafka, authority: &Authority, rows: &[Row]) -> Result<()> {
    kafka.topic("guarded", 1, &[]).await?;
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).map(|()| path.display().to_string())
    };
    let (ours, others) = (file("ca.pem", &authority.pem())?, file("other.pem", &Authority::new("other")?.pem())?);
    let (writer, stranger) = (file("writer.name", WRITER)?, file("stranger.name", &format!("{STRANGER}\n"))?);
    let (right, wrong) = (file("right", PASSWORD)?, file("wrong", "not-this")?);
    let start = |name: &str, ca: &str, who: &str, password: &str| {
        let args = ["--name-of-cursor", name, "--from", "beginning", "--once", "--tls-ca", ca, "--sasl-mechanism"];
        let args = [&args[..], &["SCRAM-SHA-512", "--sasl-username-file", who, "--sasl-password-file", password]];
        let folder = dir.path().join(name);
        std::fs::create_dir_all(&folder)?;
        let process = Process::new(name, BINARY.into(), &folder)
            .args(["fanout", "kafka", "--journal", &log.hindcast.place.url])
            .args(["--brokers", &kafka.guarded(), "--topic", "guarded"])
            .args(args.concat())
            .env("HOME", &folder.display().to_string())
            .env("KUBECONFIG", &folder.join("none").display().to_string());
        process.start()?;
        Ok::<_, anyhow::Error>(process)
    };
    let fails = start("wrong-password", &ours, &writer, &wrong)?;
    let strange = start("stranger", &ours, &stranger, &right)?;
    let doubts = start("other-authority", &others, &writer, &right)?;
    says(&fails, &["Authentication failed", "the brokers refuse the name or the password"]).await?;
    says(&strange, &["Topic authorization failed", "Write and Describe on the topic"]).await?;
    says(&doubts, &["certificate", "the authority that signed the brokers' own"]).await?;
    drop((strange, doubts));
    std::fs::write(&wrong, PASSWORD)?;
    ends_well(&fails).await?;
    compare(&kafka.consume("guarded").await?, &rows.iter().collect::<Vec<_>>())?;
    Ok(())
}

/// What the topic does not take whole comes as a pointer: where the topic may be asked, and where it is found out.
async fn too_large(log: &Log, dir: &Workdir, kafka: &Kafka, rows: &[Row]) -> Result<()> {
    let mut processes = Vec::new();
    for (topic, more) in [("asked", ""), ("found-out", "message.max.bytes=9000000")] {
        kafka.topic(topic, 2, &["max.message.bytes=100000"]).await?;
        let set = format!("--set={more}");
        let mut args = vec!["--from", "beginning", "--once", "--set", "compression.type=none"];
        args.extend((!more.is_empty()).then_some(set.as_str()));
        let process = log.fanout(dir, &kafka.brokers(), topic, &args);
        process.start()?;
        processes.push((topic, process));
    }
    for (topic, process) in processes {
        ends_well(&process).await?;
        let records = kafka.consume(topic).await?;
        let mut pointers = Vec::new();
        let mut whole = Vec::new();
        for record in &records {
            let event = said(record)?;
            match event["dataref"].as_str() {
                Some(at) => pointers.push((at.to_owned(), event["data"]["omittedBytes"].as_u64())),
                None => whole.push(record.clone()),
            }
        }
        let large = |row: &&Row| matches!(&row.body, Body::Object(b) | Body::Patch(b) if b.len() > 100_000);
        let should: BTreeSet<String> =
            rows.iter().filter(large).map(|row| format!("urn:hindcast:{CLUSTER}:pos:{}", row.pos)).collect();
        let came: BTreeSet<String> = pointers.iter().map(|(at, _)| at.clone()).collect();
        ensure!(should.len() == 2 && came == should, "{topic}: {pointers:?}, not {should:?}");
        ensure!(pointers.iter().all(|(_, bytes)| *bytes > Some(150_000)), "{topic}: {pointers:?}");
        let small: Vec<&Row> = rows.iter().filter(|row| !large(row)).collect();
        compare(&whole, &small).with_context(|| topic.to_owned())?;
        says_at_its_end(&process, "too large for the target")?;
    }
    Ok(())
}

fn says_at_its_end(process: &Process, phrase: &str) -> Result<()> {
    ensure!(std::fs::read_to_string(process.log())?.contains(phrase), "{}", process.log_tail());
    Ok(())
}

/// The older one ends with the code that says not to restart it, and what is committed comes from the newer one.
async fn two_of_one_name(log: &mut Log, dir: &Workdir, kafka: &Kafka) -> Result<()> {
    kafka.topic("twice", 1, &[]).await?;
    let args = ["--from", "beginning", "--cursor-every", "1s"];
    let older = log.fanout(dir, &kafka.brokers(), "twice", &args);
    older.start()?;
    says(&older, &["publishing"]).await?;
    let folder = Workdir::new()?;
    let newer = log.fanout(&folder, &kafka.brokers(), "twice", &args);
    newer.start()?;
    says(&newer, &["publishing"]).await?;
    let change = log.change(3, 10);
    log.commit(vec![change]).await?;
    let ended = older.wait(SOON).await?;
    ensure!(ended.code() == Some(4), "{ended}: {}", older.log_tail());
    says_at_its_end(&older, "took it over")?;
    let last = log.writer.last();
    let reached = async || Ok(log.told("kafka-twice").await?.is_some_and(|told| told["position"] == last));
    until("the newer one is at the end", SOON, reached).await?;
    newer.stop(SOON).await
}

/// In `run`: a broker that is not there from the first moment on keeps nobody from being protected.
async fn beside_protection(dir: &Workdir, kafka: &Kafka) -> Result<()> {
    kafka.topic("beside", 1, &[]).await?;
    kafka.kill();
    let cluster = Cluster::start().await?;
    let hindcast = crate::scene::on_folder(dir, "protecting", cluster.kubeconfig())?;
    let targets = dir.path().join("fanout.yaml");
    let (away, never) = (kafka.brokers(), "127.0.0.1:1");
    std::fs::write(
        &targets,
        format!(
            "targets:\n- kafka: {{brokers: \"{away}\", topic: beside}}\n  from: beginning\n  cursorEvery: 1s\n\
             - kafka: {{brokers: \"{never}\", topic: nowhere}}\n"
        ),
    )?;
    let running = hindcast.run(&["--fanout", &targets.display().to_string()]).await?;
    running.wait_metric("hindcast_fanout_up{target=\"kafka-beside\"}", SOON, |up| up < 0.5).await?;
    running.close().await?;
    says(&running.process, &["cannot publish", "see that the brokers are up"]).await?;
    kafka.restart().await?;
    running.wait_metric("hindcast_fanout_up{target=\"kafka-beside\"}", SOON, |up| up > 0.5).await?;
    running.wait_metric("hindcast_fanout_events_total{target=\"kafka-beside\"}", SOON, |events| events > 50.0).await?;
    running.wait_metric("hindcast_fanout_up{target=\"kafka-nowhere\"}", SOON, |up| up < 0.5).await?;
    let told = async || {
        let status = ask(&hindcast, &["status"]).await?;
        Ok(status.is(0, &["kafka-beside: kafka topic beside", "failing since"]).is_ok())
    };
    until("status says who fails", SOON, told).await?;
    running.stop().await
}
