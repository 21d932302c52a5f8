use super::*;

#[test]
fn a_key_file_is_made_added_to_and_never_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/keys.json");
    let parts = Parts::system();
    assert!(read(&path).unwrap().is_none());
    assert!(read_existing(&path).unwrap_err().hints[0].contains("key init"));
    let first = add(&path, None, &parts).unwrap();
    let second = add(&path, Some("other"), &parts).unwrap();
    let third = add(&path, None, &parts).unwrap();
    let names: Vec<String> = read_existing(&path).unwrap().keys.into_iter().map(|key| key.name).collect();
    let named = |name: &str, key: &Key| format!("{name}-{}", key.fingerprint());
    let expected = [named("key-2", &third), named("other", &second), named("key-1", &first)];
    assert_eq!(names, expected, "newest first, each with its fingerprint");
    assert_eq!([third.name, second.name, first.name], expected);
    let failure = add(&path, Some("other"), &parts).unwrap_err();
    assert!(failure.to_string().contains("`other` already"), "{failure}");
    assert!(add(&path, Some("a b"), &parts).is_err());
    assert_eq!(read_existing(&path).unwrap().keys.len(), 3);
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the file");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("keys.json");
    add(&path, None, &Parts::system()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = read(&path).unwrap_err();
    assert!(failure.hints[0].starts_with("chmod 600"), "{failure}");
}

#[test]
fn what_is_no_key_file_is_refused_without_its_text() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("keys.json");
    std::fs::write(&path, "{\"planted\": \"planted\"}").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let failure = read(&path).unwrap_err();
    assert!(failure.to_string().contains("keys.json"), "{failure}");
    assert!(!failure.to_string().contains("planted"), "{failure}");
}
