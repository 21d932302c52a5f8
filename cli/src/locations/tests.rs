use super::*;

#[test]
fn a_location_names_a_cloud_and_what_it_needs() {
    let parsed = Location::parse("aws:region=eu-west-1,endpoint=http://127.0.0.1:1").unwrap();
    assert_eq!(parsed.cloud.name, "aws");
    assert_eq!(parsed.get("region").as_deref(), Some("eu-west-1"));
    assert_eq!(parsed.get("endpoint").as_deref(), Some("http://127.0.0.1:1"));
    assert!(Location::parse("aws").is_ok(), "the region may be found elsewhere");
    for (text, why) in [
        ("oracle:region=x", "no driver"),
        ("aws:zone=a", "no \"zone\""),
        ("aws:region", "not KEY=VALUE"),
        ("azure:subscription=s", "no resource-group"),
        ("gcp:", "no project"),
        ("aws:endpoint=ftp://host", "endpoint"),
        ("aws:endpoint=host", "endpoint"),
        ("aws:region=eu west", "region"),
        ("aws:region=eu\nwest", "region"),
        ("gcp:project=\u{7f}", "project"),
    ] {
        let failure = Location::parse(text).unwrap_err();
        assert!(failure.to_string().contains(why), "{failure}");
    }
}

fn place(provider: &'static str, settings: &[(&str, &str)], secret: Option<&[(&str, &str)]>) -> Place {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let hidden = |(key, value): &(&str, &str)| ((*key).to_owned(), Hidden::new(*value));
    Place {
        provider,
        settings: settings.iter().map(owned).collect(),
        credentials: secret.map(|secret| secret.iter().map(hidden).collect()),
    }
}

#[test]
fn an_object_is_held_to_what_the_flag_is_held_to() {
    let flag = Location::parse("azure:subscription=s,resource-group=g").unwrap();
    let object = Location::of_object(&place("azure", &[("subscription", "s"), ("resource-group", "g")], None)).unwrap();
    assert_eq!(flag, object);
    let secret = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "do-not-tell\u{e9}")];
    let good = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "a/secret+of=it")];
    for (place, why) in [
        (place("oracle", &[], None), "no driver"),
        (place("gcp", &[], None), "no project"),
        (place("aws", &[("zone", "a")], None), "no \"zone\""),
        (place("aws", &[("region", "x\r\ny")], None), "region"),
        (place("aws", &[("endpoint", "http://[")], None), "endpoint"),
        (place("aws", &[("endpoint", "https://mine.example.com")], None), "own address alone"),
        (
            place("azure", &[("subscription", "s"), ("resource-group", "g"), ("authority", "https://a.b")], None),
            "its authority",
        ),
        (place("aws", &[], Some(&secret)), "AWS_SECRET_ACCESS_KEY"),
        (place("aws", &[("profile", "p")], Some(&good)), "twice"),
    ] {
        let told = Location::of_object(&place).unwrap_err().told();
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("do-not-tell"), "{told}");
    }
    let location = Location::of_object(&place("aws", &[], Some(&good))).unwrap();
    assert_eq!(location.held("AWS_ACCESS_KEY_ID").unwrap().reveal(), "AKIA");
    assert!(!format!("{location:?}").contains("a/secret"), "it is hidden");
}

#[test]
fn what_the_command_line_says_of_a_cloud_no_object_says() {
    let clouds = Clouds { said: vec!["aws:region=eu-west-1".to_owned()], parts: Parts::system() };
    assert!(clouds.told("aws").unwrap().contains("--volume-location aws:"));
    assert!(clouds.told("gcp").is_none());
    assert_eq!(clouds.keys("gcp").is_some(), cfg!(feature = "gcp"));
    assert!(clouds.keys("oracle").is_none());
}

/// What a Secret may hold opens the drivers, and what cannot be a file of credentials is told without what stands in it.
#[cfg(all(feature = "aws", feature = "azure", feature = "gcp"))]
#[tokio::test]
async fn a_secret_opens_the_driver_of_each_cloud() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clouds = Clouds { said: Vec::new(), parts: Parts::system() };
    let azure = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];
    let aws = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
    for place in [
        place("aws", &[("region", "eu-west-1")], Some(&aws)),
        place("azure", &[("subscription", "s"), ("resource-group", "g")], Some(&azure)),
    ] {
        let driver = clouds.open(&place).await.unwrap();
        assert_eq!(driver.name(), place.provider);
    }
    for text in ["do-not-tell", r#"{"type": "service_account", "private_key": "do-not-tell"}"#, r#"{"do-not-tell": 1}"#]
    {
        let place = place("gcp", &[("project", "p")], Some(&[(FILE, text)]));
        let told = clouds.open(&place).await.unwrap_err().told();
        assert!(!told.contains("do-not-tell"), "{told}");
    }
}
