//! `asof show`: what is in the store.

use serde_json::{Value as Json, json};

use super::args::{Format, Show};
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_bytes, human_count, one_line};
use crate::definition::{Feature, Rules, Selection, ViewRef};
use crate::engine::get::GetOptions;
use crate::engine::summary::{ColumnSummary, EntitySummary, RunSummary, ServiceSummary, StoreSummary, ViewSummary};
use crate::error::{Error, nearest};
use crate::request::Features;
use crate::store::Store;
use crate::time::{Timestamp, format_duration_us};

/// What can be shown beside one view or service by its name.
const WHOLES: [&str; 5] = ["views", "entities", "services", "runs", "store"];

pub(super) fn run(args: &Show, context: &mut Context) -> Result<(), Failure> {
    let store = context.project()?.open_for_reading()?;
    match args.what.as_str() {
        "views" => {
            let views = store.views()?;
            context.print_with(&views_sheet(&views), &views)?;
            if context.format == Format::Table {
                context.say(format_args!("\n{}", sentence(&store.summary()?)))?;
            }
            Ok(())
        }
        "entities" => {
            let entities = store.entities()?;
            context.print_with(&entities_sheet(&entities), &entities)
        }
        "services" => {
            let services = store.services()?;
            context.print_with(&services_sheet(&services), &services)
        }
        "runs" => {
            let runs = store.runs()?;
            context.print_with(&runs_sheet(&runs), &runs)
        }
        "store" => {
            let summary = store.summary()?;
            context.print_with(&store_sheet(&summary), &summary)
        }
        name => {
            let wanted = inputs::view(name)?;
            let (views, services) = (store.views()?, store.services()?);
            match (find_view(&views, &wanted), services.iter().find(|service| service.name == name)) {
                (Some(view), None) => show_view(view, context),
                (None, Some(service)) => show_service(service, &store, context),
                (Some(view), Some(service)) if context.format == Format::Table => {
                    show_view(view, context)?;
                    context.say("")?;
                    show_service(service, &store, context)
                }
                // One answer has one shape.
                (Some(view), Some(_)) => {
                    context.note(format_args!("{name} is a service too: asof show services has it"));
                    show_view(view, context)
                }
                (None, None) => Err(unknown(name, &views, &services).into()),
            }
        }
    }
}

/// The view of this name; its newest version where none is named.
fn find_view<'a>(views: &'a [ViewSummary], wanted: &ViewRef) -> Option<&'a ViewSummary> {
    let named = views.iter().filter(|view| view.name == wanted.name);
    match wanted.version {
        Some(version) => named.into_iter().find(|view| view.version == version),
        None => named.max_by_key(|view| view.version),
    }
}

fn unknown(name: &str, views: &[ViewSummary], services: &[ServiceSummary]) -> Error {
    let error = Error::not_found(format!("there is no feature view or service {name}"));
    let names = views.iter().map(|view| view.view.as_str()).chain(services.iter().map(|service| service.name.as_str()));
    match nearest(name, names.chain(WHOLES)) {
        Some(near) => error.remedy(format!("did you mean {near}?")),
        None => error.remedy(format!("asof show lists the views; {} can be shown too", WHOLES[1..].join(", "))),
    }
}

fn views_sheet(views: &[ViewSummary]) -> Sheet {
    let mut sheet =
        Sheet::new(["view", "kind", "entities", "features", "ttl", "rows", "keys", "latest event", "bytes"]);
    for view in views {
        sheet.push([
            json!(view.view),
            json!(view.kind.to_string()),
            json!(view.entities.join(", ")),
            json!(view.features.len()),
            duration(view.ttl_us),
            json!(view.rows),
            json!(view.entity_count),
            time(view.event_max),
            json!(view.history_bytes + view.latest_bytes),
        ]);
    }
    sheet
}

fn entities_sheet(entities: &[EntitySummary]) -> Sheet {
    let mut sheet = Sheet::new(["entity", "join keys", "views", "description"]);
    for entity in entities {
        sheet.push([
            json!(entity.name),
            json!(columns(&entity.join_keys)),
            json!(entity.views.join(", ")),
            json!(entity.description),
        ]);
    }
    sheet
}

fn services_sheet(services: &[ServiceSummary]) -> Sheet {
    let mut sheet = Sheet::new(["service", "features", "owner", "description"]);
    for service in services {
        let features: Vec<String> = service.features.iter().map(selection).collect();
        sheet.push([json!(service.name), json!(features.join(", ")), json!(service.owner), json!(service.description)]);
    }
    sheet
}

fn runs_sheet(runs: &[RunSummary]) -> Sheet {
    let mut sheet = Sheet::new(["file", "view", "from", "level", "rows", "keys", "first event", "last event", "bytes"]);
    for run in runs {
        sheet.push([
            json!(run.file.to_string_lossy()),
            json!(run.view),
            json!(run.source),
            json!(run.level),
            json!(run.rows),
            json!(run.entities),
            json!(run.event_min),
            json!(run.event_max),
            json!(run.bytes),
        ]);
    }
    sheet
}

fn store_sheet(store: &StoreSummary) -> Sheet {
    let mut sheet = Sheet::new(["what", "is"]);
    for (what, is) in [
        ("path", json!(store.path.to_string_lossy())),
        ("project", json!(store.project)),
        ("uuid", json!(store.uuid)),
        ("format version", json!(store.format_version)),
        ("created at", json!(store.created_at)),
        ("seq", json!(store.seq)),
        ("views", json!(store.views)),
        ("rows", json!(store.rows)),
        ("rows in the log", json!(store.rows_in_log)),
        ("log bytes", json!(store.log_bytes)),
        ("history bytes", json!(store.history_bytes)),
        ("latest bytes", json!(store.latest_bytes)),
        ("snapshots", json!(store.snapshots)),
        ("imports", json!(store.imports)),
    ] {
        sheet.push([json!(what), is]);
    }
    sheet
}

fn sentence(store: &StoreSummary) -> String {
    format!(
        "{}: {} rows up to seq {}; {} of history, {} of latest values",
        store.path.display(),
        human_count(store.rows),
        store.seq,
        human_bytes(store.history_bytes),
        human_bytes(store.latest_bytes)
    )
}

/// One service in full: for people and as JSON with the join keys that a read of it takes; as CSV its features.
fn show_service(service: &ServiceSummary, store: &Store, context: &mut Context) -> Result<(), Failure> {
    let keys = store.join_keys(&Features::service(&service.name), &GetOptions::default())?;
    let mut join_keys: Vec<ColumnSummary> = Vec::new();
    for key in keys {
        let column = ColumnSummary { name: key.column, dtype: key.dtype };
        if !join_keys.contains(&column) {
            join_keys.push(column);
        }
    }
    if context.format == Format::Table {
        let tags: Vec<String> = service.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let about = [
            ("service", format!("{} (revision {})", service.name, service.revision)),
            ("description", service.description.clone()),
            ("owner", service.owner.clone()),
            ("tags", tags.join(", ")),
            ("join keys", columns(&join_keys)),
        ];
        print_about(about, context)?;
    }
    let mut sheet = Sheet::new(["features", "as", "join keys"]);
    for selection in &service.features {
        let features = if selection.features.is_empty() { "*".to_owned() } else { selection.features.join(",") };
        let features = format!("{}:{features}", selection.view);
        sheet.push([json!(features), json!(selection.alias), json!(mapping(selection))]);
    }
    let mut all = json!(service);
    all["join_keys"] = json!(join_keys);
    context.print_with(&sheet, &all)
}

fn print_about(about: impl IntoIterator<Item = (&'static str, String)>, context: &mut Context) -> Result<(), Failure> {
    for (what, is) in about.into_iter().filter(|(_, is)| !is.is_empty()) {
        writeln!(context.out, "{what:>14}  {}", one_line(&is))?;
    }
    Ok(writeln!(context.out)?)
}

/// One view in full: for people what it is, then its features; as CSV the features.
fn show_view(view: &ViewSummary, context: &mut Context) -> Result<(), Failure> {
    if context.format == Format::Table {
        print_about(about(view), context)?;
    }
    let mut sheet = Sheet::new(["feature", "dtype", "rules", "description"]);
    for feature in &view.features {
        let Feature { name, dtype, description, .. } = feature;
        sheet.push([json!(name), json!(dtype.to_string()), json!(rules(&feature.rules)), json!(description)]);
    }
    context.print_with(&sheet, view)
}

fn about(view: &ViewSummary) -> Vec<(&'static str, String)> {
    let text = |us: i64| if us == 0 { String::new() } else { format_duration_us(us) };
    let tags: Vec<String> = view.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let span = match (view.event_min, view.event_max) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => String::new(),
    };
    let keys = view.entity_count.map(|keys| format!(" of {} keys", human_count(keys))).unwrap_or_default();
    vec![
        ("view", format!("{} (revision {}, {})", view.view, view.revision, view.kind)),
        ("description", view.description.clone()),
        ("owner", view.owner.clone()),
        ("tags", tags.join(", ")),
        ("join keys", columns(&view.join_keys)),
        ("event id", columns(&view.event_id)),
        ("redis keys", view.redis_keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("source", view.source.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
        ("push source", view.source.push.clone().unwrap_or_default()),
        ("event time", view.event_timestamp.clone().unwrap_or_else(|| "one instant for all rows".to_owned())),
        ("created time", view.created_timestamp.clone().unwrap_or_default()),
        ("ttl", text(view.ttl_us)),
        ("retention", text(view.retention_us)),
        ("freshness sla", text(view.freshness_sla_us)),
        ("rows", format!("{}{keys}, {} still in the log", human_count(view.rows), human_count(view.rows_in_log))),
        ("events", span),
        ("learned last", view.newest_ingested_at.map(|at| at.to_string()).unwrap_or_default()),
        (
            "size",
            format!(
                "{} in {} files, {} of latest values",
                human_bytes(view.history_bytes),
                view.run_files,
                human_bytes(view.latest_bytes)
            ),
        ),
    ]
}

fn columns(columns: &[ColumnSummary]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{} {}", column.name, column.dtype)).collect();
    columns.join(", ")
}

/// `weather:temp,visib`, the name it goes by and the columns it is joined through, where those are others.
fn selection(selection: &Selection) -> String {
    let features = if selection.features.is_empty() { "*".to_owned() } else { selection.features.join(",") };
    let alias = selection.alias.as_ref().map(|alias| format!(" as {alias}")).unwrap_or_default();
    let mapping = mapping(selection);
    let mapping = if mapping.is_empty() { mapping } else { format!(" on {mapping}") };
    format!("{}:{features}{alias}{mapping}", selection.view)
}

/// `origin = dest`: the view's join key, and the column that a caller gives for it.
fn mapping(selection: &Selection) -> String {
    let mapped: Vec<String> = selection.join_keys.iter().map(|(key, column)| format!("{key} = {column}")).collect();
    mapped.join(", ")
}

fn rules(rules: &Rules) -> String {
    let mut all = Vec::new();
    if rules.not_null {
        all.push("not null".to_owned());
    }
    all.extend(rules.min.iter().map(|min| format!("at least {min}")));
    all.extend(rules.max.iter().map(|max| format!("at most {max}")));
    if !rules.one_of.is_empty() {
        all.push(format!("one of {}", rules.one_of.join(", ")));
    }
    all.join(", ")
}

fn duration(us: i64) -> Json {
    if us == 0 { Json::Null } else { json!(format_duration_us(us)) }
}

fn time(time: Option<Timestamp>) -> Json {
    json!(time.map(|time| time.to_string()))
}
