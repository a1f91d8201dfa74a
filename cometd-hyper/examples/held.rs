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
    /// Over WebSocket instead of long-polling
    #[arg(long)]
    websocket: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // What the server needs for its first sessions, it needs only once.
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(options.hold().await?);
    }
    let before = resident(options.pid)?;
    for _ in 0..options.sessions {
        held.push(options.hold().await?);
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

impl Options {
    /// A session whose second connect is held.
    async fn hold(&self) -> Result<TcpStream, Box<dyn Error>> {
        if self.websocket { hold_socket(self.server).await } else { hold(self.server).await }
    }
}

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
    let connect = connect(client_id, "long-polling");
    post(&mut stream, cookie, &connect).await?;
    response(&mut stream).await?;
    post(&mut stream, cookie, &connect).await?;
    Ok(stream)
}

fn connect(client_id: &str, connection_type: &str) -> Value {
    json!([{
        "id": "1",
        "channel": "/meta/connect",
        "clientId": client_id,
        "connectionType": connection_type,
    }])
}

async fn hold_socket(server: SocketAddr) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server).await?;
    // About the headers of a browser.
    let request = format!(
        "GET /cometd HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: http://{server}\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
         Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCache-Control: no-cache\r\n\
         Pragma: no-cache\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(String::from_utf8_lossy(&head).into());
    }
    let types = ["websocket"];
    let handshake = json!([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": types,
    }]);
    say(&mut stream, &handshake).await?;
    let reply = heard(&mut stream).await?;
    let client_id = reply[0]["clientId"].as_str().ok_or("no session")?;
    let connect = connect(client_id, "websocket");
    say(&mut stream, &connect).await?;
    heard(&mut stream).await?;
    say(&mut stream, &connect).await?;
    Ok(stream)
}

/// Sends a text message of at most 65,535 bytes, with a mask of zeros, which changes nothing.
async fn say(stream: &mut TcpStream, messages: &Value) -> std::io::Result<()> {
    let text = messages.to_string();
    let mut frame = vec![0x81, 0xfe];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).await
}

/// The next message, of at most 65,535 bytes.
async fn heard(stream: &mut TcpStream) -> Result<Value, Box<dyn Error>> {
    let [_, length] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = if length == 126 { stream.read_u16().await? } else { length.into() };
    let mut text = vec![0; length.into()];
    stream.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
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
