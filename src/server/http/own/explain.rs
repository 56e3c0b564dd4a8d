//! `GET /v1/explain`: where a value came from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value as Json;

use crate::engine::get::Entity;
use crate::server::auth::Grant;
use crate::server::http::answer::json_of;
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When};
use crate::server::http::entities::key_value;
use crate::server::http::guard;
use crate::server::http::params::Params;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::value::Value;

/// Join keys may be given with this before their name, as those must be that are called like a parameter.
const KEY: &str = "key.";

/// Explains one feature of one entity. Every parameter that is not of the path is a join key.
pub(in crate::server::http) async fn explain(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(parameters): Params<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let (mut feature, mut at, mut known_at, mut definitions) = (None, None, None, None);
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &parameters {
        let slot = match name.as_str() {
            "feature" => &mut feature,
            "at" => &mut at,
            "known_at" => &mut known_at,
            "definitions" => &mut definitions,
            name => {
                let key = name.strip_prefix(KEY).unwrap_or(name);
                if keys.iter().any(|(known, _)| *known == key) {
                    return Err(Problem::mistake(format!("the join key {key} is given twice")));
                }
                keys.push((key, value));
                continue;
            }
        };
        if slot.replace(value.as_str()).is_some() {
            return Err(Problem::mistake(format!("the parameter {name} is given twice")));
        }
    }
    let definitions = match definitions {
        None => None,
        Some("current") => Some(DefinitionsOf::Current),
        Some(other) => return Err(Problem::mistake(format!("definitions is current, or left out, not {other}"))),
    };
    let feature = feature.ok_or_else(|| Problem::mistake("a feature is missing; give it as feature=weather:temp"))?;
    let known_at = known_at.map(|text| KnownAtText::Text(text.to_owned()));
    let when = When { at, known_at: known_at.as_ref(), definitions };
    let ask = Ask::new(&[feature.to_owned()], None, when, false)?;
    guard::check_ask(&shared, &grant, &ask)?;
    tokio::task::block_in_place(|| {
        let join_keys = shared.store.join_keys(&ask.features, &ask.options)?;
        let mut entity: Entity<'_> = Vec::with_capacity(keys.len());
        for (name, text) in keys {
            let value = match join_keys.iter().find(|key| key.column == name) {
                Some(key) => key_value(&key.dtype, &Json::String(text.to_owned()))
                    .map_err(|error| error.at(format!("join key {name}")))?,
                // The store says that nothing is joined through it.
                None => Value::Null,
            };
            entity.push((name, value));
        }
        json_of(&shared.store.explain(feature, &entity, &ask.options)?)
    })
}
