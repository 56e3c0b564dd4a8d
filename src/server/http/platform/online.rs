//! `GET /features/online/{entity_id}`: one entity, named by its only join key.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;

use super::row::{push_event_times, push_statuses, push_values};
use crate::error::Error;
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, json_answer};
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When, references};
use crate::server::http::entities::key_value;
use crate::server::http::json::{push_quoted, push_string};
use crate::server::http::names::Names;
use crate::server::http::params::{Name, Params};
use crate::server::http::problem::Problem;
use crate::server::http::reading::Reading;
use crate::server::http::shared::Shared;
use crate::store::Resolution;

/// Which features, and as of when.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct OnlineQuery {
    #[serde(default)]
    features: String,
    service: Option<String>,
    #[serde(default)]
    full_names: bool,
    at: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
}

impl OnlineQuery {
    /// Of a query that says one thing, and that in plain letters; `None` of others, which are read as queries are.
    pub(in crate::server::http) fn of_plain(query: &str) -> Option<OnlineQuery> {
        let (name, value) = query.split_once('=')?;
        if value.contains(['&', '%', '+', '=']) {
            return None;
        }
        let nothing = || OnlineQuery {
            features: String::new(),
            service: None,
            full_names: false,
            at: None,
            known_at: None,
            definitions: None,
        };
        match name {
            "service" => Some(OnlineQuery { service: Some(value.to_owned()), ..nothing() }),
            "features" => Some(OnlineQuery { features: value.to_owned(), ..nothing() }),
            _ => None,
        }
    }
}

/// Features of one entity, with their statuses and event times.
pub(in crate::server::http) async fn online(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Name(entity_id): Name,
    Params(query): Params<OnlineQuery>,
) -> Result<Response, Problem> {
    online_of(&shared, &grant, &entity_id, query)
}

/// [`online`], for who has no need to share anything.
///
/// # Errors
/// As there.
pub(in crate::server::http) fn online_of(
    shared: &Shared,
    grant: &Grant,
    entity_id: &str,
    query: OnlineQuery,
) -> Result<Response, Problem> {
    let when = When { at: query.at.as_deref(), known_at: query.known_at.as_ref(), definitions: query.definitions };
    let ask = Ask::new(&references(&query.features), query.service, when, query.full_names)?;
    let json =
        aside(!ask.is_of_now(), || shared.read(grant, &ask, |reading| answer(reading, entity_id, ask.full_names)))?;
    Ok(json_answer(json))
}

fn answer(reading: Reading<'_>, entity_id: &str, full_names: bool) -> Result<Vec<u8>, Problem> {
    let names = reading.asked.names(full_names)?;
    let column = only_key(reading.asked)?;
    let key = reading.asked.join_keys.iter().find(|key| key.column == column);
    let id = Json::String(entity_id.to_owned());
    let value = key.map_or(Ok(crate::value::Value::Null), |key| key_value(&key.dtype, &id));
    let value = value.map_err(|error| error.at(format!("join key {column}")))?;
    let mut out = Vec::with_capacity(96 + 88 * names.len());
    out.extend_from_slice(b"{\"entity\":{");
    push_string(column, &mut out);
    out.push(b':');
    push_string(entity_id, &mut out);
    let moment = reading.each(&[vec![(column, value)]], |_, row| {
        for (part, push) in [
            ("features", push_values as fn(&Names, &_, &mut Vec<u8>)),
            ("statuses", push_statuses),
            ("event_timestamps", push_event_times),
        ] {
            out.extend_from_slice(b"},");
            push_quoted(part, &mut out);
            out.extend_from_slice(b":{");
            push(names, &row, &mut out);
        }
        out.len()
    })?;
    out.extend_from_slice(b"},\"seq\":");
    out.extend_from_slice(itoa::Buffer::new().format(moment.seq).as_bytes());
    out.push(b'}');
    Ok(out)
}

/// The column of the only join key.
///
/// # Errors
/// There are several, or none.
fn only_key(asked: &Resolution) -> Result<&str, Error> {
    if let [first, others @ ..] = asked.join_keys.as_slice()
        && others.iter().all(|key| key.column == first.column)
    {
        return Ok(&first.column);
    }
    let mut columns: Vec<&str> = asked.join_keys.iter().map(|key| key.column.as_str()).collect();
    columns.sort_unstable();
    columns.dedup();
    let error = Error::invalid(match columns.len() {
        0 => "these features are of no entity".to_owned(),
        _ => format!("an entity of these features has the join keys {}", columns.join(", ")),
    });
    Err(error.remedy("ask by POST /v1/get, which takes any number of join keys"))
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::*;

    #[test]
    fn a_plain_query_is_read_as_every_query_is() {
        for query in [
            "service=s",
            "features=a:x,b@2:y",
            "features=",
            "service=%73",
            "service=a+b",
            "service=s&at=1",
            "at=1",
            "service",
            "",
        ] {
            let uri = format!("/features/online/7?{query}").parse().unwrap();
            let read = Query::<OnlineQuery>::try_from_uri(&uri).map(|Query(query)| query);
            if let Some(plain) = OnlineQuery::of_plain(query) {
                assert_eq!(plain, read.unwrap(), "{query}");
            }
        }
        assert!(OnlineQuery::of_plain("service=s").is_some() && OnlineQuery::of_plain("features=a:x").is_some());
    }
}
