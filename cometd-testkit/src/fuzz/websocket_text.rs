//! The target `websocket_text`: how a parcel is cut into the texts of WebSocket messages.

use std::sync::{Arc, LazyLock};

use bayeux_core::http::HttpConfig;
use bayeux_core::ws::{Texts, WebSocketConfig};
use bayeux_core::{
    AckReply, Advice, ChannelName, Config, Decoder, Encoding, Entropy, Input as Happening, Json,
    LinkId, LinkInfo, Message, Output, Parcel, Reconnect, Reply, ReplyChannel, Server, Time,
    Transport, Verb, WallTime, encode,
};
use bytes::Bytes;

use super::input::Input;
use super::json;

/// A line of options, and a line for each message of a parcel.
///
/// The options are words: a number is `max_frame_bytes`, `m` and a number `messages_per_frame`, `t`
/// a timestamp on each message. A message is a letter and a text: `e` an event with the text as
/// data; `h`, `c`, `s`, `u`, `d` and `p` the reply to a handshake, connect, subscribe, unsubscribe,
/// disconnect or publish with the text as id. A capital letter is a reply that acknowledges.
///
/// - The texts have the messages that the whole parcel has, in the same order and to the byte.
/// - A parcel that is acknowledged as a whole is one text. Otherwise no text with more than one
///   message has more bytes or events than the options permit, and none has less events than fit.
/// - An event that goes alone is the buffer that all its subscribers share.
///
/// # Panics
///
/// When one of these does not hold.
pub fn websocket_text(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut config = HttpConfig::default().ws;
    config.messages_per_frame = None;
    let mut parcel = Parcel::default();
    for word in input.text().split(' ') {
        match (word, word.strip_prefix('m').map(str::parse)) {
            ("t", _) => parcel.timestamp = true,
            (_, Some(Ok(count))) => config.messages_per_frame = Some(count),
            _ => config.max_frame_bytes = word.parse().unwrap_or(config.max_frame_bytes),
        }
    }
    if config.validate().is_err() {
        return;
    }
    let lines: Vec<_> = input.lines().into_iter().take(100).map(String::from_utf8_lossy).collect();
    let messages = lines.iter().enumerate().filter_map(|(at, line)| message(at, line));
    let (mut events, mut replies) = (Vec::new(), Vec::new());
    messages.for_each(|it| match it {
        Part::Event(event) => events.push(Arc::new(event)),
        Part::Reply(reply) => replies.push(*reply),
    });
    parcel.events = events.into_iter().collect();
    parcel.replies = replies;
    check(&parcel, &config);
}

enum Part {
    Event(Message),
    Reply(Box<Reply>),
}

/// The message that a line describes.
fn message(at: usize, line: &str) -> Option<Part> {
    let letter = line.chars().next()?;
    let text = Json::new(&line[letter.len_utf8()..]).expect("a string is JSON");
    if letter == 'e' {
        let channel = ChannelName::parse(&format!("/{at}")).expect("a name");
        return Some(Part::Event(Message::new(channel, text)));
    }
    let verb = match letter.to_ascii_lowercase() {
        'h' => Some(Verb::Handshake),
        'c' => Some(Verb::Connect),
        's' => Some(Verb::Subscribe),
        'u' => Some(Verb::Unsubscribe),
        'd' => Some(Verb::Disconnect),
        'p' => None,
        _ => return None,
    };
    let mut reply = REPLY.clone();
    reply.channel = verb.map_or_else(|| ReplyChannel::Echo(text.clone()), ReplyChannel::Meta);
    if verb != Some(Verb::Handshake) {
        (reply.details_mut().client, reply.timesync) = (None, None);
    }
    if verb == Some(Verb::Connect) {
        reply.details_mut().advice = Some(Advice::reconnect(Reconnect::Retry));
    } else if verb == Some(Verb::Subscribe) {
        reply.details_mut().subscription = Some(text.clone());
    }
    reply.id = Some(text);
    if letter.is_ascii_uppercase() {
        let number = u32::try_from(at).unwrap_or_default();
        reply.ack = Some(if verb == Some(Verb::Handshake) {
            AckReply::Enabled(Some(number))
        } else {
            AckReply::Batch(number)
        });
    }
    Some(Part::Reply(Box::new(reply)))
}

/// No secrets are made here.
struct Same;

impl Entropy for Same {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// A reply to a handshake that wants to know the time. Only the machine makes replies.
static REPLY: LazyLock<Reply> = LazyLock::new(|| {
    let config = Config::default();
    let handshake = br#"[{"channel":"/meta/handshake","ext":{"timesync":{"tc":1}}}]"#;
    let payload = Decoder::new(&config).decode(&Bytes::from_static(handshake)).expect("a payload");
    let mut server = Server::new(config, Box::new(Same), Time::ZERO).expect("defaults");
    let link = LinkId(1);
    server.handle(Time::ZERO, Happening::Open { link, info: LinkInfo::new(Transport::WebSocket) });
    server.handle(Time::ZERO, Happening::Receive { link, payload });
    let replies = std::iter::from_fn(|| server.poll_output()).filter_map(|output| match output {
        Output::Send { parcel, .. } => parcel.replies.into_iter().next(),
        _ => None,
    });
    replies.into_iter().next().expect("a handshake is answered")
});

const OFFERED: &[Transport] = &[Transport::WebSocket, Transport::LongPolling];

fn check(parcel: &Parcel, config: &WebSocketConfig) {
    let wall = WallTime::from_millis(1_700_000_000_000);
    let mut whole = Vec::new();
    encode(parcel, Encoding { offered: OFFERED, wall }, &mut whole);
    let mut texts = Texts::new(parcel.clone(), wall);
    let mut cut = Vec::new();
    while let Some(text) = texts.next(OFFERED, config) {
        cut.push(text);
        assert!(cut.len() <= parcel.events.len() + parcel.replies.len(), "none is empty");
    }
    assert_eq!(texts.next(OFFERED, config), None, "all is said");

    let whole = std::str::from_utf8(&whole).expect("JSON is UTF-8");
    let whole_list = json::parse(whole, 100).expect("a parcel is JSON");
    let texts: Vec<&str> =
        cut.iter().map(|it| std::str::from_utf8(it).expect("JSON is UTF-8")).collect();
    let lists: Vec<_> =
        texts.iter().map(|it| json::parse(it, 100).expect("each text is JSON")).collect();
    let mut expected = whole_list.elements().iter().map(|it| it.raw);
    for list in &lists {
        assert!(!list.elements().is_empty(), "each text has messages");
        for message in list.elements() {
            assert_eq!(Some(message.raw), expected.next(), "the next message of {whole}");
        }
    }
    assert_eq!(expected.next(), None, "nothing is left out of {whole}");

    if parcel.is_indivisible() {
        assert_eq!(texts, [whole], "what is acknowledged as a whole is one text");
        return;
    }
    let bound = config.messages_per_frame.map_or(usize::MAX, |it| it as usize);
    let handshake = parcel.replies.first().is_some_and(|it| it.answers(Verb::Handshake));
    // Events come behind a handshake's reply, which has a text of its own.
    let (mut event, mut skip) = (0, usize::from(handshake));
    for (list, text) in lists.iter().zip(&cut) {
        let count = list.elements().len();
        assert!(count == 1 || text.len() <= config.max_frame_bytes, "{text:?} is too long");
        if skip > 0 {
            assert_eq!(count, skip, "a handshake's reply goes alone");
            skip = 0;
        } else if event < parcel.events.len() {
            assert!(count <= bound, "{text:?} has too many events");
            let events = &parcel.events[event..];
            assert!(count <= events.len(), "no text has events and replies");
            if count == 1 && !parcel.timestamp {
                let shared = events[0].as_payload();
                assert_eq!(text.as_ptr(), shared.as_ptr(), "one buffer for all subscribers");
            }
            if let Some(next) = events.get(count).filter(|_| count < bound) {
                // A text of its own takes two bytes more than a place in another one.
                let stamp = if parcel.timestamp { 50 } else { 0 };
                let longer = text.len() + 1 + next.as_bytes().len() + stamp;
                assert!(longer + 2 * count > config.max_frame_bytes, "{next:?} fits into {text:?}");
            }
            event += count;
        }
    }
}
