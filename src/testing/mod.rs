//! For tests of programs that use a store or its servers: what would have to be started beside them runs in the test's own process,
//! over a folder that goes with it.

mod redis_server;

pub use redis_server::RedisServer;
