//! Where connections may come from.

use std::io::{Read, Write};

use cometd_smol::{Bayeux, ServeOptions, serve, start};
use smol::net::unix::UnixListener;

#[test]
fn a_unix_socket_will_do() {
    let path = std::env::temp_dir().join(format!("cometd-smol-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let bayeux = start(Bayeux::builder()).unwrap();
    let options = ServeOptions::default();
    let server = smol::spawn(serve(listener, bayeux, options, std::future::pending()));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream
        .write_all(
            b"POST /cometd HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 31\r\n\r\n\
              [{\"channel\":\"/meta/handshake\"}]",
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("clientId"), "{answer}");
    drop(server);
    std::fs::remove_file(path).unwrap();
}
