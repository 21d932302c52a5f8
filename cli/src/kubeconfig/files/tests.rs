use super::*;

const WORK: &str = "current-context: \"\"
clusters: [{name: work, cluster: {server: 'https://work', certificate-authority: ca.crt}}]
contexts: [{name: shared, context: {cluster: work, user: me}}]";
const HOME: &str = "current-context: shared
clusters: [{name: home, cluster: {server: 'https://home'}}]
contexts: [{name: shared, context: {cluster: home, user: me}}, {name: home, context: {cluster: home, user: me}}]";

fn listed(paths: &[&Path]) -> Result<Found> {
    of_environment(Some(std::env::join_paths(paths).unwrap()), None)
}

#[test]
fn a_missing_file_hides_none_of_the_others_and_the_first_that_says_something_wins() {
    let dir = tempfile::tempdir().unwrap();
    let [work, home, missing] = ["work", "home", "missing"].map(|name| dir.path().join(name));
    std::fs::write(&work, WORK).unwrap();
    std::fs::write(&home, HOME).unwrap();

    let found = listed(&[&missing, &work, Path::new(""), &home, &work]).unwrap();
    assert_eq!(found.missing, std::slice::from_ref(&missing));
    let config = found.config.unwrap();
    assert_eq!(config.current_context.as_deref(), Some("shared"), "an empty value wins over none");
    let shared = config.contexts.iter().find(|named| named.name == "shared").unwrap();
    assert_eq!(shared.context.as_ref().unwrap().cluster, "work");
    assert_eq!(config.clusters.len(), 2);
    let ca = config.clusters[0].cluster.as_ref().unwrap().certificate_authority.clone();
    assert_eq!(ca, Some(dir.path().join("ca.crt").display().to_string()), "a path is its file's");

    let none = listed(&[&missing]).unwrap();
    assert!(none.config.is_none());
    assert_eq!(none.missing, [missing]);
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let [good, broken] = ["good", "broken"].map(|name| dir.path().join(name));
    std::fs::write(&good, HOME).unwrap();
    std::fs::write(&broken, "clusters: [").unwrap();
    let failure = listed(&[&good, &broken]).unwrap_err();
    assert!(failure.reason.contains("broken"), "{failure}");
    let folder = listed(&[&good, dir.path()]).unwrap_err();
    assert!(folder.reason.contains(&dir.path().display().to_string()), "{folder}");
    assert!(find(Some(&dir.path().join("none"))).unwrap_err().reason.contains("no such file"));
}

#[test]
fn a_kubeconfig_that_chooses_nothing_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let [empty, work, home] = [("empty", ""), ("work", WORK), ("home", HOME)].map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    assert!(listed(&[&empty, &work]).unwrap().choosing(None).is_none());
    assert!(listed(&[&empty, &work]).unwrap().choosing(Some("shared")).is_some());
    assert!(listed(&[&empty, &home]).unwrap().choosing(None).is_some());
}
