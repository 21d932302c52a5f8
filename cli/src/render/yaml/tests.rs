use hindcast_journal::exact;

use super::*;

fn yaml(json: &str) -> String {
    document(&exact::parse(json.as_bytes()).unwrap())
}

/// Reads with an independent YAML reader and compares with what the JSON says.
fn reads_back(json: &str) {
    let text = yaml(json);
    let read: serde_json::Value =
        serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{json} became unreadable: {e}\n{text}"));
    let expected: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(read, expected, "{json} became\n{text}");
}

#[test]
fn it_looks_as_kubectl_writes() {
    let json = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"a":"","n":"1"},
        "creationTimestamp":"2026-11-01T14:01:00Z","labels":{},"name":"web"},"spec":{"replicas":3,
        "template":{"spec":{"containers":[{"args":["--v=2","-x","[a]"],"command":["sh","-c","a\nb\n"],
        "image":"r.io/x:1","name":"app"},{"name":"b"}],"list":[[1,2],[],{}]}},"on":true,"none":null}}"#;
    assert_eq!(
        yaml(json),
        "apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    a: \"\"
    \"n\": \"1\"
  creationTimestamp: \"2026-11-01T14:01:00Z\"
  labels: {}
  name: web
spec:
  none: null
  \"on\": true
  replicas: 3
  template:
    spec:
      containers:
      - args:
        - --v=2
        - \"-x\"
        - \"[a]\"
        command:
        - sh
        - \"-c\"
        - |
          a
          b
        image: r.io/x:1
        name: app
      - name: b
      list:
      - - 1
        - 2
      - []
      - {}
"
    );
    reads_back(json);
}

#[test]
fn numbers_are_the_tokens_of_the_journal() {
    let text = yaml(r#"{"a":1.10,"b":18446744073709551617,"c":1E5,"d":-0,"e":1e400}"#);
    assert_eq!(text, "a: 1.10\nb: 18446744073709551617\nc: 1E5\nd: -0\ne: 1e400\n");
}

#[test]
fn strings_that_could_be_something_else_are_quoted() {
    for text in [
        "",
        "null",
        "Null",
        "~",
        "true",
        "TRUE",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "1",
        "-1",
        "+1",
        "1.10",
        ".5",
        "1e3",
        "1E5",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "12:30:45",
        "190:20:30",
        "2026-11-01",
        "2026-11-01T14:01:00Z",
        "2026-11-01 14:01:00 +1",
        ".inf",
        "-.INF",
        ".nan",
        "=",
        "<<",
        "- a",
        "-",
        "--",
        "---",
        "...",
        "? a",
        ":",
        "a:",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "'a'",
        "\"a\"",
        "%a",
        "@a",
        "`a",
        "[a]",
        "{a}",
        "a]",
        " a",
        "a ",
        "a,b",
        "a\\nb",
        "it's",
        "say \"it's\"",
        "e3",
        "abc",
        "--flag",
        "-flag",
        "--",
        "--1",
        "a\tb",
        "\t",
        "\n",
        "\n\n",
        " \n",
        "a\n",
        "a\nb",
        "a\nb\n",
        "a\nb\n\n",
        "\na\nb",
        " a\nb",
        "a\n b\n",
        "a\n\nb",
        "a\n \nb",
        "a\r\nb",
        "a\n\tb",
        "trailing \nb",
        "# a\n# b",
        "a\nb ",
        "東京",
        "\u{feff}a",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{9b}",
        "😀",
        "\u{e0001}",
        "\u{10ffff}",
        "<redacted 12 bytes hmac:ab12cd34>",
        "10.0.0.1",
        "100m",
        "1Gi",
        "0",
        "00",
        "1.",
        "--- a\nb",
        "%TAG\nx",
        "a\n---\nb",
        "a\n...\nb",
        "..",
        "1 2",
        "0b1",
        "1,000",
        "nul",
        "none",
    ] {
        let quoted = serde_json::to_string(text).unwrap();
        reads_back(&quoted);
        reads_back(&format!("{{\"k\":{quoted},\"l\":[{quoted},{{\"m\":{quoted}}}]}}"));
        reads_back(&format!("{{{quoted}:1,\"x\":{{{quoted}:{quoted}}}}}"));
    }
}

#[test]
fn random_text_reads_back() {
    // A small generator of its own, with the characters that matter more often than others.
    let alphabet: Vec<char> = "ab01.:-# \n\t'\"\\[]{}|>,&*!%@`?~=xeT_é😀\u{1b}\u{85}\u{2028}".chars().collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    for _ in 0..20_000 {
        let length = next() % 9;
        let text: String = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
        let quoted = serde_json::to_string(&text).unwrap();
        reads_back(&format!("{{\"k\":[{quoted}],\"l\":{{{quoted}:{quoted}}}}}"));
    }
}

#[test]
fn long_keys_read_back() {
    reads_back(&format!("{{\"{}\":1,\"b\":{{\"{}\":[1]}}}}", "k".repeat(1500), "é".repeat(700)));
}

#[test]
fn nothing_that_a_terminal_obeys_is_written() {
    let text = yaml(r#"{"a":"x\u001b[2J","b\u009b":"l1\nl2\u0007\n","c":"\u202e"}"#);
    assert!(text.chars().all(|c| c == '\n' || !is_unsafe(c)), "{text:?}");
}

#[test]
fn each_line_knows_what_it_shows() {
    let text = r#"{"a":{"b":[{"c":1,"d":[]},[2,"x\ny\n"]],"e/f":null},"g":"h"}"#;
    let value = hindcast_journal::exact::parse(text.as_bytes()).unwrap();
    let seen: Vec<(String, String)> = lines(&value).into_iter().map(|l| (l.pointer, l.text)).collect();
    let told: Vec<(&str, &str)> = seen.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    assert_eq!(
        told,
        [
            ("/a", "a:"),
            ("/a/b", "  b:"),
            ("/a/b/0/c", "  - c: 1"),
            ("/a/b/0/d", "    d: []"),
            ("/a/b/1/0", "  - - 2"),
            ("/a/b/1/1", "    - |"),
            ("/a/b/1/1", "      x"),
            ("/a/b/1/1", "      y"),
            ("/a/e~1f", "  e/f: null"),
            ("/g", "g: h"),
        ]
    );
    let joined: String = seen.iter().map(|(_, text)| format!("{text}\n")).collect();
    assert_eq!(joined, document(&value));
}
