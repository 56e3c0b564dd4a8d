//! The server as its peers see it: requests as they are written, answers as they come.

mod connections;
mod documents;
mod encoding;
mod feast;
mod hostile;
mod joins;
mod keys;
mod operations;
mod own;
mod platform;
mod writes;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::{HttpOptions, HttpServer, RunningHttp};
use crate::store::TemporaryStore;

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// On a free port.
fn options() -> HttpOptions {
    HttpOptions { address: ([127, 0, 0, 1], 0).into(), project: "fsx".to_owned(), ..HttpOptions::default() }
}

fn serve(store: &TemporaryStore) -> RunningHttp {
    let spool_folder = spool_of(store);
    std::fs::create_dir_all(&spool_folder).unwrap();
    HttpServer::start((**store).clone(), HttpOptions { spool_folder, ..options() }).unwrap()
}

/// Where the server of a temporary store keeps what is too long for memory.
fn spool_of(store: &TemporaryStore) -> PathBuf {
    store.path().with_file_name("spool")
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// A connection that stays open between requests.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn new(server: &RunningHttp) -> Peer {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next answer.
    #[track_caller]
    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(mut chunk) = self.chunk() {
                answer.body.append(&mut chunk);
            }
            return answer;
        }
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// A chunk of an answer; `None` at its end.
    #[track_caller]
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap()];
        self.0.read_exact(&mut chunk).unwrap();
        line.clear();
        self.0.read_line(&mut line).unwrap();
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Sends a request with a body of any kind, and gets its answer.
    #[track_caller]
    fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat());
        self.answer()
    }

    /// Sends a request with a JSON body, or none, and gets its answer.
    #[track_caller]
    fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
        self.answer()
    }

    #[track_caller]
    fn post(&mut self, path: &str, body: &Json) -> Answer {
        self.ask("POST", path, "", &body.to_string())
    }

    /// Everything up to the end of the connection.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}
