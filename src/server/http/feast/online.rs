//! `POST /get-online-features`.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::keys::Keys;
use super::refusal::Refusal;
use super::request::{OnlineRequest, online_request};
use super::select::{Part, Selected, select};
use crate::api_key::Scope;
use crate::engine::online::EntityKey;
use crate::request::Features;
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, is_long};
use crate::server::http::ask::kind_of;
use crate::server::http::columns::Column;
use crate::server::http::entities::{check_bytes, check_values, is_much};
use crate::server::http::json::{Times, push_string};
use crate::server::http::names::Asked;
use crate::server::http::reading::AnswerRow;
use crate::server::http::registered::InForce;
use crate::server::http::shared::Shared;
use crate::value::Value;

/// Features of entities, now.
pub(in crate::server::http) async fn get_online_features(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Response {
    let answer = match shared.receive(&grant, body).await {
        Ok(body) => aside(is_long(&body), || answer(&shared, &grant, &body)),
        Err(problem) => Err(problem.into()),
    };
    match answer {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn answer(shared: &Shared, grant: &Grant, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request = online_request(body)?;
    let in_force = shared.definitions()?;
    let selected = select(&request, &in_force, grant, &shared.options.project)?;
    let may_read = |view: &str| grant.access.may(Scope::Read, Some(view));
    let keys = Keys::read(&request.entities, &selected, &in_force, &may_read)?;
    let values = check_values(keys.count, selected.names.len())?;
    // Views of which a join key is missing have no row of these entities; the others are read at once.
    let read: Vec<&Part> = selected.parts.iter().filter(|part| keys.has_all_of(part)).collect();
    let mut out = Vec::new();
    // Within it nothing waits: the thread keeps its buffers.
    let read_and_write = || {
        COLUMNS.with_borrow_mut(|columns| {
            let features = selected.names.len();
            if columns.len() < features {
                columns.resize_with(features, Column::default);
            }
            columns[..features].iter_mut().for_each(Column::clear);
            let was_read = read_rows(shared, &in_force, &read, &keys, columns);
            if was_read.is_ok() {
                for part in selected.parts.iter().filter(|part| !keys.has_all_of(part)) {
                    for column in &mut columns[part.columns.clone()] {
                        (0..keys.count).for_each(|_| column.push_not_found());
                    }
                }
                write(&request, &selected, &keys, &columns[..features], &mut out);
            }
            if columns.iter().map(Column::capacity).sum::<usize>() > COLUMNS_BYTES_MAX {
                *columns = Vec::new();
            }
            was_read
        })
    };
    aside(is_much(values), read_and_write)?;
    Ok(out)
}

/// The buffers of a longer answer than this are not kept.
const COLUMNS_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Buffers of the answer before, for the next one.
    static COLUMNS: RefCell<Vec<Column>> = const { RefCell::new(Vec::new()) };
}

/// Reads parts of which all join keys are there into their columns.
fn read_rows(
    shared: &Shared,
    in_force: &InForce,
    parts: &[&Part<'_>],
    keys: &Keys,
    columns: &mut [Column],
) -> Result<(), Refusal> {
    if parts.is_empty() {
        return Ok(());
    }
    let kind: String = parts.iter().map(|part| kind_of(&part.selection)).collect();
    let features = || Features::List(parts.iter().map(|part| part.selection.clone()).collect());
    let places: Vec<usize> = parts.iter().flat_map(|part| part.columns.clone()).collect();
    let mut wanted: Vec<&str> = parts.iter().flat_map(|part| part.key_columns.iter().map(String::as_str)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    // Each was looked at by name.
    let check = |_: &Asked| Ok::<_, Refusal>(());
    shared.pool.with(shared, (in_force.revision, &kind), features, check, |prepared| {
        let (handle, served) = (&mut prepared.handle, &prepared.served);
        let entity = |at: usize| -> Vec<(&str, Value)> {
            let cells = wanted.iter().filter_map(|name| Some((*name, keys.column(name)?.get(at)?)));
            cells.map(|(name, cell)| (name, cell.value.clone())).collect()
        };
        let keys = (0..keys.count).map(|at| handle.key(&entity(at)));
        let keys: Vec<EntityKey> = keys.collect::<crate::Result<_>>()?;
        let (mut told, mut times, mut length) = (Vec::new(), Times::default(), Ok(0));
        handle.get_batch(&keys, shared.store.now(), |_, row| {
            let Ok(before) = length else { return };
            let row = AnswerRow::now(row, places.len(), &mut told, served);
            let each = places.iter().enumerate();
            let bytes = each.map(|(feature, &place)| columns[place].push_feature(&row, feature, &mut times));
            length = check_bytes(before + bytes.sum::<usize>(), &shared.options);
        })?;
        length.map(drop)
    })??;
    Ok(())
}

fn write(request: &OnlineRequest, selected: &Selected<'_>, keys: &Keys, columns: &[Column], out: &mut Vec<u8>) {
    out.reserve(columns.iter().map(Column::len).sum::<usize>() + 32 * selected.names.len() + 256);
    out.extend_from_slice(b"{\"results\":[");
    let mut key_column = Column::default();
    for (_, cells) in &keys.columns {
        key_column.clear();
        cells.iter().for_each(|cell| key_column.push_key(&cell.json));
        key_column.write(out);
        out.push(b',');
    }
    for column in columns {
        column.write(out);
        out.push(b',');
    }
    end_list(out);
    out.extend_from_slice(b",\"metadata\":{\"feature_names\":[");
    for name in keys.columns.iter().map(|(name, _)| name).chain(&selected.names) {
        push_string(name, out);
        out.push(b',');
    }
    end_list(out);
    if request.include_feature_view_version_metadata.0 {
        out.extend_from_slice(b",\"feature_view_metadata\":[");
        let mut views: Vec<&str> = Vec::new();
        for part in &selected.parts {
            let view = part.selection.view.name.as_str();
            if views.contains(&view) {
                continue;
            }
            views.push(view);
            out.extend_from_slice(b"{\"name\":");
            push_string(view, out);
            out.extend_from_slice(b"},");
        }
        end_list(out);
    }
    out.extend_from_slice(b"}}");
}

/// Ends a list whose last element is followed by a comma, or that has none.
fn end_list(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::request::ApplyOptions;
    use crate::server::http::options::HttpOptions;
    use crate::store::{Row, Store};
    use crate::value::DataType;

    /// Those of an answer that was too long stayed with the thread.
    #[test]
    fn buffers_of_a_long_answer_are_not_kept_nor_those_of_one_that_is_too_long() {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("note").entity("thing").feature("text", DataType::String);
        let definitions = Definitions::new("p").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        store.write_rows("note", [Row::new().at(store.now()).set("id", 7_i64).set("text", "x".repeat(1_000))]).unwrap();
        let options = HttpOptions { held_bytes_max: 4 << 20, project: "p".to_owned(), ..HttpOptions::default() };
        let shared = Shared::new((*store).clone(), options);
        let grant = shared.options.authenticator.unasked().unwrap();
        for (entities, is_answered, is_kept) in [(10, true, true), (2_000, true, false), (8_000, false, false)] {
            let ids = vec![7; entities];
            let body = serde_json::json!({ "features": ["note:text"], "entities": { "id": ids } }).to_string();
            assert_eq!(answer(&shared, &grant, body.as_bytes()).is_ok(), is_answered, "{entities} entities");
            let kept = COLUMNS.with_borrow(|columns| columns.iter().map(Column::capacity).sum::<usize>());
            assert_eq!((1..=COLUMNS_BYTES_MAX).contains(&kept), is_kept, "{entities} entities: {kept} bytes");
        }
    }
}
