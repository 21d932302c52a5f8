//! The part of JSON Schema that the files in `cli/schemas` use; a word it does not know fails the test.

use serde_json::Value;

/// Checks a document against `cli/schemas/<name>.json`.
pub(crate) fn check(name: &str, document: &str) {
    let path = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let document: Value = serde_json::from_str(document).unwrap_or_else(|e| panic!("{e}: {document}"));
    if let Err(reason) = fits(&schema, &schema, &document, "") {
        panic!("{name}: {reason} in\n{document:#}");
    }
}

fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(rules) = schema else { panic!("a schema is an object: {schema}") };
    for (word, rule) in rules {
        match word.as_str() {
            "$schema" | "$id" | "title" | "$defs" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                fits(root, root.pointer(pointer).unwrap(), value, at)?;
            }
            "const" if rule == value => {}
            "enum" if rule.as_array().unwrap().contains(value) => {}
            "type" => {
                let one = std::slice::from_ref(rule);
                let types = rule.as_array().map_or(one, Vec::as_slice);
                if !types.iter().any(|t| is(t.as_str().unwrap(), value)) {
                    return Err(format!("{at} is no {rule}"));
                }
            }
            "required" => {
                for key in rule.as_array().into_iter().flatten() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        return Err(format!("{at} lacks {key}"));
                    }
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(root, rule, item, &format!("{at}/{n}"))?;
                }
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(key) {
                        fits(root, rule, value, &format!("{at}/{key}"))?;
                    }
                }
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let known = rules.get("properties").is_some_and(|p| p.get(key).is_some());
                    match rule {
                        _ if known => {}
                        Value::Bool(false) => {
                            return Err(format!("{at}/{key} is not in the schema"));
                        }
                        rule => fits(root, rule, value, &format!("{at}/{key}"))?,
                    }
                }
            }
            "const" | "enum" => return Err(format!("{at} is not {rule}")),
            other => panic!("this checker does not know `{other}`"),
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("this checker does not know the type `{other}`"),
    }
}

#[test]
fn the_checker_refuses_what_does_not_fit() {
    let schema: Value = serde_json::from_str(
        r#"{"type":"object","required":["a"],"additionalProperties":false,
        "properties":{"a":{"enum":["x"]},"b":{"type":"array","items":{"type":"integer"}}}}"#,
    )
    .unwrap();
    let fit = |text: &str| fits(&schema, &schema, &serde_json::from_str(text).unwrap(), "").is_ok();
    assert!(fit(r#"{"a":"x","b":[1]}"#));
    for text in [r"{}", r#"{"a":"y"}"#, r#"{"a":"x","c":1}"#, r#"{"a":"x","b":["1"]}"#, "[]"] {
        assert!(!fit(text), "{text}");
    }
}
