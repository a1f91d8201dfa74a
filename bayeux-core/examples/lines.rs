//! A transport of one's own: Bayeux over plain TCP, a line for each payload.
//!
//! ```text
//! cargo run -p bayeux-core --example lines
//! nc 127.0.0.1 8081
//! [{"channel":"/meta/handshake","version":"1.0"}]
//! ```
//!
//! Both sides send JSON arrays of messages, each on a line of its own. An empty line from the server
//! is a ping: who answers it with one is alive. A line that begins with `!` says why the server
//! closes the connection.
//!
//! The server is the bare machine, in one thread that takes what has happened out of a queue. It
//! never waits for a peer: each connection has a thread that reads and one that writes. Nothing piles
//! up between them: the reader waits for [`Output::Resume`] after each line, and the machine sends no
//! second parcel before [`Input::Sent`].
//!
//! To begin with this file, take `bayeux-core`, and `getrandom` for its random numbers.

#![expect(clippy::disallowed_methods, reason = "an adapter brings the clock and the threads")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bayeux_core::{
    Config, Decoder, Encoding, Entropy, Input, LinkId, LinkInfo, Output, Server, Time, Transport,
    WallTime, encode,
};

/// The longest line that is taken.
const LONGEST_LINE: u64 = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:8081")?;
    println!("speak Bayeux to {}, a line for each payload", listener.local_addr()?);
    serve(listener, Config::default())
}

/// What happens on connections, for the thread that has the machine.
enum Happening {
    Opened(LinkId, Peer),
    Line(LinkId, Vec<u8>),
    Sent(LinkId, bool),
    TooLong(LinkId),
    Gone(LinkId),
}

/// What that thread has of a connection.
struct Peer {
    stream: TcpStream,
    /// For the one that writes.
    texts: Sender<Vec<u8>>,
    /// For the one that reads: it may read another line.
    resume: Sender<()>,
}

/// The operating system's random numbers, for ids that nobody can guess.
struct Os;

impl Entropy for Os {
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives no random numbers");
    }
}

fn serve(listener: TcpListener, config: Config) -> Result<(), Box<dyn Error>> {
    let (tell, told) = channel();
    thread::spawn(move || accept(&listener, &tell));
    Lines::new(config)?.run(&told);
    Ok(())
}

/// The machine, and the connections that it knows as links.
struct Lines {
    server: Server,
    decoder: Decoder,
    offered: [Transport; 1],
    begun: Instant,
    peers: BTreeMap<LinkId, Peer>,
}

impl Lines {
    fn new(mut config: Config) -> Result<Self, Box<dyn Error>> {
        let offered = [Transport::WebSocket];
        config.allowed_transports = offered.to_vec();
        let decoder = Decoder::new(&config);
        let server = Server::new(config, Box::new(Os), Time::ZERO)?;
        Ok(Self { server, decoder, offered, begun: Instant::now(), peers: BTreeMap::new() })
    }

    fn now(&self) -> Time {
        Time::from_micros(self.begun.elapsed().as_micros() as u64)
    }

    /// Happening by happening, and whatever is due in between.
    fn run(mut self, happenings: &Receiver<Happening>) {
        loop {
            let due = self.server.poll_timeout().unwrap_or(Time::FAR_FUTURE);
            let wait = due.since(self.now()).min(Duration::from_secs(3_600));
            match happenings.recv_timeout(wait) {
                Ok(happening) => self.take(happening),
                Err(RecvTimeoutError::Timeout) => self.input(Input::Tick),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.server.handle(self.now(), input);
        while let Some(output) = self.server.poll_output() {
            self.act(output);
        }
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Opened(link, peer) => {
                self.peers.insert(link, peer);
                // To the machine it is what a WebSocket is: messages go both ways at any time.
                self.input(Input::Open { link, info: LinkInfo::new(Transport::WebSocket) });
            }
            // Of a connection that was closed here there may still be something on its way.
            Happening::Line(link, _) | Happening::Sent(link, _) | Happening::TooLong(link)
                if !self.peers.contains_key(&link) => {}
            Happening::Line(link, line) if line.is_empty() => {
                self.input(Input::Alive { link });
                self.resume(link);
            }
            Happening::Line(link, line) => match self.decoder.decode(&line.into()) {
                Ok(payload) => self.input(Input::Receive { link, payload }),
                Err(error) => {
                    self.close(link, error.what());
                    self.input(Input::Close { link });
                }
            },
            Happening::TooLong(link) => {
                self.close(link, "the line is too long");
                self.input(Input::Close { link });
            }
            Happening::Sent(link, delivered) => self.input(Input::Sent { link, delivered }),
            Happening::Gone(link) => {
                if self.peers.remove(&link).is_some() {
                    self.input(Input::Close { link });
                }
            }
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Send { link, parcel } => {
                let mut text = Vec::new();
                let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let wall = WallTime::from_millis(since_1970.as_millis() as u64);
                encode(&parcel, Encoding { offered: &self.offered, wall }, &mut text);
                self.say(link, text);
            }
            Output::Refuse { link, refusal } => self.close(link, refusal.what()),
            Output::Resume { link } => self.resume(link),
            Output::Ping { link } => self.say(link, Vec::new()),
            // There are no rules that ask, no listeners, no other nodes, and nothing is remembered
            // about sessions: an application goes here.
            Output::Ask(_)
            | Output::Withdraw(_)
            | Output::Forget { .. }
            | Output::Tell(_)
            | Output::Relay(_) => {}
        }
    }

    fn say(&self, link: LinkId, text: Vec<u8>) {
        if let Some(peer) = self.peers.get(&link) {
            // If nobody writes any more, the connection is lost, and that is told as well.
            let _ = peer.texts.send(text);
        }
    }

    fn resume(&self, link: LinkId) {
        if let Some(peer) = self.peers.get(&link) {
            let _ = peer.resume.send(());
        }
    }

    /// Says why, and no more. The connection ends when that is written.
    fn close(&mut self, link: LinkId, why: &str) {
        self.say(link, format!("!{why}").into_bytes());
        if let Some(peer) = self.peers.remove(&link) {
            let _ = peer.stream.shutdown(Shutdown::Read);
        }
    }
}

fn accept(listener: &TcpListener, tell: &Sender<Happening>) {
    for number in 1.. {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: there may be some later.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let link = LinkId(number);
        // A connection that cannot be had twice is one that is gone.
        if let Err(error) = open(link, stream, tell) {
            eprintln!("connection {number}: {error}");
        }
    }
}

fn open(link: LinkId, stream: TcpStream, tell: &Sender<Happening>) -> io::Result<()> {
    let (texts, to_write) = channel();
    let (resume, go_on) = channel();
    let (reading, writing) = (stream.try_clone()?, stream.try_clone()?);
    let (told_by_reader, told_by_writer) = (tell.clone(), tell.clone());
    // A peer that does not take what it is sent is given up.
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let opened = Happening::Opened(link, Peer { stream, texts, resume });
    if tell.send(opened).is_err() {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let reader = move || {
        read(link, reading, &go_on, &told_by_reader);
        let _ = told_by_reader.send(Happening::Gone(link));
    };
    let writer = move || write(link, writing, &to_write, &told_by_writer);
    let threads = thread::Builder::new().spawn(reader).and(thread::Builder::new().spawn(writer));
    if threads.is_err() {
        let _ = tell.send(Happening::Gone(link));
    }
    threads.map(drop)
}

/// Reads a line, and another one when the machine is through with it.
fn read(link: LinkId, stream: TcpStream, go_on: &Receiver<()>, tell: &Sender<Happening>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(_) if line.len() as u64 == LONGEST_LINE => {
                let _ = tell.send(Happening::TooLong(link));
                // Until there is nobody to tell to read on.
                let _ = go_on.recv();
                return;
            }
            // The end, in the middle of a line perhaps.
            _ => return,
        }
        let line = line.trim_ascii().to_vec();
        if tell.send(Happening::Line(link, line)).is_err() || go_on.recv().is_err() {
            return;
        }
    }
}

/// Writes one text after another, and says what has become of each.
fn write(link: LinkId, mut stream: TcpStream, texts: &Receiver<Vec<u8>>, tell: &Sender<Happening>) {
    for mut text in texts {
        let is_ping = text.is_empty();
        text.push(b'\n');
        let delivered = stream.write_all(&text).is_ok();
        if !is_ping && tell.send(Happening::Sent(link, delivered)).is_err() {
            break;
        }
        if !delivered {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Client(BufReader<TcpStream>);

    impl Client {
        fn say(&mut self, line: &str) {
            self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        }

        fn hear(&mut self) -> String {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        fn ask(&mut self, line: &str) -> String {
            self.say(line);
            self.hear()
        }

        fn handshake(&mut self) -> String {
            let reply = self.ask(r#"[{"channel":"/meta/handshake","version":"1.0"}]"#);
            let id = reply.split_once(r#""clientId":""#).unwrap().1;
            id.split_once('"').unwrap().0.to_owned()
        }
    }

    fn clients<const N: usize>(config: Config) -> [Client; N] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener, config).unwrap());
        [(); N].map(|()| Client(BufReader::new(TcpStream::connect(address).unwrap())))
    }

    #[test]
    fn what_one_says_the_other_hears() {
        let [mut ann, mut bob] = clients(Config::default());
        let (a, b) = (ann.handshake(), bob.handshake());
        let subscribe = r#"[{"channel":"/meta/subscribe","subscription":"/chat","clientId":"ID"}]"#;
        let reply = ann.ask(&subscribe.replace("ID", &a));
        assert!(reply.contains(r#""successful":true"#), "{reply}");
        let publish = r#"[{"channel":"/chat","data":"hello","clientId":"ID"}]"#;
        let reply = bob.ask(&publish.replace("ID", &b));
        assert_eq!(reply, r#"[{"channel":"/chat","successful":true}]"#);
        assert_eq!(ann.hear(), r#"[{"channel":"/chat","data":"hello"}]"#);
    }

    #[test]
    fn what_is_no_payload_ends_the_connection_and_no_other() {
        let [mut bad, mut endless, mut good] = clients(Config::default());
        let reply = bad.ask("hello?");
        assert_eq!(reply, "!the payload is not a JSON array of Bayeux messages");
        assert_eq!(bad.hear(), "");
        endless.0.get_mut().write_all(&vec![b'['; LONGEST_LINE as usize]).unwrap();
        assert_eq!(endless.hear(), "!the line is too long");
        assert_eq!(endless.hear(), "");
        good.handshake();
    }

    #[test]
    fn who_is_silent_is_pinged_and_then_given_up() {
        let mut config = Config::default();
        config.ws_ping_interval = Duration::from_millis(50);
        config.ws_idle_timeout = Duration::from_millis(300);
        let [mut mute] = clients(config);
        mute.handshake();
        assert_eq!(mute.hear(), "");
        assert_eq!(mute.ask(""), "", "an answer, and the next ping");
        assert_eq!(mute.hear(), "!idle for too long");
    }
}
