//! Scripts about connections: who is there, what state a connection is in, what one connection does to another. Each is played to
//! asof and to a real Redis, and the bytes that came back are compared.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use asof_clients::Server;
use asof_clients::wire::shown;

const PATIENCE: Duration = Duration::from_secs(20);

fn scripts(text: &'static str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| (line, line.split(" ; ").collect()))
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything until the server closes the connection, which it does when it has answered what came before the end.
fn rest(stream: &mut TcpStream, said: &mut Vec<u8>) {
    let _ = stream.shutdown(Shutdown::Write);
    match stream.read_to_end(said) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => said.extend_from_slice(format!("<{error}>").as_bytes()),
    }
}

/// What is each server's own: numbers of clients, instants, ports, versions.
fn without_chance(said: &[u8]) -> String {
    let mut lines: Vec<String> = said.escape_ascii().to_string().split("\\r\\n").map(str::to_owned).collect();
    for at in 0..lines.len() {
        if lines[at] == "id" && lines.get(at + 1).is_some_and(|next| next.starts_with(':')) {
            lines[at + 1] = ":ID".to_owned();
        }
        // $5, and the version of Redis that it is, in HELLO.
        if lines[at] == "version" && at + 2 < lines.len() {
            lines[at + 1] = "$LENGTH".to_owned();
            lines[at + 2] = "VERSION".to_owned();
        }
        // +1719849600.123456 [0 127.0.0.1:4711] "GET" "x"
        let is_monitor = lines[at].starts_with("+1") && lines[at].contains(" [");
        if let (true, Some((_, told))) = (is_monitor, lines[at].split_once(" [")) {
            let (database, told) = told.split_once(' ').unwrap();
            let (_, command) = told.split_once(']').unwrap();
            lines[at] = format!("+TIME [{database} ADDRESS]{command}");
        }
    }
    lines.join("\\r\\n")
}

/// All answers to a script of one connection.
fn play(server: &Server, commands: &[&str]) -> String {
    let mut stream = connect(server);
    let mut said = Vec::new();
    // A server that closes early does not take everything.
    let _ = stream.write_all((commands.join("\r\n") + "\r\n").as_bytes());
    rest(&mut stream, &mut said);
    without_chance(&said)
}

/// All answers to a script of several connections, by connection.
fn play_in_turns(server: &Server, steps: &[&str]) -> Vec<String> {
    let mut connections: BTreeMap<&str, (TcpStream, Vec<u8>)> = BTreeMap::new();
    for step in steps {
        let (who, command) = step.split_once("> ").unwrap_or(("0", step));
        let (stream, said) = connections.entry(who).or_insert_with(|| (connect(server), Vec::new()));
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        // What it was sent before that may come first, and then this answer does without waiting; what is left comes at the end.
        let mut chunk = [0; 1 << 16];
        let length = stream.read(&mut chunk).unwrap();
        said.extend_from_slice(&chunk[..length]);
        // Long enough for what this did to others to have been sent, and short.
        std::thread::sleep(Duration::from_millis(5));
    }
    connections
        .into_values()
        .map(|(mut stream, mut said)| {
            rest(&mut stream, &mut said);
            without_chance(&said)
        })
        .collect()
}

fn compare(text: &'static str, play: impl Fn(&Server, &[&str]) -> Vec<String>) {
    let (asof, redis) = (Server::asof(), Server::redis());
    let mut differences = Vec::new();
    let mut played = 0;
    for (line, commands) in scripts(text) {
        let (ours, theirs) = (play(&asof, &commands), play(&redis, &commands));
        if ours != theirs {
            differences.push(format!("{}\n  asof:  {ours:?}\n  Redis: {theirs:?}", shown(line.as_bytes())));
        }
        played += 1;
    }
    println!("{played} scripts played");
    assert!(differences.is_empty(), "{} of {played} scripts differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn scripts_of_one_connection_are_answered_alike() {
    compare(include_str!("one_connection.txt"), |server, commands| vec![play(server, commands)]);
}

#[test]
fn scripts_of_several_connections_are_answered_alike() {
    compare(include_str!("several_connections.txt"), play_in_turns);
}

/// Streams out of step, and bytes that are no commands.
#[test]
fn what_is_no_protocol_is_answered_alike() {
    let long = "1".repeat(70_000);
    let mut streams: Vec<Vec<u8>> = [
        "\r\n\r\nPING\r\n",
        "PING\n",
        "  ping  \t x \r\n",
        "*0\r\n*-1\r\nPING\r\n",
        "*1\r\n:3\r\n",
        "*abc\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$abc\r\n",
        "*1\r\n$999999999999\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
        "*99999999999999999999\r\n",
        "SET p 1\r\n*1\r\n:1\r\n",
        "*2\r\n$3\r\nDEL\r\n$1\r\np\r\n",
        "*1\r\n$4\r\nPING",
        "*1\r\n$4\r\nPI",
        "*3\r\n$3\r\nSET\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let short = streams.len();
    streams.extend([format!("*{long}"), format!("*1\r\n${long}"), "x".repeat(70_000)].map(String::into_bytes));
    let (asof, redis) = (Server::asof(), Server::redis());
    for (number, stream) in streams.into_iter().enumerate() {
        // What a long line means that ends after all depends on how it arrived.
        let after: &[u8] = if number < short { b"\r\nPING\r\n" } else { b"" };
        for before in ["", "PING\r\nMULTI\r\n"] {
            let bytes = [before.as_bytes(), &stream, after].concat();
            let [ours, theirs] = [&asof, &redis].map(|server| {
                let mut connection = connect(server);
                let mut said = Vec::new();
                let _ = connection.write_all(&bytes);
                rest(&mut connection, &mut said);
                without_chance(&said)
            });
            assert_eq!(ours, theirs, "{}", shown(&bytes));
        }
    }
}
