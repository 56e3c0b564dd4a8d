//! Rows of feature views as hashes: in database 0, keys that name an entity of a view.
//!
//! Each thread has an [`Entities`] of its own, which follows the definitions. A command of a key that names an entity is done on a
//! keyspace that holds this key alone, made of its row; so it answers what it would of any hash. What it changed there becomes a row.

mod as_of;
mod key;
mod list;
mod names;
mod read;
mod text;
mod write;

use self::names::FeatureNames;
pub use self::read::Source;
use super::command::{Arguments, Command, Refusal};
use crate::definition::ViewKind;
use crate::engine::entities::{EntityRow, EntityView, EntityViews};
use crate::engine::online::OnlineHandle;
use crate::error::Error;
use crate::keyspace::Keyspace;
use crate::redis_key::Router;
use crate::request::Features;
use crate::store::KeyspaceHandle;

/// The database whose keys may name entities.
pub const DATABASE: u8 = 0;
/// The field that says a row's event time. No feature's name begins so.
pub const EVENT_TIME_FIELD: &[u8] = b"_ts";

/// What a thread needs to answer of entities.
#[derive(Debug)]
pub struct Entities {
    store: KeyspaceHandle,
    revision: Option<u64>,
    router: Router,
    views: Vec<Served>,
    /// Room for an encoded entity key.
    key: Vec<u8>,
    /// Where commands find the one key that they are about.
    scratch: Keyspace,
}

/// A view, as commands use it.
#[derive(Debug)]
struct Served {
    view: EntityView,
    /// How errors call it.
    name: String,
    /// Features by name.
    features: FeatureNames,
    /// Reads its rows of now; made at first use.
    online: Option<Box<OnlineHandle>>,
}

/// What the keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// None of them names an entity.
    Keys,
    /// The only one does, of the view at this place.
    Entity(usize),
    /// Some of several do.
    Some,
}

impl Entities {
    /// Of a store. Nothing is read before [`Entities::follow`].
    pub fn new(store: KeyspaceHandle) -> Entities {
        Entities {
            store,
            revision: None,
            router: Router::default(),
            views: Vec::new(),
            key: Vec::new(),
            scratch: Keyspace::new(0),
        }
    }

    /// Takes up definitions that were applied since.
    pub fn follow(&mut self) {
        let is_current = |revision: u64| self.revision == Some(revision);
        // A store that was closed answers nothing any more, which its reads then say.
        let Ok(revision) = self.store.definitions_revision() else { return };
        if is_current(revision) {
            return;
        }
        match self.store.entity_views() {
            Ok(views) => self.take(views),
            Err(error) => tracing::error!(%error, "the feature views cannot be served"),
        }
    }

    fn take(&mut self, EntityViews { revision, views }: EntityViews) {
        self.router = Router::new(views.iter().map(EntityView::definition));
        self.views = views.into_iter().map(Served::new).collect();
        self.revision = Some(revision);
    }

    /// What the keys of a command of database 0 are; the entity key is then in `self.key`.
    ///
    /// # Errors
    /// One begins as those of a view and names no entity of it.
    pub fn named(&mut self, command: &Command, arguments: Arguments<'_>) -> Result<Named, Refusal> {
        let mut named = Named::Keys;
        let mut count = 0;
        for key in command.keys.of(arguments) {
            count += 1;
            self.key.clear();
            let routed = self.router.route_into(key, &mut self.key);
            if let Some(view) = routed.map_err(|error| refusal_of(&error))? {
                named = Named::Entity(view);
            }
        }
        Ok(if count > 1 && named != Named::Keys { Named::Some } else { named })
    }

    /// The row of the entity that a key of database 0 names; `Ok(None)`: it names none.
    ///
    /// # Errors
    /// As [`Entities::named`]; a run that had to be read is damaged.
    pub fn find(&mut self, key: &[u8], source: &Source<'_>) -> Result<Option<Option<EntityRow>>, Refusal> {
        self.key.clear();
        match self.router.route_into(key, &mut self.key).map_err(|error| refusal_of(&error))? {
            Some(view) => self.row(view, source).map(Some),
            None => Ok(None),
        }
    }

    /// The view that a key of a database belongs to, its name without a version; `None`: it is the keyspace's.
    pub fn view_of(&self, database: u8, key: &[u8]) -> Option<&str> {
        let view = self.router.owner(key).filter(|_| database == DATABASE)?;
        Some(&self.views[view].view.definition().name)
    }

    /// Whether a command of database 0 may be about entities.
    pub fn may_name(&self, command: &Command) -> bool {
        !self.router.is_empty() && command.keys.first > 0
    }
}

/// Refuses a command that is not for rows of views.
///
/// # Errors
/// It is about strings, or would give a row another name.
pub fn refuse_for_entities(command: &Command, arguments: Arguments<'_>) -> Result<(), Refusal> {
    match command.name {
        "rename" | "renamenx" | "copy" | "move" => {
            let names: Vec<String> = command.keys.of(arguments).map(|key| key.escape_ascii().to_string()).collect();
            let names = names.join(" or ");
            Err(Refusal::new(format!("ERR {names} is a row of a feature view, which cannot be renamed or copied")))
        }
        _ if is_of_strings(command) => Err(Refusal::WRONG_TYPE),
        _ => Ok(()),
    }
}

/// Whether a command is about strings, and so about no entity.
fn is_of_strings(command: &Command) -> bool {
    matches!(
        command.name,
        "get"
            | "set"
            | "setex"
            | "psetex"
            | "setnx"
            | "getset"
            | "getdel"
            | "getex"
            | "mset"
            | "msetnx"
            | "append"
            | "strlen"
            | "getrange"
            | "substr"
            | "setrange"
            | "incr"
            | "decr"
            | "incrby"
            | "decrby"
            | "incrbyfloat"
    )
}

impl Served {
    fn new(view: EntityView) -> Served {
        let definition = view.definition();
        let features = FeatureNames::new(definition.features.iter().map(|feature| feature.name.as_str()));
        Served { name: definition.reference_text(), features, online: None, view }
    }

    /// Whether its rows are events.
    fn is_of_events(&self) -> bool {
        self.view.definition().kind == ViewKind::Event
    }

    /// The place of a feature, which may be `next`.
    ///
    /// # Errors
    /// There is no such feature.
    fn feature(&self, name: &[u8], next: usize) -> Result<usize, Refusal> {
        self.features.find(name, next).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            let known = self.view.definition().features.iter().map(|feature| feature.name.as_str());
            let near = crate::error::nearest(&name, known).map(|near| format!("; did you mean {near}?"));
            Refusal::new(format!("ERR {} has no feature '{name}'{}", self.name, near.unwrap_or_default()))
        })
    }

    fn online(&mut self, store: &KeyspaceHandle) -> Result<&mut OnlineHandle, Refusal> {
        if self.online.is_none() {
            // By name: a feature that is applied from now on is none of these.
            let definition = self.view.definition();
            let names =
                definition.features.iter().map(|feature| format!("{}:{}", definition.reference(), feature.name));
            let features = Features::list(names);
            let online = features.and_then(|features| store.online(&features));
            self.online = Some(Box::new(online.map_err(|error| refusal_of(&error))?));
        }
        self.online.as_deref_mut().ok_or(Refusal::SYNTAX)
    }
}

/// An error of the store's as one of the protocol's.
pub fn refusal_of(error: &Error) -> Refusal {
    Refusal::new(format!("ERR {error}"))
}
