//! A broadcaster over long-polling on tokio, see [`Hub`].

use std::io;
use std::sync::Arc;

use cometd_limits::Failure;
use cometd_limits::hub::Hub;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::from_std(cometd_limits::listen()?)?;
    let hub = Arc::new(Hub::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hub = Arc::clone(&hub);
        let service = service_fn(move |request| {
            let hub = Arc::clone(&hub);
            async move { hub.serve(request, sleep).await.map_err(io::Error::other) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A client that goes away without a word is none of the server's troubles.
        tokio::spawn(async move { connection.await.ok() });
    }
}
