//! A disk that has no more room, as any user can have one: a limit on the size of files, with its signal ignored, is met
//! by every write, growth and reservation beyond it, wherever that happens to be.

use std::fmt::Write;
use std::process::{Command, Stdio};

use crate::support::{Project, Ran};

/// Runs the command where no file can grow beyond so many blocks, of 512 bytes or of 1,024 as the shell has it.
fn run_limited(project: &Project, blocks: u64, arguments: &[&str]) -> Ran {
    let limited = r#"trap '' XFSZ && ulimit -f "$0" && exec "$@""#;
    let output = Command::new("sh")
        .args(["-c", limited, &blocks.to_string(), env!("CARGO_BIN_EXE_asof")])
        .args(arguments)
        .current_dir(&project.dir)
        .stdin(Stdio::null())
        .env_remove("ASOF_PROJECT")
        .output()
        .unwrap();
    Ran { what: format!("{} with {blocks} blocks", arguments.join(" ")), output }
}

fn country(project: &Project, customer: &str) -> serde_json::Value {
    project.get(&["--features", "profile:country", customer])[0].0.clone()
}

#[test]
fn a_store_that_there_is_no_room_for_is_made_when_there_is() {
    let project = Project::defined(crate::support::SHOP);
    for blocks in [1, 16, 4_000] {
        run_limited(&project, blocks, &["apply"]).fails(1, &["ulimit -f", "nothing of this write was kept"]);
    }
    project.run(&["apply"]).done();
    project.run(&["check"]).done();
}

#[test]
fn an_import_that_there_is_no_room_for_leaves_the_store_as_it_was() {
    let project = Project::shop_with_profiles();
    let mut rows = String::from("customer_id,event_timestamp,country,age\n");
    for customer in 0..60_000 {
        writeln!(rows, "{customer},2024-05-01T00:00:00Z,a country of more than twelve bytes,40").unwrap();
    }
    project.put("many.csv", rows);
    let mut failed = 0;
    for blocks in [1, 64, 500, 2_000, 3_000] {
        let ran = run_limited(&project, blocks, &["import", "profile", "many.csv"]);
        if ran.status() == 0 {
            // The shell counts in larger blocks.
            break;
        }
        failed += 1;
        ran.fails(1, &["ulimit -f", "nothing of this write was kept"]);
        assert_eq!(country(&project, "customer_id=1"), "SE", "{blocks} blocks");
        assert_eq!(country(&project, "customer_id=77"), serde_json::Value::Null, "{blocks} blocks");
        project.run(&["check"]).done();
    }
    assert!(failed >= 3, "{failed} imports failed");
    project.run(&["import", "profile", "many.csv"]).done();
    assert_eq!(country(&project, "customer_id=77"), "a country of more than twelve bytes");
    project.run(&["check"]).done();
}

/// Half a file stood in the way of the next try.
#[test]
fn a_project_that_there_is_no_room_for_is_made_when_there_is() {
    let project = Project::empty();
    run_limited(&project, 1, &["init", "d"]).fails(1, &["ulimit -f", "nothing of this write was kept"]);
    assert_eq!(std::fs::read_dir(project.path("d")).unwrap().count(), 0, "something is left in d");
    project.run(&["init", "d"]).done();
    project.run(&["--project", "d", "apply"]).done();
}
