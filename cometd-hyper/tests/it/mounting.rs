//! Where the server can stand: on its own, under a path, in axum.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use cometd_hyper::{Bayeux, CometdLayer, CometdService, start};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;

fn handshake(path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Full::from(r#"[{"channel":"/meta/handshake"}]"#)).unwrap()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

#[tokio::test]
async fn as_a_service_it_takes_any_path() {
    let mut service = CometdService::new(start(Bayeux::builder()).unwrap());
    for path in ["/", "/handshake", "/anything/at/all"] {
        let response = service.call(handshake(path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(text(response).await.contains("clientId"));
    }
}

#[tokio::test]
async fn as_a_layer_it_takes_its_own_path_and_leaves_the_rest() {
    let router = Router::new().route("/cometdx", get(|| async { "the router" }));
    let layer = CometdLayer::new(start(Bayeux::builder()).unwrap());
    let mut router = router.layer(layer.clone()).fallback(|| async { "nothing" }).layer(layer);
    for path in ["/cometd", "/cometd/", "/cometd/connect"] {
        let request = handshake(path).map(axum::body::Body::new);
        let response = Service::call(&mut router, request).await.unwrap();
        assert!(text(response).await.contains("clientId"), "{path}");
    }
    let request = Request::get("/cometdx").body(axum::body::Body::empty()).unwrap();
    let response = Service::call(&mut router, request).await.unwrap();
    assert_eq!(text(response).await, "the router");
}

#[tokio::test]
async fn the_path_is_taken_as_it_was_meant() {
    for path in ["bayeux", "/bayeux", "/bayeux/", "/"] {
        let layer = CometdLayer::new(start(Bayeux::builder()).unwrap()).path(path);
        let mut router = Router::new().fallback(|| async { "nothing" }).layer(layer);
        let request = handshake("/bayeux/connect").map(axum::body::Body::new);
        let response = Service::call(&mut router, request).await.unwrap();
        assert!(text(response).await.contains("clientId"), "{path}");
    }
}

#[tokio::test]
async fn in_axum_it_can_be_nested_as_a_service() {
    let service = CometdService::new(start(Bayeux::builder()).unwrap());
    let mut router: Router = Router::new().nest_service("/cometd", service);
    let request = handshake("/cometd/handshake").map(axum::body::Body::new);
    let response = Service::call(&mut router, request).await.unwrap();
    assert!(text(response).await.contains("clientId"));
}
