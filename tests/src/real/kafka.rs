//! Kafka, a broker that is its own controller (`KRaft`), as a child process; and Kafka's own tools to look at it with.
//!
//! Its jars lie in the cache of built servers, named by the hash of what pins them: versions in `pom.xml`, and the SHA-256
//! of every file. Maven fetches them; they are checked and moved to their place under a lock, as the Go servers are
//! ([`super::build`]).
//!
//! What a consumer sees is asked of Kafka's console consumer, which shares no code with what is tested.

use super::build::{cache_dir, hex};
use super::process::{Port, Process, Workdir, tied_to_us};
use super::tls::Authority;
use crate::until::ends;
use anyhow::{Context, Result, bail, ensure};
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;

const POM: &str = include_str!("../../servers/kafka/pom.xml");
const SUMS: &str = include_str!("../../servers/kafka/jars.sha256");

/// The id of every cluster: 16 bytes in Base64.
const CLUSTER: &str = "aGluZGNhc3QtdGVzdHMhIQ";

/// What separates headers where the console consumer prints them: none of ours holds it.
const BETWEEN: &str = ";;";

/// Who may do all on the guarded listener, and who nothing, with their password.
pub const WRITER: &str = "writer";
/// Somebody who is known and may do nothing.
pub const STRANGER: &str = "stranger";
/// The password of both.
pub const PASSWORD: &str = "testbed-secret";

/// How long one of Kafka's tools may take.
const TOOL: Duration = Duration::from_mins(1);

/// A running broker. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    java: Java,
    plain: Port,
    guarded: Port,
    _controller: Port,
    dir: Workdir,
}

/// A message as the console consumer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: u32,
    /// Its place in that.
    pub offset: u64,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Kafka {
    /// Fetches it if needed, starts it, and returns when it answers. One listener is open to all, one speaks TLS with a
    /// certificate of this authority and asks who one is (SCRAM-SHA-512). It makes no topics by itself.
    pub async fn start(authority: &Authority) -> Result<Self> {
        let java = tokio::task::spawn_blocking(Java::ensure).await??;
        let dir = Workdir::new()?;
        let (plain, guarded, controller) = (Port::lease()?, Port::lease()?, Port::lease()?);
        let identity = authority.serving(&[])?;
        let keys = dir.path().join("broker.pem");
        fs::write(&keys, format!("{}{}", identity.key, identity.cert))?;
        let settings = dir.path().join("server.properties");
        let at = |port: &Port| format!("127.0.0.1:{}", port.number());
        fs::write(
            &settings,
            format!(
                "process.roles=broker,controller\n\
                 node.id=1\n\
                 controller.quorum.voters=1@{controller}\n\
                 listeners=PLAIN://{plain},GUARDED://{guarded},CONTROLLER://{controller}\n\
                 advertised.listeners=PLAIN://{plain},GUARDED://{guarded}\n\
                 listener.security.protocol.map=PLAIN:PLAINTEXT,GUARDED:SASL_SSL,CONTROLLER:PLAINTEXT\n\
                 controller.listener.names=CONTROLLER\n\
                 inter.broker.listener.name=PLAIN\n\
                 listener.name.guarded.ssl.keystore.type=PEM\n\
                 listener.name.guarded.ssl.keystore.location={keys}\n\
                 sasl.enabled.mechanisms=SCRAM-SHA-512\n\
                 listener.name.guarded.scram-sha-512.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
                 authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:ANONYMOUS;User:{WRITER}\n\
                 log.dirs={data}\n\
                 auto.create.topics.enable=false\n\
                 offsets.topic.replication.factor=1\n\
                 offsets.topic.num.partitions=1\n\
                 share.coordinator.state.topic.replication.factor=1\n\
                 transaction.state.log.replication.factor=1\n\
                 transaction.state.log.min.isr=1\n\
                 group.initial.rebalance.delay.ms=0\n",
                controller = at(&controller),
                plain = at(&plain),
                guarded = at(&guarded),
                keys = keys.display(),
                data = dir.path().join("data").display(),
            ),
        )?;
        let named = settings.display().to_string();
        let account = |name: &str| format!("SCRAM-SHA-512=[name={name},password={PASSWORD}]");
        let format = ["format", "--cluster-id", CLUSTER, "--config", &named];
        let accounts = [account(WRITER), account(STRANGER)];
        let [writer, stranger] = &accounts;
        java.run("kafka.tools.StorageTool", &[&format[..], &["--add-scram", writer, "--add-scram", stranger]].concat())
            .await?;
        let process = Process::new("kafka", java.program.clone(), dir.path())
            .args(java.args("256m"))
            .args(["kafka.Kafka".to_owned(), named]);
        let kafka = Self { process, java, plain, guarded, _controller: controller, dir };
        kafka.restart().await?;
        Ok(kafka)
    }

    /// The address that is open to all.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.plain.number())
    }

    /// The address that speaks TLS and asks who one is.
    pub fn guarded(&self) -> String {
        format!("127.0.0.1:{}", self.guarded.number())
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills it if it runs, starts it on its ports and data, and returns when it takes connections.
    pub async fn restart(&self) -> Result<()> {
        self.process.kill();
        self.process.start()?;
        let port = self.plain.number();
        self.process
            .wait_ready(Duration::from_mins(1), || async move { TcpStream::connect(("127.0.0.1", port)).await.is_ok() })
            .await
    }

    /// Makes topics of this many partitions, with settings of theirs.
    pub async fn topic(&self, name: &str, partitions: u32, settings: &[&str]) -> Result<()> {
        let (brokers, partitions) = (self.brokers(), partitions.to_string());
        let mut args = vec!["--bootstrap-server", &brokers, "--create", "--topic", name, "--partitions", &partitions];
        args.extend(settings.iter().flat_map(|setting| ["--config", setting]));
        self.java.run("org.apache.kafka.tools.TopicCommand", &args).await.map(|_| ())
    }

    /// How many messages a topic holds.
    pub async fn count(&self, topic: &str) -> Result<u64> {
        let brokers = self.brokers();
        let args = ["--bootstrap-server", &brokers, "--topic", topic];
        let said = self.java.run("org.apache.kafka.tools.GetOffsetShell", &args).await?;
        let ends = said.lines().filter_map(|line| line.strip_prefix(topic)?.strip_prefix(':')?.split_once(':'));
        ends.map(|(_, end)| Ok(end.parse::<u64>()?)).sum()
    }

    /// Every message of a topic, each partition in its order.
    pub async fn consume(&self, topic: &str) -> Result<Vec<Record>> {
        let count = self.count(topic).await?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let (brokers, count_text) = (self.brokers(), count.to_string());
        let between = format!("headers.separator={BETWEEN}");
        let mut args = vec!["--bootstrap-server", &brokers, "--topic", topic, "--from-beginning"];
        args.extend(["--max-messages", &count_text, "--timeout-ms", "30000"]);
        for shown in ["print.key=true", "print.headers=true", "print.partition=true", "print.offset=true", &between] {
            args.extend(["--property", shown]);
        }
        let said = self.java.run("org.apache.kafka.tools.consumer.ConsoleConsumer", &args).await?;
        let records: Vec<Record> =
            said.lines().filter(|line| line.starts_with("Partition:")).map(record).collect::<Result<_>>()?;
        ensure!(records.len() as u64 == count, "{} messages of {count} in {topic}", records.len());
        Ok(records)
    }
}

/// `Partition:0 Offset:12 name:value;;name:value key value`, with tabs between.
fn record(line: &str) -> Result<Record> {
    let mut parts = line.splitn(5, '\t');
    let mut part = || parts.next().with_context(|| format!("a message of five parts: {line}"));
    let number = |text: &str| text.split_once(':').map(|(_, number)| number.to_owned()).context("a number");
    let (partition, offset) = (number(part()?)?.parse()?, number(part()?)?.parse()?);
    let headers = part()?.split(BETWEEN).filter_map(|header| header.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Record { partition, offset, headers, key: part()?.to_owned(), value: part()?.to_owned() })
}

/// Kafka's jars, and what runs them.
#[derive(Debug, Clone)]
struct Java {
    program: PathBuf,
    jars: PathBuf,
}

impl Java {
    fn args(&self, memory: &str) -> Vec<String> {
        // The quick compiler is enough for a minute's life, and takes half the time to start.
        let class_path = format!("{}/*", self.jars.display());
        vec![format!("-Xmx{memory}"), "-XX:TieredStopAtLevel=1".to_owned(), "-cp".to_owned(), class_path]
    }

    /// Runs a tool to its end; what it prints.
    async fn run(&self, class: &str, args: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(self.args("128m")).arg(class).args(args).stdin(Stdio::null()).kill_on_drop(true);
        let out = ends(format!("{class} ends"), TOOL, command.output()).await??;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            out.status.success(),
            "{class} {args:?}: {}\n{said}{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(said)
    }

    /// The jars, fetched if they are not there.
    fn ensure() -> Result<Self> {
        let remedy = "a broker of Kafka needs Java 17 or newer: install default-jre-headless";
        let asked = std::process::Command::new("java").arg("-version").stdin(Stdio::null()).output();
        ensure!(asked.context(remedy)?.status.success(), "`java -version` fails; {remedy}");
        let servers = cache_dir()?.join("servers");
        let place = servers.join(hex(digest(&SHA256, format!("{POM}\n{SUMS}").as_bytes()).as_ref()));
        let java = Self { program: PathBuf::from("java"), jars: place.join("jars") };
        if place.is_dir() {
            return Ok(java);
        }
        fs::create_dir_all(&servers).with_context(|| format!("creating the build cache {}", servers.display()))?;
        let lock = File::create(servers.join("kafka.lock"))?;
        lock.lock().context("waiting for another fetching of Kafka")?;
        if !place.is_dir() {
            let making = tempfile::Builder::new().prefix(".building-").tempdir_in(&servers)?;
            fetch(making.path())?;
            check(&making.path().join("jars"))?;
            fs::rename(making.keep(), &place).with_context(|| format!("moving Kafka to {}", place.display()))?;
        }
        Ok(java)
    }
}

fn fetch(into: &Path) -> Result<()> {
    eprintln!("fetching Kafka 4.1.0, the first time about 1 min");
    let pom = into.join("pom.xml");
    fs::write(&pom, POM)?;
    let mut maven = tied_to_us(Path::new("mvn"));
    maven
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies")
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", into.join("jars").display()))
        .stdin(Stdio::null());
    let found = std::process::Command::new("mvn").arg("-v").stdin(Stdio::null()).output();
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!("`mvn` is not on PATH, and the testbed's Kafka is fetched with it\nhint: install maven, then run again");
    }
    let out = maven.output().context("running `mvn`")?;
    let said = || [out.stdout.clone(), out.stderr.clone()].concat();
    ensure!(out.status.success(), "`mvn` cannot fetch Kafka ({}):\n{}", out.status, String::from_utf8_lossy(&said()));
    Ok(())
}

/// Every file is there with the bytes that were pinned, and no other.
fn check(jars: &Path) -> Result<()> {
    let mut wanted: BTreeMap<&str, &str> =
        SUMS.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for file in fs::read_dir(jars).with_context(|| format!("reading {}", jars.display()))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let sum = hex(digest(&SHA256, &fs::read(file.path())?).as_ref());
        ensure!(
            wanted.remove(name.as_str()) == Some(sum.as_str()),
            "{name} has the SHA-256 {sum}, which is not pinned"
        );
    }
    ensure!(wanted.is_empty(), "not fetched: {:?}", wanted.keys());
    Ok(())
}
