use super::*;

#[test]
fn a_section_is_read_as_the_tools_write_it() {
    let text = "[default]\nregion = eu-west-1\n\n# a note\n[profile  ops]\nregion=eu-central-1 ; of ours\n\
                s3 =\n  max_concurrent_requests = 4\naws_access_key_id = AKIA#1\n[profile ops]\noutput = json\n";
    let values = section_of(text, "profile ops").unwrap();
    let pairs: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("aws_access_key_id", "AKIA#1"), ("output", "json"), ("region", "eu-central-1"), ("s3", "")]);
    assert!(section_of(text, "profile none").is_none());
}
