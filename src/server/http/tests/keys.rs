//! Keys: what each route takes.

use std::sync::Arc;

use serde_json::json;

use super::{HttpOptions, HttpServer, Peer, options};
use crate::ApplyOptions;
use crate::api_key::Scope;
use crate::definition::{Definitions, FeatureView};
use crate::server::auth::{Authenticator, KeyRing};
use crate::store::Store;
use crate::value::DataType;

#[test]
fn a_route_opens_to_keys_of_its_scope_and_its_views() {
    let store = Store::temporary().unwrap();
    let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", DataType::Int64);
    let definitions = Definitions::new("p").entity("thing", [("id", DataType::Int64)]).view(view("a")).view(view("b"));
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let keys = Arc::new(KeyRing::new(store.key_records().unwrap()));
    let options = HttpOptions { authenticator: Authenticator::Keys(keys), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let body = json!({ "features": ["a:x", "b:x"], "entities": { "id": [1] }, "full_feature_names": true }).to_string();
    let ask = |key: &str| {
        let header = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
        Peer::new(&server).ask("POST", "/get-online-features", &header, &body)
    };
    assert_eq!(ask("").status, 200, "a store that never had a key asks nobody");
    let key = |name: &str, scope, views: &[&str]| store.create_key(name, &[scope], views).unwrap().0.text().to_owned();
    let (reader, writer) = (key("reader", Scope::Read, &[]), key("writer", Scope::Write, &[]));
    let (of_a, admin) = (key("of_a", Scope::Read, &["a"]), key("admin", Scope::Admin, &[]));
    for (key, status) in [("", 401), ("wrong", 401), (&*writer, 403), (&*of_a, 403), (&*reader, 200), (&*admin, 200)] {
        let answer = ask(key);
        assert_eq!(answer.status, status, "{key}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    store.revoke_key("reader").unwrap();
    assert_eq!(ask(&reader).status, 401);
    assert_eq!(Peer::new(&server).ask("GET", "/health", "", "").status, 200, "alive for everybody");
    assert_eq!(Peer::new(&server).ask("GET", "/nothing", "", "").status, 404);
}
