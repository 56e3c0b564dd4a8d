//! The paths of guides to feature platforms.

use serde_json::{Value as Json, json};

use super::operation::{Documented, JSON};
use super::schemas::{
    any, boolean, definitions, features, instant, instant_or_null, known_at, known_at_text, list, object, status, text,
};

const GUIDES: &str = "Guides";

pub(super) fn all() -> Vec<Documented> {
    let mut all = vec![get_features(), batch(), online()];
    all.extend(of_definitions());
    all.into_iter().map(|documented| documented.tag(GUIDES)).collect()
}

fn request(rows: &str) -> Json {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["entity_rows"],
        "properties": {
            "entity_rows": list(object(rows)),
            "feature_refs": features(),
            "feature_service": text("departure"),
            "full_feature_names": boolean(),
            "known_at": known_at(),
            "definitions": definitions(),
        },
    })
}

/// An object whose members are of one kind.
fn map(values: Json) -> Json {
    json!({ "type": "object", "additionalProperties": values })
}

fn get_features() -> Documented {
    let answer = json!({
        "type": "object",
        "required": ["results", "statuses"],
        "properties": { "results": list(map(any())), "statuses": list(map(status())) },
    });
    Documented::post("/get-features", "Features of entities now, row by row")
        .body(
            JSON,
            request("Join keys of an entity."),
            Some(json!({ "feature_refs": ["weather:temp"], "entity_rows": [{ "origin": "JFK" }] })),
        )
        .answer(
            JSON,
            answer,
            Some(json!({ "results": [{ "origin": "JFK", "temp": 39.0 }], "statuses": [{ "temp": "PRESENT" }] })),
        )
}

fn batch() -> Documented {
    let answer = json!({
        "type": "object",
        "required": ["known_at_seq", "rows"],
        "properties": { "known_at_seq": { "type": "integer" }, "rows": list(object("A row, and its features.")) },
    });
    let row = json!({ "origin": "JFK", "event_timestamp": "2013-03-01T12:00:00Z" });
    Documented::post("/features/batch", "Features of entities, each as of its own event_timestamp")
        .body(
            JSON,
            request("Join keys of an entity, and its event_timestamp."),
            Some(json!({ "feature_refs": ["weather:temp"], "entity_rows": [row] })),
        )
        .answer(JSON, answer, None)
}

fn online() -> Documented {
    let answer = json!({
        "type": "object",
        "required": ["entity", "features", "statuses", "event_timestamps", "seq"],
        "properties": {
            "entity": map(any()),
            "features": map(any()),
            "statuses": map(status()),
            "event_timestamps": map(instant_or_null()),
            "seq": { "type": "integer" },
        },
    });
    Documented::get("/features/online/{entity_id}", "Features of one entity, named by its only join key")
        .name("entity_id", "The join key's value", "JFK")
        .query("features", text("weather:temp"), "References; the view of the one before may be left out")
        .query("service", text("departure"), "Instead of features: a feature service")
        .query("at", instant(), "As of this moment; now when left out")
        .query("known_at", known_at_text(), "Only what was committed by then")
        .query("definitions", definitions(), "With known_at: the definitions of today")
        .query("full_names", boolean(), "Call features view__feature")
        .answer(
            JSON,
            answer,
            Some(json!({
                "entity": { "origin": "JFK" },
                "features": { "temp": 39.0 },
                "statuses": { "temp": "PRESENT" },
                "event_timestamps": { "temp": "2013-03-01T12:00:00Z" },
                "seq": 365_176,
            })),
        )
}

fn of_definitions() -> [Documented; 4] {
    let name = "weather:temp, or temp where one view alone has it";
    let definitions = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "entities": object("Entities by name, as asof.toml has them."),
            "views": object("Feature views by name, as asof.toml has them."),
            "services": object("Feature services by name, as asof.toml has them."),
        },
    });
    let example = json!({
        "entities": { "runway": { "join_keys": { "runway": "string" } } },
        "views": { "surface": { "entities": ["runway"], "features": { "friction": "float64" } } },
    });
    [
        Documented::get("/features/{name}", "What a feature is: type, rules, view, owner")
            .name("name", name, "weather:temp")
            .answer(JSON, object("The feature, and what of its view is its own too."), None),
        Documented::get("/features/{name}/lineage", "What a feature comes from, and goes into")
            .name("name", name, "weather:temp")
            .answer(JSON, object("Source, view and services."), None),
        Documented::get("/feature-views", "Feature views, as /v1/views").answer(
            JSON,
            list(object("As asof show prints it.")),
            None,
        ),
        Documented::post("/features", "Registers entities, views and services")
            .says("Refused where a definitions file has them, as under asof serve.")
            .body(JSON, definitions, Some(example))
            .answer(JSON, object("The plan that was carried out, as asof apply prints it."), None),
    ]
}
