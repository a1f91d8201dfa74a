//! cometd-hyper
