//! What the hot path costs, by hand: `cargo test --release -p hindcast-journal measure -- --ignored --nocapture`.
//!
//! The object is a Pod of about 5 KB in the key order of the API server, which is not sorted; the change is
//! of its status. Not a benchmark with statistics, only the order of magnitude.

use std::{fmt::Write, hint::black_box};

use super::{Document, diff_state_bytes, ingest, parse, state_hash};

fn pod(version: u32, restarts: u32, ready: bool) -> String {
    let mut env = String::new();
    for n in 0..24 {
        let comma = if n == 0 { "" } else { "," };
        write!(env, r#"{comma}{{"name":"SETTING_{n}","value":"value-number-{n}"}}"#).unwrap();
    }
    let ready = if ready { "True" } else { "False" };
    let conditions: Vec<String> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .iter()
        .map(|kind| {
            format!(
                r#"{{"type":"{kind}","status":"{ready}","lastProbeTime":null,"lastTransitionTime":"2026-01-01T00:00:{:02}Z"}}"#,
                restarts % 60
            )
        })
        .collect();
    let container = format!(
        r#"{{"name":"app","image":"registry.example/shop/app:1.4.7","args":["--listen=:8080","--verbose=2","--config=/etc/app/config.yaml"],"ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}},{{"name":"metrics","containerPort":9090,"protocol":"TCP"}}],"env":[{env}],"resources":{{"limits":{{"cpu":"500m","memory":"512Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"config","mountPath":"/etc/app"}},{{"name":"data","mountPath":"/var/lib/app"}},{{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/healthz","port":8080,"scheme":"HTTP"}},"initialDelaySeconds":3,"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}"#
    );
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"app-6d5f9c7b8-x2x4q","generateName":"app-6d5f9c7b8-","namespace":"shop","uid":"5f0c8a4e-1111-2222-3333-444455556666","resourceVersion":"{version}","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app":"app","pod-template-hash":"6d5f9c7b8","tier":"front"}},"annotations":{{"checksum/config":"9f86d081884c7d659a2feaa0c55ad015","note":"a \"quoted\" word\n"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-6d5f9c7b8","uid":"9f0c8a4e-1111-2222-3333-444455556666","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:status":{{"f:conditions":{{"k:{{\"type\":\"Ready\"}}":{{".":{{}},"f:lastTransitionTime":{{}},"f:status":{{}}}}}}}}}},"subresource":"status"}}]}},"spec":{{"volumes":[{{"name":"config","configMap":{{"name":"app","defaultMode":420}}}},{{"name":"data","persistentVolumeClaim":{{"claimName":"app"}}}},{{"name":"kube-api-access","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}}],"defaultMode":420}}}}],"containers":[{container}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"app","nodeName":"node-7","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{"phase":"Running","conditions":[{}],"hostIP":"10.0.0.7","podIP":"10.244.3.9","podIPs":[{{"ip":"10.244.3.9"}}],"startTime":"2026-01-01T00:00:00Z","containerStatuses":[{{"name":"app","state":{{"running":{{"startedAt":"2026-01-01T00:00:05Z"}}}},"lastState":{{}},"ready":true,"restartCount":{restarts},"image":"registry.example/shop/app:1.4.7","imageID":"registry.example/shop/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","containerID":"containerd://0123456789abcdef","started":true}}],"qosClass":"Burstable"}}}}"#,
        conditions.join(",")
    )
}

#[expect(clippy::disallowed_methods, reason = "this measures the machine, not the journal")]
fn time(name: &str, mut run: impl FnMut()) {
    // The best of many short batches, so that other work on the machine does not count.
    const ROUNDS: u32 = 50;
    let best = (0..2_000)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            start.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e6
        })
        .fold(f64::MAX, f64::min);
    println!("{name:<28} {best:6.2} µs");
}

#[test]
#[ignore = "prints durations; run it in release"]
fn measure() {
    let (first, second) = (pod(1, 0, true), pod(2, 1, false));
    let (old, new) = (ingest(first.as_bytes()).unwrap(), ingest(second.as_bytes()).unwrap());
    let patch = diff_state_bytes(&old.exact, &new.exact).unwrap();
    println!("received {} B, exact {} B, patch {} B", first.len(), old.exact.len(), patch.len());
    println!("{}", String::from_utf8_lossy(&patch));
    // What others take on the same machine at the same time.
    time("serde_json, validate only", || {
        let read = serde_json::from_slice::<serde::de::IgnoredAny>(black_box(first.as_bytes()));
        drop(black_box(read));
    });
    time("serde_json to Value", || {
        let read = serde_json::from_slice::<serde_json::Value>(black_box(first.as_bytes()));
        drop(black_box(read));
    });
    time("tape (received)", || drop(black_box(Document::parse(black_box(first.as_bytes())))));
    time("tape (canonical)", || drop(black_box(Document::parse(black_box(&old.exact)))));
    time("parse to Value", || drop(black_box(parse(black_box(first.as_bytes())))));
    time("ingest", || drop(black_box(ingest(black_box(first.as_bytes())))));
    time("state_hash", || _ = black_box(state_hash(black_box(&old.exact))));
    time("diff_state_bytes", || {
        drop(black_box(diff_state_bytes(black_box(&old.exact), black_box(&new.exact))));
    });
    time("ingest + hash + diff", || {
        let new = ingest(black_box(second.as_bytes())).unwrap();
        black_box(new.state_hash());
        drop(black_box(diff_state_bytes(black_box(&old.exact), &new.exact)));
    });
    let (base, patch) = (parse(&old.exact).unwrap(), parse(&patch).unwrap());
    time("clone + apply", || {
        let mut base = base.clone();
        super::apply(&mut base, &patch).unwrap();
        drop(black_box(base));
    });
}
