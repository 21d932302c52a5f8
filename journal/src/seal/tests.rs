use object_store::{memory::InMemory, path::Path};

use super::{
    datakeys::{aad, decrypt, encrypt, year_month},
    *,
};
use crate::{Journal, Parts, error::ErrorKind, exact};

fn key() -> Key {
    Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] }
}

fn another() -> Key {
    Key { wrap: [7; 32], hmac: [8; 32], seal: [9; 32], ..key() }
}

fn value(text: &str) -> Value {
    exact::parse(text.as_bytes()).expect("JSON")
}

#[test]
fn a_secret_has_all_its_values_replaced() {
    let mut secret = exact::parse(
        br#"{"data":{"a/b":"aGVsbG8=","c":"eA=="},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","keep":"me"}},"stringData":{"d":"plain"}}"#,
    )
    .expect("valid");
    let paths = Rules::NONE.sealed_paths("", "secrets", &secret);
    let cells = publish(&mut secret, &paths, &Secrets::Sealed(Arc::new(key())));
    assert_eq!(cells.len(), 4);
    let text = secret.to_string();
    assert!(!text.contains("aGVsbG8") && !text.contains("plain"), "{text}");
    assert!(text.contains("<redacted 5 bytes hmac:") && text.contains("\"keep\":\"me\""), "{text}");
}

#[test]
fn months_of_known_moments() {
    assert_eq!(year_month(0), (1970, 1));
    assert_eq!(year_month(951_782_400_000_000), (2000, 2));
    assert_eq!(year_month(1_795_478_400_000_000), (2026, 11));
    assert_eq!(year_month(-1), (1969, 12));
}

#[test]
fn a_short_placeholder_keeps_four_bytes_of_the_hash() {
    let full = placeholder(&Value::String("x".into()), "/data/a", Some(&key()), 16);
    let short = short_placeholder(&full);
    assert!(full.starts_with(short.trim_end_matches('>')), "{full} {short}");
    assert_eq!(short.split("hmac:").nth(1).map(str::len), Some(9));
    assert_eq!(short_placeholder("<not stored: no key>"), "<not stored: no key>");
}

#[test]
fn the_key_file_reads_back_and_its_errors_quote_nothing() {
    let file = KeyFile { keys: vec![key()] };
    let back = KeyFile::parse("f", file.to_text().as_bytes()).expect("own text");
    assert_eq!(back.keys.first().map(|k| k.hmac), Some([2; 32]));
    let error = KeyFile::parse("f", br#"{"apiVersion":"SECRETSECRET"}"#).expect_err("incomplete");
    assert!(!error.to_string().contains("SECRETSECRET"), "{error}");
}

#[test]
fn a_ciphertext_opens_only_where_it_was_sealed() {
    let parts = Parts::system();
    let place = Place { cluster: "c", key: "/secrets/ns/n", namespace: "ns" };
    let cell = |path: &str, pos| Cell { path: path.into(), key_id: "id".into(), pos, rv: 7, secret: Bytes::new() };
    let sealed = encrypt(&parts, &[9; 32], &aad(&place, &cell("/data/a", 1)), b"\"v\"").expect("seals");
    let open = |c: &Cell| decrypt(&[9; 32], &aad(&place, c), &sealed);
    assert_eq!(open(&cell("/data/a", 1)).as_deref(), Some(b"\"v\"".as_slice()));
    assert_eq!(open(&cell("/data/b", 1)), None);
    assert_eq!(open(&cell("/data/a", 2)), None);
    assert_eq!(decrypt(&[8; 32], &aad(&place, &cell("/data/a", 1)), &sealed), None);
}

#[test]
fn a_key_is_told_from_another_of_its_name() {
    let (one, other) = (key(), another());
    assert_ne!(one.id(), other.id());
    assert!(one.id().starts_with("k-"), "{}", one.id());
    let named = Key { name: one.id(), ..one.clone() };
    assert_eq!(named.id(), one.id(), "a name that has the fingerprint gets no second one");
}

/// An annotation is sealed or not, with the value `hunter2-planted` in the Secret's data.
fn seals(annotation: &str) -> bool {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode("hunter2-\"planted\"/ž");
    let secret = serde_json::json!({"metadata": {"annotations": {"x/y": annotation}, "labels": {"x": "hunter2"}}, "data": {"p": data, "short": "YQ=="}});
    let paths = Rules::NONE.sealed_paths("", "secrets", &Value::from_serde(&secret));
    assert!(paths.contains(&"/data/p".to_owned()));
    paths.contains(&"/metadata/annotations/x~1y".to_owned())
}

#[test]
fn an_annotation_that_holds_a_value_in_any_spelling_is_sealed() {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let plain = "hunter2-\"planted\"/ž";
    let json = serde_json::json!({"kind": "Secret", "stringData": {"p": plain}}).to_string();
    let within = serde_json::json!({"note": plain}).to_string();
    for text in [
        plain.to_owned(),
        format!("before {plain} after"),
        engine.encode(plain),
        json.clone(),
        serde_json::json!({"applied": json}).to_string(),
        within.clone(),
        engine.encode(format!("a{within}")),
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("ab{within}")),
        plain.bytes().map(|b| format!("{b:02x}")).collect::<String>(),
        // Payloads that nobody looks into, and copies of values that the object no longer has.
        "H4sIAAAAAAAAA6tWSkksSVSyUlAqSCwuLs8vSlGqBQCZ0rYEFQAAAA==".to_owned(),
        r#"{"apiVersion":"v1","data":{"p":"b2xkZXI="},"kind":"Secret"}"#.to_owned(),
        "<redacted 7 bytes hmac:ab12cd34>".to_owned(),
    ] {
        assert!(seals(&text), "{text}");
    }
    for text in ["", "a", "true", "hunter2", "managed by the platform team", "YQ==", "eJ", "2026-11-28T22:00:00Z"] {
        assert!(!seals(text), "{text}");
    }
}

#[test]
fn what_appliers_record_of_a_secret_is_sealed_by_its_name() {
    for name in [
        "kubectl.kubernetes.io/last-applied-configuration",
        "kapp.k14s.io/original",
        "kapp.k14s.io/original-diff-md5",
        "objectset.rio.cattle.io/applied",
        "banzaicloud.com/last-applied",
        "kopf.zalando.org/last-handled-configuration",
    ] {
        let secret =
            serde_json::json!({"metadata": {"annotations": {name: "short", "objectset.rio.cattle.io/id": "stays"}}});
        let paths = Rules::NONE.sealed_paths("", "secrets", &Value::from_serde(&secret));
        assert_eq!(paths, [format!("/metadata/annotations/{}", escape_pointer(name))]);
        let config = Rules::NONE.sealed_paths("", "configmaps", &Value::from_serde(&secret));
        assert!(config.is_empty(), "of other kinds it is no secret: {config:?}");
    }
}

#[test]
fn places_of_a_policy_are_sealed_with_their_copies() {
    let words =
        ["configmaps:/data/password", "widgets.example.com:/spec/users/*/token", "configmaps:/data"].map(str::to_owned);
    let rules = Rules::parse(&words[..2]).expect("places");
    let config = value(
        r#"{"metadata":{"annotations":{"a":"planted-value","b":"other"}},"data":{"password":"planted-value","x":"y"}}"#,
    );
    assert_eq!(rules.sealed_paths("", "configmaps", &config), ["/data/password", "/metadata/annotations/a"]);
    let widget = value(r#"{"spec":{"users":[{"name":"a","token":"t1"},{"name":"b"},{"token":{"deep":1}}]}}"#);
    assert_eq!(rules.sealed_paths("example.com", "widgets", &widget), ["/spec/users/0/token", "/spec/users/2/token"]);
    assert!(rules.sealed_paths("", "widgets", &widget).is_empty(), "of another group");
    let whole = Rules::parse(&words).expect("places");
    assert_eq!(whole.sealed_paths("", "configmaps", &config), ["/data", "/metadata/annotations/a"]);
    let text = serde_json::to_string(&rules).expect("words");
    assert_eq!(serde_json::from_str::<Rules>(&text).expect("the same"), rules);
    for bad in [
        "configmaps",
        "configmaps:data",
        ":/data",
        "ConfigMap:/data",
        "pods:/metadata/name",
        "pods:/kind",
        "pods:/",
        "pods:/*/x",
    ] {
        let error = Rules::parse(&[bad.to_owned()]).expect_err(bad);
        assert!(error.hint().is_some_and(|hint| hint.contains("KIND:PATH")), "{bad}");
    }
}

#[test]
fn a_patch_hides_what_its_whole_object_would() {
    let rules = Rules::parse(&["widgets.example.com:/spec/users/*/token".to_owned()]).expect("places");
    let hidden = |kind, path: &str, text: &str, doubt| rules.in_patch(kind, path, &value(text), false, doubt);
    let widgets = ("example.com", "widgets");
    assert_eq!(hidden(widgets, "/spec/users/3/token", r#""x""#, false), [""]);
    assert_eq!(hidden(widgets, "/spec/users/3", r#"{"name":"n","token":"x"}"#, false), ["/token"]);
    assert_eq!(hidden(widgets, "/spec", r#"{"users":[{"token":"x"}]}"#, false), ["/users/0/token"]);
    assert_eq!(hidden(widgets, "/spec/users/3/token/deep", r#""x""#, false), [""]);
    assert!(hidden(widgets, "/spec/users/3/name", r#""x""#, false).is_empty());
    let secrets = ("", "secrets");
    let annotation = "/metadata/annotations/x~1note";
    assert_eq!(hidden(secrets, annotation, r#""may be a value""#, true), [""], "nobody can tell");
    assert!(hidden(secrets, annotation, r#""is none""#, false).is_empty(), "the row says that it is in public form");
    assert_eq!(hidden(secrets, "/metadata/annotations/kapp.k14s.io~1original", r#""x""#, false), [""]);
    assert_eq!(
        hidden(secrets, "/metadata", r#"{"annotations":{"a":"v"},"labels":{"l":"v"}}"#, true),
        ["/annotations/a"]
    );
}

fn journal() -> Journal {
    Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system())
}

fn keys(keys: &[Key]) -> DataKeys {
    DataKeys::new("c", keys.iter().cloned().map(Arc::new).collect(), Parts::system())
}

#[tokio::test]
async fn keys_are_proven_against_what_they_sealed() {
    let journal = journal();
    let store = journal.store();
    assert_eq!(keys(&[key()]).prove(store).await.expect("nothing to prove"), Proof::default());
    keys(&[key()]).ready(store, "ns", 0).await.expect("made");
    let proof = keys(&[key()]).prove(store).await.expect("its own");
    assert_eq!((proof.opened.len(), proof.missing.len()), (1, 0));
    let error = keys(&[another()]).prove(store).await.expect_err("another of the same name");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("does not open with key \"k\""), "{error}");
    let stranger = Key { name: "k-2".into(), ..another() };
    let proof = keys(std::slice::from_ref(&stranger)).prove(store).await.expect("nothing is said of it");
    assert_eq!((proof.opened.len(), proof.missing.as_slice()), (0, ["k".to_owned()].as_slice()));
    // After a rotation both are there, and the newest need not have sealed anything yet.
    let proof = keys(&[stranger, key()]).prove(store).await.expect("rotated");
    assert_eq!((proof.opened.as_slice(), proof.missing.len()), (["k".to_owned()].as_slice(), 0));
}

#[tokio::test]
async fn a_damaged_data_key_is_passed_over_and_says_nothing_of_the_key() {
    let journal = journal();
    let store = journal.store();
    let path = store.layout().data_key(&DataKeys::id("ns", 0, &key()));
    store.create(&path, Bytes::from_static(b"{\"id\":")).await.expect("written");
    let keys = keys(&[key()]);
    assert_eq!(keys.prove(store).await.expect("damage is no other key"), Proof::default());
    let place = Place { cluster: "c", key: "/secrets/ns/n", namespace: "ns" };
    let mut cell =
        Cell { path: "/data/a".into(), key_id: String::new(), pos: 1, rv: 2, secret: Bytes::from_static(b"\"v\"") };
    keys.seal(store, place, &mut cell, 0).await.expect("with another data key");
    assert_ne!(cell.key_id, DataKeys::id("ns", 0, &key()));
    assert_eq!(keys.open(store, place, &cell).await.expect("opens"), Value::from("v"));
    assert_eq!(keys.prove(store).await.expect("its own").opened, ["k"]);
}
