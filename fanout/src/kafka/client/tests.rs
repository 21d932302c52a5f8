//! What becomes of options.

use std::collections::BTreeMap;

use super::*;

fn kafka(options: &[(&str, &str)]) -> Result<Kafka> {
    let options: BTreeMap<String, String> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let settings = Settings { brokers: "127.0.0.1:1".to_owned(), options, ..Settings::default() };
    Kafka::new(settings, Topics { base: "t".to_owned(), per_kind: false })
}

/// Of a word that is no option, and of a value that is none, the value may be a password that stands in the wrong place.
#[test]
fn no_refusal_tells_a_value() {
    for option in ["sasl.pasword", "compression.type", "sasl.mechanism", "linger.ms", "security.protocol", "ssl.ca.pem"]
    {
        let Err(error) = kafka(&[(option, "hunter2")]) else {
            assert!(["sasl.mechanism", "ssl.ca.pem"].contains(&option), "{option} is taken");
            continue;
        };
        let told = format!("{} {error:?}", error.told());
        assert!(told.contains(option) && !told.contains("hunter2"), "{told}");
    }
}

/// What was found out of the target goes before what was set.
#[test]
fn care_goes_before_options() {
    let kafka = kafka(&[("batch.num.messages", "5000"), ("message.max.bytes", "900000"), ("linger.ms", "7")]).unwrap();
    let set = |care: Care| {
        let options = kafka.options(4000, care);
        ["batch.num.messages", "message.max.bytes", "linger.ms"].map(|name| options.get(name).unwrap().to_owned())
    };
    assert_eq!(set(Care::default()), ["5000", "900000", "7"]);
    assert_eq!(set(Care { alone: true, below: None }), ["1", "900000", "7"]);
    assert_eq!(set(Care { alone: false, below: Some(4000) }), ["5000", "4000", "7"]);
}
