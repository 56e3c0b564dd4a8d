//! An axum handler that answers a constant of so many bytes, and nothing else: what a server of its kind reaches here. For benches/http.
//!
//! `cargo run --release -p asof-clients --example bare_axum BYTES` prints its address, and runs until its standard input ends.

use std::io::Read as _;

use axum::Router;
use axum::http::header;
use axum::routing::get;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes: usize = std::env::args().nth(1).ok_or("say how many bytes")?.parse()?;
    let body: &'static str = "x".repeat(bytes).leak();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let serving = tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        serving.abort();
        Ok(())
    })
}
