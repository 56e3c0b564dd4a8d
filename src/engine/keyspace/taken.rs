//! Keys of the keyspace that a plan would make a view's: it is refused, for nobody could read them any more.

use std::collections::BTreeMap;

use crate::definition::{FeatureView, Plan};
use crate::keyspace::Keyspace;
use crate::redis_key::{Router, shown};
use crate::registry::RegistryState;

/// The database that views share with the keyspace.
const DATABASE_OF_VIEWS: u8 = 0;

/// Whose keys are whose, before a plan and after it.
pub(in crate::engine) struct NewOwners {
    before: Router,
    after: Router,
    /// The views after it, as a plan calls them.
    names: Vec<String>,
}

/// The keys that a view would take.
#[derive(Default)]
struct Taken {
    count: usize,
    /// The least of them.
    first: Vec<u8>,
}

impl NewOwners {
    /// What a plan changes about whose keys are whose, where it can be carried out and there may be keys in the keyspace.
    pub(in crate::engine) fn of(plan: &Plan, state: &RegistryState) -> Option<NewOwners> {
        state.keyspace_view()?;
        let outcome = plan.outcome().ok()?;
        let mut current: Vec<_> = state.definitions_at(None).views().cloned().collect();
        current.sort_by_key(|view| view.id);
        let views = || outcome.views.iter().map(|view| &view.definition);
        let (before, after) = (Router::new(current.iter().map(|view| &view.definition)), Router::new(views()));
        let names = views().map(FeatureView::reference_text).collect();
        (before != after).then_some(NewOwners { before, after, names })
    }

    /// Refuses every view of the plan that would take keys which are there at `now`.
    pub(in crate::engine) fn refuse_taken(&self, plan: &mut Plan, keyspace: &Keyspace, now: i64) {
        let mut taken: BTreeMap<usize, Taken> = BTreeMap::new();
        for key in keyspace.iter(DATABASE_OF_VIEWS, now) {
            // What was a view's before is no worse off.
            let Some(view) = self.after.owner(&key.name).filter(|_| self.before.owner(&key.name).is_none()) else {
                continue;
            };
            let taken = taken.entry(view).or_default();
            if taken.count == 0 || *key.name < *taken.first {
                taken.first = key.name.to_vec();
            }
            taken.count += 1;
        }
        for (view, taken) in taken {
            let first = shown(&taken.first);
            let what = match taken.count {
                1 => format!("a key of the Redis keyspace would be the view's: '{first}'"),
                count => format!("{count} keys of the Redis keyspace would be the view's, the first is '{first}'"),
            };
            let way_out = "rename or delete such keys of database 0, or choose another name or other redis_keys";
            plan.refuse_view(&self.names[view], what, way_out.to_owned());
        }
    }
}
