//! The arguments: only clap, whose comments are the reference that `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    cache::CacheArgs,
    compact::{Compact, Keep, Raw, keep},
    doctor::Doctor,
    expire::{Expire, Keeping, retention},
    fanout::{FanoutKafka, FanoutVerb, Fanouts, FormatArg},
    forget::Forget,
    ha::Ha,
    key::{KeyVerb, Rewrap},
    mover::{MoverArgs, MoverVerb},
    point::{PointCreate, PointVerb},
    verify::{Every, Proving, Verify, every},
    volumes::VolumesArg,
};

mod cache;
mod compact;
mod doctor;
mod expire;
mod fanout;
mod forget;
mod ha;
mod key;
mod mover;
mod point;
mod verify;
mod volumes;

/// The whole past of a Kubernetes cluster, and any moment of it.
#[derive(Debug, Parser)]
#[command(
    name = "hindcast",
    version,
    disable_help_subcommand = true,
    max_term_width = 110,
    after_help = AFTER,
    after_long_help = AFTER_LONG
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) common: Common,
}

const AFTER: &str = "\
What changed in the last hour?          hindcast log -n shop
What is different from 14:01?           hindcast diff -n shop --from 14:01
Put it back; see first what that does   hindcast plan -n shop --at 14:01; hindcast restore -n shop --at 14:01
What did it look like at 14:01?         hindcast get deploy,cm -n shop --at 14:01
One object, as YAML, before a change:   hindcast show deploy/web -n shop --at before:pos:4711

Exit: 0 done · 2 failed, refused, not found · 3 answered with a reservation (named on stderr) · 4 fenced · 130
interrupted. `hindcast --help` explains times (T), exit codes and the environment.";

const AFTER_LONG: &str = "\
Times (T), in the local zone or --tz, always inclusive:
  14:01   14:01:30.250             the latest such moment that is not in the future
  \"yesterday 22:00\"                the day before
  2026-11-01   \"2026-11-01 14:01\"  a day's first moment; a date and a time, with T or a space
  2026-11-01T14:01:00Z             RFC 3339; an offset wins over the zone
  5m   \"2h30m ago\"                 back from now (units w d h m s ms; a day is 24 hours)
  now                              the newest moment that is closed and durable
  rev:N   rev:N@I                  a resourceVersion of the main etcd (of incarnation I, after a restored etcd)
  pos:N                            the moment of row N, that change included
  point:NAME   point:latest        the cut of a recovery point; SCHEDULE/latest is the newest of a schedule
  before:T                         just below any of these: before:pos:4711 is the state before that change
Where a zone changes its clocks, a time that happens twice or never is refused, and both candidates are named.

Exit codes:
  0    done, no differences
  1    differences, or partly done
  2    failed, refused, not found, declined
  3    answered, with a reservation named on stderr (wins over 0 and 1): the cut is open, a gap graded `lost`,
       an answer of another moment than asked (--allow-stale, --around-damage), some of the kinds asked for were not protected then, or a version
       is known only as a later definition of its kind reads it
  4    fenced: another `hindcast run` took this journal over; do not restart this one
  130  interrupted

Environment:
  HINDCAST_JOURNAL    the journal, as --journal        HINDCAST_TZ         the zone, as --tz
  HINDCAST_KEY_FILE   the key file, as --key-file      NO_COLOR            as --no-color
  HINDCAST_CACHE      a folder, as --cache             HINDCAST_CACHE_SIZE  how large it may be, as --cache-size
  KUBECONFIG          as kubectl                       AWS_…, AZURE_…, GOOGLE_…  credentials of the store
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY  to the cluster as kubectl, to the store as curl

Options of a store, behind `?` in the journal's URL (s3://bucket/prefix?region=eu-west-1&profile=ops); they win over the
environment, bear the names that Velero's BackupStorageLocation has, and are no place for secrets:
  s3  region, s3Url (the endpoint), s3ForcePathStyle (true unless said otherwise), allowHttp, caCert=FILE (PEM),
      profile and enableSharedConfig (the shared files of the AWS tools), serverSideEncryption (AES256, aws:kms,
      aws:kms:dsse), kmsKeyId, customerKeyEncryptionFile=FILE (SSE-C, 32 bytes), checksumAlgorithm (SHA256, CRC64NVME),
      tagging (team=shop,env=prod), requesterPays, signatureVersion (4)
  az  storageAccount, storageAccountURI, storageAccountKeyEnvVar, activeDirectoryAuthorityURI, useAAD, allowHttp, caCert
  gs  storeEndpoint, allowHttp, caCert
Credentials come from the environment, the shared files, or whom the Pod or machine is: a web identity (IRSA), EKS Pod
Identity, ECS, EC2; Azure's workload or managed identity; the metadata server of GKE and GCE, or a federation's file.

Readers need the journal alone: neither a kubeconfig nor a running Hindcast. With a kubeconfig whose cluster is the
journal's, they also see the last second; without, and with the right to create meta/knock/* in the cluster's folder,
they ask `hindcast run` for it through the bucket, which takes up to 15 seconds; with neither, the last two minutes or so of
a cluster in which little happens are refused. Values of Secrets are shown only with --show-secrets and the key file.";

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Protect the cluster of the current context: write every change into the journal
    Run(Run),
    /// What is protected, since when and up to when: clusters, lag, coverage, gaps
    Status,
    /// What changed, when and by whom; newest first
    Log(Log),
    /// Objects as they were, as `kubectl get` would have shown them
    Get(Get),
    /// One object as it was, as YAML
    Show(Show),
    /// What differs between two moments, as a unified diff of YAML
    Diff(Diff),
    /// Since when each field of an object is as it is, and who set it
    Blame(Blame),
    /// What `restore` would do, field by field; changes nothing
    Plan(Plan),
    /// Put objects back as they were: plan, confirm, apply, verify
    Restore(Restore),
    /// Put back what a restore replaced
    Undo(Undo),
    /// Recovery points: a named moment with volume snapshots; make, list, show and delete them
    #[command(subcommand)]
    Point(PointVerb),
    /// Merge the files of the journal, and remove those that merged files hold too, as `run` does by itself
    Compact(Compact),
    /// Thin the past out by a policy, and remove what has expired, as `run --retention` does by itself
    Expire(Expire),
    /// Destroy what opens the sealed values of a namespace, or of one object: nobody reads them any more
    Forget(Forget),
    /// The rules of what a restore may touch
    Rules(Rules),
    /// Publish what is committed to others, as it comes or from any moment on
    #[command(subcommand)]
    Fanout(FanoutVerb),
    /// Look at a plugin: who it is, what it declares, and whether it works
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// The keys that seal Secret values: make and list them, wrap what older ones wrapped by the newest, see which are still needed
    #[command(subcommand)]
    Key(KeyVerb),
    /// The files and rows of the journal themselves
    #[command(subcommand)]
    Journal(JournalVerb),
    /// Whether the journal is what was written: every file, row, seal and checkpoint; with --live, whether the cluster agrees
    Verify(Verify),
    /// What damage of the journal means: what cannot be answered, what still can, and what to do; changes nothing
    Doctor(Doctor),
    /// Move the files of volumes into the bucket and back, as a Pod does
    #[command(hide = true)]
    Mover(MoverArgs),
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) struct Common {
    /// The journal: file:///path, s3://bucket/prefix, az://…, gs://… [default: a folder in the user's data directory]
    #[arg(long, global = true, value_name = "URL", env = "HINDCAST_JOURNAL", hide_env = true)]
    pub(crate) journal: Option<String>,
    /// Which cluster, by alias or beginning of its uid, where the journal holds several
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// The kubeconfig file [default: as kubectl]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The file of the keys that seal Secret values
    #[arg(long, global = true, value_name = "FILE", env = "HINDCAST_KEY_FILE", hide_env = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// A template of the Pods that copy volumes file by file, as deploy/mover.yaml
    #[arg(long, global = true, value_name = "FILE", env = "HINDCAST_MOVER", hide_env = true)]
    pub(crate) mover: Option<PathBuf>,
    /// Take snapshots of a cloud's disks by its own API: aws:region=…, azure:subscription=…,resource-group=…, gcp:project=…
    #[arg(long, global = true, value_name = "CLOUD", env = "HINDCAST_VOLUME_LOCATION", hide_env = true)]
    pub(crate) volume_location: Vec<String>,
    /// How to answer; `wide` and `name` are for `get` alone
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub(crate) output: Output,
    /// The time zone of times without one, and of times shown [default: the machine's]
    #[arg(long, global = true, value_name = "ZONE", env = "HINDCAST_TZ", hide_env = true)]
    pub(crate) tz: Option<String>,
    /// How long to wait for the journal to reach the moment asked for; a `hindcast run` that is asked for more takes up to 15s
    #[arg(long, global = true, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) wait: std::time::Duration,
    /// Answer for a moment that the journal has not reached, or of which retention has kept only an earlier cut, from what there is (exit 3)
    #[arg(long, global = true)]
    pub(crate) allow_stale: bool,
    /// Read around what cannot be read of the log: a moment in it is answered by the last that is known before it, which is said (exit 3); see
    /// `hindcast doctor`
    #[arg(long, global = true)]
    pub(crate) around_damage: bool,
    /// Where `hindcast run` listens, to ask it to close the cut, or by `status` for its role: 127.0.0.1:9464
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) run_address: Option<String>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// No colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say more on stderr; twice for more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// As text, with more columns
    Wide,
    /// Only KIND/NAME
    Name,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// `hindcast run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Take what is not said here from this `Journal` of the cluster (hindcast.dev), and follow it while running: the store, the key, what is
    /// left out, retention; without a namespace it is the one of --resources-namespace
    #[arg(long, value_name = "[NS/]NAME")]
    pub(crate) settings_from: Option<String>,
    /// How long the oldest unwritten change may wait before it is sent to the store [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) linger: Option<std::time::Duration>,
    /// Where to serve /metrics, /healthz, /readyz and POST /close
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub(crate) listen: std::net::SocketAddr,
    /// A name it may be asked by there, beside addresses, localhost and services of the cluster; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) listen_name: Vec<String>,
    /// Do not protect a kind (beside events and leases); may be repeated
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) exclude: Vec<String>,
    /// Protect a kind that is left out unless asked for (events, leases); may be repeated
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) include: Vec<String>,
    /// Protect these kinds and no others
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', conflicts_with_all = ["exclude", "include"])]
    pub(crate) only: Vec<String>,
    /// Store the values of Secrets in clear: who reads the journal reads them
    #[arg(long)]
    pub(crate) plaintext_secrets: bool,
    /// Seal these fields as the values of Secrets are: <configmaps:/data/password>, <widgets.example.com:/spec/users>/*/token;
    /// may be repeated
    #[arg(long, value_name = "KIND:PATH", conflicts_with = "plaintext_secrets")]
    pub(crate) seal: Vec<String>,
    /// Go on with a key file that holds none of the journal's keys: what they sealed can then be read only with theirs
    #[arg(long)]
    pub(crate) new_key: bool,
    /// The namespace in which recovery points appear, schedules and volume locations count, where the kinds of hindcast.dev are installed
    /// [default: that of --settings-from, or hindcast]
    #[arg(long, value_name = "NS")]
    pub(crate) resources_namespace: Option<String>,
    #[command(flatten)]
    pub(crate) ha: Ha,
    #[command(flatten)]
    pub(crate) raw: Raw,
    #[command(flatten)]
    pub(crate) proving: Proving,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) plugins: Plugins,
    #[command(flatten)]
    pub(crate) fanouts: Fanouts,
    /// How to write the log on stderr
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Plugins that take volumes.
#[derive(Debug, Clone, Default, Args)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) struct Plugins {
    /// A plugin that takes volumes which CSI's drivers do not, or that a volume policy gives it (`custom`, with the
    /// parameter `plugin: NAME`), by the socket it listens on: unix:///run/hindcast/sample.sock; may be repeated
    #[arg(long = "plugin", value_name = "ADDRESS")]
    pub(crate) addresses: Vec<String>,
}

/// `hindcast plugin`.
#[derive(Debug, Subcommand)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown, reason = "the comments are what --help prints")]
pub(crate) enum PluginVerb {
    /// Its name, version, capabilities and health; exit 0 if it can work
    Check {
        /// The socket it listens on: unix:///run/hindcast/sample.sock
        #[arg(value_name = "ADDRESS")]
        address: String,
    },
}

/// How `run` writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Which objects.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The namespace [default: the context's, else `default`]
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
}

/// `hindcast log`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "T is explained in `hindcast --help`. To see the state just before a change: \
                        hindcast show KIND/NAME --at before:pos:POS")]
pub(crate) struct Log {
    /// KIND, KIND,KIND or KIND/NAME [default: every kind]
    #[arg(value_name = "KIND[/NAME]")]
    pub(crate) kind: Option<String>,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only objects whose labels match before or after the change
    #[arg(short = 'l', long, value_name = "SEL")]
    pub(crate) selector: Option<String>,
    /// From when on [default: 1h; the beginning for a NAME]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Until when [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// Five minutes before to five minutes after a moment
    #[arg(long, value_name = "T", conflicts_with_all = ["since", "until"], allow_hyphen_values = true)]
    pub(crate) around: Option<String>,
    /// At most this many lines
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Also every status-only and controller-made change, each on its line
    #[arg(long)]
    pub(crate) all: bool,
    /// Go on with new changes as they become durable, oldest first
    #[arg(long, conflicts_with_all = ["until", "around"])]
    pub(crate) follow: bool,
}

/// `hindcast get`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "T is explained in `hindcast --help`.")]
pub(crate) struct Get {
    /// KIND, KIND,KIND or KIND/NAME, as kubectl takes them
    #[arg(value_name = "KIND[,KIND…]")]
    pub(crate) kind: String,
    /// One object
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only objects whose labels match
    #[arg(short = 'l', long, value_name = "SEL")]
    pub(crate) selector: Option<String>,
    /// The moment
    #[arg(long, value_name = "T", default_value = "now", allow_hyphen_values = true)]
    pub(crate) at: String,
    /// With `--at now`: the newest durable rows, though some kinds may lag (exit 3 where they do)
    #[arg(long)]
    pub(crate) open: bool,
    /// Show the values of Secrets (with -o json or yaml; needs the key file)
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

/// `hindcast show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "T is explained in `hindcast --help`. A redacted Secret cannot be applied: its values are \
                        placeholders that the API server refuses.")]
pub(crate) struct Show {
    /// KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    pub(crate) kind: String,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The moment
    #[arg(long, value_name = "T", default_value = "now", allow_hyphen_values = true)]
    pub(crate) at: String,
    /// With `--at now`: the newest durable rows, though the kind may lag (exit 3 where it does)
    #[arg(long)]
    pub(crate) open: bool,
    /// Show the values of a Secret (needs the key file)
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

/// `hindcast diff`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "T is explained in `hindcast --help`. Left out unless --all: status, the server's own metadata \
                        (resourceVersion, generation, uid, creationTimestamp), and objects that controllers made of \
                        others (Pods, ReplicaSets, EndpointSlices), which are counted; kinds that are named are never \
                        counted only.\nExit: 0 no differences · 1 differences · 2 failed · 3 answered with a reservation."
)]
pub(crate) struct Diff {
    /// KIND, KIND,KIND or KIND/NAME [default: every kind]
    #[arg(value_name = "KIND[/NAME]")]
    pub(crate) kind: Option<String>,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only objects whose labels match at either moment
    #[arg(short = 'l', long, value_name = "SEL")]
    pub(crate) selector: Option<String>,
    /// The one moment
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) from: String,
    /// The other moment
    #[arg(long, value_name = "T", default_value = "now", allow_hyphen_values = true)]
    pub(crate) to: String,
    /// Also status, the server's own metadata, and what controllers made
    #[arg(long)]
    pub(crate) all: bool,
    /// Show the values of Secrets (needs the key file)
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

/// `hindcast blame`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "T is explained in `hindcast --help`. Each line of the object stands beside the change that gave it \
                        its value. A time with `before` is the earliest that the journal knows of. To see what a \
                        change replaced: hindcast diff KIND/NAME --from before:pos:POS --to pos:POS"
)]
pub(crate) struct Blame {
    /// KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    pub(crate) kind: String,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The moment
    #[arg(long, value_name = "T", default_value = "now", allow_hyphen_values = true)]
    pub(crate) at: String,
    /// Also status and the server's own metadata
    #[arg(long)]
    pub(crate) all: bool,
}

/// What a plan or a restore is about: KIND/NAME, -n NS or -A, narrowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "What to put back (SCOPE: KIND/NAME, -n NS or -A; there is no default)")]
pub(crate) struct Target {
    /// One object
    #[arg(value_name = "KIND/NAME")]
    pub(crate) kind: Option<String>,
    /// NAME, where it is not in KIND/NAME
    #[arg(value_name = "NAME", hide = true)]
    pub(crate) name: Option<String>,
    /// The objects of a namespace, and its own labels and annotations; with KIND/NAME, where that is
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// All namespaces and cluster-scoped objects, without those of the system
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Only objects whose labels match, then or now
    #[arg(short = 'l', long, value_name = "SEL")]
    pub(crate) selector: Option<String>,
    /// Only these objects of the scope
    #[arg(long, value_name = "KIND/NAME,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only this part of each object, as plans print it (spec.containers[web].image); then nothing is created or deleted
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Which claims get their data from recovery points, the newest no newer than T
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    pub(crate) volumes: FromPoints,
}

/// Which claims get their data from recovery points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FromPoints {
    /// Those that are created and whose volume is not there any more
    #[default]
    Missing,
    /// None
    None,
    /// All: those that stand are rolled back, and their old volumes kept beside
    All,
}

/// What may be done beyond the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "What may be done beyond the default")]
pub(crate) struct Widen {
    /// Also cluster-scoped objects that the namespace needs (CRDs, `ClusterRoles`, `StorageClasses`)
    #[arg(long)]
    pub(crate) with_cluster_scoped: bool,
    /// Also kube-system, kube-public, kube-node-lease and infrastructure kinds
    #[arg(long)]
    pub(crate) include_system: bool,
    /// Also delete added objects of a kind whose deletion destroys data (claims, namespaces, CRDs, Jobs, bare Pods) or reaches
    /// elsewhere (custom objects with finalizers, as of Argo CD, Crossplane or Cluster API)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) allow_delete: Vec<String>,
    /// Delete and create again where a field cannot be changed; without it only where nobody notices: immutable `ConfigMaps` and
    /// Secrets, quotas, bindings, and `StatefulSets`, whose Pods keep running
    #[arg(long)]
    pub(crate) allow_recreate: bool,
    /// Roll workloads that read changed configuration through their environment
    #[arg(long)]
    pub(crate) restart: bool,
    /// Delete in spite of a lost interval since T
    #[arg(long)]
    pub(crate) accept_gap: bool,
    /// Create the Jobs that were running at T, which run again
    #[arg(long)]
    pub(crate) rerun_jobs: bool,
    /// Create claims whose volume is lost, empty
    #[arg(long)]
    pub(crate) allow_empty_volumes: bool,
    /// Disable webhooks that stand in the way, and put them back
    #[arg(long)]
    pub(crate) bypass_webhooks: bool,
}

/// How a restore is carried out.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How to go about it")]
pub(crate) struct Going {
    /// Do not ask; without a terminal nothing is done unless this is given
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Do not ask the server beforehand whether it would take each action
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Where the record that undo and resume need is kept, if the journal's bucket cannot be written
    #[arg(long, value_name = "DIR")]
    pub(crate) record_dir: Option<PathBuf>,
    /// Do not wait for rollouts (nobody waits without a terminal, unless --wait-rollout is given)
    #[arg(long, conflicts_with = "wait_rollout")]
    pub(crate) no_wait: bool,
    /// How long to wait until workloads are ready [default: 5m on a terminal]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait_rollout: Option<std::time::Duration>,
}

/// `hindcast plan`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "T is explained in `hindcast --help`. Nothing is changed, in the cluster or the journal.\n\
                        Exit: 0 all is as it was, but for what controllers make and no flag puts back · 1 differences · 2 failed or \
                        refused · 3 as 0, with a reservation.")]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The moment
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) at: String,
    /// Ask the server whether it would take each action
    #[arg(long)]
    pub(crate) check: bool,
    /// Keep the plan in a file, for `hindcast restore --plan FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) widen: Widen,
}

/// `hindcast restore`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "T is explained in `hindcast --help`. A restore never does more than the plan that it shows first.\n\
                        Exit: 0 done · 1 done in part, or something asked for is left alone for want of a flag · 2 failed, \
                        refused or declined: nothing was done · 3 as 0, with a reservation · 130 interrupted."
)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The moment
    #[arg(long, value_name = "T", allow_hyphen_values = true, required_unless_present_any = ["plan", "resume"])]
    pub(crate) at: Option<String>,
    /// Do what a plan of `hindcast plan --out FILE` says, if nothing it looked at has changed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["at", "resume"])]
    pub(crate) plan: Option<PathBuf>,
    /// Finish a restore that was interrupted
    #[arg(long, value_name = "ID", conflicts_with_all = ["at", "plan"])]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) widen: Widen,
    #[command(flatten)]
    pub(crate) going: Going,
}

/// `hindcast undo`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "What somebody changed since the restore is a conflict, and not overwritten. A restore that was interrupted can be\n\
                        undone as it is.\n\
                        Exit: as `hindcast restore`."
)]
pub(crate) struct Undo {
    /// The restore: the last line of what it printed
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) widen: Widen,
    #[command(flatten)]
    pub(crate) going: Going,
}

/// `hindcast rules`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rules {
    /// Only the rules that touch a kind: deploy, persistentvolumeclaims, …
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Instead the table of references, in Markdown: which places of an object name a namespace, a class, an image or a host
    #[arg(long, conflicts_with = "kind")]
    pub(crate) references: bool,
}

/// `hindcast journal`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum JournalVerb {
    /// The files of the journal, with the rows and revisions that each holds
    Ls,
    /// The rows of a file, or of a range of positions; Secret values stay hidden
    Cat {
        /// A file as `ls` names it, a position, or a range of positions: 4700-4720
        #[arg(value_name = "FILE|POS|FROM-TO")]
        what: String,
    },
}

/// A duration of the command line.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::moment::duration(text)
        .and_then(|micros| u64::try_from(micros).ok())
        .map(std::time::Duration::from_micros)
        .ok_or_else(|| "a duration is 500ms, 10s, 2m or 1h30m".to_owned())
}
