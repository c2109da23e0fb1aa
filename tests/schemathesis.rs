//! The server against what its own document promises: schemathesis makes requests from it, right ones and wrong ones, and
//! judges the answers.

#![cfg(test)]

use std::collections::BTreeSet;
use std::process::Command;

use crate::api_server::Served;
use crate::api_stored::{name, stored};
use crate::support::{folder, python_with};

/// What is looked for: no 5xx, and nothing that the document does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance,unsupported_method,\
     allow_header_conformance,negative_data_rejection";

/// Seconds that it may go on making up requests.
const BUDGET_SECS: &str = "60";

/// A stream does not end, so it has tests of its own. The rules of a few parameters can't be said in a schema (prefixes without
/// host bits, cursors, times in order), so refusing what keeps the schema is no failure.
const LEFT_OUT: &str = "/api/stream";

#[test]
fn no_request_made_from_the_document_gets_an_answer_that_it_does_not_state() {
    let python = python_with("schemathesis", "its own contract, by schemathesis");
    let program = python.with_file_name("st");
    let (served, live) = stored();
    let out = folder();
    // Names that exist, where the generator would never guess one.
    let known = format!(
        "[[operations]]\ninclude-path = \"/api/events/{{id}}\"\nparameters = {{ id = \"{event}\" }}\n\
         [[operations]]\ninclude-path = \"/api/events/{{id}}/explanation\"\nparameters = {{ id = \"{event}\" }}\n\
         [[operations]]\ninclude-path = \"/api/ml/features/{{id}}\"\nparameters = {{ id = \"{event}\" }}\n\
         [[operations]]\ninclude-path = \"/api/events/{{id}}/label\"\nparameters = {{ id = \"{event}\" }}\n\
         [[operations]]\ninclude-path = \"/api/incidents/{{id}}\"\nparameters = {{ id = \"{incident}\" }}\n",
        event = name(&live, 7),
        incident = name(&live, 1),
    );
    let known_names = out.path().join("known.toml");
    std::fs::write(&known_names, known).unwrap();
    let empty = out.path().join("any.toml");
    std::fs::write(&empty, "").unwrap();
    ask(&program, &served, &known_names, "15", out.path());
    ask(&program, &served, &empty, BUDGET_SECS, out.path());
    let answered = served.server().requests().snapshot();
    let succeeded: BTreeSet<&str> =
        answered.iter().filter(|series| series.status < 400).map(|series| &*series.route).collect();
    let document: serde_json::Value =
        serde_json::from_str(&phantomnet::api::openapi_json()).expect("it is JSON");
    let routes = document["paths"].as_object().expect("paths").keys();
    // Names in a body are never those that exist; `api_stored` asks with names that do.
    let left_out = |route: &str| [LEFT_OUT, "/api/ml/features/batch"].contains(&route);
    let missed: Vec<_> =
        routes.filter(|route| !left_out(route) && !succeeded.contains(route.as_str())).collect();
    assert!(missed.is_empty(), "never asked with success: {missed:?}");
    served.stop();
}

fn ask(
    program: &std::path::Path,
    served: &Served,
    config: &std::path::Path,
    seconds: &str,
    folder: &std::path::Path,
) {
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .args(["run", &served.url("/openapi.json"), "--exclude-path", LEFT_OUT])
        .args(["--checks", CHECKS, "--max-time", seconds, "--seed", "1", "--continue-on-failure"])
        .args(["--workers", "1", "--request-timeout", "20", "--warnings", "off"])
        .args(["--suppress-health-check", "all", "--generation-database", "none"])
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .expect("schemathesis can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
}
