use super::*;
use crate::driver::Volume;

#[test]
fn ids_are_read_in_any_case_and_written_in_azures() {
    let text = "/subscriptions/0a-1/resourcegroups/MC_shop/providers/microsoft.compute/Disks/pvc-1";
    let id = Id::parse(text, Kind::Disk).unwrap();
    assert_eq!(id.to_string(), "/subscriptions/0a-1/resourceGroups/MC_shop/providers/Microsoft.Compute/disks/pvc-1");
    assert!(Id::parse(text, Kind::Snapshot).is_err());
    for wrong in
        ["", "pvc-1", "/subscriptions//resourceGroups/g/providers/Microsoft.Compute/disks/d", &format!("{text}/x")]
    {
        assert!(Id::parse(wrong, Kind::Disk).is_err(), "{wrong}");
    }
    assert!(Id::parse(&text.replace("pvc-1", "..%2f"), Kind::Disk).is_err());
}

#[test]
fn tags_have_names_that_azure_takes_and_ours_win() {
    let tag = Tag { cluster: "c".into(), point: "Nightly 1".into(), id: "0".repeat(32), index: 3 };
    let tags = [("hindcast.dev/id".to_owned(), "forged".to_owned()), ("a<b".to_owned(), "x".repeat(300))].into();
    let volume = Volume { namespace: "shop".into(), claim: "data".into(), ..Volume::default() };
    let order = Order { tags, ..Order::bare(tag.clone(), volume) };
    let borne = tags_of(&order);
    assert_eq!(tag_of(Some(&borne)), Some(tag));
    assert_eq!(borne["hindcast.dev-claim"], "shop/data");
    assert_eq!(borne["a-b"].as_str().map(str::len), Some(256));
    assert!(borne.as_object().unwrap().keys().all(|name| !name.contains(['<', '>', '%', '&', '\\', '?', '/'])));
}

#[test]
fn zones_are_of_locations() {
    assert_eq!(zone_of("westeurope-2", "x"), ("westeurope", "2"));
    assert_eq!(zone_of("2", "westeurope"), ("westeurope", "2"));
}
