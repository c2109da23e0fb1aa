//! The committed contract is the one that the program serves, and keeps what a reader of it may expect.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api_server::{Served, params, running};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

fn document() -> Value {
    serde_json::from_str(&phantomnet::api::openapi_json()).expect("it is JSON")
}

/// Every operation: path, method, what is said of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("methods").clone();
        let path = path.clone();
        item.into_iter()
            .map(move |(method, operation)| (path.clone(), method, operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// `PHANTOMNET_WRITE_OPENAPI=1 cargo test --test main openapi` writes it anew.
#[test]
fn the_committed_document_is_the_one_that_the_handlers_make() {
    let made = phantomnet::api::openapi_json();
    if std::env::var_os("PHANTOMNET_WRITE_OPENAPI").is_some() {
        fs::write(committed(), &made).expect("docs/openapi.json can be written");
    }
    let kept = fs::read_to_string(committed()).expect("docs/openapi.json is tracked");
    assert!(
        kept == made,
        "docs/openapi.json is not what the handlers make; write it anew with \
         PHANTOMNET_WRITE_OPENAPI=1 cargo test --test main openapi"
    );
}

#[test]
fn the_served_document_is_the_committed_one() {
    let served = Served::without_store(&params(), running());
    assert_eq!(served.get("/openapi.json").json(), document());
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    found.insert(to.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_can_go_wrong() {
    let document = document();
    let operations = operations(&document);
    assert_eq!(operations.len(), 29);
    let names: BTreeSet<_> = operations
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), operations.len());
    for (path, method, operation) in &operations {
        let route = format!("{method} {path}");
        assert!(operation["summary"].is_string(), "{route} has no summary");
        assert!(operation["tags"].is_array(), "{route} has no tag");
        let answers = operation["responses"].as_object().expect("answers");
        let has = |status: &str| answers.contains_key(status);
        assert!(has("200") || has("308"), "{route}");
        assert!(has("421") && has("414") && has("422"), "{route}");
        let is_free = matches!(path.as_str(), "/" | "/health/live" | "/openapi.json" | "/docs");
        assert_eq!(has("401"), !is_free, "{route}");
        let takes_body = operation.get("requestBody").is_some();
        assert_eq!(takes_body, method != "get", "{route}");
        assert!(!takes_body || (has("413") && has("415") && has("408")), "{route}");
    }
}

#[test]
fn a_parameter_is_documented_with_the_bounds_that_it_is_held_to() {
    let document = document();
    let served = Served::without_store(&params(), running());
    for (path, method, operation) in operations(&document) {
        if method != "get" || path.contains('{') || path == "/api/stream" {
            continue; // a stream does not end
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let schema = &parameter["schema"];
            let refuses = |value: String| {
                let answer = served.get(&format!("{path}?{name}={value}"));
                let body = answer.json();
                let faults = body["detail"].as_array().cloned().unwrap_or_default();
                answer.status == 422 && faults.iter().any(|fault| fault["loc"][1] == name)
            };
            if let (Some(least), Some(most)) =
                (schema["minimum"].as_f64(), schema["maximum"].as_f64())
            {
                assert!(refuses((least - 1.0).to_string()), "{path} {name} below {least}");
                assert!(refuses((most + 1.0).to_string()), "{path} {name} above {most}");
                assert!(!refuses(least.to_string()) && !refuses(most.to_string()), "{path} {name}");
            }
            for word in schema["enum"].as_array().into_iter().flatten() {
                assert!(!refuses(word.as_str().unwrap().to_owned()), "{path} {name} {word}");
            }
        }
    }
}
