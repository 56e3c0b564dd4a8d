//! Groups of rows written field by field and of keys: what a group left is there whole or not at all.

use asof::value::Value;
use asof::{EntityField, EntityRow, EntityView, KeyspaceHandle, Status, Store};

use super::examine::key_name;
use super::keys::{self, KeyChange};
use super::life::{Life, Went};
use super::model::{Answer, Defined, Kind, Model, Row, RowValue, View, pick};

/// A view as its rows are written.
fn served(keys: &KeyspaceHandle, view: View) -> asof::Result<EntityView> {
    let mut views = keys.entity_views()?.views.into_iter();
    Ok(views.find(|served| served.definition().reference().to_string() == view.reference()).expect("it is defined"))
}

fn encoded(view: View, key: usize) -> Vec<u8> {
    match view {
        View::Events => key_name(key).into_bytes(),
        _ => i64::try_from(key).unwrap().to_le_bytes().to_vec(),
    }
}

/// The text that a row takes over from the one as of its event time.
fn complete(model: &Model, row: &mut Row, defined: &Defined) {
    let presence = vec![true; model.acts.len()];
    let rows = model.rows(&presence, presence.len());
    let before = pick(rows.of(row.view, row.key), row.event_ts, defined.ttl_us, "text");
    let RowValue::Values { text, .. } = &mut row.value else { return };
    *text = match before {
        (Status::Present, Answer::Text(text)) if row.view == View::First && defined.has_text => Some(text),
        _ => None,
    };
}

/// Writes a row by its number alone, all else from the row as of its event time.
fn put(rows: &mut asof::RowStage, view: &EntityView, row: &Row) -> asof::Result<()> {
    let key = encoded(row.view, row.key);
    let RowValue::Values { number: Some(number), .. } = &row.value else { return Ok(()) };
    let features = &view.definition().features;
    let mut whole = rows.row(view, &key, row.event_ts)?.unwrap_or_else(|| EntityRow::empty(features.len()));
    whole.event_ts = row.event_ts;
    for (feature, field) in features.iter().zip(&mut whole.fields) {
        if feature.name == row.view.number() {
            let text = number.to_string();
            let value = asof::text::parse_value(&feature.dtype, &text).expect("a number");
            *field = EntityField { value: Some(value), deadline: None };
        } else {
            // The model knows of nulls, not of what is absent.
            field.value.get_or_insert(Value::Null);
        }
    }
    rows.put(view, &key, &whole, None)
}

impl Life {
    /// Rows of any views and changes of keys, together.
    pub fn write_group(&mut self, store: &Store, defined: &Defined) -> Went {
        let mut model = self.model().clone();
        let now = model.now_us;
        let changes: Vec<KeyChange> = match self.dice.below(4) {
            0 => Vec::new(),
            _ => {
                let before = keys::after(model.acts.iter(), now);
                keys::random(&mut self.dice, &before, &mut self.values, now)
            }
        };
        let mut rows: Vec<Row> = Vec::new();
        let index = self.begin(Kind::Write, Vec::new(), false);
        model.acts.push(self.model().acts[index].clone());
        let count = self.dice.below(4).max(u64::from(changes.is_empty()));
        for _ in 0..count {
            let view = self.view(defined);
            let mut row = self.row(view, defined, true);
            row.created = defined.has_created.then_some(now);
            complete(&model, &mut row, defined);
            model.acts[index].rows.push(row.clone());
            rows.push(row);
        }
        {
            let act = &mut self.model().acts[index];
            (act.rows, act.keys) = (rows.clone(), changes.clone());
        }
        let handle = store.keyspace()?;
        let views = rows.iter().map(|row| served(&handle, row.view)).collect::<asof::Result<Vec<_>>>()?;
        let written = handle.transact(|keyspace, stage| {
            changes.iter().for_each(|change| change.make(keyspace, stage.now));
            rows.iter().zip(&views).try_for_each(|(row, view)| put(stage, view, row))
        });
        written??;
        let seq = store.summary()?.seq;
        self.was_answered(index, seq);
        Ok(())
    }
}
