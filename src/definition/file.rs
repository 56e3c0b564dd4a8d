//! `asof.toml` to [`Definitions`], and every mistake in it with its line.
//!
//! Reading goes in two steps: the tables become structures here, which finds unknown keys, wrong
//! types and texts that do not parse; then the structures are checked by the rules that hold for
//! definitions built in code as well, and each mistake is traced back to the text it came from.
//!
//! Two choices that the format leaves open:
//! - `[views.weather]` is version 1, the same as `[views."weather@1"]`.
//! - `event_id = ["col"]` takes the type of the feature `col`; a column that is no feature is a
//!   string, unless the table form gives its type: `event_id = { col = "int64" }`.

mod reader;
mod serve;
mod service;
mod view;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reader::{Item, Reader};
use toml::de::DeTable;

use super::check::mistakes;
use super::mistake::{At, Mistake, Mistakes};
use super::{Definitions, Entity};
use crate::error::{Error, Result};
use crate::value::DataType;

const TABLES: &[&str] = &["project", "store", "serve", "entities", "views", "services"];
const PROJECT_KEYS: &[&str] = &["name"];
const STORE_KEYS: &[&str] = &["path", "durability", "max_future_skew"];
/// More than so many places where the syntax breaks are one place and what comes of it.
const BROKEN_SYNTAX_MAX: usize = 3;
const ENTITY_KEYS: &[&str] = &["join_keys", "description", "tags"];

impl Definitions {
    /// Reads and checks a definitions file.
    ///
    /// # Errors
    /// The file cannot be read, is no UTF-8, or holds mistakes: as [`Definitions::parse`].
    pub fn from_file(path: &Path) -> Result<Definitions> {
        let bytes = std::fs::read(path).map_err(|source| {
            let is_missing = source.kind() == std::io::ErrorKind::NotFound;
            let error = Error::io("cannot read the definitions", path, source);
            if is_missing { error.remedy("`asof init DIR` writes a new project") } else { error }
        })?;
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
        Definitions::parse(&text, &path.display().to_string())
    }

    /// Reads and checks the text of a definitions file; `file_name` is for messages.
    ///
    /// # Errors
    /// Every mistake in the text, but where its syntax breaks in many places the first of those alone; the error's source is a
    /// [`Mistakes`].
    pub fn parse(text: &str, file_name: &str) -> Result<Definitions> {
        let mut reader = Reader::default();
        let (root, syntax_errors) = DeTable::parse_recoverable(text);
        let is_doubled = |message: &str| message == "duplicate key";
        let (doubled, mut broken): (Vec<_>, Vec<_>) =
            syntax_errors.into_iter().partition(|error| is_doubled(error.message()));
        // After broken syntax the tables say little about what was meant; doubled keys leave them whole.
        let is_readable = broken.is_empty();
        if broken.len() > BROKEN_SYNTAX_MAX {
            // A bracket that is not closed makes a mistake of all that follows.
            broken.sort_by_key(|error| error.span().map(|span| span.start));
            broken.truncate(1);
        }
        for error in doubled.into_iter().chain(broken) {
            reader.syntax(error.message(), error.span(), text);
        }
        let mut definitions = Definitions::default();
        if is_readable {
            read_root(&mut reader, root.get_ref(), &mut definitions);
            definitions.resolve_join_keys();
            let found = mistakes(&definitions);
            reader.add_checked(found);
        }
        let list = reader.into_mistakes();
        if list.is_empty() { Ok(definitions) } else { Err(Mistakes::in_file(file_name, text, list).into_error()) }
    }
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Error {
    let bytes = error.as_bytes();
    let (before, rest) = bytes.split_at(error.utf8_error().valid_up_to());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let of_line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(of_line).chars().count() + 1;
    let byte = rest.first().copied().unwrap_or_default();
    Error::invalid(format!("byte 0x{byte:02x} is no UTF-8"))
        .at(format!("{}:{line}:{column}", path.display()))
        .remedy("save the file as UTF-8")
}

fn read_root(reader: &mut Reader, root: &DeTable<'_>, definitions: &mut Definitions) {
    let mut has_project = false;
    for item in reader.items(&At::root(), root) {
        let at = At::root().key(item.key);
        match item.key {
            "project" => {
                has_project = true;
                read_project(reader, &at, &item, definitions);
            }
            "store" => read_store(reader, &at, &item, definitions),
            "serve" => definitions.serve = serve::read_serve(reader, &at, &item),
            "entities" => {
                for entity in reader.table(&at, &item, "tables such as [entities.airport]") {
                    let read = read_entity(reader, &entity);
                    definitions.entities.insert(entity.key.to_owned(), read);
                }
            }
            "views" => read_views(reader, &at, &item, definitions),
            "services" => {
                for service in reader.table(&at, &item, "tables such as [services.NAME]") {
                    let read = service::read_service(reader, &service);
                    definitions.services.insert(service.key.to_owned(), read);
                }
            }
            _ => reader.unknown_key(&at, &item, "this file", TABLES),
        }
    }
    if !has_project {
        let at = At::root().key("project");
        reader.add(Mistake::new(at, "the file names no project").remedy("add [project] with name = \"...\""));
    }
}

fn read_project(reader: &mut Reader, at: &At, item: &Item<'_>, definitions: &mut Definitions) {
    let items = reader.table(at, item, "a table: [project]");
    for item in &items {
        let at = at.key(item.key);
        match item.key {
            "name" => {
                definitions.project = reader.string(&at, item.value, "\"flights\"").unwrap_or_default();
            }
            _ => reader.unknown_key(&at, item, "[project]", PROJECT_KEYS),
        }
    }
    if !items.iter().any(|item| item.key == "name") {
        reader.missing(&at.key("name"), item, &items, "name", "name = \"...\"");
    }
}

fn read_store(reader: &mut Reader, at: &At, item: &Item<'_>, definitions: &mut Definitions) {
    for item in reader.table(at, item, "a table: [store]") {
        let at = at.key(item.key);
        let store = &mut definitions.store;
        match item.key {
            "path" => store.path = reader.non_empty(&at, item.value, "\"store\"").map(PathBuf::from),
            "durability" => store.durability = reader.parsed(&at, item.value, "\"fsync\""),
            "max_future_skew" => store.max_future_skew_us = reader.duration_us(&at, item.value),
            _ => reader.unknown_key(&at, &item, "[store]", STORE_KEYS),
        }
    }
}

fn read_entity(reader: &mut Reader, item: &Item<'_>) -> Entity {
    let at = At::entity(item.key);
    let table = at.clone();
    let mut entity = Entity::default();
    let items = reader.table(&at, item, "a table with join_keys");
    for item in &items {
        let at = at.key(item.key);
        match item.key {
            "join_keys" => {
                for column in reader.table(&at, item, "columns and their types: { origin = \"string\" }") {
                    let dtype = reader.parsed(&at.key(column.key), column.value, "\"string\"");
                    entity.join_keys.push((column.key.to_owned(), dtype.unwrap_or(DataType::String)));
                }
            }
            "description" => entity.description = reader.string(&at, item.value, "\"...\"").unwrap_or_default(),
            "tags" => entity.tags = reader.texts(&at, item, "texts by name: { tier = \"gold\" }"),
            _ => reader.unknown_key(&at, item, &format!("[{table}]"), ENTITY_KEYS),
        }
    }
    if !items.iter().any(|item| item.key == "join_keys") {
        reader.missing(&at.key("join_keys"), item, &items, "join_keys", "join_keys = { id = \"int64\" }");
    }
    entity
}

fn read_views(reader: &mut Reader, at: &At, item: &Item<'_>, definitions: &mut Definitions) {
    let mut seen = BTreeSet::new();
    for item in reader.table(at, item, "tables such as [views.weather]") {
        let reference = match item.key.parse::<super::ViewRef>() {
            Ok(reference) => reference,
            Err(error) => {
                reader.add(Mistake::from_error(at.key(item.key), &error).span(item.key_span.clone()));
                reader.unreadable(item.key.split('@').next().unwrap_or(item.key));
                continue;
            }
        };
        let version = reference.version.unwrap_or(1);
        let at = At::view(&reference.name, version);
        if !seen.insert(at.clone()) {
            // The two tables are called differently, or the TOML reader would have refused the second.
            reader.add(
                Mistake::new(at, format!("version {version} of view {} is defined twice", reference.name))
                    .span(item.key_span.clone())
                    .remedy(format!("a view without a version is version 1; write {}@2 for the next", reference.name)),
            );
            continue;
        }
        let view = view::read_view(reader, &at, &item, &reference.name, version);
        definitions.views.push(view);
    }
}

#[cfg(test)]
mod tests;
