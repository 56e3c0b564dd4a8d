//! asof and a real Redis on the same work, sent by `redis-benchmark`: fifty connections, rows of ten float64, and strings.
//!
//! `cargo bench -p asof-clients --bench beside_redis [-- PART]`, where PART names some of the lines, as in `HMGET` or `-P 16`. Needs
//! `redis-server` and `redis-benchmark`. The servers take turns, round by round; medians are printed, as asof / Redis, then the ratio of
//! throughputs and that of CPU times of the server's process for each command. No round is thrown away. Without PART it says as well
//! how many bytes an entity takes.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the measurement")]

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use asof_clients::process::{asof, of_redis};
use asof_clients::server::define;
use asof_clients::wire::encode;
use asof_clients::{Connection, Folder, Random, Server};

const ROUNDS: usize = 3;
const CONNECTIONS: usize = 50;
const ENTITIES: usize = 1_000_000;
const FIELDS: usize = 10;
/// Entities that are written at once while the servers are filled.
const FILLED_AT_ONCE: usize = 500;
/// What the servers are filled with.
const KINDS: [&str; 3] = ["rows", "hash", "string"];

/// A line of the answer.
struct Work {
    command: &'static str,
    pipelined: usize,
    requests: usize,
    is_durable: bool,
}

impl Work {
    const fn new(command: &'static str, pipelined: usize, requests: usize) -> Work {
        Work { command, pipelined, requests, is_durable: false }
    }

    const fn durable(self) -> Work {
        Work { is_durable: true, ..self }
    }

    fn name(&self) -> String {
        let mut name = self.command.to_owned();
        if self.pipelined > 1 {
            write!(name, " -P {}", self.pipelined).unwrap();
        }
        if self.is_durable {
            name.push_str(", durable");
        }
        name
    }

    /// The command that `redis-benchmark` sends. Keys go from 0 to [`ENTITIES`], in twelve digits.
    fn arguments(&self) -> Vec<String> {
        let (name, of) = self.command.split_once(' ').unwrap();
        let key = match of {
            "of a row" => "rows:__rand_int__",
            "of a hash" => "hash:__rand_int__",
            _ => "string:__rand_int__",
        };
        let mut arguments = vec![name.to_owned(), key.to_owned()];
        match name {
            "HMGET" => arguments.extend((0..FIELDS).map(field)),
            "HSET" => (0..FIELDS).for_each(|number| arguments.extend([field(number), format!("{}.5", number + 3)])),
            "SET" => arguments.push("a value of 24 bytes here".to_owned()),
            _ => {}
        }
        arguments
    }
}

const WORK: [Work; 17] = [
    Work::new("GET of a string", 1, 200_000),
    Work::new("HMGET of a row", 1, 200_000),
    Work::new("HMGET of a hash", 1, 200_000),
    Work::new("SET of a string", 1, 200_000),
    Work::new("HSET of a row", 1, 200_000),
    Work::new("HSET of a hash", 1, 200_000),
    Work::new("GET of a string", 16, 2_000_000),
    Work::new("HMGET of a row", 16, 1_000_000),
    Work::new("HMGET of a hash", 16, 1_000_000),
    Work::new("SET of a string", 16, 1_000_000),
    Work::new("HSET of a row", 16, 400_000),
    Work::new("HSET of a hash", 16, 400_000),
    Work::new("SET of a string", 1, 20_000).durable(),
    Work::new("HSET of a row", 1, 20_000).durable(),
    Work::new("HSET of a hash", 1, 20_000).durable(),
    Work::new("HSET of a row", 16, 400_000).durable(),
    Work::new("HSET of a hash", 16, 400_000).durable(),
];

fn field(number: usize) -> String {
    format!("f{number}")
}

/// A server, and what it came to in one line's rounds.
struct Side {
    server: Server,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    requests_per_second: f64,
    cpu_us: f64,
}

impl Side {
    fn new(server: Server, kinds: &[&str]) -> Side {
        fill(server.address(), kinds);
        Side { server, rounds: Vec::new() }
    }

    fn run(&mut self, work: &Work) {
        let before = cpu_us(self.server.id());
        let requests_per_second = benchmark(self.server.address(), work);
        let cpu_us = (cpu_us(self.server.id()) - before) / work.requests as f64;
        self.rounds.push(Round { requests_per_second, cpu_us });
    }

    fn medians(&mut self) -> Round {
        let rounds = std::mem::take(&mut self.rounds);
        let median = |of: fn(&Round) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Round { requests_per_second: median(|round| round.requests_per_second), cpu_us: median(|round| round.cpu_us) }
    }
}

/// Rows, hashes or strings that commands find.
fn fill(address: SocketAddr, kinds: &[&str]) {
    let (mut connection, mut random) = (Connection::open(address).unwrap(), Random::new(7));
    for first in (0..ENTITIES).step_by(FILLED_AT_ONCE) {
        let mut commands = Vec::new();
        for entity in first..first + FILLED_AT_ONCE {
            for kind in kinds {
                if *kind == "string" {
                    encode(&["SET", &format!("string:{entity:012}"), "a value of 24 bytes here"], &mut commands);
                    continue;
                }
                let mut words = vec!["HSET".to_owned(), format!("{kind}:{entity:012}")];
                for number in 0..FIELDS {
                    words.extend([field(number), format!("{}.{:06}", random.below(90) + 10, random.below(1_000_000))]);
                }
                encode(&words, &mut commands);
            }
        }
        connection.send(&commands).unwrap();
        for _ in 0..kinds.len() * FILLED_AT_ONCE {
            let reply = connection.reply().unwrap();
            assert!(!reply.is_error(), "{reply:?}");
        }
    }
}

/// Requests a second.
fn benchmark(address: SocketAddr, work: &Work) -> f64 {
    let mut command = Command::new(of_redis("redis-benchmark"));
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-c", &CONNECTIONS.to_string()]);
    command.args(["-n", &work.requests.to_string(), "-P", &work.pipelined.to_string()]);
    command.args(["-r", &ENTITIES.to_string(), "--csv"]).args(work.arguments());
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let told = String::from_utf8_lossy(&ran.stderr);
    // Its lines of values: the work, then requests a second, each in quotes.
    let line = said.lines().rfind(|line| line.starts_with('"') && !line.starts_with("\"test\""));
    let rate = line.and_then(|line| line.split("\",\"").nth(1));
    rate.and_then(|rate| rate.trim_matches('"').parse().ok())
        .unwrap_or_else(|| panic!("redis-benchmark said {said}{told}"))
}

/// Microseconds of CPU time that a process took.
fn cpu_us(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |path: PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or_default()
    };
    tasks.map(|task| of(task.unwrap().path())).sum::<f64>() / 1e3
}

/// A project with two views of ten float64: one that is written over the Redis protocol, one that a file is imported into.
fn project(folder: &Folder, name: &str, durability: &str) -> PathBuf {
    let mut text = format!("[project]\nname = \"bench\"\n[store]\ndurability = \"{durability}\"\n");
    text.push_str("[entities.id]\njoin_keys = { id = \"int64\" }\n");
    for view in ["rows", "imported"] {
        writeln!(text, "[views.{view}]\nentities = [\"id\"]\n[views.{view}.features]").unwrap();
        (0..FIELDS).for_each(|number| writeln!(text, "{} = \"float64\"", field(number)).unwrap());
    }
    let project = folder.path().join(name);
    define(&project, &text);
    project
}

fn asof_says(project: &Path, arguments: &[&str]) -> String {
    let ran = Command::new(asof()).arg("--project").arg(project).args(arguments).output().unwrap();
    assert!(ran.status.success(), "asof {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Bytes of a view's latest table for each entity.
fn latest_bytes(project: &Path, view: &str) -> f64 {
    let said = asof_says(project, &["show", view, "--format", "json"]);
    let bytes = said.split("\"latest_bytes\":").nth(1).and_then(|rest| rest.trim().split([',', '}']).next());
    let bytes: f64 = bytes.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"));
    bytes / ENTITIES as f64
}

/// Bytes that an entity takes in memory: rows written one by one and rows of a file, against hashes of the numbers that servers are
/// filled with, eight digits each, and of float64 with all their digits. In servers of its own, which no other line has written to.
fn print_bytes(folder: &Folder) {
    let project = &project(folder, "bytes", "os");
    let _asof = Side::new(Server::asof_of(project), &["rows"]);
    let redis = Side::new(Server::redis_with(&[]), &["rows"]);
    let mut random = Random::new(8);
    let file = folder.path().join("rows.csv");
    let mut text = String::from("id,event_timestamp");
    (0..FIELDS).for_each(|number| write!(text, ",{}", field(number)).unwrap());
    for entity in 0..ENTITIES {
        write!(text, "\n{entity},2026-01-01T00:00:00Z").unwrap();
        (0..FIELDS).for_each(|_| write!(text, ",{}.5", random.below(1_000)).unwrap());
    }
    fs::write(&file, text).unwrap();
    asof_says(project, &["import", "imported", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();

    let mut connection = redis.server.connect();
    let mut words = "HSET digits".to_owned();
    (0..FIELDS).for_each(|number| {
        // A fraction of 53 bits: sixteen or seventeen digits.
        let value = (random.below(1 << 53) as f64) / (1_u64 << 53) as f64;
        write!(words, " {} {value:?}", field(number)).unwrap();
    });
    assert_eq!(connection.words(&words).integer(), Some(FIELDS as i64));
    let mut usage = |key: &str| connection.words(&format!("MEMORY USAGE {key}")).integer().unwrap() as f64;
    let (eight_digits, all_digits) = (usage("rows:000000000007"), usage("digits"));
    println!(
        "bytes of an entity, MEMORY USAGE {eight_digits:.0} for numbers of eight digits, {all_digits:.0} for all digits:"
    );
    for (view, how) in [("rows", "written by HSET"), ("imported", "imported")] {
        let each = latest_bytes(project, view);
        println!("{how:<28}{each:>10.1}{:>8.2}x{:>8.2}x", each / eight_digits, each / all_digits);
    }
}

fn main() {
    // `cargo bench` hands over `--bench`.
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let chosen = |work: &Work| parts.is_empty() || parts.iter().any(|part| work.name().contains(part.as_str()));
    let folder = Folder::new();
    println!("{:<28}{:>22}{:>9}{:>22}{:>9}", "", "requests/s", "", "CPU us/request", "");
    for is_durable in [false, true] {
        let work: Vec<&Work> = WORK.iter().filter(|work| work.is_durable == is_durable && chosen(work)).collect();
        if work.is_empty() {
            continue;
        }
        let (durability, appends): (_, &[&str]) = match is_durable {
            true => ("fsync", &["--appendonly", "yes", "--appendfsync", "always"]),
            false => ("os", &[]),
        };
        let project = project(&folder, durability, durability);
        let mut asof_side = Side::new(Server::asof_of(&project), &KINDS);
        let mut redis = Side::new(Server::redis_with(appends), &KINDS);
        for work in work {
            for _ in 0..ROUNDS {
                asof_side.run(work);
                redis.run(work);
            }
            let (ours, theirs) = (asof_side.medians(), redis.medians());
            println!(
                "{:<28}{:>10.0} / {:>9.0}{:>8.2}x{:>10.2} / {:>9.2}{:>8.2}x",
                work.name(),
                ours.requests_per_second,
                theirs.requests_per_second,
                ours.requests_per_second / theirs.requests_per_second,
                ours.cpu_us,
                theirs.cpu_us,
                theirs.cpu_us / ours.cpu_us
            );
        }
    }
    if parts.is_empty() {
        print_bytes(&folder);
    }
}
