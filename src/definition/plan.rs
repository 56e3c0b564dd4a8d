//! What `asof apply` would do: the registry as it is, the definitions as they are wanted, and the
//! difference, with every incompatible change refused and its way out named.
//!
//! Planning is pure. It reads no store and writes none; [`Plan::outcome`] is what the registry
//! holds once the plan is carried out.
//!
//! A reference without a version means the newest version at the time of reading, so a new version
//! reaches every service that does not pin one. The plan says so at each of them, and refuses a version that
//! would leave such a service without a feature it selects.

mod diff;
mod planner;
mod registered;
mod render;

use serde::Serialize;

pub use registered::{Registered, RegisteredService, RegisteredView};

use super::Definitions;
use crate::error::Error;

/// What becomes of one definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// New in the registry.
    Add,
    /// A compatible change: a new revision; or a service that means another version of a view from now on.
    Change,
    /// As it is registered.
    Unchanged,
    /// No longer in the definitions; it stays until a prune.
    Keep,
    /// No longer in the definitions, and pruned.
    Drop,
    /// An incompatible change; nothing of the plan is carried out.
    Refuse,
}

/// What a plan item is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named by what it is")]
pub enum Subject {
    Project,
    Entity,
    View,
    Service,
}

/// One definition and what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanItem {
    /// What becomes of it.
    pub action: Action,
    /// What it is.
    pub subject: Subject,
    /// Its name; a view's with `@version` from version 2 on.
    pub name: String,
    /// What it consists of, what changes, or why it is refused; one clause each.
    pub details: Vec<String>,
    /// Refused: what to do instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

/// Everything `asof apply` would do. `Display` shows it to people, serde to programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The project.
    pub project: String,
    /// What becomes of each definition: project, entities, views, services, views in file order, the others by name.
    pub items: Vec<PlanItem>,
    #[serde(skip)]
    outcome: Registered,
}

impl Plan {
    /// The items that something becomes of.
    pub fn with_action(&self, action: Action) -> impl Iterator<Item = &PlanItem> {
        self.items.iter().filter(move |item| item.action == action)
    }

    /// Whether anything is refused; then nothing may be carried out.
    pub fn is_refused(&self) -> bool {
        self.with_action(Action::Refuse).next().is_some()
    }

    /// Whether carrying it out would change anything.
    pub fn is_empty(&self) -> bool {
        self.items.iter().all(|item| matches!(item.action, Action::Unchanged | Action::Keep))
    }

    /// Refuses what was planned for a view, once more is known than the definitions say.
    pub(crate) fn refuse_view(&mut self, name: &str, what: String, way_out: String) {
        let planned = self.items.iter_mut().find(|item| item.subject == Subject::View && item.name == name);
        let refused = PlanItem {
            action: Action::Refuse,
            subject: Subject::View,
            name: name.to_owned(),
            details: vec![what],
            way_out: Some(way_out),
        };
        match planned {
            Some(item) => *item = refused,
            None => self.items.push(refused),
        }
    }

    /// What the registry holds once the plan is carried out: ids given, new features numbered,
    /// revisions raised.
    ///
    /// # Errors
    /// `Refused`, with every reason, when the plan is refused.
    pub fn outcome(&self) -> Result<&Registered, Error> {
        let refusals: Vec<String> = self.with_action(Action::Refuse).map(ToString::to_string).collect();
        match refusals.as_slice() {
            [] => Ok(&self.outcome),
            [only] => Err(Error::refused(only.trim_start_matches("! refused ").to_owned()).at("apply")),
            several => Err(Error::refused(format!("nothing was applied\n{}", several.join("\n"))).at("apply")),
        }
    }
}

/// Plans the change from what is registered to what is wanted. `wanted` has passed
/// [`Definitions::check`]. Without `prune`, what `wanted` does not name stays.
pub fn plan(current: &Registered, wanted: &Definitions, prune: bool) -> Plan {
    planner::Planner::new(current, wanted, prune).run()
}

#[cfg(test)]
mod tests;
