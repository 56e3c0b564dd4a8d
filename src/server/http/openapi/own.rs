//! asof's own paths.

use serde_json::{Value as Json, json};

use super::operation::{Documented, JSON};
use super::schemas::{
    any, boolean, bytes, definitions, features, files, instant, instant_or_null, known_at, known_at_text, list, object,
    status, text,
};
use crate::server::http::media::Media;

const READS: &str = "Reads";
const WRITES: &str = "Writes";
const CATALOG: &str = "Catalog";

pub(super) fn all() -> Vec<Documented> {
    let mut all = vec![get(), history(), write()];
    all.extend(catalog());
    all
}

fn get() -> Documented {
    let request = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["entities"],
        "properties": {
            "features": features(),
            "service": text("departure"),
            "entities": {
                "description": "An array of objects, or an object of arrays of one length: a value for each join key.",
                "oneOf": [list(object("Join keys of an entity.")), object("Columns of join keys.")],
            },
            "at": instant(),
            "known_at": known_at(),
            "definitions": definitions(),
            "full_names": { "type": "boolean", "description": "Call columns view__feature." },
        },
    });
    let answer = json!({
        "type": "object",
        "required": ["columns", "rows", "at", "seq"],
        "properties": {
            "columns": list(json!({
                "type": "object",
                "required": ["name", "view", "feature", "dtype"],
                "properties": {
                    "name": { "type": "string" },
                    "view": { "type": "string" },
                    "feature": { "type": "string" },
                    "dtype": { "type": "string" },
                },
            })),
            "rows": list(json!({
                "type": "object",
                "required": ["values", "statuses", "event_timestamps"],
                "properties": {
                    "values": list(any()),
                    "statuses": list(status()),
                    "event_timestamps": list(instant_or_null()),
                },
            })),
            "at": instant(),
            "seq": { "type": "integer", "description": "All rows up to this number are in the answer." },
        },
    });
    let arrow = Media::Arrow.name();
    let of_arrow = "Of entities as Arrow";
    Documented::post("/v1/get", "Features of entities, now or as of any moment")
        .tag(READS)
        .says("Asked again with known_at the answer's seq and at its moment, it answers the same. Entities may come as an Arrow IPC stream of their join keys; the query says the rest then. The answer as Arrow has a column of values for each feature, one of its status, one of its event time.")
        .query("features", text("weather:temp,visib"), of_arrow)
        .query("service", text("departure"), of_arrow)
        .query("at", instant(), of_arrow)
        .query("known_at", known_at_text(), of_arrow)
        .query("definitions", definitions(), of_arrow)
        .query("full_names", boolean(), of_arrow)
        .body(JSON, request, Some(json!({ "features": ["weather:temp"], "entities": [{ "origin": "JFK" }] })))
        .body(arrow, bytes("Join keys, a row for each entity."), None)
        .answer(
            JSON,
            answer,
            Some(json!({
                "columns": [{ "name": "temp", "view": "weather", "feature": "temp", "dtype": "float64" }],
                "rows": [{ "values": [39.0], "statuses": ["PRESENT"], "event_timestamps": ["2013-03-01T12:00:00Z"] }],
                "at": "2026-03-01T12:00:00.25Z",
                "seq": 365_176,
            })),
        )
        .answer(arrow, bytes("An Arrow IPC stream of one batch."), None)
}

fn history() -> Documented {
    let request = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["spine"],
        "properties": {
            "features": features(),
            "service": text("departure"),
            "spine": list(object("A row: join keys, its time, and whatever goes with it.")),
            "timestamp": { "type": "string", "description": "The column of times; event_timestamp when left out." },
            "known_at": known_at(),
            "definitions": definitions(),
            "created_cutoff": { "type": "boolean", "description": "Leave out rows created after the spine's row." },
            "full_names": boolean(),
        },
    });
    let answer = json!({
        "type": "object",
        "required": ["known_at_seq", "rows"],
        "properties": { "known_at_seq": { "type": "integer" }, "rows": list(object("A row of the spine, and its features.")) },
    });
    let of_files = "With a spine that is not JSON";
    let mut documented = Documented::post("/v1/history", "A point-in-time join: a spine in, a training set out")
        .tag(READS)
        .says("Each row of the spine gets the features as of its own time. A spine that is not JSON is the whole body, and the query says what is joined to it. The answer has the form of the spine, unless Accept asks for another.")
        .query("features", text("weather:temp,visib"), of_files)
        .query("service", text("departure"), of_files)
        .query("timestamp", text("event_timestamp"), of_files)
        .query("known_at", known_at_text(), of_files)
        .query("definitions", definitions(), of_files)
        .query("created_cutoff", boolean(), of_files)
        .query("full_names", boolean(), of_files)
        .body(
            JSON,
            request,
            Some(json!({
                "features": ["weather:temp"],
                "spine": [{ "origin": "JFK", "event_timestamp": "2013-03-01T12:00:00Z" }],
            })),
        )
        .answer(
            JSON,
            answer,
            Some(json!({
                "known_at_seq": 365_176,
                "rows": [{ "origin": "JFK", "event_timestamp": "2013-03-01T12:00:00Z", "temp": 39.0 }],
            })),
        );
    for (media, schema) in files() {
        documented = documented.body(media, schema.clone(), None).answer(media, schema, None);
    }
    documented
}

fn write() -> Documented {
    let row = object("A row: join keys, event time, features; _deleted: true deletes the entity from then on.");
    let rows = json!({
        "oneOf": [
            list(row.clone()),
            { "type": "object", "additionalProperties": false, "required": ["rows"], "properties": { "rows": list(row) } },
        ],
    });
    let answer = json!({
        "type": "object",
        "required": ["rows", "ignored"],
        "properties": {
            "rows": { "type": "integer", "description": "Rows that were written." },
            "first_seq": { "type": "integer", "description": "The number of the first; of a write." },
            "was_written_before": { "type": "boolean", "description": "The same rows came with this Idempotency-Key before; of a write." },
            "ignored": { "type": "array", "items": { "type": "string" }, "description": "Columns that the view does not know." },
            "rows_read": { "type": "integer", "description": "Of an import." },
            "rows_skipped": { "type": "integer", "description": "Rows that are there already; of an import." },
            "rows_refused": { "type": "integer", "description": "Of an import with bad_rows=quarantine." },
            "quarantine": { "type": ["string", "null"], "description": "The file of these in the store's quarantine." },
            "was_imported": { "type": "boolean", "description": "The same file was imported before; of an import." },
        },
    });
    let mut documented = Documented::post("/v1/write/{view}", "Rows into a view, all of them or none")
        .tag(WRITES)
        .says("JSON, JSON Lines and Arrow go into the log as one commit. Parquet, CSV, and with import=true the others too, are imported past the log: sent again, they are skipped.")
        .name("view", "The view, with a version or without", "weather")
        .query("allow_future", boolean(), "Take event timestamps however far ahead of the clock")
        .query("source", json!({ "type": "string", "minLength": 1, "maxLength": 128 }), "Who writes; explain says so")
        .query("import", boolean(), "Import JSON Lines or Arrow as files are")
        .query("append", boolean(), "Of an import: every row, whatever is there")
        .query("bad_rows", json!({ "type": "string", "enum": ["fail", "quarantine"] }), "Of an import: what becomes of rows that cannot be stored")
        .header(
            "Idempotency-Key",
            json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
            "Of writes of the same rows with the same key only the first is done, for 24 hours",
        )
        .body(JSON, rows, Some(json!([{ "origin": "JFK", "event_timestamp": "2013-03-01T12:00:00Z", "temp": 39.0 }])));
    for (media, schema) in files() {
        documented = documented.body(media, schema, None);
    }
    documented.answer(
        JSON,
        answer,
        Some(json!({ "rows": 1, "first_seq": 365_177, "ignored": [], "was_written_before": false })),
    )
}

fn catalog() -> Vec<Documented> {
    let lists = |path, summary| -> Documented {
        Documented::get(path, summary).tag(CATALOG).answer(JSON, list(object("As asof show prints it.")), None)
    };
    let one = |path, summary| -> Documented {
        Documented::get(path, summary).tag(CATALOG).answer(JSON, object("As the command line prints it."), None)
    };
    let explain = one("/v1/explain", "Where a value came from")
        .says("View and revision, clocks, seq, file or place in the log, checksum, source. Every other parameter is a join key; one that is called like these is written key.NAME.")
        .needs("feature", text("weather:temp"), "The feature")
        .query("at", instant(), "As of this moment")
        .query("known_at", known_at_text(), "Only what was committed by then")
        .query("definitions", definitions(), "With known_at: the definitions of today")
        .query("origin", text("JFK"), "A join key, by its name: this one is of the example");
    vec![
        lists("/v1/views", "Feature views: definition, rows, times, bytes"),
        one("/v1/views/{view}", "A feature view").name("view", "The view, with a version or without", "weather"),
        lists("/v1/services", "Feature services"),
        lists("/v1/entities", "Entities"),
        lists("/v1/runs", "Files of history"),
        one("/v1/stats", "The store in numbers"),
        lists("/v1/snapshots", "Named states of knowledge"),
        Documented::post("/v1/snapshots/{name}", "Names the state of knowledge of now")
            .tag(WRITES)
            .says("Reads with known_at=NAME are as of it, whatever is written later.")
            .name("name", "What it is to be called", "before_march")
            .answer(JSON, object("As /v1/snapshots lists it."), None),
        explain,
    ]
}

/// As Feast's server has it too.
pub(super) fn json_null() -> Json {
    json!({ "type": "null" })
}
