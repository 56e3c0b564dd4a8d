//! `GET /openapi.json`, what all paths take and answer as OpenAPI 3.1, and `GET /docs`, the same to be read.

mod feast;
mod operation;
mod operations;
mod own;
mod page;
mod platform;
mod schemas;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use utoipa::openapi::path::Paths;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder};

use self::operation::{BEARER, Documented};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
/// Of the page, browsers take the style that it has itself, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(digest(&SHA256, page::STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{style}'")
});
static PAGE: LazyLock<String> = LazyLock::new(|| page::of(&document()));

/// The document.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// The document as a page, which asks for nothing else, from here or anywhere.
pub(super) async fn docs() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY.as_str())];
    (headers, PAGE.as_str()).into_response()
}

/// Every path and method.
fn documented() -> Vec<Documented> {
    [own::all(), platform::all(), feast::all(), operations::all()].into_iter().flatten().collect()
}

fn document() -> OpenApi {
    let mut paths = Paths::new();
    for documented in documented() {
        let (path, method) = (documented.path, documented.method.clone());
        paths.add_path_operation(path, vec![method], documented.build());
    }
    let mut components = Components::new();
    components.schemas.extend(schemas::named().map(|(name, schema)| (name.to_owned(), schema)));
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A key of the store, as asof key create made it."));
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme.build()));
    let mut info = Info::new("asof", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "An embedded feature store over HTTP: the latest value of every feature, and every value there ever was. \
         Values are JSON in the forms of the command line: a decimal, bytes or a uuid is a string, a timestamp RFC 3339 in UTC."
            .to_owned(),
    );
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::http::routes;

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let routes: BTreeSet<&str> = routes::scopes().into_iter().map(|(path, _)| path).collect();
        let all = documented();
        let paths: BTreeSet<&str> = all.iter().map(|documented| documented.path).collect();
        assert_eq!(routes, paths);
        assert_eq!(all.len(), paths.len(), "each path has one method");
    }

    #[test]
    fn the_document_names_nothing_that_it_has_not() {
        let text = &*DOCUMENT;
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let mut ids: Vec<&str> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{ids:?}");
    }

    #[test]
    fn the_page_has_every_path_and_asks_for_nothing() {
        for documented in documented() {
            assert!(PAGE.contains(&format!(">{}<", documented.path)), "{}", documented.path);
        }
        assert!(!PAGE.contains("<script") && !PAGE.contains("src=") && !PAGE.contains("@import"));
    }
}
