//! The programs that come with Redis: `redis-cli` as a terminal, in pipes and as a scanner, and `redis-benchmark`.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use asof_clients::process::of_redis;
use asof_clients::wire::encode;
use asof_clients::{Connection, Server};

fn cli(server: &Server) -> Command {
    let mut command = Command::new(of_redis("redis-cli"));
    command.args(["-h", "127.0.0.1", "-p", &server.address().port().to_string()]);
    command
}

/// What it prints for these arguments and this input, and whether it is content.
fn run(command: &mut Command, input: &[u8]) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn alike(servers: &[Server; 2], arguments: &[&str], input: &[u8]) -> String {
    let [ours, theirs] = servers.each_ref().map(|server| run(cli(server).args(arguments), input));
    assert_eq!(ours, theirs, "redis-cli {arguments:?}");
    ours.1
}

const SCRIPT: &[u8] = b"SET text \"a \\x00 b\"
GET text
INCR text
HSET hash f 1 g 2
HGETALL hash
HMGET hash f none
SETEX soon 100 v
TTL soon
MULTI
INCR n
HGET text f
EXEC
GET none
NOSUCH command
CLIENT SETNAME me
CLIENT GETNAME
SELECT 3
SET other 1
DBSIZE
CONFIG GET maxmemory
TYPE hash
OBJECT ENCODING hash
EXISTS text none
";

#[test]
fn redis_cli_prints_the_same() {
    let servers = [Server::asof(), Server::redis()];
    for options in [
        &[][..],
        &["-3"],
        &["--csv"],
        &["--json"],
        &["--no-raw"],
        &["-2", "--no-raw"],
        &["-n", "5"],
        &["--quoted-input"],
    ] {
        alike(&servers, &["FLUSHALL"], b"");
        let said = alike(&servers, options, SCRIPT);
        assert!(said.contains("unknown command"), "{said}");
        // And as arguments.
        for command in ["HGETALL hash", "INCR text", "GET none", "HKEYS none", "EXPIRE text 100 GT", "PING", "ECHO x"] {
            alike(&servers, &[options, &command.split(' ').collect::<Vec<&str>>()[..]].concat(), b"");
        }
        alike(&servers, &[options, &["-x", "SET", "from-input"]].concat(), b"\x01binary\xff");
    }
    alike(&servers, &["-r", "3", "INCR", "repeated"], b"");
    alike(&servers, &["-a", "password", "--no-auth-warning", "PING"], b"");
    alike(&servers, &["-e", "NOSUCH"], b"");
}

#[test]
fn redis_cli_loads_and_scans_what_was_loaded() {
    const KEYS: usize = 20_000;
    let servers = [Server::asof(), Server::redis()];
    let mut commands = Vec::new();
    for number in 0..KEYS {
        let (key, value) = (format!("key:{number}"), number.to_string());
        encode(&["HSET", &key, "value", &value], &mut commands);
    }
    encode(&["INCR", "key:1"], &mut commands);
    let said = alike(&servers, &["--pipe"], &commands);
    assert!(said.contains(&format!("errors: 1, replies: {}", KEYS + 1)), "{said}");
    let [ours, theirs] = servers.each_ref().map(|server| {
        let (_, said) = run(cli(server).args(["--scan", "--pattern", "key:1*"]), b"");
        let mut keys: Vec<String> = said.lines().map(str::to_owned).collect();
        keys.sort();
        keys
    });
    assert_eq!(ours.len(), 11_111);
    assert_eq!(ours, theirs);
    let (is_fine, said) = run(cli(&servers[0]).args(["--bigkeys"]), b"");
    assert!(is_fine && said.contains("20000 hashs with 20000 fields"), "{said}");
}

#[test]
fn redis_cli_monitors() {
    for server in [Server::asof(), Server::redis()] {
        let mut child = cli(&server).arg("MONITOR").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "OK");
        let mut connection: Connection = server.connect();
        connection.words("SELECT 3");
        connection.ask(&["SET", "a \"key\"", "\r\n"]);
        let told: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
        for (line, command) in told.iter().zip(["[", "[3 "]) {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(time.parse::<f64>().is_ok(), "{line}");
            assert!(rest.starts_with(command), "{line}");
        }
        assert!(told[1].ends_with("] \"SET\" \"a \\\"key\\\"\" \"\\r\\n\""), "{told:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn redis_benchmark_runs_through() {
    let server = Server::asof();
    let port = server.address().port().to_string();
    for pipelined in ["1", "16"] {
        let mut command = Command::new(of_redis("redis-benchmark"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "-n", "5000", "-r", "100", "-P", pipelined]);
        command.args(["-t", "ping_inline,ping_mbulk,set,get,incr,hset,mset"]);
        let (is_fine, said) = run(&mut command, b"");
        let said = said.replace('\r', "\n");
        assert!(is_fine && !said.contains("Error"), "{said}");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "HSET", "MSET (10 keys)"] {
            let line = said
                .lines()
                .find(|line| line.starts_with(&format!("{test}: ")) && line.contains("requests per second"));
            println!("-P {pipelined} {}", line.unwrap_or_else(|| panic!("no {test}:\n{said}")));
        }
    }
    assert_eq!(server.connect().words("GET nosuch").bytes(), b"");
    // 5000 of each, and twice.
    assert!(server.info("total_commands_processed") >= 70_000);
}
