use super::*;

#[test]
fn a_missing_object_is_told_from_a_missing_path_and_busy_from_broken() {
    let of = |code, body: &str| Refused::of(code, body.as_bytes(), None).sort;
    assert_eq!(of(404, r#"{"reason":"NotFound","details":{"name":"web","kind":"pods"}}"#), Sort::Absent);
    assert_eq!(of(404, r#"{"reason":"NotFound","details":{}}"#), Sort::NoPath);
    assert_eq!(of(404, "404 page not found"), Sort::NoPath);
    assert_eq!((of(405, ""), of(403, "no"), of(410, "{}")), (Sort::NoPath, Sort::Forbidden, Sort::Expired));
    assert_eq!((of(429, ""), of(503, ""), of(504, "{}")), (Sort::Throttled, Sort::Busy, Sort::Busy));
    assert_eq!((of(401, "no"), of(422, "{}")), (Sort::Other, Sort::Other));
}

#[test]
fn a_refusal_has_the_words_of_the_server_or_its_status() {
    let of = |body: &str| Refused::of(500, body.as_bytes(), None).message;
    assert_eq!(of(r#"{"message":"etcd is away"}"#), "etcd is away");
    assert_eq!((of(""), of(r#"{"message":""}"#)), ("HTTP 500".to_owned(), "HTTP 500".to_owned()));
}

#[test]
fn the_date_header_is_read() {
    assert_eq!(date_micros("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1_000_000));
}
