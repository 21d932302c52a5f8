use super::*;

fn kubeconfig(text: &str) -> Kubeconfig {
    Kubeconfig::from_yaml(text).unwrap()
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
        let mut user: AuthInfo = kubeconfig(&format!("{{users: [{{name: u, user: {user}}}]}}"))
            .auth_infos
            .remove(0)
            .auth_info
            .unwrap();
        let source = renewed(&mut user, Interaction::None).unwrap();
        (source, user)
    };
    let (both, user) = source("{token: inline, tokenFile: /run/token, exec: {command: c}}");
    let Some(Source::TokenFile(path, instead)) = both else { panic!("{both:?}") };
    assert_eq!((path.to_str(), instead), (Some("/run/token"), bearer("inline")));
    assert!(user.token.is_none() && user.exec.is_none() && user.token_file.is_none());
    let (inline, user) = source("{token: inline, exec: {command: c}}");
    assert!(inline.is_none() && user.token.is_some() && user.exec.is_none());
    let (plugin, _) = source("{token: '', tokenFile: '', exec: {command: c}, client-certificate: a, client-key: b}");
    assert!(matches!(plugin, Some(Source::Plugin(..))), "{plugin:?}");
    let (files, _) = source("{client-certificate: a, client-key: b}");
    assert!(matches!(files, Some(Source::CertificateFiles(_))), "{files:?}");
    let (data, _) = source("{client-certificate-data: a, client-certificate: a, client-key-data: b}");
    assert!(data.is_none(), "{data:?}");
}
