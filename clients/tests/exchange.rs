//! `asof export --redis` into a real Redis and into a Redis Cluster, read back there value by value; and `asof import --redis`.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use asof_clients::process::asof;
use asof_clients::{Cluster, Folder, Server};
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{Client, Connection, FromRedisValue};
use serde_json::Value as Json;

const DEFINITIONS: &str = r#"
[project]
name = "shop"

[entities.customer]
join_keys = { customer_id = "int64" }

[entities.place]
join_keys = { place = "string" }

[views.profile]
entities = ["customer"]
features = { country = "string", age = "int32", tags = "list<string>" }

[views.basket]
entities = ["customer"]
ttl = "36500d"
redis_keys = ["user:{customer_id}:basket"]
features = { value = "float64", paid = "bool" }

[views.crowd]
entities = ["place", "customer"]
features = { share = "float32" }
"#;
const CUSTOMERS: u32 = 3_000;

/// A project that has rows of all its customers.
fn project(folder: &Folder, name: &str, has_rows: bool) -> PathBuf {
    let project = folder.path().join(name);
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("asof.toml"), DEFINITIONS).unwrap();
    run(&project, &["apply"]);
    if has_rows {
        let day = "\"event_timestamp\": \"2026-03-01T12:00:00.25Z\"";
        let mut rows = [String::new(), String::new(), String::new()];
        for n in 0..CUSTOMERS {
            let country = if n % 5 == 0 { "null".to_owned() } else { format!("\"land {} \u{e9}\"", n % 7) };
            rows[0] += &format!(
                "{{\"customer_id\": {n}, {day}, \"country\": {country}, \"age\": {}, \"tags\": [\"a\", \"{n}\"]}}\n",
                n % 90
            );
            rows[1] += &format!(
                "{{\"customer_id\": {n}, {day}, \"value\": {}, \"paid\": {}}}\n",
                f64::from(n) / 8.0,
                n % 2 == 0
            );
            rows[2] += &format!("{{\"customer_id\": {n}, \"place\": \"p:{}%\", {day}, \"share\": 0.5}}\n", n % 3);
        }
        for (view, rows) in ["profile", "basket", "crowd"].into_iter().zip(rows) {
            let file = project.join(format!("{view}.jsonl"));
            std::fs::write(&file, rows).unwrap();
            run(&project, &["import", view, file.to_str().unwrap()]);
        }
    }
    project
}

/// Runs asof on a project; what it prints as JSON.
fn run(project: &Path, words: &[&str]) -> Json {
    let ran = command(project, words).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words:?}: {told}");
    assert!(!told.contains("secret"), "{told}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn command(project: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(asof());
    command.arg("--project").arg(project).args(["--format", "json"]).args(words);
    command
}

/// Every feature of a customer, as asof says it.
fn customer(project: &Path, n: u32) -> Json {
    let features = "profile:country,profile:age,profile:tags,basket:value,basket:paid,crowd:share";
    run(project, &["get", "--features", features, &format!("customer_id={n}"), &format!("place=p:{}%", n % 3)])
}

/// A client of one server, or of a cluster.
enum Reader {
    One(Connection),
    Cluster(Box<ClusterConnection>),
}

impl Reader {
    fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        match self {
            Reader::One(one) => command.query(one),
            Reader::Cluster(cluster) => command.query(&mut **cluster),
        }
        .unwrap()
    }
}

/// The hashes of the plain layout, each value in its text form.
fn check_plain(reader: &mut Reader) {
    for n in 0..CUSTOMERS {
        let mut profile = BTreeMap::from([("age", (n % 90).to_string()), ("tags", format!("[\"a\",\"{n}\"]"))]);
        if n % 5 != 0 {
            profile.insert("country", format!("land {} \u{e9}", n % 7));
        }
        let basket =
            BTreeMap::from([("value", Json::from(f64::from(n) / 8.0).to_string()), ("paid", (n % 2 == 0).to_string())]);
        let crowd = BTreeMap::from([("share", "0.5".to_owned())]);
        for (key, expected) in [
            (format!("profile:{n}"), profile),
            (format!("user:{n}:basket"), basket),
            (format!("crowd:p%3A{}%25:{n}", n % 3), crowd),
        ] {
            let found: BTreeMap<String, String> = reader.ask(&["HGETALL", &key]);
            let expected: BTreeMap<String, String> =
                expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(found, expected, "{key}");
        }
    }
    let at: i64 = reader.ask(&["PTTL", "user:1:basket"]);
    assert!(at > 0, "{at}");
    assert_eq!(reader.ask::<i64>(&["PTTL", "profile:1"]), -1);
}

/// Out in both layouts, and back into empty projects.
fn out_and_back(url: &str, reader: &mut Reader) {
    let folder = Folder::new();
    let from = project(&folder, "from", true);
    let all = u64::from(CUSTOMERS);
    // What is left of an older export goes.
    let _: i64 = reader.ask(&["HSET", "profile:1", "dropped", "x"]);
    let said = run(&from, &["export", "--redis", url]);
    assert_eq!(
        (&said["entities"], &said["resumed"], &said["gone"]),
        (&(all * 3).into(), &false.into(), &0.into()),
        "{said}"
    );
    check_plain(reader);
    let to = project(&folder, "plain", false);
    let said = run(&to, &["import", "--redis", url]);
    assert_eq!(said.as_array().unwrap().len(), 3, "{said}");
    for view in said.as_array().unwrap() {
        assert_eq!((&view["rows_written"], &view["rows_refused"]), (&all.into(), &0.into()), "{view}");
    }
    for n in (0..CUSTOMERS).step_by(500) {
        let [before, after] = [customer(&from, n), customer(&to, n)];
        for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
            assert_eq!(before["value"], after["value"], "{n}");
        }
    }
    for view in run(&to, &["import", "--redis", url]).as_array().unwrap() {
        assert_eq!((&view["rows_written"], &view["rows_skipped"]), (&0.into(), &all.into()), "{view}");
    }

    let said = run(&from, &["export", "--redis", url, "--layout", "feast"]);
    assert_eq!((&said["entities"], &said["fields"]), (&(all * 2).into(), &(all * 6).into()), "{said}");
    let to = project(&folder, "feast", false);
    for turn in 0..2 {
        for view in run(&to, &["import", "--redis", url, "--layout", "feast"]).as_array().unwrap() {
            let (written, skipped) = if turn == 0 { (all, 0) } else { (0, all) };
            assert_eq!((&view["rows_written"], &view["rows_skipped"]), (&written.into(), &skipped.into()), "{view}");
        }
    }
    for n in (0..CUSTOMERS).step_by(500) {
        assert_eq!(customer(&from, n), customer(&to, n), "event times too");
    }
}

#[test]
fn into_a_redis_and_back() {
    let server = Server::redis();
    assert_eq!(server.connect().words("CONFIG SET requirepass secret").text(), "OK");
    let url = format!("redis://default:secret@{}/5", server.address());
    let mut reader = Reader::One(Client::open(url.as_str()).unwrap().get_connection().unwrap());
    out_and_back(&url, &mut reader);
}

#[test]
fn into_a_cluster_and_back() {
    let cluster = Cluster::redis();
    let url = format!("redis://{}", cluster.address());
    let client = ClusterClient::new([url.as_str()]).unwrap();
    out_and_back(&url, &mut Reader::Cluster(Box::new(client.get_connection().unwrap())));
    for node in cluster.nodes() {
        let size = node.connect().words("DBSIZE").integer().unwrap();
        assert!(size > i64::from(CUSTOMERS), "{size}: every node has a share");
    }
}

#[test]
fn over_tls_and_to_nobody_whose_certificate_is_unknown() {
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/server/resp/tests/certificates");
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let tls = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let options = ["--tls-port", &tls, "--tls-cert-file", &file("first.pem"), "--tls-key-file", &file("first.key")];
    let server = Server::redis_with(&[&options[..], &["--tls-auth-clients", "no"]].concat());
    let folder = Folder::new();
    let project = project(&folder, "project", true);
    let url = format!("rediss://default:secret@localhost:{tls}");
    server.connect().words("CONFIG SET requirepass secret");
    let words = ["export", "--redis", &url, "basket"];
    let unknown = command(&project, &words).env("SSL_CERT_FILE", file("second.pem")).output().unwrap();
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && told.contains("certificate") && !told.contains("secret"), "{told}");
    let known = command(&project, &words).env("SSL_CERT_FILE", file("ca.pem")).output().unwrap();
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    let said: Json = serde_json::from_slice(&known.stdout).unwrap();
    assert_eq!(said["entities"], CUSTOMERS);
}
