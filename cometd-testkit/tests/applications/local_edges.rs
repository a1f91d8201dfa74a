//! Local sessions at their edges: handlers that are stuck, hold their session, or are many; what is refused, deleted
//! or too much.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use bayeux_core::Verdict;
use bayeux_core::front::{
    Bayeux, Extension, Incoming, LocalSession, Policy, ServerMessage, SubscribeRequest,
};
use cometd_testkit::sim::Sim;
use serde_json::json;

use crate::peer::{Log, local, noting, world, world_with};

struct Once(Mutex<u32>);

impl Policy for Once {
    async fn can_subscribe(&self, _r: SubscribeRequest) -> Verdict {
        let mut n = self.0.lock().unwrap();
        *n += 1;
        Verdict::from(*n == 1)
    }
}

struct NoReplies;

impl Extension for NoReplies {
    fn outgoing(&self, m: &mut ServerMessage<'_>) -> bool {
        m.channel() != "/a" || m.reply().is_none()
    }
}

#[test]
fn it_gets_its_events_also_where_they_travel_with_connects_only() {
    let (sim, bayeux) = world_with(|c| c.meta_connect_deliver_only = true);
    let log = Log::default();
    let me = local(&sim, &bayeux);
    let (one, handler) = (me.clone(), noting(&log));
    sim.block_on(async move { one.subscribe("/a", handler).await }).unwrap();
    let b = bayeux.clone();
    sim.block_on(async move { b.publish("/a", &1).await }).unwrap();
    sim.advance(Duration::from_secs(100));
    assert_eq!(*log.lock().unwrap(), [json!(["/a", 1])]);
}

#[test]
fn it_acknowledges_nothing() {
    let (sim, bayeux) = world_with(|_| ());
    let log = Log::default();
    let b = bayeux.clone();
    let ext = json!({"ack": true});
    let me = sim.block_on(async move { b.local_session_with(&ext).await }).unwrap();
    let (one, handler) = (me.clone(), noting(&log));
    sim.block_on(async move { one.subscribe("/a", handler).await }).unwrap();
    let b = bayeux.clone();
    sim.block_on(async move { b.publish("/a", &1).await }).unwrap();
    sim.advance(Duration::from_secs(100));
    assert_eq!(*log.lock().unwrap(), [json!(["/a", 1])]);
}

#[test]
fn handlers_that_use_their_session_come_to_their_end() {
    let (sim, bayeux) = world_with(|c| c.limits.queue_messages = 5);
    let log = Log::default();
    let me = local(&sim, &bayeux);
    let (echo, l, sleeper) = (me.clone(), Arc::clone(&log), sim.clone());
    me.on_message("/n", move |m| {
        let (echo, l, sleeper) = (echo.clone(), Arc::clone(&l), sleeper.clone());
        async move {
            sleeper.sleep(Duration::from_millis(100)).await;
            let r = echo.publish("/out", &m.data()).await;
            l.lock().unwrap().push(json!(r.is_ok()));
        }
    })
    .unwrap();
    let s = me.session().clone();
    s.batch(|| {
        for n in 0..4 {
            s.deliver("/n", &n).unwrap();
        }
    })
    .unwrap();
    sim.settle();
    s.batch(|| {
        for n in 4..6 {
            s.deliver("/n", &n).unwrap();
        }
    })
    .unwrap();
    sim.advance(Duration::from_secs(600));
    assert!(me.session().exists(), "no overflow");
    assert_eq!(log.lock().unwrap().len(), 6, "all handlers come to their end");
}

#[test]
fn handlers_are_dropped_when_it_is_over() {
    let (sim, bayeux) = world_with(|_| ());
    let me = local(&sim, &bayeux);
    let probe = Arc::new(());
    let (echo, kept) = (me.clone(), Arc::clone(&probe));
    me.on_message("/n", move |_| {
        let _ = (&echo, &kept);
        async {}
    })
    .unwrap();
    let one = me.clone();
    sim.block_on(async move { one.disconnect().await }).unwrap();
    drop(me);
    sim.settle();
    assert_eq!((sim.tasks(), bayeux.stats().links), (1, 0));
    assert_eq!(Arc::strong_count(&probe), 1, "the handler is kept alive by itself");
}

#[test]
fn a_subscribe_that_is_refused_leaves_other_handlers_alone() {
    let sim = Sim::new(5);
    let bayeux = sim.start(Bayeux::builder().policy(Once(Mutex::new(0)))).unwrap();
    let (log, other) = (Log::default(), Log::default());
    let me = local(&sim, &bayeux);
    let (one, handler) = (me.clone(), noting(&log));
    sim.block_on(async move { one.subscribe("/a", handler).await }).unwrap();
    let (one, handler) = (me.clone(), noting(&other));
    assert!(sim.block_on(async move { one.subscribe("/a", handler).await }).is_err());
    let b = bayeux.clone();
    sim.block_on(async move { b.publish("/a", &1).await }).unwrap();
    sim.settle();
    assert_eq!(me.session().subscriptions().len(), 1);
    assert_eq!(*log.lock().unwrap(), [json!(["/a", 1])]);
}

#[test]
fn a_reply_that_an_extension_deletes_is_not_waited_for() {
    let (sim, bayeux) = world_with(|_| ());
    bayeux.add_extension(NoReplies);
    let me = local(&sim, &bayeux);
    let one = me.clone();
    let asked = sim.spawn(async move { one.publish("/a", &1).await.is_ok() });
    sim.advance(Duration::from_secs(3_600));
    assert!(asked.is_over());
}

#[test]
fn it_keeps_no_server_when_it_is_over() {
    let probe = Arc::new(());
    {
        let (sim, bayeux) = world_with(|_| ());
        let kept = Arc::clone(&probe);
        bayeux.channel("/x").unwrap().on_message(move |_| {
            let _ = &kept;
            async {}
        });
        let me = local(&sim, &bayeux);
        let echo = me.clone();
        me.on_message("/n", move |_| {
            let _ = &echo;
            async {}
        })
        .unwrap();
        let one = me.clone();
        sim.block_on(async move { one.disconnect().await }).unwrap();
        drop((me, bayeux));
        sim.settle();
        drop(sim);
    }
    assert_eq!(Arc::strong_count(&probe), 1);
}

/// A local session whose handler never comes to its end, with five events behind the first.
fn stuck(sim: &Sim, bayeux: &Bayeux) -> LocalSession {
    let me = local(sim, bayeux);
    me.on_message("/n", |_| std::future::pending()).unwrap();
    let deliver = || (0..3).for_each(|number| drop(me.session().deliver("/n", &number)));
    for _ in 0..2 {
        me.session().batch(deliver).unwrap();
        sim.settle();
    }
    me
}

#[test]
fn a_stuck_handler_does_not_keep_a_draining_server() {
    let (sim, bayeux) = world_with(|c| c.limits.queue_messages = 3);
    let me = stuck(&sim, &bayeux);
    bayeux.drain(Duration::ZERO);
    sim.advance(Duration::from_secs(3_600));
    assert_eq!(bayeux.stats().links, 0, "exists {}", me.session().exists());
}

#[test]
fn a_stuck_handler_does_not_keep_a_session_that_was_ended() {
    let (sim, bayeux) = world_with(|c| c.limits.queue_messages = 6);
    let me = stuck(&sim, &bayeux);
    me.session().disconnect().unwrap();
    sim.advance(Duration::from_secs(36_000));
    assert_eq!(bayeux.stats().sessions, 0);
}

#[test]
fn one_that_overflows_leaves_nothing_behind() {
    let (sim, bayeux) = world_with(|c| c.limits.queue_messages = 3);
    let me = local(&sim, &bayeux);
    let s = me.session().clone();
    let _ = s.batch(|| {
        for n in 0..5 {
            let _ = s.deliver("/n", &n);
        }
    });
    sim.advance(Duration::from_secs(3_600));
    assert!(!s.exists());
    assert_eq!((bayeux.stats().links, sim.tasks()), (0, 1));
}

#[test]
fn the_bytes_that_wait_for_a_handler_are_bounded() {
    let (sim, bayeux) = world_with(|c| {
        c.limits.queue_bytes = 10_000;
    });
    let me = local(&sim, &bayeux);
    me.on_message("/n", |_| std::future::pending()).unwrap();
    let data = "x".repeat(5_000);
    let mut taken = 0;
    while taken < 5_000 && me.session().deliver("/n", &data).is_ok() {
        taken += 1;
        sim.settle();
    }
    assert_eq!(taken, 3, "one is being handled, one waits, and one is too many");
}

#[test]
fn what_was_handled_counts_no_longer() {
    let (sim, bayeux) = world_with(|c| {
        c.limits.queue_bytes = 10_000;
        c.limits.queue_messages = 3;
    });
    let log = Log::default();
    let me = local(&sim, &bayeux);
    me.on_message("/n", noting(&log)).unwrap();
    let data = "x".repeat(5_000);
    for _ in 0..100 {
        me.session().deliver("/n", &data).unwrap();
        sim.settle();
    }
    assert_eq!(log.lock().unwrap().len(), 100);
}

#[test]
fn a_handlers_id_is_its_own() {
    let (sim, bayeux) = world();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let event = bayeux.on_event(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let me = local(&sim, &bayeux);
    let message = me.on_message("/a", |_| async {}).unwrap();
    assert!(!bayeux.remove_handler(message), "it is none of the server's");
    assert_ne!(event, message);
}

#[test]
fn what_a_local_session_asks_for_is_asked_once_its_future_was_polled() {
    let (sim, bayeux) = world();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, sleeper) = (Arc::clone(&seen), sim.clone());
    bayeux.channel("/a").unwrap().on_message(move |incoming: Incoming| {
        let (log, sleep) = (Arc::clone(&log), sleeper.sleep(Duration::from_secs(1)));
        async move {
            log.lock().unwrap().push(incoming.data::<u32>().unwrap());
            sleep.await;
        }
    });
    let me = local(&sim, &bayeux);
    {
        let (mut one, mut two) = (pin!(me.publish("/a", &1)), pin!(me.publish("/a", &2)));
        let mut cx = Context::from_waker(Waker::noop());
        use std::future::Future;
        assert!(one.as_mut().poll(&mut cx).is_pending());
        assert!(two.as_mut().poll(&mut cx).is_pending());
        sim.settle();
    }
    drop(me);
    sim.advance(Duration::from_secs(60));
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
}

#[test]
fn unsubscribing_leaves_what_on_message_has_added() {
    let (sim, bayeux) = world();
    let me = local(&sim, &bayeux);
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let id = me
        .on_message("/a", move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async {}
        })
        .unwrap();
    let one = me.clone();
    sim.block_on(async move {
        one.subscribe("/a", |_| async {}).await?;
        one.unsubscribe("/a").await
    })
    .unwrap();
    me.session().deliver("/a", &1).unwrap();
    sim.settle();
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(me.remove_handler(id));
}
