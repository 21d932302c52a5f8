use super::*;

fn answer(body: &'static [u8]) -> Answer {
    Answer { body: Bytes::from_static(body), when: When::default() }
}

#[test]
fn a_list_is_split_wherever_its_metadata_stands() {
    let built_in = page(&answer(
        br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"x"},"items":[{"a":1},{"b":2}]}"#,
    ))
    .unwrap();
    assert_eq!((built_in.rv, built_in.next.as_deref(), built_in.items.len()), (Some(7), Some("x"), 2));
    let custom = page(&answer(br#"{"items":[{"a":1}],"metadata":{"continue":"","resourceVersion":"9"}}"#)).unwrap();
    assert_eq!((custom.rv, custom.next, custom.items), (Some(9), None, vec![Bytes::from_static(br#"{"a":1}"#)]));
    let empty = page(&answer(br#"{"items":null,"metadata":{"resourceVersion":"x1"}}"#)).unwrap();
    assert_eq!((empty.rv, empty.items.len()), (None, 0));
    let none = page(&answer(br#"{"items":[],"metadata":{}}"#)).unwrap();
    assert_eq!(none.rv, None);
    assert!(page(&answer(br#"{"items":[{"a":1}],"metadata":{"#)).is_none());
}

#[test]
fn answers_are_sorted_by_what_to_do() {
    let of = |code, body: &str| Failure::from(Refused::of(code, body.as_bytes(), None));
    assert!(matches!(of(410, "{}"), Failure::Expired(_)));
    assert!(matches!(of(400, r#"{"reason":"Expired","message":"too old"}"#), Failure::Expired(_)));
    assert!(matches!(
        of(504, r#"{"reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 2"}"#),
        Failure::TooLarge(_)
    ));
    assert!(matches!(of(403, "no"), Failure::Forbidden(_)));
    assert!(matches!(of(404, ""), Failure::NotFound(_)));
    // Credentials expire and are renewed: the kind itself is not refused.
    assert!(matches!(of(401, "no"), Failure::Server(_)));
    assert!(matches!(of(429, ""), Failure::Throttled(None)));
    assert!(matches!(of(503, ""), Failure::Server(_)));
    let event = Failure::of_event(br#"{"kind":"Status","code":410,"message":"too old resource version: 204 (227)"}"#);
    assert_eq!(event, Failure::Expired("too old resource version: 204 (227)".into()));
}
