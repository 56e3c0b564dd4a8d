//! `POST /features`: definitions into the registry, where no file has them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use crate::definition::Definitions;
use crate::error::Error;
use crate::request::ApplyOptions;
use crate::server::auth::Grant;
use crate::server::http::answer::{json_of, on_disk};
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;

/// What the body is called in errors.
const BODY: &str = "the body";

/// Applies the `entities`, `views` and `services` of the body, in the form that asof.toml has them; nothing else changes.
pub(in crate::server::http) async fn register(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    if let Some(file) = &shared.options.managed_by {
        return Err(Error::refused(format!("the definitions of this store are those of {file}"))
            .remedy("add the feature there, and apply the file: asof apply")
            .into());
    }
    let body = shared.receive(&grant, body).await?;
    on_disk(move || {
        // A store that has none yet takes the name that the server was given.
        let known = shared.store.summary()?.project;
        let project = if known.is_empty() { shared.options.project.clone() } else { known };
        let definitions = definitions_of(&serde_json::from_slice(&body)?, &project)?;
        json_of(&shared.store.apply(&definitions, ApplyOptions::default())?)
    })
    .await
}

/// Definitions out of JSON, read as asof.toml is.
fn definitions_of(json: &Json, project: &str) -> Result<Definitions, Error> {
    let Json::Object(given) = json else {
        return Err(Error::invalid("is no object of entities, views and services").at(BODY));
    };
    if let Some(other) = given.keys().find(|name| !["entities", "views", "services"].contains(&name.as_str())) {
        return Err(Error::invalid(format!("has {other}; entities, views and services can be registered")).at(BODY));
    }
    let mut all = json.clone();
    all["project"] = json!({ "name": project });
    let unwritable = |error: &dyn std::fmt::Display| Error::invalid(format!("has no form in TOML: {error}")).at(BODY);
    let value = toml::Value::try_from(&all).map_err(|error| unwritable(&error))?;
    let text = toml::to_string(&value).map_err(|error| unwritable(&error))?;
    Definitions::parse(&text, BODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_json_are_those_of_the_file() {
        let json = json!({
            "entities": { "airport": { "join_keys": { "origin": "string" } } },
            "views": { "weather": {
                "entities": ["airport"],
                "ttl": "3h",
                "features": { "temp": "float64", "visib": { "dtype": "float64", "min": 0 } },
            } },
        });
        let text = "[project]\nname = \"p\"\n[entities.airport]\njoin_keys = { origin = \"string\" }\n[views.weather]\n\
            entities = [\"airport\"]\nttl = \"3h\"\n[views.weather.features]\ntemp = \"float64\"\nvisib = { dtype = \"float64\", min = 0 }\n";
        assert_eq!(definitions_of(&json, "p").unwrap(), Definitions::parse(text, "asof.toml").unwrap());
        for (wrong, says) in [
            (json!([]), "no object"),
            (json!({ "store": {} }), "has store"),
            (json!({ "views": { "weather": { "entities": [null] } } }), "the body"),
            (json!({ "views": { "weather": { "features": {}, "entites": [] } } }), "entites"),
        ] {
            let error = definitions_of(&wrong, "p").unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
