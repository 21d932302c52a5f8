use super::*;

#[test]
fn any_cut_gives_the_same_lines() {
    let stream = b"{\"a\":1}\n\n{\"b\":\"x\"}\r\n{\"c\":3}\npartial";
    let whole = decode(&[stream]);
    assert_eq!(whole.len(), 3);
    for cut in 0..stream.len() {
        let (left, right) = stream.split_at(cut);
        assert_eq!(decode(&[left, right]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(&bytes), whole);
}

fn decode(frames: &[&[u8]]) -> Vec<Bytes> {
    let mut lines = Lines::default();
    let mut out = Vec::new();
    for frame in frames {
        lines.push(frame);
        while let Some(line) = lines.take().unwrap() {
            out.push(line);
        }
    }
    out
}

#[test]
fn a_line_of_nine_mebibytes_passes() {
    let mut lines = Lines::default();
    for _ in 0..9 {
        lines.push(&vec![b'x'; 1 << 20]);
        assert_eq!(lines.take(), Ok(None));
    }
    lines.push(b"\n");
    assert_eq!(lines.take().unwrap().unwrap().len(), 9 << 20);
}

#[test]
fn events_keep_the_objects_bytes() {
    let line = Bytes::from_static(br#"{"type":"MODIFIED","object":{"b":1.10, "a":"\u0041"}}"#);
    let object = Bytes::from_static(br#"{"b":1.10, "a":"\u0041"}"#);
    assert_eq!(event(&line), Some(Event::Modified(object)));
    let line = Bytes::from_static(br#"{"object":{"x":1},"type":"DELETED"}"#);
    assert_eq!(event(&line), Some(Event::Deleted(Bytes::from_static(br#"{"x":1}"#))));
    for bad in [&br#"{"type":"ADDED"}"#[..], br#"{"type":"ADDED","object":{"#, b"x", br#"{"type":"?","object":{}}"#] {
        assert_eq!(event(&Bytes::copy_from_slice(bad)), None);
    }
}
