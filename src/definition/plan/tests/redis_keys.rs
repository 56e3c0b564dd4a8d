//! What a plan says of Redis keys.

use insta::assert_snapshot;

use super::{WITHOUT_VIEWS, applied, base_with, change, parse};
use crate::definition::Definitions;
use crate::definition::plan::{Action, Registered, plan};

#[test]
fn redis_keys_are_told_and_make_a_revision() {
    let with_keys = base_with(&[("ttl = \"3h\"", "redis_keys = [\"w:{origin}\", \"wx:{origin}:now\"]")]);
    assert_snapshot!(plan(&Registered::default(), &with_keys, false), @r#"
    + entity airport (origin string)
    + view weather (2 features, redis key w:{origin}, redis key wx:{origin}:now)
    + service model (weather:temp)
    3 to add
    "#);
    let changed = change(&[("ttl = \"3h\"", "ttl = \"3h\"\nredis_keys = \"w:{origin}\"")]);
    assert_snapshot!(changed, @r#"
    ~ view weather: redis_keys none -> w:{origin}
    1 to change, 2 unchanged
    "#);
    assert_eq!(changed.outcome().unwrap().views[0].revision, 2);
}

#[test]
fn redis_keys_are_compared_with_those_of_views_that_only_the_registry_keeps() {
    let current = applied(&base_with(&[("ttl = \"3h\"", "redis_keys = \"user:{origin}\"")]));
    let other = |name: &str, redis_keys: &str| {
        parse(&format!(
            "{WITHOUT_VIEWS}[views.{name}]\nentities = [\"airport\"]\n{redis_keys}\nfeatures.temp = \"float64\""
        ))
    };
    let told = |wanted: &Definitions, prune: bool| -> Vec<String> {
        plan(&current, wanted, prune).with_action(Action::Refuse).map(ToString::to_string).collect()
    };
    let overlapping = "! refused view plane: redis_keys 'user:{origin}' overlaps 'user:{origin}' of view weather: both have 'user:1'; \
        a key names one entity of one view: change one of the two, or leave it out";
    assert_eq!(told(&other("plane", "redis_keys = \"user:{origin}\""), false), [overlapping]);
    // The template is the registered view's; what the file can change is the new one.
    let shadowed = "! refused view user: redis_keys 'user:{origin}' shadows view user: both have 'user:1'; \
        a view's own keys need no template: write one that has none of them, or leave it out";
    assert_eq!(told(&other("user", ""), false), [shadowed]);
    assert_eq!(told(&other("user", ""), true), [""; 0], "pruned");
    // A version takes over from an older one what it says as well.
    assert_eq!(told(&other("\"weather@2\"", "redis_keys = \"user:{origin}\""), false), [""; 0]);
}
