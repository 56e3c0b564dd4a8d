use super::*;

/// Sends, and reads so many lines.
fn lines(peer: &mut Peer, request: &str, count: usize) -> Vec<String> {
    peer.send(request);
    (0..count).map(|_| peer.line()).collect()
}

#[test]
fn commands_are_listed_with_their_subcommands() {
    let server = start();
    let mut peer = Peer::new(&server);
    let listed = lines(&mut peer, "COMMAND LIST FILTERBY PATTERN pubsub*|", 11);
    let names: Vec<&str> = listed.iter().skip(2).step_by(2).map(|name| &**name).collect();
    assert_eq!(names, ["pubsub", "pubsub|channels", "pubsub|help", "pubsub|numpat", "pubsub|numsub"]);
    peer.ask("COMMAND LIST FILTERBY ACLCAT nothing|COMMAND LIST FILTERBY MODULE m|", "*0|*0|");
    peer.ask("COMMAND LIST x|COMMAND INFO get#x nothing|", "-ERR syntax error|*2|$-1|$-1|");
}

#[test]
fn keys_of_commands_are_told_and_what_is_done_with_them() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("COMMAND GETKEYS MSET a 1 b 2|COMMAND GETKEYS memory usage k|", "*2|$1|a|$1|b|*1|$1|k|");
    peer.ask(
        "COMMAND GETKEYSANDFLAGS SET k v|COMMAND GETKEYSANDFLAGS SET k v GET|COMMAND GETKEYSANDFLAGS RENAME a b|",
        "*1|*2|$1|k|*2|+OW|+update|*1|*2|$1|k|*3|+RW|+access|+update|\
         *2|*2|$1|a|*3|+RW|+access|+delete|*2|$1|b|*2|+OW|+update|",
    );
    peer.ask(
        "COMMAND GETKEYS nothing a|COMMAND GETKEYS PING a|COMMAND GETKEYS GET a b|",
        &[
            "-ERR Invalid command specified|",
            "-ERR The command has no key arguments|",
            "-ERR Invalid number of arguments specified for command|",
        ]
        .concat(),
    );
}

#[test]
fn info_counts_commands_by_name_and_errors_by_code() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask(
        "GET a|SET a x|HGET a f|INCR a|GET|CONFIG RESETSTAT|",
        &[
            "$-1|+OK|-WRONGTYPE Operation against a key holding the wrong kind of value|",
            "-ERR value is not an integer or out of range|-ERR wrong number of arguments for 'get' command|+OK|",
        ]
        .concat(),
    );
    peer.ask("GET a|GET a|INCR a|NOTHING|GET|", &[
        "$1|x|$1|x|-ERR value is not an integer or out of range|",
        "-ERR unknown command 'NOTHING', with args beginning with: |-ERR wrong number of arguments for 'get' command|",
    ].concat());
    peer.send("INFO commandstats errorstats|");
    let length: usize = peer.line().trim_start_matches('$').parse().unwrap();
    let mut text = vec![0; length + 2];
    peer.0.read_exact(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("cmdstat_get:").starts_with("cmdstat_get:calls=2,usec="), "{text}");
    assert!(line("cmdstat_get:").ends_with(",rejected_calls=1,failed_calls=0"), "{text}");
    assert!(line("cmdstat_incr:").ends_with(",rejected_calls=0,failed_calls=1"), "{text}");
    assert!(!line("cmdstat_config|resetstat:").is_empty() && line("cmdstat_set:").is_empty(), "{text}");
    assert_eq!(line("errorstat_ERR:"), "errorstat_ERR:count=3", "{text}");
}
