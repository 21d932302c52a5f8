use std::path::Path;

use super::{super::text, *};

fn kubeconfig(text: &str) -> Kubeconfig {
    text::kubeconfig(text.as_bytes(), Path::new("/")).unwrap()
}

fn reach_of(cluster: &str, proxies: &[(&str, &str)]) -> Result<Reach> {
    let config = kubeconfig(&format!(
        "{{current-context: c, clusters: [{{name: c, cluster: {cluster}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    ));
    let environment = Environment::read(|name| {
        proxies.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    of_context(&config, None, &environment, Interaction::None, &Parts::system())
}

#[test]
fn a_proxy_of_the_kubeconfig_wins_and_knows_no_exceptions() {
    let set = [("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "*")];
    let own = "{server: 'https://api.example.com', proxy-url: 'http://me:hunter2@own:1'}";
    assert_eq!(reach_of(own, &set).unwrap().proxy().as_deref(), Some("http://own:1"));
    let plain = "{server: 'https://api.example.com'}";
    assert_eq!(reach_of(plain, &set).unwrap().proxy(), None);
    assert_eq!(reach_of(plain, &set[..1]).unwrap().proxy().as_deref(), Some("http://env:1"));
    let odd = [("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "[,:x,a b,10/8")];
    assert_eq!(reach_of(plain, &odd).unwrap().proxy().as_deref(), Some("http://env:1"), "no error");
    let local = "{server: 'https://127.0.0.1:6443'}";
    assert_eq!(reach_of(local, &set[..1]).unwrap().proxy(), None);
    let local = "{server: 'https://127.0.0.1:6443', proxy-url: 'socks5://own:1'}";
    assert_eq!(reach_of(local, &set).unwrap().proxy().as_deref(), Some("socks5://own:1"));
}

#[test]
fn what_is_missing_or_broken_is_named() {
    for (cluster, said) in [
        ("{}", "names no server"),
        ("{server: 'https://a b'}", "is no URL"),
        ("{server: 'https://a', certificate-authority: /nowhere/ca.crt}", "/nowhere/ca.crt"),
        ("{server: 'https://a', certificate-authority-data: '***'}", "certificate-authority-data"),
        ("{server: 'https://a', certificate-authority-data: 'YQ=='}", "holds no certificate"),
        (
            "{server: 'https://a', certificate-authority-data: 'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo='}",
            "holds no certificate",
        ),
        ("{server: 'https://a', proxy-url: 'ftp://x'}", "proxy-url"),
    ] {
        let failure = reach_of(cluster, &[]).err().unwrap();
        assert!(failure.to_string().contains(said), "{cluster}: {failure}");
        assert!(!failure.hints.is_empty());
    }
    let config = kubeconfig("{contexts: [{name: a, context: {cluster: x}}, {name: b, context: {cluster: x}}]}");
    let none = of_context(&config, None, &Environment::default(), Interaction::None, &Parts::system());
    assert!(none.err().unwrap().hints[0].contains("a, b"));
    let absent = of_context(&config, Some("a"), &Environment::default(), Interaction::None, &Parts::system());
    assert!(absent.err().unwrap().to_string().contains("cluster \"x\" of context \"a\""));
}

#[test]
fn of_several_credentials_the_one_is_taken_that_kubectl_takes() {
    let source = |user: &str| {
        let mut user: AuthInfo =
            kubeconfig(&format!("{{users: [{{name: u, user: {user}}}]}}")).auth_infos.remove(0).auth_info.unwrap();
        let source = renewed(&mut user, Interaction::None).unwrap();
        (source, user)
    };
    let (both, user) = source("{token: inline, tokenFile: /run/token, exec: {command: c}}");
    let Some(Source::TokenFile(path, instead)) = both else { panic!("{both:?}") };
    assert_eq!((path.to_str(), instead), (Some("/run/token"), bearer("inline")));
    assert!(user.token.is_none() && user.exec.is_none() && user.token_file.is_none());
    let (inline, user) = source("{token: inline, exec: {command: c}}");
    assert!(inline.is_none() && user.token.is_some() && user.exec.is_none());
    let (plugin, _) = source("{token: '', tokenFile: '', client-certificate: '', exec: {command: c}}");
    assert!(matches!(plugin, Some(Source::Plugin(..))), "{plugin:?}");
    let (files, user) = source("{client-certificate: a, client-key: b, exec: {command: c}}");
    let Some(Source::CertificateFiles(paths)) = files else { panic!("{files:?}") };
    assert_eq!(paths, ["/a", "/b"].map(PathBuf::from));
    assert!(user.exec.is_none() && user.client_key.is_some());
    let (data, _) =
        source("{client-certificate-data: a, client-certificate: a, client-key-data: b, exec: {command: c}}");
    assert!(data.is_none(), "{data:?}");
    let (name, user) = source("{username: a, exec: {command: c}}");
    assert!(name.is_none() && user.exec.is_none() && user.password.is_some());
    let (spaced, user) = source("{token: \"inline\\n\"}");
    assert!(spaced.is_none());
    assert_eq!(secrecy::ExposeSecret::expose_secret(&user.token.unwrap()), "inline", "a header has no line ends");
}

#[test]
fn a_provider_from_before_plugins_is_told_what_came_after_it() {
    let of = |provider: &str| {
        let mut user = AuthInfo { auth_provider: Some(serde_json::from_str(provider).unwrap()), ..AuthInfo::default() };
        renewed(&mut user, Interaction::None)
            .map(|source| (source.is_none(), user.token.is_some(), user.auth_provider.is_none()))
    };
    assert_eq!(of(r#"{"name": "oidc", "config": {"id-token": "t"}}"#).unwrap(), (true, true, true));
    for (provider, hint) in [
        (r#"{"name": "oidc"}"#, "log in anew"),
        (r#"{"name": "gcp", "config": {"id-token": "t"}}"#, "gke-gcloud-auth-plugin"),
        (r#"{"name": "azure"}"#, "kubelogin"),
    ] {
        let failure = of(provider).unwrap_err();
        assert!(failure.hints[0].contains(hint), "{failure:?}");
    }
}

#[test]
fn a_server_without_a_scheme_is_as_its_authority_says() {
    for (cluster, server) in [
        ("{server: 'localhost:8080'}", "http://localhost:8080/"),
        ("{server: 'a:6443', insecure-skip-tls-verify: true}", "https://a:6443/"),
        ("{server: 'https://rancher/k8s/clusters/c-xyz'}", "https://rancher/k8s/clusters/c-xyz"),
    ] {
        assert_eq!(reach_of(cluster, &[]).unwrap().server(), server);
    }
}

#[test]
fn a_file_of_authorities_is_followed_and_a_broken_one_among_them_takes_nothing_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.crt");
    let good = include_str!("tests/ca.crt");
    let of = |text: String| {
        std::fs::write(&file, text).unwrap();
        let path = Some(file.display().to_string());
        authority(&Cluster { certificate_authority: path, ..Cluster::default() }).unwrap()
    };
    let whole = of(format!("# ours\n{good}"));
    assert_eq!((whole.certificates.map(|all| all.len()), whole.file.as_ref()), (Some(1), Some(&file)));
    let partly = of(format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    assert_eq!((partly.certificates.map(|all| all.len()), partly.file), (Some(1), None));
}
