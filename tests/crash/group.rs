//! Groups of rows written field by field and of keys: what a group left is there whole or not at all.

use asof::value::Value;
use asof::{EntityField, EntityRow, EntityView, KeyspaceHandle, Status, Store};

use super::examine::key_name;
use super::keys::{self, KeyChange};
use super::life::{Life, Went};
use super::model::{Answer, Defined, KEYS, Kind, Model, Row, RowValue, View, pick};

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
    if row.value == RowValue::Truncate {
        assert!(rows.truncate(view, row.event_ts)?, "there was something to delete");
        return Ok(());
    }
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
    /// A truncate at a time at which an entity has a value, so that it can be told from its absence.
    fn truncate(&mut self, model: &Model, defined: &Defined) -> Option<Row> {
        let view = self.view(defined);
        let key = self.dice.below(KEYS as u64) as usize;
        let presence = vec![true; model.acts.len()];
        let rows = model.rows(&presence, presence.len());
        let mut times: Vec<i64> = rows.of(view, key).iter().map(|row| row.event_ts).collect();
        times.push(model.now_us);
        let event_ts = times[self.dice.below(times.len() as u64) as usize];
        let (status, answer) = pick(rows.of(view, key), event_ts, defined.ttl_us, "number");
        if status != Status::Present || answer == Answer::Null {
            return None;
        }
        let alike = rows.of_view(view).filter(|row| row.event_ts == event_ts).filter_map(|row| row.created);
        let created = alike.chain([model.now_us]).max().filter(|_| defined.has_created);
        Some(Row { view, key, event_ts, created, value: RowValue::Truncate })
    }

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
        let truncate = if self.dice.below(3) == 0 { self.truncate(&model, defined) } else { None };
        let is_first = self.dice.below(2) == 0;
        let count = self.dice.below(4).max(u64::from(changes.is_empty() && truncate.is_none()));
        if let Some(truncate) = truncate.as_ref().filter(|_| is_first) {
            model.acts[index].rows.push(truncate.clone());
            rows.push(truncate.clone());
        }
        for _ in 0..count {
            let view = self.view(defined);
            let mut row = self.row(view, defined, true);
            row.created = defined.has_created.then_some(now);
            complete(&model, &mut row, defined);
            model.acts[index].rows.push(row.clone());
            rows.push(row);
        }
        rows.extend(truncate.filter(|_| !is_first));
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
