//! A row as the model has it.

use std::collections::{BTreeMap, BTreeSet};

use asof::value::Value;

#[derive(Clone, Debug)]
pub struct Row {
    pub view: usize,
    pub key: Vec<Value>,
    pub event_ts: i64,
    pub created: Option<i64>,
    pub seq: u64,
    pub event_id: Value,
    /// What is not null, by feature; `None` for a delete.
    pub values: Option<BTreeMap<String, Value>>,
    pub marks: Marks,
}

impl Row {
    /// Its place in row order.
    pub fn place(&self) -> (i64, Option<i64>, u64) {
        (self.event_ts, self.created, self.seq)
    }
}

/// What only rows have that were written field by field.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// From then on the row is gone.
    pub deadline: Option<i64>,
    /// From then on the field is gone.
    pub field_deadlines: BTreeMap<String, i64>,
    /// Fields that the row does not speak of.
    pub absent: BTreeSet<String>,
}

impl Marks {
    /// Whether they leave nothing of a feature.
    pub fn hide(&self, feature: &str, at: i64) -> bool {
        let mut deadlines = self.deadline.iter().chain(self.field_deadlines.get(feature));
        self.absent.contains(feature) || deadlines.any(|deadline| *deadline <= at)
    }
}
