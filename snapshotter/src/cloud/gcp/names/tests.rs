use super::*;
use crate::driver::Volume;

#[test]
fn handles_of_zonal_regional_and_built_in_disks_are_read() {
    let zone = |project: &str, zone: &str, disk: &str| Place::Zone {
        project: project.into(),
        zone: zone.into(),
        disk: disk.into(),
    };
    let region = Place::Region { project: "p".into(), region: "us-central1".into(), disk: "d".into() };
    let csi = "projects/example.com:p/zones/us-central1-a/disks/pvc-1";
    assert_eq!(of_disk(csi, None, "q"), Ok(zone("example.com:p", "us-central1-a", "pvc-1")));
    assert_eq!(of_disk("projects/p/regions/us-central1/disks/d", None, "q"), Ok(region.clone()));
    assert_eq!(region.path(), "projects/p/regions/us-central1/disks/d");
    assert_eq!(of_disk("d", Some("us-central1-a"), "p"), Ok(zone("p", "us-central1-a", "d")));
    assert_eq!(of_disk("d", Some("us-central1-a__us-central1-b"), "p"), Ok(region));
    for wrong in
        ["", "projects/p/zones/z/disks/", "projects/p/towns/z/disks/d", "vol-0a1b/x", "projects//zones/z/disks/d"]
    {
        assert!(of_disk(wrong, Some("z"), "p").is_err(), "{wrong}");
    }
    assert!(of_disk("d", None, "p").is_err(), "nobody says its zone");
}

#[test]
fn labels_are_valid_and_the_tag_is_read_back_exactly() {
    let tag = Tag { cluster: "0a-1".into(), point: "Nightly.of Europe of Asia".into(), id: "f".repeat(32), index: 7 };
    let volume = Volume { namespace: "shop".into(), claim: "data".into(), ..Volume::default() };
    let tags = [("Team/Cost".to_owned(), "A B".to_owned()), (ID.to_owned(), "forged".to_owned())].into();
    let order = Order { tags, ..Order::bare(tag.clone(), volume) };
    let labels = labels(&order);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    for (name, value) in &labels {
        assert!(
            name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits),
            "{name}"
        );
        assert!(value.len() <= 63 && value.chars().all(fits), "{value}");
    }
    assert_eq!(labels.iter().filter(|(name, _)| name == ID).count(), 1);
    let snapshot = Snapshot::new().set_labels(labels).set_description(described(&order));
    assert_eq!(tag_of(&snapshot), Some(tag));
}

#[test]
fn a_filter_names_each_label() {
    let filter = filter(&[(CLUSTER, "c-1"), (ID, "0f")]);
    assert_eq!(filter, "(labels.hindcast-cluster = \"c-1\") (labels.hindcast-id = \"0f\")");
}

#[test]
fn a_request_id_is_a_random_uuid() {
    let id = request_id(&Parts::system());
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(id.as_bytes()[14], b'4', "{id}");
    assert_ne!(id, request_id(&Parts::system()));
}
