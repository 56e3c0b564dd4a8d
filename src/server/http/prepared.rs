//! Handles that were prepared for a request before, for the next of its kind: to resolve names costs more than to read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::metrics::ServedColumns;
use super::names::Asked;
use super::shared::Shared;
use super::stripes::Stripes;
use crate::engine::get::GetOptions;
use crate::engine::online::OnlineHandle;
use crate::error::Error;
use crate::request::Features;

/// A thread keeps handles for requests of so many kinds; with one more, it forgets all.
const KINDS_MAX: usize = 256;
/// Most handles of one kind that a thread keeps for the next request.
const IDLE_MAX: usize = 16;

/// A thread mostly gets what it had: memory that another core did not touch since.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Stripes<Mutex<Idle>>,
    /// What all that are idle are of. A handle goes on answering for what a name meant when it was made: of another revision it may mean
    /// something else.
    revision: AtomicU64,
    /// What all that are idle hold of the store: one that lies idle would keep files and memory of a state that is gone.
    holds: AtomicUsize,
}

/// By their kinds.
type Idle = HashMap<String, Vec<Prepared>>;

/// Features to read now, and what they are.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Of the definitions.
    revision: u64,
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
        if self.revision.load(Ordering::Relaxed) < revision {
            self.revision.fetch_max(revision, Ordering::Relaxed);
            self.forget();
        }
        let idle = idle_of(self.idle.mine()).get_mut(kind).and_then(Vec::pop);
        // Another thread may be about to forget it.
        let mut prepared = match idle.filter(|prepared| prepared.revision == revision) {
            Some(prepared) => {
                check(&prepared.asked)?;
                prepared
            }
            None => {
                let store = &shared.store;
                let asked = Asked::new(store.resolve(&features(), &GetOptions::default())?);
                check(&asked)?;
                let (handle, served) = (store.online(&asked.features)?, shared.served.columns(&asked));
                Prepared { revision, handle, served, asked }
            }
        };
        let done = read(&mut prepared);
        self.keep(kind, prepared);
        Ok(done)
    }

    fn keep(&self, kind: &str, prepared: Prepared) {
        let holds = prepared.handle.holds();
        if self.holds.load(Ordering::Relaxed) != holds {
            // It was read for long, and is of a state before.
            if !prepared.handle.is_of_newest() {
                return;
            }
            self.holds.store(holds, Ordering::Relaxed);
            self.forget();
        }
        let mut idle = idle_of(self.idle.mine());
        // Who forgets says first of what: either it is seen here, or what is put here now is found there.
        let is_of = (self.revision.load(Ordering::Relaxed), self.holds.load(Ordering::Relaxed));
        if is_of != (prepared.revision, holds) {
            return;
        }
        if idle.len() >= KINDS_MAX && !idle.contains_key(kind) {
            idle.clear();
        }
        match idle.get_mut(kind) {
            Some(idle) if idle.len() < IDLE_MAX => idle.push(prepared),
            Some(_) => {}
            None => drop(idle.insert(kind.to_owned(), vec![prepared])),
        }
    }

    /// Lets go of all that are idle, those of threads too that have no more requests.
    fn forget(&self) {
        for idle in self.idle.all() {
            let forgotten = std::mem::take(&mut *idle_of(idle));
            // Without the lock: it may have files to close.
            drop(forgotten);
        }
    }
}

fn idle_of(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::request::ApplyOptions;
    use crate::server::http::options::HttpOptions;
    use crate::store::{Row, Store, TemporaryStore};
    use crate::value::DataType;

    fn store_of(features: &[&str]) -> TemporaryStore {
        let store = Store::temporary().unwrap();
        define(&store, features);
        store
    }

    fn define(store: &Store, features: &[&str]) {
        let view = FeatureView::new("v").entity("e");
        let view = features.iter().fold(view, |view, name| view.feature(*name, DataType::Int64));
        let definitions = Definitions::new("p").entity("e", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
    }

    fn read(shared: &Shared) {
        read_while(shared, || ());
    }

    /// Reads, and does something else before the handle is given back.
    fn read_while(shared: &Shared, other: impl FnOnce()) {
        let kind = (shared.store.definitions_revision().unwrap(), "v:x");
        let features = || Features::list(["v:x"]).unwrap();
        let read = |prepared: &mut Prepared| {
            let key = prepared.handle.key(&[("id", 1_i64.into())]).unwrap();
            prepared.handle.get(&key, shared.store.now()).map(|_| ()).unwrap();
            other();
        };
        shared.pool.with(shared, kind, features, |_| Ok::<_, Error>(()), read).unwrap();
    }

    fn idle(shared: &Shared) -> usize {
        shared.pool.idle.all().map(|idle| idle_of(idle).values().map(Vec::len).sum::<usize>()).sum()
    }

    /// Threads that had no more requests kept the state of their last one.
    #[test]
    fn what_is_gone_is_let_go_of_whichever_thread_learns_of_it() {
        let store = store_of(&["x"]);
        let shared = Arc::new(Shared::new((*store).clone(), HttpOptions::default()));
        let several = shared.pool.idle.all().count().min(2);
        let read_in_threads = || {
            while idle(&shared) < several {
                std::thread::scope(|scope| scope.spawn(|| read(&shared)).join().unwrap());
            }
        };
        read_in_threads();
        define(&store, &["x", "y"]);
        read(&shared);
        assert_eq!(idle(&shared), 1, "of the new definitions");
        read_in_threads();
        store.write_rows("v", [Row::new().at(store.now()).set("id", 1_i64).set("x", 1_i64).set("y", 1_i64)]).unwrap();
        store.seal().unwrap();
        read(&shared);
        assert_eq!(idle(&shared), 1, "of the new runs and tables");
        // One that began before a change, and ends after it and after others.
        read_while(&shared, || {
            store
                .write_rows("v", [Row::new().at(store.now()).set("id", 2_i64).set("x", 1_i64).set("y", 1_i64)])
                .unwrap();
            store.seal().unwrap();
            std::thread::scope(|scope| scope.spawn(|| read(&shared)).join().unwrap());
        });
        let holds = shared.pool.holds.load(Ordering::Relaxed);
        let newest = store.online(&Features::list(["v:x"]).unwrap()).unwrap().holds();
        assert_eq!((idle(&shared), holds), (1, newest), "of the newest state");
    }
}
