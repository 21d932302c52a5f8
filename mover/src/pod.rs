//! The Pods that move files, as JSON: made of a template that whoever runs the cluster writes.
//!
//! **Words**: the *template* is a Pod whose container `mover` has the image, the credentials of the store and the password of
//! the repository; its namespace is where movers run. A *seat* is the room for one mover on a node.
//!
//! **Invariants.** (1) Credentials are in the template's namespace alone: a mover reaches another namespace's volume by its node,
//! or has a claim of its own. (2) What is kept is mounted read-only [`Template::keeps`]. (3) What the template says stays, but
//! for the node, the arguments and when a container is started again.
//!
//! Not here: creating them, and what becomes of them.

use hindcast_journal::{Error, Result, point::Mounted};
use serde_json::{Map, Value, json};

use crate::Marks;

/// The container that moves.
const CONTAINER: &str = "mover";

/// Where a mover finds the files.
const FILES: &str = "/files";

/// An annotation of the template: the folder of the nodes' kubelet.
const KUBELET: &str = "hindcast.dev/kubelet-dir";
/// An annotation of the template: how many movers may run on a node at once.
const SEATS: &str = "hindcast.dev/movers-per-node";
/// An annotation of the template: how many movers of snapshots, which any node can run, may run at once.
const OF_SNAPSHOTS: &str = "hindcast.dev/movers-of-snapshots";

/// What movers are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pod: Value,
    namespace: String,
    kubelet: String,
    seats: usize,
    of_snapshots: usize,
}

/// Whose repository it is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The journal's URL.
    pub journal: String,
    /// The cluster's uid.
    pub cluster: String,
}

impl Template {
    /// The one in a text of YAML or JSON.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        let wrong = |reason: String| {
            Error::invalid(what, reason).with_hint("deploy/mover.yaml shows what a template of movers looks like")
        };
        let pod: Value =
            serde_saphyr::from_str(text).map_err(|e| wrong(format!("is no YAML: {}", e.to_string().trim())))?;
        let at = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if at("/kind") != "Pod" {
            return Err(wrong(format!("is a {:?} and no Pod", at("/kind"))));
        }
        let namespace = at("/metadata/namespace");
        if namespace.is_empty() {
            return Err(wrong("names no namespace for movers (metadata.namespace)".to_owned()));
        }
        let containers =
            pod.pointer("/spec/containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let named = |container: &&Value| container.get("name").and_then(Value::as_str) == Some(CONTAINER);
        let Some(mover) = containers.iter().find(named) else {
            return Err(wrong(format!("has no container {CONTAINER:?}")));
        };
        if mover.get("image").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(wrong(format!("its container {CONTAINER:?} has no image")));
        }
        let annotation = |name: &str| pod.pointer("/metadata/annotations").and_then(|all| all.get(name)?.as_str());
        let kubelet = annotation(KUBELET).unwrap_or("/var/lib/kubelet").trim_end_matches('/').to_owned();
        if !kubelet.starts_with('/') {
            return Err(wrong(format!("{KUBELET} is no absolute path: {kubelet:?}")));
        }
        let number = |name: &str, default: usize| {
            let number = annotation(name).map_or(Ok(default), str::parse).ok().filter(|n| (1..=64).contains(n));
            number.ok_or_else(|| wrong(format!("{name} is no number from 1 to 64")))
        };
        let (seats, of_snapshots) = (number(SEATS, 1)?, number(OF_SNAPSHOTS, 4)?);
        Ok(Self { pod, namespace, kubelet, seats, of_snapshots })
    }

    /// Where movers run.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How many may run on a node at once.
    pub fn seats(&self) -> usize {
        self.seats
    }

    /// How many movers of snapshots may run at once, wherever they run.
    pub fn of_snapshots(&self) -> usize {
        self.of_snapshots
    }

    /// Whether a mover can reach a journal: one in a folder is on this machine, unless the template says where it is.
    pub fn reaches(&self, place: &Place) -> Result<()> {
        if place.journal.starts_with("file:") && !self.has_env("HINDCAST_JOURNAL") {
            let reason = "is a folder, which Pods that move files do not see";
            return Err(Error::invalid(format!("journal {}", place.journal), reason)
                .with_hint("keep the journal in object storage, or mount the folder in the template of movers and name it there as HINDCAST_JOURNAL"));
        }
        Ok(())
    }

    fn has_env(&self, name: &str) -> bool {
        let containers = self.pod.pointer("/spec/containers").and_then(Value::as_array);
        let env = containers.into_iter().flatten().filter_map(|container| container.get("env")?.as_array()).flatten();
        env.into_iter().any(|env| env.get("name").and_then(Value::as_str) == Some(name))
    }

    /// The Pod that keeps the files of a mounted volume.
    pub fn keeps(&self, made: (&str, &Value), place: &Place, marks: &Marks, mounted: &Mounted) -> Value {
        let folder = format!("{}/pods/{}/{}", self.kubelet, mounted.pod, mounted.folder);
        let source = json!({"hostPath": {"path": folder, "type": "Directory"}});
        let mut pod = self.backing_up(made, place, marks, &source);
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("nodeName".to_owned(), Value::from(mounted.node.clone()));
        }
        pod
    }

    /// The Pod that keeps the files of a claim of its namespace, beside as few others of its labels as there are nodes for.
    pub fn keeps_claim(&self, made: (&str, &Value), place: &Place, marks: &Marks, claim: &str, alike: &str) -> Value {
        let source = json!({"persistentVolumeClaim": {"claimName": claim}});
        let mut pod = self.backing_up(made, place, marks, &source);
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            let others = json!({
                "labelSelector": {"matchExpressions": [{"key": alike, "operator": "Exists"}]},
                "topologyKey": "kubernetes.io/hostname",
            });
            spec.entry("affinity").or_insert_with(|| {
                json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "podAffinityTerm": others},
                ]}})
            });
        }
        pod
    }

    fn backing_up(&self, made: (&str, &Value), place: &Place, marks: &Marks, source: &Value) -> Value {
        let volume = marks.index.to_string();
        let args = [
            "backup",
            FILES,
            "--point",
            &marks.point,
            "--name",
            &marks.name,
            "--volume",
            &volume,
            "--claim",
            &marks.claim,
        ];
        self.made(made, place, &args, source, true)
    }

    /// The Pod that puts the files of a snapshot back into a claim of its namespace.
    pub fn puts_back(&self, (name, labels): (&str, &Value), place: &Place, id: &str, claim: &str) -> Value {
        let source = json!({"persistentVolumeClaim": {"claimName": claim}});
        self.made((name, labels), place, &["restore", id, FILES], &source, false)
    }

    fn made(&self, (name, labels): (&str, &Value), place: &Place, args: &[&str], source: &Value, read: bool) -> Value {
        let mut pod = self.pod.clone();
        let mut metadata = json!({"name": name, "namespace": self.namespace});
        let own = pod.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        let annotations = pod.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
        metadata["labels"] = merged(own, labels);
        metadata["annotations"] = annotations;
        pod["apiVersion"] = Value::from("v1");
        pod["metadata"] = metadata;
        let args: Vec<&str> = ["mover"]
            .into_iter()
            .chain(args.iter().copied())
            .chain(["--cluster", &place.cluster, "-o", "json"])
            .collect();
        let journal = !self.has_env("HINDCAST_JOURNAL");
        let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return pod };
        // What was sent is not sent again, so a container that failed begins anew.
        spec.insert("restartPolicy".to_owned(), Value::from("OnFailure"));
        spec.entry("automountServiceAccountToken").or_insert(Value::Bool(false));
        spec.entry("terminationGracePeriodSeconds").or_insert(Value::from(5));
        let mut volume = source.clone();
        volume["name"] = Value::from("files");
        pushed(spec, "volumes", volume);
        let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
        let mover = containers.into_iter().flatten().filter_map(Value::as_object_mut);
        for mover in mover.filter(|mover| mover.get("name").and_then(Value::as_str) == Some(CONTAINER)) {
            mover.insert("args".to_owned(), json!(args));
            mover.insert("terminationMessagePolicy".to_owned(), Value::from("FallbackToLogsOnError"));
            pushed(mover, "volumeMounts", json!({"name": "files", "mountPath": FILES, "readOnly": read}));
            if journal {
                pushed(mover, "env", json!({"name": "HINDCAST_JOURNAL", "value": place.journal}));
            }
        }
        pod
    }
}

/// How a mover stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// It has not begun; what it waits for, as far as that is said.
    Pending(String),
    /// It moves, or its container is about to begin anew; what that waits for.
    Running(String),
    /// It has ended well.
    Done,
    /// It came to nothing, and why.
    Failed(String),
    /// Its container fails again and again, and why.
    Loops(String),
}

/// How often the container of a mover is started again before it counts as failing for good.
const RESTARTS: i64 = 4;

impl Stand {
    /// That of a mover, by its Pod.
    pub fn of(pod: &Value) -> Self {
        let text = |of: &Value, at: &str| of.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        let container = statuses.into_iter().flatten().find(|status| text(status, "/name") == CONTAINER);
        let none = Value::Null;
        let container = container.unwrap_or(&none);
        let joined = |of: &Value, at: &str| {
            [text(of, &format!("{at}/reason")), text(of, &format!("{at}/message"))].join(" ").trim().to_owned()
        };
        // Its own last words, else the kubelet's.
        let why = || {
            let ended = ["/state/terminated", "/lastState/terminated"];
            let ended = ended.into_iter().find_map(|at| container.pointer(at)).unwrap_or(&none);
            let said = [last_words(&text(ended, "/message")), text(ended, "/reason"), joined(pod, "/status")];
            let said = said.into_iter().find(|said| !said.is_empty());
            said.unwrap_or_else(|| "nobody said why".to_owned())
        };
        let restarts = container.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        match text(pod, "/status/phase").as_str() {
            "Succeeded" => Self::Done,
            "Failed" => Self::Failed(why()),
            _ if restarts >= RESTARTS => Self::Loops(why()),
            "Running" => Self::Running(joined(container, "/state/waiting")),
            _ => Self::Pending(joined(container, "/state/waiting")),
        }
    }
}

/// Where the last line is read that a mover said, which at the end is the outcome as JSON.
pub fn last_line(pod: &str) -> String {
    format!("{pod}/log?container={CONTAINER}&tailLines=1")
}

/// Why a mover failed, out of the end of what its container said: its last error with the remedy, else its last line.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(lines.len().saturating_sub(1));
    lines.get(from..).unwrap_or_default().join("; ")
}

fn merged(mut own: Value, more: &Value) -> Value {
    if let (Some(own), Some(more)) = (own.as_object_mut(), more.as_object()) {
        own.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    own
}

fn pushed(of: &mut Map<String, Value>, list: &str, value: Value) {
    let list = of.entry(list).or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut() {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "
kind: Pod
metadata:
  namespace: hindcast
  labels: {team: platform}
  annotations: {hindcast.dev/movers-per-node: '3'}
spec:
  tolerations: [{operator: Exists}]
  containers:
  - {name: sidecar, image: side}
  - {name: mover, image: hindcast, env: [{name: A, value: b}]}
";

    fn place(journal: &str) -> Place {
        Place { journal: journal.to_owned(), cluster: "c".to_owned() }
    }

    #[test]
    fn a_template_is_a_pod_with_a_mover() {
        let template = Template::parse("t", TEMPLATE).unwrap();
        assert_eq!((template.namespace(), template.seats(), template.of_snapshots()), ("hindcast", 3, 4));
        for (without, why) in [
            (TEMPLATE.replace("kind: Pod", "kind: Job"), "no Pod"),
            (TEMPLATE.replace("  namespace: hindcast\n", ""), "no namespace"),
            (TEMPLATE.replace("name: mover", "name: main"), "no container"),
            (TEMPLATE.replace("image: hindcast, ", ""), "no image"),
            (TEMPLATE.replace("'3'", "'0'"), "1 to 64"),
            ("a: [".to_owned(), "no YAML"),
        ] {
            let error = Template::parse("t", &without).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn what_is_kept_is_mounted_read_only_where_it_is() {
        let template = Template::parse("t", TEMPLATE).unwrap();
        let marks = Marks { point: "id".into(), name: "p".into(), index: 2, claim: "shop/data".into() };
        let mounted =
            Mounted { node: "n".into(), pod: "u".into(), folder: "volumes/kubernetes.io~csi/pv/mount".into() };
        let labels = json!({"x": "y"});
        let pod = template.keeps(("hindcast-id-2", &labels), &place("s3://b/p"), &marks, &mounted);
        assert_eq!(pod["spec"]["nodeName"], "n");
        let volume = &pod["spec"]["volumes"][0];
        assert_eq!(volume["hostPath"]["path"], "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pv/mount");
        let mover = &pod["spec"]["containers"][1];
        assert_eq!(mover["volumeMounts"][0]["readOnly"], true);
        assert_eq!(
            mover["env"],
            json!([{"name": "A", "value": "b"}, {"name": "HINDCAST_JOURNAL", "value": "s3://b/p"}])
        );
        assert!(pod["spec"]["containers"][0]["args"].is_null());
        assert_eq!(pod["metadata"]["labels"], json!({"team": "platform", "x": "y"}));
        let claim = template.keeps_claim(("n", &labels), &place("s3://b"), &marks, "c", "x");
        assert_eq!(claim["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "c");
        assert_eq!(claim["spec"]["containers"][1]["volumeMounts"][0]["readOnly"], true);
        assert!(claim["spec"]["nodeName"].is_null() && claim["spec"]["affinity"]["podAntiAffinity"].is_object());
        let back = template.puts_back(("n", &labels), &place("s3://b/p"), "abc", "claim");
        assert_eq!(back["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "claim");
        assert_eq!(back["spec"]["containers"][1]["volumeMounts"][0]["readOnly"], false);
    }

    #[test]
    fn the_last_error_of_a_mover_is_told_with_its_remedy() {
        assert_eq!(last_words("{\"done\":1}\nerror: a: b\nhint: c\n"), "error: a: b; hint: c");
        assert_eq!(last_words("one\ntwo\n"), "two");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn how_a_mover_stands_its_own_container_says() {
        let of = |status: Value| Stand::of(&json!({"status": status}));
        let mover = |more: Value| {
            let mut mover = json!({"name": "mover"});
            mover.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([{"name": "aside", "restartCount": 9, "state": {"waiting": {"reason": "Other"}}}, mover])
        };
        assert_eq!(of(json!({"phase": "Succeeded"})), Stand::Done);
        assert_eq!(of(json!({"phase": "Pending"})), Stand::Pending(String::new()));
        let pulls = mover(json!({"state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}));
        let waits = of(json!({"phase": "Pending", "containerStatuses": pulls}));
        assert_eq!(waits, Stand::Pending("ErrImagePull no such".into()));
        let ended = json!({"terminated": {"reason": "Error", "message": "x\nerror: a\nhint: b"}});
        let loops = mover(json!({"restartCount": 4, "state": {"waiting": {"reason": "w"}}, "lastState": ended}));
        assert_eq!(
            of(json!({"phase": "Running", "containerStatuses": loops})),
            Stand::Loops("error: a; hint: b".into())
        );
        let again = mover(json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}));
        let again = of(json!({"phase": "Running", "containerStatuses": again}));
        assert_eq!(again, Stand::Running("CrashLoopBackOff".into()));
        let failed = |status: Value| of(json!({"phase": "Failed", "reason": "Evicted", "containerStatuses": status}));
        assert_eq!(failed(json!([])), Stand::Failed("Evicted".into()));
        let killed = mover(json!({"state": {"terminated": {"reason": "OOMKilled"}}}));
        assert_eq!(failed(killed), Stand::Failed("OOMKilled".into()));
        assert_eq!(of(json!({"phase": "Failed"})), Stand::Failed("nobody said why".into()));
    }

    #[test]
    fn a_folder_is_reached_only_if_the_template_says_how() {
        let template = Template::parse("t", TEMPLATE).unwrap();
        assert!(template.reaches(&place("s3://b")).is_ok());
        assert!(template.reaches(&place("file:///j")).unwrap_err().hint().is_some());
        let told = Template::parse("t", &TEMPLATE.replace("name: A", "name: HINDCAST_JOURNAL")).unwrap();
        assert!(told.reaches(&place("file:///j")).is_ok());
    }
}
