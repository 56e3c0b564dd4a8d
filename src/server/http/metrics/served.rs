//! How many feature values were asked for of each view, and how many of them were not there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::join::pick::Status;
use crate::server::http::reading::Told;
use crate::server::http::stripes::Stripes;
use crate::store::Resolution;

/// Values of one view that were answered as of now.
#[derive(Debug, Default)]
pub(super) struct OfView(Stripes<ValueCounts>);

/// What some threads counted of them.
#[derive(Debug, Default)]
struct ValueCounts {
    asked: AtomicU64,
    missing: AtomicU64,
}

/// Values of each view, by its name and version as lists have it.
#[derive(Debug, Default)]
pub(in crate::server::http) struct Served(Mutex<BTreeMap<String, Arc<OfView>>>);

impl Served {
    /// Where the columns of an answer are counted.
    pub(in crate::server::http) fn columns(&self, asked: &Resolution) -> ServedColumns {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&str> = asked.columns.iter().map(|column| column.view_reference.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let views = names.iter().map(|name| Arc::clone(all.entry((*name).to_owned()).or_default())).collect();
        let place = |name: &str| names.binary_search(&name).unwrap_or_default();
        ServedColumns { views, places: asked.columns.iter().map(|column| place(&column.view_reference)).collect() }
    }

    /// View, values asked for, values that were not there.
    pub(super) fn all(&self) -> Vec<(String, u64, u64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |of: &OfView, which: fn(&ValueCounts) -> &AtomicU64| -> u64 {
            of.0.all().map(|counts| which(counts).load(Ordering::Relaxed)).sum()
        };
        let of_view = |(view, of): (&String, &Arc<OfView>)| {
            (view.clone(), count(of, |counts| &counts.asked), count(of, |counts| &counts.missing))
        };
        all.iter().map(of_view).collect()
    }
}

/// Where the columns of an answer are counted.
#[derive(Debug)]
pub(in crate::server::http) struct ServedColumns {
    views: Vec<Arc<OfView>>,
    /// For each column, its view's place among these.
    places: Vec<usize>,
}

impl ServedColumns {
    /// Counts one entity's values. What is null is there; what was never written, was deleted or is too old is not.
    pub(in crate::server::http) fn count(&self, told: &[Told]) {
        let mut missing_in_a_row = (0, 0, 0);
        for (&place, (status, _)) in self.places.iter().zip(told) {
            let is_missing = matches!(status, Status::NotFound | Status::OutsideMaxAge);
            let (at, asked, missing) = &mut missing_in_a_row;
            // Columns of a view mostly stand together: what is shared is added to once.
            if *at != place {
                self.add(*at, *asked, *missing);
                (*at, *asked, *missing) = (place, 0, 0);
            }
            *asked += 1;
            *missing += u64::from(is_missing);
        }
        let (at, asked, missing) = missing_in_a_row;
        self.add(at, asked, missing);
    }

    fn add(&self, place: usize, asked: u64, missing: u64) {
        if asked > 0 {
            self.views[place].0.mine().asked.fetch_add(asked, Ordering::Relaxed);
        }
        if missing > 0 {
            self.views[place].0.mine().missing.fetch_add(missing, Ordering::Relaxed);
        }
    }
}
