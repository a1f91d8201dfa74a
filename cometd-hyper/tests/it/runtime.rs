//! The runtime, used from outside of it.

use std::time::Duration;

use cometd_hyper::{Bayeux, start};
use tokio::runtime::Builder;

#[test]
fn the_servers_sleep_works_on_any_thread() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bayeux = {
        let _inside = runtime.enter();
        start(Bayeux::builder()).unwrap()
    };
    smol::block_on(bayeux.sleep(Duration::from_millis(1)));
}
