//! `asof key`: who may use the store over the network.

use std::io::IsTerminal as _;

use serde_json::json;

use super::args::{Format, Key, KeyCommand};
use super::context::Context;
use super::failure::Failure;
use super::output::Sheet;
use crate::api_key::id_of;
use crate::definition::check_name;
use crate::engine::summary::KeySummary;

pub(super) fn run(args: &Key, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    match &args.command {
        KeyCommand::Create { name, scopes, views } => {
            check_name("key", name).map_err(Failure::Usage)?;
            let store = project.open_for_writing()?;
            let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).into()).collect();
            let views: Vec<&str> = views.iter().map(String::as_str).collect();
            let (key, made) = store.create_key(name, &scopes, &views)?;
            let told = context.report(key.text(), &sheet(context.format, [&made], Some(key.text())));
            // A program knows what it asked for, and keeps standard output.
            if std::io::stderr().is_terminal() {
                let views = if made.views.is_empty() { "all there is".to_owned() } else { made.views.join(", ") };
                let scopes = scope_names(&made).join(" and ");
                context.note(format!("this is the key {name}, shown this once; it may {scopes} {views}"));
            }
            // What took place is told, whatever becomes of the close.
            store.close()?;
            told
        }
        KeyCommand::List => {
            let keys = project.open_for_reading()?.keys()?;
            context.print(&sheet(context.format, &keys, None))
        }
        KeyCommand::Revoke { key } => {
            let store = project.open_for_writing()?;
            // Who has the whole of a leaked key has its id.
            let revoked = store.revoke_key(id_of(key.as_bytes()).unwrap_or(key))?;
            let sentence = format!("the key {} ({}) opens nothing any more", revoked.name, revoked.id);
            let told = context.report(&sentence, &sheet(context.format, [&revoked], None));
            store.close()?;
            told
        }
    }
}

fn scope_names(key: &KeySummary) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.name()).collect()
}

/// One key a row; `text` is of the one that was just made.
fn sheet<'a>(format: Format, keys: impl IntoIterator<Item = &'a KeySummary>, text: Option<&str>) -> Sheet {
    let list = |of: &[&str]| match format {
        Format::Json => json!(of),
        Format::Table | Format::Csv if of.is_empty() => json!("(all)"),
        Format::Table | Format::Csv => json!(of.join(",")),
    };
    let columns = ["id", "name", "scopes", "views", "created_at", "revoked_at"];
    let mut sheet = Sheet::new(columns.into_iter().chain(text.map(|_| "key")));
    for key in keys {
        let views: Vec<&str> = key.views.iter().map(String::as_str).collect();
        let row = [
            json!(key.id),
            json!(key.name),
            list(&scope_names(key)),
            list(&views),
            json!(key.created_at.to_string()),
            json!(key.revoked_at.map(|at| at.to_string())),
        ];
        sheet.push(row.into_iter().chain(text.map(|text| json!(text))));
    }
    sheet
}
