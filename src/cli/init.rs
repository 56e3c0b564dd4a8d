//! `asof init`: a new project with a commented asof.toml.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::args::Init;
use super::context::{Context, DEFINITIONS_FILE};
use super::failure::Failure;
use super::output::{Sheet, quoted};
use crate::definition::{check_name, template};
use crate::error::{Error, Result};

const NAME_DEFAULT: &str = "project";

pub(super) fn run(args: &Init, context: &mut Context) -> Result<(), Failure> {
    let file = args.dir.join(DEFINITIONS_FILE);
    fs::create_dir_all(&args.dir).map_err(|source| Error::io("make the folder", &args.dir, source))?;
    write_new(&file, &template(&project_name(&args.dir)))?;
    let mut sheet = Sheet::new(["file"]);
    sheet.push([json!(file.to_string_lossy())]);
    let next = format!("wrote {}\nedit it, then: cd {} && asof apply", file.display(), quoted(&args.dir));
    context.report(&next, &sheet)
}

/// The folder's name, made a valid name.
fn project_name(dir: &Path) -> String {
    let full = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if check_name("project", &name).is_ok() { name } else { NAME_DEFAULT.to_owned() }
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|source| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            Error::refused("there is a project already").at(path.display()).remedy("choose another folder")
        } else {
            Error::io("create", path, source)
        }
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
        // Half of a project would be in the way of a whole one.
        let _ = fs::remove_file(path);
        Error::io("write", path, source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_called_as_its_folder_where_that_is_a_name() {
        assert_eq!(project_name(Path::new("/tmp/churn-2")), "churn_2");
        assert_eq!(project_name(Path::new("/tmp/2nd")), NAME_DEFAULT);
        assert_eq!(project_name(Path::new("/")), NAME_DEFAULT);
    }
}
