//! The server behind TLS, with rustls: `https://` and `wss://`, HTTP/1.1 and HTTP/2.
//!
//! ```text
//! cargo run --release -p cometd-hyper --example tls
//! curl --insecure https://127.0.0.1:8443/cometd --json '[{"channel":"/meta/handshake","version":"1.0"}]'
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use cometd_hyper::{Bayeux, Secured, ServeOptions, serve, start};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A Bayeux server behind TLS
#[derive(Parser)]
struct Options {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The certificate and those that it depends on, in a PEM file; by default one that nobody trusts
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../cometd-testkit/tls/certificate.pem"))]
    certificate: PathBuf,
    /// Its key, in a PEM file
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../cometd-testkit/tls/key.pem"))]
    key: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let certificates = CertificateDer::pem_file_iter(&options.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&options.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&options.key)
        .map_err(|error| unreadable(&options.key, &error))?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let bayeux = start(Bayeux::builder())?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}; try --listen", options.listen))?;
    println!("listening on https://{}/cometd", listener.local_addr()?);
    let listener = Secured::new(listener, move |stream| acceptor.accept(stream));
    serve(listener, bayeux, ServeOptions::default(), std::future::pending()).await?;
    Ok(())
}

fn unreadable(file: &Path, error: &dyn Error) -> String {
    format!("cannot read {}: {error}; it has to be a PEM file", file.display())
}
