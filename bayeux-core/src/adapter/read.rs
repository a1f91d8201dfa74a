//! Reading a request's body, within its bounds of size and time.

use alloc::boxed::Box;
use core::mem;
use core::pin::Pin;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::timer::within;
use crate::front::Bayeux;

/// What is read of a refused body, so that its sender gets to see why it was refused: closing a
/// connection with unread bytes resets it, and takes the response along (RFC 9112 §9.6). What is
/// beyond this loses its response.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// How long a refused body may take, in all and between two pieces: a peer that waits for the
/// response instead of sending on shall get it.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_PAUSE: Duration = Duration::from_millis(200);

/// Why a body was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadError {
    /// It is longer than it may be.
    TooLarge,
    /// It took longer than it may.
    TooSlow,
    /// The connection broke off.
    Broken,
}

/// What was read of a body already.
pub(super) enum Start {
    /// Nothing was there.
    Nothing,
    /// A piece, behind which there is more.
    Some(Bytes),
    /// All of it.
    All(Bytes),
    /// It broke off.
    Broken,
}

/// Reads the rest of `body`.
pub(super) async fn read<B>(
    bayeux: &Bayeux,
    start: Start,
    mut body: Pin<Box<B>>,
    limit: usize,
    time: Duration,
) -> Result<Bytes, ReadError>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let read = match start {
        Start::Broken => Err(ReadError::Broken),
        Start::All(data) if data.len() > limit => Err(ReadError::TooLarge),
        Start::All(data) => Ok(data),
        Start::Some(data) if data.len() > limit => Err(ReadError::TooLarge),
        Start::Nothing | Start::Some(_) => {
            let first = if let Start::Some(data) = start { data } else { Bytes::new() };
            let reading = within(bayeux, time, collect(first, &mut body, limit));
            reading.await.unwrap_or(Err(ReadError::TooSlow))
        }
    };
    if read == Err(ReadError::TooLarge) {
        discard(bayeux, body).await;
    }
    read
}

async fn collect<B: Body + Unpin>(
    mut first: Bytes,
    body: &mut B,
    limit: usize,
) -> Result<Bytes, ReadError> {
    // What comes in one piece is taken as it is.
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(ReadError::Broken) };
        let Ok(mut data) = frame.into_data() else { continue };
        let length = bytes::Buf::remaining(&data);
        if first.len() + all.len() + length > limit {
            return Err(ReadError::TooLarge);
        }
        let data = bytes::Buf::copy_to_bytes(&mut data, length);
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads the rest of a refused body and forgets it, within bounds of its own.
pub(super) async fn discard<B: Body + Unpin>(bayeux: &Bayeux, mut body: B) {
    let reading = async {
        let mut read = 0;
        while let Some(Some(Ok(frame))) = within(bayeux, LINGER_PAUSE, body.frame()).await {
            read += frame.data_ref().map_or(0, bytes::Buf::remaining);
            if read > LINGER_BYTES {
                return;
            }
        }
    };
    within(bayeux, LINGER_TIME, reading).await;
}
