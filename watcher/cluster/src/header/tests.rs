use super::*;

#[test]
fn reads_identity_revision_and_the_newest_stamp() {
    let object = br#"{"apiVersion":"v1","kind":"Pod","spec":{"metadata":{"name":"no"}},"metadata":{
      "name":"web","namespace":"shop","uid":"u-1","resourceVersion":"812",
      "creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[
        {"manager":"a","time":"2026-01-01T00:00:05Z"},{"manager":"b"},{"manager":"c","time":"2026-01-01T00:00:03Z"}]}}"#;
    let header = Header::of(object);
    assert_eq!((header.name.as_str(), header.namespace.as_str()), ("web", "shop"));
    assert_eq!((header.uid.as_str(), header.rv, header.typed), ("u-1", Some(812), true));
    assert_eq!(header.stamp, micros("2026-01-01T00:00:05Z"));
}

#[test]
fn opaque_revisions_and_broken_objects_have_no_revision() {
    assert_eq!(Header::of(br#"{"metadata":{"resourceVersion":"abc"}}"#).rv, None);
    assert_eq!(Header::of(br#"{"metadata":{"resourceVersion":12}}"#).rv, None);
    assert_eq!(Header::of(br#"{"metadata":{"resourceVersion":"1""#).name, "");
    assert_eq!(Header::of(b"nonsense"), Header::default());
}
