//! What objects look like on the wire: JSON in the order in which the API server writes its fields.
//!
//! `@{word}` stands for what an object fills in; line ends and the spaces behind them are left out, since a server
//! sends compact JSON. Not here: who fills in what (`objects`).

/// Fills a template in; a word without a value stays empty.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + values.iter().map(|(_, v)| v.len()).sum::<usize>());
    for line in template.lines() {
        let mut rest = line.trim_start();
        while let Some((before, behind)) = rest.split_once("@{") {
            out.push_str(before);
            let (word, after) = behind.split_once('}').unwrap_or((behind, ""));
            out.push_str(values.iter().find(|(name, _)| *name == word).map_or("", |(_, value)| value));
            rest = after;
        }
        out.push_str(rest);
    }
    out
}

/// Everything around spec, data and status.
pub(super) const OUTER: &str = r#"{"kind":"@{kind}","apiVersion":"@{api}","metadata":{"name":"@{name}",
"namespace":"@{ns}","uid":"@{uid}","resourceVersion":"@{rv}","generation":@{generation},"creationTimestamp":"@{created}",
@{deletion}@{labels}@{managed}},@{body}}"#;

/// The same of a cluster-scoped object.
pub(super) const OUTER_CLUSTER: &str = r#"{"kind":"@{kind}","apiVersion":"@{api}","metadata":{"name":"@{name}",
"uid":"@{uid}","resourceVersion":"@{rv}","generation":@{generation},"creationTimestamp":"@{created}",
@{labels}@{managed}},@{body}}"#;

pub(super) const POD_LABELS: &str = r#""labels":{"app.kubernetes.io/instance":"@{app}","app.kubernetes.io/name":"@{app}",
"app.kubernetes.io/part-of":"shop","pod-template-hash":"@{hash}","team":"@{ns}"},
"annotations":{"checksum/config":"@{sum}","prometheus.io/port":"9102","prometheus.io/scrape":"true"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"@{app}-@{hash}","uid":"@{owner}",
"controller":true,"blockOwnerDeletion":true}]"#;

pub(super) const POD_SPEC: &str = r#""spec":{"volumes":[{"name":"config","configMap":{"name":"@{app}-config","defaultMode":420}},
{"name":"tmp","emptyDir":{}},{"name":"kube-api-access-@{tail}","projected":{"sources":[{"serviceAccountToken":
{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},
{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],
"defaultMode":420}}],"containers":[@{containers}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,
"dnsPolicy":"ClusterFirst","serviceAccountName":"@{app}","serviceAccount":"@{app}",@{node}"securityContext":
{"runAsUser":1000,"runAsNonRoot":true,"fsGroup":1000},"affinity":{"podAntiAffinity":
{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":{"labelSelector":{"matchLabels":
{"app.kubernetes.io/name":"@{app}"}},"topologyKey":"kubernetes.io/hostname"}}]}},"schedulerName":"default-scheduler",
"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},
{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],
"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}"#;

pub(super) const CONTAINER: &str = r#"{"name":"@{name}","image":"registry.local/@{app}/@{name}:v@{version}",
"args":["--config=/etc/app/config.yaml","--listen=:8080","--metrics=:9102"],"ports":[{"name":"http","containerPort":8080,
"protocol":"TCP"},{"name":"metrics","containerPort":9102,"protocol":"TCP"}],"env":[@{env}],"resources":{"limits":
{"cpu":"@{cpu}m","memory":"@{memory}Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"config",
"readOnly":true,"mountPath":"/etc/app"},{"name":"tmp","mountPath":"/tmp"},{"name":"kube-api-access-@{tail}","readOnly":true,
"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"livenessProbe":{"httpGet":{"path":"/live","port":"http",
"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},"readinessProbe":{"httpGet":
{"path":"/ready","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,
"failureThreshold":3},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
"imagePullPolicy":"IfNotPresent","securityContext":{"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true,
"allowPrivilegeEscalation":false}}"#;

pub(super) const POD_STATUS: &str = r#""status":{"observedGeneration":@{generation},"phase":"@{phase}","conditions":[
{"type":"PodReadyToStartContainers","status":"@{up}","lastProbeTime":null,"lastTransitionTime":"@{started}"},
{"type":"Initialized","status":"@{up}","lastProbeTime":null,"lastTransitionTime":"@{started}"},
{"type":"Ready","status":"@{ready}","lastProbeTime":null,"lastTransitionTime":"@{flipped}"@{reason}},
{"type":"ContainersReady","status":"@{ready}","lastProbeTime":null,"lastTransitionTime":"@{flipped}"@{reason}},
{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTransitionTime":"@{created}"}],"hostIP":"10.20.@{host}",
"hostIPs":[{"ip":"10.20.@{host}"}],@{podip}"startTime":"@{created}","containerStatuses":[@{containers}],"qosClass":"Burstable"}"#;

pub(super) const CONTAINER_STATUS: &str = r#"{"name":"@{name}","state":@{state},"lastState":{},"ready":@{is_ready},
"restartCount":@{restarts},"image":"registry.local/@{app}/@{name}:v@{version}",
"imageID":"registry.local/@{app}/@{name}@sha256:@{digest}",@{id}"started":@{is_up},
"volumeMounts":[{"name":"config","mountPath":"/etc/app","readOnly":true,"recursiveReadOnly":"Disabled"},
{"name":"tmp","mountPath":"/tmp"}]}"#;

pub(super) const POD_MANAGED: &str = r#","managedFields":[{"manager":"kube-controller-manager","operation":"Update",
"apiVersion":"v1","time":"@{edited}","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},
"f:checksum/config":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:generateName":{},"f:labels":{".":{},
"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{},"f:team":{}},"f:ownerReferences":
{".":{},"k:{\"uid\":\"@{owner}\"}":{}}},"f:spec":{"f:affinity":{".":{},"f:podAntiAffinity":{}},"f:containers":
{"k:{\"name\":\"app\"}":{".":{},"f:args":{},"f:env":{".":{},"k:{\"name\":\"ENV_0\"}":{".":{},"f:name":{},"f:value":{}},
"k:{\"name\":\"ENV_1\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},
"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{}},"f:name":{},
"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},
"f:protocol":{}}},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},
"f:memory":{}}},"f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/app\"}":{".":{},"f:mountPath":{},"f:name":{}}}}},
"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{".":{},"f:fsGroup":{}},
"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:configMap":{},"f:name":{}}}}}},{"manager":"kubelet","operation":"Update",
"apiVersion":"v1","time":"@{updated}","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":
{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},
"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},
"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},
"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:startTime":{}}},"subresource":"status"}]"#;

/// `managedFields` of what a controller writes and reports on.
pub(super) const TWO_MANAGED: &str = r#","managedFields":[{"manager":"@{manager}","operation":"@{operation}","apiVersion":"@{api}",
"time":"@{edited}","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},
"f:deployment.kubernetes.io/revision":{}},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:team":{}}},"f:spec":{
"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":
{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},
"f:app.kubernetes.io/name":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:args":{},"f:env":{},"f:image":{},
"f:livenessProbe":{},"f:name":{},"f:ports":{},"f:resources":{},"f:volumeMounts":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},
"f:volumes":{}}}}}},{"manager":"@{reporter}","operation":"Update","apiVersion":"@{api}","time":"@{updated}",
"fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:availableReplicas":{},"f:conditions":{".":{},
"k:{\"type\":\"Available\"}":{".":{},"f:lastTransitionTime":{},"f:lastUpdateTime":{},"f:message":{},"f:reason":{},
"f:status":{},"f:type":{}}},"f:observedGeneration":{},"f:readyReplicas":{},"f:replicas":{},"f:updatedReplicas":{}}},
"subresource":"status"}]"#;

/// `managedFields` of what one client writes.
pub(super) const ONE_MANAGED: &str = r#","managedFields":[{"manager":"@{manager}","operation":"@{operation}","apiVersion":"@{api}",
"time":"@{updated}","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{},"f:b":{},"f:c":{}},"f:metadata":
{"f:annotations":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:team":{}}}}}]"#;

pub(super) const LABELS: &str = r#""labels":{"app.kubernetes.io/managed-by":"deployer","app.kubernetes.io/name":"@{app}",
"team":"@{ns}"},"annotations":{"deployment.kubernetes.io/revision":"@{generation}"}"#;

pub(super) const HELM_LABELS: &str =
    r#""labels":{"name":"@{app}","owner":"helm","status":"deployed","version":"@{generation}"}"#;

pub(super) const REPLICATED: &str = r#""spec":{"replicas":@{replicas},"selector":{"matchLabels":{"app.kubernetes.io/name":"@{app}"}},
"template":{"metadata":{"labels":{"app.kubernetes.io/name":"@{app}","team":"@{ns}"}},"spec":{"containers":[@{containers}],
"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","securityContext":{},
"schedulerName":"default-scheduler"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%",
"maxSurge":"25%"}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600}"#;

pub(super) const REPLICATED_STATUS: &str = r#""status":{"observedGeneration":@{generation},"replicas":@{replicas},
"updatedReplicas":@{replicas},"readyReplicas":@{some},"availableReplicas":@{some},"conditions":[{"type":"Progressing",
"status":"True","lastUpdateTime":"@{updated}","lastTransitionTime":"@{created}","reason":"NewReplicaSetAvailable",
"message":"ReplicaSet \"@{app}-@{hash}\" has successfully progressed."},{"type":"Available","status":"@{ready}",
"lastUpdateTime":"@{flipped}","lastTransitionTime":"@{flipped}","reason":"MinimumReplicas",
"message":"Deployment availability of minimum replicas."}]}"#;

pub(super) const NODE_SPEC: &str =
    r#""spec":{"podCIDR":"10.20.@{host}/24","podCIDRs":["10.20.@{host}/24"],"providerID":"metal://@{uid}"}"#;

pub(super) const NODE_STATUS: &str = r#""status":{"capacity":{"cpu":"32","ephemeral-storage":"927Gi","memory":"131072Mi","pods":"110"},
"allocatable":{"cpu":"31","ephemeral-storage":"880Gi","memory":"126976Mi","pods":"110"},"conditions":[@{conditions}],
"addresses":[{"type":"InternalIP","address":"10.20.@{host}"},{"type":"Hostname","address":"@{name}"}],
"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"nodeInfo":{"machineID":"@{hash}","systemUUID":"@{uid}",
"kernelVersion":"6.12.0","osImage":"Debian GNU/Linux 13","containerRuntimeVersion":"containerd://2.1.4",
"kubeletVersion":"v1.36.3","kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"},"images":[@{images}]}"#;

pub(super) const NODE_CONDITION: &str = r#"{"type":"@{type}","status":"@{status}","lastHeartbeatTime":"@{updated}",
"lastTransitionTime":"@{created}","reason":"Kubelet@{type}","message":"kubelet reports @{type} as it should be"}"#;

pub(super) const SLICE: &str =
    r#""addressType":"IPv4","endpoints":[@{endpoints}],"ports":[{"name":"http","protocol":"TCP","port":8080}]"#;

pub(super) const ENDPOINT: &str = r#"{"addresses":["10.20.@{host}"],"conditions":{"ready":@{ready},"serving":@{ready},"terminating":false},
"nodeName":"node-@{node}","targetRef":{"kind":"Pod","namespace":"@{ns}","name":"@{app}-@{tail}","uid":"@{uid}"},"zone":"zone-a"}"#;

pub(super) const CUSTOM: &str = r#""spec":{"source":{"repository":"https://git.local/@{app}.git","path":"deploy/@{app}","revision":"main",
"parameters":[@{env}]},"destination":{"namespace":"@{ns}","server":"https://kubernetes.default.svc"},"interval":"5m0s",
"retry":{"limit":5,"backoff":{"duration":"5s","factor":2,"maxDuration":"3m0s"}}},"status":{"observedGeneration":@{generation},
"lastReconciled":"@{updated}","reconciles":@{count},"health":"@{health}","revision":"@{digest}","conditions":[{"type":"Synced",
"status":"@{ready}","lastTransitionTime":"@{flipped}","reason":"Reconciled","message":"applied revision main@@{digest}"},
{"type":"Healthy","status":"@{ready}","lastTransitionTime":"@{flipped}","reason":"@{health}","message":"all resources looked at"}],
"resources":[@{resources}]}"#;
