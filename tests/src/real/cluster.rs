//! A private Kubernetes control plane.
//!
//! Words: a *part* is one of its processes ([`Part`]). A *user* is a client certificate with its own kubeconfig.
//!
//! - A part keeps its port and its data over kill, stop and restart.
//! - TLS is verified by every client; the admin also has a bearer token ([`Cluster::token`]).
//! - Authorisation is RBAC, and of nodes what a node needs; only the admin, the controller manager and the API server
//!   itself, when it speaks to a kubelet, are in `system:masters`.
//!
//! Not here: nodes ([`super::Node`]). Without one nothing runs a pod, so objects stay as the API server and the
//! controllers leave them.
//! Start reading at [`Builder::start`].

use super::build::{Program, hex};
use super::process::{Port, Process, Workdir};
use super::tls::{Authority, Identity};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a part may take to get ready. Generous: other tests may load the machine at the same time.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// What a cluster consists of, before it starts.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    controller_manager: bool,
    /// Which controllers run; all that run by default where nothing is said.
    controllers: Vec<String>,
    events_etcd: bool,
    compaction_interval: Option<Duration>,
    apiserver_flags: Vec<String>,
    controller_manager_flags: Vec<String>,
}

/// One process of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store of everything, or of everything but Events.
    Etcd,
    /// The store of Events, with a revision counter of its own ([`Builder::events_etcd`]).
    EventsEtcd,
    /// The API server.
    Apiserver,
    /// The controllers ([`Builder::controller_manager`]).
    ControllerManager,
}

/// What the main etcd held at one moment.
#[derive(Debug)]
pub struct StoreCopy {
    path: PathBuf,
    /// The newest revision in it.
    pub revision: u64,
}

/// A running cluster. Dropping it ends every part and removes its folder.
pub struct Cluster {
    // In the order of dropping: clients before what they speak to, the folder last.
    controller_manager: Option<Process>,
    /// Whether the controller manager makes service accounts, by which it is known to work.
    makes_accounts: bool,
    apiserver: Process,
    events_etcd: Option<Process>,
    etcd: Process,
    config: Config,
    authority: Authority,
    token: String,
    ports: Ports,
    dir: Workdir,
}

struct Ports {
    etcd: Port,
    etcd_peer: Port,
    events_etcd: Port,
    events_etcd_peer: Port,
    apiserver: Port,
    controller_manager: Port,
}

impl Builder {
    /// With the controller manager: garbage collection, namespace deletion, deployments.
    #[must_use]
    pub fn controller_manager(mut self) -> Self {
        self.controller_manager = true;
        self
    }

    /// With the controller manager, of which only these controllers run.
    #[must_use]
    pub fn only_controllers(mut self, names: &[&str]) -> Self {
        self.controller_manager = true;
        self.controllers = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// With Events in an etcd of their own, which is a second revision domain.
    #[must_use]
    pub fn events_etcd(mut self) -> Self {
        self.events_etcd = true;
        self
    }

    /// How often the API server compacts etcd: a watch can resume from at most about twice this ago.
    #[must_use]
    pub fn compaction_interval(mut self, interval: Duration) -> Self {
        self.compaction_interval = Some(interval);
        self
    }

    /// One more flag for the API server, as `--name=value`.
    #[must_use]
    pub fn apiserver_flag(mut self, flag: impl Into<String>) -> Self {
        self.apiserver_flags.push(flag.into());
        self
    }

    /// One more flag for the controller manager, as `--name=value`.
    #[must_use]
    pub fn controller_manager_flag(mut self, flag: impl Into<String>) -> Self {
        self.controller_manager = true;
        self.controller_manager_flags.push(flag.into());
        self
    }

    /// With the controller manager, which asks as often as it likes: by default binding some dozens of claims takes it
    /// half a minute.
    #[must_use]
    pub fn eager_controllers(self) -> Self {
        self.controller_manager_flag("--kube-api-qps=500").controller_manager_flag("--kube-api-burst=1000")
    }

    /// Builds what is missing, starts every part, and returns when the cluster answers.
    pub async fn start(self) -> Result<Cluster> {
        let wanted = [Program::Etcd, Program::Apiserver, Program::ControllerManager];
        let programs = tokio::task::spawn_blocking(move || wanted.map(Program::ensure));
        let [etcd, apiserver, controller_manager] = programs.await?;
        let cluster = self.assemble(etcd?, apiserver?, controller_manager?).await?;
        for part in [Part::Etcd, Part::EventsEtcd, Part::Apiserver, Part::ControllerManager] {
            if cluster.process(part).is_ok() {
                cluster.restart(part).await?;
            }
        }
        Ok(cluster)
    }

    async fn assemble(self, etcd: PathBuf, apiserver: PathBuf, controller_manager: PathBuf) -> Result<Cluster> {
        let dir = Workdir::new()?;
        let ports = Ports::lease()?;
        let authority = Authority::new("hindcast-testbed")?;
        let token = random_token()?;
        write_credentials(dir.path(), &authority, &token)?;
        let admin = write_kubeconfig(
            dir.path(),
            "admin",
            ports.apiserver.number(),
            &authority.pem(),
            &json!({ "token": token }),
        )?;
        let controllers = authority.client("system:kube-controller-manager", Some("system:masters"))?;
        let controllers_config = write_kubeconfig(
            dir.path(),
            "controller-manager",
            ports.apiserver.number(),
            &authority.pem(),
            &certificate_user(&controllers),
        )?;

        let path = dir.path();
        let main_etcd = etcd_process("etcd", etcd.clone(), path, &ports.etcd, &ports.etcd_peer);
        let events_etcd = self.events_etcd.then(|| {
            let (client, peer) = (&ports.events_etcd, &ports.events_etcd_peer);
            etcd_process("events-etcd", etcd, path, client, peer)
        });
        let manager = self.controller_manager.then(|| {
            let port = &ports.controller_manager;
            let process = controller_manager_process(controller_manager, path, port, &controllers_config);
            let chosen =
                (!self.controllers.is_empty()).then(|| format!("--controllers={}", self.controllers.join(",")));
            process.args(chosen).args(self.controller_manager_flags.iter().cloned())
        });
        Ok(Cluster {
            apiserver: self.apiserver_process(apiserver, path, &ports),
            controller_manager: manager,
            makes_accounts: self.controllers.is_empty(),
            events_etcd,
            etcd: main_etcd,
            config: load(&admin).await?,
            authority,
            token,
            ports,
            dir,
        })
    }

    fn apiserver_process(&self, program: PathBuf, dir: &Path, ports: &Ports) -> Process {
        let file = |name: &str| dir.join(name).display().to_string();
        let mut process = Process::new("kube-apiserver", program, dir).args([
            format!("--etcd-servers={}", url(&ports.etcd)),
            format!("--secure-port={}", ports.apiserver.number()),
            "--bind-address=127.0.0.1".to_owned(),
            // Its own services get this address; without it the server looks for a default route.
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--cert-dir={}", file("apiserver")),
            format!("--tls-cert-file={}", file("serving.crt")),
            format!("--tls-private-key-file={}", file("serving.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            // A node is known by its name and reached by its address, for `exec` and `logs`.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-certificate-authority={}", file("ca.crt")),
            format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
            format!("--kubelet-client-key={}", file("kubelet-client.key")),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            "--allow-privileged=true".to_owned(),
        ]);
        if self.events_etcd {
            let url = url(&ports.events_etcd);
            process = process.args([format!("--etcd-servers-overrides=/events#{url}")]);
        }
        if let Some(interval) = self.compaction_interval {
            process = process.args([format!("--etcd-compaction-interval={}s", interval.as_secs())]);
        }
        process.args(self.apiserver_flags.iter().cloned())
    }
}

impl Cluster {
    /// A cluster of choices.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The smallest cluster: etcd and API server.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A client with every right.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("the testbed's own settings are complete")
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.kubeconfig")
    }

    /// The admin's kubeconfig with another port, such as a proxy's.
    pub fn kubeconfig_via(&self, port: u16) -> Result<PathBuf> {
        let (dir, ca) = (self.dir.path(), self.authority.pem());
        write_kubeconfig(dir, &format!("admin-{port}"), port, &ca, &json!({ "token": self.token }))
    }

    /// A kubeconfig `name` of the caller's making: this `server` (any address of the API server, whose certificate is
    /// verified as loopback's) as this `user`.
    pub fn kubeconfig_of(&self, name: &str, server: &str, user: &serde_json::Value) -> Result<PathBuf> {
        let mut config = kubeconfig(name, server, &self.authority.pem(), user);
        config["clusters"][0]["cluster"]["tls-server-name"] = json!("localhost");
        save(self.dir.path(), name, &config)
    }

    /// The kubeconfig of a part of the system that is known by a certificate: its user's name, and its group if it is of
    /// one.
    pub(super) fn part_kubeconfig(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let identity = self.authority.client(user, group)?;
        let (dir, ca, file) = (self.dir.path(), self.authority.pem(), user.replace(':', "-"));
        write_kubeconfig(dir, &file, self.port(), &ca, &certificate_user(&identity))
    }

    /// A client from a kubeconfig of this testbed.
    pub async fn client_from(kubeconfig: &Path) -> Result<Client> {
        Ok(Client::try_from(load(kubeconfig).await?)?)
    }

    /// The admin's bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The authority every server of this cluster is signed by, for more of them.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The API server's port on loopback.
    pub fn port(&self) -> u16 {
        self.ports.apiserver.number()
    }

    /// The cluster's folder: its logs, and room for what should be removed with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a user who may do what `may` says in every namespace and nothing else; returns the user's kubeconfig.
    /// Calling it again for the same user replaces what the user may.
    pub async fn user(&self, name: &str, may: Vec<PolicyRule>) -> Result<PathBuf> {
        let metadata = ObjectMeta { name: Some(format!("testbed:{name}")), ..Default::default() };
        let role = ClusterRole { metadata: metadata.clone(), rules: Some(may), ..Default::default() };
        let binding = ClusterRoleBinding {
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "ClusterRole".to_owned(),
                name: format!("testbed:{name}"),
            },
            subjects: Some(vec![Subject {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "User".to_owned(),
                name: name.to_owned(),
                namespace: None,
            }]),
            metadata,
        };
        let roles: Api<ClusterRole> = Api::all(self.client());
        if let Err(kube::Error::Api(error)) = roles.create(&PostParams::default(), &role).await {
            anyhow::ensure!(error.code == 409, "creating the role of {name}: {error}");
            let name = format!("testbed:{name}");
            roles.replace(&name, &PostParams::default(), &role).await?;
        } else {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client());
            bindings.create(&PostParams::default(), &binding).await?;
        }
        let identity = self.authority.client(name, None)?;
        let (dir, ca) = (self.dir.path(), self.authority.pem());
        write_kubeconfig(dir, name, self.port(), &ca, &certificate_user(&identity))
    }

    /// SIGKILL; returns when the part is gone.
    pub fn kill(&self, part: Part) -> Result<()> {
        self.process(part)?.kill();
        Ok(())
    }

    /// SIGTERM; returns when the part is gone, which takes an API server up to a minute.
    pub async fn stop(&self, part: Part) -> Result<()> {
        self.process(part)?.stop(Duration::from_mins(2)).await
    }

    /// SIGSTOP: the part keeps its connections and answers nothing.
    pub fn pause(&self, part: Part) -> Result<()> {
        self.process(part)?.pause()
    }

    /// SIGCONT.
    pub fn resume(&self, part: Part) -> Result<()> {
        self.process(part)?.resume()
    }

    /// Kills the part if it runs, starts it on its port and data, and returns when it answers.
    pub async fn restart(&self, part: Part) -> Result<()> {
        let process = self.process(part)?;
        process.kill();
        process.start()?;
        match part {
            Part::Etcd => process.wait_ready(READY_WITHIN, || self.ports.etcd.listens()).await,
            Part::EventsEtcd => process.wait_ready(READY_WITHIN, || self.ports.events_etcd.listens()).await,
            Part::Apiserver => {
                let client = self.client();
                process.wait_ready(READY_WITHIN, || answers(&client)).await
            }
            Part::ControllerManager if !self.makes_accounts => {
                process.wait_ready(READY_WITHIN, || self.ports.controller_manager.listens()).await
            }
            Part::ControllerManager => {
                let client = self.client();
                process.wait_ready(READY_WITHIN, || has_service_account(&client)).await
            }
        }
    }

    /// A copy of what etcd holds at this moment, as `etcdctl snapshot save` takes it. It is in the cluster's folder.
    pub async fn copy_etcd(&self) -> Result<StoreCopy> {
        let taken =
            fs::read_dir(self.dir())?.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "copy"));
        let path = self.dir().join(format!("etcd-{}.copy", taken.count()));
        fs::write(&path, snapshot(&self.ports.etcd).await?)?;
        let status = etcdutl(["snapshot", "status", "--write-out=json"].map(str::to_owned), &path).await?;
        let status: serde_json::Value = serde_json::from_slice(&status)?;
        let revision = status["revision"].as_u64().with_context(|| format!("a copy has a revision: {status}"))?;
        Ok(StoreCopy { path, revision })
    }

    /// Puts a copy of etcd back with `etcdutl snapshot restore` and these flags of it. The API server is away
    /// meanwhile; the controllers are not told.
    pub async fn put_back(&self, copy: &StoreCopy, flags: &[&str]) -> Result<()> {
        self.kill(Part::Apiserver)?;
        self.kill(Part::Etcd)?;
        let data = self.dir().join("etcd");
        fs::remove_dir_all(&data)?;
        let peer = url(&self.ports.etcd_peer);
        let mut args = vec!["snapshot".to_owned(), "restore".to_owned(), format!("--data-dir={}", data.display())];
        args.extend([format!("--initial-cluster=default={peer}"), format!("--initial-advertise-peer-urls={peer}")]);
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        etcdutl(args, &copy.path).await?;
        self.restart(Part::Etcd).await?;
        self.restart(Part::Apiserver).await
    }

    /// The process id of a running part.
    pub fn pid(&self, part: Part) -> Result<Option<u32>> {
        Ok(self.process(part)?.pid())
    }

    fn process(&self, part: Part) -> Result<&Process> {
        match part {
            Part::Etcd => Ok(&self.etcd),
            Part::Apiserver => Ok(&self.apiserver),
            Part::EventsEtcd => self.events_etcd.as_ref().context("the cluster was built without `events_etcd`"),
            Part::ControllerManager => {
                self.controller_manager.as_ref().context("the cluster was built without `controller_manager`")
            }
        }
    }
}

impl Ports {
    fn lease() -> Result<Self> {
        Ok(Self {
            etcd: Port::lease()?,
            etcd_peer: Port::lease()?,
            events_etcd: Port::lease()?,
            events_etcd_peer: Port::lease()?,
            apiserver: Port::lease()?,
            controller_manager: Port::lease()?,
        })
    }
}

fn etcd_process(name: &str, program: PathBuf, dir: &Path, client: &Port, peer: &Port) -> Process {
    Process::new(name, program, dir).args([
        format!("--data-dir={}", dir.join(name).display()),
        format!("--listen-client-urls={}", url(client)),
        format!("--advertise-client-urls={}", url(client)),
        format!("--listen-peer-urls={}", url(peer)),
        format!("--initial-advertise-peer-urls={}", url(peer)),
        format!("--initial-cluster=default={}", url(peer)),
        // Survives the death of the process, though not of the machine: all a test needs.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ])
}

fn controller_manager_process(program: PathBuf, dir: &Path, port: &Port, kubeconfig: &Path) -> Process {
    Process::new("kube-controller-manager", program, dir).args([
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--service-account-private-key-file={}", dir.join("sa.key").display()),
        format!("--root-ca-file={}", dir.join("ca.crt").display()),
        format!("--cert-dir={}", dir.join("controller-manager").display()),
        format!("--secure-port={}", port.number()),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
    ])
}

/// What the servers read at their start: authority, serving certificate, service account keys, tokens.
fn write_credentials(dir: &Path, authority: &Authority, token: &str) -> Result<()> {
    let serving = authority.serving(&["kubernetes.default.svc", "10.0.0.1"])?;
    let accounts = rcgen::KeyPair::generate()?;
    let to_kubelets = authority.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
    for (name, text) in [
        ("ca.crt", authority.pem()),
        ("serving.crt", serving.cert),
        ("serving.key", serving.key),
        ("kubelet-client.crt", to_kubelets.cert),
        ("kubelet-client.key", to_kubelets.key),
        ("sa.key", accounts.serialize_pem()),
        ("sa.pub", accounts.public_key_pem()),
        ("tokens.csv", format!("{token},admin,admin,system:masters\n")),
    ] {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}

/// Writes `<name>.kubeconfig`. As JSON, which is YAML.
fn write_kubeconfig(dir: &Path, name: &str, port: u16, ca: &str, user: &serde_json::Value) -> Result<PathBuf> {
    save(dir, name, &kubeconfig(name, &format!("https://127.0.0.1:{port}"), ca, user))
}

fn kubeconfig(name: &str, server: &str, ca: &str, user: &serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": server, "certificate-authority-data": base64(ca),
        }}],
        "users": [{ "name": name, "user": user }],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
        "current-context": "testbed",
    })
}

fn save(dir: &Path, name: &str, config: &serde_json::Value) -> Result<PathBuf> {
    let path = dir.join(format!("{name}.kubeconfig"));
    fs::write(&path, serde_json::to_vec_pretty(config)?)?;
    Ok(path)
}

fn certificate_user(identity: &Identity) -> serde_json::Value {
    json!({
        "client-certificate-data": base64(&identity.cert),
        "client-key-data": base64(&identity.key),
    })
}

fn base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text)
}

fn random_token() -> Result<String> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok().context("no randomness from the system")?;
    Ok(hex(&bytes))
}

async fn load(kubeconfig: &Path) -> Result<Config> {
    // The clients' dependencies bring in two providers, and rustls then picks neither by itself.
    // An error means that the process has chosen one already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    // A test should see an overloaded or absent API at once; by default a client retries for minutes.
    config.default_retry = false;
    Ok(config)
}

fn url(port: &Port) -> String {
    format!("http://127.0.0.1:{}", port.number())
}

/// Runs etcd's own tool on a copy; its output.
async fn etcdutl(args: impl IntoIterator<Item = String>, copy: &Path) -> Result<Vec<u8>> {
    let program = tokio::task::spawn_blocking(|| Program::Etcdutl.ensure()).await??;
    let output = tokio::process::Command::new(program).args(args).arg(copy).output().await?;
    ensure!(output.status.success(), "etcdutl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// All that an etcd holds, with its digest: the stream of its maintenance service, as its gateway gives it.
async fn snapshot(etcd: &Port) -> Result<Vec<u8>> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let body = reqwest::Client::new().post(format!("{}/v3/maintenance/snapshot", url(etcd))).body("{}").send().await?;
    let mut copy = Vec::new();
    for line in body.error_for_status()?.text().await?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let blob = message["result"]["blob"].as_str().with_context(|| format!("no part of a copy: {message}"))?;
        BASE64_STANDARD.decode_vec(blob, &mut copy)?;
    }
    Ok(copy)
}

/// Ready, and past the creation of the namespaces that everybody relies on.
async fn answers(client: &Client) -> bool {
    let ready = http::Request::get("/readyz").body(Vec::new()).expect("the request is constant");
    if client.request_text(ready).await.is_err() {
        return false;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in ["kube-system", "default"] {
        if namespaces.get(name).await.is_err() {
            return false;
        }
    }
    true
}

async fn has_service_account(client: &Client) -> bool {
    Api::<ServiceAccount>::namespaced(client.clone(), "default").get("default").await.is_ok()
}
