//! Services: templates, typed data, and data that does not fit.

use std::sync::{Arc, Mutex};

use bayeux_core::NameError;
use bayeux_core::front::{Bayeux, Error, Flow, ServiceMessage};
use cometd_testkit::wire::{Client, publish, subscribe};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::peer::world;

#[derive(Deserialize)]
struct Text {
    text: String,
}

/// Serves `template` by writing down what the parameters are.
fn record(bayeux: &Bayeux, template: &str) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let served = bayeux.service(template, move |message: ServiceMessage<Value>| {
        see.lock().unwrap().push(format!("{:?}", message.params()));
        async {}
    });
    served.unwrap();
    seen
}

#[test]
fn a_service_gets_parameters_and_typed_data() {
    let (sim, bayeux) = world();
    let served =
        bayeux.service("/service/room/{name}", |message: ServiceMessage<Text>| async move {
            assert_eq!(message.channel().as_str(), "/service/room/lobby");
            assert!(message.session().is_connected() && message.context().is_some());
            message.reply(&format!("{}: {}", message.param("name"), message.data.text))
        });
    served.unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let message = publish(&id, "/service/room/lobby", json!({ "text": "hello" }));
    let answer = client.send(&json!([message])).messages();
    let expected = json!([
        { "id": "p", "channel": "/service/room/lobby", "successful": true },
        { "id": "p", "channel": "/service/room/lobby", "successful": true, "data": "lobby: hello" },
    ]);
    assert_eq!(in_order(answer), expected);
    assert_eq!(sim.reports(), Vec::<String>::new());
}

/// Replies first: their order among events is the transport's affair.
fn in_order(mut messages: Vec<Value>) -> Value {
    messages.sort_by_key(|it| it.get("data").is_some());
    messages.into()
}

#[test]
fn a_template_sees_its_own_channels_and_no_others_below_its_wildcard() {
    let (sim, bayeux) = world();
    let between = record(&bayeux, "/service/{room}/enter/{door}");
    let wild = record(&bayeux, "/service/lobby/*");
    let plain = record(&bayeux, "/service/lobby");
    let root = record(&bayeux, "/{one}/{two}");
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    for channel in [
        "/service/lobby",
        "/service/lobby/enter",
        "/service/lobby/leave/front",
        "/service/lobby/enter/front",
        "/service/hall/enter/back",
        "/service/hall/enter/back/again",
        "/a/b",
        "/a",
    ] {
        client.send(&json!([publish(&id, channel, 1)]));
    }
    let bound = [r#"{"room": "lobby", "door": "front"}"#, r#"{"room": "hall", "door": "back"}"#];
    assert_eq!(*between.lock().unwrap(), bound);
    assert_eq!(*wild.lock().unwrap(), ["{}"]);
    assert_eq!(*plain.lock().unwrap(), ["{}"]);
    assert_eq!(*root.lock().unwrap(), [r#"{"one": "a", "two": "b"}"#], "no meta, no service");
}

#[test]
fn a_sender_of_data_that_does_not_fit_is_told() {
    let (sim, bayeux) = world();
    let served = bayeux
        .service("/service/room/{name}", |message: ServiceMessage<Text>| async move {
            message.reply(&"not for this handler to see")
        });
    served.unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let answer = client.send(&json!([publish(&id, "/service/room/lobby", json!({ "text": 1 }))]));
    let why = "invalid type: integer `1`, expected a string at line 1 column 9";
    let expected = json!([
        { "id": "p", "channel": "/service/room/lobby", "successful": true },
        {
            "id": "p",
            "channel": "/service/room/lobby",
            "successful": false,
            "data": { "message": why },
        },
    ]);
    assert_eq!(in_order(answer.messages()), expected);
    let report = "service on /service/room/{name} got data that it cannot read, at line 1 column 9";
    assert_eq!(sim.reports(), [report]);

    let mut plain = publish(&id, "/service/room/lobby", json!({ "text": 1 }));
    plain.as_object_mut().unwrap().remove("id");
    let answer = client.send(&json!([plain])).messages();
    assert_eq!(answer, [json!({ "channel": "/service/room/lobby", "successful": true })]);
    assert_eq!(sim.reports(), [report, report]);
}

#[test]
fn what_a_service_on_a_broadcast_channel_cannot_read_goes_no_further() {
    let (sim, bayeux) = world();
    let served = bayeux.service("/room/{name}", |message: ServiceMessage<Text>| async move {
        match (message.param("name"), &*message.data.text) {
            (_, "") => Ok(Flow::Veto),
            (name, text) => Flow::replace(&format!("{name}: {text}")),
        }
    });
    served.unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/room/*")]));
    let send = |data: Value| client.send(&json!([publish(&id, "/room/lobby", data)])).messages();
    let answer = send(json!({ "text": "hello" }));
    assert_eq!(answer.iter().find_map(|it| it.get("data")), Some(&json!("lobby: hello")));
    for data in [json!({ "text": "" }), json!({ "no": "text" })] {
        let answer = send(data);
        assert_eq!(answer.len(), 1, "{answer:?}");
        assert_eq!(answer[0]["error"], "404::message_deleted");
    }
    assert_eq!(sim.reports().len(), 1, "a veto is no mistake, data that does not fit is");
}

#[test]
fn a_service_that_fails_or_panics_is_reported_and_hurts_nobody() {
    let (sim, bayeux) = world();
    let failing = |message: ServiceMessage<u32>| async move {
        match message.data {
            1 => Err("with an error"),
            2 => panic!("with a panic"),
            _ => {
                message.param("nmae");
                Ok(())
            }
        }
    };
    bayeux.service("/service/fail/{name}", failing).unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    for number in 1..=3 {
        let answer = client.send(&json!([publish(&id, "/service/fail/x", number)])).messages();
        assert_eq!(answer.len(), 1);
        assert_eq!(answer[0]["successful"], true);
    }
    let expected = [
        "listener on /service/fail/* failed: with an error",
        "listener on /service/fail/* panicked: with a panic",
        "listener on /service/fail/* panicked: /service/fail/{name} has no variable nmae",
    ];
    assert_eq!(sim.reports(), expected);
}

#[test]
fn the_applications_own_messages_are_served_only_in_the_name_of_a_session() {
    let (sim, bayeux) = world();
    let seen = record(&bayeux, "/service/room/{name}");
    let client = Client::new(&sim, &bayeux);
    client.open();
    let session = bayeux.sessions().pop().unwrap();
    sim.block_on(async move {
        bayeux.publish("/service/room/nobody", &1).await?;
        bayeux.publish_from(&session, "/service/room/somebody", &1).await
    })
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), [r#"{"name": "somebody"}"#]);
}

#[test]
fn a_removed_service_sees_nothing() {
    let (sim, bayeux) = world();
    let served = bayeux
        .service("/service/room/{name}", |message: ServiceMessage<Text>| async move {
            message.reply(&"served")
        });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let send = || {
        let message = publish(&id, "/service/room/x", json!({ "text": "" }));
        client.send(&json!([message])).messages().len()
    };
    assert_eq!(send(), 2);
    let served = served.unwrap();
    assert!(bayeux.remove_listener(&served));
    assert!(!bayeux.remove_listener(&served));
    assert_eq!(send(), 1);
}

#[test]
fn what_is_no_template_is_refused() {
    let (_, bayeux) = world();
    let serve = |template: &str| bayeux.service(template, |_: ServiceMessage<Value>| async {});
    assert!(matches!(serve("/service/{}"), Err(Error::Name(NameError::EmptyVariable))));
    assert!(matches!(serve("/service/{a}/{a}"), Err(Error::Name(NameError::DuplicateVariable))));
    assert!(matches!(serve("/service/{a}/*"), Err(Error::Name(NameError::WildTemplate))));
    assert!(matches!(serve("/meta/{verb}"), Err(Error::MetaChannel)));
    assert!(bayeux.channels().is_empty());
}
