//! What a connection may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api_key::Scope;
use crate::format::keyspace;
use crate::registry::records::KeyRecord;

/// What the keyspace of the Redis protocol is called among the views of a key. No view is: their names begin with a letter. So a key
/// for one view does not open the keyspace.
pub const KEYSPACE: &str = keyspace::VIEW_NAME;

/// What may be done, and with which views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// By [`Scope`], in its order.
    scopes: [bool; Scope::ALL.len()],
    /// `None`: all.
    views: Option<BTreeSet<Box<str>>>,
}

impl Access {
    /// Of somebody who may do everything.
    pub const EVERYTHING: Access = Access { scopes: [true; Scope::ALL.len()], views: None };

    /// Of a key.
    pub fn of(record: &KeyRecord) -> Access {
        let has = |scope| record.scopes.contains(&scope) || record.scopes.contains(&Scope::Admin);
        let views = (!record.views.is_empty()).then(|| record.views.iter().map(|view| view.as_str().into()).collect());
        Access { scopes: Scope::ALL.map(has), views }
    }

    /// Whether a thing of this scope may be done with a view, by its name without a version, or [`KEYSPACE`]. `None` is for what
    /// is over all of them at once: who may use some of them only may not do that.
    #[inline]
    pub fn may(&self, scope: Scope, view: Option<&str>) -> bool {
        self.has(scope)
            && match (&self.views, view) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(views), Some(view)) => views.contains(view),
            }
    }

    /// Whether a thing of this scope may be done with any view at all.
    #[inline]
    pub fn has(&self, scope: Scope) -> bool {
        let [read, write, admin] = self.scopes;
        match scope {
            Scope::Read => read,
            Scope::Write => write,
            Scope::Admin => admin,
        }
    }

    /// Whether what may be done may be done with every view.
    #[inline]
    pub fn is_of_all_views(&self) -> bool {
        self.views.is_none()
    }

    /// Whether everything may be done.
    #[inline]
    pub fn is_everything(&self) -> bool {
        self.views.is_none() && self.scopes == [true; Scope::ALL.len()]
    }
}

/// As whom a connection is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The id of the key that it showed; `None`: it showed none.
    pub key: Option<Box<str>>,
    /// What the key is called.
    pub name: Arc<str>,
    /// What it may do.
    pub access: Access,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(scopes: &[Scope], views: &[&str]) -> Access {
        Access::of(&KeyRecord {
            id: "0".repeat(12),
            name: "n".to_owned(),
            sha256: "0".repeat(64),
            scopes: scopes.to_vec(),
            views: views.iter().map(|view| (*view).to_owned()).collect(),
            created_at_us: 0,
            revoked_at_us: None,
        })
    }

    #[test]
    fn admin_includes_everything_and_write_does_not_include_read() {
        let may = |scopes: &[Scope]| Scope::ALL.map(|scope| access(scopes, &[]).may(scope, None));
        assert_eq!(may(&[Scope::Read]), [true, false, false]);
        assert_eq!(may(&[Scope::Write]), [false, true, false]);
        assert_eq!(may(&[Scope::Read, Scope::Write]), [true, true, false]);
        assert_eq!(may(&[Scope::Admin]), [true; 3]);
        assert!(access(&[Scope::Admin], &[]).is_everything() && Access::EVERYTHING.is_everything());
        assert!(!access(&[Scope::Read, Scope::Write], &[]).is_everything());
    }

    #[test]
    fn a_key_for_some_views_opens_no_other_one_nor_the_keyspace_nor_all_of_them_at_once() {
        let access = access(&[Scope::Read], &["weather"]);
        assert!(access.may(Scope::Read, Some("weather")) && access.has(Scope::Read));
        for view in [Some("planes"), Some(KEYSPACE), Some(""), None] {
            assert!(!access.may(Scope::Read, view), "{view:?}");
        }
        assert!(!access.may(Scope::Write, Some("weather")) && !access.is_everything());
    }
}
