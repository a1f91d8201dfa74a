//! A broadcaster over long-polling on smol, see [`Hub`]: what its runtime takes of `cometd-smol`'s time.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cometd_limits::Failure;
use cometd_limits::hub::Hub;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::{Async, Executor, Timer};
use smol_hyper::rt::FuturesIo;

fn main() -> Result<(), Failure> {
    let executor = Arc::new(Executor::new());
    // A task like all others: what is given to `run` is polled whenever its thread is woken.
    let server = executor.spawn(serve(Arc::clone(&executor)));
    smol::block_on(executor.run(server))
}

async fn serve(executor: Arc<Executor<'static>>) -> Result<(), Failure> {
    let listener = Async::<TcpListener>::new(cometd_limits::listen()?)?;
    let hub = Arc::new(Hub::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        let hub = Arc::clone(&hub);
        let service = service_fn(move |request| {
            let hub = Arc::clone(&hub);
            async move { hub.serve(request, sleep).await.map_err(io::Error::other) }
        });
        let connection = http1::Builder::new().serve_connection(FuturesIo::new(stream), service);
        // A client that goes away without a word is none of the server's troubles.
        executor.spawn(async move { connection.await.ok() }).detach();
    }
}

async fn sleep(time: Duration) {
    Timer::after(time).await;
}
