//! Exports that come back: into the view they are of, into another, through a training set.

use serde_json::json;

use crate::support::Project;

const VIEWS: &str = r#"
[project]
name = "back"

[entities.u]
join_keys = { id = "int64" }

[views.labels]
entities = ["u"]
features = { x = "int64" }

[views.scores]
entities = ["u"]
features = { score = "int64" }

[views.of_a_join]
entities = ["u"]
source = { event_timestamp = "event_timestamp", rename = { scores__score = "x" } }
features = { x = "int64" }

[views.of_another]
entities = ["u"]
source = { event_timestamp = "event_timestamp", rename = { x = "y" } }
features = { y = "int64" }
"#;

#[test]
fn an_export_goes_by_the_names_of_its_own_view_and_of_no_other() {
    let project = Project::defined(VIEWS);
    project.run(&["apply"]).done();
    project.put("labels.csv", "id,event_timestamp,x\n1,2020-01-02,7\n");
    project.put("scores.csv", "id,event_timestamp,score\n1,2020-01-01,500\n");
    project.run(&["import", "labels", "labels.csv"]).done();
    project.run(&["import", "scores", "scores.csv"]).done();
    project.run(&["export", "labels", "--out", "out"]).done();
    project.run(&["import", "of_another", "out/labels/v1"]).done();
    assert_eq!(project.get(&["--features", "of_another:y", "id=1"])[0].0, json!(7));
    // What asof says of an export it does not say of a training set that was made from one: it has other columns.
    for (name, expected) in [("training.parquet", 500), ("training.csv", 500)] {
        let history =
            ["history", "--spine", "out/labels/v1", "--features", "scores:score", "--full-names", "--out", name];
        project.run(&history).done();
        project.run(&["import", "of_a_join", name, "--append"]).done();
        assert_eq!(project.get(&["--features", "of_a_join:x", "id=1"])[0].0, json!(expected), "{name}");
    }
}

#[test]
fn deletes_that_came_with_a_version_without_created_timestamps_are_exported_and_imported_back() {
    let first = "[project]\nname = \"t\"\n[entities.u]\njoin_keys = { id = \"int64\" }\n\
                 [views.v]\nentities = [\"u\"]\nfeatures = { x = \"int64\" }\n";
    let second = "[views.\"v@2\"]\nentities = [\"u\"]\nfeatures = { x = \"int64\" }\n\
                  source = { event_timestamp = \"event_timestamp\", created_timestamp = \"recorded\" }\n";
    let project = Project::defined(first);
    project.run(&["apply"]).done();
    project.put("v.csv", "id,event_timestamp,x\n1,2020-01-01,1\n2,2020-01-01,2\n");
    project.run(&["import", "v", "v.csv"]).done();
    project.run(&["delete", "v", "id=1", "--at", "2020-01-01"]).done();
    project.put("asof.toml", format!("{first}{second}"));
    project.run(&["apply"]).done();
    project.run(&["import", "v@2", "--from-version", "1"]).done();
    project.run(&["export", "v@2", "--out", "out"]).done();
    let import = |project: &Project, from: &str| {
        project.run(&["--format", "json", "import", "v@2", from]).done().json()[0]["rows_written"].clone()
    };
    assert_eq!(import(&project, "out/v/v2"), json!(0), "it has them all");
    let other = Project::defined(&format!("{first}{second}"));
    other.run(&["apply"]).done();
    assert_eq!(import(&other, project.path("out/v/v2").to_str().unwrap()), json!(3));
    assert_eq!(other.get(&["--features", "v@2:x", "id=1"])[0].1, "NOT_FOUND");
    assert_eq!(other.get(&["--features", "v@2:x", "id=2"])[0].0, json!(2));
    // Of a file that is no export nobody knows that it will say the same again.
    project.put("undated.csv", "id,event_timestamp,recorded,x,_deleted\n2,2020-01-03,,,true\n");
    project.run(&["import", "v@2", "undated.csv"]).fails(1, &["a delete needs a created timestamp"]);
}

#[test]
fn a_feature_that_came_after_a_snapshot_is_told_with_its_seq_and_a_way() {
    let definitions = |features: &str| {
        format!(
            "[project]\nname = \"t\"\n[entities.u]\njoin_keys = {{ id = \"int64\" }}\n\
             [views.v]\nentities = [\"u\"]\nfeatures = {{ {features} }}\n"
        )
    };
    let project = Project::defined(&definitions("x = \"int64\""));
    project.run(&["apply"]).done();
    project.run(&["snapshot", "s"]).done();
    project.put("asof.toml", definitions("x = \"int64\", extra = \"int64\""));
    project.run(&["apply"]).done();
    let get = ["get", "--features", "v:extra", "--known-at", "s", "id=1"];
    project.run(&get).fails(1, &["feature v:extra was first applied at seq 2, after seq 1", "--definitions current"]);
    project.run(&[&get[..], &["--definitions", "current"]].concat()).done();
    project.run(&["get", "--features", "v:extra", "--known-at", "2", "id=1"]).done();
}

#[test]
fn an_export_of_no_rows_comes_back_as_none() {
    let project = Project::defined(VIEWS);
    project.run(&["apply"]).done();
    project.put("labels.csv", "id,event_timestamp,x\n1,2020-01-02,7\n");
    project.run(&["import", "labels", "labels.csv"]).done();
    let window = ["--from", "2021-01-01", "--to", "2021-02-01"];
    for (view, out, window) in [("scores", "a", &[][..]), ("labels", "b", &window)] {
        for partition in [&[][..], &["--partition-by", "date"]] {
            let out = format!("{out}{}", partition.len());
            let export = ["--format", "json", "export", view, "--out", &out];
            let exported = project.run(&[&export, partition, window].concat()).done().json();
            assert_eq!((&exported["rows"], &exported["files"]), (&json!(0), &json!(1)), "{out}: {exported}");
            let folder = format!("{out}/{view}/v1");
            let imported = project.run(&["--format", "json", "import", view, &folder]).done().json();
            assert_eq!(imported[0]["rows_read"], json!(0), "{out}");
        }
    }
}
