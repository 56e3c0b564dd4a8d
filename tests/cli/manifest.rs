//! A MANIFEST that is lost is published again out of registry.redb by whoever opens the store for writing, and everybody who
//! meets the loss says so.

use std::fs;

use crate::support::{Project, SHOP};

fn country(project: &Project) -> serde_json::Value {
    project.get(&["--features", "profile:country", "customer_id=1"])[0].0.clone()
}

/// Flips a bit in the middle of a file of the store.
fn damage(project: &Project, name: &str) {
    let path = project.path("store").join(name);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The way out that a check names for MANIFEST.
fn remedy(project: &Project) -> String {
    let report = project.run(&["--format", "json", "check"]).fails(3, &["damage was found"]).json();
    let problems = report["problems"].as_array().unwrap().iter();
    let mut of_manifest = problems.filter(|problem| problem["file"] == "MANIFEST");
    of_manifest.next().expect("a problem of MANIFEST")["remedy"].as_str().unwrap().to_owned()
}

/// An apply planned over a store opened for reading, which failed in the same way for ever; a check sent users who had
/// a damaged MANIFEST to an older copy of their rows.
#[test]
fn an_apply_publishes_a_lost_manifest_again_and_all_others_say_so() {
    let project = Project::shop_with_profiles();
    let older = fs::read(project.path("store/MANIFEST")).unwrap();
    project.put("more.csv", "customer_id,event_timestamp,country,age\n1,2024-04-01T00:00:00Z,FI,33\n");
    project.run(&["import", "profile", "more.csv"]).done();
    let losses: [(&str, &dyn Fn()); 3] = [
        ("missing", &|| fs::remove_file(project.path("store/MANIFEST")).unwrap()),
        ("damaged", &|| damage(&project, "MANIFEST")),
        ("older", &|| fs::write(project.path("store/MANIFEST"), &older).unwrap()),
    ];
    for (loss, lose) in losses {
        lose();
        // A store that was closed and has gone on since is read as after a power failure: what an older MANIFEST names is whole.
        if loss != "older" {
            for arguments in [&["show"][..], &["apply", "--dry-run"]] {
                project.run(arguments).fails(3, &["MANIFEST", "as asof apply does"]);
            }
        }
        assert!(remedy(&project).contains("as asof apply does"), "{loss}: {}", remedy(&project));
        let ran = project.run(&["apply"]);
        assert_eq!(ran.status(), 0, "{loss}: {}", ran.stderr());
        assert!(loss == "older" || ran.stderr().contains("MANIFEST is published again"), "{loss}: {}", ran.stderr());
        project.run(&["check"]).done();
        assert_eq!(country(&project), "FI", "{loss}");
    }
}

/// It was made anew without a word.
#[test]
fn a_lost_head_is_made_anew_and_told_of() {
    let project = Project::defined(SHOP);
    assert_eq!(project.run(&["apply"]).done().stderr(), "", "a store that nothing was lost of");
    for lose in [|path| fs::remove_file(path), |path| fs::write(path, [7; 40])] {
        lose(project.path("store/HEAD")).unwrap();
        let ran = project.run(&["delete", "profile", "customer_id=1"]);
        assert!(ran.status() == 0 && ran.stderr().contains("HEAD is missing or damaged"), "{}", ran.stderr());
        project.run(&["check"]).done();
    }
}

#[test]
fn a_change_that_is_refused_is_refused_without_a_manifest_too() {
    let project = Project::shop_with_profiles();
    fs::remove_file(project.path("store/MANIFEST")).unwrap();
    project.put("asof.toml", SHOP.replace("country = \"string\"", "country = \"int64\""));
    let ran = project.run(&["apply"]).fails(3, &["nothing is applied"]);
    assert!(ran.stdout().contains("profile@2"), "{}", ran.stdout());
    project.put("asof.toml", SHOP);
    assert_eq!(country(&project), "SE");
}

/// A warning that cannot be written once was a panic.
#[test]
fn what_is_said_to_nobody_changes_nothing() {
    let project = Project::shop_with_profiles();
    fs::remove_file(project.path("store/MANIFEST")).unwrap();
    for (arguments, status) in [(&["apply"][..], 0), (&["get", "--features", "profile:none", "customer_id=1"], 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = project.command(arguments).stderr(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
    assert_eq!(country(&project), "SE");
}

#[test]
fn where_the_registry_is_lost_as_well_only_a_copy_helps() {
    let project = Project::shop_with_profiles();
    fs::remove_file(project.path("store/MANIFEST")).unwrap();
    fs::remove_file(project.path("store/registry.redb")).unwrap();
    assert!(remedy(&project).contains("put a copy of the store's whole folder"), "{}", remedy(&project));
    project.run(&["apply"]).fails(3, &["lost twice", "put a copy of the store's whole folder"]);
}
