//! [`Reply`]: what of a server's replies matters to a client.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Reply<'a> {
    pub(super) channel: Option<String>,
    /// Missing in what is no reply.
    pub(super) successful: Option<bool>,
    #[serde(borrow, rename = "clientId")]
    pub(super) client_id: Option<&'a RawValue>,
    pub(super) id: Option<String>,
    pub(super) error: Option<String>,
    pub(super) advice: Option<Advice>,
    pub(super) ext: Option<Ext>,
}

#[derive(Deserialize)]
pub(super) struct Advice {
    pub(super) reconnect: Option<String>,
    /// Milliseconds.
    pub(super) interval: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Ext {
    /// In a handshake whether, in a connect how far, events are acknowledged.
    pub(super) ack: Option<serde_json::Value>,
}

/// The messages of a text.
pub(super) fn read(text: &[u8]) -> Result<Vec<Reply<'_>>, serde_json::Error> {
    // Faye answers some messages outside of an array.
    if text.first() == Some(&b'{') {
        return serde_json::from_slice(text).map(|reply| vec![reply]);
    }
    serde_json::from_slice(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_send_is_understood() {
        let text = br#"[{"ext":{"ack":3},"advice":{"reconnect":"retry","interval":0},"channel":
            "/meta/connect","id":"c","successful":true},{"channel":"/a\/b","data":{"a":[1]}}]"#;
        let replies = read(text).unwrap();
        assert_eq!(replies[0].successful, Some(true));
        assert_eq!(replies[0].advice.as_ref().unwrap().reconnect.as_deref(), Some("retry"));
        assert_eq!(replies[0].ext.as_ref().unwrap().ack, Some(3.into()));
        assert_eq!(replies[1].channel.as_deref(), Some("/a/b"));
        assert_eq!(replies[1].successful, None);
        assert_eq!(read(br#"{"channel":"/x","id":"1"}"#).unwrap()[0].id.as_deref(), Some("1"));
    }
}
