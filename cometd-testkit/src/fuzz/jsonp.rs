//! The target `jsonp`: answers that are scripts.

use bayeux_core::Transport;
use bayeux_core::http::Plan;
use bytes::Bytes;
use http::Request;

use super::answers::{check_answer, one};
use super::input::Input;
use super::json;
use super::planner::payload;
use super::rules::{Fate, fate};
use super::setups::SETUPS;

/// The number of a server's options, a query string, and behind that line a text for the answer.
///
/// - The request is refused, or its first callback is a short plain name and its messages are those
///   of a naive reader of forms.
/// - The answer is a comment, the name, and in parentheses one JSON text that means what the payload
///   means and in which nothing ends a script's line. The payload is what the messages publish, and
///   the text as a string.
/// - It cannot be taken for anything but a script, and opened it becomes a harmless download.
///
/// # Panics
///
/// When one of these does not hold.
pub fn jsonp(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setup = input.choose(&*SETUPS);
    let Ok(request) = Request::get(format!("/cometd?{}", input.text())).body(()) else { return };
    let (head, ()) = request.into_parts();
    let text = String::from_utf8_lossy(input.rest());

    let expected = fate(&head, setup);
    let mut exchange = match setup.mapper.plan(&head) {
        Plan::Exchange(exchange) => exchange,
        Plan::Answer(answer) => {
            assert_eq!(expected, Fate::Answer(answer.status().as_u16()), "{head:?}");
            return check_answer(&answer, &head, setup);
        }
        Plan::Upgrade(_) => panic!("nobody asked for a WebSocket"),
    };
    assert_eq!(expected, Fate::Exchange, "{head:?}");
    assert_eq!(exchange.transport(), Transport::CallbackPolling);
    // There is no body to be read, so what is given as one is not looked at.
    let texts = exchange.texts(Bytes::copy_from_slice(bytes)).expect("there are messages");
    let query = head.uri.query().unwrap_or_default();
    assert_eq!(texts[..], super::form::values(query.as_bytes(), "message"));
    let names = super::form::values(query.as_bytes(), &setup.config.callback_parameter);
    let name = names.first().expect("a callback");

    let quoted = serde_json::to_string(&[text]).expect("a string is JSON");
    for payload in [payload(&texts), Bytes::from(quoted), Bytes::from_static(b"[]")] {
        let answer = exchange.respond(payload.clone(), None);
        check_answer(&answer, &head, setup);
        assert_eq!(answer.status(), 200);
        let kind = one(answer.headers(), "content-type");
        assert_eq!(kind, Some(&b"text/javascript;charset=UTF-8"[..]));
        let download = one(answer.headers(), "content-disposition");
        assert_eq!(download, Some(&b"attachment; filename=f.txt"[..]));

        let script = std::str::from_utf8(answer.body()).expect("UTF-8");
        let inside = script
            .strip_prefix("/**/")
            .and_then(|it| it.strip_prefix(name.as_str()))
            .and_then(|it| it.strip_prefix('('))
            .and_then(|it| it.strip_suffix(')'))
            .expect("a call of the callback");
        assert!(!inside.contains(['\u{2028}', '\u{2029}']), "nothing ends a line: {inside}");
        // One value and nothing behind it: so it ends where the call does.
        let written = json::parse(inside, 100).expect("the argument is JSON");
        let payload = std::str::from_utf8(&payload).expect("JSON is UTF-8");
        let meant = json::parse(payload, 100).expect("the payload is JSON");
        assert!(written.same(&meant), "{inside} means {payload}");
    }
}
