//! Features: their names and the rules on their values.

use super::check_column;
use crate::definition::bounds::{Bound, is_above, is_listable, is_ordered, parse_bound};
use crate::definition::mistake::{At, Mistake};
use crate::definition::{EventTime, Feature, FeatureView, RESERVED_COLUMNS};

pub(super) fn check_feature(found: &mut Vec<Mistake>, at: &At, feature: &Feature, view: &FeatureView) {
    let name = &feature.name;
    check_column(found, at.clone(), "feature", name);
    if view.join_keys.iter().any(|(column, _)| column == name) {
        found.push(
            Mistake::new(at.clone(), format!("feature {name} is a join key of the view as well"))
                .on_key()
                .remedy("leave it out: join keys are in every answer"),
        );
    }
    for (role, column) in [
        (
            "event",
            match &view.source.event_timestamp {
                EventTime::Column(column) => Some(column),
                EventTime::Constant(_) => None,
            },
        ),
        ("created", view.source.created_timestamp.as_ref()),
    ] {
        if column == Some(name) && !RESERVED_COLUMNS.contains(&name.as_str()) {
            found.push(
                Mistake::new(at.clone(), format!("feature {name} is the source's {role} timestamp as well"))
                    .on_key()
                    .remedy("leave it out: timestamps are kept beside the features"),
            );
        }
    }
    check_rules(found, at, feature);
}

fn check_rules(found: &mut Vec<Mistake>, at: &At, feature: &Feature) {
    let mut bound = |key: &str, text: Option<&String>| -> Option<Bound> {
        let text = text?;
        if !is_ordered(&feature.dtype) {
            found.push(
                Mistake::new(at.key(key), format!("{key} does not apply to {}", feature.dtype))
                    .remedy("it is for numbers, decimals, timestamps and dates"),
            );
            return None;
        }
        match parse_bound(&feature.dtype, text) {
            Ok(bound) => Some(bound),
            Err(error) => {
                found.push(Mistake::from_error(at.key(key), &error));
                None
            }
        }
    };
    let rules = &feature.rules;
    let (min, max) = (bound("min", rules.min.as_ref()), bound("max", rules.max.as_ref()));
    if let (Some(min), Some(max), Some(min_text), Some(max_text)) = (&min, &max, &rules.min, &rules.max)
        && is_above(min, max)
    {
        found.push(
            Mistake::new(at.key("min"), format!("min {min_text} is above max {max_text}"))
                .remedy("no value could pass"),
        );
    }
    if rules.one_of.is_empty() {
        return;
    }
    if !is_listable(&feature.dtype) {
        let mistake = Mistake::new(at.key("one_of"), format!("one_of does not apply to {}", feature.dtype));
        found.push(mistake.remedy("it is for scalar types"));
        return;
    }
    for value in &rules.one_of {
        match parse_bound(&feature.dtype, value) {
            Err(error) => found.push(Mistake::from_error(at.key("one_of").key(value), &error)),
            Ok(bound) => {
                let is_below = min.as_ref().is_some_and(|min| is_above(min, &bound));
                if is_below || max.as_ref().is_some_and(|max| is_above(&bound, max)) {
                    let what = format!("one_of lists {value}, which min and max refuse");
                    found.push(Mistake::new(at.key("one_of").key(value), what));
                }
            }
        }
    }
}
