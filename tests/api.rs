//! The HTTP server from outside, over real sockets: what it refuses and how it says so, what every answer carries.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use phantomnet::api::{ApiError, ApiParams, ApiServer, Token};
use phantomnet::store::query::Queries;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api_server::{Answer, Served, params, running};
use crate::running::live;

fn served() -> Served {
    Served::without_store(&params(), running())
}

/// The places and kinds of a 422, in their order.
fn faults(answer: &Answer) -> Vec<(Value, String)> {
    assert_eq!(answer.status, 422, "{}", String::from_utf8_lossy(&answer.body));
    let body = answer.json();
    let list = body["detail"].as_array().expect("a list").clone();
    list.into_iter()
        .map(|fault| {
            assert!(fault["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{fault}");
            let kind = fault["type"].as_str().expect("a type").to_owned();
            (fault["loc"].clone(), kind)
        })
        .collect()
}

// --- starting and stopping -------------------------------------------------------------------------------------------

fn no_store() -> Queries {
    let nowhere = "sqlite:/no/such/folder/phantomnet.db".parse().unwrap();
    Queries::open(&nowhere, 1).unwrap()
}

#[test]
fn an_address_that_is_taken_is_named_with_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let params = ApiParams { address, ..params() };
    let error = ApiServer::start(&params, live(), no_store()).unwrap_err();
    assert!(matches!(error, ApiError::Address { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn a_server_that_others_can_reach_does_not_start_without_a_token() {
    let open = ApiParams { address: "0.0.0.0:0".parse().unwrap(), ..params() };
    let error = ApiServer::start(&open, live(), no_store()).unwrap_err();
    assert!(matches!(error, ApiError::Params(_)), "{error:?}");
}

#[test]
fn a_server_stops_soon_though_clients_and_streams_are_open() {
    let served = served();
    let mut stream = TcpStream::connect(served.address()).unwrap();
    let head = format!("GET /api/stream HTTP/1.1\r\nHost: {}\r\n\r\n", served.address());
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let _idle = TcpStream::connect(served.address()).unwrap();
    let mut half = TcpStream::connect(served.address()).unwrap();
    half.write_all(b"GET / HT").unwrap();
    assert_eq!(served.get("/health/live").status, 200);
    let address = served.address();
    let began = Instant::now();
    served.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    TcpStream::connect(address).expect_err("nobody listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.read_to_end(&mut Vec::new()).expect("the stream was closed");
}

#[test]
fn the_servers_threads_stay_on_the_cores_they_are_given() {
    let served = Served::without_store(&ApiParams { cores: vec![0], ..params() }, running());
    assert_eq!(served.get("/health/live").status, 200);
    let mut seen = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        let Ok(status) = std::fs::read_to_string(folder.join("status")) else { continue };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        if field("Name:") == "api" && field("Cpus_allowed_list:") == "0" {
            seen += 1;
        }
    }
    assert!(seen >= 1, "no thread `api` on core 0 alone");
}

#[test]
fn a_client_that_never_finishes_its_request_is_dropped() {
    let served = served();
    let began = Instant::now();
    let answer = served.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(9), "{took:?}");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = served.send_raw(
        b"POST /api/ml/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

// --- who may ask -----------------------------------------------------------------------------------------------------

#[test]
fn a_host_that_is_not_the_servers_name_is_misdirected() {
    let params = ApiParams { hosts: vec!["Sensor.example".to_owned()], ..params() };
    let served = Served::without_store(&params, running());
    for host in ["localhost", "127.0.0.1:8000", "[::1]:8000", "sensor.EXAMPLE", "LOCALHOST:1"] {
        assert_eq!(served.get_with("/health/live", &[("Host", host)]).status, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.", "127.0.0.2", "[::2]"] {
        let answer = served.get_with("/health/live", &[("Host", host)]);
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.json()["detail"].is_string());
    }
    for head in [
        "GET /health/live HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
        "GET http://evil/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let answer = served.send_raw(head.as_bytes());
        let refused = [" 421 ", " 400 "]
            .iter()
            .any(|status| answer.lines().next().is_some_and(|line| line.contains(status)));
        assert!(refused, "{head}: {answer}");
    }
}

#[test]
fn a_token_opens_every_route_and_nothing_else_does() {
    let secret = "0123456789abcdef0123456789abcdef";
    let params = ApiParams { token: Token::new(secret), ..params() };
    let served = Served::without_store(&params, running());
    assert_eq!(served.get("/health/live").status, 200, "a watchdog needs no secret");
    for page in ["/docs", "/docs/", "/openapi.json", "/", "/assets/dashboard.js"] {
        let status = served.get(page).status;
        assert!(matches!(status, 200 | 308), "{page} says nothing of the network: {status}");
    }
    let shown = format!("Bearer {secret}");
    assert_eq!(served.get_with("/health", &[("Authorization", &shown)]).status, 200);
    let longer = format!("{shown}0");
    for wrong in ["", "Bearer", "Bearer ", "Basic abc", secret, &longer, "Bearer 0123456789abcdef"]
    {
        for target in [
            "/assets",
            "/health",
            "/metrics",
            "/api/events",
            "/docsx",
            "/openapi.json/",
            "/nothing",
        ] {
            let answer = served.get_with(target, &[("Authorization", wrong)]);
            assert_eq!(answer.status, 401, "{target} {wrong:?}");
            assert!(
                answer.header("WWW-Authenticate").is_some_and(|text| text.starts_with("Bearer"))
            );
            assert!(answer.json()["detail"].is_string());
        }
    }
}

// --- what every answer carries ---------------------------------------------------------------------------------------

#[test]
fn every_answer_carries_the_headers_that_keep_a_browser_safe() {
    let served = served();
    let targets = [
        "/",
        "/assets/dashboard.js",
        "/health",
        "/api/events",
        "/api/events?limit=0",
        "/nothing",
        "/docs/",
        "/openapi.json",
    ];
    for target in targets {
        let answer = served.get(target);
        let says = |name: &str, text: &str| {
            assert!(
                answer.header(name).is_some_and(|value| value.contains(text)),
                "{target}: {name}: {answer:?}"
            );
        };
        says("X-Content-Type-Options", "nosniff");
        says("Content-Security-Policy", "default-src 'self'");
        says("Content-Security-Policy", "frame-ancestors 'none'");
        says("Referrer-Policy", "no-referrer");
        assert!(answer.header("Access-Control-Allow-Origin").is_none(), "{target}");
        let unsafe_styles = answer.header("Content-Security-Policy").unwrap().contains("unsafe");
        assert_eq!(unsafe_styles, target == "/docs/", "{target}");
        let is_kept = ["/", "/assets/dashboard.js", "/openapi.json"].contains(&target);
        says("Cache-Control", if is_kept { "no-cache" } else { "no-store" });
    }
}

#[test]
fn what_seldom_changes_is_asked_for_by_its_tag() {
    let served = served();
    for target in ["/openapi.json", "/api/ml/schema", "/api/ml/model", "/", "/assets/dashboard.css"]
    {
        let first = served.get(target);
        assert_eq!(first.status, 200, "{target}");
        let tag = first.header("ETag").expect("a tag").to_owned();
        let again = served.get_with(target, &[("If-None-Match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
        assert_eq!(again.header("ETag"), Some(&*tag));
        assert_eq!(served.get_with(target, &[("If-None-Match", "\"other\"")]).status, 200);
        assert_eq!(served.get_with(target, &[("If-None-Match", "garbage")]).status, 200);
    }
}

#[test]
fn answers_are_compressed_for_those_who_can_read_it() {
    let served = served();
    let plain = served.get("/openapi.json");
    let packed = served.get_with("/openapi.json", &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert!(packed.body.len() * 3 < plain.body.len());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    let stream = served.send_raw_until(
        "GET /api/stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n",
        "\r\n\r\n",
    );
    assert!(stream.contains("text/event-stream") && !stream.contains("gzip"), "{stream}");
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let served = served();
    for target in ["/", "/health", "/api/ml/schema", "/api/events?limit=0", "/docs/"] {
        let got = served.ask_raw("GET", target);
        let head = served.ask_raw("HEAD", target);
        let status = |answer: &str| answer.lines().next().unwrap_or_default().to_owned();
        assert_eq!(status(&head), status(&got), "{target}");
        let (_, body) = head.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, "", "{target}");
    }
}

#[test]
fn who_asks_for_the_head_of_the_stream_takes_no_seat() {
    let served = served();
    for _ in 0..40 {
        let head = served.ask_raw("HEAD", "/api/stream");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    }
    let wrong = served.ask_raw("HEAD", "/api/stream?last_event_id=17");
    assert!(wrong.starts_with("HTTP/1.1 422"), "{wrong}");
    let stream =
        served.send_raw_until("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n", "\r\n\r\n");
    assert!(stream.starts_with("HTTP/1.1 200"), "{stream}");
}

#[test]
fn who_accepts_no_encoding_that_there_is_gets_the_plain_one() {
    let served = served();
    for stated in ["br, identity;q=0", "*;q=0", "zstd;q=1, *;q=0"] {
        let answer = served.get_with("/api/ml/schema", &[("Accept-Encoding", stated)]);
        assert_eq!((answer.status, answer.header("Content-Encoding")), (200, None), "{stated}");
        answer.json();
    }
}

#[test]
fn the_front_page_is_html_for_people_and_json_for_programs() {
    let served = served();
    let kind = |accept: &str| {
        let answer = served.get_with("/", &[("Accept", accept)]);
        assert_eq!(answer.status, 200);
        answer.header("Content-Type").unwrap().to_owned()
    };
    for html in [
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json;q=0.1,text/html",
    ] {
        assert!(kind(html).starts_with("text/html"), "{html}");
    }
    for json in ["application/json", "application/*", "text/html;q=0.5,application/json"] {
        assert_eq!(kind(json), "application/json", "{json}");
    }
    let greeting = served.get_with("/", &[("Accept", "application/json")]).json();
    assert_eq!(greeting["message"], "PhantomNet sensor: ONLINE");
    assert_eq!(greeting["version"], env!("CARGO_PKG_VERSION"));
}

// --- what is refused -------------------------------------------------------------------------------------------------

#[test]
fn a_wrong_parameter_is_named_with_its_value_and_rule() {
    let served = served();
    let cases = [
        ("/api/events?limit=0", "limit", "out_of_range"),
        ("/api/events?limit=1001", "limit", "out_of_range"),
        ("/api/events?limit=99999999999999999999", "limit", "out_of_range"),
        ("/api/events?limit=-1", "limit", "whole_number"),
        ("/api/events?limit=", "limit", "whole_number"),
        ("/api/events?limit=%2B5", "limit", "whole_number"),
        ("/api/events?limit=5&limit=5", "limit", "repeated"),
        ("/api/events?page=2", "page", "unknown"),
        ("/api/events?Limit=2", "Limit", "unknown"),
        ("/api/events?threat=malicious", "threat", "enum"),
        ("/api/events?verdict=LOW", "verdict", "enum"),
        ("/api/events?threat=BENIGN&verdict=HIGH", "verdict", "contradiction"),
        ("/api/events?protocol=tcpp", "protocol", "protocol"),
        ("/api/events?protocol=256", "protocol", "protocol"),
        ("/api/events?src_ip=192.0.2.300", "src_ip", "network"),
        ("/api/events?src_ip=192.0.2.0/33", "src_ip", "network"),
        ("/api/events?src_ip=192.0.2.7/24", "src_ip", "host_bits"),
        ("/api/events?dst_ip=2001:db8::1/64", "dst_ip", "host_bits"),
        ("/api/events?dst_ip=::1/", "dst_ip", "network"),
        ("/api/events?port=65536", "port", "out_of_range"),
        ("/api/events?port=22.0", "port", "whole_number"),
        ("/api/events?min_score=1.01", "min_score", "out_of_range"),
        ("/api/events?min_score=1.0000000000000002", "min_score", "out_of_range"),
        ("/api/events?min_score=-1e-60", "min_score", "out_of_range"),
        ("/api/events?min_score=NaN", "min_score", "out_of_range"),
        ("/api/events?min_score=inf", "min_score", "out_of_range"),
        ("/api/events?from=yesterday", "from", "moment"),
        ("/api/events?from=2026-01-31T12:00:00", "from", "moment"),
        ("/api/events?from=2026-01-31T12:00:00+01:00", "from", "moment"),
        ("/api/events?from=2026-02-30T12:00:00Z", "from", "moment"),
        ("/api/events?from=2026-01-31T12:00:00Z[UTC]", "from", "moment"),
        ("/api/events?to=9999-01-01T00:00:00Z", "to", "out_of_range"),
        ("/api/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to", "reversed"),
        ("/api/events?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "to", "reversed"),
        ("/api/events?rule=4294967296", "rule", "out_of_range"),
        ("/api/events?cursor=AAAA", "cursor", "cursor"),
        ("/api/events?cursor=", "cursor", "cursor"),
        ("/api/events?cursor=%FF", "cursor", "encoding"),
        ("/api/events?reason=%zz", "reason", "unknown"),
        ("/api/events?%ff=1", "%ff", "encoding"),
        ("/api/events?limit=%4", "limit", "encoding"),
        ("/api/timeline?buckets=1001", "buckets", "out_of_range"),
        ("/api/stats?limit=1", "limit", "unknown"),
        ("/api/sources?network=192.0.2.1/8", "network", "host_bits"),
        ("/api/sessions?state=closed", "state", "enum"),
        ("/api/incidents?state=idle", "state", "enum"),
        ("/api/incidents?kind=a%20b", "kind", "kind"),
        ("/api/accounting?limit=101", "limit", "out_of_range"),
        ("/api/stream?last_event_id=17", "last_event_id", "id"),
        ("/health?verbose=1", "verbose", "unknown"),
        ("/?a", "a", "unknown"),
        ("/metrics?x=", "x", "unknown"),
    ];
    for (target, name, kind) in cases {
        let found = faults(&served.get(target));
        assert_eq!(found, [(json!(["query", name]), kind.to_owned())], "{target}");
    }
    let answer = served.get("/api/events?limit=0").json();
    let expected = json!({"detail": [{
        "loc": ["query", "limit"],
        "msg": "must be a whole number from 1 to 1000",
        "input": "0",
        "type": "out_of_range",
    }]});
    assert_eq!(answer, expected);
}

#[test]
fn a_value_that_does_not_fit_the_others_is_named_too() {
    let served = served();
    for (target, input) in [
        ("/api/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("/api/events?cursor=AAAA", "AAAA"),
        ("/api/events?threat=BENIGN&verdict=HIGH", "HIGH"),
        ("/api/stream?last_event_id=17", "17"),
    ] {
        assert_eq!(served.get(target).json()["detail"][0]["input"], input, "{target}");
    }
    let named = served.get_with("/api/stream", &[("Last-Event-ID", "18")]).json();
    assert_eq!(named["detail"][0]["loc"], json!(["header", "Last-Event-ID"]));
    assert_eq!(named["detail"][0]["input"], "18");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let served = served();
    let answer = served.get("/api/events?limit=0&port=x&nonsense=1&src_ip=a&limit=3");
    let places: Vec<_> = faults(&answer).into_iter().map(|(place, _)| place[1].clone()).collect();
    assert_eq!(places, ["src_ip", "port", "limit", "nonsense"]);
    let many = "&a=1".repeat(100);
    let answer = served.get(&format!("/api/events?{many}"));
    assert!(faults(&answer).iter().any(|(_, kind)| kind == "too_many"));
}

#[test]
fn what_is_right_is_let_through_to_the_store() {
    let served = served();
    let targets = [
        "/analyze-traffic",
        "/api/events",
        "/api/events?",
        "/api/events?limit=1000&threat=SUSPICIOUS&verdict=HIGH&protocol=icmpv6&src_ip=::ffff:0:0/96&dst_ip=0.0.0.0/0",
        "/api/events?port=0&min_score=1e-1&from=2026-01-31t12:00:00.5z&to=2026-01-31T12:00:00.6%2B00:00&rule=0",
        "/api/events/0192a3b4c5d6e7f8-17",
        "/api/events/0192a3b4c5d6e7f8-17/explanation",
        "/api/stats",
        "/api/timeline?buckets=1",
        "/api/ml/features/0192a3b4c5d6e7f8-17",
        "/api/sources",
        "/api/sources/2001:db8::1",
        "/api/sessions?verdict=HIGH&state=open",
        "/api/incidents?state=open&subject=192.0.2.1&kind=network-scan",
    ];
    for target in targets {
        let answer = served.get(target);
        assert_eq!(answer.status, 503, "{target}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.header("Retry-After").is_some(), "{target}");
        assert!(answer.json()["detail"].is_string(), "{target}");
    }
}

#[test]
fn a_name_that_can_be_none_is_refused() {
    let served = served();
    for id in [
        "1",
        "x-1",
        "0192a3b4c5d6e7f8-",
        "f192a3b4c5d6e7f8-1",
        "%ff%fe",
        "..%2f..",
        "0192a3b4c5d6e7f8-1%00",
    ] {
        for route in ["/api/events/{}", "/api/events/{}/explanation", "/api/ml/features/{}"] {
            let found = faults(&served.get(&route.replace("{}", id)));
            assert_eq!(found, [(json!(["path", "id"]), "id".to_owned())], "{route} {id}");
        }
    }
    for ip in ["192.0.2.0%2F24", "localhost", "256.1.1.1", "%00"] {
        let found = faults(&served.get(&format!("/api/sources/{ip}")));
        assert_eq!(found, [(json!(["path", "ip"]), "address".to_owned())], "{ip}");
    }
    let id = "0192a3b4c5d6e7f8-17";
    let found = faults(&served.get(&format!("/api/events/{id}?full=1")));
    assert_eq!(found, [(json!(["query", "full"]), "unknown".to_owned())]);
}

#[test]
fn a_route_that_does_not_exist_is_404_and_another_method_is_405() {
    let served = served();
    for target in [
        "/nothing",
        "/api",
        "/api/",
        "/api/events/",
        "/api/events/1/2/3",
        "/docs/nothing.js",
        "/metrics/",
    ] {
        let answer = served.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.json()["detail"].is_string());
    }
    let cases = [
        ("POST", "/api/events", "GET, HEAD"),
        ("DELETE", "/api/events/0192a3b4c5d6e7f8-17", "GET, HEAD"),
        ("GET", "/api/ml/score", "POST"),
        ("GET", "/api/ml/features/batch", "POST"),
        ("GET", "/api/incidents/0192a3b4c5d6e7f8-17", "PATCH"),
        ("HEAD", "/api/ml/score", "POST"),
        ("PUT", "/", "GET, HEAD"),
        ("OPTIONS", "/api/stats", "GET, HEAD"),
        ("TRACE", "/api/stats", "GET, HEAD"),
        ("BREW", "/metrics", "GET, HEAD"),
        ("POST", "/docs/index.html", "GET, HEAD"),
    ];
    for (method, target, allow) in cases {
        let answer = served.ask_raw(method, target);
        assert!(answer.starts_with("HTTP/1.1 405"), "{method} {target}: {answer}");
        let allowed = answer
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("allow: ").map(str::to_owned));
        assert_eq!(allowed, Some(allow.to_ascii_lowercase()), "{method} {target}");
    }
}

#[test]
fn a_body_must_be_json_of_its_form() {
    let served = served();
    let id = "0192a3b4c5d6e7f8-17";
    let label = &*format!("/api/events/{id}/label");
    let incident = &*format!("/api/incidents/{id}");
    let (batch, score) = ("/api/ml/features/batch", "/api/ml/score");
    let long = format!("{{\"label\":\"benign\",\"note\":\"{}\"}}", "é".repeat(2001));
    let cases = [
        ("POST", label, "{", json!(["body"]), "json"),
        ("POST", label, "", json!(["body"]), "json"),
        ("POST", label, "{\"label\":\"benign\"}x", json!(["body"]), "json"),
        ("POST", label, "[\"benign\", null]", json!(["body"]), "field"),
        (
            "POST",
            score,
            "{\"rows\":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]]}",
            json!(["body", "rows", 0]),
            "field",
        ),
        ("POST", label, "null", json!(["body"]), "field"),
        ("POST", label, "{}", json!(["body"]), "field"),
        ("POST", label, "{\"label\":\"bad\"}", json!(["body", "label"]), "enum"),
        ("POST", label, "{\"label\":7}", json!(["body", "label"]), "field"),
        ("POST", label, "{\"label\":\"benign\",\"label\":\"benign\"}", json!(["body"]), "field"),
        ("POST", label, "{\"label\":\"benign\",\"by\":\"me\"}", json!(["body", "by"]), "field"),
        ("POST", label, &long, json!(["body", "note"]), "too_long"),
        (
            "POST",
            label,
            "{\"label\":\"benign\",\"note\":\"\\u0000\"}",
            json!(["body", "note"]),
            "character",
        ),
        ("PATCH", incident, "{}", json!(["body"]), "missing"),
        ("PATCH", incident, "{\"state\":\"done\"}", json!(["body", "state"]), "enum"),
        ("POST", batch, "{\"ids\":[]}", json!(["body", "ids"]), "too_many"),
        (
            "POST",
            batch,
            "{\"ids\":[\"0192a3b4c5d6e7f8-17\",\"x\"]}",
            json!(["body", "ids", 1]),
            "id",
        ),
        (
            "POST",
            batch,
            "{\"ids\":[\"0192a3b4c5d6e7f8-1\",\"0192a3b4c5d6e7f8-01\"]}",
            json!(["body", "ids", 1]),
            "repeated",
        ),
        ("POST", batch, "{\"ids\":[1]}", json!(["body", "ids", 0]), "field"),
        ("POST", score, "{\"rows\":[]}", json!(["body", "rows"]), "too_many"),
        ("POST", score, "{\"rows\":[{}]}", json!(["body", "rows", 0]), "field"),
        (
            "POST",
            score,
            "{\"rows\":[{\"packet_length\":\"60\"}]}",
            json!(["body", "rows", 0, "packet_length"]),
            "field",
        ),
    ];
    for (method, target, body, place, kind) in cases {
        let found = faults(&served.send(method, target, body));
        assert_eq!(found, [(place, kind.to_owned())], "{target} {body}");
    }
}

#[test]
fn an_answer_never_lists_faults_without_end() {
    let served = served();
    let many = |count: usize| json!({ "ids": vec![""; count] });
    let over = served.send("POST", "/api/ml/features/batch", &many(100_000).to_string());
    let detail = over.json()["detail"].as_array().unwrap().clone();
    assert_eq!((over.status, detail.len()), (422, 1), "{}", detail[0]);
    let wrong = served.send("POST", "/api/ml/features/batch", &many(1_000).to_string());
    let detail = wrong.json()["detail"].as_array().unwrap().clone();
    assert_eq!((wrong.status, detail.len()), (422, 101));
    assert!(detail[100]["msg"].as_str().unwrap().contains("900 more"), "{}", detail[100]);
}

#[test]
fn a_body_must_be_called_json_so_that_no_form_of_another_site_can_send_it() {
    let served = served();
    let label = "/api/events/0192a3b4c5d6e7f8-17/label";
    let form = served.send_as("POST", label, "application/x-www-form-urlencoded", b"label=benign");
    assert_eq!(form.status, 415);
    let text = served.send_as("POST", label, "text/plain", b"{\"label\":\"benign\"}");
    assert_eq!(text.status, 415);
    let typed =
        served.send_as("POST", label, "Application/JSON; charset=utf-8", b"{\"label\":\"benign\"}");
    assert_eq!(typed.status, 503, "it would be stored");
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let served = served();
    let large = vec![b' '; (64 << 10) + 1];
    let label = "/api/events/0192a3b4c5d6e7f8-17/label";
    let head = |target: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let answer = served.send_raw(head(label, large.len()).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let answer = served.send_raw(head("/api/ml/score", 1 << 40).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let mut chunked = format!(
        "POST {label} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        large.len()
    )
    .into_bytes();
    chunked.extend(&large);
    chunked.extend(b"\r\n");
    let answer = served.send_raw(&chunked);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let score = served.send_as("POST", "/api/ml/score", "application/json", &vec![b' '; 1 << 20]);
    assert_eq!(score.status, 422, "a mebibyte is read");
}

#[test]
fn an_address_that_is_too_long_is_refused() {
    let served = served();
    assert_eq!(served.get(&format!("/api/events?cursor={}", "a".repeat(9_000))).status, 414);
    let answer = served.ask_raw("GET", &format!("/{}", "a".repeat(70_000)));
    let status = answer.lines().next().unwrap_or_default();
    assert!(["414", "431", "400"].iter().any(|code| status.contains(code)), "{status}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_query_string_breaks_the_server(
        query in "[ -~&&[^ \"<>`#{}|\\\\^]]{0,80}|((limit|cursor|from|to|src_ip|port|min_score|threat|rule|protocol)=[!-~&&[^&#\"<>`{}|\\\\^]]{0,20}&?){0,5}",
        route in prop::sample::select(vec!["/api/events", "/api/timeline", "/api/sources", "/api/stats", "/api/accounting", "/"]),
    ) {
        let served = shared();
        let answer = served.get(&format!("{route}?{query}"));
        prop_assert!([200, 422, 503].contains(&answer.status), "{} {}", answer.status, query);
    }
}

/// One server for all cases of a property.
fn shared() -> &'static Served {
    static SERVED: std::sync::OnceLock<Served> = std::sync::OnceLock::new();
    SERVED.get_or_init(served)
}

// --- what needs no store ---------------------------------------------------------------------------------------------

#[test]
fn the_sensor_is_degraded_without_its_store_and_not_ready_without_its_capture() {
    let served = served();
    for target in ["/health", "/health/ready"] {
        let answer = served.get(target);
        assert_eq!(answer.status, 200, "{target}");
        let health = answer.json();
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["database"]["status"], "down");
        assert_eq!(health["capture"]["status"], "running");
        assert_eq!(health["workers"].as_array().map(Vec::len), Some(2));
        assert_eq!(health["model"]["sha256"].as_str().map(str::len), Some(64));
    }
    let stopped = Served::without_store(&params(), live());
    assert_eq!(stopped.get("/health").status, 503);
    assert_eq!(stopped.get("/health/ready").json()["status"], "error");
    assert_eq!(stopped.get("/health/live").status, 200);
}

#[test]
fn accounts_are_given_without_the_store() {
    let live = running();
    live.collector.change(|stats| {
        stats.totals.dequeued = 5;
        stats.totals.packets = 4;
    });
    let served = Served::without_store(&params(), live);
    let accounts = served.get("/api/accounting").json();
    assert_eq!(accounts["ledgers"], Value::Null);
    assert!(accounts["note"].is_string());
    assert_eq!(accounts["unaccounted"], 1 + 4, "{accounts}");
    let sums = accounts["sums"].as_array().unwrap();
    let broken: Vec<_> =
        sums.iter().filter(|sum| sum["exact"] == true && sum["difference"] != 0).collect();
    assert_eq!(broken.len(), 2, "{broken:?}");
}

/// To the bit, as a client reads the shortest form.
fn float(value: &Value) -> f32 {
    serde_json::from_value(value.clone()).expect("a number")
}

#[test]
fn rows_are_scored_as_the_model_scores_them() {
    let live = running();
    let detection = live.detection();
    let served = Served::without_store(&params(), live);
    let schema = served.get("/api/ml/schema").json();
    let names: Vec<&str> = schema["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    let row = phantomnet::features::FeatureVector(std::array::from_fn(|at| 0.1 + at as f32));
    let named: serde_json::Map<String, Value> =
        names.iter().zip(row.0).map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let answer = served.send("POST", "/api/ml/score", &json!({"rows": [named, named]}).to_string());
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    let model = detection.model();
    let score = model.score(&row);
    for scored in answer.json()["rows"].as_array().unwrap() {
        let near = |shown: &Value, expected: f32| assert_eq!(float(shown), expected);
        near(&scored["anomaly_score"], score.value());
        near(&scored["ai_score"], model.ai_score(score));
        near(&scored["model_risk"], model.risk(score));
        near(&scored["confidence"]["quantile"], model.quantile(score));
        assert_eq!(scored["confidence"]["calibration_rows"], json!(model.calibration_rows()));
    }
    assert!(
        String::from_utf8_lossy(&answer.body)
            .contains(&format!("\"anomaly_score\":{},", score.value()))
    );
}

#[test]
fn the_model_is_shown_with_its_calibration() {
    let live = running();
    let detection = live.detection();
    let shown = Served::without_store(&params(), live).get("/api/ml/model").json();
    let model = detection.model();
    assert_eq!(shown["sha256"], model.sha256());
    assert_eq!(shown["training"]["ranges"].as_array().map(Vec::len), Some(15));
    for entry in shown["calibration"]["quantiles"].as_array().unwrap() {
        let at = |key: &str| float(&entry[key]);
        let (quantile, score) = (at("quantile"), at("anomaly_score"));
        let reached =
            |score: f32| model.quantile(phantomnet::model::AnomalyScore::new(score).unwrap());
        assert!(reached(score) >= quantile, "{entry}");
        assert!(reached(score.next_down()) < quantile, "{entry}");
    }
}

#[test]
fn the_page_to_try_the_api_needs_nothing_from_elsewhere() {
    let served = served();
    let moved = served.get("/docs");
    assert_eq!((moved.status, moved.header("Location")), (308, Some("/docs/")));
    let page = served.get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("//"), "{html}");
    for file in ["swagger-initializer.js", "swagger-ui.css", "swagger-ui-bundle.js", "index.css"] {
        let answer = served.get(&format!("/docs/{file}"));
        assert_eq!(answer.status, 200, "{file}");
    }
    let start = String::from_utf8(served.get("/docs/swagger-initializer.js").body).unwrap();
    assert!(start.contains("/openapi.json"), "{start}");
}

#[test]
fn requests_are_counted_by_route_and_never_by_what_a_client_wrote() {
    let served = served();
    served.get("/api/events/0192a3b4c5d6e7f8-17");
    served.get("/api/events/0192a3b4c5d6e7f8-18");
    served.get("/api/%65vents");
    served.get("/secret/17");
    served.get("/secret/18");
    served.ask_raw("BREW", "/api/stats");
    let counted: Vec<_> = served
        .server()
        .requests()
        .snapshot()
        .into_iter()
        .map(|series| {
            (
                series.route.to_string(),
                series.method,
                series.status,
                series.nanos.counts.iter().sum::<u64>(),
            )
        })
        .collect();
    let expected = [
        ("/api/events", "GET", 503, 1),
        ("/api/events/{id}", "GET", 503, 2),
        ("/api/stats", "other", 405, 1),
        ("unmatched", "GET", 404, 2),
    ]
    .map(|(route, method, status, count)| (route.to_owned(), method, status, count));
    assert_eq!(counted, expected);
}
