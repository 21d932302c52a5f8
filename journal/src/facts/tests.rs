use super::*;

#[test]
fn what_one_rule_leaves_out_is_said_in_the_same_words_for_each_kind() {
    let end = |named: &str, resource: &str, group: &str| {
        let kind = Discovery { group: group.to_owned(), resource: resource.to_owned(), ..Discovery::default() };
        let detail = format!(
            "{named} is forbidden: User \"a\" cannot list resource \"{resource}\" in API group \"{group}\" at the cluster scope"
        );
        CoverEnd { reason: Uncovered::Forbidden, detail }.shared(&kind)
    };
    let secrets = end("secrets", "secrets", "");
    assert_eq!(secrets, "forbidden by RBAC (User \"a\" cannot list at the cluster scope)");
    assert_eq!(secrets, end("jobs.batch", "jobs", "batch"));
    let other = CoverEnd { reason: Uncovered::ApiDown, detail: "no endpoints".to_owned() };
    assert_eq!(other.shared(&Discovery::default()), other.words());
}
