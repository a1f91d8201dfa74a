//! The chat, without its page.

use std::time::Duration;

use bayeux_core::front::Bayeux;
use cometd_testkit::chat;
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Answer, Client, connect, publish, subscribe};
use serde_json::{Value, json};

struct World {
    sim: Sim,
    bayeux: Bayeux,
}

struct User {
    client: Client,
    id: String,
}

impl World {
    fn new() -> Self {
        let sim = Sim::new(7);
        let bayeux = chat::build(Bayeux::builder(), |builder| sim.start(builder)).unwrap();
        Self { sim, bayeux }
    }

    fn try_join(&self, name: &str, key: &str) -> (Client, Answer) {
        let client = Client::new(&self.sim, &self.bayeux);
        let ext = json!({ "chat": { "user": name, "key": key } });
        let answer = client.send(&json!([{ "channel": "/meta/handshake", "ext": ext }]));
        (client, answer)
    }

    fn join(&self, name: &str) -> User {
        let (client, answer) = self.try_join(name, &format!("key of {name}"));
        let id = answer.messages()[0]["clientId"].as_str().unwrap().to_owned();
        let user = User { client, id };
        user.client.send(&json!([connect(&user.id)]));
        user
    }
}

impl User {
    /// Enters a room and gets everything that comes with it.
    fn enter(&self, room: &str) -> Vec<Value> {
        let names = json!([format!("/members/{room}"), format!("/chat/{room}")]);
        let mut seen = self.client.send(&json!([subscribe(&self.id, names)])).messages();
        seen.extend(self.poll());
        seen
    }

    /// Whatever is there for the user.
    fn poll(&self) -> Vec<Value> {
        let mut connect = connect(&self.id);
        connect["advice"] = json!({ "timeout": 0 });
        self.client.send(&json!([connect])).messages()
    }

    fn say(&self, room: &str, text: &str) -> Vec<Value> {
        let message = publish(&self.id, &format!("/chat/{room}"), json!({ "text": text }));
        self.client.send(&json!([message])).messages()
    }
}

fn on<'a>(messages: &'a [Value], channel: &str) -> Vec<&'a Value> {
    messages.iter().filter(|it| it["channel"] == channel).filter_map(|it| it.get("data")).collect()
}

#[test]
fn members_see_who_comes_and_goes() {
    let world = World::new();
    let ann = world.join("Ann");
    let seen = ann.enter("lobby");
    let alone = json!({ "room": "lobby", "members": ["Ann"] });
    let joined = |name: &str| json!({ "room": "lobby", "joined": name });
    assert_eq!(on(&seen, "/members/lobby"), [&alone, &joined("Ann")]);

    let bob = world.join("Bob");
    let both = json!({ "room": "lobby", "members": ["Ann", "Bob"] });
    assert_eq!(on(&bob.enter("lobby"), "/members/lobby"), [&both, &joined("Bob")]);
    assert_eq!(on(&ann.poll(), "/members/lobby"), [&joined("Bob")]);

    bob.client.send(&json!([{ "channel": "/meta/disconnect", "clientId": bob.id }]));
    let left = json!({ "room": "lobby", "left": "Bob" });
    assert_eq!(on(&ann.poll(), "/members/lobby"), [&left]);
}

#[test]
fn whoever_vanishes_leaves_when_the_session_expires() {
    let world = World::new();
    let (ann, bob) = (world.join("Ann"), world.join("Bob"));
    ann.enter("lobby");
    bob.enter("lobby");
    ann.poll();
    world.sim.advance(Duration::from_secs(9));
    ann.poll();
    world.sim.advance(Duration::from_secs(2));
    let left = json!({ "room": "lobby", "left": "Bob" });
    assert_eq!(on(&ann.poll(), "/members/lobby"), [&left]);
}

#[test]
fn the_server_signs_messages_and_remembers_the_last_ones() {
    let world = World::new();
    let ann = world.join("Ann");
    ann.enter("lobby");
    world.sim.advance(Duration::from_secs(5));
    for number in 0..60 {
        let text = format!("<b>{number}</b>");
        let time = world.bayeux.wall().as_millis();
        let signed = json!({ "id": number + 1, "user": "Ann", "text": text, "time": time });
        assert_eq!(on(&ann.say("lobby", &text), "/chat/lobby"), [&signed]);
    }
    let bob = world.join("Bob");
    let seen = bob.enter("lobby");
    let history = on(&seen, "/service/history");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["messages"].as_array().unwrap().len(), 50);
    assert_eq!(history[0]["messages"][49]["id"], 60);
}

#[test]
fn private_messages_reach_both_ends_and_nobody_else() {
    let world = World::new();
    let [ann, bob, eve] = ["Ann", "Bob", "Eve"].map(|name| world.join(name));
    for user in [&ann, &bob, &eve] {
        user.enter("lobby");
    }
    let message = publish(&ann.id, "/service/private", json!({ "to": "Bob", "text": "psst" }));
    let seen = ann.client.send(&json!([message])).messages();
    let time = world.bayeux.wall().as_millis();
    let expected = json!({ "from": "Ann", "to": "Bob", "text": "psst", "time": time });
    assert_eq!(on(&seen, "/service/private"), [&expected]);
    assert_eq!(on(&bob.poll(), "/service/private"), [&expected]);
    assert_eq!(on(&eve.poll(), "/service/private").len(), 0);

    let message = publish(&ann.id, "/service/private", json!({ "to": "Nobody", "text": "?" }));
    let seen = ann.client.send(&json!([message])).messages();
    let unknown = json!({ "to": "Nobody", "error": "unknown user" });
    assert_eq!(on(&seen, "/service/private"), [&unknown]);
}

#[test]
fn names_belong_to_one_person_at_a_time() {
    let world = World::new();
    let ann = world.join("Ann");
    for (name, key, reason) in [
        ("Ann", "another key", "name_taken"),
        ("<Ann>", "key", "name_invalid"),
        ("  ", "key", "name_invalid"),
        ("Bob", "", "name_invalid"),
        ("a name that is much too long", "key", "name_invalid"),
    ] {
        let reply = world.try_join(name, key).1.messages()[0].clone();
        assert_eq!(reply["error"], format!("403:{reason}:handshake_denied"), "{name}");
        assert_eq!(reply["advice"]["reconnect"], "none");
    }
    // The page has lost its session and comes back with its key: the old session ends.
    let again = world.join("Ann");
    let old = ann.poll();
    assert_eq!(old.last().unwrap()["advice"], json!({ "reconnect": "none" }));
    assert_eq!(again.poll()[0]["successful"], true);
    // Once she has left, the name is free.
    again.client.send(&json!([{ "channel": "/meta/disconnect", "clientId": again.id }]));
    assert_eq!(world.try_join("Ann", "another key").1.messages()[0]["successful"], true);
}

#[test]
fn nobody_speaks_for_the_server_or_listens_in_everywhere() {
    let world = World::new();
    let eve = world.join("Eve");
    for channel in ["/members/lobby", "/service/history", "/elsewhere"] {
        let reply = eve.client.send(&json!([publish(&eve.id, channel, json!({}))]));
        assert_eq!(reply.messages().last().unwrap()["successful"], false, "{channel}");
    }
    for pattern in ["/**", "/chat/*", "/members/**", "/elsewhere"] {
        let reply = eve.client.send(&json!([subscribe(&eve.id, pattern)]));
        assert_eq!(reply.messages()[0]["successful"], false, "{pattern}");
    }
    for text in [json!(""), json!("a".repeat(2_001)), json!(5)] {
        let message = publish(&eve.id, "/chat/lobby", json!({ "text": text }));
        let reply = eve.client.send(&json!([message])).messages();
        assert_eq!(reply.last().unwrap()["error"], "403:text_invalid:publish_denied");
    }
}
