//! cometd-testkit
