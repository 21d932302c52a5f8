use super::*;

#[test]
fn a_zone_tells_its_region() {
    for (zone, region) in [
        ("us-east-1a", "us-east-1"),
        ("us-west-2-lax-1a", "us-west-2"),
        ("us-gov-west-1b", "us-gov-west-1"),
        ("ap-southeast-11c", "ap-southeast-11"),
        ("nowhere", "nowhere"),
    ] {
        assert_eq!(region_of(zone), region, "{zone}");
    }
}

#[test]
fn handles_of_both_kinds_of_volume_are_read() {
    assert_eq!(volume_id("vol-0a1b2c3d4e5f60718"), Some("vol-0a1b2c3d4e5f60718"));
    assert_eq!(volume_id("aws://eu-central-1b/vol-0a1b"), Some("vol-0a1b"));
    for wrong in ["", "vol-", "snap-0a1b", "vol-xyz", "projects/p/zones/z/disks/d"] {
        assert_eq!(volume_id(wrong), None, "{wrong}");
    }
    let volume = Volume { handle: "aws://eu-central-1b/vol-0a1b".to_owned(), ..Volume::default() };
    assert_eq!(zone(&volume), Some("eu-central-1b"));
}

#[test]
fn a_users_tag_does_not_replace_one_of_ours() {
    let tag = Tag { cluster: "c".into(), point: "p".into(), id: "0".repeat(32), index: 3 };
    let tags = [(tags::ID.to_owned(), "forged".to_owned()), ("team".to_owned(), "shop".to_owned())].into();
    let volume = Volume { namespace: "shop".into(), claim: "data".into(), ..Volume::default() };
    let pairs = pairs(&Order { tags, ..Order::bare(tag.clone(), volume) });
    let borne: Vec<Pair> = marks(ResourceType::Snapshot, &pairs).tags().to_vec();
    assert_eq!(tag_of(&borne), Some(tag));
    assert!(borne.iter().any(|pair| pair.key() == Some("team")), "{borne:?}");
    assert_eq!(borne.iter().filter(|pair| pair.key() == Some(tags::ID)).count(), 1);
}
