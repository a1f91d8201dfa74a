//! [`CometdBody`]: a response body that says whether it was taken.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::{fmt, mem};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::front::Receipt;

/// The body of a response: one piece of data.
///
/// The server is told that the response was delivered when the connection takes the data. Dropping
/// the body before that means that it was lost; the events in it stay queued for the next response.
pub struct CometdBody {
    data: Bytes,
    receipt: Option<Receipt>,
}

impl CometdBody {
    pub(super) fn new(data: Bytes, receipt: Option<Receipt>) -> Self {
        Self { data, receipt }
    }
}

impl Body for CometdBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(receipt) = self.receipt.take() {
            receipt.delivered();
        }
        let data = mem::take(&mut self.data);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

impl fmt::Debug for CometdBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CometdBody").field("bytes", &self.data.len()).finish_non_exhaustive()
    }
}
