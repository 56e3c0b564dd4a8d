//! The definitions file of a new project, as `asof init` writes it.

/// A commented `asof.toml` for a project of this name, which must be a valid name.
pub fn template(project: &str) -> String {
    TEMPLATE.replace("PROJECT_NAME", project)
}

const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::definition::Definitions;

    #[test]
    fn the_template_is_a_sound_definitions_file() {
        let definitions = Definitions::parse(&template("shop"), "asof.toml").unwrap();
        assert_eq!(definitions.project, "shop");
        assert_eq!(definitions.views.len(), 2);
        assert!(!template("shop").contains("PROJECT_NAME"));
        // What stands there to be uncommented is sound too.
        let with_keys = template("shop").replace("# redis_keys", "redis_keys");
        assert_eq!(Definitions::parse(&with_keys, "asof.toml").unwrap().views[0].redis_keys.len(), 1);
    }

    #[test]
    fn the_flights_example_is_a_sound_definitions_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/asof.toml");
        let definitions = Definitions::from_file(&path).unwrap();
        assert_eq!(definitions.views.len(), 5);
        assert_eq!(definitions.views[0].ttl_us, 3 * 3_600_000_000);
        let selections = &definitions.services["departure_delay"].features;
        assert_eq!(selections.last().unwrap().label(), "destination");
    }
}
