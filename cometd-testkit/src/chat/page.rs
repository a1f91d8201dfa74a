//! What the chat serves beside Bayeux: its page, which is inside the program, and figures.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

/// What the page may do: load its own files, and nothing else.
const SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

/// The response to a request for `path`: a file of the page, or at `/metrics` what `figures` gives,
/// a text for Prometheus, to everybody. Where the chat is not for friends only, that belongs on an
/// address which only Prometheus can reach.
pub fn respond(method: &Method, path: &str, figures: impl FnOnce() -> String) -> Response<Bytes> {
    if path == "/metrics" {
        return match *method {
            Method::GET | Method::HEAD => {
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
                response(StatusCode::OK, &headers, figures().into())
            }
            _ => {
                let headers = [(header::ALLOW, "GET, HEAD")];
                response(StatusCode::METHOD_NOT_ALLOWED, &headers, Bytes::new())
            }
        };
    }
    let Some((kind, content)) = file(path) else {
        return response(StatusCode::NOT_FOUND, &[], Bytes::new());
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    response(StatusCode::OK, &headers, Bytes::from_static(content.as_bytes()))
}

fn response(
    status: StatusCode,
    headers: &[(HeaderName, &'static str)],
    body: Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The file at `path`, and its media type.
fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/chat.js" => ("text/javascript; charset=utf-8", include_str!("page/chat.js")),
        "/bayeux.js" => ("text/javascript; charset=utf-8", include_str!("page/bayeux.js")),
        _ => return None,
    })
}
