//! A whole journal: what is rewrapped and forgotten, as `verify` and those who ask see it.

use super::*;

/// A journal with Secrets of two namespaces, written as `run` writes them.
struct Written {
    journal: Journal,
    inner: Dying,
    writer: Writer,
    keys: Vec<Arc<Key>>,
    bases: BTreeMap<String, Base>,
    rv: u64,
}

fn secrets() -> Discovery {
    let (resource, version, domain) = ("secrets".to_owned(), "v1".to_owned(), MAIN.to_owned());
    Discovery { resource, kind: "Secret".to_owned(), version, domain, namespaced: true, ..Discovery::default() }
}

impl Written {
    async fn new() -> Self {
        let inner = Dying::new();
        let journal = Journal::open(Arc::new(inner.clone()), &Path::from("p"), "uid-1", parts());
        let keys = vec![key(1)];
        let writer = Self::claim(&journal, &keys).await;
        let mut world = Self { journal, inner, writer, keys, bases: BTreeMap::new(), rv: 10 };
        let kind = secrets();
        let begun = [
            Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) },
            Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) },
        ];
        world.commit(begun.to_vec()).await;
        world
    }

    async fn claim(journal: &Journal, keys: &[Arc<Key>]) -> Writer {
        let keys = DataKeys::new("uid-1", keys.to_vec(), journal.parts().clone());
        let identity = Identity { writer: "host/a".to_owned(), instance: "a".to_owned() };
        Writer::claim(journal, identity, Some(Arc::new(keys))).await.expect("claims")
    }

    async fn commit(&mut self, changes: Vec<Change>) {
        let (rv, time) = (self.rv, self.rv as i64 * 1000);
        let frontier = FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation: 0, rv, time })]);
        self.writer.stage(changes, frontier).await.expect("stages");
        self.writer.commit().await.expect("commits");
    }

    async fn put(&mut self, place: &str, value: &str) {
        self.rv += 1;
        let (namespace, name) = place.split_once('/').expect("a place");
        let rv = self.rv;
        let bytes = format!(
            r#"{{"data":{{"v":"{value}"}},"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"{rv}","uid":"u-{name}"}}}}"#
        );
        let (kind, time) = (secrets(), rv as i64 * 1000);
        let seen = Observation {
            kind: &kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: time,
            time_hi: time,
            bytes: bytes.as_bytes(),
        };
        let encoder = Encoder::new(Secrets::Sealed(self.keys[0].clone())).with_keys(&self.keys);
        let encoded = encoder.observe(&seen, self.bases.get(place));
        self.bases.insert(place.to_owned(), encoded.base);
        self.commit(vec![encoded.change]).await;
    }

    async fn seal(&mut self) {
        let keys = self.writer.keys().to_vec();
        let (_, gathered) = Ledger::default().gather(self.journal.store(), &keys).await.expect("gathers");
        let sealed = self.writer.seal(MAIN, self.rv, Some(&gathered)).await.expect("seals");
        assert!(sealed.statement.is_some());
        self.commit(vec![sealed.change.expect("there is a key")]).await;
    }

    async fn findings(&self, keys: &[Arc<Key>]) -> Vec<(String, Verdict)> {
        let asked = verify::Asked { trust: Trust::new(keys, Vec::new()).expect("keys"), ..Default::default() };
        let report = verify::verify(&self.journal, &asked, &|_| {}).await.expect("the store answers");
        report.findings.into_iter().map(|finding| (finding.file, finding.verdict)).collect()
    }

    async fn plan(&self, namespace: &str, name: Option<&str>) -> (Asked, forget::Plan) {
        let key = |name: &str| ObjectKey {
            namespace: namespace.to_owned(),
            group: String::new(),
            resource: "secrets".to_owned(),
            name: name.to_owned(),
        };
        let asked = Asked { namespace: namespace.to_owned(), object: name.map(key), reason: Some("leaked".to_owned()) };
        let plan = forget::plan(&self.journal, &self.keys, &asked).await.expect("plans");
        (asked, plan)
    }
}

#[tokio::test]
async fn what_is_removed_is_missed_by_nobody_and_what_comes_back_is_found() {
    let mut world = Written::new().await;
    world.put("shop/db", "b25l").await;
    world.put("bank/db", "b25l").await;
    world.seal().await;
    assert_eq!(world.findings(&world.keys).await, []);
    world.keys.insert(0, key(2));
    rewrap::wrap(&world.journal, &world.keys, "me").await.expect("wraps");
    assert_eq!(world.findings(&world.keys).await, [], "copies are no strangers");
    world.writer = Written::claim(&world.journal, &world.keys).await;
    world.seal().await;
    rewrap::remove(&world.journal, &world.keys, "me").await.expect("removes");
    assert_eq!(world.findings(&world.keys).await, []);
    let (asked, plan) = world.plan("shop", None).await;
    assert_eq!(plan.objects.keys().collect::<Vec<_>>(), ["/secrets/shop/db"]);
    assert_eq!(plan.standing.len(), 1);
    let kept: Vec<(String, Bytes)> = {
        let store = world.journal.store();
        let mut kept = Vec::new();
        for file in &plan.files {
            kept.push((file.clone(), store.get(&store.layout().named(file)).await.expect("is there")));
        }
        kept
    };
    forget::apply(&world.journal, &world.keys, &asked, &plan, "me").await.expect("forgets");
    assert_eq!(world.findings(&world.keys).await, []);
    world.seal().await;
    assert_eq!(world.findings(&world.keys).await, []);
    // With another key nobody can tell whether it was rightly done.
    let others = world.findings(&[key(9)]).await;
    assert!(
        others.iter().any(|(file, verdict)| file.starts_with("keys/shop") && *verdict == Verdict::Missing),
        "{others:?}"
    );
    // An hour later what is back is found.
    for (file, bytes) in kept {
        world.inner.inner.put(&world.journal.store().layout().named(&file), bytes.into()).await.expect("puts");
    }
    drop(world.journal.parts().clock.sleep(Duration::from_secs(19)));
    assert_eq!(world.findings(&world.keys).await, [], "it may just be going");
    for _ in 0..400 {
        world.journal.parts().clock.sleep(Duration::from_secs(10)).await;
    }
    let back = world.findings(&world.keys).await;
    assert!(matches!(back.as_slice(), [(file, Verdict::Foreign)] if file.starts_with("keys/shop")), "{back:?}");
    let (asked, plan) = world.plan("shop", None).await;
    assert!(plan.ids.is_empty() && !plan.is_nothing());
    let told = forget::apply(&world.journal, &world.keys, &asked, &plan, "me").await.expect("removes it again");
    assert_eq!(told, None);
    assert_eq!(world.findings(&world.keys).await, []);
}

#[tokio::test]
async fn one_object_is_forgotten_where_its_data_keys_seal_nothing_else() {
    let mut world = Written::new().await;
    world.put("shop/db", "b25l").await;
    world.put("shop/db", "dHdv").await;
    world.put("bank/db", "b25l").await;
    let (asked, early) = world.plan("shop", Some("db")).await;
    assert_eq!((early.refusal(&asked).map(|e| e.to_string()), early.ids.len()), (None, 1));
    world.put("shop/other", "b25l").await;
    let (asked, plan) = world.plan("shop", Some("db")).await;
    let refusal = plan.refusal(&asked).expect("another one has values under that data key");
    assert!(refusal.to_string().contains("/secrets/shop/other"), "{refusal}");
    assert!(refusal.hint().is_some_and(|hint| hint.contains("hindcast forget -n shop")), "{refusal}");
    for plan in [&early, &plan] {
        forget::apply(&world.journal, &world.keys, &asked, plan, "me")
            .await
            .expect_err("is refused, whenever it was planned");
    }
    assert_eq!(told(&world.journal).await.expect("reads"), []);
    // What a restore kept of another object counts too, though the log has nothing of it any more.
    let store = world.journal.store();
    let id = DataKeys::id("bank", 12_000, &world.keys[0]);
    let batch = |name: &str| {
        let key = format!(r#"{{"group":"","resource":"secrets","namespace":"bank","name":"{name}"}}"#);
        let body = format!(r#"{{"object":"{{}}","cells":[{{"path":"/data/v","key":"{id}","secret":""}}]}}"#);
        let json =
            format!(r#"{{"format":1,"actions":[{{"key":{key},"before":{body},"target":null,"managed":null}}]}}"#);
        Bytes::from(zstd::bulk::compress(json.as_bytes(), 3).expect("packs"))
    };
    let kept = store.layout().restore("r1", "pre-1");
    store.create(&kept, batch("older")).await.expect("creates");
    let (asked, plan) = world.plan("bank", Some("db")).await;
    let refusal = plan.refusal(&asked).expect("a record has a value under that data key");
    assert!(refusal.to_string().contains("/secrets/bank/older"), "{refusal}");
    world.inner.inner.put(&kept, batch("db").into()).await.expect("puts");
    let (asked, plan) = world.plan("bank", Some("db")).await;
    assert_eq!(plan.objects.get("/secrets/bank/db"), Some(&2));
    let statement =
        forget::apply(&world.journal, &world.keys, &asked, &plan, "me").await.expect("forgets").expect("told");
    let deed = Deed::Forgotten {
        namespace: "bank".to_owned(),
        object: Some("/secrets/bank/db".to_owned()),
        reason: Some("leaked".to_owned()),
    };
    assert_eq!((statement.number, statement.deed), (1, deed));
    let (_, plan) = world.plan("bank", Some("db")).await;
    assert!(plan.is_nothing());
}
