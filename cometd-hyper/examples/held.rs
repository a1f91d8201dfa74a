//! How much memory does an idle client cost? Holds many connects on a server and looks at its
//! resident memory from the outside.
//!
//! ```text
//! ulimit -n 65536
//! cargo run --release -p cometd-hyper --example testbed -- --timeout 600000 &
//! cargo run --release -p cometd-hyper --example held -- --sessions 10000 --pid $!
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Holds many connects on a server and prints what each costs it
#[derive(Parser)]
struct Options {
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: SocketAddr,
    /// Sessions, each with a connection of its own
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// The server's process id
    #[arg(long)]
    pid: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // What the server needs for its first sessions, it needs only once.
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(hold(options.server).await?);
    }
    let before = resident(options.pid)?;
    for _ in 0..options.sessions {
        held.push(hold(options.server).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = resident(options.pid)?;
    let each = (after - before) as f64 / options.sessions as f64;
    println!(
        "{} held connects: {before} KiB resident before, {after} KiB after, {each:.2} KiB each",
        options.sessions
    );
    Ok(())
}

/// A session whose second connect is held.
async fn hold(server: SocketAddr) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server).await?;
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0" }]);
    post(&mut stream, "", &handshake).await?;
    let (head, body) = response(&mut stream).await?;
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next())
        .ok_or("no cookie")?;
    let client_id = body[0]["clientId"].as_str().ok_or("no session")?;
    let connect = json!([{
        "id": "1",
        "channel": "/meta/connect",
        "clientId": client_id,
        "connectionType": "long-polling",
    }]);
    post(&mut stream, cookie, &connect).await?;
    response(&mut stream).await?;
    post(&mut stream, cookie, &connect).await?;
    Ok(stream)
}

async fn post(stream: &mut TcpStream, cookie: &str, messages: &Value) -> std::io::Result<()> {
    let body = messages.to_string();
    let request = format!(
        "POST /cometd/connect HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
         Accept: */*\r\nContent-Type: application/json;charset=UTF-8\r\nCookie: {cookie}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await
}

async fn response(stream: &mut TcpStream) -> Result<(String, Value), Box<dyn Error>> {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err("the server closed the connection".into());
        }
        let text = std::str::from_utf8(&received)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
            return Ok((head.to_owned(), serde_json::from_str(body)?));
        }
    }
}

/// A process's resident memory in KiB.
fn resident(pid: u32) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
