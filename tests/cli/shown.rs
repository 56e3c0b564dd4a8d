//! What goes to a terminal: all that asof says, and no commands.

use serde_json::json;

use crate::support::{Project, SHOP};

#[test]
fn a_service_is_shown_to_the_end_and_beside_a_view_of_its_name() {
    let features: Vec<String> = (0..100).map(|number| format!("\"wide:feature_{number}\"")).collect();
    let dtypes: Vec<String> = (0..100).map(|number| format!("feature_{number} = \"int64\"")).collect();
    let wide = format!(
        "[views.wide]\nentities = [\"customer\"]\nfeatures = {{ {} }}\n[services.wide]\nfeatures = [{}]\n\
         [services.all]\nfeatures = [{}]\n",
        dtypes.join(", "),
        features.join(", "),
        features.join(", ")
    );
    let project = Project::defined(&format!("{SHOP}{wide}"));
    project.run(&["apply"]).done();
    for what in ["all", "services"] {
        let shown = project.run(&["show", what]).done().stdout();
        assert!(shown.contains("feature_99") && !shown.contains("more)"), "{shown}");
    }
    let both = project.run(&["show", "wide"]).done().stdout();
    assert!(both.contains("view  wide (revision") && both.contains("service  wide (revision"), "{both}");
    // A program gets one object, and whoever watches it is told of the other.
    let view = project.run(&["--format", "json", "show", "wide"]);
    assert_eq!((view.json()["view"].clone(), view.status()), (json!("wide"), 0));
    assert_eq!(view.stderr(), "note: wide is a service too: asof show services has it\n");
}

#[test]
fn a_terminal_takes_no_commands_from_names_and_values_in_files() {
    let project = Project::shop();
    let row = |age: &str| format!("customer_id,event_timestamp,country,age,\u{1b}[2Jx\n1,2024-01-01,NO,{age},\u{9b}\n");
    project.put("p.csv", row("\u{1b}[31m5"));
    project.run(&["import", "profile", "p.csv"]).fails(1, &[r"got '\u{1b}[31m5'"]);
    project.put("p.csv", row("5"));
    let told = project.run(&["import", "profile", "p.csv"]).done().stdout();
    assert!(told.contains(r"profile has no column \u{1b}[2Jx: ignored"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
}

/// Where its rows come from stood nowhere.
#[test]
fn a_view_is_shown_with_its_source() {
    let project = Project::defined(
        "[project]\nname = \"p\"\n[entities.e]\njoin_keys = { id = \"int64\" }\n[views.v]\nentities = [\"e\"]\n\
         source = { path = \"data/v.csv\", push = \"p\", rename = { X = \"x\" } }\nfeatures = { x = \"int64\" }\n",
    );
    project.run(&["apply"]).done();
    let source = project.run(&["--format", "json", "show", "v"]).done().json()["source"].clone();
    let told = (&source["path"], &source["push"], &source["rename"]["X"]);
    assert_eq!(told, (&"data/v.csv".into(), &"p".into(), &"x".into()), "{source}");
    let table = project.run(&["show", "v"]).done().stdout();
    assert!(table.contains("source  data/v.csv") && table.contains("push source  p"), "{table}");
}

#[test]
fn a_view_is_shown_with_its_redis_keys_and_not_applied_over_keys_that_are_there() {
    let with_template = SHOP.replace("ttl = \"1d\"", "ttl = \"1d\"\nredis_keys = \"cart:{customer_id}\"");
    let project = Project::shop();
    let store = asof::Store::open(project.dir.join("store")).unwrap();
    let cart = (0, &b"cart:7"[..]);
    store.keyspace().unwrap().change(|keyspace, _| keyspace.set_string(cart, b"pears".to_vec(), None)).unwrap();
    store.close().unwrap();
    drop(store);
    project.put("asof.toml", with_template);
    for arguments in [&["apply", "--dry-run"][..], &["apply"]] {
        let ran = project.run(arguments).fails(3, &["nothing is applied: a change is refused"]);
        let told = "! refused view basket: a key of the Redis keyspace would be the view's: 'cart:7'; rename or delete";
        assert!(ran.stdout().contains(told), "{}", ran.stdout());
    }
    let store = asof::Store::open(project.dir.join("store")).unwrap();
    store.keyspace().unwrap().change(|keyspace, _| keyspace.remove(cart)).unwrap();
    store.close().unwrap();
    drop(store);
    let told = project.run(&["apply"]).done().stdout();
    assert!(told.contains("~ view basket: redis_keys none -> cart:{customer_id}"), "{told}");
    let table = project.run(&["show", "basket"]).done().stdout();
    assert!(table.contains("redis keys  cart:{customer_id}"), "{table}");
    let json = project.run(&["--format", "json", "show", "basket"]).done().json();
    assert_eq!(json["redis_keys"], json!(["cart:{customer_id}"]));
}
