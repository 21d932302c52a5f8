use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn proxy(variables: &[(&str, &str)], server: &str) -> Option<String> {
    let found = environment(variables).proxy_for(&server.parse().unwrap()).unwrap();
    found.map(|uri| uri.to_string().trim_end_matches('/').to_owned())
}

#[test]
fn the_scheme_of_the_server_chooses_the_variable_and_capitals_come_first() {
    let both =
        [("HTTPS_PROXY", "http://secure:1"), ("https_proxy", "http://small:1"), ("http_proxy", "http://plain:1")];
    assert_eq!(proxy(&both, "https://api.example.com:6443").as_deref(), Some("http://secure:1"));
    assert_eq!(proxy(&both, "http://api.example.com").as_deref(), Some("http://plain:1"));
    let empty = [("HTTPS_PROXY", ""), ("https_proxy", "http://small:1")];
    assert_eq!(proxy(&empty, "https://api.example.com").as_deref(), Some("http://small:1"));
    assert_eq!(proxy(&[("ALL_PROXY", "http://all:1")], "https://api.example.com"), None);
    assert_eq!(proxy(&[], "https://api.example.com"), None);
}

#[test]
fn this_host_itself_is_never_reached_through_a_proxy_of_the_environment() {
    let set = [("HTTPS_PROXY", "http://proxy:1")];
    for server in ["https://localhost:6443", "https://127.0.0.1:6443", "https://127.1.2.3", "https://[::1]:6443"] {
        assert_eq!(proxy(&set, server), None, "{server}");
    }
    assert!(proxy(&set, "https://localhost.example.com").is_some());
}

#[test]
fn exceptions_are_names_domains_addresses_networks_and_ports() {
    let through = |no_proxy: &str, server: &str| {
        proxy(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", no_proxy)], server).is_some()
    };
    for (no_proxy, direct) in [
        ("*", "https://api.example.com"),
        ("example.com", "https://example.com"),
        ("example.com", "https://api.EXAMPLE.com:6443"),
        (" a , Example.com ", "https://api.example.com"),
        (".example.com", "https://api.example.com"),
        ("*.example.com", "https://api.example.com"),
        ("example.com:6443", "https://example.com:6443"),
        ("example.com:443", "https://example.com"),
        ("10.0.0.0/8", "https://10.96.0.1:443"),
        ("0.0.0.0/0", "https://10.96.0.1:443"),
        ("10.96.0.1", "https://10.96.0.1"),
        ("10.96.0.1:443", "https://10.96.0.1"),
        ("fd00::/8", "https://[fd00::1]:6443"),
        ("fd00::1", "https://[fd00::1]:6443"),
        ("[fd00::1]:6443", "https://[fd00::1]:6443"),
        ("::/0", "https://[2001:db8::1]"),
    ] {
        assert!(!through(no_proxy, direct), "{no_proxy} spares {direct}");
    }
    for (no_proxy, proxied) in [
        ("", "https://example.com"),
        ("example.com", "https://notexample.com"),
        (".example.com", "https://example.com"),
        ("example.com:8443", "https://example.com:6443"),
        ("10.0.0.0/8", "https://11.0.0.1"),
        ("10.0.0.0/8", "https://10.example.com"),
        ("10.96.0.1:8443", "https://10.96.0.1:6443"),
        ("fd00::/8", "https://10.96.0.1"),
        ("10.0.0.0/99,::1/200,:80,[,[x,a:b,/", "https://10.96.0.1"),
    ] {
        assert!(through(no_proxy, proxied), "{no_proxy} does not spare {proxied}");
    }
}

#[test]
fn a_proxy_needs_no_scheme_and_an_odd_one_is_told_without_its_password() {
    let set = [("HTTPS_PROXY", "proxy.example.com:3128")];
    assert_eq!(proxy(&set, "https://a").as_deref(), Some("http://proxy.example.com:3128"));
    let set = [("HTTPS_PROXY", "socks5h://proxy:1080")];
    assert_eq!(proxy(&set, "https://a").as_deref(), Some("socks5://proxy:1080"));
    let set = [("HTTPS_PROXY", "socks5://proxy")];
    assert_eq!(proxy(&set, "https://a").as_deref(), Some("socks5://proxy:1080"), "the port of SOCKS");
    for odd in ["ftp://me:hunter2@proxy:21", "socks5://me:hunter2@proxy:1080", "http://me:hunter2@a b"] {
        let error = environment(&[("HTTPS_PROXY", odd)]).proxy_for(&"https://a".parse().unwrap());
        let failure = error.unwrap_err();
        assert!(failure.what.contains("HTTPS_PROXY"), "{failure}");
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
        assert!(!failure.hints.is_empty());
    }
}
