//! The server in axum.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use cometd_hyper::{Bayeux, CometdLayer, CometdService, start};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

fn handshake(path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Full::from(r#"[{"channel":"/meta/handshake"}]"#)).unwrap()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

#[tokio::test]
async fn as_a_layer_it_takes_its_own_path_and_leaves_the_rest() {
    let router = Router::new().route("/cometdx", get(|| async { "the router" }));
    let layer = CometdLayer::new(start(Bayeux::builder()).unwrap());
    let mut router = router.layer(layer.clone()).fallback(|| async { "nothing" }).layer(layer);
    for path in ["/cometd", "/cometd/", "/cometd/connect"] {
        let request = handshake(path).map(Body::new);
        let response = Service::call(&mut router, request).await.unwrap();
        assert!(text(response).await.contains("clientId"), "{path}");
    }
    let request = Request::get("/cometdx").body(Body::empty()).unwrap();
    let response = Service::call(&mut router, request).await.unwrap();
    assert_eq!(text(response).await, "the router");
}

#[tokio::test]
async fn the_path_is_taken_as_it_was_meant() {
    for path in ["bayeux", "/bayeux", "/bayeux/", "/"] {
        let layer = CometdLayer::new(start(Bayeux::builder()).unwrap()).path(path);
        let mut router = Router::new().fallback(|| async { "nothing" }).layer(layer);
        let request = handshake("/bayeux/connect").map(Body::new);
        let response = Service::call(&mut router, request).await.unwrap();
        assert!(text(response).await.contains("clientId"), "{path}");
    }
}

#[tokio::test]
async fn in_axum_it_can_be_nested_as_a_service() {
    let service = CometdService::new(start(Bayeux::builder()).unwrap());
    let mut router: Router = Router::new().nest_service("/cometd", service);
    let request = handshake("/cometd/handshake").map(Body::new);
    let response = Service::call(&mut router, request).await.unwrap();
    assert!(text(response).await.contains("clientId"));
}

#[tokio::test]
async fn in_axum_it_upgrades_as_well() {
    let bayeux = start(Bayeux::builder()).unwrap();
    let router: Router = Router::new().fallback(|| async { "x" }).layer(CometdLayer::new(bayeux));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /cometd/ HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    // A text with a mask of zeros, which changes nothing.
    let text = br#"[{"channel":"/meta/handshake"}]"#;
    stream.write_all(&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0]).await.unwrap();
    stream.write_all(text).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"}]") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "{}", heard.escape_ascii());
    }
    let heard = heard.escape_ascii().to_string();
    assert!(heard.starts_with("HTTP/1.1 101 ") && heard.contains("clientId"), "{heard}");
}
