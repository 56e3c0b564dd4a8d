//! Whole batches: which rows are taken, which refused, and with what words.

use super::*;

const NOW: Timestamp = Timestamp(1_772_370_000_000_000);

fn view() -> FeatureView {
    let feature = |name: &str, dtype: DataType, rules: Rules| Feature {
        name: name.into(),
        dtype,
        description: String::new(),
        rules,
        tags: Default::default(),
    };
    FeatureView {
        name: "weather".into(),
        version: 1,
        kind: ViewKind::State,
        entities: vec!["airport".into()],
        join_keys: vec![("origin".into(), DataType::String)],
        features: vec![
            feature("temp", DataType::Float64, Rules { min: Some("-100".into()), ..Rules::default() }),
            feature("hour", DataType::Int32, Rules { not_null: true, ..Rules::default() }),
        ],
        ttl_us: 0,
        retention_us: 0,
        freshness_sla_us: 0,
        event_id: vec![],
        redis_keys: vec![],
        source: Source {
            created_timestamp: Some("created".into()),
            rename: [("temperature".to_owned(), "temp".to_owned())].into(),
            ..Source::default()
        },
        owner: String::new(),
        description: String::new(),
        tags: Default::default(),
    }
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("station", Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        ("origin", Arc::new(StringArray::from(vec![Some("JFK"), None, Some("EWR"), Some("LGA")]))),
        ("event_timestamp", Arc::new(TimestampNanosecondArray::from(vec![Some(1_500), Some(0), None, Some(9_000)]))),
        ("created", Arc::new(TimestampMicrosecondArray::from(vec![None, Some(2), Some(3), Some(4)]))),
        ("temperature", Arc::new(Float32Array::from(vec![Some(1.5), None, None, Some(-200.0)]))),
        ("hour", Arc::new(Int64Array::from(vec![Some(1), Some(1 << 40), None, Some(5)]))),
    ]
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

#[test]
fn a_batch_is_refused_at_its_first_bad_row_and_nothing_comes_out() {
    let error = accept_batch(&view(), &batch(columns()), &AcceptOptions { first_row: 10, ..AcceptOptions::new(NOW) });
    assert_eq!(
        error.unwrap_err().to_string(),
        "view weather@1: origin: row 11: the join key is null; \
         mend the row, or set such rows aside with --bad-rows quarantine"
    );
}

#[test]
fn bad_rows_are_set_aside_with_one_reason_each_and_the_rest_is_taken() {
    let options = AcceptOptions { collect_refused: true, ..AcceptOptions::new(NOW) };
    let accepted = accept_batch(&view(), &batch(columns()), &options).unwrap();
    assert_eq!(accepted.row_count, 1);
    assert_eq!(values(&DataType::String, &accepted.keys[0]), [Value::String("JFK".into())]);
    assert_eq!(accepted.event_ts.as_ref(), [1]);
    assert_eq!(accepted.created, Some(Int64Array::from(vec![None])));
    assert_eq!(values(&DataType::Float64, &accepted.features[0]), [Value::Float64(1.5)]);
    assert_eq!(values(&DataType::Int32, &accepted.features[1]), [Value::Int32(1)]);
    assert_eq!(accepted.ignored, ["station"]);
    let reasons: Vec<(usize, &str)> =
        accepted.refused.iter().map(|refusal| (refusal.row, refusal.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [(1, "the join key is null"), (2, "the event timestamp is null"), (3, "-200.0 is below min = -100.0")]
    );
}

#[test]
fn missing_columns_are_all_named_at_once() {
    let kept = columns().into_iter().filter(|(name, _)| ["station", "hour"].contains(name)).collect();
    let error = accept_batch(&view(), &batch(kept), &AcceptOptions::new(NOW)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "view weather@1: missing columns: origin, event_timestamp, created, temperature; \
         source = { event_timestamp = \"...\" } in the view says which column is the time; \
         the columns there are: station, hour"
    );
}

#[test]
fn a_missing_column_is_looked_for_among_the_others_by_name_and_a_time_by_its_type() {
    let renamed = |(name, column): (&'static str, ArrayRef)| match name {
        "origin" => ("or-igin", column),
        "event_timestamp" => ("moment", column),
        _ => (name, column),
    };
    let other = batch(columns().into_iter().map(renamed).collect());
    let refused = |batch: &RecordBatch| accept_batch(&view(), batch, &AcceptOptions::new(NOW)).unwrap_err().to_string();
    let wanted =
        "did you mean source = { event_timestamp = \"moment\", rename = { or-igin = \"origin\" } } in the view?";
    assert!(refused(&other).contains(wanted), "{}", refused(&other));
    // What goes by the view's own names is not renamed by its source.
    let names = HashMap::from([(NAMES_KEY.to_owned(), VIEW_NAMES.to_owned())]);
    let schema = Arc::new(other.schema().as_ref().clone().with_metadata(names));
    let exported = other.with_schema(schema).unwrap();
    assert!(!refused(&exported).contains("source ="), "{}", refused(&exported));
}

#[test]
fn a_row_from_the_future_is_refused_by_name_unless_allowed() {
    let late = NOW.0 + 5 * 60 * 1_000_000;
    let with_time = |time: i64| {
        let mut columns: Vec<(&str, ArrayRef)> =
            columns().into_iter().map(|(name, column)| (name, column.slice(0, 1))).collect();
        columns[2].1 = Arc::new(TimestampMicrosecondArray::from(vec![time]));
        batch(columns)
    };
    let options = AcceptOptions::new(NOW);
    assert_eq!(accept_batch(&view(), &with_time(late), &options).unwrap().row_count, 1);
    let error = accept_batch(&view(), &with_time(late + 1), &options).unwrap_err().to_string();
    for part in ["row 0", "2026-03-01T13:05:00.000001Z", "more than 5m ahead", "--allow-future"] {
        assert!(error.contains(part), "{error}");
    }
    let allowed = AcceptOptions { allow_future: true, ..options };
    assert_eq!(accept_batch(&view(), &with_time(late + 1), &allowed).unwrap().row_count, 1);
}

#[test]
fn exported_deletes_and_constant_times_are_understood() {
    let mut view = view();
    let mut exported = columns();
    exported.remove(0);
    exported[3].0 = "temp";
    exported.push(("_deleted", Arc::new(BooleanArray::from(vec![Some(false), None, Some(true), Some(true)]))));
    let rows = batch(exported.clone()).slice(3, 1);
    let accepted = accept_batch(&view, &rows, &AcceptOptions::new(NOW)).unwrap();
    assert!(accepted.deleted.unwrap().value(0), "a delete's features are not looked at, whatever the rules");
    assert!(accepted.ignored.is_empty());

    view.source.event_timestamp = EventTime::Constant(77);
    let accepted = accept_batch(&view, &rows, &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(accepted.event_ts.as_ref(), [9], "a delete brings its own time");
    let value = batch(exported.clone()).slice(0, 1);
    let accepted = accept_batch(&view, &value, &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(
        (accepted.event_ts.as_ref(), accepted.deleted),
        ([77].as_slice(), None),
        "a value is of the constant one"
    );
    let metadata = HashMap::from([(VIEW_KEY, "weather@1"), (NAMES_KEY, VIEW_NAMES)].map(|(k, v)| (k.into(), v.into())));
    let an_export = value.schema().as_ref().clone().with_metadata(metadata);
    let value = value.with_schema(an_export.into()).unwrap();
    let accepted = accept_batch(&view, &value, &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(accepted.event_ts.as_ref(), [1], "an export brings its own times");
    // A column that no time can be made of, of rows that are no deletes.
    let mut no_time = exported.clone();
    no_time.iter_mut().filter(|(name, _)| *name == "event_timestamp").for_each(|(_, column)| {
        *column = Arc::new(BooleanArray::from(vec![true; 4]));
    });
    let accepted = accept_batch(&view, &batch(no_time.clone()).slice(0, 1), &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(accepted.event_ts.as_ref(), [77]);
    let error = accept_batch(&view, &batch(no_time).slice(3, 1), &AcceptOptions::new(NOW)).unwrap_err().to_string();
    assert!(error.contains("wants timestamp, got Boolean"), "{error}");
    exported.retain(|(name, _)| !["_deleted", "event_timestamp"].contains(name));
    let accepted = accept_batch(&view, &batch(exported).slice(0, 1), &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(accepted.event_ts.as_ref(), [77]);
}

#[test]
fn text_cells_are_refused_one_by_one_and_lines_are_named() {
    let form = |name: &str, form: &str| {
        Field::new(name, ArrowType::Utf8, true)
            .with_metadata(HashMap::from([(TEXT_FORM_KEY.to_owned(), form.to_owned())]))
    };
    let schema = Schema::new(vec![
        form("origin", "json"),
        form("event_timestamp", "json"),
        form("created", "text"),
        form("temperature", "text"),
        form("hour", "json"),
        Field::new(LINE_COLUMN, ArrowType::UInt64, false),
    ]);
    let strings = |cells: [Option<&str>; 2]| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_new(
        schema.into(),
        vec![
            strings([Some("\"JFK\""), Some("\"EWR\"")]),
            strings([Some("\"1970-01-01T00:00:00Z\""), Some("\"1970-01-01\"")]),
            strings([None, Some("1970-01-01 00:00:01")]),
            strings([Some("1.5"), None]),
            strings([Some("1"), Some("\"2\"")]),
            Arc::new(UInt64Array::from(vec![2, 5])),
        ],
    )
    .unwrap();
    let error = accept_batch(&view(), &batch, &AcceptOptions::new(NOW)).unwrap_err().to_string();
    assert!(error.starts_with("view weather@1: hour: line 5: wants int32, got '\"2\"'"), "{error}");
    let accepted = accept_batch(&view(), &batch.slice(0, 1), &AcceptOptions::new(NOW)).unwrap();
    assert_eq!(values(&DataType::Float64, &accepted.features[0]), [Value::Float64(1.5)]);
}

/// A list column of `len` bools each.
fn bools(lens: &[usize]) -> ArrayRef {
    let mut builder = arrow_array::builder::ListBuilder::new(arrow_array::builder::BooleanBuilder::new());
    for len in lens {
        builder.values().append_n(*len, true);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

#[test]
fn values_and_keys_of_the_greatest_length_are_taken_and_longer_ones_refused_by_row() {
    let max = crate::format::value::VARIABLE_BYTES_MAX;
    let key_max = crate::key::KEY_BYTES_MAX;
    let long_bytes = |len: usize| "x".repeat(len);
    // As many bools as a list of the greatest length has: four bytes, a bit and a byte for each.
    let most_bools = (0..max).rev().find(|n| 4 + n.div_ceil(8) + n <= max).unwrap();
    let texts = [long_bytes(max), long_bytes(max + 1), "short".into()];
    let features: Vec<(DataType, ArrayRef)> = vec![
        (DataType::String, Arc::new(StringArray::from_iter_values(&texts))),
        (DataType::Bytes, Arc::new(arrow_array::BinaryArray::from_iter_values(&texts))),
        (DataType::List(Box::new(DataType::Bool)), bools(&[most_bools, most_bools + 1, 2])),
        (DataType::List(Box::new(DataType::String)), {
            let mut builder = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
            for len in [max - 9, max - 8, 1] {
                builder.values().append_value(long_bytes(len));
                builder.append(true);
            }
            Arc::new(builder.finish())
        }),
    ];
    for (dtype, column) in features {
        let mut view = view();
        view.features.retain(|feature| feature.name == "temp");
        view.features[0].dtype = dtype.clone();
        view.features[0].rules = Rules::default();
        let batch = batch(vec![
            ("origin", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
            ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]))),
            ("created", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]))),
            ("temperature", Arc::clone(&column)),
        ]);
        let options = AcceptOptions { collect_refused: true, ..AcceptOptions::new(NOW) };
        let accepted = accept_batch(&view, &batch, &options).unwrap();
        let refused: Vec<_> = accepted.refused.iter().map(|r| (r.row, r.column.as_deref())).collect();
        assert_eq!(refused, [(1, Some("temp"))], "{dtype}: {:?}", accepted.refused);
        assert!(accepted.refused[0].reason.contains(&format!("takes {} bytes, at most {max}", max + 1)), "{dtype}");
        // What is taken can be encoded, and what is refused could not be.
        for (row, fits) in [(0, true), (1, false), (2, true)] {
            let value = crate::format::columns::value_at(&*column, &dtype, row);
            let encoded = crate::format::value::encode_value(&dtype, &value, &mut Vec::new());
            assert_eq!(encoded.is_ok(), fits, "{dtype}, row {row}");
        }
    }

    for parts in [1, 2] {
        let mut view = view();
        view.features.clear();
        let schema = [("origin", DataType::String), ("code", DataType::String)];
        view.join_keys = schema[..parts].iter().map(|(name, dtype)| ((*name).to_owned(), dtype.clone())).collect();
        let most = key_max - if parts == 2 { 4 + 1 } else { 0 };
        let keys = [long_bytes(most), long_bytes(most + 1)];
        let batch = batch(vec![
            ("origin", Arc::new(StringArray::from_iter_values(&keys))),
            ("code", Arc::new(StringArray::from(vec!["c", "c"]))),
            ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]))),
            ("created", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]))),
        ]);
        let options = AcceptOptions { collect_refused: true, ..AcceptOptions::new(NOW) };
        let accepted = accept_batch(&view, &batch, &options).unwrap();
        let wanted = format!("the join key takes {} bytes, at most {key_max} are stored", key_max + 1);
        let refused: Vec<_> = accepted.refused.iter().map(|r| (r.row, r.reason.clone())).collect();
        assert_eq!(refused, [(1, wanted)], "{parts} parts");
        let schema = crate::key::KeySchema::new(view.join_keys.clone());
        for (key, fits) in keys.iter().zip([true, false]) {
            let values = [crate::value::Value::String(key.clone()), crate::value::Value::String("c".into())];
            assert_eq!(schema.encode(&values[..parts], &mut Vec::new()).is_ok(), fits);
        }
    }
}

#[test]
fn a_decimal_with_more_digits_than_its_own_type_allows_is_refused() {
    let mut view = view();
    view.features.retain(|feature| feature.name == "temp");
    view.features[0].dtype = DataType::Decimal { precision: 5, scale: 2 };
    view.features[0].rules = Rules::default();
    let decimals = arrow_array::Decimal128Array::from(vec![Some(99_999), Some(100_000), Some(-100_000), None]);
    let batch = batch(vec![
        ("origin", Arc::new(StringArray::from(vec!["a", "b", "c", "d"]))),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4]))),
        ("created", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4]))),
        ("temperature", Arc::new(decimals.with_precision_and_scale(5, 2).unwrap())),
    ]);
    let options = AcceptOptions { collect_refused: true, ..AcceptOptions::new(NOW) };
    let accepted = accept_batch(&view, &batch, &options).unwrap();
    let refused: Vec<_> = accepted.refused.iter().map(|refusal| refusal.row).collect();
    assert_eq!(refused, [1, 2], "{:?}", accepted.refused);
    assert_eq!(accepted.row_count, 2);
}
