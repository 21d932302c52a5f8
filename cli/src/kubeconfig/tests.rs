use kube::core::Status;

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
