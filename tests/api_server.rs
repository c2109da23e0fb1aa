//! The real HTTP server over a hand-made sensor, for the tests that ask it.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use phantomnet::api::{ApiParams, ApiServer, CaptureStatus, Live};
use phantomnet::store::query::Queries;
use serde_json::Value;

use crate::running::live;

/// A server on a port of its own.
pub(crate) struct Served {
    server: Option<ApiServer>,
    address: SocketAddr,
    agent: ureq::Agent,
    _folder: Option<tempfile::TempDir>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text"))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{}: {error}: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }
}

/// A sensor that runs.
pub(crate) fn running() -> Live {
    let live = live();
    live.capture.change(|capture| {
        *capture = CaptureStatus {
            running: true,
            source: "generator".to_owned(),
            ..CaptureStatus::default()
        };
    });
    live
}

/// What is set for tests: any free port.
pub(crate) fn params() -> ApiParams {
    ApiParams { address: "127.0.0.1:0".parse().expect("an address"), ..ApiParams::default() }
}

impl Served {
    /// A server whose store is not there.
    pub(crate) fn without_store(params: &ApiParams, live: Live) -> Self {
        let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no/such/folder/phantomnet.db");
        let location = format!("sqlite:{}", missing.display()).parse().expect("a place");
        let queries = Queries::open(&location, 2).expect("the store need not be there");
        Self::start(params, live, queries, None)
    }

    /// A server over a store; `folder` is kept as long as the server runs.
    pub(crate) fn start(
        params: &ApiParams,
        live: Live,
        queries: Queries,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let server = ApiServer::start(params, live, queries).expect("the server starts");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        let address = server.address();
        Self { server: Some(server), address, agent: config.into(), _folder: folder }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn server(&self) -> &ApiServer {
        self.server.as_ref().expect("it runs")
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// `GET`, with these headers.
    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(target));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call().expect(target))
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.get_with(target, &[])
    }

    /// Sends JSON.
    pub(crate) fn send(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send_as(method, target, "application/json", body.as_bytes())
    }

    pub(crate) fn send_as(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Answer {
        let request = match method {
            "POST" => self.agent.post(self.url(target)),
            "PATCH" => self.agent.patch(self.url(target)),
            other => panic!("{other}"),
        };
        answer(request.header("Content-Type", kind).send(body).expect(target))
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) fn send_raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end like any other.
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends text as it is and reads until `end` has come.
    pub(crate) fn send_raw_until(&self, text: &str, end: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains(end) {
            match stream.read(&mut chunk).expect("the answer comes") {
                0 => break,
                count => answer.extend_from_slice(&chunk[..count]),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request line and no body, with the right Host; what comes back as text.
    pub(crate) fn ask_raw(&self, method: &str, target: &str) -> String {
        let host = self.address;
        self.send_raw(
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    }

    pub(crate) fn stop(mut self) {
        self.server.take().expect("it runs").stop().expect("it stops in time");
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: body.expect("the answer is whole"),
    }
}
