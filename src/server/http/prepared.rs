//! Handles that were prepared for a request before, for the next of its kind: to resolve names costs more than to read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::metrics::ServedColumns;
use super::names::Asked;
use super::shared::Shared;
use super::stripes::Stripes;
use crate::engine::get::GetOptions;
use crate::engine::online::OnlineHandle;
use crate::error::Error;
use crate::request::Features;

/// Requests of so many kinds are kept; with one more, all are forgotten.
const KINDS_MAX: usize = 1_024;
/// Most handles of one kind that wait for the next request.
const IDLE_MAX: usize = 64;

/// A thread mostly gets what it had: memory that another core did not touch since.
#[derive(Debug, Default)]
pub(super) struct Pool(Stripes<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// A handle goes on answering for what a name meant when it was made: of another revision it may mean something else.
    revision: u64,
    /// What those that are idle hold of the store: one that lies idle would keep files and memory of a state that is gone.
    holds: usize,
    idle: HashMap<String, Vec<Prepared>>,
}

/// Features to read now, and what they are.
#[derive(Debug)]
pub(super) struct Prepared {
    pub handle: OnlineHandle,
    pub asked: Asked,
    /// Where its answers are counted.
    pub served: ServedColumns,
}

impl Pool {
    /// Does `read` with what was prepared for features that `kind` names, of the definitions of this revision.
    ///
    /// # Errors
    /// The features are not there, or `check` refuses them. Neither is kept.
    pub(super) fn with<T, E: From<Error>>(
        &self,
        shared: &Shared,
        (revision, kind): (u64, &str),
        features: impl FnOnce() -> Features,
        check: impl FnOnce(&Asked) -> Result<(), E>,
        read: impl FnOnce(&mut Prepared) -> T,
    ) -> Result<T, E> {
        let idle = {
            let mut held = self.held();
            if held.revision != revision {
                *held = Held { revision, ..Held::default() };
            }
            held.idle.get_mut(kind).and_then(Vec::pop)
        };
        let mut prepared = match idle {
            Some(prepared) => {
                check(&prepared.asked)?;
                prepared
            }
            None => {
                let store = &shared.store;
                let asked = Asked::new(store.resolve(&features(), &GetOptions::default())?);
                check(&asked)?;
                Prepared { handle: store.online(&asked.features)?, served: shared.served.columns(&asked), asked }
            }
        };
        let done = read(&mut prepared);
        let mut held = self.held();
        if held.revision == revision {
            let holds = prepared.handle.holds();
            if held.holds != holds {
                held.holds = holds;
                held.idle.clear();
            }
            if held.idle.len() >= KINDS_MAX && !held.idle.contains_key(kind) {
                held.idle.clear();
            }
            match held.idle.get_mut(kind) {
                Some(idle) if idle.len() < IDLE_MAX => idle.push(prepared),
                Some(_) => {}
                None => drop(held.idle.insert(kind.to_owned(), vec![prepared])),
            }
        }
        Ok(done)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.mine().lock().unwrap_or_else(PoisonError::into_inner)
    }
}
