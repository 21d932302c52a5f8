use super::*;

fn base(n: u64) -> Base {
    let public = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","data":{{"k{n}":"value {}"}},"metadata":{{"name":"c{n}","namespace":"shop","labels":{{"app":"a{}","tier":"backend","release":"stable"}},"resourceVersion":"{n}"}}}}"#,
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        n % 7,
    );
    Base {
        rv: n,
        object_rv: n,
        uid: format!("uid-{n}"),
        public: public.into(),
        managed: Bytes::from_static(br#"[{"manager":"kubectl"}]"#),
        hash: Some([n as u8; 8]),
        chain: 3,
    }
}

#[test]
fn what_goes_in_comes_out_hot_packed_and_with_a_dictionary() {
    let mut packer = Packer::new(10);
    let mut entries = std::collections::BTreeMap::new();
    for n in 0..3000 {
        let name = format!("c{n}");
        let (entry, cool) = packer.keep("/configmaps", &name, base(n), None);
        entries.insert(name, entry);
        for (tick, _, name) in cool {
            packer.cool(entries.get_mut(&name).unwrap(), tick);
        }
    }
    assert!(packer.trained.is_some());
    for n in 0..3000 {
        assert_eq!(packer.base(&entries[&format!("c{n}")]), base(n));
    }
    let raw: usize = (0..3000).map(|n| base(n).public.len()).sum();
    let fixed = 3000 * (size_of::<Entry>() + 20);
    assert!(packer.bytes() < fixed + raw / 2, "{} of {raw}", packer.bytes());
    for (name, entry) in &entries {
        packer.drop_entry(name, entry);
    }
    assert_eq!(packer.bytes(), 0);
}

#[test]
fn an_entry_that_became_hot_again_stays_hot() {
    let mut packer = Packer::new(0);
    let (mut entry, cool) = packer.keep("/k", "a", base(1), None);
    packer.cool(&mut entry, cool[0].0 + 1);
    assert!(matches!(entry.body, Body::Hot { .. }));
    packer.cool(&mut entry, cool[0].0);
    assert!(matches!(entry.body, Body::Packed { .. }));
}
