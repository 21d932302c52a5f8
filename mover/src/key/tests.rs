use super::*;

fn journal_key(byte: u8) -> seal::Key {
    seal::Key { name: "key-1".into(), created: String::new(), wrap: [byte; 32], hmac: [1; 32], seal: [2; 32] }
}

#[test]
fn it_is_of_one_key_and_one_cluster_and_is_read_back() {
    let key = Key::of(&journal_key(7), "c");
    assert_eq!(key, Key::of(&journal_key(7), "c"));
    assert_ne!(key, Key::of(&journal_key(7), "d"));
    assert_ne!(key, Key::of(&journal_key(8), "c"));
    assert_eq!(Key::parse(&format!("{}\n", key.password())).ok(), Some(key.clone()));
    assert_eq!(key.password().len(), 43);
    assert!(Key::parse("secret").is_err());
    assert!(!format!("{key:?}").contains(&key.password()));
}

#[test]
fn a_key_is_never_another_one_tomorrow() {
    // What an existing repository was made with: never to be changed.
    assert_eq!(Key::of(&journal_key(7), "c").password(), "daiTim12ITb0GcxbMTOpBD_yGZWlFfHJFaH8oj_oQPA");
}
