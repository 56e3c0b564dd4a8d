//! Feast's feature server.

use serde_json::{Value as Json, json};

use super::operation::{Documented, JSON};
use super::own::json_null;
use super::schemas::{any, boolean, list, text};

const FEAST: &str = "Feast";

pub(super) fn all() -> Vec<Documented> {
    let mut all = vec![get_online_features()];
    all.extend(writes());
    all.extend(materialize());
    all.into_iter().map(|documented| documented.tag(FEAST).refuses_as_feast()).collect()
}

/// True or false, in the forms that Feast takes for them.
fn flag() -> Json {
    let others = json!([0, 1, "true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"]);
    json!({ "oneOf": [{ "type": "boolean" }, { "type": ["integer", "string"], "enum": others }] })
}

fn columns(description: &str) -> Json {
    json!({ "type": "object", "additionalProperties": { "type": "array", "items": {} }, "description": description })
}

fn get_online_features() -> Documented {
    let request = json!({
        "type": "object",
        "required": ["entities"],
        "properties": {
            "features": { "type": ["array", "null"], "items": { "type": "string" } },
            "feature_service": { "type": ["string", "null"], "description": "Instead of features." },
            "entities": columns("Columns of join keys, of one length."),
            "full_feature_names": flag(),
            "include_feature_view_version_metadata": flag(),
        },
    });
    let answer = json!({
        "type": "object",
        "required": ["results", "metadata"],
        "properties": {
            "results": list(json!({
                "type": "object",
                "required": ["values", "statuses", "event_timestamps"],
                "properties": {
                    "values": list(any()),
                    "statuses": list(json!({ "type": "string", "enum": ["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"] })),
                    "event_timestamps": list(json!({ "type": "string" })),
                },
            })),
            "metadata": {
                "type": "object",
                "required": ["feature_names"],
                "properties": { "feature_names": list(json!({ "type": "string" })) },
            },
        },
    });
    let time = "2013-03-01T12:00:00Z";
    let of_key = "1970-01-01T00:00:00Z";
    Documented::post("/get-online-features", "Features of entities now, column by column")
        .body(JSON, request, Some(json!({ "features": ["weather:temp"], "entities": { "origin": ["JFK"] } })))
        .answer(
            JSON,
            answer,
            Some(json!({
                "results": [
                    { "values": ["JFK"], "statuses": ["PRESENT"], "event_timestamps": [of_key] },
                    { "values": [39.0], "statuses": ["PRESENT"], "event_timestamps": [time] },
                ],
                "metadata": { "feature_names": ["origin", "temp"] },
            })),
        )
}

fn writes() -> [Documented; 2] {
    let row =
        json!({ "origin": ["JFK"], "event_timestamp": ["2013-03-01T12:00:00Z"], "temp": [39.0], "note": ["calm"] });
    let push = json!({
        "type": "object",
        "required": ["push_source_name", "df"],
        "properties": {
            "push_source_name": text("weather"),
            "df": columns("Columns of the rows: join keys, event time, features."),
            "to": { "type": "string", "description": "online, offline or online_and_offline: one log, which both read." },
            "allow_registry_cache": flag(),
            "transform_on_write": flag(),
        },
    });
    let write = json!({
        "type": "object",
        "required": ["feature_view_name", "df"],
        "properties": {
            "feature_view_name": text("weather"),
            "df": columns("Columns of the rows: join keys, event time, features."),
            "allow_registry_cache": flag(),
            "transform_on_write": flag(),
        },
    });
    [
        Documented::post("/push", "Rows to the views of a push source")
            .says("A push source is called as source.push of its views says, or as the view.")
            .body(JSON, push, Some(json!({ "push_source_name": "weather", "df": row, "to": "online" }))),
        Documented::post("/write-to-online-store", "Rows to a view")
            .body(JSON, write, Some(json!({ "feature_view_name": "weather", "df": row })))
            .answer(JSON, json_null(), Some(Json::Null)),
    ]
}

fn materialize() -> [Documented; 2] {
    let names =
        json!({ "type": ["array", "null"], "items": { "type": "string" }, "description": "Views; all when left out." });
    let whole = json!({
        "type": "object",
        "properties": {
            "start_ts": { "type": ["string", "null"] },
            "end_ts": { "type": ["string", "null"] },
            "feature_views": names,
            "disable_event_timestamp": flag(),
        },
    });
    let incremental = json!({
        "type": "object",
        "properties": { "end_ts": { "type": ["string", "null"] }, "feature_views": names },
    });
    let accepted = json!({
        "type": "object",
        "properties": { "status": { "type": "string" }, "feature_views": list(json!({ "type": "string" })) },
    });
    let describe = |documented: Documented, schema: Json, example: Json| {
        documented
            .says("Imports the files that views name as their source, below the server's import folder; of what is there already nothing is added again.")
            .query("async", boolean(), "Answer 202 at once, and import in the background")
            .body(JSON, schema, Some(example))
            .answer(JSON, json_null(), Some(Json::Null))
            .also(202, "The import goes on.", accepted.clone())
    };
    [
        describe(
            Documented::post("/materialize", "Imports what the views' sources have gained"),
            whole,
            json!({ "start_ts": "2013-01-01T00:00:00Z", "end_ts": "2014-01-01T00:00:00Z" }),
        ),
        describe(
            Documented::post("/materialize-incremental", "Imports what the views' sources have gained"),
            incremental,
            json!({ "end_ts": "2014-01-01T00:00:00Z" }),
        ),
    ]
}
