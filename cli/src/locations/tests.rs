use super::*;

#[test]
fn a_location_names_a_cloud_and_what_it_needs() {
    let parsed = Location::parse("aws:region=eu-west-1,endpoint=http://127.0.0.1:1").unwrap();
    assert_eq!(parsed.cloud, "aws");
    assert_eq!(parsed.get("region").as_deref(), Some("eu-west-1"));
    assert_eq!(parsed.get("endpoint").as_deref(), Some("http://127.0.0.1:1"));
    assert!(Location::parse("aws").is_ok(), "the region may be found elsewhere");
    for (text, why) in [
        ("oracle:region=x", "no driver"),
        ("aws:zone=a", "no \"zone\""),
        ("aws:region", "not KEY=VALUE"),
        ("azure:subscription=s", "no resource-group"),
        ("gcp:", "no project"),
    ] {
        let failure = Location::parse(text).unwrap_err();
        assert!(failure.to_string().contains(why), "{failure}");
    }
}
