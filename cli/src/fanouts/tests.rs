use clap::Parser as _;
use hindcast_journal::Parts;

use super::*;
use crate::{args::Cli, moment::Wall, printer::Printer};

fn with<T>(ask: impl FnOnce(&Context<'_>) -> T) -> T {
    let cli = Cli::try_parse_from(["hindcast", "status"]).unwrap();
    let printer = Printer::standard(false);
    let parts = Parts::system();
    let wall = Wall::new(1_700_000_000_000_000, Some("UTC")).unwrap();
    ask(&Context { common: &cli.common, printer: &printer, parts, wall, held: crate::settings::Held::default() })
}

fn parsed(text: &str) -> Result<Targets> {
    with(|context| parse(context, "FILE", text))
}

fn refusal(text: &str) -> String {
    parsed(text).err().map_or_else(|| panic!("taken: {text}"), |failure| format!("{failure}"))
}

const PLAIN: &str = "targets:\n- kafka:\n    brokers: k:9092\n    topic: Past.Of_All\n";

#[cfg(feature = "kafka")]
#[test]
fn the_sample_is_taken_and_says_what_it_means() {
    let sample = include_str!("../../../deploy/fanout.yaml");
    let targets = parsed(sample).unwrap().0;
    let [first, second] = targets.as_slice() else { panic!("two targets") };
    assert_eq!((first.settings.name.as_str(), first.settings.format), ("kafka-hindcast", Format::Structured));
    assert_eq!(first.settings.from, From::Now);
    assert_eq!((second.settings.name.as_str(), second.settings.format), ("audit-of-shop", Format::Binary));
    assert_eq!(second.settings.every, Duration::from_mins(5));
    assert_eq!(second.settings.filter.namespaces, ["shop"]);
    assert_eq!(second.target.name(), "kafka topic shop-changes");
}

#[cfg(feature = "kafka")]
#[test]
fn what_is_not_said_has_a_default_and_a_moment_is_read_as_everywhere() {
    let targets = parsed(&format!("{PLAIN}  from: 2023-11-14T22:00:00Z\n")).unwrap().0;
    let settings = &targets[0].settings;
    assert_eq!((settings.name.as_str(), settings.every), ("kafka-past-of-all", Duration::from_mins(1)));
    assert_eq!(settings.from, From::Time(1_699_999_200_000_000));
    for (text, from) in [("beginning", From::Beginning), ("now", From::Now), ("4711", From::Position(4711))] {
        assert_eq!(parsed(&format!("{PLAIN}  from: {text}\n")).unwrap().0[0].settings.from, from);
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_file_has_the_cursor_put_elsewhere_by_a_word() {
    let of = |more: &str| parsed(&format!("{PLAIN}{more}")).unwrap().0[0].settings.rewind.clone();
    assert_eq!(of("  from: 7\n"), Rewind::No);
    assert_eq!(of("  from: 7\n  rewind: 2026-11-30\n"), Rewind::Once("2026-11-30".into()));
    let said = refusal(&format!("{PLAIN}  rewind: again\n"));
    assert!(said.contains("does not say where to"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    for (text, reason) in [
        ("targets:\n- kafka: {brokers: k, topic: t, acks: 1}\n", "acks"),
        ("targets:\n- name: x\n", "kafka"),
        (&format!("{PLAIN}  from: rev:12\n"), "names a moment that only a journal can tell"),
        (&format!("{PLAIN}  from: never\n"), "never"),
        (&format!("{PLAIN}  name: Not This\n"), "is not a name for a cursor"),
        (&format!("{PLAIN}  from: 7\n  rewind: ''\n"), "is not a word"),
        (&format!("{PLAIN}  cursorEvery: often\n"), "is no duration"),
        ("targets:\n- kafka: {brokers: k, topic: a/b}\n", "is not a name that Kafka takes"),
        ("targets:\n- kafka: {brokers: ',', topic: t}\n", "there is none"),
        ("targets:\n- kafka: {brokers: k, topic: t, options: {acks: '1'}}\n", "is not for choosing"),
        (
            "targets:\n- kafka: {brokers: k, topic: t, sasl: {mechanism: GSSAPI, usernameFile: u, passwordFile: p}}\n",
            "is not known here",
        ),
    ] {
        let said = refusal(text);
        assert!(said.contains(reason) && said.starts_with("FILE: "), "{said}");
    }
}

#[cfg(feature = "kafka")]
#[test]
fn two_targets_of_one_name_are_refused_and_so_are_options_that_nobody_knows() {
    let twice = format!("{PLAIN}{}", PLAIN.replace("targets:\n", ""));
    assert!(refusal(&twice).contains("two targets are called kafka-past-of-all"), "{}", refusal(&twice));
    let unknown = "targets:\n- kafka: {brokers: k, topic: t, options: {no.such: '1'}}\n";
    assert!(refusal(unknown).contains("no.such"), "{}", refusal(unknown));
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_so() {
    assert!(refusal(PLAIN).contains("this build has no client of Kafka"));
}
