//! What /openapi.json gives as an example works, and answers what it says.

use serde_json::Value as Json;

use super::own::store;
use super::{Peer, serve};

/// A path with its names and the parameters that it needs, as the document's examples have them.
fn path_of(path: &str, operation: &Json) -> String {
    let (mut path, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (parameter["name"].as_str().unwrap(), parameter["schema"]["example"].as_str());
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{name}}}"), example.unwrap()),
            "query" if parameter["required"] == Json::Bool(true) || name == "origin" => {
                query.push(format!("{name}={}", example.unwrap()));
            }
            _ => {}
        }
    }
    // What has no parameter that it must have is asked for something all the same.
    if path.starts_with("/features/online") {
        query.push("features=weather:temp".to_owned());
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

#[test]
fn examples_of_the_document_work() {
    let store = store();
    let server = serve(&store);
    let document = Peer::new(&server).ask("GET", "/openapi.json", "", "").json();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path_of(path, operation);
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = Peer::new(&server).ask(&method.to_ascii_uppercase(), &path, "", &body);
            assert_eq!(answer.status, 200, "{method} {path} {body}: {}", String::from_utf8_lossy(&answer.body));
            let content = &operation["responses"]["200"]["content"];
            let media = answer.header("content-type").unwrap_or_default();
            let schema = &content[media]["schema"];
            assert!(content.is_null() || schema.is_object(), "{path} answers {media}: {content}");
            match (schema["type"].as_str(), schema["required"].as_array()) {
                (Some("object"), required) => {
                    let json = answer.json();
                    required
                        .into_iter()
                        .flatten()
                        .for_each(|name| assert!(!json[name.as_str().unwrap()].is_null(), "{path}: {name}"));
                    let known = schema["properties"].as_object();
                    let is_known = |name: &String| known.is_none_or(|known| known.contains_key(name));
                    assert!(json.as_object().unwrap().keys().all(is_known), "{path}: {json}");
                }
                (Some("array"), _) => assert!(answer.json().is_array(), "{path}"),
                (Some("null"), _) => assert!(answer.json().is_null(), "{path}"),
                _ => {}
            }
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried}");
}

#[test]
fn the_page_asks_browsers_for_nothing_else() {
    let store = store();
    let answer = Peer::new(&serve(&store)).ask("GET", "/docs", "", "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(String::from_utf8_lossy(&answer.body).contains("/v1/history"));
}
