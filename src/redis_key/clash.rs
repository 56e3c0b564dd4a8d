//! Templates that would leave it open what a key names.

use std::fmt;

use super::template::{EXAMPLE_VALUE, KeyTemplate, Segment};
use crate::definition::FeatureView;

/// A template that shares keys with another, or with a view's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The place of the template's view among those that were asked about.
    pub view: usize,
    /// The template.
    pub template: KeyTemplate,
    /// The place of the view that it shares keys with.
    pub rival: usize,
    /// That view's name.
    pub rival_name: String,
    /// That view's template which has them; `None`: its own form has.
    pub rival_template: Option<KeyTemplate>,
    /// A key that both have.
    pub example: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clash { template, rival_name, rival_template, example, .. } = self;
        match rival_template {
            Some(other) => write!(f, "'{template}' overlaps '{other}' of view {rival_name}: both have '{example}'"),
            None => write!(f, "'{template}' shadows view {rival_name}: both have '{example}'"),
        }
    }
}

impl Clash {
    /// What to do about it.
    pub fn way_out(&self) -> &'static str {
        match &self.rival_template {
            Some(_) => "a key names one entity of one view: change one of the two, or leave it out",
            None => "a view's own keys need no template: write one that has none of them, or leave it out",
        }
    }
}

/// Every clash among the templates and names of these views, which are all that there are to be.
pub fn clashes<'a>(views: impl IntoIterator<Item = &'a FeatureView>) -> Vec<Clash> {
    let views: Vec<&FeatureView> = views.into_iter().collect();
    let templates: Vec<(usize, &KeyTemplate)> = views
        .iter()
        .enumerate()
        .flat_map(|(number, view)| view.redis_keys.iter().map(move |template| (number, template)))
        .collect();
    let mut found = Vec::new();
    for (at, &(view, template)) in templates.iter().enumerate() {
        let clash = |rival: usize, rival_template: Option<&KeyTemplate>, example| Clash {
            view,
            template: template.clone(),
            rival,
            rival_name: views[rival].reference_text(),
            rival_template: rival_template.cloned(),
            example,
        };
        for &(other, earlier) in &templates[..at] {
            // Of versions that have the same keys the newest has them, as it has the view's bare name.
            if view != other && views[view].name == views[other].name && template.is_same_form(earlier) {
                continue;
            }
            if let Some(example) = template.overlaps(earlier) {
                found.push(clash(other, Some(earlier), example));
            }
        }
        let is_newest =
            |view: &FeatureView| views.iter().all(|other| other.name != view.name || other.version <= view.version);
        let shadowed = |(other, view): (usize, &&FeatureView)| Some((other, own_key(template, view, is_newest(view))?));
        if let Some((other, example)) = views.iter().enumerate().find_map(shadowed) {
            found.push(clash(other, None, example));
        }
    }
    found
}

/// A key of the template that has a view's own form, whatever its join keys' types.
fn own_key(template: &KeyTemplate, view: &FeatureView, is_newest: bool) -> Option<String> {
    let (name, values) = template.segments().split_first()?;
    let bare = is_newest.then(|| view.name.clone());
    let begin = bare
        .into_iter()
        .chain([view.reference().to_string()])
        .find(|begin| name.value_in(begin.as_bytes()).is_some())?;
    let has_form = match values {
        // Without entities: the name alone, or a colon behind it.
        [] | [Segment::Literal(_)] if view.join_keys.is_empty() => {
            values.first().is_none_or(|value| value.example().is_empty())
        }
        _ => values.len() == view.join_keys.len(),
    };
    let mut key = begin;
    for value in values {
        key.push(':');
        key.push_str(&value.example());
    }
    has_form.then_some(key)
}

impl Segment {
    /// A part of this form.
    fn example(&self) -> String {
        match self {
            Segment::Literal(text) => text.clone(),
            Segment::Placeholder { before, after, .. } => format!("{before}{EXAMPLE_VALUE}{after}"),
        }
    }
}
