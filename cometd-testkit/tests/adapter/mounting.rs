//! Where the server can stand: on its own, under a path.

use std::convert::Infallible;

use bayeux_core::adapter::{CometdLayer, CometdService};
use bayeux_core::front::Bayeux;
use bytes::Bytes;
use cometd_testkit::sim::Sim;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

fn handshake(path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Full::from(r#"[{"channel":"/meta/handshake"}]"#)).unwrap()
}

/// What a service answers.
fn call<S, B, R>(sim: &Sim, service: &mut S, request: Request<B>) -> (StatusCode, String)
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    let answer = service.call(request);
    sim.block_on(async move {
        let response = answer.await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.into()).unwrap())
    })
}

#[test]
fn as_a_service_it_takes_any_path() {
    let sim = Sim::new(1);
    let mut service = CometdService::new(sim.start(Bayeux::builder()).unwrap());
    for path in ["/", "/handshake", "/anything/at/all"] {
        let (status, body) = call(&sim, &mut service, handshake(path));
        assert!(status == StatusCode::OK && body.contains("clientId"), "{path}: {body}");
    }
}

#[test]
fn as_a_layer_it_takes_its_own_path_as_it_was_meant_and_leaves_the_rest() {
    let sim = Sim::new(1);
    let others = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::from("others")))
    });
    for path in ["bayeux", "/bayeux", "/bayeux/", "/"] {
        let layer = CometdLayer::new(sim.start(Bayeux::builder()).unwrap()).path(path);
        let mut service = layer.layer(others);
        for below in ["/bayeux", "/bayeux/", "/bayeux/connect"] {
            let (_, body) = call(&sim, &mut service, handshake(below));
            assert!(body.contains("clientId"), "{path}: {body}");
        }
        let (_, body) = call(&sim, &mut service, handshake("/bayeuxx"));
        assert_eq!(body == "others", path != "/", "{path}: {body}");
    }
}

#[test]
fn a_host_that_cannot_upgrade_says_so() {
    let sim = Sim::new(1);
    let mut service = CometdService::new(sim.start(Bayeux::builder()).unwrap());
    let request = Request::get("/cometd")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(call(&sim, &mut service, request).0, StatusCode::NOT_IMPLEMENTED);
}
