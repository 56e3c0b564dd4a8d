//! A server in a process that may open few files, as `ulimit -n` has it.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::keys::{Served, ask};
use crate::support::Project;

/// `asof serve` where `limit` sets limits. What it says goes to a file.
fn serve(project: &Project, limit: &str) -> Served {
    let said = fs::File::create(project.dir.join("said")).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!(r#"{limit} && exec "$0" "$@""#), env!("CARGO_BIN_EXE_asof")])
        .args(["serve", "--redis", "127.0.0.1:0", "--print-address"])
        .current_dir(&project.dir)
        .env_remove("ASOF_PROJECT")
        .stdin(Stdio::null())
        .stderr(said);
    Served::spawn(&mut command)
}

fn clients_max(peer: &mut TcpStream) -> String {
    assert_eq!(ask(peer, "CONFIG GET maxclients"), "*2");
    let answer: Vec<String> = (0..4).map(|_| ask(peer, "")).collect();
    answer[3].clone()
}

#[test]
fn maxclients_is_what_descriptors_are_left_for_and_a_low_limit_is_raised() {
    let project = Project::shop();
    let server = serve(&project, "ulimit -Sn 200 && ulimit -Hn 800");
    assert_eq!(clients_max(&mut server.connect()), "544");
    let said = fs::read_to_string(project.dir.join("said")).unwrap();
    assert!(said.contains("maxclients is 544 instead of 10000") && said.contains("ulimit -n"), "{said}");
}

#[test]
fn connections_go_on_while_no_descriptor_is_left_for_another() {
    // The loop slept whenever it was told of the connection that it could not take, which was in each of its turns.
    let project = Project::shop();
    let server = serve(&project, "ulimit -n 300");
    let mut first = server.connect();
    assert_eq!(clients_max(&mut first), "150");
    assert_eq!(ask(&mut first, "CONFIG SET maxclients 10000"), "+OK");
    let others: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    let start = Instant::now();
    (0..1_000).for_each(|_| assert_eq!(ask(&mut first, "PING"), "+PONG"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(others);
    assert_eq!(ask(&mut server.connect(), "PING"), "+PONG");
}
