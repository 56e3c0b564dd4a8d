//! Each command does what its help says.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use asof::value::Value;
use asof::{Features, GetOptions, Status, Store};
use serde_json::json;

use crate::support::{PROFILES, Project, SHOP};

fn present(value: serde_json::Value) -> (serde_json::Value, String) {
    (value, "PRESENT".to_owned())
}

fn absent(status: &str) -> (serde_json::Value, String) {
    (json!(null), status.to_owned())
}

#[test]
fn a_new_project_is_defined_filled_and_read() {
    let project = Project::empty();
    let told = project.run(&["init", "churn"]).done();
    assert!(told.stdout().contains("cd churn && asof apply"), "{}", told.stdout());
    project.run(&["--project", "churn", "apply", "--dry-run"]).done();
    assert!(!project.path("churn/store").exists(), "a dry run makes nothing");
    let told = project.run(&["--project", "churn", "apply"]).done().stdout();
    assert!(told.contains("+ view profile") && told.contains("applied to project churn"), "{told}");
    let told = project.run(&["--project", "churn", "apply"]).done().stdout();
    assert!(told.contains("unchanged") && !told.contains("applied"), "{told}");
    project.run(&["init", "churn"]).fails(3, &["there is a project already"]);
}

#[test]
fn an_entity_is_read_now_and_as_of_any_moment() {
    let project = Project::shop_with_profiles();
    let features = ["--features", "profile:country,profile:age"];
    let get = |rest: &[&str]| project.get(&[&features[..], rest].concat());
    assert_eq!(get(&["customer_id=1"]), [present(json!("SE")), present(json!(32))]);
    assert_eq!(get(&["customer_id=1", "--at", "2024-02-01T00:00:00Z"]), [present(json!("NO")), present(json!(31))]);
    assert_eq!(get(&["customer_id=2"]), [absent("NULL_VALUE"), absent("NULL_VALUE")]);
    assert_eq!(get(&["customer_id=3"]), [absent("NOT_FOUND"), absent("NOT_FOUND")]);
    let service = project.get(&["--service", "churn", "customer_id=1"]);
    assert_eq!(service, [present(json!("SE")), present(json!(32)), absent("NOT_FOUND")]);
}

/// The shop with a second selection of profiles, of whoever sent the customer.
const REFERRAL: &str = r#"
[services.referral]
features = ["profile:country", { view = "profile", as = "referrer", join_keys = { customer_id = "referrer_id" }, features = ["country"] }]
"#;

/// A referrer that was left out was answered with the customer's own profile.
#[test]
fn a_join_key_of_another_column_is_taken_from_that_column_alone() {
    let project = Project::shop_with_profiles();
    project.put("asof.toml", format!("{SHOP}{REFERRAL}"));
    project.run(&["apply"]).done();
    let both = project.get(&["--service", "referral", "customer_id=1", "referrer_id=2"]);
    assert_eq!(both, [present(json!("SE")), absent("NULL_VALUE")]);
    for moment in [&[][..], &["--at", "2024-02-01"]] {
        let get = [&["get", "--service", "referral", "customer_id=1"], moment].concat();
        project.run(&get).fails(1, &["referrer needs the join key referrer_id", "referrer_id=VALUE"]);
    }
}

#[test]
fn a_delete_hides_what_was_before_it_from_then_on() {
    let project = Project::shop_with_profiles();
    let deleted = project
        .run(&["--format", "json", "delete", "profile", "customer_id=1", "--at", "2024-04-01T00:00:00Z"])
        .done()
        .json();
    assert!(deleted["seq"].as_u64().unwrap() > 0 && deleted["view"] == "profile", "{deleted}");
    let get = |rest: &[&str]| project.get(&[&["--features", "profile:country", "customer_id=1"], rest].concat());
    assert_eq!(get(&[]), [absent("NOT_FOUND")]);
    assert_eq!(get(&["--at", "2024-03-31T00:00:00Z"]), [present(json!("SE"))]);
    project.run(&["delete", "profile", "customer_id=1", "--at", "2999-01-01"]).fails(1, &["--allow-future"]);
}

fn spine(project: &Project, name: &str) {
    let hours = [0_i64, 24, 24 * 70].map(|hours| 1_704_067_200_000_000 + hours * 3_600_000_000);
    let columns: [(&str, ArrayRef); 2] = [
        ("customer_id", Arc::new(Int64Array::from(vec![1, 2, 1]))),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(hours.to_vec()).with_timezone("UTC"))),
    ];
    project.put_columns(name, &columns);
}

#[test]
fn a_training_set_goes_to_parquet_arrow_and_csv() {
    let project = Project::shop_with_profiles();
    let joined = "customer_id,event_timestamp,country,age\n\
        1,2024-01-01T00:00:00Z,NO,31\n\
        2,2024-01-02T00:00:00Z,,\n\
        1,2024-03-11T00:00:00Z,SE,32\n";
    let mut known_at_seqs = Vec::new();
    for from in ["spine.parquet", "spine.arrow", "spine.csv", "spine.jsonl"] {
        spine(&project, from);
        let history = ["--format", "json", "history", "--spine", from, "--features", "profile:country,profile:age"];
        for to in ["training.parquet", "training.arrow", "training.csv"] {
            let report = project.run(&[&history[..], &["--out", to]].concat()).done().json();
            assert_eq!((&report["rows"], &report["columns"]), (&json!(3), &json!(4)), "{from} to {to}: {report}");
            known_at_seqs.push(report["known_at_seq"].as_u64().unwrap());
        }
        assert_eq!(std::fs::read_to_string(project.path("training.csv")).unwrap(), joined, "from {from}");
    }
    let parquet = std::fs::read(project.path("training.parquet")).unwrap();
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(bytes::Bytes::from(parquet)).unwrap();
    let metadata = parquet::file::reader::FileReader::metadata(&reader).file_metadata().key_value_metadata().unwrap();
    let known_at = metadata.iter().find(|pair| pair.key == "asof.known_at_seq").unwrap();
    assert!(known_at_seqs[0] >= 3 && known_at_seqs.iter().all(|seq| *seq == known_at_seqs[0]), "{known_at_seqs:?}");
    let said = known_at_seqs[0].to_string();
    assert_eq!(known_at.value.as_ref(), Some(&said), "the state of knowledge stands in the file");
}

const DOCUMENTS: &str = r#"
    [project]
    name = "shop"
    [entities.customer]
    join_keys = { customer_id = "int64" }
    [views.profile]
    entities = ["customer"]
    features = { basket = "json", seen = "list<json>" }
"#;

#[test]
fn documents_of_a_training_set_are_documents_in_json_lines() {
    let project = Project::defined(DOCUMENTS);
    project.run(&["apply"]).done();
    let row =
        r#"{"customer_id":1,"event_timestamp":"2024-01-01T00:00:00Z","basket":{"a":[1,2]},"seen":[{"b":3},null]}"#;
    project.put("profile.jsonl", format!("{row}\n"));
    project.run(&["import", "profile", "profile.jsonl"]).done();
    project.put("spine.csv", "customer_id,event_timestamp\n1,2024-01-02T00:00:00Z\n");
    let history = ["history", "--spine", "spine.csv", "--features", "profile:basket,profile:seen", "--out"];
    project.run(&[&history[..], &["training.jsonl"]].concat()).done();
    let line: serde_json::Value =
        serde_json::from_slice(&std::fs::read(project.path("training.jsonl")).unwrap()).unwrap();
    assert_eq!((&line["basket"], &line["seen"]), (&json!({"a": [1, 2]}), &json!([{"b": 3}, null])), "{line}");
}

#[test]
fn a_snapshot_gives_the_same_bytes_after_a_back_fill_and_a_changed_ttl() {
    let project = Project::shop_with_profiles();
    spine(&project, "spine.parquet");
    project.put("basket.csv", "customer_id,event_timestamp,value\n1,2024-03-10T12:00:00Z,9.5\n");
    project.run(&["import", "basket", "basket.csv"]).done();
    let made = project.run(&["--format", "json", "snapshot", "before"]).done().json();
    let listed = project.run(&["--format", "json", "snapshot", "list"]).done().json();
    assert_eq!(listed, json!([made]));
    let history = |known_at: &[&str], out: &str| {
        let arguments = ["history", "--spine", "spine.parquet", "--service", "churn", "--out", out];
        project.run(&[&arguments[..], known_at].concat()).done();
        std::fs::read(project.path(out)).unwrap()
    };
    let first = history(&["--known-at", "before"], "first.parquet");

    project.put("late.csv", "customer_id,event_timestamp,country,age\n1,2024-03-05T00:00:00Z,FI,33\n");
    project.run(&["import", "profile", "late.csv"]).done();
    project.put("asof.toml", SHOP.replace(r#"ttl = "1d""#, r#"ttl = "1h""#));
    project.run(&["apply"]).done();
    assert!(history(&["--known-at", "before"], "again.parquet") == first, "the snapshot's bytes differ");
    let now = String::from_utf8(history(&[], "now.csv")).unwrap();
    assert!(now.contains("2024-03-11T00:00:00Z,FI,33,\n"), "the new row and the new TTL show: {now}");
    let current = history(&["--known-at", "before", "--definitions", "current"], "current.csv");
    let current = String::from_utf8(current).unwrap();
    assert!(current.contains("2024-03-11T00:00:00Z,SE,32,\n"), "old rows, new TTL: {current}");
}

/// Times that asof prints itself, such as the first one there is, were taken for options.
#[test]
fn a_time_before_1970_can_be_typed_in_microseconds() {
    const FIRST: &str = "-9223372036854775000us";
    let project = Project::shop_with_profiles();
    project.put("old.csv", format!("customer_id,event_timestamp,country,age\n9,{FIRST},NO,1\n"));
    project.run(&["import", "profile", "old.csv"]).done();
    let get = |options: &[&str]| project.get(&[&["--features", "profile:age", "customer_id=9"], options].concat());
    assert_eq!(get(&["--at", FIRST]), [(json!(1), "PRESENT".to_owned())]);
    assert_eq!(get(&["--at", "-9223372036854775001us"])[0].1, "NOT_FOUND");
    project
        .run(&["get", "--features", "profile:age", "customer_id=9", "--known-at", "-1us"])
        .fails(1, &["first applied at seq"]);
    let export = |out: &str, options: &[&str]| {
        let arguments = ["--format", "json", "export", "profile", "--out", out];
        project.run(&[&arguments[..], options].concat()).done().json()["rows"].clone()
    };
    assert_eq!(export("all", &["--from", FIRST]), json!(4));
    assert_eq!(export("old", &["--from", FIRST, "--to", "-1us"]), json!(1));
    assert_eq!(export("new", &["--from", "-1us"]), json!(3));
    project.run(&["delete", "profile", "customer_id=9", "--at", "-1us"]).done();
    assert_eq!(get(&[])[0].1, "NOT_FOUND");
    // What follows is an option still.
    for option in ["--at", "--known-at"] {
        let arguments = ["get", "customer_id=9", option, "--features", "profile:age"];
        project.run(&arguments).fails(2, &["--features", option, "a value is wanted"]);
    }
    for option in ["--from", "--to"] {
        let arguments = ["export", "profile", "--out", "out", option, "--partition-by=date"];
        project.run(&arguments).fails(2, &["--partition-by", option, "a value is wanted"]);
    }
}

#[test]
fn what_is_there_is_shown() {
    let project = Project::shop_with_profiles();
    project.run(&["snapshot", "first"]).done();
    let show = |what: &str| project.run(&["--format", "json", "show", what]).done().json();
    let views = show("views");
    assert_eq!((&views[1]["view"], &views[1]["rows"]), (&json!("profile"), &json!(3)), "{views}");
    assert_eq!(views[1]["event_max"], json!("2024-03-01T00:00:00Z"));
    assert_eq!(show("entities")[0]["join_keys"], json!([{ "name": "customer_id", "dtype": "int64" }]));
    assert_eq!(show("services")[0]["name"], json!("churn"));
    assert_eq!(show("runs")[0]["rows"], json!(3));
    assert_eq!(show("store")["snapshots"], json!(1));
    assert_eq!(show("profile"), views[1]);
    for what in ["views", "entities", "services", "runs", "store", "profile"] {
        for format in ["table", "csv"] {
            assert!(project.run(&["--format", format, "show", what]).done().stdout().lines().count() >= 2, "{what}");
        }
    }
    let table = project.run(&["show"]).done().stdout();
    assert!(table.contains("3 rows up to seq"), "{table}");
    project.put("asof.toml", format!("{SHOP}{REFERRAL}"));
    project.run(&["apply"]).done();
    let table = project.run(&["show", "services"]).done().stdout();
    assert!(table.contains("profile:country as referrer on customer_id = referrer_id"), "{table}");
    let keys = json!([{ "name": "customer_id", "dtype": "int64" }, { "name": "referrer_id", "dtype": "int64" }]);
    let shown = show("referral");
    assert_eq!((&shown["name"], &shown["join_keys"]), (&json!("referral"), &keys), "{shown}");
    let table = project.run(&["show", "referral"]).done().stdout();
    assert!(table.contains("customer_id int64, referrer_id int64"), "{table}");
    project.run(&["show", "profil"]).fails(1, &["profil", "did you mean profile"]);
}

#[test]
fn a_value_is_traced_to_where_it_came_from() {
    let project = Project::shop_with_profiles();
    let explain = |rest: &[&str]| {
        project.run(&[&["--format", "json", "explain", "profile:country"], rest].concat()).done().json()
    };
    let explained = explain(&["customer_id=1", "--at", "2024-02-01T00:00:00Z"]);
    assert_eq!((&explained["value"], &explained["status"]), (&json!("NO"), &json!("PRESENT")), "{explained}");
    assert_eq!(explained["row"]["event_ts"], json!("2024-01-01T00:00:00Z"), "{explained}");
    assert_eq!(explained["row"]["checksum"], json!("good"), "{explained}");
    assert_eq!(explain(&["customer_id=9"])["row"], json!(null));
    let nobody = project.run(&["explain", "profile:country", "customer_id=9"]).done().stdout();
    assert!(nobody.contains("it has no row either") && !nobody.contains("with this row"), "{nobody}");
    let table = project.run(&["explain", "profile:country", "customer_id=1"]).done().stdout();
    assert!(table.contains("history/") && table.contains("SE") && table.contains("good"), "{table}");
}

#[test]
fn an_export_imports_back_into_an_empty_store() {
    let project = Project::shop_with_profiles();
    project.run(&["delete", "profile", "customer_id=1", "--at", "2024-04-01T00:00:00Z"]).done();
    let report = project.run(&["--format", "json", "export", "profile", "--out", "dump"]).done().json();
    assert_eq!((&report["rows"], &report["files"]), (&json!(4), &json!(1)), "{report}");
    let by_date = ["export", "profile", "--out", "days", "--partition-by", "date", "--to", "2024-02-01"];
    project.run(&by_date).done();
    assert!(project.path("days/profile/v1/date=2024-01-01").is_dir());
    assert!(!project.path("days/profile/v1/date=2024-03-01").exists(), "--to cuts");
    let other = Project::shop();
    let dump = project.path("dump/profile/v1");
    other.run(&["import", "profile", dump.to_str().unwrap()]).done();
    let get = |project: &Project, at: &str| {
        project.get(&["--features", "profile:country,profile:age", "customer_id=1", "--at", at])
    };
    for at in ["2024-02-01", "2024-03-02", "2024-05-01"] {
        assert_eq!(get(&project, at), get(&other, at), "as of {at}");
    }
    project.run(&["export", "profile", "--out", "dump"]).fails(3, &["dump/profile/v1"]);
}

#[test]
fn commands_write_through_the_process_that_holds_the_store() {
    let project = Project::shop();
    // Held under a path that means nothing in the command's folder.
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = Path::new(&up).join(project.path("store").strip_prefix("/").unwrap());
    let holder = Store::open(&relative).unwrap();
    project.put("profiles.csv", format!("{PROFILES}4,2024-01-01T00:00:00Z,NO,-1\n"));
    let import = ["--format", "json", "import", "profile", "profiles.csv", "--bad-rows", "quarantine"];
    let report = project.run(&import).done().json();
    assert_eq!((&report[0]["rows_written"], &report[0]["rows_refused"]), (&json!(3), &json!(1)), "{report}");
    let quarantine = project.path(report[0]["quarantine"].as_str().unwrap());
    assert!(std::fs::read_to_string(&quarantine).unwrap().contains("-1"), "{}", quarantine.display());
    assert_eq!(quarantine.parent(), Some(project.path("store/quarantine").as_path()));
    project.run(&["snapshot", "filled"]).done();
    project.run(&["delete", "profile", "customer_id=2"]).done();
    project.put("asof.toml", SHOP.replace("value = \"float64\"", "value = \"float64\"\nitems = \"int32\""));
    project.run(&["apply"]).done();

    let profiles = Features::list(["profile:age"]).unwrap();
    let age =
        |id: i64| holder.get(&profiles, &[("customer_id", id.into())], &GetOptions::default()).unwrap()[0].clone();
    assert_eq!(age(1).value, Value::Int32(32));
    assert_eq!(age(2).status, Status::NotFound);
    assert_eq!(project.get(&["--features", "profile:age", "customer_id=1"]), [present(json!(32))]);
    assert_eq!(holder.views().unwrap()[0].features.len(), 2, "the holder knows the new feature");
    assert_eq!(holder.snapshots().unwrap().len(), 1);
}

#[test]
fn a_new_version_takes_what_it_shares_with_the_older() {
    let project = Project::shop_with_profiles();
    let second = "\n[views.\"profile@2\"]\nentities = [\"customer\"]\n[views.\"profile@2\".features]\ncountry = \"string\"\nage = \"string\"\n";
    project.put(
        "asof.toml",
        format!("{SHOP}{second}")
            .replace("age = \"string\"", "score = \"float64\"")
            .replace("\"profile:country\", \"profile:age\"", "\"profile@1:country\", \"profile@1:age\""),
    );
    project.run(&["apply"]).done();
    let report = project.run(&["--format", "json", "import", "profile@2", "--from-version", "1"]).done().json();
    assert_eq!((&report[0]["rows_written"], &report[0]["ignored"]), (&json!(3), &json!(["age"])), "{report}");
    let answers = project.get(&["--features", "profile@2:country,profile@2:score", "customer_id=1"]);
    assert_eq!(answers, [present(json!("SE")), absent("NULL_VALUE")]);
    // Side by side they are told apart: each as it was written.
    let both = "profile:country,profile@1:country";
    let answers = project.run(&["--format", "json", "get", "--features", both, "customer_id=1"]).done().json();
    assert_eq!((&answers[0]["view"], &answers[1]["view"]), (&json!("profile"), &json!("profile@1")), "{answers}");
    spine(&project, "spine.csv");
    let history = ["history", "--spine", "spine.csv", "--features", both, "--full-names", "--out", "both.csv"];
    project.run(&history).done();
    let joined = std::fs::read_to_string(project.path("both.csv")).unwrap();
    assert!(joined.starts_with("customer_id,event_timestamp,profile__country,profile@1__country\n"), "{joined}");
}

#[test]
fn a_sound_store_passes_its_check_and_a_damaged_one_does_not() {
    let project = Project::shop_with_profiles();
    let report = project.run(&["--format", "json", "check"]).done().json();
    assert_eq!((&report["is_sound"], &report["rows"]), (&json!(true), &json!(3)), "{report}");
    assert!(project.run(&["check"]).done().stdout().starts_with("sound: "));

    let folder = std::fs::read_dir(project.path("store/history")).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let run = files.filter(|path| path.extension().is_some_and(|e| e == "arrow")).max().unwrap();
    let mut bytes = std::fs::read(&run).unwrap();
    let table = std::fs::read_dir(project.path("store/latest")).unwrap().next().unwrap().unwrap();
    let most = bytes.len() as u64 + table.metadata().unwrap().len();
    assert!(report["bytes"].as_u64().unwrap() > most, "of {most} bytes in two files alone: {report}");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&run, bytes).unwrap();
    let ran = project.run(&["--format", "json", "check"]).fails(3, &["damage was found"]);
    let report = ran.json();
    assert_eq!(report["is_sound"], json!(false), "{report}");
    let file = report["problems"][0]["file"].as_str().unwrap();
    assert!(run.ends_with(file), "{report}");
    project.run(&["check"]).fails(3, &["damage was found"]);
}

#[test]
fn bad_rows_are_set_aside_where_that_is_asked_for() {
    let project = Project::shop();
    project.put("profiles.csv", format!("{PROFILES}4,2024-01-01T00:00:00Z,NO,-1\n"));
    let import = ["--format", "json", "import", "profile", "profiles.csv"];
    project.run(&import).fails(1, &["age", "-1", "--bad-rows quarantine"]);
    assert_eq!(project.get(&["--features", "profile:age", "customer_id=1"]), [absent("NOT_FOUND")]);
    let report = project.run(&[&import[..], &["--bad-rows", "quarantine"]].concat()).done().json();
    assert_eq!(report[0]["rows_written"], json!(3), "{report}");
    assert_eq!(report[0]["rows_refused"], json!(1), "{report}");
    let quarantine = std::fs::read_to_string(project.path(report[0]["quarantine"].as_str().unwrap())).unwrap();
    let line: serde_json::Value = serde_json::from_str(&quarantine).unwrap();
    assert_eq!((&line["file"], &line["row"]), (&json!("profiles.csv"), &json!(4)), "{line}");
    assert!(line["reason"].as_str().unwrap().contains("age") && line["values"]["age"] == json!(-1), "{line}");
    assert_eq!(project.get(&["--features", "profile:age", "customer_id=1"]), [present(json!(32))]);
}

#[test]
fn a_file_imported_twice_adds_nothing_and_one_that_grew_what_it_gained() {
    let project = Project::shop_with_profiles();
    let import = |rest: &[&str]| {
        let arguments = [&["--format", "json", "import", "profile", "profiles.csv"], rest].concat();
        project.run(&arguments).done().json()[0].clone()
    };
    let again = import(&[]);
    assert_eq!((&again["rows_written"], &again["files"][0]["was_imported"]), (&json!(0), &json!(true)), "{again}");
    project.put("profiles.csv", format!("{PROFILES}5,2024-01-01T00:00:00Z,DK,40\n"));
    let grown = import(&[]);
    assert_eq!((&grown["rows_written"], &grown["rows_skipped"]), (&json!(1), &json!(3)), "{grown}");
    assert_eq!(import(&["--append"])["rows_written"], json!(4));
}

#[test]
fn the_sources_that_views_name_are_imported_at_once() {
    let source = "source = { path = \"profiles.csv\" }\n[views.profile.features]";
    let project = Project::defined(&SHOP.replace("[views.profile.features]", source));
    project.put(
        "profiles.csv",
        PROFILES
            .replace("age\n", "age,extra\n")
            .replace("31\n", "31,x\n")
            .replace("32\n", "32,\n")
            .replace(",,\n", ",,,\n"),
    );
    project.run(&["apply"]).done();
    let told = project.run(&["import", "--all"]).done().stdout();
    assert!(told.contains("profiles.csv") && told.contains("extra: ignored"), "{told}");
    // From elsewhere, the path is still that of the project.
    let elsewhere = Project::empty();
    let dir = project.dir.to_str().unwrap();
    let report = elsewhere.run(&["--project", dir, "--format", "json", "import", "--all"]).done().json();
    assert_eq!(report[0]["files"][0]["was_imported"], json!(true), "{report}");
    Project::shop().run(&["import", "--all"]).fails(1, &["no view names a source"]);
}

#[test]
fn what_an_import_of_all_views_did_is_told_when_one_of_them_fails() {
    let sources = SHOP
        .replace("[views.profile.features]", "source = { path = \"profiles.csv\" }\n[views.profile.features]")
        .replace("[views.basket.features]", "source = { path = \"baskets.csv\" }\n[views.basket.features]");
    let project = Project::defined(&sources);
    project.put("baskets.csv", "customer_id,event_timestamp,value\n1,2024-03-10T12:00:00Z,9.5\n");
    project.run(&["apply"]).done();
    let value = || project.get(&["--features", "basket:value", "customer_id=1", "--at", "2024-03-10T13:00:00Z"]);
    // A file that is not there is found before anything is imported.
    let ran = project.run(&["import", "--all"]).fails(1, &["view profile", "profiles.csv", "no such file"]);
    assert_eq!((ran.stdout(), value()), (String::new(), vec![absent("NOT_FOUND")]));
    project.put("profiles.csv", PROFILES.replace("32", "old"));
    let ran = project.run(&["--format", "json", "import", "--all"]).fails(1, &["view profile", "old"]);
    assert_eq!(ran.stderr().matches("view profile").count(), 1, "{}", ran.stderr());
    let done = ran.json();
    assert_eq!(done.as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!((&done[0]["view"], &done[0]["rows_written"]), (&json!("basket"), &json!(1)), "{done}");
    assert_eq!(value(), [present(json!(9.5))]);
}

#[test]
fn a_folder_of_files_has_a_total_and_a_view_without_keys_a_sentence() {
    let project = Project::defined(&format!("{SHOP}[views.rates]\nentities = []\nfeatures.dollar = \"float64\"\n"));
    project.run(&["apply"]).done();
    std::fs::create_dir(project.path("days")).unwrap();
    for day in 1..=3 {
        project.put(
            &format!("days/{day}.csv"),
            format!("event_timestamp,dollar\n2024-01-0{day},0.9\n2024-01-0{day},0.9\n"),
        );
    }
    let told = project.run(&["import", "rates", "days"]).done().stdout();
    assert!(told.contains("rates: 3 files, 6 rows read, 6 written, 0 skipped, 0 refused"), "{told}");
    let told = project.run(&["delete", "rates"]).done().stdout();
    assert!(told.starts_with("deleted rates at seq "), "{told}");
}

#[test]
fn times_in_seconds_are_read_where_the_source_says_so() {
    let source = "source = { timestamp_format = \"%s\" }\n[views.profile.features]";
    let project = Project::defined(&SHOP.replace("[views.profile.features]", source));
    project.run(&["apply"]).done();
    project.put("seconds.csv", "customer_id,event_timestamp,country,age\n1,1704067200,NO,31\n");
    project.run(&["import", "profile", "seconds.csv"]).done();
    let told = project.run(&["--format", "csv", "get", "--features", "profile:country", "customer_id=1"]).done();
    assert!(told.stdout().ends_with("PRESENT,2024-01-01T00:00:00Z\n"), "{}", told.stdout());
}

#[test]
fn every_command_has_help_with_an_example_and_every_shell_its_completions() {
    let project = Project::empty();
    let help = project.run(&["--help"]).done().stdout();
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = names
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|n| *n != "help")
        .collect();
    assert!(names.len() >= 8, "{help}");
    for name in names {
        let help = project.run(&[name, "--help"]).done().stdout();
        assert!(
            help.contains("Example") || help.contains("Exit status"),
            "asof {name} --help shows no example:\n{help}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(project.run(&["completions", shell]).done().stdout().contains("history"), "{shell}");
    }
}

#[test]
fn one_answer_prints_as_table_json_and_csv() {
    let project = Project::shop_with_profiles();
    let get = |format: &str| {
        let arguments = ["--format", format, "get", "--features", "profile:country", "customer_id=1"];
        project.run(&arguments).done().stdout()
    };
    assert_eq!(
        get("csv"),
        "view,feature,dtype,value,status,event_timestamp\nprofile,country,string,SE,PRESENT,2024-03-01T00:00:00Z\n"
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&get("json")).unwrap(),
        json!([{
            "view": "profile", "feature": "country", "dtype": "string", "value": "SE", "status": "PRESENT",
            "event_timestamp": "2024-03-01T00:00:00Z"
        }])
    );
    assert!(get("table").lines().count() == 2, "{}", get("table"));
}

#[test]
fn a_document_is_shown_as_it_was_written() {
    let project = Project::defined(DOCUMENTS);
    project.run(&["apply"]).done();
    // Digits that no float64 has, members out of order, one of them twice; and a document as deep as they go.
    let basket = r#"{"z":12345678901234567890123,"y":1.10,"y":2}"#;
    let deep = format!("{}7{}", "[".repeat(100), "]".repeat(100));
    let row = |id: u32, basket: &str| {
        format!(
            r#"{{"customer_id":{id},"event_timestamp":"2024-01-01T00:00:00Z","basket":{basket},"seen":[{basket},null]}}"#
        )
    };
    project.put("profile.jsonl", format!("{}\n{}\n", row(1, basket), row(2, &deep)));
    project.run(&["import", "profile", "profile.jsonl"]).done();
    for (id, document) in [("customer_id=1", basket), ("customer_id=2", deep.as_str())] {
        let get = |format: &str| {
            let features = "profile:basket,profile:seen";
            project.run(&["--format", format, "get", "--features", features, id]).done().stdout()
        };
        let list = format!("[{document},null]");
        for whole in [document, &list] {
            assert!(get("json").contains(&format!("\"value\": {whole},\n")), "{}", get("json"));
            let field = format!("\"{}\"", whole.replace('"', "\"\""));
            let is_quoted = whole.contains([',', '"']);
            assert!(
                get("csv").contains(&format!(",{},PRESENT", if is_quoted { &field } else { whole })),
                "{}",
                get("csv")
            );
        }
        let explain = project.run(&["--format", "json", "explain", "profile:basket", id]).done().stdout();
        assert!(explain.contains(&format!("\"value\": {document},\n")), "{explain}");
    }
    assert!(project.run(&["get", "--features", "profile:basket", "customer_id=1"]).done().stdout().contains(basket));
    project.put("deeper.jsonl", row(3, &format!("[{deep}]")));
    let told = ["line 1: column basket: wants json, got '[[[", ": nests more than 100 deep"];
    project.run(&["import", "profile", "deeper.jsonl"]).fails(1, &told);
}

/// A document that is a text lost its quotes, one that is null was no value at all.
#[test]
fn a_document_that_is_a_text_or_null_is_the_same_field_in_get_and_in_history() {
    let project = Project::defined(DOCUMENTS);
    project.run(&["apply"]).done();
    let documents = [r#""5""#, "5", "null", r#""""#, "true", ""];
    let field = |document: &str| match document.contains('"') {
        true => format!("\"{}\"", document.replace('"', "\"\"")),
        false => document.to_owned(),
    };
    let rows = |what: &dyn Fn(usize, &str) -> String| -> String {
        documents.iter().enumerate().map(|(id, document)| what(id, &field(document)) + "\n").collect()
    };
    let time = "2024-01-01T00:00:00Z";
    let head = "customer_id,event_timestamp";
    project.put("p.csv", format!("{head},basket,seen\n{}", rows(&|id, field| format!("{id},{time},{field},[]"))));
    project.run(&["import", "profile", "p.csv"]).done();
    project.put("spine.csv", format!("{head}\n{}", rows(&|id, _| format!("{id},{time}"))));
    project.run(&["history", "--spine", "spine.csv", "--features", "profile:basket", "--out", "t.csv"]).done();
    let joined = std::fs::read_to_string(project.path("t.csv")).unwrap();
    assert!(joined.ends_with(&rows(&|id, field| format!("{id},{time},{field}"))), "{joined}");
    for (id, document) in documents.iter().enumerate() {
        let id = format!("customer_id={id}");
        let run = |arguments: &[&str]| project.run(&[arguments, &[&id]].concat()).done().stdout();
        let get = run(&["--format", "csv", "get", "--features", "profile:basket"]);
        let status = if document.is_empty() { "NULL_VALUE" } else { "PRESENT" };
        assert!(get.contains(&format!(",json,{},{status},", field(document))), "{get}");
        let explain = run(&["--format", "csv", "explain", "profile:basket"]);
        assert!(explain.contains(&format!("\nvalue,{}\n", field(document))), "{explain}");
        let table = run(&["get", "--features", "profile:basket"]);
        assert!(table.contains(&format!("json   {document}")), "{table}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let project = Project::shop_with_profiles();
    for arguments in [&["completions", "bash"][..], &["get", "--service", "churn", "customer_id=1"]] {
        project.run_unread(arguments).done();
    }
}

#[test]
fn a_change_whose_report_cannot_be_written_is_said_to_be_made() {
    let project = Project::shop_with_profiles();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = project.command(&["snapshot", "kept"]).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output") && said.contains("stays changed, its report alone is missing"), "{said}");
    assert!(project.run(&["snapshot", "list"]).done().stdout().contains("kept"), "the snapshot is there");
}

/// They ended with status 0 and no word, as whoever had read enough does.
#[test]
fn a_failure_is_one_also_where_its_reader_went_away() {
    let project = Project::shop_with_profiles();
    project.put("asof.toml", SHOP.replace("country = \"string\"", "country = \"int64\""));
    for arguments in [&["apply", "--dry-run"][..], &["apply"]] {
        project.run_unread(arguments).fails(3, &["nothing is applied: a change is refused"]);
    }
    for segment in std::fs::read_dir(project.path("store/log")).unwrap() {
        std::fs::remove_file(segment.unwrap().path()).unwrap();
    }
    project.run_unread(&["check"]).fails(3, &["damage was found"]);

    let sources = SHOP
        .replace("[views.profile.features]", "source = { path = \"profiles.csv\" }\n[views.profile.features]")
        .replace("[views.basket.features]", "source = { path = \"baskets.csv\" }\n[views.basket.features]");
    let project = Project::defined(&sources);
    project.put("baskets.csv", "customer_id,event_timestamp,value\n1,2024-03-10T12:00:00Z,9.5\n");
    project.put("profiles.csv", PROFILES.replace("32", "old"));
    project.run(&["apply"]).done();
    project.run_unread(&["import", "--all"]).fails(1, &["view profile", "old"]);
}

#[test]
fn a_log_that_is_gone_is_missed_by_a_check_and_by_who_reads_it() {
    // All rows are in a run: nothing is read of the log, and the next writer goes on in it.
    let project = Project::shop_with_profiles();
    let check = project.run(&["--format", "json", "check"]).done().json();
    assert_eq!(check["latest_compared"], json!(2), "customers, however many runs they are in: {check}");
    let segments = || std::fs::read_dir(project.path("store/log")).unwrap().map(|entry| entry.unwrap().path());
    for segment in segments() {
        std::fs::remove_file(segment).unwrap();
    }
    let check = project.run(&["check"]).fails(3, &["damage was found"]).stdout();
    assert!(check.contains("log segment is missing") && check.contains("copy of the store"), "{check}");
    // With a row in it.
    let project = Project::shop_with_profiles();
    project.run(&["delete", "profile", "customer_id=1", "--at", "2024-04-01T00:00:00Z"]).done();
    std::fs::remove_dir_all(project.path("store/log")).unwrap();
    for command in [&["show"][..], &["get", "--features", "profile:country", "customer_id=1"]] {
        project.run(command).fails(3, &["missing", "copy of the store"]);
    }
    assert!(project.run(&["check"]).fails(3, &[]).stdout().contains("copy of the store"));
}
