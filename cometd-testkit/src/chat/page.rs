//! The chat's page: plain HTML, CSS and JavaScript, inside the program.

/// One file of the page.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
}

/// What the page may do: load its own files, and nothing else. To be sent as
/// `Content-Security-Policy` with each file.
pub const SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

/// The file at `path`.
pub fn asset(path: &str) -> Option<Asset> {
    let (content_type, content) = match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/chat.js" => ("text/javascript; charset=utf-8", include_str!("page/chat.js")),
        "/bayeux.js" => ("text/javascript; charset=utf-8", include_str!("page/bayeux.js")),
        _ => return None,
    };
    Some(Asset { content_type, content })
}
