//! cometd-smol
