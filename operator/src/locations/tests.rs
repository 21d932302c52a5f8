use async_trait::async_trait;
use hindcast_snapshotter::Passing;
use k8s_openapi::ByteString;

use super::*;
use crate::places::Places;

const KEYS: Keys = Keys { must: &["ID", "SECRET"], may: &["SESSION"] };

/// Knows aws, which no flag says, and gcp, which one does.
struct Clouds;

#[async_trait]
impl Opener for Clouds {
    fn told(&self, provider: &str) -> Option<String> {
        (provider == "gcp").then(|| "the flag's".to_owned())
    }

    fn keys(&self, provider: &str) -> Option<Keys> {
        ["aws", "gcp"].contains(&provider).then_some(KEYS)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn VolumeDriver>> {
        Err(Error::invalid(place.provider, "is not opened here"))
    }
}

fn claim(provider: &'static str, name: &str, made: &str) -> Claim {
    Claim {
        provider,
        name: name.to_owned(),
        uid: Some(format!("uid of {name}")),
        generation: Some(1),
        made: Some(made.parse().unwrap()),
    }
}

/// The reason that a location has no driver, and the sentence; none if it has its turn.
fn why(claim: &Claim, claims: &[Claim]) -> (String, String) {
    match allowed(claim, claims, &Clouds) {
        Ok(_) => Default::default(),
        Err(Without(verdict, _)) => (verdict.reason, verdict.message),
    }
}

#[test]
fn of_each_provider_the_flag_counts_then_the_oldest() {
    let old = claim("aws", "z", "2026-11-01T00:00:00Z");
    let new = claim("aws", "a", "2026-11-01T00:00:01Z");
    let twin = claim("aws", "zz", "2026-11-01T00:00:00Z");
    let other = claim("gcp", "g", "2026-10-01T00:00:00Z");
    let all = [new.clone(), twin.clone(), other.clone(), old.clone()];
    assert_eq!(why(&old, &all).0, "");
    for late in [&new, &twin] {
        let (reason, message) = why(late, &all);
        assert!(reason == "Superseded" && message.contains("VolumeLocation z"), "{reason}: {message}");
    }
    let (reason, message) = why(&other, &all);
    assert!(reason == "Superseded" && message.contains("the flag's"), "{reason}: {message}");
    // When the oldest goes, the next one has its turn.
    assert_eq!(why(&twin, &[new.clone(), twin.clone()]).0, "");
    let (reason, message) = why(&claim("azure", "a", "2026-11-01T00:00:00Z"), &all);
    assert!(reason == "UnknownProvider" && message.contains("feature azure"), "{reason}: {message}");
    // What was read before it changed opens nothing.
    let changed = Claim { generation: Some(2), ..old.clone() };
    assert_eq!(why(&old, &[changed]).0, "Changed");
    assert_eq!(why(&old, &[]).0, "Changed");
}

fn of(data: &[(&str, &[u8])]) -> Secret {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec())));
    Secret { data: Some(data.collect()), ..Secret::default() }
}

#[test]
fn a_secret_has_to_hold_what_is_needed_and_is_never_told() {
    for (secret, key) in [
        (Secret::default(), "ID"),
        (of(&[("ID", b"do-not-tell")]), "SECRET"),
        (of(&[("ID", b" \n"), ("SECRET", b"do-not-tell")]), "ID"),
        (of(&[("ID", b"do-not-tell"), ("SECRET", b"do-not-tell\xff")]), "SECRET"),
        (of(&[("ID", b"i"), ("SECRET", b"s"), ("SESSION", b"do-not-tell\xff")]), "SESSION"),
    ] {
        let Err(Without(verdict, _)) = held("keys", &secret, KEYS) else { panic!("{key}") };
        let message = verdict.message;
        assert_eq!(verdict.reason, "SecretIncomplete");
        assert!(message.contains("Secret keys") && message.contains(&format!(" {key}")), "{message}");
        assert!(!message.contains("do-not-tell"), "{message}");
    }
    let whole = of(&[("ID", b"i\n"), ("SECRET", b"s"), ("more", b"x")]);
    let Ok(held) = held("keys", &whole, KEYS) else { panic!("it is whole") };
    assert_eq!(held.keys().collect::<Vec<_>>(), ["ID", "SECRET"]);
    assert_eq!(held["ID"].reveal(), "i", "a line's end is none of it");
}

#[test]
fn a_secret_is_named_and_no_path_to_another() {
    assert!(is_name("ebs-credentials.v2"));
    for name in ["", "../../kube-system/secrets/x", "a/b", "..", "A", "a?b", "a b", "\u{e9}"] {
        assert!(!is_name(name), "{name}");
    }
}

/// A location that is another one than its driver was opened for has none any more, whatever took its place.
#[tokio::test]
async fn what_does_not_stand_any_more_is_let_go_of() {
    let passing = Passing::default();
    let places = Places::new(Arc::new(Clouds), passing);
    let mut news = Box::pin(places.news());
    let first = claim("aws", "a", "2026-11-01T00:00:00Z");
    let mut standing = places.standing.lock().await;
    places.settle(&mut standing, vec![first.clone()]);
    assert!(news.next().await.is_some(), "who waits for its turn is told");
    assert_eq!(standing.claims, [first]);
    places.settle(&mut standing, Vec::new());
    assert!(news.next().await.is_some());
    assert!(standing.open.is_empty());
}
