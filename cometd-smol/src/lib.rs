//! The Bayeux (CometD) server for smol and async-io.
//!
//! The adapter is not written yet: this crate has no items. The server's front is runtime-neutral
//! already (`bayeux_core::front`); what will be here is what `cometd-hyper` is for tokio.
