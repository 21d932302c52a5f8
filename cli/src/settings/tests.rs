use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::args::{Cli, Verb};

const OBJECT: &str = "Journal hindcast/main";

/// As if a key file were named.
const KEYED: [&str; 2] = ["--key-file", "keys"];

/// What a command line says.
fn line_of(args: &[&str]) -> (Common, Run) {
    let all = ["hindcast", "run"].iter().chain(args);
    let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{args:?}: {error}"));
    let Verb::Run(run) = cli.verb else { panic!("{args:?} is of another verb") };
    (cli.common, run)
}

fn spec(store: &str, beside: Value) -> JournalSpec {
    let mut spec = json!({"store": {"url": store}});
    if let (Some(spec), Value::Object(beside)) = (spec.as_object_mut(), beside) {
        spec.extend(beside);
    }
    serde_json::from_value(spec).unwrap()
}

fn with(
    args: &[&str],
    spec: &JournalSpec,
    secrets: &Secrets,
    before: Option<&Settings>,
) -> Result<(Settings, Vec<Failure>)> {
    let (mut common, run) = line_of(args);
    // Whoever tries it may have these in the environment.
    if !args.contains(&"--journal") {
        common.journal = None;
    }
    if !args.contains(&"--key-file") {
        common.key_file = None;
    }
    Settings::of((&common, &run), &Said { object: OBJECT, spec, secrets }, before)
}

fn settings(args: &[&str], beside: Value) -> Result<(Settings, Vec<Failure>)> {
    with(args, &spec("s3://bucket/prefix?region=r", beside), &Secrets::default(), None)
}

fn secrets(values: &[(&str, &str)]) -> Secrets {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), Hidden::new(*value)));
    Secrets { credentials: Some(values.collect()), key: None }
}

/// All that `run` is told by settings.
fn told(settings: &Settings) -> String {
    let Settings { common, run, .. } = settings;
    format!(
        "{:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {} {} {} {}",
        common.journal,
        run.exclude,
        run.include,
        run.only,
        run.seal,
        run.plaintext_secrets,
        run.linger(),
        run.keep_raw(),
        run.prove_every(),
        run.proving.seal_in_cluster,
        run.raw.no_delta_table,
        kept(run.keeping.retention.as_ref()),
        run.keeping.no_delete,
    )
}

#[test]
fn a_field_means_what_its_flag_means() {
    let cases: &[(Value, &[&str])] = &[
        (json!({}), &[]),
        (
            json!({"filters": {"exclude": ["secrets", "widgets.example.com"]}}),
            &["--exclude", "secrets,widgets.example.com"],
        ),
        (json!({"filters": {"include": ["leases"]}}), &["--include", "leases"]),
        (json!({"filters": {"only": ["deployments"]}}), &["--only", "deployments"]),
        (json!({"filters": {"seal": ["configmaps:/data/password"]}}), &["--seal", "configmaps:/data/password"]),
        (json!({"secretValues": "Clear"}), &["--plaintext-secrets"]),
        (json!({"linger": "250ms"}), &["--linger", "250ms"]),
        (json!({"proof": {"every": "never"}}), &["--prove-every", "never"]),
        (json!({"proof": {"every": "30m", "sealInCluster": true}}), &["--prove-every", "30m", "--seal-in-cluster"]),
        (json!({"compaction": {"keepRaw": "forever"}}), &["--keep-raw", "forever"]),
        (json!({"compaction": {"keepRaw": "48h", "deltaTable": false}}), &["--keep-raw", "48h", "--no-delta-table"]),
        (json!({"retention": {"all": "7d", "remove": true}}), &["--retention", "all=7d"]),
        (
            json!({"retention": {"all": "7d", "hourly": "30d", "daily": "365d", "monthly": "1825d", "remove": false}}),
            &["--retention", "all=7d,hourly=30d,daily=365d,monthly=1825d", "--no-delete"],
        ),
    ];
    for (beside, args) in cases {
        let (by_object, faults) = settings(&KEYED, beside.clone()).unwrap();
        assert_eq!(faults, [], "{beside}");
        let (mut common, run) = line_of(args);
        common.journal = Some("s3://bucket/prefix?region=r".to_owned());
        let by_line = Settings { common, run, held: Held::default(), decided: Vec::new() };
        assert_eq!(told(&by_object), told(&by_line), "{beside} is as {args:?}");
        assert_eq!(by_object.differences(&by_line), Vec::<&str>::new(), "{beside}");
    }
}

#[test]
fn a_store_is_named_by_its_url_or_by_its_options_apart() {
    let apart =
        json!({"store": {"url": "s3://bucket/prefix", "options": {"region": "r", "s3Url": "https://h:9000/?a&b"}}});
    let apart = serde_json::from_value(apart).unwrap();
    let (settings, _) = with(&[], &apart, &Secrets::default(), None).unwrap();
    let url = settings.common.journal.unwrap();
    assert_eq!(url, "s3://bucket/prefix?region=r&s3Url=https%3A%2F%2Fh%3A9000%2F%3Fa%26b");
    for (store, says) in [
        (json!({"url": "s3://bucket/p", "options": {"regoin": "r"}}), "`regoin` is no option of s3://"),
        (json!({"url": "ftp://bucket/p"}), "unknown store `ftp`"),
        (json!({"url": "s3://k:planted@bucket/p"}), "credentials do not belong in the URL"),
        (json!({"url": "s3://bucket/p?region=r", "caCert": "planted"}), "caCert"),
    ] {
        let spec = serde_json::from_value(json!({"store": store})).unwrap();
        let failure = with(&[], &spec, &Secrets::default(), None).unwrap_err();
        let said = failure.to_string();
        assert!(said.starts_with("spec.store: ") && said.contains(says) && !said.contains("planted"), "{said}");
    }
}

#[test]
fn what_the_command_line_says_holds_and_two_stores_are_refused_by_name() {
    let all = json!({
        "filters": {"exclude": ["pods"], "seal": ["configmaps:/data/a"]}, "linger": "5s", "proof": {"every": "2h"},
        "compaction": {"keepRaw": "48h"}, "retention": {"all": "7d"}, "key": {"secretRef": {"name": "keys"}},
    });
    let (by_line, _) = settings(
        &[
            "--key-file",
            "keys",
            "--journal",
            "s3://bucket/prefix/",
            "--only",
            "nodes",
            "--seal",
            "configmaps:/data/b",
            "--linger",
            "1s",
            "--prove-every",
            "never",
            "--keep-raw",
            "forever",
            "--retention",
            "all=30d",
        ],
        all,
    )
    .unwrap();
    assert_eq!(by_line.common.journal.as_deref(), Some("s3://bucket/prefix?region=r"), "the options are the object's");
    assert_eq!((&by_line.run.exclude, &by_line.run.only), (&Vec::new(), &vec!["nodes".to_owned()]));
    assert_eq!(
        by_line.run.seal,
        ["configmaps:/data/b", "configmaps:/data/a"],
        "what is to be sealed is, whoever says so"
    );
    assert_eq!(kept(by_line.run.keeping.retention.as_ref()), "all=30d");
    let decided =
        ["--key-file", "--exclude, --include, --only", "--retention", "--linger", "--prove-every", "--keep-raw"];
    assert_eq!(by_line.decided, decided);
    let failure = settings(&["--journal", "s3://other/prefix?region=r"], json!({})).unwrap_err();
    for part in ["--journal s3://other/prefix", "spec.store.url of Journal hindcast/main", "s3://bucket/prefix"] {
        assert!(failure.to_string().contains(part), "{failure}");
    }
    assert!(failure.hints.iter().any(|hint| hint.contains("leave --journal")), "{failure:?}");
}

#[test]
fn a_policy_that_cannot_be_meant_leaves_what_was_in_force_and_at_a_start_removes_nothing() {
    let good = json!({"retention": {"all": "30d", "daily": "365d"}, "compaction": {"keepRaw": "48h"}, "linger": "2s", "proof": {"every": "2h"}});
    let (before, _) = settings(&[], good).unwrap();
    for (bad, field, why) in [
        (json!({"retention": {"all": "soon"}}), "spec.retention.all", "a duration is"),
        (json!({"retention": {"all": "0s"}}), "spec.retention", "an hour at least"),
        (json!({"retention": {"all": "7d", "hourly": "1d"}}), "spec.retention", "hourly reaches no further"),
        (json!({"retention": {"all": "7d,daily=8d"}}), "spec.retention.all", "a duration is"),
        (json!({"retention": {"all": "7d", "monthly": "1y"}}), "spec.retention.monthly", "days are 30d"),
        (json!({"compaction": {"keepRaw": "1s", "deltaTable": true}}), "spec.compaction.keepRaw", "15m at least"),
        (json!({"linger": "-1s"}), "spec.linger", "a duration is"),
        (json!({"proof": {"every": "1s"}}), "spec.proof.every", "1m at least"),
    ] {
        let mut whole = json!({"compaction": {"keepRaw": "48h"}, "linger": "2s", "proof": {"every": "2h"}, "retention": {"all": "30d", "daily": "365d"}});
        if let (Some(whole), Value::Object(bad)) = (whole.as_object_mut(), bad) {
            whole.extend(bad);
        }
        let (stays, faults) =
            with(&[], &spec("s3://bucket/prefix?region=r", whole.clone()), &Secrets::default(), Some(&before)).unwrap();
        assert_eq!(told(&stays), told(&before), "{whole}");
        let [fault] = faults.as_slice() else { panic!("{whole}: {faults:?}") };
        assert!(fault.what == field && fault.reason.contains(why), "{whole}: {fault}");
        let (first, faults) = settings(&[], whole).unwrap();
        assert_eq!(faults.len(), 1);
        match field {
            retention if retention.starts_with("spec.retention") => assert_eq!(first.run.keeping.retention, None),
            "spec.compaction.keepRaw" => assert_eq!(first.run.keep_raw(), Keep::Forever),
            _ => {}
        }
    }
    // What is not said any more is not in force any more: everything is kept.
    let (none, _) =
        with(&[], &spec("s3://bucket/prefix?region=r", json!({})), &Secrets::default(), Some(&before)).unwrap();
    assert_eq!(none.run.keeping.retention, None);
}

#[test]
fn what_a_secret_holds_says_who_asks_and_stands_nowhere() {
    let of = |url: &str| -> JournalSpec {
        serde_json::from_value(json!({"store": {"url": url, "credentials": {"secretName": "bucket"}}})).unwrap()
    };
    let keys = secrets(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "planted"), ("password", "planted")]);
    let (settings, _) = with(&[], &of("s3://bucket/p?region=r"), &keys, None).unwrap();
    assert!(!format!("{settings:?}").contains("planted"));
    let (other, _) = with(
        &[],
        &of("s3://bucket/p?region=r"),
        &secrets(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "2")]),
        None,
    )
    .unwrap();
    assert_eq!(settings.differences(&other), ["spec.store"], "a key that was changed is taken up");
    for (url, values, says) in [
        (
            "s3://bucket/p",
            [("AZURE_STORAGE_ACCOUNT_KEY", "planted")],
            "holds nothing that says as whom s3://bucket/p is asked",
        ),
        (
            "s3://bucket/p",
            [("AWS_ACCESS_KEY_ID", "planted")],
            "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
        ),
        ("gs://bucket/p", [("credentials.json", "{\"planted\"")], "credentials.json is no JSON"),
        ("file:///tmp/p", [("AWS_ACCESS_KEY_ID", "planted")], "holds nothing that says as whom"),
    ] {
        let failure = with(&[], &of(url), &secrets(&values), None).unwrap_err();
        assert!(failure.to_string().contains(says), "{url}: {failure}");
        assert!(!format!("{failure:?}").contains("planted"), "{failure:?}");
    }
    let keyed = spec("s3://bucket/p?region=r", json!({"key": {"secretRef": {"name": "keys"}}}));
    let broken = Secrets { credentials: None, key: Some(Hidden::new("planted")) };
    let failure = with(&[], &keyed, &broken, None).unwrap_err();
    assert!(failure.what.contains("hindcast.key of Secret keys (spec.key.secretRef)"), "{failure}");
    assert!(!format!("{failure:?}").contains("planted"), "{failure:?}");
}

#[test]
fn what_contradicts_itself_is_refused_where_it_stands() {
    for (beside, field) in [
        (json!({"filters": {"only": ["nodes"], "exclude": ["pods"]}}), "spec.filters"),
        (json!({"secretValues": "Clear", "filters": {"seal": ["configmaps:/data/a"]}}), "spec.filters.seal"),
        (json!({"filters": {"seal": ["configmaps"]}}), "spec.filters.seal: "),
        (json!({"filters": {"seal": ["configmaps:/data/a"]}}), "spec.filters.seal"),
        (json!({"proof": {"sealInCluster": true}}), "spec.proof.sealInCluster"),
    ] {
        let failure = settings(&[], beside.clone()).unwrap_err();
        assert!(failure.what.starts_with(field), "{beside}: {failure}");
    }
}

#[test]
fn a_retention_is_told_as_the_flag_takes_it() {
    for text in ["all=7d", "all=90m", "all=1h,hourly=36h,daily=365d,monthly=1825d"] {
        assert_eq!(kept(Some(&retention(text).unwrap())), text);
    }
    assert_eq!(kept(None), "everything");
}
