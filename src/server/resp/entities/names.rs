//! Features by name, as commands ask for them.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The names of a view's features.
#[derive(Debug)]
pub(super) struct FeatureNames {
    names: Vec<Box<[u8]>>,
    /// Places, by the hash of the name.
    places: HashTable<usize>,
}

impl FeatureNames {
    /// In the order of the definition.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> FeatureNames {
        let names: Vec<Box<[u8]>> = names.map(|name| Box::from(name.as_bytes())).collect();
        let mut places = HashTable::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            places.insert_unique(xxh3_64(name), place, |&other| xxh3_64(&names[other]));
        }
        FeatureNames { names, places }
    }

    /// The place of a feature. Many commands name them in the order of the definition: `next` is looked at first.
    #[inline]
    pub fn find(&self, name: &[u8], next: usize) -> Option<usize> {
        if self.names.get(next).is_some_and(|next| **next == *name) {
            return Some(next);
        }
        self.places.find(xxh3_64(name), |&place| *self.names[place] == *name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_found_wherever_it_is_looked_for_first() {
        let names = FeatureNames::new(["a", "b", "c"].into_iter());
        for next in 0..4 {
            assert_eq!(["a", "b", "c"].map(|name| names.find(name.as_bytes(), next)), [Some(0), Some(1), Some(2)]);
            assert_eq!(names.find(b"d", next), None);
        }
    }
}
