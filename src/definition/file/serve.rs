//! The table of the server: `[serve]`.

use std::path::PathBuf;

use super::reader::{Item, Reader};
use crate::definition::mistake::At;
use crate::definition::serve::ServeSettings;

const SERVE_KEYS: &[&str] = &[
    "redis",
    "http",
    "import_folder",
    "requests_per_second",
    "http_connections",
    "tls_cert",
    "tls_key",
    "log",
    "log_format",
];

pub(super) fn read_serve(reader: &mut Reader, at: &At, item: &Item<'_>) -> ServeSettings {
    let mut serve = ServeSettings::default();
    for item in reader.table(at, item, "a table: [serve]") {
        let (at, value) = (at.key(item.key), item.value);
        let path = |reader: &mut Reader, example: &str| reader.non_empty(&at, value, example).map(PathBuf::from);
        match item.key {
            "redis" => serve.redis = reader.parsed(&at, value, "\"127.0.0.1:6379\", or \"off\""),
            "http" => serve.http = reader.parsed(&at, value, "\"127.0.0.1:6566\", or \"off\""),
            "import_folder" => serve.import_folder = path(reader, "\"data\""),
            "requests_per_second" => serve.requests_per_second = reader.count(&at, value),
            "http_connections" => serve.http_connections = reader.count(&at, value),
            "tls_cert" => serve.tls_cert = path(reader, "\"tls/server.pem\""),
            "tls_key" => serve.tls_key = path(reader, "\"tls/server.key\""),
            "log" => serve.log = reader.parsed(&at, value, "\"info\""),
            "log_format" => serve.log_format = reader.parsed(&at, value, "\"json\""),
            _ => reader.unknown_key(&at, &item, "[serve]", SERVE_KEYS),
        }
    }
    serve
}
