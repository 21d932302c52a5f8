//! What is done with bytes that nobody is to be trusted for: files of a bucket, what a server sends, what people write.
//!
//! Each function takes any bytes and must neither panic nor loop; what it reads must be an answer or an error. A file's own digest
//! is set right first, since a reader checks that before it parses a byte: so what is tried is the parser behind it. They are called
//! with random changes of real files by a test ([`every`]), and for as long as one likes by the fuzzer (`tests/fuzz`), which includes this
//! file alone: nothing here may use the rest of the crate.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hindcast_cluster::lines::{Lines, event};
use hindcast_journal::{
    Journal, Parts,
    checkpoint::Manifest,
    exact::{self, Document, Value},
    level::Merged,
    segment::hex,
    verify::{self, Asked},
};
use hindcast_restorer::ask::{moment, paths};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use ring::digest::{SHA256, digest};

/// The journal that files are tried in: the one of `tests/golden`.
const CLUSTER: &str = "7385aaaa-0000-4000-8000-000000000001";

/// What a function is called, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("segment", segment),
    ("merged", merged),
    ("checkpoint", checkpoint),
    ("manifest", manifest),
    ("patch", patch),
    ("watch", watch),
    ("words", words),
];

/// The files of the golden journal, by name below the cluster's folder.
static GOLDEN: LazyLock<Vec<(String, Bytes)>> = LazyLock::new(|| {
    use base64::Engine as _;
    let files: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(include_str!("../golden/v1/journal.json")).expect("it is JSON");
    let root = format!("journal/{CLUSTER}/");
    let decode = |text: &serde_json::Value| {
        base64::engine::general_purpose::STANDARD.decode(text.as_str().expect("base64")).expect("base64")
    };
    let below = |(name, text): (&String, _)| Some((name.strip_prefix(&root)?.to_owned(), decode(text).into()));
    files.iter().filter_map(below).collect()
});

/// What a target begins with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let of = |folder: &str| {
        let files = GOLDEN.iter().filter(|(name, _)| name.starts_with(folder));
        files.map(|(_, bytes)| bytes.to_vec()).collect::<Vec<_>>()
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    match target {
        "segment" => of("wal/"),
        "merged" => of("log/"),
        "checkpoint" => of("checkpoints/"),
        "manifest" => of("meta/manifest/"),
        "patch" => texts(&[
            r#"{"a":[1,2,{"b":"c"}],"d":1.10}"#,
            concat!(
                r#"{"a":{"b":1}}"#,
                "\0",
                r#"[{"op":"add","path":"/a/c","value":[1e3]},{"op":"remove","path":"/a/b"}]"#
            ),
            concat!(r#"{"l":["x","y"]}"#, "\0", r#"{"l":["y","z","x"],"n":18446744073709551617}"#),
            concat!(
                r#"{"a":1}"#,
                "\0",
                r#"[{"op":"move","from":"/a","path":"/b~1c~0"},{"op":"test","path":"/b~1c~0","value":1}]"#
            ),
        ]),
        "watch" => texts(&[
            concat!(
                "\x07",
                r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b","#,
                r#""uid":"u","resourceVersion":"7","managedFields":[{"manager":"m","operation":"Update"}]}}}"#,
                "\n",
                r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#,
                "\n",
                r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#,
                "\n"
            ),
            "\x01{\"object\":{\"metadata\":{\"name\":\"\\ud83d\\ude00\"}},\"type\":\"DELETED\"}\r\n",
        ]),
        "words" => texts(&[
            "2026-11-01 14:01:00.123+01:00",
            "2h30m ago",
            "yesterday 18:00",
            "before:rev:12@3",
            "pos:17",
            "point:nightly/latest",
            "14:01",
            "spec.template.spec.containers[web].image",
            r#"metadata.annotations["a.b/c"]"#,
        ]),
        _ => Vec::new(),
    }
}

/// What does the work of a reader; a store in memory answers at once.
fn now<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(work)
}

/// A journal in memory with these files.
async fn journal(files: impl IntoIterator<Item = (String, Bytes)>) -> Journal {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), CLUSTER, Parts::system());
    for (name, bytes) in files {
        let path = Path::from(format!("p/{CLUSTER}/{name}"));
        inner.put(&path, bytes.into()).await.expect("memory takes all");
    }
    journal
}

/// The bytes with the digest that they should state, if they have a place for one (`journal/FORMAT.md`).
fn digested(bytes: &[u8]) -> Bytes {
    const KEY: &[u8] = b"hindcast.sha256";
    let mut file = bytes.to_vec();
    let at = file.windows(KEY.len()).rposition(|window| window == KEY).map(|at| at + KEY.len() + 2);
    if let Some(at) = at.filter(|at| file.len() >= at + 64) {
        file[at..at + 64].fill(b'0');
        let right = hex(digest(&SHA256, &file).as_ref());
        file[at..at + 64].copy_from_slice(right.as_bytes());
    }
    file.into()
}

/// A raw segment.
pub fn segment(bytes: &[u8]) {
    now(async {
        let journal = journal([(format!("wal/{:020}.parquet", 1), digested(bytes))]).await;
        if let Ok(segment) = journal.segment(1).await {
            assert_eq!(segment.meta.segment, 1, "a segment of another number is refused");
        }
    });
}

/// A merged file.
pub fn merged(bytes: &[u8]) {
    now(async {
        let journal = journal([(format!("log/3/{:020}-{:020}.parquet", 1, 3), digested(bytes))]).await;
        if let Ok(segments) = Merged::read_named(&journal, 3, 1..=3).await {
            let numbers: Vec<u64> = segments.iter().map(|segment| segment.meta.segment).collect();
            assert_eq!(numbers, [1, 2, 3], "it has what its name says");
        }
    });
}

/// A checkpoint, in a whole journal that it must agree with.
pub fn checkpoint(bytes: &[u8]) {
    now(async {
        let files = GOLDEN.iter().map(|(name, own)| {
            let other = name.starts_with("checkpoints/");
            (name.clone(), if other { digested(bytes) } else { own.clone() })
        });
        let journal = journal(files).await;
        let _ = verify::verify(&journal, &Asked::default(), &|_| {}).await.expect("damage is no error");
    });
}

/// A manifest, and what is asked with it.
pub fn manifest(bytes: &[u8]) {
    now(async {
        let journal = journal([(format!("meta/manifest/{:020}", 1), Bytes::copy_from_slice(bytes))]).await;
        if let Ok(manifest) = Manifest::read(&journal).await {
            let _ = manifest.count();
            let _ = manifest.takes(7);
            let _ = manifest.newest(&journal, |_| true).await;
            let _ = manifest.merged_up_to(&journal).await;
        }
    });
}

/// Two documents: the way from one to the other leads there; and the second as a patch of the first.
pub fn patch(bytes: &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == 0);
    let (Some(one), two) = (halves.next(), halves.next().unwrap_or_default()) else { return };
    let (Ok(old), Ok(new)) = (Document::parse(one), Document::parse(two)) else { return };
    let (old, new) = (old.root().to_value(), new.root().to_value());
    let way = exact::diff(&old, &new);
    let mut there: Value = old.clone();
    exact::apply(&mut there, &way).expect("what was found between two documents leads from one to the other");
    assert_eq!(exact::to_canonical(&there), exact::to_canonical(&new));
    let mut anywhere = old;
    let _ = exact::apply(&mut anywhere, &new);
}

/// A watch, in frames of the length that the first byte says.
pub fn watch(bytes: &[u8]) {
    let Some((length, stream)) = bytes.split_first() else { return };
    let whole = taken(stream, stream.len().max(1));
    assert_eq!(whole, taken(stream, usize::from(*length).max(1)), "however it is cut, the same comes out");
    for line in &whole {
        let _ = event(line);
        let _ = exact::ingest(line);
    }
}

fn taken(stream: &[u8], length: usize) -> Vec<Bytes> {
    let (mut lines, mut out) = (Lines::default(), Vec::new());
    for frame in stream.chunks(length) {
        lines.push(frame);
        while let Ok(Some(line)) = lines.take() {
            out.push(line);
        }
    }
    out
}

/// A moment, a length of time, a path.
pub fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for zone in ["Europe/Berlin", "Australia/Lord_Howe"] {
        let wall = moment::Wall::new(1_793_000_000_000_000, Some(zone)).expect("a zone");
        if let Ok(asked) = moment::parse(text, &wall) {
            let _ = asked.question(false);
        }
    }
    let _ = moment::duration(text);
    if let Ok(pointer) = paths::pointer(text) {
        assert_eq!(paths::pointer(&paths::spell(&pointer)).as_deref(), Ok(pointer.as_str()), "{text}");
    }
}

/// Every target with its seeds, each changed in a few random places so many times. `draw` gives random numbers.
pub fn every(times: usize, mut draw: impl FnMut() -> u64) {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            target(&seed);
            for _ in 0..times {
                let mut bytes = seed.clone();
                for _ in 0..=draw() % 4 {
                    change(&mut bytes, &mut draw);
                }
                target(&bytes);
            }
        }
    }
}

fn change(bytes: &mut Vec<u8>, draw: &mut impl FnMut() -> u64) {
    if bytes.is_empty() {
        bytes.push(draw() as u8);
        return;
    }
    let (at, other) = ((draw() % bytes.len() as u64) as usize, (draw() % bytes.len() as u64) as usize);
    match draw() % 5 {
        0 => bytes[at] ^= 1 << (draw() % 8),
        1 => bytes[at] = draw() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at.min(other)..at.max(other).min(at.min(other) + 16))),
        _ => {
            let piece = bytes[at..bytes.len().min(at + 16)].to_vec();
            bytes.splice(other..other, piece);
        }
    }
}
