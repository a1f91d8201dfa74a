//! The executors that a server may live on. The conformance suite has one of its own with two
//! threads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use cometd_smol::bayeux_core::front::Incoming;
use cometd_smol::{Bayeux, ServeOptions, serve, start, start_on, start_with};
use smol::Executor;
use smol::channel::{Receiver, bounded};
use smol::net::TcpListener;

/// An application that is served until it is told otherwise.
async fn application(bayeux: Bayeux, tell: smol::channel::Sender<SocketAddr>, stop: Receiver<()>) {
    bayeux.channel("/service/late").unwrap().on_message(|incoming: Incoming| async move {
        incoming.session().unwrap().bayeux().sleep(Duration::from_millis(20)).await;
        incoming.reply(&"late")
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell.send(listener.local_addr().unwrap()).await.unwrap();
    let shutdown = async move {
        let _ = stop.recv().await;
    };
    serve(listener, bayeux, ServeOptions::default(), shutdown).await.unwrap();
}

fn ask(server: SocketAddr, cookie: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    let length = body.len();
    let head = format!(
        "POST /cometd HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

fn between<'a>(text: &'a str, from: &str, to: char) -> &'a str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

/// A session whose message is answered late, and whose connect is held for half a second.
fn use_it(server: SocketAddr) {
    let hello = ask(server, "", r#"[{"channel":"/meta/handshake"}]"#);
    let (id, cookie) =
        (between(&hello, r#""clientId":""#, '"'), between(&hello, "set-cookie: ", ';'));
    let send = |body: &str| ask(server, cookie, &body.replace("ID", id));
    send(r#"[{"channel":"/meta/connect","clientId":"ID"}]"#);
    let late = send(r#"[{"channel":"/service/late","clientId":"ID","data":1}]"#);
    assert!(late.contains(r#""data":"late""#), "{late}");
    let begun = Instant::now();
    send(r#"[{"channel":"/meta/connect","clientId":"ID","advice":{"timeout":500}}]"#);
    let held = begun.elapsed();
    assert!(held >= Duration::from_millis(490) && held < Duration::from_secs(5), "{held:?}");
}

/// What a client does meanwhile; it drops `stop` when it is done.
fn client(told: Receiver<SocketAddr>, stop: smol::channel::Sender<()>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        use_it(told.recv_blocking().unwrap());
        drop(stop);
    })
}

#[test]
fn smols_own_will_do() {
    let ((tell, told), (stop, stopped)) = (bounded(1), bounded(1));
    let client = client(told, stop);
    smol::block_on(async {
        application(start(Bayeux::builder()).unwrap(), tell, stopped).await;
    });
    client.join().unwrap();
}

#[test]
fn one_thread_will_do() {
    let executor = Arc::new(Executor::new());
    let ((tell, told), (stop, stopped)) = (bounded(1), bounded(1));
    let client = client(told, stop);
    smol::block_on(executor.run(async {
        let bayeux = start_on(&executor, Bayeux::builder()).unwrap();
        application(bayeux, tell, stopped).await;
    }));
    client.join().unwrap();
}

#[test]
fn what_is_cut_off_is_closed_although_nobody_runs_the_executor_any_more() {
    let executor = Arc::new(Executor::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.write_all(b"POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[").unwrap();
    let mut options = ServeOptions::default();
    options.shutdown_timeout = Duration::from_millis(50);
    let (bayeux, served) = smol::block_on(executor.run(async {
        let bayeux = start_on(&executor, Bayeux::builder()).unwrap();
        let listener = TcpListener::try_from(listener).unwrap();
        let shutdown = bayeux.sleep(Duration::from_millis(50));
        let served = serve(listener, bayeux.clone(), options, shutdown).await;
        (bayeux, served)
    }));
    served.unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // Its end or a reset, but no time-out.
    let read = stream.read(&mut [0]);
    assert!(
        !matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "{read:?}"
    );
    drop((executor, bayeux));
}

/// Somebody else's.
static THEIRS: LazyLock<Executor<'static>> = LazyLock::new(Executor::new);

#[test]
fn somebody_elses_with_many_threads_will_do() {
    for _ in 0..4 {
        thread::spawn(|| smol::block_on(THEIRS.run(std::future::pending::<()>())));
    }
    let ((tell, told), (stop, stopped)) = (bounded(1), bounded(1));
    let client = client(told, stop);
    let bayeux = start_with(|task| THEIRS.spawn(task).detach(), Bayeux::builder()).unwrap();
    smol::block_on(THEIRS.spawn(application(bayeux, tell, stopped)));
    client.join().unwrap();
}
