//! The definitions file of a new project, as `asof init` writes it.

/// A commented `asof.toml` for a project of this name, which must be a valid name.
pub fn template(project: &str) -> String {
    TEMPLATE.replace("PROJECT_NAME", project)
}

const TEMPLATE: &str = include_str!("template.toml");
