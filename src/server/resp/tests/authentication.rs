use super::*;
use crate::server::auth::Authenticator;

fn protected() -> RunningServer {
    let authenticator = Authenticator::Password((*b"secret").into());
    let authentication_time = Duration::from_millis(800);
    RedisServer::start(keyspace(Duration::ZERO), ServerOptions { authenticator, authentication_time, ..options() })
        .unwrap()
}

#[test]
fn nothing_is_done_before_the_password() {
    let server = protected();
    let mut peer = Peer::new(&server);
    let refused = "-NOAUTH Authentication required.|";
    peer.ask("GET a|SET a 1|PING|MULTI|SUBSCRIBE a|CLIENT LIST|", &refused.repeat(6));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.|";
    peer.ask("AUTH wrong|AUTH default wrong|AUTH other secret|", &wrong.repeat(3));
    peer.ask("AUTH secret|SET a 1|GET a|RESET|GET a|", &format!("+OK|+OK|$1|1|+RESET|{refused}"));
    peer.ask("AUTH default secret|GET a|", "+OK|$1|1|");
}

#[test]
fn a_request_is_small_before_the_password_and_not_after_it() {
    let server = protected();
    for (request, expected) in [
        ("*9|", "-ERR Protocol error: unauthenticated multibulk length|"),
        ("*2|$4|AUTH|$5000|", "-ERR Protocol error: unauthenticated bulk length|"),
    ] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        assert_eq!(peer.rest(), expected);
    }
    let mut peer = Peer::new(&server);
    let value = "v".repeat(10_000);
    peer.ask(&format!("AUTH secret|*3|$3|SET|$1|a|$10000|{value}|"), "+OK|+OK|");
}

#[test]
fn who_does_not_authenticate_is_cut_off_and_who_did_stays() {
    let server = protected();
    let (mut silent, mut talking, mut known) = (Peer::new(&server), Peer::new(&server), Peer::new(&server));
    known.ask("AUTH secret|", "+OK|");
    talking.ask("PING|", "-NOAUTH Authentication required.|");
    assert_eq!(silent.rest(), "");
    assert_eq!(talking.rest(), "");
    known.ask("PING|", "+PONG|");
    // Who gives it up begins anew.
    let start = Instant::now();
    known.ask("RESET|", "+RESET|");
    assert_eq!(known.rest(), "");
    assert!(start.elapsed() > Duration::from_millis(700), "{:?}", start.elapsed());
}

#[test]
fn who_does_not_authenticate_makes_no_output_pile_up() {
    let server = protected();
    let mut peer = Peer::new(&server);
    peer.0.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let start = Instant::now();
    // Nothing is read: the errors fill the sockets, then a little of the server's memory, and that was it.
    while start.elapsed() < PATIENCE {
        match peer.0.write(&b"PING\r\n".repeat(1_000)) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Err(_) => break,
        }
        let waiting = server.shared().output_bytes.load(std::sync::atomic::Ordering::SeqCst);
        assert!(waiting <= 32 << 10, "{waiting}");
    }
    assert!(start.elapsed() < PATIENCE, "still there after {sent} bytes");
}
