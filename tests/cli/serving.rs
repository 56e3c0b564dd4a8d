//! `asof serve`: what it is told by whom, what it says of that, what its log tells, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::support::Project;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and the address that it said first.
fn serve(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> (Child, String) {
    let arguments = [&["serve", "--print-address"], arguments].concat();
    let mut command = project.command(&arguments);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

/// Sends a signal, and gives what the server said on standard error until it ended, and whether it ended well.
fn end(mut child: Child, signals: usize) -> (String, bool) {
    for _ in 0..signals {
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    let began = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(began.elapsed() < PATIENCE, "it does not end"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (said, status.success())
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_says_what_it_was_told_and_by_whom_and_tells_of_requests() {
    let project = Project::shop();
    let mut file = std::fs::read_to_string(project.path("asof.toml")).unwrap();
    file.push_str("\n[serve]\nredis = \"127.0.0.1:0\"\nlog_format = \"json\"\nrequests_per_second = 7\n");
    project.put("asof.toml", file);
    let environment = [("ASOF_SERVE_HTTP", "127.0.0.1:0"), ("ASOF_SERVE_REQUESTS_PER_SECOND", "8")];
    let (child, line) = serve(&project, &["--redis", "off", "--log", "info"], &environment);
    let address = line.strip_prefix("http ").unwrap_or_else(|| panic!("{line}"));
    let secret = "asof_0123456789ab_never-to-be-told";
    let answer = ask(
        address,
        &format!(
            "GET /v1/views?secret={secret} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: seen-1\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        ),
    );
    assert!(answer.contains("x-request-id: seen-1"), "{answer}");
    let (said, is_well) = end(child, 1);
    assert!(is_well, "{said}");
    let log: Vec<Json> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for told in [
        "redis = off (--redis)",
        "http = 127.0.0.1:0 (ASOF_SERVE_HTTP)",
        "requests_per_second = 8 (ASOF_SERVE_REQUESTS_PER_SECOND)",
        "log_format = json ([serve] in asof.toml)",
        "http_connections = 10000 (default)",
    ] {
        assert!(log.iter().any(|line| line["message"] == told && line["timestamp"].is_string()), "{told}: {said}");
    }
    let line = log.iter().find(|line| line["request_id"] == "seen-1").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((line["path"].as_str(), line["level"].as_str()), (Some("/v1/views"), Some("INFO")), "{line}");
    assert!(line["status"].is_u64() && line["took_us"].is_u64() && line["timestamp"].is_string(), "{line}");
    assert!(!said.contains("never-to-be-told"), "a secret is in the log: {said}");
}

/// As systemd reloads it: without a certificate there is nothing to be read again, and it goes on.
#[test]
fn a_server_that_is_told_to_read_again_goes_on() {
    let project = Project::shop();
    let (child, line) = serve(&project, &["--http", "127.0.0.1:0", "--log", "info"], &[]);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let address = line.strip_prefix("http ").unwrap();
    let answer = ask(address, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (said, is_well) = end(child, 1);
    assert!(is_well && said.contains("there is no certificate to be read again"), "{said}");
}

#[test]
fn a_second_signal_ends_a_server_that_waits_for_a_request() {
    let project = Project::shop();
    let (child, line) = serve(&project, &["--http", "127.0.0.1:0"], &[]);
    let mut stream = TcpStream::connect(line.strip_prefix("http ").unwrap()).unwrap();
    // It is under way, and does not end.
    stream
        .write_all(b"POST /v1/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut go_on = [0; 12];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    let began = Instant::now();
    let (said, is_well) = end(child, 2);
    assert!(!is_well && began.elapsed() < Duration::from_secs(8), "{said}");
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_served() {
    let project = Project::shop();
    for (arguments, says) in [
        (&["--http", "localhost"][..], "'localhost' is no address"),
        (&["--log", "loud"], "error, warn, info, debug"),
        (&["--requests-per-second", "-1"], "-1"),
    ] {
        project.run(&[&["serve"], arguments].concat()).fails(2, &[says]);
    }
    project.run(&["serve", "--http", "off", "--redis", "off"]).fails(2, &["nothing is left to serve"]);
}
