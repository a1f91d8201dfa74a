//! [`Site`]: what is served at all paths that are not Bayeux's.

use core::convert::Infallible;
use core::future::{Future, Ready, ready};
use core::task::{Context, Poll};

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use tower_service::Service;

use super::service::BoxError;

/// What is served at all paths that are not Bayeux's: any tower service of the right type. There
/// is nothing to implement.
pub trait Site:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error: Into<BoxError> + 'static,
        Future: Future + Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Site for S
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;
}

/// What is at all other paths when there is nothing else: 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFound;

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}
