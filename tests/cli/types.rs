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
    // What no column can hold stays a mistake.
    let get = ["get", "--features", "a:x", "id=x", "t=x"];
    project.run(&get).fails(1, &["join key id", "int32"]);
}
