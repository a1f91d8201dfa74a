//! 8.8, browser identity and several clients in one browser.

use bayeux_core::front::Bayeux;
use bayeux_core::http::{HttpConfig, SameSite};
use cometd_testkit::wire;
use http::Version;
use serde_json::{Value, json};

use crate::support::{Peer, World, connected, ms, unknown};

/// Whether a connect that is answered at once is told to poll.
fn polls(peer: &Peer) -> bool {
    let answer = peer.start(wire::connect(&peer.id)).take().expect("it is answered at once");
    let reply = answer.messages().remove(0);
    assert_eq!(reply["advice"]["interval"], 1_500, "{reply}");
    reply["successful"] == true && reply["advice"]["multiple-clients"] == true
}

/// A server, and three tabs of one browser.
fn tabs(limit: Option<u32>) -> (World, [Peer; 3]) {
    let world = World::with(|config| {
        config.timeout = ms(10_000);
        config.max_sessions_per_browser = limit;
        config.multi_session_interval = ms(1_500);
    });
    let first = world.open();
    let (second, third) = (world.open_tab(&first), world.open_tab(&first));
    (world, [first, second, third])
}

#[test]
fn b157_b158_b162_one_tab_is_held_and_the_others_may_be_refused() {
    let world = World::with(|config| {
        config.timeout = ms(10_000);
        config.multi_session_interval = ms(0);
    });
    let first = world.open();
    let second = world.open_tab(&first);
    let mut held = first.hold();
    assert_eq!(
        second.connect(),
        json!([{
            "id": "c", "channel": "/meta/connect", "successful": false,
            "advice": { "reconnect": "none", "multiple-clients": true },
        }])
    );
    assert!(held.is_held(), "the first one is not affected");
    drop(held);
    second.hold();
}

#[test]
fn b159_b160_without_its_cookie_a_session_is_unknown_unless_ids_are_trusted() {
    let world = World::new();
    let peer = world.open();
    peer.client.set_cookie(None);
    let answer = peer.start(wire::connect(&peer.id)).take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([unknown()]));

    let world = World::with(|config| config.trust_client_session = true);
    let peer = world.open();
    for cookie in [None, Some("BAYEUX_BROWSER=nonsense")] {
        peer.client.set_cookie(cookie);
        assert_eq!(peer.hold().wait().json(), json!([connected()]));
    }
}

#[test]
fn b161_cookie_attributes() {
    type Change = fn(&mut HttpConfig);
    let table: &[(Change, &str)] = &[
        (|_| (), "; Path=/; HttpOnly"),
        (
            |it| it.browser_cookie_domain = Some("a.example".into()),
            "; Domain=a.example; Path=/; HttpOnly",
        ),
        (|it| it.browser_cookie_path = Some("/x".into()), "; Path=/x; HttpOnly"),
        (|it| it.browser_cookie_path = None, "; HttpOnly"),
        (|it| it.browser_cookie_max_age = Some(9), "; Path=/; Max-Age=9; HttpOnly"),
        (|it| it.browser_cookie_http_only = false, "; Path=/"),
        (|it| it.browser_cookie_secure = true, "; Path=/; HttpOnly; Secure"),
        (
            |it| it.browser_cookie_same_site = Some(SameSite::Strict),
            "; Path=/; HttpOnly; SameSite=Strict",
        ),
    ];
    for (change, expected) in table {
        let mut http = HttpConfig::default();
        http.browser_cookie_name = "name".into();
        change(&mut http);
        let world = World::build(Bayeux::builder().http(http), |_| ());
        let answer = world.client().send(&json!([{ "channel": "/meta/handshake" }]));
        let cookie = answer.header("set-cookie").expect("a cookie");
        assert!(cookie.starts_with("name="), "{cookie}");
        assert_eq!(&cookie["name=".len() + 36..], *expected);
    }
}

#[test]
fn b163_b164_surplus_tabs_poll_until_the_held_one_ends() {
    let (_world, [first, second, third]) = tabs(Some(1));
    let mut held = first.hold();
    assert!(polls(&second) && polls(&third) && polls(&second));
    assert!(held.is_held());
    held.lose();
    let mut held = second.hold();
    assert!(polls(&third));
    second.ask(json!({ "channel": "/meta/disconnect" }));
    assert!(held.take().is_some());
    third.hold();
}

#[test]
fn b163_a_surplus_tab_lives_for_as_long_as_it_is_told_to_wait() {
    let world = World::with(|config| config.multi_session_interval = ms(5_000));
    let first = world.open();
    let second = world.open_tab(&first);
    let held = first.hold();
    assert_eq!(second.connect()[0]["advice"]["interval"], 5_000);
    drop(held);
    world.pass(6_999);
    assert!(world.find_session(&second).is_some());
    world.pass(1);
    assert!(world.find_session(&second).is_none());
}

#[test]
fn b165_b166_the_number_of_held_tabs_is_an_option() {
    let (_world, [first, second, third]) = tabs(Some(2));
    let held = [first.hold(), second.hold()];
    assert!(polls(&third));
    drop(held);
    let _held = [third.hold(), first.hold()];
    assert!(polls(&second));

    let (world, tabs) = tabs(None);
    let _held = tabs.each_ref().map(Peer::hold);
    assert_eq!(world.bayeux.stats().held, 3);
}

#[test]
fn b167_over_http_2_all_tabs_are_held() {
    let world = World::new();
    let first = world.open();
    let second = world.open_tab(&first);
    let held = [&first, &second].map(|peer| {
        let mut request = peer.client.request(json!([wire::connect(&peer.id)]).to_string());
        *request.version_mut() = Version::HTTP_2;
        let mut held = peer.client.start(request);
        assert!(held.is_held());
        held
    });
    for held in held {
        assert_eq!(held.wait().json(), json!([connected()]));
    }
}

#[test]
fn b168_b169_a_foreign_client_id_is_unknown() {
    let world = World::new();
    let (victim, thief) = (world.open(), world.open());
    victim.subscribe("/foo");
    let held = victim.hold();
    let stolen = |data: u8| json!({ "channel": "/foo", "clientId": victim.id, "data": data });
    let refused =
        json!({ "channel": "/foo", "successful": false, "error": "402::session_unknown" });
    assert_eq!(thief.ask(stolen(1)), json!([refused]));
    let own = json!({ "channel": "/own", "data": 2 });
    assert_eq!(
        thief.ask_all([own, stolen(3)]),
        json!([{ "channel": "/own", "successful": true }, refused])
    );
    let disconnect = json!({ "channel": "/meta/disconnect", "clientId": victim.id });
    assert_eq!(thief.ask(disconnect)[0]["error"], "402::session_unknown");
    assert_eq!(held.wait().json(), json!([connected()]));
}

#[test]
fn b170_a_foreign_client_id_is_accepted_where_ids_are_trusted() {
    let world = World::with(|config| config.trust_client_session = true);
    let (owner, other) = (world.open(), world.open());
    owner.subscribe("/foo");
    let publish = |id: &str| json!({ "channel": "/foo", "clientId": id, "data": 1 });
    let answer = other.ask(publish(&owner.id));
    let reply = json!({ "channel": "/foo", "successful": true });
    assert_eq!(answer, json!([{ "channel": "/foo", "data": 1 }, reply]));
    // A payload belongs to one session all the same.
    let answer: Value = other.ask_all([publish(&other.id), publish(&owner.id)]);
    assert_eq!(answer[1]["error"], "402::session_unknown");
}

#[test]
fn b171_the_cookie_is_found_among_others() {
    let world = World::new();
    let peer = world.open();
    let own = peer.client.cookie().expect("a cookie");
    let value = own.split_once('=').expect("name and value").1.to_string();
    for cookie in [
        format!("a=1; {own}"),
        format!("{own};b=2"),
        format!("a=\"1\"; {own} ; c"),
        format!("BAYEUX_BROWSER=foreign; {own}"),
        format!("BAYEUX_BROWSER=\"{value}\""),
    ] {
        peer.client.set_cookie(Some(&cookie));
        assert_eq!(peer.hold().wait().json(), json!([connected()]), "{cookie}");
    }
    for cookie in [format!("X{own}"), format!("{own}0"), "BAYEUX_BROWSER".to_string()] {
        peer.client.set_cookie(Some(&cookie));
        assert_eq!(peer.connect(), json!([unknown()]), "{cookie}");
    }
}
