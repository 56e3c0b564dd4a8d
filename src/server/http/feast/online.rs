//! `POST /get-online-features`, and `GET /health`.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value as Json;

use super::refusal::Refusal;
use super::request::{Columns, OnlineRequest, online_request};
use crate::api_key::Scope;
use crate::definition::{FeatureRef, FeatureService, FeatureView, Selection, selections_of};
use crate::engine::online::EntityKey;
use crate::key::common_type;
use crate::request::Features;
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, is_long};
use crate::server::http::ask::{check_length, check_references, kind_of};
use crate::server::http::columns::Column;
use crate::server::http::entities::{check_count, check_values, key_value};
use crate::server::http::guard;
use crate::server::http::json::push_string;
use crate::server::http::registered::InForce;
use crate::server::http::shared::Shared;
use crate::store::Resolution;
use crate::text::json_text;
use crate::value::{DataType, Value};

/// Alive.
pub(in crate::server::http) async fn health() -> StatusCode {
    StatusCode::OK
}

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

fn answer(shared: &Shared, grant: &Grant, body: &Bytes) -> Result<Vec<u8>, Refusal> {
    let request = online_request(body)?;
    let in_force = shared.definitions()?;
    let selected = select(&request, &in_force, grant, &shared.options.project)?;
    let keys = Keys::read(&request.entities, &selected, &in_force)?;
    check_values(keys.count, selected.names.len())?;
    // Views of which a join key is missing have no row of these entities; the others are read at once.
    let read: Vec<&Part> = selected.parts.iter().filter(|part| keys.has_all_of(part)).collect();
    let mut out = Vec::new();
    COLUMNS.with_borrow_mut(|columns| {
        let features = selected.names.len();
        if columns.len() < features {
            columns.resize_with(features, Column::default);
        }
        columns[..features].iter_mut().for_each(Column::clear);
        read_rows(shared, &in_force, &read, &keys, columns)?;
        for part in selected.parts.iter().filter(|part| !keys.has_all_of(part)) {
            for column in &mut columns[part.columns.clone()] {
                (0..keys.count).for_each(|_| column.push_not_found());
            }
        }
        write(&request, &selected, &keys, &columns[..features], &mut out);
        if out.capacity() > COLUMNS_BYTES_MAX {
            *columns = Vec::new();
        }
        Ok::<_, Refusal>(())
    })?;
    Ok(out)
}

/// The buffers of a longer answer than this are not kept.
const COLUMNS_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Buffers of the answer before, for the next one.
    static COLUMNS: RefCell<Vec<Column>> = const { RefCell::new(Vec::new()) };
}

/// Features of one view that a request asks for next to each other.
struct Part<'a> {
    selection: Selection,
    view: &'a FeatureView,
    /// For each join key of the view, the column of the request that holds it.
    key_columns: Vec<String>,
    /// Its places among all features of the answer.
    columns: std::ops::Range<usize>,
}

/// What a request asks for.
struct Selected<'a> {
    parts: Vec<Part<'a>>,
    /// What the features are called in the answer.
    names: Vec<String>,
}

fn select<'a>(
    request: &OnlineRequest,
    in_force: &'a InForce,
    grant: &Grant,
    project: &str,
) -> Result<Selected<'a>, Refusal> {
    let unknown = |class, what: &str, name: &str| {
        let message = format!("Feature {what} {name} does not exist in project {project}");
        Refusal::exception(StatusCode::NOT_FOUND, class, &message)
    };
    let selections = match (&request.feature_service, &request.features) {
        (Some(name), _) => {
            check_length("feature service", name)?;
            let service = in_force.definitions.services.get(name);
            // A key of some views is not told which others there are.
            let may_read = |service: &&FeatureService| {
                service.features.iter().all(|selection| grant.access.may(Scope::Read, Some(&selection.view.name)))
            };
            if !grant.access.is_of_all_views() && service.filter(may_read).is_none() {
                let what = format!("of all that the service {name} reads");
                return Err(guard::not_permitted(grant, Scope::Read, &what).into());
            }
            let service = service.ok_or_else(|| unknown("FeatureServiceNotFoundException", "service", name))?;
            service.features.clone()
        }
        (None, Some(features)) if !features.is_empty() => {
            check_references(features)?;
            let references: Result<Vec<FeatureRef>, Refusal> = features.iter().map(|text| reference(text)).collect();
            selections_of(&references?)
        }
        _ => return Err(Refusal::mistake("No features specified for retrieval")),
    };
    let (mut parts, mut names) = (Vec::with_capacity(selections.len()), Vec::new());
    for mut selection in selections {
        let name = selection.view.to_string();
        guard::check(grant, Scope::Read, &selection.view.name)?;
        let view = in_force.view(&selection.view);
        let view = view.ok_or_else(|| unknown("FeatureViewNotFoundException", "view", &name))?;
        if selection.features.is_empty() {
            selection.features = view.features.iter().map(|feature| feature.name.clone()).collect();
        }
        if let Some(feature) = selection.features.iter().find(|feature| view.feature_index(feature).is_none()) {
            return Err(Refusal::mistake(format!("'Feature {feature} not found in projection {name}'")));
        }
        let (first, label) = (names.len(), selection.label());
        names.extend(selection.features.iter().map(|feature| match request.full_feature_names {
            true => format!("{label}__{feature}"),
            false => feature.clone(),
        }));
        let columns = view.join_keys.iter().map(|(name, _)| selection.join_keys.get(name).unwrap_or(name).clone());
        parts.push(Part { key_columns: columns.collect(), columns: first..names.len(), selection, view });
    }
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut twice: Vec<&str> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    if !twice.is_empty() {
        let message = format!(
            "Duplicate features named {} found.\nTo resolve this collision, either use the full feature name by setting \
             'full_feature_names=True', or ensure that the features in question have different names.",
            twice.join(", ")
        );
        return Err(Refusal::exception(StatusCode::BAD_REQUEST, "FeatureNameCollisionError", &message));
    }
    Ok(Selected { parts, names })
}

/// A feature reference in Feast's form, or asof's: `view:feature`, `view@2:feature`, `view@v2:feature`.
fn reference(text: &str) -> Result<FeatureRef, Refusal> {
    let asofs = match text.split_once("@v") {
        Some((view, rest)) if rest.starts_with(|digit: char| digit.is_ascii_digit()) => format!("{view}@{rest}"),
        _ => text.to_owned(),
    };
    asofs.parse().map_err(|_| {
        Refusal::mistake(format!(
            "Invalid feature reference '{text}'. Expected format: '<feature_view>:<feature>' or '<feature_view>@<version>:<feature>'"
        ))
    })
}

/// The entities of a request.
struct Keys {
    count: usize,
    /// Columns that hold join keys, by what they are called in the answer, in the request's order.
    columns: Vec<(String, Vec<KeyCell>)>,
}

/// A join key: as it is looked for, and as it is answered.
struct KeyCell {
    value: Value,
    json: String,
}

impl Keys {
    fn read(given: &Columns, selected: &Selected<'_>, in_force: &InForce) -> Result<Keys, Refusal> {
        let count = given.0.first().map_or(0, |(_, values)| values.len());
        if given.0.iter().any(|(_, values)| values.len() != count) {
            return Err(Refusal::mistake("All entity rows must have the same columns."));
        }
        check_count(count)?;
        let mut columns: Vec<(String, Vec<KeyCell>)> = Vec::with_capacity(given.0.len());
        for (name, values) in &given.0 {
            // What is no join key is data of the request, which no feature takes.
            let Some((name, dtype)) = key_of_column(name, selected, in_force) else { continue };
            if columns.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::mistake(format!("the join key {name} is given by two columns")));
            }
            let cells = values.iter().map(|value| cell(&name, &dtype, value)).collect::<Result<_, _>>()?;
            columns.push((name, cells));
        }
        let keys = Keys { count, columns };
        keys.check(selected)?;
        Ok(keys)
    }

    /// Refuses a request that gives nothing of what a view is looked up by.
    fn check(&self, selected: &Selected<'_>) -> Result<(), Refusal> {
        let is_left_out = |part: &&Part<'_>| !part.key_columns.iter().any(|column| self.column(column).is_some());
        let left_out: Vec<&str> = selected
            .parts
            .iter()
            .filter(|part| self.count == 0 || !part.key_columns.is_empty())
            .filter(|part| self.count == 0 || is_left_out(part))
            .flat_map(|part| part.key_columns.iter().map(String::as_str))
            .collect();
        if left_out.is_empty() && self.count > 0 {
            return Ok(());
        }
        let mut missing: Vec<String> = left_out.iter().map(|name| format!("'{name}'")).collect();
        missing.sort_unstable();
        missing.dedup();
        let given: Vec<String> = self.columns.iter().map(|(name, _)| format!("'{name}'")).collect();
        let (missing, given) = (missing.join(", "), given.join(", "));
        Err(Refusal::mistake(format!(
            "\"Missing join key values for keys: [{missing}]. No values provided for keys: [{missing}]. Provided join_key_values: [{given}]\""
        )))
    }

    fn column(&self, name: &str) -> Option<&[KeyCell]> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, cells)| cells.as_slice())
    }

    fn has_all_of(&self, part: &Part<'_>) -> bool {
        part.key_columns.iter().all(|column| self.column(column).is_some())
    }
}

/// The join key that a column holds, and its type: one that the features are looked up by, or another of the project, which is answered
/// as it was given.
fn key_of_column(name: &str, selected: &Selected<'_>, in_force: &InForce) -> Option<(String, DataType)> {
    let taken = |column: &str| {
        let keys = selected.parts.iter().flat_map(|part| part.key_columns.iter().zip(&part.view.join_keys));
        let types = keys.filter(|(key, _)| *key == column).map(|(_, (_, dtype))| dtype);
        types.cloned().reduce(|known, other| common_type(&known, &other).cloned().unwrap_or(known))
    };
    if let Some(dtype) = taken(name) {
        return Some((name.to_owned(), dtype));
    }
    let (key, dtype) = in_force.join_key(name)?;
    Some((key.to_owned(), taken(key).unwrap_or_else(|| dtype.clone())))
}

fn cell(column: &str, dtype: &DataType, json: &Json) -> Result<KeyCell, Refusal> {
    let value = key_value(dtype, json).map_err(|error| Refusal::from(error.at(format!("join key {column}"))))?;
    Ok(KeyCell { json: json_text(value_type(dtype, &value), &value), value })
}

/// The type that a value of a key is written as: one that is too large for its key's is the wider one's.
fn value_type<'a>(dtype: &'a DataType, value: &Value) -> &'a DataType {
    if matches!(value, Value::Int64(_)) { &DataType::Int64 } else { dtype }
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
    let check = |_: &Resolution| Ok::<_, Refusal>(());
    shared.pool.with(&shared.store, (in_force.revision, &kind), features, check, |prepared| {
        let handle = &mut prepared.handle;
        let entity = |at: usize| -> Vec<(&str, Value)> {
            let cells = wanted.iter().filter_map(|name| Some((*name, keys.column(name)?.get(at)?)));
            cells.map(|(name, cell)| (name, cell.value.clone())).collect()
        };
        let keys = (0..keys.count).map(|at| handle.key(&entity(at)));
        let keys: Vec<EntityKey> = keys.collect::<crate::Result<_>>()?;
        handle.get_batch(&keys, shared.store.now(), |_, row| {
            for (feature, &place) in places.iter().enumerate() {
                columns[place].push_feature(row, feature);
            }
        })
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
    if request.include_feature_view_version_metadata {
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
