//! `asof demo` on the whole year, as the README promises it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{Project, Ran};

fn training_set(project: &Project) -> Vec<RecordBatch> {
    let file = File::open(project.path("flights/training.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1 << 20).build().unwrap();
    reader.map(Result::unwrap).collect()
}

#[test]
fn the_demo_joins_every_departure_with_what_was_known_when_it_was_due() {
    let project = Project::empty();
    let ran = project.run(&["demo", "--dir", "flights"]).done();
    let told = ran.stdout();
    for text in ["336,776 rows", "2,512", "a tropical storm", "OUTSIDE_MAX_AGE", "--known-at before_backfill"] {
        assert!(told.contains(text), "the demo should tell of '{text}':\n{told}");
    }

    let batches = training_set(&project);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 336_776);
    // Reckoned by hand from weather.parquet: the last observation at LGA before 2013-06-07T23:00Z.
    let storm = 1_370_646_000_000_000;
    let mut found = 0;
    for batch in &batches {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let due = column("scheduled_departure").as_primitive::<TimestampMicrosecondType>();
        let wind = column("weather__wind_speed").as_primitive::<Float64Type>();
        let origin = column("origin").as_string::<i32>();
        for row in (0..batch.num_rows()).filter(|&row| due.value(row) == storm && origin.value(row) == "LGA") {
            assert!(wind.is_valid(row) && (wind.value(row) - 26.467_94).abs() < 1e-5, "{}", wind.value(row));
            found += 1;
        }
    }
    assert_eq!(found, 4, "departures from LGA in the storm");

    // Once more on the same folder: nothing is doubled, the training set is the same to the byte. By whatever name it is
    // called, which it tells to go on with.
    let first = std::fs::read(project.path("flights/training.parquet")).unwrap();
    std::fs::remove_file(project.path("flights/training.parquet")).unwrap();
    // And where nobody listens: the work is done all the same.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unheard = project.command(&["demo", "--dir", "flights"]).stdout(writer).output().unwrap();
    assert_eq!(unheard.status.code(), Some(0), "{}", String::from_utf8_lossy(&unheard.stderr));
    assert!(std::fs::read(project.path("flights/training.parquet")).unwrap() == first, "nobody listened");
    let output = project.command(&["demo", "--dir", "flights"]).arg0(OsStr::from_bytes(b"as\xffof")).output().unwrap();
    let again = Ran { what: "demo".to_owned(), output }.done();
    assert!(again.stdout().contains("'as\u{fffd}of' --project flights"), "{}", again.stdout());
    assert!(std::fs::read(project.path("flights/training.parquet")).unwrap() == first, "the second run differs");
}

#[test]
fn the_demo_leaves_a_folder_alone_that_holds_something_else() {
    let project = Project::empty();
    project.put("thesis.tex", "years of work");
    let before = project.contents();
    project.run(&["demo", "--dir", "."]).fails(3, &["no earlier demo", "--dir"]);
    assert_eq!(project.contents(), before);
}
