//! TLS, spoken by a client that checks the server's certificate.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::server::auth::Authenticator;
use crate::server::tls::Tls;

type TlsPeer = StreamOwned<ClientConnection, TcpStream>;

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/resp/tests/certificates")
}

fn tls() -> Arc<Tls> {
    Arc::new(Tls::load(&certificates().join("first.pem"), &certificates().join("first.key")).unwrap())
}

fn start(options: ServerOptions) -> RunningServer {
    RedisServer::start(keyspace(Duration::ZERO), options).unwrap()
}

fn client(version: &'static rustls::SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates().join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

fn connect(server: &RunningServer) -> TlsPeer {
    connect_with(server, &rustls::version::TLS13)
}

fn connect_with(server: &RunningServer, version: &'static rustls::SupportedProtocolVersion) -> TlsPeer {
    StreamOwned::new(client(version), Peer::new(server).0)
}

#[track_caller]
fn ask(peer: &mut TlsPeer, request: &str, expected: &str) {
    peer.write_all(request.replace('|', "\r\n").as_bytes()).unwrap();
    let mut found = vec![0; expected.replace('|', "\r\n").len()];
    peer.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found).replace("\r\n", "|"), expected);
}

#[test]
fn a_connection_that_the_tls_library_refuses_counts_nowhere() {
    // It went on counting for its event loop: after a few of them others were handed to the loops beside it.
    let tls = tls();
    let server = start(ServerOptions { tls: Some(Arc::clone(&tls)), ..options() });
    tls.spoil();
    (0..5).for_each(|_| assert_eq!(Peer::new(&server).rest(), ""));
    let shared = server.shared();
    let of_loops = || shared.mailboxes.iter().map(|mailbox| mailbox.connections.load(SeqCst)).sum::<usize>();
    eventually("none is left", || shared.connections.load(SeqCst) == 0 && of_loops() == 0);
}

#[test]
fn commands_and_answers_of_any_length_go_through_tls_of_both_versions() {
    let server = start(ServerOptions { tls: Some(tls()), ..options() });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut peer = connect_with(&server, version);
        ask(&mut peer, "PING|SET a 1|GET a|", "+PONG|+OK|$1|1|");
        let value = "v".repeat(5_000_000);
        ask(&mut peer, &format!("*3|$3|SET|$1|b|$5000000|{value}|"), "+OK|");
        ask(&mut peer, "GET b|PING|", &format!("$5000000|{value}|+PONG|"));
        ask(&mut peer, &"PING|".repeat(20_000), &"+PONG|".repeat(20_000));
        // The end is told, as TLS wants it: without that, reading to the end is an error.
        ask(&mut peer, "QUIT|", "+OK|");
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
    expect_nothing_left(&server);
}

#[test]
fn who_does_not_greet_in_time_or_speaks_something_else_is_cut_off() {
    let authentication_time = Duration::from_secs(3);
    let server = start(ServerOptions { tls: Some(tls()), authentication_time, ..options() });
    let (mut silent, mut half, mut plain) = (Peer::new(&server), Peer::new(&server), Peer::new(&server));
    // The head of a record that does not come.
    half.0.write_all(&[22, 3, 1, 0, 200, 1]).unwrap();
    plain.send("PING|");
    let mut greeted = connect(&server);
    greeted.conn.complete_io(&mut greeted.sock).unwrap();
    let start = Instant::now();
    assert!(!plain.rest().contains("PONG"));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((silent.rest(), half.rest()), (String::new(), String::new()));
    // Who greeted may be silent: no key is asked for.
    std::thread::sleep(Duration::from_millis(700));
    ask(&mut greeted, "PING|", "+PONG|");
}

#[test]
fn a_password_is_asked_for_in_tls_too() {
    let authenticator = Authenticator::Password((*b"secret").into());
    let authentication_time = Duration::from_secs(3);
    let server = start(ServerOptions { tls: Some(tls()), authenticator, authentication_time, ..options() });
    let (mut known, mut unknown) = (connect(&server), connect(&server));
    ask(&mut known, "GET a|AUTH secret|GET a|", "-NOAUTH Authentication required.|+OK|$-1|");
    ask(&mut unknown, "GET a|", "-NOAUTH Authentication required.|");
    assert_eq!(unknown.read(&mut [0]).unwrap(), 0);
    ask(&mut known, "PING|", "+PONG|");
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off_in_tls_too() {
    let stall_time = Duration::from_millis(300);
    let server = start(ServerOptions { tls: Some(tls()), stall_time, ..options() });
    let mut peer = connect(&server);
    let value = "v".repeat(1_000_000);
    ask(&mut peer, &format!("*3|$3|SET|$1|a|$1000000|{value}|"), "+OK|");
    peer.write_all("GET a\r\n".repeat(30).as_bytes()).unwrap();
    eventually("it waits for its reader", || server.shared().output_bytes.load(SeqCst) > 0);
    expect_nothing_left(&server);
}

#[test]
fn a_certificate_that_is_read_again_is_shown_to_who_comes_then() {
    let folder = Store::temporary().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    let put = |name: &str| {
        std::fs::copy(certificates().join(format!("{name}.pem")), &certificate).unwrap();
        std::fs::copy(certificates().join(format!("{name}.key")), &key).unwrap();
    };
    put("first");
    let tls = Arc::new(Tls::load(&certificate, &key).unwrap());
    let server = start(ServerOptions { tls: Some(Arc::clone(&tls)), ..options() });
    let shown = |peer: &mut TlsPeer| {
        ask(peer, "PING|", "+PONG|");
        peer.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let mut early = connect(&server);
    let first = shown(&mut early);
    put("second");
    tls.reload().unwrap();
    let second = shown(&mut connect(&server));
    assert_ne!(first, second);
    // What cannot be used is not: the key of another certificate, no PEM, no file.
    std::fs::copy(certificates().join("first.key"), &key).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("cannot be used"));
    std::fs::write(&key, "no key").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("no private key"));
    std::fs::remove_file(&certificate).unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(shown(&mut connect(&server)), second);
    ask(&mut early, "PING|", "+PONG|");
}
