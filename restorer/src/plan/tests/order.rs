//! The order of actions.

use super::scene::Scene;

#[test]
fn configuration_comes_before_workloads_and_deletes_last() {
    let scene = Scene::shop()
        .then("Deployment web", "{}")
        .then("Service web", "{}")
        .then("ConfigMap app", "{}")
        .then("Widget w", "{}")
        .now("ConfigMap stray", "{}")
        .then("RoleBinding r", "{}");
    assert_eq!(
        scene.lines(),
        [
            "create configmap app",
            "create rolebinding r",
            "create service web",
            "create deployment web",
            "create widget w",
            "delete configmap stray"
        ]
    );
}

#[test]
fn a_quota_that_grows_goes_first_and_one_that_shrinks_last() {
    let quota = |pods: &str| format!(r#"{{"spec":{{"hard":{{"pods":"{pods}"}}}}}}"#);
    let scene = |then: &str, now: &str| {
        Scene::shop()
            .then("ResourceQuota q", &quota(then))
            .now("ResourceQuota q", &quota(now))
            .then("Deployment web", "{}")
    };
    assert_eq!(scene("20", "10").lines(), ["update resourcequota q", "create deployment web"]);
    assert_eq!(scene("5", "10").lines(), ["create deployment web", "update resourcequota q"]);
}
