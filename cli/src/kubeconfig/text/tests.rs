use super::*;

fn read(text: &str) -> Result<Kubeconfig, String> {
    kubeconfig(text.as_bytes(), Path::new("/home/me/.kube"))
}

#[test]
fn what_says_nothing_is_as_if_it_were_not_there() {
    let config = read(
        r#"apiVersion: v1
apiVersion: v1
current-context: ''
preferences: null
clusters:
- {name: c, cluster: {server: 'https://a', tls-server-name: '', certificate-authority-data: "YWJj\nZGVm \n", extensions: [{name: one}, {name: two, extension: {a: null, b: ''}}]}}
users:
- {user: {token: nobodys}}
- {name: u, user: {token: t, client-certificate-data: '', client-key-data: '', username: '', password: '', as: '', exec: null, auth-provider: null}}
- {name: e, user: {exec: {command: login, provideClusterInfo: null, interactiveMode: Sometimes, args: [a, null], env: [{name: A, value: null}]}}}
- {name: p, user: {auth-provider: {config: null}}}
contexts:
- {name: bare, context: {namespace: one}}
- {name: nothing, context: null}"#,
    )
    .unwrap();
    assert!(config.current_context.is_none());
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert!(cluster.tls_server_name.is_none());
    assert_eq!(cluster.certificate_authority_data.as_deref(), Some("YWJjZGVm"));
    let extensions = cluster.extensions.as_ref().unwrap();
    assert_eq!((extensions.len(), extensions[0].extension.to_string()), (1, r#"{"a":null,"b":""}"#.to_owned()));
    let [user, exec, _] = config.auth_infos.as_slice() else { panic!("{:?}", config.auth_infos) };
    let user = user.auth_info.as_ref().unwrap();
    assert!(
        user.token.is_some() && user.username.is_none() && user.client_key_data.is_none() && user.impersonate.is_none()
    );
    let exec = exec.auth_info.as_ref().unwrap().exec.as_ref().unwrap();
    assert_eq!(
        (exec.args.as_deref(), exec.interactive_mode.is_none()),
        (Some(&["a".to_owned(), String::new()][..]), true)
    );
    assert_eq!(config.contexts[0].context.as_ref().unwrap().cluster, "");
    for nothing in ["", "---\n", "# nothing\n"] {
        assert!(read(nothing).unwrap().clusters.is_empty());
    }
}

#[test]
fn an_error_names_the_line_or_the_entry_and_quotes_nothing() {
    for (text, said) in [
        ("users:\n- name: u\n  user:\n    token: \"hunter2\n", "line 4: "),
        ("users:\n- name: u\n\tuser: {token: hunter2}\n", "is no YAML"),
        ("users:\n- name: u\n  user: {token: hunter2\n  x: y\n", "is no YAML"),
        ("users: [{name: u, user: {token: *hunter2}}]", "is no YAML"),
        ("users: [{name: u, user: hunter2}]", "user \"u\" is no mapping"),
        ("users: [{name: u, user: {token: [hunter2]}}]", "user \"u\": "),
        ("users: [{name: u, user: {as-groups: \"hunter2 `hunter2` 'hunter2\"}}]", "user \"u\": "),
        ("users: [{name: u, user: {token: 12345}}]", "user \"u\": invalid type: integer …, expected a string"),
        ("users: hunter2", "users is no list"),
        ("current-context: [hunter2]", "current-context is no text"),
        ("hunter2", "is no kubeconfig"),
        ("- hunter2", "is no kubeconfig"),
        ("kind: Pod", "its kind is not Config"),
    ] {
        let reason = read(text).unwrap_err();
        assert!(reason.contains(said), "{text}: {reason}");
        assert!(!reason.contains("hunter2") && !reason.contains("12345") && !reason.contains('\n'), "{text}: {reason}");
    }
}

#[test]
fn paths_are_of_the_files_folder_and_a_mere_command_is_of_path() {
    let config = read(
        "{clusters: [{name: c, cluster: {certificate-authority: ../ca.crt}}], users: [{name: u, user: {tokenFile: token,
client-certificate: /etc/crt, client-key: key, exec: {command: login}}}, {name: v, user: {exec: {command: bin/login}}}]}",
    )
    .unwrap();
    let ca = config.clusters[0].cluster.as_ref().unwrap().certificate_authority.as_deref();
    assert_eq!(ca, Some("/home/me/.kube/../ca.crt"));
    let [u, v] = [0, 1].map(|at| config.auth_infos[at].auth_info.as_ref().unwrap());
    let paths = [&u.token_file, &u.client_certificate, &u.client_key].map(|path| path.as_deref().unwrap());
    assert_eq!(paths, ["/home/me/.kube/token", "/etc/crt", "/home/me/.kube/key"]);
    let commands = [u, v].map(|user| user.exec.as_ref().unwrap().command.as_deref().unwrap());
    assert_eq!(commands, ["login", "/home/me/.kube/bin/login"]);
}

#[test]
fn marks_of_the_byte_order_are_understood() {
    let text = "current-context: caf\u{e9}";
    let marked: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
    let little: Vec<u8> = marked.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = marked.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [text.as_bytes(), format!("\u{feff}{text}").as_bytes(), &little, &big] {
        let config = kubeconfig(bytes, Path::new("")).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("caf\u{e9}"));
    }
    assert_eq!(kubeconfig(b"a: \xff", Path::new("")).unwrap_err(), "is no UTF-8");
}
