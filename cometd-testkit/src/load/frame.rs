//! WebSocket frames, from the client's side (RFC 6455 §5.2).
//!
//! By hand, and not with tungstenite: a text is looked at where it was read, without a buffer, a
//! message or a check of UTF-8 for each. What it takes is what the generator can show.

/// What a frame from the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Continuation,
    Text,
    Close,
    Ping,
    Pong,
}

/// A frame at the front of what was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// The last frame of its message.
    pub(super) last: bool,
    pub(super) payload: &'a [u8],
}

/// It is no frame that a server may send to a client that has offered nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoFrame;

/// The first frame and what follows it, or nothing as long as it is not whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, NoFrame> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 => Kind::Text,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(NoFrame),
    };
    // A server masks nothing, and no extension was offered.
    if second & 0x80 != 0 || first & 0x70 != 0 {
        return Err(NoFrame);
    }
    let (length, rest) = match second {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u16::from_be_bytes(*length).into(), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        length => (length.into(), rest),
    };
    let length = usize::try_from(length).map_err(|_| NoFrame)?;
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    Ok(Some((Frame { kind, last: first & 0x80 != 0, payload }, rest)))
}

/// Appends a whole message in one masked frame.
pub(super) fn write(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let code = match kind {
        Kind::Continuation => 0,
        Kind::Text => 1,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    out.push(0x80 | code);
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ ..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    // Unpredictable keys protect caches from scripts in browsers; here is no script.
    let key = [0x37, 0xfa, 0x21, 0x3d];
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write(Kind::Text, payload, &mut frame);
        frame
    }

    /// As a server sends it.
    fn unmasked(payload: &[u8]) -> Vec<u8> {
        let masked = text(payload);
        let head = masked.len() - payload.len() - 4;
        let mut frame = [&masked[..head], payload].concat();
        frame[1] &= 0x7f;
        frame
    }

    #[test]
    fn frames_of_all_lengths_are_read_as_soon_as_they_are_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let payload = vec![b'x'; length];
            let frame = unmasked(&payload);
            for cut in (0..frame.len()).rev().take(4).chain(0..frame.len().min(12)) {
                assert_eq!(read(&frame[..cut]), Ok(None), "{length} {cut}");
            }
            let two = [&frame[..], b"more"].concat();
            let whole = Frame { kind: Kind::Text, last: true, payload: &payload };
            assert_eq!(read(&two), Ok(Some((whole, &b"more"[..]))));
        }
    }

    #[test]
    fn a_client_s_frame_is_masked() {
        let frame = text(b"abc");
        assert_eq!(frame[1], 0x83);
        assert_eq!(frame[6], b'a' ^ frame[2]);
        assert_eq!(read(&frame), Err(NoFrame));
    }

    #[test]
    fn what_was_not_agreed_on_is_refused() {
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x82] {
            assert_eq!(read(&[first, 0]), Err(NoFrame), "{first:x}");
        }
    }
}
