//! Bad input: a clear error, the exit status as documented, nothing written, no panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampSecondArray,
};
use asof::Store;
use asof::identity::Identity;

use crate::support::{PROFILES, Project, Ran, SHOP};

/// Among the expected texts: the whole file is at fault.
const WHOLE: &str = "";

/// Imports `file` into the shop's profiles and expects it to fail, leaving the store as it was.
fn refuses(file: &str, make: impl Fn(&Project, &str), status: i32, texts: &[&str]) {
    let project = Project::shop();
    make(&project, file);
    let before = project.contents();
    for bad_rows in ["fail", "quarantine"] {
        // What is wrong with a file as a whole is no matter of rows.
        if bad_rows == "quarantine" && !texts.contains(&WHOLE) {
            continue;
        }
        let texts: Vec<&str> = texts.iter().copied().filter(|text| *text != WHOLE).collect();
        project.run(&["import", "profile", file, "--bad-rows", bad_rows]).fails(status, &texts);
        assert!(project.contents() == before, "{file}: the store changed");
    }
}

type Column = (&'static str, ArrayRef);

fn times(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn profile() -> Vec<Column> {
    vec![
        ("customer_id", Arc::new(Int64Array::from(vec![1]))),
        ("event_timestamp", times(vec![Some(0)])),
        ("country", Arc::new(StringArray::from(vec!["NO"]))),
        ("age", Arc::new(Int32Array::from(vec![31]))),
    ]
}

/// A sound file but for one column.
fn with(column: &'static str, array: ArrayRef) -> impl Fn(&Project, &str) {
    move |project, file| {
        let mut columns = profile();
        columns.iter_mut().filter(|(name, _)| *name == column).for_each(|(_, slot)| *slot = Arc::clone(&array));
        project.put_columns(file, &columns);
    }
}

fn without(column: &'static str) -> impl Fn(&Project, &str) {
    move |project, file| {
        let columns: Vec<Column> = profile().into_iter().filter(|(name, _)| *name != column).collect();
        project.put_columns(file, &columns);
    }
}

fn text(contents: &'static str) -> impl Fn(&Project, &str) {
    move |project, file| project.put(file, contents)
}

#[test]
fn columns_of_the_wrong_type_or_missing_are_named() {
    refuses("p.parquet", with("age", Arc::new(StringArray::from(vec!["old"]))), 1, &["profile", "age", "int32"]);
    refuses("p.parquet", with("age", Arc::new(Float64Array::from(vec![31.5]))), 1, &["age", "31.5", "int32"]);
    refuses("p.parquet", without("country"), 1, &[WHOLE, "country", "columns there are"]);
    refuses("p.parquet", without("customer_id"), 1, &[WHOLE, "customer_id"]);
    refuses("p.parquet", without("event_timestamp"), 1, &[WHOLE, "event_timestamp"]);
    refuses(
        "p.csv",
        text("customer_id,event_timestamp,country,age\n1,2024-01-01,NO,old\n"),
        1,
        &["p.csv", "line 2", "age", "old", "int32"],
    );
    // Seconds, milliseconds? Nobody guesses, but the way to say so is named.
    refuses(
        "p.csv",
        text("customer_id,event_timestamp,country,age\n1,1704067200,NO,31\n"),
        1,
        &["line 2", "event_timestamp", "1704067200", "timestamp_format"],
    );
    let number = with("event_timestamp", Arc::new(Int64Array::from(vec![1_704_067_200])));
    refuses("p.parquet", number, 1, &["event_timestamp", "Int64", "timestamp type"]);
    let words = with("event_timestamp", Arc::new(StringArray::from(vec!["2024-01-01"])));
    refuses(
        "p.parquet",
        words,
        1,
        &["event_timestamp", "Utf8", "cast the column to a timestamp type, or write the file as CSV"],
    );
    refuses(
        "p.jsonl",
        text("{\"customer_id\":1,\"event_timestamp\":\"2024-01-01\",\"country\":\"NO\",\"age\":\"x\"}\n"),
        1,
        &["p.jsonl", "line 1", "age"],
    );
}

#[test]
fn keys_and_event_times_that_are_null_are_refused() {
    refuses("p.parquet", with("customer_id", Arc::new(Int64Array::from(vec![None]))), 1, &["customer_id", "null"]);
    refuses("p.parquet", with("event_timestamp", times(vec![None])), 1, &["event_timestamp", "null"]);
}

#[test]
fn event_times_far_ahead_or_out_of_range_are_refused() {
    let far = 32_503_680_000_000_000; // the year 3000
    refuses("p.parquet", with("event_timestamp", times(vec![Some(far)])), 1, &["3000-01-01", "--allow-future"]);
    let beyond = Arc::new(TimestampSecondArray::from(vec![i64::MAX / 2]).with_timezone("UTC"));
    refuses(
        "p.arrow",
        with("event_timestamp", beyond),
        1,
        &["event_timestamp", "4611686018427387903, which is out of range"],
    );

    let project = Project::shop();
    with("event_timestamp", times(vec![Some(far)]))(&project, "p.parquet");
    project.run(&["import", "profile", "p.parquet", "--allow-future"]).done();
}

#[test]
fn files_that_cannot_be_read_are_named() {
    refuses("p.parquet", text("PAR1 and nothing else"), 3, &[WHOLE, "p.parquet"]);
    refuses("p.parquet", text("no Parquet at all"), 3, &[WHOLE, "p.parquet"]);
    refuses("p.arrow", text("ARROW1 and nothing else"), 3, &[WHOLE, "p.arrow"]);
    refuses("p.txt", text("x"), 1, &[WHOLE, "p.txt", "known"]);
    refuses("missing.parquet", |_, _| (), 1, &[WHOLE, "missing.parquet", "no such file"]);
    let truncated = |project: &Project, file: &str| {
        project.put_columns("whole.parquet", &profile());
        let bytes = std::fs::read(project.path("whole.parquet")).unwrap();
        std::fs::remove_file(project.path("whole.parquet")).unwrap();
        project.put(file, &bytes[..bytes.len() - 20]);
    };
    refuses("p.parquet", truncated, 3, &[WHOLE, "p.parquet"]);
}

#[test]
fn mistakes_in_the_definitions_are_shown_in_place_and_make_no_store() {
    let twice = format!("{SHOP}\n[views.profile]\nentities = [\"customer\"]\n");
    let without_entities = SHOP.replacen("entities = [\"customer\"]\n", "", 1);
    let misspelt = SHOP.replace("\"int32\"", "\"in32\"");
    let two_types = SHOP.replace("\"basket:value\"]", "\"basket:value\", \"account:plan\"]")
        + "[entities.account]\njoin_keys = { customer_id = \"string\" }\n[views.account]\nentities = [\"account\"]\n\
           features.plan = \"string\"\n";
    for (definitions, texts) in [
        (twice.as_str(), &["asof.toml:", "duplicate"][..]),
        (&without_entities, &["asof.toml:", "entities"]),
        (&misspelt, &["asof.toml:", "in32", "int32"]),
        // No row of a spine could have both.
        (&two_types, &["asof.toml:", "churn", "customer_id as int64 for profile", "as string for account"]),
        ("[project", &["asof.toml:1:"]),
    ] {
        let project = Project::defined(definitions);
        for arguments in [&["apply"][..], &["apply", "--dry-run"]] {
            project.run(arguments).fails(1, texts);
            assert!(!project.path("store").exists(), "a store came out of mistakes");
        }
    }
    Project::empty().run(&["apply"]).fails(1, &["asof.toml", "asof init"]);
}

#[test]
fn a_refused_change_says_why_and_changes_nothing() {
    let project = Project::shop_with_profiles();
    project.put("asof.toml", SHOP.replace("country = \"string\"", "country = \"int64\""));
    for arguments in [&["apply", "--dry-run"][..], &["apply"]] {
        let ran = project.run(arguments).fails(3, &["nothing is applied: a change is refused", "the plan says why"]);
        let plan = ran.stdout();
        assert!(plan.contains("country") && plan.contains("profile@2"), "{plan}");
    }
    project.put("asof.toml", SHOP);
    assert_eq!(project.get(&["--features", "profile:country", "customer_id=1"])[0].0, "SE");
}

#[test]
fn names_that_nothing_answers_to_suggest_the_nearest() {
    let project = Project::shop_with_profiles();
    project.put("spine.csv", "customer_id,event_timestamp\n1,2024-02-01T00:00:00Z\n");
    let get = |rest: &[&str], texts: &[&str]| {
        project.run(&[&["get"], rest].concat()).fails(1, texts);
    };
    get(&["--features", "profil:age", "customer_id=1"], &["profil", "profile"]);
    get(&["--features", "profile:agee", "customer_id=1"], &["profile has no feature agee", "profile:age"]);
    get(&["--service", "chrun", "customer_id=1"], &["chrun", "churn"]);
    get(&["--features", "profile:age", "customer=1"], &["customer", "customer_id"]);
    get(&["--features", "profile:age", "zz=1"], &["a join key zz", "there is customer_id"]);
    get(&["--features", "profile:age"], &["customer_id=VALUE"]);
    get(&["--features", "profile:age", "customer_id=one"], &["customer_id", "int64", "one"]);
    get(&["--features", "profile:age", "customer_id=1", "--known-at", "never"], &["never"]);
    get(&["--features", "profile:age", "customer_id=1", "--known-at", "999"], &["999"]);
    project.run(&["import", "profil", "spine.csv"]).fails(1, &["profil"]);
    project.run(&["delete", "profil", "customer_id=1"]).fails(1, &["profil"]);
    let history = ["history", "--spine", "spine.csv", "--out", "t.csv"];
    project.run(&[&history[..], &["--features", "profile:agee"]].concat()).fails(1, &["agee"]);
    let absent = [&history[..], &["--features", "profile:age", "--timestamp", "when"]].concat();
    project.run(&absent).fails(1, &["when", "it has customer_id, event_timestamp"]);
    project.put("spine.jsonl", "{\"event_timestamp\":\"2024-02-01\"}\n");
    // A file of nothing has no columns to list, and a file of an old Mac no lines.
    project.put("empty.jsonl", "");
    let history_of = |spine: &'static str| ["history", "--spine", spine, "--features", "profile:age", "--out", "t.csv"];
    project.run(&history_of("empty.jsonl")).fails(1, &["empty.jsonl: the spine has no columns"]);
    project.put("mac.csv", "customer_id,event_timestamp\r1,2024-02-01\r1,2024-02-02\r");
    for arguments in [&history_of("mac.csv")[..], &["import", "profile", "mac.csv"]] {
        project.run(arguments).fails(1, &["mac.csv: line 1: lines end with CR alone", "CRLF"]);
    }
    let without_key = ["history", "--spine", "spine.jsonl", "--features", "profile:age", "--out", "t.csv"];
    project.run(&without_key).fails(1, &["no column customer_id"]);
    assert!(!project.path("t.csv").exists());
}

#[test]
fn what_is_no_command_is_wrong_usage() {
    let project = Project::shop();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["get", "customer_id=1"],
        &["get", "--features", "profile", "customer_id=1"],
        &["get", "--features", "profile:age", "customer_id"],
        &["get", "--features", "profile:age", "customer_id=1", "customer_id=2"],
        &["get", "--features", "profile:age", "customer_id=1", "--at", "yesterday"],
        &["get", "--features", "profile:age", "--service", "churn", "customer_id=1"],
        &["import", "profile"],
        &["import", "profile@2", "--from-version", "1", "--append"],
        &["--format", "xml", "snapshot", "list"],
        &["snapshot", "1x"],
        &["show", "1x"],
        &["import", "profile@x", "profiles.csv"],
        &["delete", "profile@x", "customer_id=1"],
        &["export", "profile@x", "--out", "dump"],
        &["explain", "profile:*", "customer_id=1"],
        &["import", "profile", "--from-version", "0"],
        &["get", "--features", "profile:age", "=1"],
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.status(), 2, "asof {}: {}", arguments.join(" "), ran.stderr());
        assert!(!ran.stderr().is_empty() && ran.stdout().is_empty(), "asof {}", arguments.join(" "));
    }
}

#[test]
fn a_folder_that_is_no_store_is_left_alone() {
    let project = Project::defined(SHOP);
    std::fs::create_dir(project.path("store")).unwrap();
    project.put("store/thesis.tex", "years of work");
    project.put("profiles.csv", PROFILES);
    let before = project.contents();
    for arguments in [
        &["apply"][..],
        &["apply", "--dry-run"],
        &["import", "profile", "profiles.csv"],
        &["get", "--features", "profile:age", "customer_id=1"],
    ] {
        project.run(arguments).fails(3, &["store", "thesis.tex"]);
        assert_eq!(project.contents(), before);
    }
}

#[test]
fn a_file_where_the_store_should_be_is_left_alone() {
    let project = Project::defined(SHOP);
    project.put("store", "years of work");
    project.put("profiles.csv", PROFILES);
    for arguments in [&["apply"][..], &["apply", "--dry-run"], &["import", "profile", "profiles.csv"], &["check"]] {
        project.run(arguments).fails(3, &["store is a file, and no asof store", "choose"]);
    }
    assert_eq!(std::fs::read(project.path("store")).unwrap(), b"years of work");
}

#[test]
fn a_variable_that_names_no_project_is_as_none() {
    let project = Project::shop_with_profiles();
    let shown = project.command(&["show"]).env("ASOF_PROJECT", "").output().unwrap();
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
}

#[test]
fn before_the_first_apply_there_is_no_store_and_none_is_made() {
    let project = Project::defined(SHOP);
    project.put("profiles.csv", PROFILES);
    for arguments in [
        &["import", "profile", "profiles.csv"][..],
        &["get", "--features", "profile:age", "customer_id=1"],
        &["delete", "profile", "customer_id=1"],
        &["snapshot", "s"],
        &["snapshot", "list"],
        &["show"],
        &["check"],
    ] {
        project.run(arguments).fails(1, &["no store yet", "asof apply"]);
        assert!(!project.path("store").exists(), "{arguments:?}");
    }
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let project = Project::shop_with_profiles();
    let file = project.path("store/STORE");
    let identity = Identity::parse(&std::fs::read(&file).unwrap(), &file).unwrap();
    std::fs::write(&file, Identity { required_features: 1 << 40, ..identity }.encode()).unwrap();
    let before = project.contents();
    for arguments in
        [&["get", "--features", "profile:age", "customer_id=1"][..], &["delete", "profile", "customer_id=1"]]
    {
        project.run(arguments).fails(3, &["STORE", "upgrade asof"]);
        assert!(project.contents() == before, "{arguments:?}");
    }
}

/// What LOCK says of a process is how it was started: arguments that are not UTF-8 once made every writing command panic.
#[test]
fn a_project_whose_path_is_not_utf8_is_worked_with_like_any_other() {
    let project = Project::empty();
    let odd = project.dir.join(OsStr::from_bytes(b"pro\xffject"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join("asof.toml"), SHOP).unwrap();
    std::fs::write(odd.join("profiles.csv"), PROFILES).unwrap();
    let run = |arguments: &[&str]| {
        let output = project.command(&[]).arg("--project").arg(&odd).args(arguments).output().unwrap();
        Ran { what: arguments.join(" "), output }
    };
    run(&["apply"]).done();
    let mut import = project.command(&[]);
    import.arg("--project").arg(&odd).args(["import", "profile"]).arg(odd.join("profiles.csv"));
    Ran { what: "import".to_owned(), output: import.output().unwrap() }.done();
    assert!(run(&["get", "--features", "profile:country", "customer_id=1"]).done().stdout().contains("SE"));
    // And is named to whoever comes meanwhile.
    let lock = std::fs::read_to_string(odd.join("store/LOCK")).unwrap();
    assert!(lock.contains("pro\u{fffd}ject"), "{lock}");
}

#[test]
fn a_second_writer_is_told_who_is_the_first() {
    let project = Project::shop_with_profiles();
    let store = Store::builder().listen(false).open(project.path("store")).unwrap();
    let holder = format!("pid {}", std::process::id());
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    project.run(&["delete", "profile", "customer_id=1"]).fails(3, &[&holder, &command, "store: "]);
    project.run(&["import", "profile", "profiles.csv", "--append"]).fails(3, &[&holder]);
    // Reading goes on beside it.
    assert_eq!(project.get(&["--features", "profile:country", "customer_id=1"])[0].0, "SE");
    project.run(&["show"]).done();
    store.close().unwrap();
    drop(store);
    project.run(&["delete", "profile", "customer_id=1"]).done();
}

#[test]
fn writing_commands_go_through_the_process_that_holds_the_store() {
    let project = Project::shop_with_profiles();
    let store = Store::open(project.path("store")).unwrap();
    project.run(&["delete", "profile", "customer_id=1"]).done();
    let gone = project.get(&["--features", "profile:country", "customer_id=1"]);
    assert_eq!((&gone[0].0, gone[0].1.as_str()), (&serde_json::Value::Null, "NOT_FOUND"));
    project.put("more.csv", "customer_id,event_timestamp,country,age\n77,2024-02-01T00:00:00Z,NO,1\n");
    project.run(&["import", "profile", "more.csv"]).done();
    project.run(&["import", "profile", "more.csv"]).done();
    assert_eq!(project.get(&["--features", "profile:country", "customer_id=77"])[0].0, "NO");
    project.run(&["snapshot", "beside"]).done();
    project.run(&["apply"]).done();
    assert_eq!(store.snapshots().unwrap().iter().filter(|snapshot| snapshot.name == "beside").count(), 1);
}

#[test]
fn reading_writes_nothing() {
    let project = Project::shop_with_profiles();
    project.put("spine.csv", "customer_id,event_timestamp\n1,2024-02-01T00:00:00Z\n");
    let everything = |project: &Project| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files = project.contents();
        files.extend(["LOCK", "HEAD", "registry.redb"].map(|name| {
            let path = project.path("store").join(name);
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        }));
        files
    };
    let before = everything(&project);
    for arguments in [
        &["get", "--service", "churn", "customer_id=1"][..],
        &["show"],
        &["explain", "profile:age", "customer_id=1"],
        &["snapshot", "list"],
        &["apply", "--dry-run"],
        &["history", "--spine", "spine.csv", "--service", "churn", "--out", "/dev/null/t.csv"],
    ] {
        project.run(arguments);
        assert!(everything(&project) == before, "asof {}", arguments.join(" "));
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    // Not even root may make anything in /sys.
    let project = Project::defined(&SHOP.replace("[entities", "[store]\npath = \"/sys/asof\"\n\n[entities"));
    project.run(&["apply"]).fails(1, &["/sys/asof"]);
    project.run(&["init", "/sys/asof"]).fails(1, &["/sys/asof"]);
    let project = Project::defined(&SHOP.replace("[entities", "[store]\npath = \"deep/er/store\"\n\n[entities"));
    project.run(&["apply"]).fails(1, &["making the folder", "make the folder ", "deep/er first"]);
    let project = Project::shop_with_profiles();
    project.put("spine.csv", "customer_id,event_timestamp\n1,2024-02-01T00:00:00Z\n");
    let history = ["history", "--spine", "spine.csv", "--features", "profile:age", "--out", "/sys/t.parquet"];
    project.run(&history).fails(1, &["/sys/t.parquet"]);
}

#[test]
fn a_training_set_never_takes_the_place_of_its_spine() {
    let project = Project::shop_with_profiles();
    project.put("spine.csv", "customer_id,event_timestamp\n1,2024-02-01\n");
    let history = ["history", "--spine", "spine.csv", "--features", "profile:age", "--out", "./spine.csv"];
    project.run(&history).fails(3, &["spine.csv: the training set would take the place of its spine", "--out"]);
    assert_eq!(
        std::fs::read_to_string(project.path("spine.csv")).unwrap(),
        "customer_id,event_timestamp\n1,2024-02-01\n"
    );
}

/// A second run took the training set of the first for rows of the spine, or for a file of it.
#[test]
fn a_training_set_never_becomes_a_part_of_its_spine() {
    let project = Project::shop_with_profiles();
    for folder in ["spine/deep", "spine/_kept", "elsewhere"] {
        std::fs::create_dir_all(project.path(folder)).unwrap();
    }
    for file in ["spine/a.csv", "spine/deep/b.csv", "c.csv"] {
        project.put(file, "customer_id,event_timestamp\n1,2024-02-01\n");
    }
    symlink(project.path("spine"), project.path("other_name")).unwrap();
    symlink("../c.csv", project.path("spine/c.csv")).unwrap();
    symlink("../elsewhere", project.path("spine/linked")).unwrap();
    symlink("spine/a.csv", project.path("of_a.csv")).unwrap();
    let files = || {
        let all = project.contents().into_iter();
        all.filter(|(path, _)| !path.starts_with(project.path("store"))).collect::<Vec<_>>()
    };
    let before = files();
    let history =
        |spine: &str, out: &str| project.run(&["history", "--spine", spine, "--features", "profile:age", "--out", out]);
    for out in [
        "spine/a.csv",
        "spine/new.parquet",
        "spine/deep/new.csv",
        "other_name/deep/../new.csv",
        "of_a.csv",
        // Read through the folder's links.
        "c.csv",
        "elsewhere/new.csv",
    ] {
        for spine in ["spine", "./other_name/"] {
            history(spine, out).fails(3, &[out, "a part of its spine", "outside of that folder"]);
        }
    }
    assert!(files() == before, "a refused training set left something");
    for out in ["new.csv", "spine/_train.csv", "spine/_kept/train.csv", "spine/.train.parquet", "elsewhere/_train.csv"]
    {
        let told = history("spine", out).done().stdout();
        assert!(told.contains(": 3 rows"), "{told}");
    }
}

/// Links were passed over where they led nowhere or to a folder, and the rows behind them were missing without a word. Rows behind a
/// link to a file that is read already were read twice.
#[test]
fn a_link_in_a_folder_is_followed_or_named() {
    let project = Project::shop();
    let import = ["import", "profile", "rows"];
    let history = ["history", "--spine", "rows", "--features", "profile:age", "--full-names", "--out", "t.csv"];
    for folder in ["rows", "rows/a", "elsewhere"] {
        std::fs::create_dir(project.path(folder)).unwrap();
    }
    let rows = |id: u32| format!("customer_id,event_timestamp,country,age\n{id},2024-01-01T00:00:00Z,NO,31\n");
    project.put("rows/a/a.csv", rows(1));
    project.put("elsewhere/b.csv", rows(2));
    project.put("c.csv", rows(3));
    let link = |to: &str, name: &str| symlink(to, project.path(name)).unwrap();
    for (to, name, what) in [
        ("nowhere.csv", "rows/dang.csv", "leads nowhere"),
        ("../gone", "rows/date=2024-01-01", "leads nowhere"),
        ("itself.csv", "rows/itself.csv", "rows/itself.csv"),
        (".", "rows/loop", "is the same folder as"),
        ("a", "rows/b", "is the same folder as"),
        ("..", "rows/a/up", "is the same folder as"),
        ("a/a.csv", "rows/z.csv", "is the same file as"),
    ] {
        let before = project.contents();
        link(to, name);
        for command in [&import[..], &history] {
            project.run(command).fails(1, &["rows/", what]);
        }
        std::fs::remove_file(project.path(name)).unwrap();
        assert!(project.contents() == before, "{name}: something was written");
    }
    link("../elsewhere", "rows/b");
    link("../c.csv", "rows/c.csv");
    link("nowhere.csv", "rows/_c.csv");
    project.run(&import).done();
    assert_eq!(project.get(&["--features", "profile:age", "customer_id=2"])[0].0, 31);
    project.run(&history).done();
    let written = std::fs::read_to_string(project.path("t.csv")).unwrap();
    assert_eq!(written.lines().count(), 4, "{written}");
}
