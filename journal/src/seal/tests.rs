use super::*;

fn key() -> Key {
    Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] }
}

#[test]
fn a_secret_has_all_its_values_replaced() {
    let mut secret = exact::parse(
        br#"{"data":{"a/b":"aGVsbG8=","c":"eA=="},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","keep":"me"}},"stringData":{"d":"plain"}}"#,
    )
    .expect("valid");
    let paths = sealed_paths("", "secrets", &secret);
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
