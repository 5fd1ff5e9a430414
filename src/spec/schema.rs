//! JSON Schemas of the documents (draft 2020-12), for editors: they complete keys, show what each is for and mark
//! mistakes while a document is written. What needs more than one table to be seen is left to `layerforge check`.

use serde_json::{Map, Value, json};

use super::{DistroDocument, LayerDocument, ProfileDocument};

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// `profiles/NAME.toml`.
    Profile,
    /// `layers/NAME/layer.toml`.
    Layer,
    /// `distros/NAME.toml`.
    Distro,
}

/// The tables whose keys are absolute paths, or templates that render to them.
const PATH_TABLES: [&str; 4] = ["file", "directory", "link", "remove"];

/// Returns the JSON Schema of a kind of document.
pub fn schema(kind: DocumentKind) -> Value {
    let (title, schema) = match kind {
        DocumentKind::Profile => ("layerforge profile", schemars::schema_for!(ProfileDocument)),
        DocumentKind::Layer => ("layerforge layer", schemars::schema_for!(LayerDocument)),
        DocumentKind::Distro => ("layerforge distro description", schemars::schema_for!(DistroDocument)),
    };
    let mut made = schema.to_value();
    without_null(&mut made);
    for table in PATH_TABLES {
        if let Some(Value::Object(table)) = made.pointer_mut(&format!("/properties/{table}")) {
            table.insert("propertyNames".into(), json!({ "pattern": r"^(/|\{\{)" }));
        }
    }
    if kind == DocumentKind::Layer {
        made["required"] = json!(["tier"]);
    }
    made["title"] = title.into();
    first(made, &["$schema", "title", "description"])
}

/// Takes `null` out of every type: TOML has no such value, a key that is not wanted is left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Moves `keys` to the front of an object.
fn first(value: Value, keys: &[&str]) -> Value {
    let Value::Object(mut object) = value else { return value };
    let front: Map<String, Value> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), object.shift_remove(*key)?))).collect();
    front.into_iter().chain(object).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [DocumentKind; 3] = [DocumentKind::Profile, DocumentKind::Layer, DocumentKind::Distro];

    #[test]
    fn every_document_has_its_keys() {
        let keys = KINDS.map(|kind| {
            let schema = schema(kind);
            let keys: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            format!("{}: {}", schema["title"].as_str().unwrap(), keys.join(" "))
        });
        insta::assert_snapshot!(keys.join("\n"), @r#"
        layerforge profile: name version summary extends layers epoch distro from labels packages source output lint variable package user group file link directory remove trigger writable environment process job secret
        layerforge layer: tier summary requires conflicts tree variable package user group file link directory remove trigger writable environment process job secret
        layerforge distro description: title id like family default_release mirrors keyring source facts architecture release
        "#);
    }

    #[test]
    fn every_table_is_closed_and_every_key_explained() {
        for kind in KINDS {
            let schema = schema(kind);
            let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
            for table in tables.filter(|table| table["properties"].is_object()) {
                assert_eq!(table["additionalProperties"], false, "{table}");
                for (key, value) in table["properties"].as_object().unwrap() {
                    assert!(value["description"].is_string(), "`{key}` is not explained");
                }
            }
            assert!(!schema.to_string().contains("null"), "{kind:?}");
        }
    }

    #[test]
    fn keys_of_tables_have_their_rules() {
        let schema = schema(DocumentKind::Profile);
        assert_eq!(schema["properties"]["file"]["additionalProperties"], json!({ "$ref": "#/$defs/FileTable" }));
        assert_eq!(schema["properties"]["file"]["propertyNames"]["pattern"], r"^(/|\{\{)");
        let names: Vec<&String> =
            schema["properties"]["variable"]["patternProperties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["^[a-z_][a-z0-9_]{0,62}$"]);
        assert_eq!(schema["$defs"]["FileTable"]["properties"]["mode"]["type"], "string");
        assert_eq!(schema["$defs"]["ProcessTable"]["properties"]["restart"]["$ref"], "#/$defs/Restart");
    }
}
