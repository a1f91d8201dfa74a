//! The server as a layer of an axum router.
//!
//! ```text
//! cargo run --release -p cometd-hyper --example axum
//! ```

use std::error::Error;

use axum::Router;
use axum::routing::get;
use cometd_hyper::bayeux_core::front::Incoming;
use cometd_hyper::{Bayeux, CometdLayer, start};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = start(Bayeux::builder())?;
    bayeux.channel("/service/greet")?.on_message(|incoming: Incoming| async move {
        let name: String = incoming.data()?;
        incoming.reply(&format!("Hello, {name}!"))
    });

    let (count, ending) = (bayeux.clone(), bayeux.clone());
    let router = Router::new()
        .route("/sessions", get(move || async move { count.sessions().len().to_string() }))
        // The router has to have a fallback before the layer, or the layer sees only `/sessions`.
        .fallback(|| async { "Bayeux is at /cometd\n" })
        .layer(CometdLayer::new(bayeux.clone()));

    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
            // Answers held connects, which would otherwise keep the server from ending.
            ending.drain(std::time::Duration::from_secs(2));
        })
        .await?;
    // axum does not wait for WebSockets, which are no requests any more.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(10), bayeux.idle()).await;
    Ok(())
}
