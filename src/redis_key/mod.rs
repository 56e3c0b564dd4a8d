//! Names of view entities as keys of the Redis protocol.
//!
//! | key | names |
//! | --- | --- |
//! | `weather:JFK` | an entity of the view weather, in its newest version |
//! | `weather@2:JFK` | the same in version 2 |
//! | `hourly:JFK:7` | the values of several join keys, in key order |
//! | `totals:`, `totals` | the one key of a view without entities |
//! | `user:17:features` | an entity of the view that says `redis_keys = ["user:{user_id}:features"]`; of versions that say the same, the newest |
//! | `weather`, `weather:`, `weather@9:JFK`, `weather:a:b` | nothing: an error, unless a view has such keys |
//! | anything else | a key of the keyspace |
//!
//! A key is tried as template, then as view, then it is the keyspace's. The name of a view is the view's alone, with and
//! without a colon behind it: a key that begins so and names no entity is refused, so that a slip never makes a key of the
//! keyspace that no training set knows of.
//!
//! Values stand in their [text forms](crate::text), bytes as they are. In a view's own form `%` and `:` in a value are written
//! `%25` and `%3A`, and any `%XX` is read. What a template's placeholder stands for is taken as it is, so that keys which were
//! there before asof mean what they meant; a value that is empty or holds a `:` is named by the view's own form only.
//!
//! Nothing here does I/O: the router is made of definitions.

mod clash;
mod router;
mod template;
mod value;
mod view;

pub use clash::{Clash, clashes};
pub use router::{Routed, Router};
pub use template::KeyTemplate;
pub(crate) use view::shown;

#[cfg(test)]
mod tests;
