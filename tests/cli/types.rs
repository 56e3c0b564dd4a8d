//! Types that differ and go together: join keys of one column, features of two versions.

use serde_json::json;

use crate::support::Project;

/// It could be applied and joined, and every `get` failed.
#[test]
fn join_keys_of_several_types_are_one_column_to_get_to_history_and_to_apply() {
    let project = Project::defined(
        "[project]\nname = \"p\"\n\
         [entities]\nsmall.join_keys = { id = \"int32\" }\nlarge.join_keys = { id = \"int64\" }\n\
         token.join_keys = { t = \"uuid\" }\nword.join_keys = { t = \"string\" }\n\
         [views]\na = { entities = [\"small\", \"token\"], features.x = \"int64\" }\n\
         b = { entities = [\"large\", \"word\"], features.y = \"int64\" }\n\
         [services]\nab.features = [\"a:x\", \"b:y\"]\nba.features = [\"b:y\", \"a:x\"]\n",
    );
    project.run(&["apply"]).done();
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let head = "id,t,event_timestamp";
    project.put("a.csv", format!("{head},x\n1,{uuid},2024-01-01T00:00:00Z,5\n"));
    project.put(
        "b.csv",
        format!("{head},y\n1,{uuid},2024-01-01T00:00:00Z,7\n5000000000,{uuid},2024-01-01T00:00:00Z,8\n1,none,2024-01-01T00:00:00Z,9\n"),
    );
    project.run(&["import", "a", "a.csv"]).done();
    project.run(&["import", "b", "b.csv"]).done();
    let time = "2024-02-01T00:00:00Z";
    let asked = [("1", uuid, "5", "7"), ("5000000000", uuid, "", "8"), ("1", "none", "", "9"), ("-2", "", "", "")];
    let spine: String = asked.iter().map(|(id, t, ..)| format!("{id},\"{t}\",{time}\n")).collect();
    project.put("spine.csv", format!("{head}\n{spine}"));
    for service in ["ab", "ba"] {
        let out = format!("{service}.csv");
        project.run(&["history", "--spine", "spine.csv", "--service", service, "--out", &out]).done();
        let joined = std::fs::read_to_string(project.path(&out)).unwrap();
        for ((id, t, x, y), line) in asked.iter().zip(joined.lines().skip(1)) {
            let [first, second] = if service == "ab" { [x, y] } else { [y, x] };
            assert!(line.ends_with(&format!("{time},{first},{second}")), "{joined}");
            let (id, t) = (format!("id={id}"), format!("t={t}"));
            let now = ["--service", service, &id, &t];
            for arguments in [&now[..], &[&now[..], &["--at", time]].concat()] {
                let answers = project.get(arguments).into_iter();
                let answers: Vec<String> =
                    answers.map(|(value, _)| if value.is_null() { String::new() } else { value.to_string() }).collect();
                assert_eq!(answers, [first.to_owned(), second.to_owned()], "{arguments:?}");
            }
        }
        let keys = project.run(&["--format", "json", "show", service]).done().json()["join_keys"].clone();
        assert_eq!(keys, json!([{ "name": "id", "dtype": "int64" }, { "name": "t", "dtype": "string" }]));
    }
    // A number too large for the one column is none of its keys either where no other view asks for it.
    let token = format!("t={uuid}");
    let alone = project.get(&["--features", "a:x", "id=5000000000", &token]);
    assert_eq!(alone, [(json!(null), "NOT_FOUND".to_owned())]);
    project.run(&["explain", "a:x", "id=5000000000", &token]).fails(1, &["wants int32, got '5000000000'"]);
    // What no column can hold stays a mistake.
    let get = ["get", "--features", "a:x", "id=x", "t=x"];
    project.run(&get).fails(1, &["join key id", "int32"]);
}

/// One retyped feature failed the whole copy, with the number of a row that nobody could find.
#[test]
fn a_retyped_feature_is_copied_where_each_of_its_values_converts() {
    let definitions = |second: &str| {
        format!(
            "[project]\nname = \"p\"\n[entities]\nc.join_keys = {{ id = \"int64\" }}\nd.join_keys = {{ id = \"string\" }}\n\
             [views.v]\nentities = [\"c\"]\n[views.v.features]\na = \"int64\"\nb = \"string\"\nc = \"float64\"\n\
             d = \"timestamp\"\ne = \"decimal(9,2)\"\n{second}"
        )
    };
    let project = Project::defined(&definitions(""));
    project.run(&["apply"]).done();
    let rows = "id,event_timestamp,a,b,c,d,e\n\
                1,2024-01-01T00:00:00Z,9007199254740993,7,2.0,2024-01-01T00:00:00Z,1.50\n2,2024-01-01T00:00:00Z,,,,,\n";
    project.put("v.csv", rows);
    project.run(&["import", "v", "v.csv"]).done();
    let version = |number: u32, entity: &str, features: &str| {
        format!("[views.\"v@{number}\"]\nentities = [\"{entity}\"]\nfeatures = {{ {features} }}\n")
    };
    let second = version(2, "c", r#"a = "string", b = "int64", c = "int32", d = "string", e = "float64""#);
    let third = version(3, "c", r#"a = "int64", b = "bytes""#);
    let fourth = version(4, "d", r#"a = "int64""#);
    let fifth = "[views.\"v@5\"]\nentities = []\nfeatures = { a = \"int64\" }\n";
    project.put("asof.toml", definitions(&(second + &third + &fourth + fifth)));
    project.run(&["apply"]).done();
    project.run(&["import", "v@2", "--from-version", "1"]).done();
    let values = |id: &str| -> Vec<serde_json::Value> {
        project.get(&["--features", "v@2:*", id]).into_iter().map(|(value, _)| value).collect()
    };
    let wanted = [json!("9007199254740993"), json!(7), json!(2), json!("2024-01-01T00:00:00Z"), json!(1.5)];
    assert_eq!(values("id=1"), wanted);
    assert!(values("id=2").iter().all(serde_json::Value::is_null));
    // Bytes have no text, and keys that were told apart might become one.
    let way_out = "asof export v@1";
    let copy = |to: &str| project.run(&["import", to, "--from-version", "1"]);
    copy("v@3").fails(3, &["feature b is string in v@1 and bytes in v@3", way_out]);
    copy("v@4").fails(3, &["id is int64 in v@1 and string in v@4", way_out]);
    copy("v@5").fails(3, &["v@1 tells its rows apart by id, and v@5 does not", way_out]);
    // A row that cannot be copied is told by its key and time, and nothing is.
    project.put("w.csv", "id,event_timestamp,a,b,c,d,e\n3,2024-01-02T00:00:00Z,,x,,,\n4,2024-01-02T00:00:00Z,,8,,,\n");
    project.run(&["import", "v@1", "w.csv"]).done();
    copy("v@2").fails(1, &["view v@1: id=3 at 2024-01-02T00:00:00Z: b: wants int64, got 'x'", way_out]);
    assert_eq!(project.get(&["--features", "v@2:b", "id=4"]), [(json!(null), "NOT_FOUND".to_owned())]);
}

#[test]
fn a_join_key_that_a_view_cannot_have_matches_nothing_in_a_text_spine_too() {
    let project = Project::defined(
        "[project]\nname = \"p\"\n[entities.e]\njoin_keys = { id = \"int32\", t = \"uuid\" }\n\
         [views.v]\nentities = [\"e\"]\nfeatures = { x = \"int64\" }\n",
    );
    project.run(&["apply"]).done();
    let t = "01234567-89ab-cdef-0123-456789abcdef";
    project.put("v.csv", format!("id,t,event_timestamp,x\n1,{t},2024-01-01T00:00:00Z,5\n"));
    project.run(&["import", "v", "v.csv"]).done();
    let spine = [("1", t), ("3000000000", t), ("1", "none")];
    let lines: String = spine.iter().map(|(id, t)| format!("{id},{t},2024-02-01T00:00:00Z\n")).collect();
    project.put("spine.csv", format!("id,t,event_timestamp\n{lines}"));
    let line = |(id, t)| format!("{{\"id\":{id},\"t\":\"{t}\",\"event_timestamp\":\"2024-02-01\"}}\n");
    project.put("spine.jsonl", spine.map(line).concat());
    for spine in ["spine.csv", "spine.jsonl"] {
        project.run(&["history", "--spine", spine, "--features", "v:x", "--out", "out.csv"]).done();
        let out = std::fs::read_to_string(project.path("out.csv")).unwrap();
        let last: Vec<&str> = out.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(last, ["5", "", ""], "{spine}");
        std::fs::remove_file(project.path("out.csv")).unwrap();
    }
}

/// The file alone was asked for the version, which the store had.
#[test]
fn a_service_pins_a_version_that_the_store_keeps_and_prune_spares_it() {
    let head = "[project]\nname = \"p\"\n[entities.e]\njoin_keys = { id = \"int64\" }\n";
    let view =
        |name: &str, dtype: &str| format!("[views.\"{name}\"]\nentities = [\"e\"]\nfeatures = {{ x = \"{dtype}\" }}\n");
    let project = Project::defined(&format!("{head}{}{}", view("v@1", "int64"), view("v@2", "string")));
    project.run(&["apply"]).done();
    project.put("v.csv", "id,event_timestamp,x\n1,2024-01-01T00:00:00Z,5\n");
    project.run(&["import", "v@1", "v.csv"]).done();
    let pin = "[services.pin]\nfeatures = [\"v@1:x\"]\n";
    project.put("asof.toml", format!("{head}{}{pin}", view("v@2", "string")));
    project.run(&["apply"]).done();
    assert_eq!(project.get(&["--service", "pin", "id=1"])[0].0, 5);
    for prune in [&["apply", "--prune"][..], &["apply", "--prune", "--dry-run"]] {
        let said = project.run(prune).fails(3, &["a change is refused"]).stdout();
        assert!(said.contains("refused view v: pinned by service pin; keep [views.v] in the file"), "{said}");
    }
    assert_eq!(project.get(&["--service", "pin", "id=1"])[0].0, 5);
    project.put("asof.toml", format!("{head}{}{}", view("v@2", "string"), pin.replace("v@1", "v@3")));
    let said = project.run(&["apply"]).fails(3, &["a change is refused"]).stdout();
    assert!(said.contains("it selects v@3, which is not defined; v has version 1, 2"), "{said}");
}
