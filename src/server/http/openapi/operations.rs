//! What those ask who run a server.

use serde_json::{Value as Json, json};

use super::operation::{Documented, JSON};
use super::schemas::object;

const OPERATIONS: &str = "Operations";

pub(super) fn all() -> Vec<Documented> {
    let said = |word: &str| json!({ "status": word });
    let status = json!({ "type": "object", "required": ["status"], "properties": { "status": { "type": "string" } } });
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let text = |what: &str| -> Json { json!({ "type": "string", "description": what }) };
    let all = [
        Documented::get("/health", "Alive").says("200 while the process serves.").open_to_all(),
        Documented::get("/ready", "Ready")
            .says("200 while the store is open and its log takes writes.")
            .answer(JSON, status, Some(said("ready")))
            .open_to_all()
            .also(503, "The store takes no writes; the server's log says why.", problem),
        Documented::get("/metrics", "What Prometheus scrapes").answer(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text("OpenMetrics text"),
            None,
        ),
        Documented::get("/openapi.json", "This document").answer(JSON, object("OpenAPI 3.1"), None).open_to_all(),
        Documented::get("/docs", "This document, to be read")
            .answer("text/html; charset=utf-8", text("HTML"), None)
            .open_to_all(),
    ];
    all.into_iter().map(|documented| documented.tag(OPERATIONS)).collect()
}
