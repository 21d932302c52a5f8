use std::sync::{Arc, Mutex};

use hindcast_journal::{Journal, Parts, Writer, facts, facts::Discovery, row::Change, row::Op, segment::FrontierPoint};
use hindcast_journal::{segment::FrontierVector, writer::Identity};
use http_body_util::Full as Body;
use object_store::{memory::InMemory, path::Path};

use super::*;
use crate::selection::What;

const PATIENCE: Duration = Duration::from_secs(5);

/// An API server of a cluster that has nothing but its name.
fn server(uid: &'static str) -> Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let body = match request.uri().path() {
            "/api/v1/namespaces/kube-system" => format!(r#"{{"metadata":{{"name":"kube-system","uid":"{uid}"}}}}"#),
            _ => r#"{"metadata":{"resourceVersion":"3"},"items":[]}"#.to_owned(),
        };
        async move { http::Response::builder().status(200).body(Body::new(bytes::Bytes::from(body))) }
    });
    Client::new(service, "default")
}

/// A journal that was closed long ago, so that nobody is taken to write it.
async fn journal(cluster: &str) -> Journal {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), cluster, Parts::system());
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, None).await.expect("claims");
    let kind = Discovery {
        resource: "configmaps".into(),
        kind: "ConfigMap".into(),
        version: "v1".into(),
        namespaced: true,
        domain: MAIN.into(),
        ..Discovery::default()
    };
    let begun = [
        Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) },
        Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) },
    ];
    let point = FrontierPoint { incarnation: 0, rv: 3, time: 3000 };
    writer.stage(begun.to_vec(), FrontierVector::from([(MAIN.to_owned(), point)])).await.expect("stages");
    writer.commit().await.expect("commits");
    journal
}

async fn timeline(cluster: &str) -> Timeline {
    Timeline::open(&journal(cluster).await, Vec::new()).await.expect("opens")
}

fn shop() -> Selection {
    Selection::of(What::Namespace("shop".into()))
}

#[tokio::test]
async fn only_the_cluster_of_the_journal_gets_a_session() {
    let ours = timeline("ours").await;
    let theirs = Session::open(server("theirs"), &ours, PATIENCE, PATIENCE).await.expect_err("another cluster");
    assert_eq!(theirs.to_string(), "is cluster theirs, the journal is of ours");
    let nameless = Session::open(server(""), &ours, PATIENCE, PATIENCE).await.expect_err("no cluster");
    assert!(matches!(nameless, Unopened::Nameless), "{nameless}");
    Session::open(server("ours"), &ours, PATIENCE, PATIENCE).await.expect("the cluster of the journal");
}

#[tokio::test]
async fn a_session_takes_nothing_of_another_cluster() {
    let (mut ours, mut theirs) = (timeline("ours").await, timeline("theirs").await);
    let session = Session::open(server("ours"), &ours, PATIENCE, PATIENCE).await.expect("opens");
    let (at, then) = (At::Now, ours.at(&At::Now).await.expect("resolves"));
    let compared = session.plan(&mut ours, &then, &shop()).await.expect("its own past");
    assert!(compared.is_of_nothing && compared.late.is_none(), "{compared:?}");

    let then = theirs.at(&at).await.expect("resolves");
    let refused = session.plan(&mut theirs, &then, &shop()).await.expect_err("another past");
    assert!(refused.to_string().contains("is of cluster theirs, and this is a restore of ours"), "{refused}");

    let records = Records::of(&mut ours, None).await.expect("a place for records");
    let mut foreign = compared.prepared.clone();
    foreign.plan.cluster = "theirs".into();
    let refused = session.begin(&records, foreign, &|_| {}).await.expect_err("another plan");
    assert!(refused.to_string().contains("the plan"), "{refused}");
    assert!(records.ids().await.expect("lists").is_empty(), "nothing is begun");

    // The address leads to another cluster by now.
    let moved = Session { client: server("theirs"), asks: server("theirs"), ..session.clone() };
    let then = ours.at(&at).await.expect("resolves");
    let refused = moved.plan(&mut ours, &then, &shop()).await.expect_err("another server");
    assert!(refused.to_string().contains("what answers"), "{refused}");

    // A restore of theirs, kept in the same place.
    let mut foreign = compared.prepared;
    foreign.plan.cluster = "theirs".into();
    let record = records.begin(&foreign, &|_| {}).await.expect("is kept");
    let refused = session.undo(&mut ours, &record, &Widen::default()).await.expect_err("another record");
    assert!(refused.to_string().contains("the restore"), "{refused}");
    let refused = session.resume(&mut ours, &records, record.id()).await.expect_err("another record");
    assert!(refused.to_string().contains("the restore"), "{refused}");
}

/// An API server with `ConfigMap`s, of which every event stays known.
#[derive(Clone, Default)]
struct Maps(Arc<Mutex<Vec<String>>>);

impl Maps {
    /// The revision before its first event: the journal knows what was until then.
    const FIRST: usize = 3;

    fn write(&self, name: &str) {
        let mut events = self.0.lock().expect("nobody panics");
        let rv = Self::FIRST + events.len() + 1;
        events.push(format!(
            r#"{{"type":"ADDED","object":{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"ns","resourceVersion":"{rv}","uid":"{name}"}}}}}}"#
        ));
    }

    fn answer(&self, path: &str, query: &str) -> String {
        let events = self.0.lock().expect("nobody panics").clone();
        let newest = Self::FIRST + events.len();
        let from = query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse::<usize>().ok());
        match (path, from.filter(|_| query.contains("watch"))) {
            ("/api/v1/namespaces/kube-system", _) => r#"{"metadata":{"name":"kube-system","uid":"ours"}}"#.to_owned(),
            (_, Some(from)) => {
                let bookmark = format!(
                    r#"{{"type":"BOOKMARK","object":{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"resourceVersion":"{newest}"}}}}}}"#
                );
                let mut lines: Vec<String> = events.into_iter().skip(from - Self::FIRST).collect();
                lines.push(bookmark);
                lines.join("\n") + "\n"
            }
            _ => format!(r#"{{"metadata":{{"resourceVersion":"{newest}"}},"items":[]}}"#),
        }
    }

    fn client(&self) -> Client {
        let maps = self.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let body = maps.answer(request.uri().path(), request.uri().query().unwrap_or_default());
            async move { http::Response::builder().status(200).body(Body::new(bytes::Bytes::from(body))) }
        });
        Client::new(service, "default")
    }
}

/// The names of what there was.
async fn names(past: &Past) -> Vec<String> {
    let view = View::of(past, &Scope::default()).await.expect("views");
    view.objects.iter().map(|object| object.row.name.clone()).collect()
}

/// A segment with the first of a server's events, as a Hindcast writes it that runs beside.
async fn commit(journal: &Journal, names: &[&str]) {
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(journal, identity, None).await.expect("claims");
    let known =
        Known::gather(&mut Timeline::open(journal, Vec::new()).await.expect("opens"), &shop()).await.expect("reads");
    let kind = &known.kinds["/configmaps"].discovery;
    let encoder = hindcast_journal::encode::Encoder::new(hindcast_journal::seal::Secrets::Dropped);
    let mut changes = Vec::new();
    for (rv, name) in (Maps::FIRST as u64 + 1..).zip(names) {
        let bytes = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"ns","resourceVersion":"{rv}","uid":"{name}"}}}}"#
        );
        let seen = hindcast_journal::encode::Observation {
            kind,
            incarnation: 0,
            rv,
            source: hindcast_journal::row::Source::Watch,
            time_lo: 3000,
            time_hi: 3001,
            bytes: bytes.as_bytes(),
        };
        changes.push(encoder.observe(&seen, None).change);
    }
    let point = FrontierPoint { incarnation: 0, rv: (Maps::FIRST + names.len()) as u64, time: 3001 };
    writer.stage(changes, FrontierVector::from([(MAIN.to_owned(), point)])).await.expect("stages");
    writer.commit().await.expect("commits");
}

/// Two moments, each closed through the cluster, as `diff` asks for them: whatever has become durable in between, both hold.
#[tokio::test]
async fn a_second_closing_holds_what_the_first_told_and_leaves_that_as_it_was() {
    for durable in [&[][..], &["a"], &["a", "b"]] {
        let journal = journal("ours").await;
        let mut timeline = Timeline::open(&journal, Vec::new()).await.expect("opens");
        let maps = Maps::default();
        let session = Session::open(maps.client(), &timeline, PATIENCE, PATIENCE).await.expect("opens");
        maps.write("a");
        let first = session.close(&mut timeline, &At::Now).await.expect("closes");
        assert_eq!(names(&first).await, ["a"]);
        maps.write("b");
        if !durable.is_empty() {
            commit(&journal, durable).await;
        }
        maps.write("c");
        let second = session.close(&mut timeline, &At::Now).await.expect("closes");
        assert!(first.moment().closed && second.moment().closed);
        assert_eq!(names(&second).await, ["a", "b", "c"], "{durable:?} durable");
        assert_eq!(names(&first).await, ["a"], "{durable:?} durable");
        let third = session.close(&mut timeline, &At::Now).await.expect("closes");
        assert_eq!(names(&third).await, ["a", "b", "c"], "{durable:?} durable");
    }
}
