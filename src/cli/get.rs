//! `asof get`: the features of one entity.

use serde_json::json;

use super::args::Get;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Cell, Sheet};
use crate::engine::get::FeatureValue;

pub(super) fn run(args: &Get, context: &mut Context) -> Result<(), Failure> {
    let features = inputs::features(&args.which)?;
    let pairs = inputs::pairs(&args.asked.keys)?;
    let options = inputs::get_options(&args.asked)?;
    let store = context.project()?.open_for_reading()?;
    let entity = inputs::entity_to_find(&pairs, &store.join_keys(&features, &options)?)?;
    let answers = store.get(&features, &entity, &options)?;
    context.print(&sheet(&answers))
}

/// One row a feature.
pub(super) fn sheet(answers: &[FeatureValue]) -> Sheet {
    let mut sheet = Sheet::new(["view", "feature", "dtype", "value", "status", "event_timestamp"]);
    for answer in answers {
        sheet.push([
            json!(answer.view).into(),
            json!(answer.feature).into(),
            json!(answer.dtype.to_string()).into(),
            Cell::of_value(&answer.dtype, &answer.value),
            json!(answer.status.name()).into(),
            json!(answer.event_ts.map(|time| time.to_string())).into(),
        ]);
    }
    sheet
}
