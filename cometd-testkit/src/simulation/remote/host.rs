//! [`Remote`]: the clients' side of the sockets, as a [`Host`].

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bayeux_core::adapter::ServeOptions;
use bayeux_core::front::{Bayeux, Builder};
use bayeux_core::{LinkId, Time};

use super::super::front_http;
use super::super::host::{Down, Gauges, Host, Request, Up, Violation};
use super::super::outbox::Outbox;
use super::super::script::{Script, ScriptError};
use super::super::seed::Seed;
use super::super::usual::{self, Usual};
use super::super::wishes::Wishes;
use super::Real;
use super::http;
use super::socket::Socket;
use crate::adapter::Adapter;

/// How long a server may not read what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A thread that waits for what one connection brings needs little.
const STACK: usize = 256 * 1024;

/// A server behind an adapter.
pub(super) struct Remote<'a> {
    adapter: &'a dyn Adapter,
    ground: Arc<Real>,
    address: SocketAddr,
    bayeux: Bayeux,
    usual: Usual,
    wishes: Wishes,
    outbox: Outbox,
    seed: Seed,
    links: BTreeMap<LinkId, Link>,
    /// Connections that have answered and were not closed.
    idle: Vec<TcpStream>,
}

/// What a link goes over.
struct Link {
    stream: TcpStream,
    /// Whether this side has ended it. What comes all the same is told: it was handed over.
    gone: bool,
    socket: Option<Socket>,
}

impl<'a> Remote<'a> {
    pub(super) fn new(script: &Script, adapter: &'a dyn Adapter) -> Result<Self, ScriptError> {
        let outbox = Outbox::default();
        let ground = Arc::new(Real::new());
        let usual = Usual::new(script, ground.clone(), &outbox)?;
        let builder = Bayeux::builder().config(script.config()?);
        let start = |builder: Builder| {
            let bayeux = adapter.start(builder)?;
            ground.set_server(Some(bayeux.clone()));
            Ok(bayeux)
        };
        let bayeux = usual.start_with(builder, start).map_err(|error| {
            ScriptError::new("the application does not start", error.to_string())
        })?;
        outbox.listen_to(&bayeux);
        let never = Box::pin(std::future::pending());
        let served = adapter.serve(bayeux.clone(), ServeOptions::default(), never);
        let (address, _) =
            served.unwrap_or_else(|error| panic!("the adapter does not serve: {error}"));
        let wishes = Wishes::new(&bayeux, usual.thinker().clone(), &outbox);
        let (links, idle, seed) = (BTreeMap::new(), Vec::new(), script.seed);
        Ok(Self { adapter, ground, address, bayeux, usual, wishes, outbox, seed, links, idle })
    }

    /// Waits until something has come, or for so long.
    pub(super) fn wait(&self, most: Duration) {
        self.outbox.wait(most);
    }

    /// All connections end.
    pub(super) fn hang_up(&mut self) {
        let links = self.links.values().map(|link| &link.stream);
        for stream in links.chain(&self.idle) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.idle.clear();
    }

    /// A connection, a new one or one that has been used before.
    fn connect(&mut self, link: LinkId) -> io::Result<TcpStream> {
        let again = self.seed.about(format_args!("link {} again", link.0)).per_mille(700);
        let mut used = if again { self.idle.pop() } else { None };
        while let Some(stream) = used {
            if http::is_open(&stream)? {
                return Ok(stream);
            }
            used = self.idle.pop();
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(stream)
    }

    fn request(&mut self, link: LinkId, request: Request) -> io::Result<()> {
        let callback = request.callback;
        let as_form = self.seed.about(format_args!("link {} is a form", link.0)).per_mille(150);
        let (head, body) = front_http::request(request, as_form);
        let mut stream = self.connect(link)?;
        let reader = http::Reader::new(stream.try_clone()?);
        stream.write_all(&http::text_of(&head, &body))?;
        self.links.insert(link, Link { stream, gone: false, socket: None });
        let outbox = self.outbox.clone();
        self.thread(link, move || {
            outbox.put(match reader.response() {
                Ok(response) => front_http::response(link, callback, response),
                // A browser knows no more of it.
                Err(_) => Down::Closed { link, code: 1006 },
            });
        })
    }

    fn dial(&mut self, link: LinkId, cookie: Option<&str>) -> io::Result<()> {
        let mut stream = self.connect(link)?;
        stream.write_all(&http::text_of(&front_http::upgrade(cookie), b""))?;
        let (socket, reading) = Socket::new(link, &stream)?;
        self.links.insert(link, Link { stream, gone: false, socket: Some(socket) });
        let outbox = self.outbox.clone();
        self.thread(link, move || reading.run(|down| outbox.put(down)))
    }

    fn thread(&self, link: LinkId, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let name = format!("link {}", link.0);
        thread::Builder::new().name(name).stack_size(STACK).spawn(run).map(|_| ())
    }

    /// What is the server's fault is seen when nothing comes.
    fn send(&mut self, link: LinkId, send: impl FnOnce(&Socket, &mut TcpStream) -> io::Result<()>) {
        if let Some(Link { stream, gone: false, socket: Some(socket) }) = self.links.get_mut(&link)
        {
            if send(socket, stream).is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Host for Remote<'_> {
    fn up(&mut self, _now: Time, up: Up) -> Result<(), Violation> {
        let done = match up {
            Up::Request { link, request } => self.request(link, request),
            Up::Dial { link, cookie } => self.dial(link, cookie.as_deref()),
            Up::Text { link, text } => {
                self.send(link, |socket, stream| socket.text(stream, &text));
                Ok(())
            }
            Up::Pong { link } => {
                self.send(link, Socket::pong);
                Ok(())
            }
            Up::Gone { link } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.gone = true;
                    // It may be gone already.
                    let _ = link.stream.shutdown(Shutdown::Write);
                }
                Ok(())
            }
            Up::Wish(wish) => {
                self.wishes.grant(&*self.ground, wish);
                Ok(())
            }
            // The operating system takes and tells what it likes, and its clock is everybody's.
            Up::Taken { .. } | Up::Received { .. } | Up::Jump(_) => Ok(()),
        };
        done.map_err(|error| Violation::new("progress", format!("a server that serves: {error}")))
    }

    fn poll_down(&mut self) -> Option<Down> {
        let down = self.outbox.take();
        match &down {
            Some(Down::Response { link, .. }) => {
                self.idle.extend(self.links.remove(link).filter(|it| !it.gone).map(|it| it.stream));
            }
            Some(Down::Closed { link, .. }) => {
                self.links.remove(link);
            }
            _ => {}
        }
        down
    }

    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    fn tick(&mut self, _now: Time) -> Result<(), Violation> {
        Ok(())
    }

    fn gauges(&self) -> Gauges {
        usual::gauges(&self.bayeux, Some(&self.usual), self.adapter.tasks())
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.outbox.lock().notes)
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        self.hang_up();
        self.ground.set_server(None);
    }
}
