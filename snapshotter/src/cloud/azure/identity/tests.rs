use super::*;

#[test]
fn the_environment_says_who_asks() {
    let given = |set: &'static [(&'static str, &'static str)]| {
        Credentials::found(|name| set.iter().find(|(named, _)| *named == name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(matches!(given(&[]), Credentials::Machine(None)));
    assert!(matches!(given(&[("AZURE_CLIENT_ID", "c")]), Credentials::Machine(Some(_))));
    let workload = given(&[
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/f"),
        ("AZURE_CLIENT_SECRET", "s"),
    ]);
    assert!(matches!(workload, Credentials::WorkloadIdentity { .. }), "{workload:?}");
    let secret = given(&[("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "hush")]);
    assert!(matches!(secret, Credentials::Secret { .. }) && !format!("{secret:?}").contains("hush"), "{secret:?}");
}

#[test]
fn forms_are_escaped() {
    assert_eq!(url_form(&[("a", "b c&d"), ("e", "ä")]), "a=b%20c%26d&e=%C3%A4");
}
