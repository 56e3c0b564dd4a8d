//! Keys from the command line, and the server that asks for them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// `asof serve` on a free port, killed when it is dropped.
pub struct Served {
    process: Child,
    address: String,
}

impl Served {
    pub fn start(project: &Project, arguments: &[&str]) -> Served {
        let arguments = [&["serve", "--redis", "127.0.0.1:0", "--print-address"], arguments].concat();
        Served::spawn(project.command(&arguments).stderr(Stdio::null()))
    }

    /// A command that serves, and prints where.
    pub fn spawn(command: &mut Command) -> Served {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("redis ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Served { process, address }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn ask(stream: &mut TcpStream, command: &str) -> String {
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[test]
fn a_key_is_shown_once_and_listed_without_it() {
    let project = Project::shop();
    let made = project.run(&["key", "create", "feast", "--scope", "read,write", "--view", "profile"]).done().stdout();
    let key = made.trim();
    assert!(key.starts_with("asof_") && !key.contains(char::is_whitespace), "{key}");
    let listed = project.run(&["--format", "json", "key", "list"]).done();
    assert!(!listed.stdout().contains(&key[18..]));
    let listed = &listed.json()[0];
    assert_eq!(listed["name"], "feast");
    assert_eq!(listed["scopes"], serde_json::json!(["read", "write"]));
    assert_eq!(listed["views"], serde_json::json!(["profile"]));
    assert_eq!(listed["revoked_at"], serde_json::Value::Null);
    // Nothing in the store is the key.
    for (path, contents) in project.contents() {
        assert!(!contents.windows(64).any(|window| window == &key.as_bytes()[18..]), "{}", path.display());
    }
    project.run(&["key", "create", "feast"]).fails(3, &["there is a key feast already", "revoke"]);
    project.run(&["key", "create", "other", "--view", "profil"]).fails(1, &["did you mean profile?"]);
    project
        .run(&["key", "create", "other", "--scope", "admin", "--view", "profile"])
        .fails(1, &["over the whole store"]);
    project.run(&["key", "create", "1st"]).fails(2, &["is no key name"]);
    project.run(&["key", "revoke", "feats"]).fails(1, &["did you mean feast?"]);
    project.run(&["key", "revoke", listed["id"].as_str().unwrap()]).done();
    project.run(&["key", "revoke", "feast"]).fails(1, &["revoked already"]);
    // The name is free again; whoever wants a view of the past can tell one from the other by id.
    project.run(&["key", "create", "feast"]).done();
    assert_eq!(project.run(&["--format", "json", "key", "list"]).done().json().as_array().unwrap().len(), 2);
}

#[test]
fn a_server_that_runs_asks_for_a_key_as_soon_as_there_is_one_and_forgets_one_that_is_revoked() {
    let project = Project::shop();
    let server = Served::start(&project, &[]);
    assert_eq!(ask(&mut server.connect(), "SET a 1"), "+OK");
    let key = project.run(&["key", "create", "app", "--scope", "read", "--scope", "write"]).done().stdout();
    assert_eq!(ask(&mut server.connect(), "GET a"), "-NOAUTH Authentication required.");
    let mut stream = server.connect();
    assert_eq!(ask(&mut stream, &format!("AUTH {}", key.trim())), "+OK");
    assert_eq!(ask(&mut stream, "SET a 2"), "+OK");
    let refused = "-NOPERM this user has no permissions to run the 'flushall' command";
    assert_eq!(ask(&mut stream, "FLUSHALL"), refused);
    project.run(&["key", "revoke", "app"]).done();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let again = ask(&mut server.connect(), &format!("AUTH {}", key.trim()));
    assert!(again.starts_with("-WRONGPASS"), "{again}");
}

#[test]
fn an_address_for_others_takes_a_key_or_tls_and_tls_its_two_files() {
    let project = Project::shop();
    let everywhere = ["serve", "--redis", "0.0.0.0:0"];
    project.run(&everywhere).fails(3, &["can be reached from other machines", "asof key create", "--tls-cert"]);
    project.run(&["serve", "--tls-cert", "c.pem"]).fails(2, &["--tls-key"]);
    project.run(&["serve", "--tls-cert", "c.pem", "--tls-key", "c.key"]).fails(1, &["c.pem"]);
    project.put("c.pem", "nothing");
    project.run(&["serve", "--tls-cert", "c.pem", "--tls-key", "c.key"]).fails(1, &["no certificate", "PEM"]);
}
