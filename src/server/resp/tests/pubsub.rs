use super::*;

const GREETING_START: &str = "%7|$6|server|$5|redis|";

/// A connection that asked for RESP3.
fn resp3(server: &RunningServer) -> Peer {
    let mut peer = Peer::new(server);
    peer.ask("HELLO 3|", GREETING_START);
    // The rest of the greeting ends with the number of modules.
    let mut rest = Vec::new();
    while !rest.ends_with(b"modules\r\n*0\r\n") {
        let mut byte = [0];
        peer.0.read_exact(&mut byte).unwrap();
        rest.push(byte[0]);
    }
    peer
}

#[test]
fn messages_reach_who_subscribed_in_both_versions() {
    let server = start();
    let (mut old, mut new, mut publisher) = (Peer::new(&server), resp3(&server), Peer::new(&server));
    old.ask("SUBSCRIBE news|PSUBSCRIBE n*|", "*3|$9|subscribe|$4|news|:1|*3|$10|psubscribe|$2|n*|:2|");
    new.ask("SUBSCRIBE news|", ">3|$9|subscribe|$4|news|:1|");
    publisher.ask("PUBLISH news hello|", ":3|");
    old.expect("*3|$7|message|$4|news|$5|hello|*4|$8|pmessage|$2|n*|$4|news|$5|hello|");
    new.expect(">3|$7|message|$4|news|$5|hello|");
    publisher
        .ask("PUBSUB NUMSUB news other|PUBSUB NUMPAT|PUBSUB CHANNELS|", "*4|$4|news|:2|$5|other|:0|:1|*1|$4|news|");
    old.ask("UNSUBSCRIBE|PUNSUBSCRIBE|", "*3|$11|unsubscribe|$4|news|:1|*3|$12|punsubscribe|$2|n*|:0|");
    publisher.ask("PUBLISH news x|", ":1|");
    new.expect(">3|$7|message|$4|news|$1|x|");
    old.ask("PING|", "+PONG|");
}

#[test]
fn a_subscriber_of_the_old_version_may_send_little_else_and_one_of_the_new_everything() {
    let server = start();
    let (mut old, mut new) = (Peer::new(&server), resp3(&server));
    old.ask("SUBSCRIBE a|", "*3|$9|subscribe|$1|a|:1|");
    let refused = "only (P#S)SUBSCRIBE / (P#S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context|";
    old.send("GET x|");
    assert_eq!(old.0.line_of().replace('|', "#") + "|", format!("-ERR Can't execute 'get': {refused}"));
    old.ask("PING|PING x|", "*2|$4|pong|$0||*2|$4|pong|$1|x|");
    old.ask("RESET|GET x|", "+RESET|$-1|");
    new.ask("SUBSCRIBE a|GET x|PING|UNSUBSCRIBE|", ">3|$9|subscribe|$1|a|:1|_|+PONG|>3|$11|unsubscribe|$1|a|:0|");
}

trait Line {
    fn line_of(&mut self) -> String;
}

impl Line for TcpStream {
    fn line_of(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }
}

#[test]
fn a_message_comes_after_the_answers_that_were_asked_for_before_it() {
    let server = RedisServer::start(keyspace(Duration::from_millis(50)), options()).unwrap();
    let (mut subscriber, mut publisher) = (resp3(&server), Peer::new(&server));
    // The subscription is made while the write before it is not durable, and confirmed after it.
    subscriber.send("SET a 1|SUBSCRIBE news|");
    eventually("the subscription is there", || server.shared().pubsub.counts() == (1, 0));
    publisher.ask("PUBLISH news x|", ":1|");
    subscriber.expect("+OK|>3|$9|subscribe|$4|news|:1|>3|$7|message|$4|news|$1|x|");
}

#[test]
fn changes_of_keys_are_told_as_the_configuration_says() {
    let server = start();
    let (mut subscriber, mut writer) = (Peer::new(&server), Peer::new(&server));
    writer.ask("CONFIG SET notify-keyspace-events KEA|", "+OK|");
    subscriber.ask("PSUBSCRIBE __key*|", "*3|$10|psubscribe|$6|__key*|:1|");
    writer.ask("SET k v|", "+OK|");
    let told = |channel: &str, payload: &str| {
        format!("*4|$8|pmessage|$6|__key*|${}|{channel}|${}|{payload}|", channel.len(), payload.len())
    };
    subscriber.expect(&(told("__keyspace@0__:k", "set") + &told("__keyevent@0__:set", "k")));
    writer.ask("PEXPIRE k 20|", ":1|");
    subscriber.expect(&(told("__keyspace@0__:k", "expire") + &told("__keyevent@0__:expire", "k")));
    subscriber.expect(&(told("__keyspace@0__:k", "expired") + &told("__keyevent@0__:expired", "k")));
    writer.ask("CONFIG SET notify-keyspace-events \"\"|SET k v|", "+OK|+OK|");
    subscriber.expect_nothing(Duration::from_millis(50));
}

#[test]
fn monitors_see_what_others_do_without_their_passwords() {
    let server = start();
    let (mut monitor, mut peer) = (Peer::new(&server), Peer::new(&server));
    monitor.ask("MONITOR|", "+OK|");
    peer.ask("SET a \"x \\n\\x00\"|AUTH default secret|", "+OK|+OK|");
    for expected in ["\"SET\" \"a\" \"x \\n\\x00\"", "\"AUTH\" \"(redacted)\" \"(redacted)\""] {
        let line = monitor.0.line_of();
        assert!(line.starts_with('+') && line.ends_with(expected), "{line}");
    }
    monitor.ask("RESET|", "+RESET|");
    peer.ask("PING|", "+PONG|");
    monitor.ask("PING|", "+PONG|");
}

#[test]
fn messages_and_confirmations_come_to_who_wants_no_answers() {
    let server = start();
    let (mut silent, mut other) = (Peer::new(&server), Peer::new(&server));
    silent.ask("CLIENT REPLY OFF|PING|SUBSCRIBE a|", "*3|$9|subscribe|$1|a|:1|");
    other.ask("PUBLISH a x|", ":1|");
    silent.expect("*3|$7|message|$1|a|$1|x|");
    silent.ask("UNSUBSCRIBE a|PING|CLIENT REPLY ON|", "*3|$11|unsubscribe|$1|a|:0|+OK|");
    silent.ask("CLIENT REPLY SKIP|PSUBSCRIBE a*|PING|", "*3|$10|psubscribe|$2|a*|:1|*2|$4|pong|$0||");
}

#[test]
fn what_one_publishes_to_itself_comes_behind_the_answer() {
    let server = start();
    let mut peer = resp3(&server);
    peer.ask("SUBSCRIBE a|", ">3|$9|subscribe|$1|a|:1|");
    peer.ask("PUBLISH a x|PING|", ":1|>3|$7|message|$1|a|$1|x|+PONG|");
    peer.ask(
        "MULTI|PUBLISH a y|UNSUBSCRIBE a|PING|EXEC|",
        "+OK|+QUEUED|+QUEUED|+QUEUED|*3|:1|>3|$11|unsubscribe|$1|a|:0|+PONG|>3|$7|message|$1|a|$1|y|",
    );
    peer.ask("PUBLISH a z|", ":0|");
}

#[test]
fn who_tracks_is_told_of_keys_that_others_change() {
    let server = start();
    let (mut new, mut writer) = (resp3(&server), Peer::new(&server));
    new.ask("CLIENT TRACKING ON NOLOOP|GET k|", "+OK|_|");
    writer.ask("HSET k a 1 b 2|FLUSHDB|", ":2|+OK|");
    new.expect(">2|$10|invalidate|*1|$1|k|>2|$10|invalidate|_|");
    new.ask("SET own 1|PING|", "+OK|+PONG|");
    writer.ask("SET k 1 PX 20|", "+OK|");
    new.expect(&">2|$10|invalidate|*1|$1|k|".repeat(2));
    new.ask("CLIENT TRACKING OFF|", "+OK|");
    writer.ask("SET k 1|", "+OK|");
    new.ask("PING|CLIENT GETREDIR|", "+PONG|:-1|");
}

#[test]
fn a_client_of_the_old_version_is_told_on_a_channel_in_place_of_another() {
    let server = start();
    let (mut reader, mut listener, mut writer) = (Peer::new(&server), Peer::new(&server), Peer::new(&server));
    listener.send("CLIENT ID|");
    let id = listener.line().trim_start_matches(':').to_owned();
    listener.ask("SUBSCRIBE __redis__:invalidate|", "*3|$9|subscribe|$20|__redis__:invalidate|:1|");
    reader.ask(&format!("CLIENT TRACKING ON BCAST PREFIX a: REDIRECT {id}|CLIENT GETREDIR|"), &format!("+OK|:{id}|"));
    writer.ask("MSET b:1 1 a:1 1|", "+OK|");
    listener.expect("*3|$7|message|$20|__redis__:invalidate|*1|$3|a:1|");
    reader.ask("RESET|CLIENT TRACKINGINFO|", "+RESET|*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0|");
    reader.ask(
        "CLIENT TRACKING ON PREFIX a|CLIENT TRACKING ON REDIRECT 999999|CLIENT CACHING yes|",
        &[
            "-ERR PREFIX option requires BCAST mode to be enabled|",
            "-ERR The client ID you want redirect to does not exist|",
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled|",
        ]
        .concat(),
    );
    assert_eq!(server.shared().tracking.len(), 0);
}
