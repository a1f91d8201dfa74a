//! Sessions' spans on several threads, with a subscriber that uses the server: what virtual time,
//! which has one thread, cannot show. A process of its own, since the subscriber is the process's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bayeux_core::Event;
use cometd_hyper::{Bayeux, start};
use tracing::span::{Attributes, Id};
use tracing::{Subscriber, info};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

static SERVER: OnceLock<Bayeux> = OnceLock::new();

/// How many spans were made and closed, and how many events of the application were in which.
#[derive(Clone, Default)]
struct Counting {
    made: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    events: Arc<Mutex<BTreeMap<u64, usize>>>,
    lost: Arc<AtomicUsize>,
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Counting {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "session" {
            self.made.fetch_add(1, Ordering::Relaxed);
            SERVER.get().map(Bayeux::stats);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        SERVER.get().map(Bayeux::stats);
        if event.metadata().target() != "app" {
            return;
        }
        match context.event_span(event) {
            Some(span) if span.name() == "session" => {
                *self.events.lock().unwrap().entry(span.id().into_u64()).or_default() += 1;
            }
            _ => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if context.span(&id).is_some_and(|span| span.name() == "session") {
            self.closed.fetch_add(1, Ordering::Relaxed);
            SERVER.get().map(Bayeux::stats);
        }
    }
}

const TASKS: usize = 8;
const SESSIONS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_session_has_one_span_whatever_the_threads_do() {
    let counting = Counting::default();
    let subscriber = tracing_subscriber::registry().with(counting.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let bayeux = SERVER.get_or_init(|| start(Bayeux::builder()).unwrap());
    bayeux.on_event(|notice| async move {
        if let Event::SessionRemoved { .. } = notice.event {
            info!(target: "app", "told");
        }
    });
    bayeux.channel("/service/s").unwrap().on_message(|_| async {
        tokio::task::yield_now().await;
        info!(target: "app", "heard");
    });
    let tasks = [(); TASKS].map(|()| {
        tokio::spawn(async move {
            for _ in 0..SESSIONS {
                let session = bayeux.local_session().await.unwrap();
                session.subscribe("/a", |_| async { info!(target: "app", "seen") }).await.unwrap();
                session.session().deliver("/a", &1).unwrap();
                session.publish("/service/s", &1).await.unwrap();
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    let all = TASKS * SESSIONS;
    let closed = || counting.closed.load(Ordering::Relaxed);
    let all_are_closed = async {
        while closed() < all {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_are_closed)
        .await
        .expect("all come to an end");
    assert_eq!((counting.made.load(Ordering::Relaxed), closed()), (all, all));
    assert_eq!(counting.lost.load(Ordering::Relaxed), 0, "all handlers were in a span");
    assert_eq!(counting.events.lock().unwrap().values().sum::<usize>(), 3 * all);
}
