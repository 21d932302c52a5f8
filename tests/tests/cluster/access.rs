//! The ways to a cluster that `kubectl` knows: proxies, credential plugins, kubeconfigs of several files, tokens that
//! rotate.
//!
//! **Words**: a *session* is a token of a service account that is bound to a Secret: the API server refuses it from the
//! moment the Secret is deleted, which is how a token is revoked.
//!
//! The testbed's API server is on loopback, which no proxy of the environment is ever asked for. So it is addressed
//! here by a name that only the proxy resolves, or as `0.0.0.0`, which is loopback to the kernel and not to rules about
//! it.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_tests::{
    http::answers_with,
    manifests::{DEFAULT_CONFIG_MAPS, empty_config_map, secret, service_account},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, ConnectProxy, Proxy, process::Workdir},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};

use crate::scene::{SOON, Said, ask, ask_with_cluster, create, on_folder, run_to_its_end, send, until};

/// How `run` ends that reached the cluster, and only looked at which it is.
const REACHED: &str = "the context's cluster is ";

/// What no message may have in it: the insides of an error.
const DEBUG: [&str; 3] = ["Status {", "Some(", "ApiError"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_reached_in_every_way_that_kubectl_reaches_it() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    let stage = Stage { cluster: &cluster, dir: &dir };
    tokio::try_join!(
        named("behind a proxy", stage.behind_a_proxy()),
        named("spared by NO_PROXY", stage.spared_by_no_proxy()),
        named("kubeconfigs of several files", stage.of_several_files()),
        named("kubeconfigs written by hand", stage.of_files_written_by_hand()),
        named("certificates of a plugin", stage.by_certificates_of_a_plugin()),
        named("while sessions rotate", stage.while_sessions_rotate()),
        named("what is refused", stage.refused()),
    )?;
    Ok(())
}

/// A phase, whose error begins with its name.
async fn named(name: &'static str, phase: impl Future<Output = Result<()>>) -> Result<()> {
    phase.await.context(name)
}

struct Stage<'a> {
    cluster: &'a Cluster,
    dir: &'a Workdir,
}

impl Stage<'_> {
    /// Hindcast of this kubeconfig, in an environment with these variables and no other proxies.
    fn hindcast(&self, name: &str, kubeconfig: PathBuf, env: &[(&str, &str)]) -> Result<Hindcast> {
        let mut hindcast = on_folder(self.dir, name, kubeconfig)?;
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "KUBECONFIG"] {
            let value = env.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
            hindcast.place.env.push((name.to_owned(), value.to_owned()));
        }
        Ok(hindcast)
    }

    fn admin(&self) -> Value {
        json!({"token": self.cluster.token()})
    }

    async fn behind_a_proxy(&self) -> Result<()> {
        let proxy = ConnectProxy::start(Some("me:pa:ss@word")).await?;
        let (port, at) = (self.cluster.port(), proxy.port());
        let server = format!("https://api.behind.test:{port}");
        let kubeconfig = self.cluster.kubeconfig_of("behind", &server, &self.admin())?;
        let url = format!("http://me:pa%3Ass%40word@127.0.0.1:{at}");
        let hindcast =
            self.hindcast("behind", kubeconfig, &[("HTTPS_PROXY", &url), ("NO_PROXY", "other.test,10.0.0.0/8")])?;
        let running = hindcast.run(&[]).await?;
        self.protects(&hindcast, &running, "behind").await?;
        let tunnels = proxy.tunnels();
        ensure!(!tunnels.is_empty(), "nothing went through the proxy");
        ensure!(tunnels.iter().all(|to| *to == format!("api.behind.test:{port}")), "{tunnels:?}");
        // A client that closes the cut itself goes the same way.
        let before = proxy.tunnels().len();
        ask_with_cluster(&hindcast, &["get", "cm", "-n", "default", "--at", "now"]).await?.is(0, &["behind"])?;
        ensure!(proxy.tunnels().len() > before, "the reader went another way");

        let wrong = url.replace("me:", "you:");
        let stranger = self.hindcast("stranger", hindcast.kubeconfig.clone(), &[("HTTPS_PROXY", &wrong)])?;
        let proxied = format!("is reached through the proxy http://127.0.0.1:{at}");
        look(&stranger)
            .await?
            .is(2, &["namespace kube-system cannot be read", "proxy authorization required", &proxied])?
            .never(&["pa%3Ass", "pa:ss"])?;
        running.stop().await
    }

    async fn spared_by_no_proxy(&self) -> Result<()> {
        let proxy = ConnectProxy::start(None).await?;
        let url = format!("127.0.0.1:{}", proxy.port());
        let server = format!("https://0.0.0.0:{}", self.cluster.port());
        let kubeconfig = self.cluster.kubeconfig_of("spared", &server, &self.admin())?;
        let spared =
            self.hindcast("spared", kubeconfig.clone(), &[("https_proxy", &url), ("no_proxy", ".svc, 0.0.0.0/8")])?;
        let running = spared.run(&[]).await?;
        self.protects(&spared, &running, "spared").await?;
        running.stop().await?;
        ensure!(proxy.tunnels().is_empty(), "{:?}", proxy.tunnels());
        // It is the exception that does it.
        let other = self.hindcast("unspared", kubeconfig, &[("https_proxy", &url), ("no_proxy", ".svc,0.0.0.0:1")])?;
        look(&other).await?.is(2, &[REACHED])?;
        ensure!(!proxy.tunnels().is_empty(), "it went around the proxy");
        Ok(())
    }

    async fn of_several_files(&self) -> Result<()> {
        let whole: Value = serde_json::from_slice(&std::fs::read(self.cluster.kubeconfig())?)?;
        let dir = self.dir.path();
        let part = |name: &str, fields: &[&str]| -> Result<PathBuf> {
            let mut part = json!({"apiVersion": "v1", "kind": "Config", "current-context": ""});
            for field in fields {
                part[*field] = whole[*field].clone();
            }
            let path = dir.join(name);
            std::fs::write(&path, part.to_string())?;
            Ok(path)
        };
        let paths = [
            dir.join("there-is-none"),
            part("users", &["users"])?,
            part("rest", &["clusters", "contexts", "current-context"])?,
        ];
        let listed = std::env::join_paths(&paths)?;
        let listed = listed.to_str().context("a path that is text")?;
        let hindcast = self.hindcast("several", PathBuf::new(), &[("KUBECONFIG", listed)])?;
        let running = hindcast.run(&[]).await?;
        self.protects(&hindcast, &running, "several").await?;
        running.stop().await?;

        let none = paths.first().context("three paths")?.display().to_string();
        let nowhere = self.hindcast("nowhere", PathBuf::new(), &[("KUBECONFIG", &none)])?;
        look(&nowhere)
            .await?
            .is(2, &["error: kubeconfig: there is none", &format!("KUBECONFIG names what is not there: {none}")])?;
        Ok(())
    }

    /// What templates and people write and kubectl reads; and what neither reads, of which nothing is quoted.
    async fn of_files_written_by_hand(&self) -> Result<()> {
        let (server, token) = (format!("https://127.0.0.1:{}", self.cluster.port()), self.cluster.token());
        let authority = BASE64_STANDARD.encode(self.cluster.authority().pem());
        let folded: String =
            authority.as_bytes().chunks(64).map(|line| format!("      {}\n", String::from_utf8_lossy(line))).collect();
        let text = format!(
            "apiVersion: v1
apiVersion: v1
current-context: hand
preferences: null
clusters:
- name: hand
  cluster:
    server: {server}
    proxy-url: ''
    tls-server-name: ''
    certificate-authority-data: |
{folded}users:
- {{name: other, user: {{exec: {{command: none, interactiveMode: '', provideClusterInfo: null}}}}}}
- name: hand
  user:
    token: |
      {token}
    client-certificate-data: ''
    client-key-data: ''
    username: ''
    password: ''
    as: ''
contexts:
- {{name: half, context: {{namespace: some}}}}
- {{name: hand, context: {{cluster: hand, user: hand}}}}
"
        );
        let written = |name: &str, text: &str| -> Result<Hindcast> {
            let path = self.dir.path().join(format!("{name}.yaml"));
            std::fs::write(&path, text)?;
            self.hindcast(name, path, &[])
        };
        look(&written("hand", &text)?).await?.is(2, &[REACHED])?;
        let line = text.lines().position(|line| line.contains(token)).context("a token")?;
        let unclosed = written("unclosed", &text.replace("    token: |\n      ", "    token: \""))?;
        let said = look(&unclosed).await?;
        said.is(2, &["error: kubeconfig: ", &format!("unclosed.yaml: line {line}: is no YAML")])?.never(&[token])?;
        let named = json!({"exec": {"command": "none"}, "client-certificate-data": "bm8=", "client-key-data": "bm8="});
        let named = self.cluster.kubeconfig_of("half", &server, &named)?;
        let said = look(&self.hindcast("half", named, &[])?).await?;
        said.is(2, &["error: kubeconfig: identity PEM", "hint: client-certificate and client-key"])?;
        Ok(())
    }

    async fn by_certificates_of_a_plugin(&self) -> Result<()> {
        let identity = self.cluster.authority().client("plugin", Some("system:masters"))?;
        let status = json!({"clientCertificateData": identity.cert, "clientKeyData": identity.key});
        std::fs::write(self.dir.path().join("certificate"), credential(&status).to_string())?;
        let exec = plugin(self.dir.path(), "certificates", "cat \"${0%/*}/certificate\"")?;
        let server = format!("https://127.0.0.1:{}", self.cluster.port());
        let kubeconfig = self.cluster.kubeconfig_of("certificates", &server, &json!({ "exec": exec }))?;
        look(&self.hindcast("certificates", kubeconfig, &[])?).await?.is(2, &[REACHED])?;
        Ok(())
    }

    /// Two processes, one with a token file and one with a plugin, whose token is replaced and revoked under them.
    async fn while_sessions_rotate(&self) -> Result<()> {
        let client = self.cluster.client();
        let core = "/api/v1/namespaces/default";
        create(&client, &format!("{core}/serviceaccounts"), service_account("protector")).await?;
        let binding = json!({
            "metadata": {"name": "protector"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "protector", "namespace": "default"}],
        });
        create(&client, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await?;
        let session = self.dir.path().join("session");
        let first = self.session("first").await?;
        std::fs::write(&session, format!("{first}\n"))?;

        // A connection is cut here: what is open stays open whatever becomes of its token.
        let between = Proxy::start(self.cluster.port()).await?;
        let server = format!("https://127.0.0.1:{}", between.port());
        let by_file = json!({"tokenFile": session, "token": "an-older-one"});
        let by_file = self.cluster.kubeconfig_of("file", &server, &by_file)?;
        let by_file = self.hindcast("file", by_file, &[])?;
        let script = format!(
            "{} \"$(cat \"${{0%/*}}/session\")\"",
            "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s\"}}'"
        );
        let exec = plugin(self.dir.path(), "login", &script)?;
        let by_plugin = self.cluster.kubeconfig_of("plugin", &server, &json!({ "exec": exec }))?;
        let by_plugin = self.hindcast("plugin", by_plugin, &[])?;
        let (file, plugin) = tokio::try_join!(by_file.run(&[]), by_plugin.run(&[]))?;

        let second = self.session("second").await?;
        std::fs::write(&session, format!("{second}\n"))?;
        send(&client, "DELETE", &format!("{core}/secrets/session-first"), None).await?;
        let kubeconfig = self.cluster.kubeconfig_of("revoked", &server, &json!({ "token": first }))?;
        let revoked = Cluster::client_from(&kubeconfig).await?;
        until("the token is revoked", SOON, async || answers_with(&revoked, "/api", 401).await).await?;
        between.cut().await?;
        tokio::try_join!(self.protects(&by_file, &file, "by-file"), self.protects(&by_plugin, &plugin, "by-plugin"))?;
        tokio::try_join!(file.stop(), plugin.stop())?;
        Ok(())
    }

    /// A new session of the service account.
    async fn session(&self, name: &str) -> Result<String> {
        let client = self.cluster.client();
        let core = "/api/v1/namespaces/default";
        let name = format!("session-{name}");
        let secret = create(&client, &format!("{core}/secrets"), secret(&name, json!({}))).await?;
        let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": name, "uid": secret["metadata"]["uid"]});
        let ask = json!({"spec": {"boundObjectRef": bound, "audiences": []}});
        let answer = create(&client, &format!("{core}/serviceaccounts/protector/token"), ask).await?;
        answer["status"]["token"].as_str().map(str::to_owned).context("a token")
    }

    /// What is refused is told with the reason and the remedy, in words.
    async fn refused(&self) -> Result<()> {
        self.credentials_that_are_not_known().await.context("unknown credentials")?;
        self.plugins_that_cannot_be_run().await.context("plugins that cannot be run")?;
        self.an_account_of_few_rights().await.context("an account of few rights")
    }

    /// Hindcast as this user of the API server.
    fn hindcast_of(&self, name: &str, user: &Value) -> Result<Hindcast> {
        let server = format!("https://127.0.0.1:{}", self.cluster.port());
        self.hindcast(name, self.cluster.kubeconfig_of(name, &server, user)?, &[])
    }

    async fn credentials_that_are_not_known(&self) -> Result<()> {
        look(&self.hindcast_of("unknown", &json!({"token": "nobodys"}))?)
            .await?
            .is(2, &["cannot be read: Unauthorized (401)", "hint: the API server does not know these credentials"])?
            .never(&DEBUG)?;
        Ok(())
    }

    async fn plugins_that_cannot_be_run(&self) -> Result<()> {
        let absent = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login", "interactiveMode": "IfAvailable",
            "installHint": "Get it from https://example.com/login.",
        }});
        look(&self.hindcast_of("absent", &absent)?).await?.is(
            2,
            &["credential plugin `no-such-login`: is not installed", "hint: Get it from https://example.com/login."],
        )?;
        let mut exec = plugin(self.dir.path(), "asking", "read -r line")?;
        exec["interactiveMode"] = json!("Always");
        look(&self.hindcast_of("asking", &json!({ "exec": exec }))?)
            .await?
            .is(2, &["asks a person (interactiveMode: Always), and standard input is no terminal"])?;
        Ok(())
    }

    /// Without the right to see which cluster it is, it does not start. With the least that it needs for that, the
    /// other kinds are told of in one line, by the log, by status and by a question.
    async fn an_account_of_few_rights(&self) -> Result<()> {
        let few = vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["configmaps".to_owned()]),
            verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
            ..Default::default()
        }];
        let kubeconfig = self.cluster.user("few", few.clone()).await?;
        look(&self.hindcast("few", kubeconfig.clone(), &[])?)
            .await?
            .is(
                2,
                &[
                    "namespaces \"kube-system\" is forbidden: User \"few\" cannot get",
                    "(403)",
                    "hint: give this account",
                ],
            )?
            .never(&DEBUG)?;

        let namespaces = PolicyRule { resources: Some(vec!["namespaces".to_owned()]), ..few[0].clone() };
        self.cluster.user("few", [few, vec![namespaces]].concat()).await?;
        let hindcast = self.hindcast("few", kubeconfig, &[])?;
        let running = hindcast.run(&[]).await?;
        until("the log tells of them", SOON, async || {
            Ok(logged_as_unprotected(&running)?.iter().any(|line| line.contains("secrets")))
        })
        .await?;
        running.close().await?;
        let forbidden: Vec<String> =
            logged_as_unprotected(&running)?.into_iter().filter(|line| line.contains("forbidden")).collect();
        ensure!((1..=3).contains(&forbidden.len()), "{} lines of forbidden kinds: {forbidden:#?}", forbidden.len());
        let said = ask(&hindcast, &["status"]).await?;
        let lines: Vec<&str> = said.is(0, &[])?.out.lines().filter(|line| line.contains("forbidden")).collect();
        ensure!((1..=2).contains(&lines.len()), "{lines:#?}");
        let said = ask(&hindcast, &["get", "cm,secrets,sa,deploy", "-n", "default", "--at", "now"]).await?;
        said.is(
            3,
            &[
                "secrets, serviceaccounts, deployments.apps: not protected at",
                "forbidden by RBAC (User \"few\" cannot list at the cluster scope)",
            ],
        )?;
        running.stop().await
    }

    /// What is written now reaches the journal.
    async fn protects(&self, hindcast: &Hindcast, running: &Running, name: &str) -> Result<()> {
        create(&self.cluster.client(), DEFAULT_CONFIG_MAPS, empty_config_map(name)).await?;
        until("the cut closes", SOON, async || Ok(running.close().await.is_ok())).await?;
        ask(hindcast, &["show", &format!("cm/{name}"), "-n", "default", "--at", "now"]).await?.is(0, &[name])?;
        Ok(())
    }
}

/// `run` as far as to which cluster it is.
async fn look(hindcast: &Hindcast) -> Result<Said> {
    run_to_its_end(hindcast, &["--cluster", "nonsense"]).await
}

/// What the log says of kinds that are not protected.
fn logged_as_unprotected(running: &Running) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(running.process.log())?;
    Ok(log.lines().filter(|line| line.contains("not protected")).map(str::to_owned).collect())
}

fn credential(status: &Value) -> Value {
    json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
}

/// A credential plugin: a script, and how a kubeconfig names it.
fn plugin(dir: &Path, name: &str, script: &str) -> Result<Value> {
    let path = dir.join(format!("{name}.sh"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": path, "interactiveMode": "Never",
    }))
}
