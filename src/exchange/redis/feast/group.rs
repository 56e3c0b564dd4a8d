//! Views over the same join keys: they share their hashes.

use std::collections::HashMap;

use super::field::{of_event_time, of_feature};
use super::key::NO_ENTITY;
use super::value::has_join_key;
use crate::engine::entities::EntityView;
use crate::error::{Error, Result};
use crate::value::DataType;

/// Views whose hashes are the same.
pub(in super::super) struct Group {
    /// Join keys in the order of their names.
    pub names: Vec<String>,
    pub views: Vec<FeastView>,
}

/// A view, and how it lies in its hash.
pub(in super::super) struct FeastView {
    /// Its place among the views that were asked for.
    pub place: usize,
    pub view: EntityView,
    /// By position among the names: the join key's position in the view.
    pub order: Vec<usize>,
    pub event_time: Vec<u8>,
    /// By feature.
    pub fields: Vec<[u8; 4]>,
}

impl FeastView {
    fn new(place: usize, view: &EntityView) -> FeastView {
        let definition = view.definition();
        let mut order: Vec<usize> = (0..definition.join_keys.len()).collect();
        order.sort_by_key(|&key| &definition.join_keys[key].0);
        FeastView {
            place,
            view: view.clone(),
            order,
            event_time: of_event_time(&definition.name),
            fields: definition.features.iter().map(|feature| of_feature(&definition.name, &feature.name)).collect(),
        }
    }

    /// Names and types of the join keys, in the order of their names.
    pub fn sorted_keys(&self) -> JoinKeys {
        self.order.iter().map(|&key| self.view.definition().join_keys[key].clone()).collect()
    }
}

/// Names and types, in the order of the names.
type JoinKeys = Vec<(String, DataType)>;

/// Views by their join keys.
///
/// # Errors
/// Feast has no such join keys; two features have one field.
pub(in super::super) fn groups<'a>(views: impl IntoIterator<Item = (usize, &'a EntityView)>) -> Result<Vec<Group>> {
    let mut groups: Vec<(JoinKeys, Vec<FeastView>)> = Vec::new();
    for (place, view) in views {
        let definition = view.definition();
        if let Some((name, dtype)) = definition.join_keys.iter().find(|(_, dtype)| !has_join_key(dtype)) {
            return Err(Error::refused(format!("Feast has no join keys of type {dtype}, as {name} is"))
                .at(format!("view {}", definition.reference()))
                .remedy("name the other views, or export with --layout plain"));
        }
        let view = FeastView::new(place, view);
        let keys = view.sorted_keys();
        match groups.iter_mut().find(|(known, _)| *known == keys) {
            Some((_, views)) => views.push(view),
            None => groups.push((keys, vec![view])),
        }
    }
    let group = |(keys, views): (JoinKeys, Vec<FeastView>)| {
        check_fields(&views)?;
        let names: Vec<String> = keys.into_iter().map(|(name, _)| name).collect();
        let names = if names.is_empty() { vec![NO_ENTITY.to_owned()] } else { names };
        Ok(Group { names, views })
    };
    groups.into_iter().map(group).collect()
}

/// A field is 32 bits of a hash: two features may have the same one, and then Feast takes each for the other.
fn check_fields(views: &[FeastView]) -> Result<()> {
    let mut known: HashMap<[u8; 4], String> = HashMap::new();
    for view in views {
        let definition = view.view.definition();
        for (feature, field) in definition.features.iter().zip(&view.fields) {
            let name = format!("{}:{}", definition.name, feature.name);
            if let Some(other) = known.insert(*field, name.clone()) {
                return Err(Error::refused(format!("{other} and {name} have the same field in Feast's hashes"))
                    .remedy("give one of them another name, or export with --layout plain"));
            }
        }
    }
    Ok(())
}
