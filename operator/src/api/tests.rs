use std::path::PathBuf;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds")
}

fn yaml(definition: &CustomResourceDefinition) -> String {
    let head = "# Made from the types in operator/src/api; `cargo test -p hindcast-operator --lib -- --ignored write_the_definitions` writes it.\n";
    format!("{head}{}", serde_saphyr::to_string(definition).unwrap())
}

#[test]
fn the_definitions_are_those_of_the_types() {
    for (file, definition) in definitions() {
        let kept = std::fs::read_to_string(folder().join(file)).unwrap_or_default();
        assert!(
            kept == yaml(&definition),
            "deploy/crds/{file} differs from its type; `cargo test -p hindcast-operator --lib -- --ignored write_the_definitions` writes it"
        );
    }
}

#[test]
#[ignore = "writes deploy/crds"]
fn write_the_definitions() {
    std::fs::create_dir_all(folder()).unwrap();
    for (file, definition) in definitions() {
        std::fs::write(folder().join(file), yaml(&definition)).unwrap();
    }
}

#[test]
fn every_field_says_what_it_is() {
    for (file, definition) in definitions() {
        let json = serde_json::to_value(&definition).unwrap();
        let schema = &json["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            undescribed(&format!("{file}: {part}"), &schema["properties"][part]);
        }
    }
}

fn undescribed(path: &str, schema: &serde_json::Value) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        assert!(field["description"].is_string(), "{path} has no description");
        undescribed(&path, field);
        undescribed(&path, &field["items"]);
    }
}

#[test]
fn what_a_location_says_has_the_names_of_the_command_line() {
    for (spec, said) in [
        (r#"{"provider": "aws", "aws": {"region": "r", "profile": "p"}}"#, "profile=p,region=r"),
        (
            r#"{"provider": "azure", "azure": {"subscription": "s", "resourceGroup": "g", "authority": "a"}}"#,
            "authority=a,resource-group=g,subscription=s",
        ),
        (r#"{"provider": "gcp", "gcp": {"project": "p", "endpoint": "e"}}"#, "endpoint=e,project=p"),
        // What another provider's member says is not said of this one.
        (r#"{"provider": "aws", "gcp": {"project": "p"}}"#, ""),
    ] {
        let spec: VolumeLocationSpec = serde_json::from_str(spec).unwrap();
        let settings = spec.settings().into_iter().map(|(key, value)| format!("{key}={value}"));
        assert_eq!(settings.collect::<Vec<_>>().join(","), said);
    }
}
