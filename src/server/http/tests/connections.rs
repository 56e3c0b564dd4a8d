//! Bounds of connections, requests and bodies.

use std::time::{Duration, Instant};

use super::{HttpOptions, HttpServer, Peer, options};
use crate::store::Store;

#[test]
fn a_connection_that_does_not_say_what_it_wants_is_closed() {
    let store = Store::temporary().unwrap();
    let options = HttpOptions { head_time: Duration::from_millis(200), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    for beginning in ["", "GET /health HTTP/1.1\r\nHost: ", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let start = Instant::now();
        let mut peer = Peer::new(&server);
        peer.send(beginning.as_bytes());
        let said = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(start.elapsed() < Duration::from_secs(5), "{beginning:?}");
        assert_eq!(said.starts_with("HTTP/1.1 200"), beginning.ends_with("\r\n\r\n"), "{beginning:?}: {said:?}");
    }
}

#[test]
fn bodies_have_bounds_of_length_and_time() {
    let store = Store::temporary().unwrap();
    let options = HttpOptions { body_bytes_max: 1_000, body_time: Duration::from_millis(200), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let body = format!("{{\"entities\": {{}}, \"x\": \"{}\"}}", "x".repeat(1_000));
    assert_eq!(Peer::new(&server).ask("POST", "/get-online-features", "", &body).status, 413);
    let mut peer = Peer::new(&server);
    peer.send(b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
    assert_eq!(peer.answer().status, 408);
}

#[test]
fn one_connection_more_than_there_may_be_is_told_so() {
    let store = Store::temporary().unwrap();
    let server = HttpServer::start((*store).clone(), HttpOptions { connections_max: 1, ..options() }).unwrap();
    let mut first = Peer::new(&server);
    assert_eq!(first.ask("GET", "/health", "", "").status, 200);
    let mut second = Peer::new(&server);
    assert_eq!(second.answer().status, 503);
    assert_eq!(second.rest(), b"");
    assert_eq!(first.ask("GET", "/health", "", "").status, 200);
}

#[test]
fn a_server_that_stops_answers_what_it_was_asked() {
    let store = Store::temporary().unwrap();
    let server = HttpServer::start((*store).clone(), options()).unwrap();
    let mut idle = Peer::new(&server);
    assert_eq!(idle.ask("GET", "/health", "", "").status, 200);
    let mut asking = Peer::new(&server);
    asking.send(b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{");
    std::thread::sleep(Duration::from_millis(50));
    let stopper = server.stopper();
    stopper.stop();
    assert_eq!(idle.rest(), b"");
    asking.send(b"}");
    assert_eq!(asking.answer().status, 422);
    server.wait();
}

/// What was answered before, and the refusal, stayed in the server's buffer where bytes of the request were left in the other one.
#[test]
fn a_request_that_cannot_be_read_is_refused_after_those_before_it_were_answered() {
    let store = super::own::store();
    let server = super::serve(&store);
    let mut peer = super::Peer::new(&server);
    peer.send(
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /push?a=\" HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde",
    );
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.answer().status, 400);
    assert!(peer.rest().is_empty());
}
