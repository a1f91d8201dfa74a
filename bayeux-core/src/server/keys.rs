//! Handles on what the server holds. They are generational: one that is stale misses.

slotmap::new_key_type! {
    /// A session in [`Sessions`](super::session::Sessions).
    pub(super) struct SessionKey;

    /// A channel in [`Channels`](super::channels::Channels).
    pub(super) struct ChannelKey;

    /// A WebSocket, or a local link, among the server's sockets.
    pub(super) struct SocketKey;
}
