//! Columns that go by other names than the view's.

use crate::support::{Project, SHOP};

/// What `text` in `file` is refused with, whatever is done with bad rows: the file as a whole is at fault.
fn refuses(file: &str, text: &str, texts: &[&str]) {
    let project = Project::shop();
    project.put(file, text);
    let before = project.contents();
    for bad_rows in ["fail", "quarantine"] {
        project.run(&["import", "profile", file, "--bad-rows", bad_rows]).fails(1, texts);
        assert!(project.contents() == before, "{file}: the store changed");
    }
}

/// Misspelt names were nulls in a JSON Lines file, and nothing said more of them than that they were ignored.
#[test]
fn misspelt_names_are_found_out_in_every_format() {
    let row = r#"{"customer_id":1,"ts":"2024-01-01T00:00:00Z","Country":"NO","AGE":31}"#;
    for (file, text) in [
        ("p.jsonl", row.to_owned()),
        ("p.csv", "customer_id,ts,Country,AGE\n1,2024-01-01T00:00:00Z,NO,31\n".to_owned()),
    ] {
        let mapping = "source = { event_timestamp = \"ts\", rename = { Country = \"country\", AGE = \"age\" } }";
        let missing = "missing columns: event_timestamp, country, age";
        refuses(file, &text, &["profile", missing, mapping, "customer_id, ts, Country, AGE"]);
        // What is told to do does it.
        let features = "[views.profile.features]";
        let project = Project::defined(&SHOP.replace(features, &format!("{mapping}\n{features}")));
        project.run(&["apply"]).done();
        project.put(file, &text);
        project.run(&["import", "profile", file]).done();
        assert_eq!(project.get(&["--features", "profile:country", "customer_id=1"])[0].0, "NO");
    }
    // A time that is called like no time.
    let text = "customer_id,foo,country,age\n1,2024-01-01T00:00:00Z,NO,31\n";
    refuses("p.csv", text, &["missing column: event_timestamp", "source = { event_timestamp = \"...\" } in the view"]);
    // One feature by its own name, the other all but.
    let row = r#"{"customer_id":1,"event_timestamp":"2024-01-01","age":31,"cuontry":"NO"}"#;
    refuses("p.jsonl", row, &["missing column: country", "rename = { cuontry = \"country\" }", "\"country\": null"]);
    // None of them at all, and nothing like them.
    let row = r#"{"customer_id":1,"event_timestamp":"2024-01-01","land":"NO"}"#;
    refuses("p.jsonl", row, &["missing columns: country, age", "\"country\": null"]);
    // What is null need not be written, and a delete has no features.
    let project = Project::shop();
    let rows = [
        r#"{"customer_id":1,"event_timestamp":"2024-01-01","age":31,"land":"NO","country2":"SE"}"#,
        r#"{"customer_id":2,"event_timestamp":"2024-01-01","_deleted":true}"#,
    ];
    for (file, row) in ["p.jsonl", "q.jsonl"].iter().zip(rows) {
        project.put(file, row);
        project.run(&["import", "profile", file]).done();
    }
    assert_eq!(project.get(&["--features", "profile:age", "customer_id=1"])[0].0, 31);
}

/// The whole header was told to be the time: its name has one's in it.
#[test]
fn a_delimiter_is_told_of_where_the_header_has_another_than_was_read_with() {
    for (delimiter, spelt) in [(";", ";"), ("|", "|"), ("\t", "\\t")] {
        let row = "customer_id,event_timestamp,country,age\n1,2024-01-01T00:00:00Z,NO,31\n".replace(',', delimiter);
        let mapping = format!("source = {{ delimiter = \"{spelt}\" }}");
        refuses("p.csv", &row, &["missing columns: customer_id, ", &format!("did you mean {mapping} in the view?")]);
        // What is told to do does it; commas are then another delimiter.
        let features = "[views.profile.features]";
        let project = Project::defined(&SHOP.replace(features, &format!("{mapping}\n{features}")));
        project.run(&["apply"]).done();
        project.put("p.csv", &row);
        project.run(&["import", "profile", "p.csv"]).done();
        project.put("q.csv", row.replace(delimiter, ","));
        project.run(&["import", "profile", "q.csv"]).fails(1, &["did you mean source = { delimiter = \",\" }"]);
    }
    refuses("p.csv", "Customer_ID;ts\n1;2024-01-01T00:00:00Z\n", &["did you mean source = { delimiter = \";\" }"]);
    // A comma in a name, and names in quotes.
    let header = "customer_id;event_timestamp;age;note, more\n1;2024-01-01T00:00:00Z;31;a, b\n";
    refuses("p.csv", header, &["missing columns: ", "did you mean source = { delimiter = \";\" } in the view?"]);
    for (delimiter, spelt) in [(";", ";"), ("|", "|"), ("\t", "\\t")] {
        let header = "\"customer_id\";\"event_timestamp\";\"age\"\n1;2024-01-01T00:00:00Z;31\n".replace(';', delimiter);
        let said = format!("delimiter = \"{spelt}\"");
        refuses("p.csv", &header, &["line 1: text after the closing quote of field 1", &said]);
    }
    // A sign in a name delimits nothing, and a name that holds others is none of them.
    refuses("p.csv", "a;b\n1\n", &["source = { event_timestamp = \"...\" } in the view says"]);
    let header = "customer_id,country,age,event_timestamp|kind\n1,NO,31,2024-01-01T00:00:00Z\n";
    refuses(
        "p.csv",
        header,
        &["missing column: event_timestamp; source = { event_timestamp = \"...\" } in the view says"],
    );
    // JSON Lines have no delimiter.
    let project = Project::shop();
    project.put("p.jsonl", "{\"customer_id|event_timestamp|age\":1}\n");
    let told = project.run(&["import", "profile", "p.jsonl"]).fails(1, &["missing columns: customer_id, "]).stderr();
    assert!(!told.contains("delimiter") && !told.contains("did you mean"), "{told}");
}

/// Of very many keys far down a file a hundred were named, as if they were all.
#[test]
fn keys_that_are_not_named_are_spoken_of() {
    let row = |rest: &str| format!("{{\"customer_id\":1,\"event_timestamp\":\"2024-01-01\",\"age\":31{rest}}}\n");
    for (count, has_more) in [(100, false), (101, true)] {
        let late: String = (0..count).map(|id| format!(",\"k{id}\":1")).collect();
        let project = Project::shop();
        project.put("p.jsonl", row("").repeat(10_000) + &row(&late));
        let told = project.run(&["import", "profile", "p.jsonl"]).done().stdout();
        let end = if has_more { "k98, k99 and more: ignored" } else { "k98, k99: ignored" };
        assert!(told.contains(end), "{told}");
        let json = project.run(&["--format", "json", "import", "profile", "p.jsonl", "--append"]).done().json();
        assert_eq!(json[0]["ignored"].as_array().unwrap().len(), 100);
        assert_eq!(json[0]["ignored_more"], has_more, "{json}");
    }
}

/// One letter stood for any other, and capitals for other letters: what was told to do loaded other columns.
#[test]
fn a_rename_is_told_of_where_a_name_is_the_same_in_capitals_and_not_where_it_is_another() {
    let told = |features: &[&str], header: &str| -> String {
        let features: Vec<String> = features.iter().map(|name| format!("{name} = \"float64\"")).collect();
        let project = Project::defined(&format!(
            "[project]\nname = \"p\"\n[entities.e]\njoin_keys = {{ id = \"int64\" }}\n\
             [views.v]\nentities = [\"e\"]\nsource = {{ event_timestamp = \"ts\" }}\nfeatures = {{ {} }}\n",
            features.join(", ")
        ));
        project.run(&["apply"]).done();
        project.put("v.csv", format!("{header}\n1,2024-01-01T00:00:00Z,1,2,3\n"));
        let stderr = project.run(&["import", "v", "v.csv"]).fails(1, &["missing column"]).stderr();
        let rename = stderr.split_once("rename = { ").map(|(_, rest)| rest.split_once(" }").unwrap().0);
        rename.unwrap_or_default().to_owned()
    };
    let capitals = r#"ID = "id", LAT = "lat", LON = "lon", ALT = "alt""#;
    assert_eq!(told(&["lat", "lon", "alt"], "ID,TS,LAT,LON,ALT"), capitals);
    assert_eq!(told(&["s", "f", "b"], "ID,TS,S,F,B"), r#"ID = "id", S = "s", F = "f", B = "b""#);
    assert_eq!(
        told(&["temp", "tmin", "tmax"], "id,ts,TMIN,TMAX,TEMP"),
        r#"TEMP = "temp", TMIN = "tmin", TMAX = "tmax""#
    );
    assert_eq!(told(&["price", "prices", "x"], "id,ts,PRICES,x,pirce"), r#"pirce = "price", PRICES = "prices""#);
    // Others are others.
    for header in ["id,ts,x,y,z", "id,ts,a1,b1,c1"] {
        assert_eq!(told(&["a", "b", "c"], header), "");
    }
    assert_eq!(told(&["lat", "low", "temp_1"], "id,ts,alt,lon,temp_2"), "");
    // Two may be meant.
    assert_eq!(told(&["temp", "x", "y"], "id,ts,Temp,TEMP,x,y"), "");
}

/// Its first rows alone were looked at.
#[test]
fn a_feature_that_a_long_file_speaks_of_late_is_imported() {
    let project = Project::defined(
        "[project]\nname = \"p\"\n[entities.e]\njoin_keys = { id = \"int64\" }\n\
         [views.v]\nentities = [\"e\"]\nfeatures = { note = \"string\" }\n",
    );
    project.run(&["apply"]).done();
    let row = |id: u32, rest: &str| format!("{{\"id\":{id},\"event_timestamp\":\"2024-01-01\"{rest}}}\n");
    let rows: String = (0..10_000).map(|id| row(id, "")).collect();
    project.put("short.jsonl", &rows);
    project.run(&["import", "v", "short.jsonl"]).fails(1, &["missing column: note"]);
    project.put("v.jsonl", rows + &row(10_000, ",\"note\":\"late\""));
    project.run(&["import", "v", "v.jsonl"]).done();
    assert_eq!(project.get(&["--features", "v:note", "id=10000"])[0].0, serde_json::json!("late"));
}
