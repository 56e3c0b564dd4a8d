//! Bodies and answers that are compressed on their way.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};

use super::own::store;
use super::{HttpOptions, HttpServer, Peer, options, serve};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_and_answers_may_be_compressed() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let entities = json!({ "origin": vec!["JFK"; 100] });
    let body = json!({ "features": ["airport:lat"], "entities": entities, "at": "2014-01-01" }).to_string();
    let plain = peer.ask_with("POST", "/v1/get", &[], body.as_bytes());
    assert_eq!(plain.header("content-encoding"), None, "nobody asked for it");
    let packed = peer.ask_with(
        "POST",
        "/v1/get",
        &[("content-encoding", "gzip"), ("accept-encoding", "gzip")],
        &gzip(body.as_bytes()),
    );
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")), "{packed:?}");
    assert!(packed.body.len() < plain.body.len() / 4);
    let mut text = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut text).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&text).unwrap()["rows"], plain.json()["rows"]);
    let zstd = peer.ask_with("POST", "/v1/get", &[("accept-encoding", "zstd")], body.as_bytes());
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd.body[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    let unknown = peer.ask_with("POST", "/v1/get", &[("content-encoding", "br")], body.as_bytes());
    assert_eq!(unknown.status, 415, "{unknown:?}");
    let torn = peer.ask_with("POST", "/v1/get", &[("content-encoding", "gzip")], &gzip(body.as_bytes())[..20]);
    assert_eq!(torn.status, 400, "{torn:?}");
}

/// What is a few kilobytes on its way may be gigabytes afterwards.
#[test]
fn a_body_is_as_long_as_what_comes_out_of_it() {
    let store = store();
    let server = HttpServer::start((*store).clone(), HttpOptions { body_bytes_max: 100_000, ..options() }).unwrap();
    let bomb = gzip(&vec![b' '; 10_000_000]);
    assert!(bomb.len() < 100_000);
    let answer = Peer::new(&server).ask_with("POST", "/v1/get", &[("content-encoding", "gzip")], &bomb);
    assert_eq!(answer.status, 413, "{answer:?}");
}
