//! Compares name by name, and follows what the comparison means for everything else.

use std::collections::BTreeSet;

use super::{Action, Plan, PlanItem, Registered, Subject, diff};
use crate::definition::check::service_mistakes;
use crate::definition::{Definitions, FeatureService, FeatureView, ViewKind, ViewRef};
use crate::error::nearest;
use crate::redis_key::{Clash, clashes};
use crate::time::format_duration_us;

pub(super) struct Planner<'a> {
    current: &'a Registered,
    wanted: &'a Definitions,
    prune: bool,
    items: Vec<PlanItem>,
    outcome: Registered,
}

impl<'a> Planner<'a> {
    pub(super) fn new(current: &'a Registered, wanted: &'a Definitions, prune: bool) -> Self {
        Planner { current, wanted, prune, items: Vec::new(), outcome: current.clone() }
    }

    pub(super) fn run(mut self) -> Plan {
        self.plan_project();
        self.plan_entities();
        self.plan_views();
        self.plan_services();
        self.tell_moved_services();
        self.check_services_after();
        self.check_redis_keys_after();
        Plan { project: self.wanted.project.clone(), items: self.items, outcome: self.outcome }
    }

    fn push(&mut self, action: Action, subject: Subject, name: &str, details: Vec<String>) {
        self.items.push(PlanItem { action, subject, name: name.to_owned(), details, way_out: None });
    }

    fn refuse(&mut self, subject: Subject, name: &str, details: Vec<String>, way_out: String) {
        self.items.push(PlanItem {
            action: Action::Refuse,
            subject,
            name: name.to_owned(),
            details,
            way_out: Some(way_out),
        });
    }

    fn push_compared(&mut self, subject: Subject, name: &str, details: Vec<String>) {
        let action = if details.is_empty() { Action::Unchanged } else { Action::Change };
        self.push(action, subject, name, details);
    }

    fn push_absent(&mut self, subject: Subject, name: &str) {
        self.push(if self.prune { Action::Drop } else { Action::Keep }, subject, name, Vec::new());
    }

    fn plan_project(&mut self) {
        let (old, new) = (&self.current.project, &self.wanted.project);
        if !old.is_empty() && old != new {
            self.refuse(
                Subject::Project,
                new,
                vec![format!("the store belongs to project {old}")],
                format!("name the project {old}, or give this one a store of its own under [store] path"),
            );
        }
        self.outcome.project.clone_from(new);
    }

    fn plan_entities(&mut self) {
        let (current, wanted) = (self.current, self.wanted);
        for (name, entity) in &wanted.entities {
            match current.entities.get(name) {
                None => self.push(Action::Add, Subject::Entity, name, vec![diff::columns_text(&entity.join_keys)]),
                Some(old) if old.join_keys != entity.join_keys && self.is_entity_in_use(name) => {
                    let details = vec![format!(
                        "join keys {} -> {} while views use it",
                        diff::columns_text(&old.join_keys),
                        diff::columns_text(&entity.join_keys)
                    )];
                    let way_out =
                        format!("keep {name} as it is; declare a new entity and use it in a new version of the view");
                    self.refuse(Subject::Entity, name, details, way_out);
                }
                Some(old) => self.push_compared(Subject::Entity, name, diff::entity_changes(old, entity)),
            }
            self.outcome.entities.insert(name.clone(), entity.clone());
        }
        for name in current.entities.keys().filter(|name| !wanted.entities.contains_key(*name)) {
            self.push_absent(Subject::Entity, name);
            if self.prune {
                self.outcome.entities.remove(name);
            }
        }
    }

    /// Whether a registered view that stays is keyed by the entity.
    fn is_entity_in_use(&self, name: &str) -> bool {
        self.current.views.iter().any(|view| {
            let stays = !self.prune || self.is_wanted(&view.definition);
            stays && view.definition.entities.iter().any(|entity| entity == name)
        })
    }

    fn is_wanted(&self, view: &FeatureView) -> bool {
        self.wanted.views.iter().any(|other| other.name == view.name && other.version == view.version)
    }

    fn plan_views(&mut self) {
        let (current, wanted) = (self.current, self.wanted);
        for view in &wanted.views {
            let name = view.reference_text();
            if let Some(old) = current.view(&view.name, view.version) {
                let broken = diff::incompatible_changes(&old.definition, view);
                if broken.is_empty() {
                    self.push_compared(Subject::View, &name, diff::view_changes(&old.definition, view));
                    self.outcome.revise_view(view);
                } else {
                    let next = 1 + self.newest_version(&view.name);
                    self.refuse(Subject::View, &name, broken, format!("write it as [views.\"{}@{next}\"]", view.name));
                }
                continue;
            }
            let newest = current.views.iter().filter(|old| old.definition.name == view.name);
            match newest.map(|old| old.definition.version).max() {
                Some(newest) if newest > view.version => {
                    let details = vec![format!("version {} is new and {newest} is registered", view.version)];
                    let next = 1 + self.newest_version(&view.name);
                    let way_out = format!(
                        "write [views.\"{0}@{newest}\"] to edit that one, or [views.\"{0}@{next}\"] for a new one",
                        view.name
                    );
                    self.refuse(Subject::View, &name, details, way_out);
                }
                _ => {
                    self.push(Action::Add, Subject::View, &name, view_summary(view));
                    self.outcome.add_view(view);
                }
            }
        }
        for old in &current.views {
            if !self.is_wanted(&old.definition) {
                self.plan_absent_view(&old.definition);
            }
        }
    }

    fn newest_version(&self, name: &str) -> u32 {
        let registered = self.current.views.iter().map(|view| &view.definition);
        registered
            .chain(&self.wanted.views)
            .filter(|view| view.name == name)
            .map(|view| view.version)
            .max()
            .unwrap_or(0)
    }

    fn plan_absent_view(&mut self, view: &FeatureView) {
        let name = view.reference_text();
        let pinned_by = if self.prune { self.services_that_pin(view) } else { BTreeSet::new() };
        if let Some(service) = pinned_by.first() {
            let others = pinned_by.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().join(", ");
            let details = vec![format!("pinned by service {others}")];
            let way_out = format!(
                "keep [views.{}] in the file, or change what {service} selects",
                if view.version == 1 { name.clone() } else { format!("{name:?}") }
            );
            self.refuse(Subject::View, &name, details, way_out);
            return;
        }
        self.push_absent(Subject::View, &name);
        if self.prune {
            self.outcome
                .views
                .retain(|kept| kept.definition.name != view.name || kept.definition.version != view.version);
        }
    }

    /// Services that stay and name this very version, or the view when no other version of it stays.
    fn services_that_pin(&self, view: &FeatureView) -> BTreeSet<&str> {
        let is_last = !self.wanted.views.iter().any(|other| other.name == view.name);
        let selects = |service: &FeatureService| {
            service.features.iter().any(|selection| {
                selection.view.name == view.name
                    && selection.view.version.map_or(is_last, |version| version == view.version)
            })
        };
        self.wanted.services.iter().filter(|(_, service)| selects(service)).map(|(name, _)| name.as_str()).collect()
    }

    fn plan_services(&mut self) {
        let (current, wanted) = (self.current, self.wanted);
        for (name, service) in &wanted.services {
            match current.services.get(name) {
                None => self.push(Action::Add, Subject::Service, name, service_summary(service)),
                Some(old) => {
                    self.push_compared(Subject::Service, name, diff::service_changes(&old.definition, service));
                }
            }
            self.outcome.put_service(name, service);
        }
        for name in current.services.keys().filter(|name| !wanted.services.contains_key(*name)) {
            self.push_absent(Subject::Service, name);
            if self.prune {
                self.outcome.services.remove(name);
            }
        }
    }

    /// Says which services mean another version of a view than before, for they do not say which.
    fn tell_moved_services(&mut self) {
        let (current, outcome) = (self.current, &self.outcome);
        let items = self.items.iter_mut().filter(|item| item.subject == Subject::Service);
        for item in items {
            let (Some(before), Some(after)) = (current.services.get(&item.name), outcome.services.get(&item.name))
            else {
                continue;
            };
            let moved: Vec<String> = (after.definition.features.iter())
                .filter(|selection| before.definition.features.iter().any(|old| old.view == selection.view))
                .flat_map(|selection| diff::moved_texts(selection, current, outcome))
                .collect();
            for text in moved {
                // One view may be selected several times.
                if !item.details.contains(&text) {
                    item.details.push(text);
                }
            }
            if item.action == Action::Unchanged && !item.details.is_empty() {
                item.action = Action::Change;
            }
        }
    }

    /// What to do about a view that neither the file nor the registry has.
    fn way_to_define(&self, wanted: &ViewRef) -> String {
        let names = || self.outcome.views.iter().map(|view| view.definition.name.as_str());
        let versions = self.outcome.views.iter().filter(|view| view.definition.name == wanted.name);
        let versions: Vec<String> = versions.map(|view| view.definition.version.to_string()).collect();
        match (versions.as_slice(), nearest(&wanted.name, names())) {
            ([], Some(near)) => format!("did you mean {}?", ViewRef { name: near.to_owned(), version: wanted.version }),
            ([], None) if wanted.version.is_some_and(|version| version > 1) => format!("define [views.\"{wanted}\"]"),
            ([], None) => format!("define [views.{}]", wanted.name),
            _ => format!("{} has version {}", wanted.name, versions.join(", ")),
        }
    }

    /// Every service that is left must find what it selects in the views that are left.
    fn check_services_after(&mut self) {
        let mut refusals = Vec::new();
        for (name, service) in &self.outcome.services {
            for selection in &service.definition.features {
                let Some(view) = self.outcome.find_view(&selection.view) else {
                    let what = format!("it selects {}, which is not defined", selection.view);
                    refusals.push((name.clone(), what, self.way_to_define(&selection.view)));
                    continue;
                };
                let missing: Vec<&str> = (selection.features.iter().map(String::as_str))
                    .filter(|feature| view.definition.feature_index(feature).is_none())
                    .chain(
                        selection
                            .join_keys
                            .keys()
                            .map(String::as_str)
                            .filter(|key| !view.definition.join_keys.iter().any(|(column, _)| column == key)),
                    )
                    .collect();
                if !missing.is_empty() {
                    let newest = view.definition.reference_text();
                    let what =
                        format!("it selects {} of {}, which {newest} has not", missing.join(", "), selection.view);
                    let others = self.outcome.views.iter().filter(|_| selection.view.version.is_none());
                    let older = others
                        .filter(|other| other.definition.name == view.definition.name && other.id != view.id)
                        .map(|other| other.definition.version)
                        .max();
                    let way_out = match older {
                        Some(version) => format!(
                            "pin the older version under [services.{name}]: {}@{version}:{}",
                            selection.view.name, missing[0]
                        ),
                        None => format!("change what [services.{name}] selects"),
                    };
                    refusals.push((name.clone(), what, way_out));
                }
            }
        }
        // What the file could not be asked: a version that it pins may be the registry's alone.
        let left = self.outcome.definitions();
        for (name, service) in &self.wanted.services {
            if refusals.iter().all(|(refused, ..)| refused != name) {
                refusals.extend(service_mistakes(name, service, &left).into_iter().map(|mistake| {
                    let way_out = mistake.remedy_text().map(str::to_owned);
                    let way_out = way_out.unwrap_or_else(|| format!("change what [services.{name}] selects"));
                    (name.clone(), mistake.what().to_owned(), way_out)
                }));
            }
        }
        // A refused view keeps its registered features, and then its services' new ones are missing:
        // one refusal is enough to read.
        if self.items.iter().any(|item| item.action == Action::Refuse) {
            return;
        }
        for (name, what, way_out) in refusals {
            self.refuse(Subject::Service, &name, vec![what], way_out);
        }
    }

    /// What the file could not be asked: views that only the registry keeps have keys too.
    fn check_redis_keys_after(&mut self) {
        if self.items.iter().any(|item| item.action == Action::Refuse) {
            return;
        }
        let views: Vec<&FeatureView> = self.outcome.views.iter().map(|view| &view.definition).collect();
        let refusals: Vec<(String, Clash)> = clashes(views.iter().copied())
            .into_iter()
            // It is told of the view that the file can change.
            .map(|clash| {
                let told = if self.is_wanted(views[clash.view]) { clash.view } else { clash.rival };
                (views[told].reference_text(), clash)
            })
            .collect();
        for (name, clash) in refusals {
            self.refuse(Subject::View, &name, vec![format!("redis_keys {clash}")], clash.way_out().to_owned());
        }
    }
}

fn count_text(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn view_summary(view: &FeatureView) -> Vec<String> {
    let mut details = vec![count_text(view.features.len(), "feature")];
    if view.kind != ViewKind::State {
        details.insert(0, view.kind.to_string());
    }
    for (key, us) in [("ttl", view.ttl_us), ("retention", view.retention_us)] {
        if us != 0 {
            details.push(format!("{key} {}", format_duration_us(us)));
        }
    }
    details.extend(diff::redis_keys_texts(view).iter().map(|template| format!("redis key {template}")));
    details
}

fn service_summary(service: &FeatureService) -> Vec<String> {
    diff::selected_texts(service)
}
