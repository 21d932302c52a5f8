use super::*;

#[test]
fn collections_and_objects_are_where_the_server_has_them() {
    assert_eq!(collection("", "v1", "", "pods"), "/api/v1/pods");
    let deployments = collection("apps", "v1", "shop", "deployments");
    assert_eq!(deployments, "/apis/apps/v1/namespaces/shop/deployments");
    assert_eq!(object(&deployments, "system:a/b"), format!("{deployments}/system%3Aa%2Fb"));
}

#[test]
fn names_with_odd_letters_are_selected_exactly() {
    assert_eq!(by_name("a"), "fieldSelector=metadata.name%3Da");
    assert_eq!(by_name("system:a,b=c"), "fieldSelector=metadata.name%3Dsystem%3Aa%5C%2Cb%5C%3Dc");
}
