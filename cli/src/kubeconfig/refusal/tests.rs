use std::sync::Arc;

use kube::Config;

use super::*;

fn told(error: kube::Error) -> Failure {
    let reach = Reach::new(Config::new("https://api".parse().unwrap()), None);
    refused(&error, &reach)
}

#[test]
fn refusals_are_told_in_the_servers_words_with_a_remedy_of_their_own() {
    let status = |code, message: &str| {
        kube::Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() }))
    };
    let unknown = told(status(401, "Unauthorized"));
    assert_eq!(unknown.reason, "namespace kube-system cannot be read: Unauthorized (401)");
    assert!(unknown.hints[0].contains("does not know these credentials"), "{unknown:?}");
    let forbidden = told(status(403, "namespaces \"kube-system\" is forbidden: User \"a\" cannot get"));
    assert!(forbidden.reason.ends_with("User \"a\" cannot get (403)"), "{forbidden}");
    assert!(forbidden.hints[0].contains("get on the namespace kube-system"), "{forbidden:?}");
    let plugin = Failure::new("the plugin", "is not installed").hint("install it");
    assert_eq!(told(kube::Error::Service(Box::new(plugin.clone()))), plugin);
}

#[test]
fn an_answer_that_is_a_page_is_told_in_a_line_and_one_without_words_by_its_code() {
    let status = |code, message: &str| {
        kube::Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() }))
    };
    let page = told(status(502, &format!("<html>\n<body>{}", "down ".repeat(1000))));
    assert!(
        page.reason.len() < 500 && page.reason.contains("<html> <body>down") && page.reason.ends_with("… (502)"),
        "{page}"
    );
    assert!(told(status(401, "")).reason.ends_with("Unauthorized (401)"));
    let other = serde_json::from_str::<u8>("<html>").unwrap_err();
    let other = told(kube::Error::SerdeError(other));
    assert!(
        other.reason.ends_with("what answers is no API server") && other.hints[0].contains("https://api"),
        "{other:?}"
    );
}

#[test]
fn a_certificate_that_is_not_accepted_is_told_in_words_with_the_field_to_mend() {
    let why = |error: CertificateError| {
        let error = std::io::Error::other(rustls::Error::InvalidCertificate(error));
        told(kube::Error::Service(Box::new(std::io::Error::other(error))))
    };
    let unknown = why(CertificateError::UnknownIssuer);
    assert!(
        unknown.reason.ends_with("the server's certificate is not accepted: nobody signed it who is trusted"),
        "{unknown}"
    );
    assert!(unknown.hints[0].starts_with("certificate-authority "), "{unknown:?}");
    assert!(why(CertificateError::NotValidForName).hints[0].starts_with("tls-server-name "));
    let own = rustls::OtherError(Arc::new(std::io::Error::other("CaUsedAsEndEntity")));
    let own = why(CertificateError::Other(own));
    assert!(own.reason.ends_with("it is an authority's own") && own.hints[0].contains("CA:FALSE"), "{own:?}");
}
