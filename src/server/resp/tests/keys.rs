//! Keys of the store as passwords: who is let in, for what, and for how long.

use super::*;
use crate::api_key::{ApiKey, Scope};
use crate::server::auth::Authenticator;
use crate::server::auth::{KEYSPACE, KeyRing};

const COMMAND_REFUSED: &str = "-NOPERM this user has no permissions to run the '";
const KEY_REFUSED: &str = "-NOPERM this user has no permissions to access one of the keys used as arguments|";

fn serve(store: &Store) -> RunningServer {
    let authenticator = Authenticator::Keys(Arc::new(KeyRing::new(store.key_records().unwrap())));
    RedisServer::start(store.keyspace().unwrap(), ServerOptions { authenticator, ..options() }).unwrap()
}

fn key(store: &Store, name: &str, scopes: &[Scope], views: &[&str]) -> ApiKey {
    store.create_key(name, scopes, views).unwrap().0
}

fn authenticated(server: &RunningServer, key: &ApiKey) -> Peer {
    let mut peer = Peer::new(server);
    peer.ask(&format!("AUTH {}|", key.text()), "+OK|");
    peer
}

#[track_caller]
fn expect_refused(peer: &mut Peer, commands: &[&str]) {
    for command in commands {
        peer.send(&format!("{command}|"));
        let line = peer.line();
        assert!(line.starts_with(COMMAND_REFUSED), "{command}: {line}");
    }
}

#[test]
fn nobody_is_asked_for_a_key_before_there_is_one_and_everybody_after() {
    let store = store();
    let server = serve(&store);
    let mut early = Peer::new(&server);
    early.ask("SET a 1|ACL WHOAMI|", "+OK|$7|default|");
    early.ask(
        "AUTH x|",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?|",
    );
    let key = key(&store, "first", &[Scope::Admin], &[]);
    assert_eq!(early.rest(), "", "who came without one has to come again");
    let mut peer = Peer::new(&server);
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.|";
    peer.ask("GET a|AUTH x|AUTH first x|", &format!("-NOAUTH Authentication required.|{wrong}{wrong}"));
    peer.ask(&format!("AUTH other {}|", key.text()), wrong);
    for credentials in [key.text().to_owned(), format!("default {}", key.text()), format!("first {}", key.text())] {
        Peer::new(&server).ask(&format!("AUTH {credentials}|GET a|ACL WHOAMI|"), "+OK|$1|1|$5|first|");
    }
    peer.send(&format!("HELLO 3 AUTH default {} SETNAME me|", key.text()));
    assert_eq!(peer.line(), "%7");
}

#[test]
fn a_scope_opens_what_it_is_for_and_nothing_else() {
    let store = store();
    let server = serve(&store);
    let mut admin = authenticated(&server, &key(&store, "runs", &[Scope::Admin], &[]));
    admin.ask("SET a 1|GET a|CONFIG SET timeout 0|", "+OK|$1|1|+OK|");
    let mut reader = authenticated(&server, &key(&store, "reads", &[Scope::Read], &[]));
    reader.ask("GET a|DBSIZE|PING|MULTI|GET a|EXEC|", "$1|1|:1|+PONG|+OK|+QUEUED|*1|$1|1|");
    expect_refused(
        &mut reader,
        &[
            "SET a 2",
            "DEL a",
            "EXPIRE a 10",
            "PUBLISH c m",
            "FLUSHALL",
            "CONFIG GET *",
            "MONITOR",
            "CLIENT LIST",
            "SHUTDOWN",
        ],
    );
    let mut writer = authenticated(&server, &key(&store, "writes", &[Scope::Write], &[]));
    writer.ask("SET a 2|HSET h f v|DEL h|PUBLISH c m|", "+OK|:1|:1|:0|");
    expect_refused(
        &mut writer,
        &[
            "GET a",
            "INCR a",
            "GETDEL a",
            "SET a 3 GET",
            "COPY a b",
            "WATCH a",
            "KEYS *",
            "SUBSCRIBE c",
            "INFO",
            "FLUSHDB",
        ],
    );
    writer.ask("MULTI|", "+OK|");
    expect_refused(&mut writer, &["GET a"]);
    writer.ask("EXEC|", "-EXECABORT Transaction discarded because of previous errors.|");
    admin.ask("GET a|FLUSHALL|", "$1|2|+OK|");
}

#[test]
fn a_key_for_some_views_opens_no_key_of_another_and_nothing_that_tells_of_all() {
    let store = store();
    let server = serve(&store);
    let both = [Scope::Read, Scope::Write];
    let mut peer = authenticated(&server, &key(&store, "keys", &both, &[KEYSPACE]));
    peer.ask("SET a 1|MGET a b|EXISTS a|", "+OK|*2|$1|1|$-1|:1|");
    expect_refused(
        &mut peer,
        &[
            "KEYS *",
            "SCAN 0",
            "RANDOMKEY",
            "DBSIZE",
            "INFO",
            "SUBSCRIBE c",
            "PSUBSCRIBE *",
            "PUBSUB CHANNELS",
            "PUBLISH c m",
            "FLUSHDB",
        ],
    );
    let definitions = crate::definition::Definitions::new("p")
        .entity("thing", [("id", crate::value::DataType::Int64)])
        .view(crate::definition::FeatureView::new("v").entity("thing").feature("x", crate::value::DataType::Int64));
    store.apply(&definitions, crate::ApplyOptions::default()).unwrap();
    let mut peer = authenticated(&server, &key(&store, "view", &both, &["v"]));
    peer.ask("GET a|SET a 2|MGET a|WATCH a|", &KEY_REFUSED.repeat(4));
    peer.ask("PING|", "+PONG|");
}

#[test]
fn a_key_that_is_revoked_ends_its_connections_whatever_they_do() {
    let store = store();
    let server = serve(&store);
    let stays = key(&store, "stays", &[Scope::Admin], &[]);
    let goes = key(&store, "goes", &[Scope::Admin], &[]);
    let mut other = authenticated(&server, &stays);
    let mut peers: Vec<Peer> = (0..4).map(|_| authenticated(&server, &goes)).collect();
    peers[3].ask("MULTI|SET a 1|", "+OK|+QUEUED|");
    peers[1].ask("SUBSCRIBE c|", "*3|$9|subscribe|$1|c|:1|");
    peers[2].ask("MONITOR|", "+OK|");
    store.revoke_key("goes").unwrap();
    let start = Instant::now();
    // The first command after it is refused at once; who says nothing ends soon.
    peers[3].send("EXEC|");
    peers.iter_mut().for_each(|peer| assert_eq!(peer.rest(), ""));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    other.ask("GET a|", "$-1|");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.|";
    Peer::new(&server).ask(&format!("AUTH {}|", goes.text()), wrong);
    // The end of the last one opens nothing.
    store.revoke_key(stays.id()).unwrap();
    assert_eq!(other.rest(), "");
    Peer::new(&server).ask("GET a|", "-NOAUTH Authentication required.|");
}

#[test]
fn another_key_takes_away_what_only_the_one_before_might_do() {
    let store = store();
    let server = serve(&store);
    let admin = key(&store, "runs", &[Scope::Admin], &[]);
    let writer = key(&store, "writes", &[Scope::Write], &[]);
    let mut peer = authenticated(&server, &admin);
    peer.ask("SUBSCRIBE c|", "*3|$9|subscribe|$1|c|:1|");
    peer.ask("RESET|", "+RESET|");
    peer.ask(&format!("AUTH {}|", admin.text()), "+OK|");
    // Queued as one, done as the other.
    peer.ask(&format!("MULTI|AUTH {}|GET a|EXEC|", writer.text()), "+OK|+QUEUED|+QUEUED|*2|+OK|");
    assert!(peer.line().starts_with("-NOPERM ACLs rules changed between the moment the transaction was accumulated"));
    expect_refused(&mut peer, &["GET a", "CONFIG GET *"]);
    peer.ask(&format!("AUTH {}|", admin.text()), "+OK|");
    peer.ask("CLIENT KILL USER nobody|CLIENT KILL USER runs SKIPME yes|", "-ERR No such user 'nobody'|:0|");
}

#[test]
fn an_address_for_others_takes_a_key_or_tls() {
    let store = store();
    let everywhere = |authenticator| ServerOptions {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        authenticator,
        ..options()
    };
    let keys = || Authenticator::Keys(Arc::new(KeyRing::new(store.key_records().unwrap())));
    for authenticator in [Authenticator::None, keys()] {
        let error = RedisServer::start(store.keyspace().unwrap(), everywhere(authenticator)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Refused);
        assert!(error.way_out().unwrap().contains("asof key create"), "{error}");
    }
    key(&store, "any", &[Scope::Read], &[]);
    everywhere(keys()).check_exposure().unwrap();
    everywhere(Authenticator::Password((*b"secret").into())).check_exposure().unwrap();
}
