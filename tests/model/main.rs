//! Random lives of a store against a naive oracle: random definitions that grow, change, are dropped and come again; writes,
//! late rows, deletes, imports, seals, merges, reopenings, kills; rows written field by field and keys of the Redis protocol, in
//! groups; reads of all kinds, as of any time, known by any commit.
//! After every step, what is online is what is as of now, and comes out of the latest table; in a store that is open for
//! reading only as well, whose handles are kept while writers come and go.
//!
//! `ASOF_MODEL_CASES` says how many lives are tried. Files: `oracle` the rules, `keys` those of the keyspace, `definitions`,
//! `values`, `steps` and `group` what is random, `life`, `rows` and `transact` what is done, `online`, `reads` and `scan` what is compared.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod definitions;
mod group;
mod keys;
mod life;
mod online;
mod oracle;
mod reads;
mod row;
mod rows;
mod scan;
mod steps;
mod transact;
mod values;

use std::fmt;

use definitions::{KeyTypes, NewView, key_types, new_view};
use life::Life;
use proptest::collection::vec;
use proptest::prelude::*;
use steps::{Step, step};

/// How many lives a plain `cargo test` tries.
const CASES: u32 = 1_500;

fn cases() -> u32 {
    std::env::var("ASOF_MODEL_CASES").map_or(CASES, |cases| cases.parse().expect("ASOF_MODEL_CASES is a number"))
}

/// A life, told line by line where it fails.
struct Story {
    keys: KeyTypes,
    /// Runs are split, merged early, and imports sorted in pieces.
    has_small_files: bool,
    /// Through a store that is open for reading only, as another process has it.
    reads_beside: bool,
    views: Vec<NewView>,
    steps: Vec<Step>,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Story { keys, has_small_files, reads_beside, views, steps } = self;
        // Not as it is asked for, which would be a line for each number.
        let keys = format!("\n  {keys:?}, small files: {has_small_files}, read beside: {reads_beside}");
        let views = views.iter().map(|view| format!("\n  {view:?}"));
        let steps = steps.iter().map(|step| format!("\n  {step:?}"));
        f.write_str(&[keys].into_iter().chain(views).chain(steps).collect::<String>())
    }
}

fn story() -> impl Strategy<Value = Story> {
    let flags = (any::<bool>(), prop::bool::weighted(0.3));
    (key_types(), flags, vec(new_view(), 1..4), vec(step(), 1..40)).prop_map(
        |(keys, (has_small_files, reads_beside), views, steps)| Story {
            keys,
            has_small_files,
            reads_beside,
            views,
            steps,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_answers_as_the_oracle_does(story in story()) {
        let mut life = Life::new(&story);
        for step in &story.steps {
            life.take(step);
            life.check_now();
            life.check_keys();
        }
    }
}
