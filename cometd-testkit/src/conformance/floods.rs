//! Peers that send without end what is answered by nothing: whoever reads for as long as there is
//! something to read does not get to anybody else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::peer::Running;
use super::within;
use crate::adapter::Adapter;

/// More of them than a server in a test has threads.
const PEERS: usize = 8;

pub async fn of_parts_of_a_text_keep_nobody_waiting(adapter: &dyn Adapter) {
    // A text that begins, with a mask of zeros, and parts of it that are empty.
    let hello = b"GET /cometd HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
        \x01\x81\0\0\0\0[";
    flood(adapter, hello, b"\0\x80\0\0\0\0").await;
}

pub async fn of_unknown_frames_keep_nobody_waiting(adapter: &dyn Adapter) {
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    flood(adapter, hello, b"\0\0\0\xbe\0\0\0\0\0").await;
}

async fn flood(adapter: &dyn Adapter, hello: &'static [u8], drop: &'static [u8]) {
    let server = Running::new(adapter);
    let over = Arc::new(AtomicBool::new(false));
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let (address, over) = (server.address, Arc::clone(&over));
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(hello).unwrap();
                // The upgrade is answered before anything else is read.
                let _ = stream.read(&mut [0; 1024]).unwrap();
                let drops = drop.repeat(30_000);
                while !over.load(Ordering::Relaxed) && stream.write_all(&drops).is_ok() {}
            })
        })
        .collect();
    let mut opened = true;
    for _ in 0..20 {
        let opening = async { server.peer().await.open().await };
        opened = opened && within(Duration::from_secs(5), opening).await.is_some();
    }
    // They stop in any case, or the test would not end.
    over.store(true, Ordering::Relaxed);
    for peer in peers {
        peer.join().unwrap();
    }
    assert!(opened, "somebody has to wait");
}
