//! The frames of a stream, the connection that `POST /v1/exec`, `/v1/attach` and `/v1/files` become: docs/guest-api.md.
//!
//! Each has a head of 8 bytes (kind, three zeroes, length in big-endian) and a payload of at most 64 KiB.
#![forbid(unsafe_code)]

/// The protocol's name and version, as the Upgrade header has it.
pub const PROTOCOL: &str = "inferno-stream/1";
/// The longest payload of a frame from the host.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
const HEAD_BYTES: usize = 8;
/// Linux's highest signal: SIGRTMAX, signal(7).
pub(crate) const MAX_SIGNAL: u8 = 64;

const STDIN: u8 = 1;
const STDIN_END: u8 = 2;
const RESIZE: u8 = 3;
const SIGNAL: u8 = 4;
const DETACH: u8 = 5;
const STDOUT: u8 = 17;
const STDERR: u8 = 18;
const WINDOW: u8 = 19;
const EXIT: u8 = 20;

/// What the host sends.
#[derive(Debug, PartialEq, Eq)]
pub enum FromHost<'a> {
    /// Bytes for the process's standard input.
    Stdin(&'a [u8]),
    /// There are no more of them.
    StdinEnd,
    /// The terminal's size changed.
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// A signal for the process's group.
    Signal(i32),
    /// The host leaves; the process goes on.
    Detach,
}

/// One of the process's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads one frame: it and its length in bytes, or `None` as long as more is to come.
pub fn parse(bytes: &[u8]) -> Result<Option<(FromHost<'_>, usize)>, Malformed> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else {
        return Ok(None);
    };
    let [kind, 0, 0, 0, a, b, c, d] = *head else {
        return Err(Malformed);
    };
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Malformed)?;
    if len > MAX_PAYLOAD_BYTES {
        return Err(Malformed);
    }
    let Some(payload) = rest.get(..len) else {
        return Ok(None);
    };
    let frame = match (kind, payload) {
        (STDIN, payload) => FromHost::Stdin(payload),
        (STDIN_END, []) => FromHost::StdinEnd,
        (RESIZE, [a, b, c, d]) => {
            FromHost::Resize { rows: u16::from_be_bytes([*a, *b]), cols: u16::from_be_bytes([*c, *d]) }
        }
        (SIGNAL, [signal @ 1..=MAX_SIGNAL]) => FromHost::Signal(i32::from(*signal)),
        (DETACH, []) => FromHost::Detach,
        _ => return Err(Malformed),
    };
    Ok(Some((frame, HEAD_BYTES + len)))
}

/// Appends output; the payload must be at most `MAX_PAYLOAD_BYTES`, which what was read at once is.
pub fn output(out: &mut Vec<u8>, stream: Output, payload: &[u8]) {
    append(out, if stream == Output::Stdout { STDOUT } else { STDERR }, payload);
}

/// Appends leave to send so many more bytes of standard input.
pub fn window(out: &mut Vec<u8>, more: u32) {
    append(out, WINDOW, &more.to_be_bytes());
}

/// Appends how the process ended: one of the two.
pub fn exit(out: &mut Vec<u8>, exit_code: Option<u8>, signal: Option<u8>) {
    let number = |number: Option<u8>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let text = format!("{{\"exit_code\":{},\"signal\":{}}}", number(exit_code), number(signal));
    append(out, EXIT, text.as_bytes());
}

fn append(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("payloads are read into buffers of some KiB");
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn golden(from: &str) -> Vec<Value> {
        let all: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/contract/stream_frames.json")).unwrap();
        all.into_iter().filter(|frame| frame["from"] == from).collect()
    }

    fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
        value.as_u64().and_then(|number| T::try_from(number).ok())
    }

    #[test]
    fn reads_the_golden_frames_however_they_arrive() {
        let frames = golden("host");
        assert_eq!(frames.len(), 5);
        for golden in frames {
            let whole = bytes(golden["bytes"].as_str().unwrap());
            let payload = golden["payload"].as_str().map(bytes);
            let expected = match golden["frame"].as_str().unwrap() {
                "stdin" => FromHost::Stdin(payload.as_deref().unwrap()),
                "stdin_end" => FromHost::StdinEnd,
                "resize" => FromHost::Resize {
                    rows: number(&golden["rows"]).unwrap(),
                    cols: number(&golden["cols"]).unwrap(),
                },
                "signal" => FromHost::Signal(number(&golden["signal"]).unwrap()),
                "detach" => FromHost::Detach,
                other => panic!("{other}"),
            };
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]), Ok(None));
            }
            let len = whole.len();
            assert_eq!(parse(&[whole, vec![9; 20]].concat()), Ok(Some((expected, len))));
        }
    }

    #[test]
    fn writes_the_golden_frames() {
        let frames = golden("guest");
        assert_eq!(frames.len(), 4);
        for golden in frames {
            let payload = golden["payload"].as_str().map(bytes).unwrap_or_default();
            let mut out = Vec::new();
            match golden["frame"].as_str().unwrap() {
                "stdout" => output(&mut out, Output::Stdout, &payload),
                "stderr" => output(&mut out, Output::Stderr, &payload),
                "window" => window(&mut out, number(&golden["more"]).unwrap()),
                "exit" => exit(&mut out, number(&golden["exit_code"]), number(&golden["signal"])),
                other => panic!("{other}"),
            }
            assert_eq!(out, bytes(golden["bytes"].as_str().unwrap()));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_its_payload_comes() {
        for head in [
            [1, 1, 0, 0, 0, 0, 0, 1],
            [1, 0, 0, 1, 0, 0, 0, 1],
            [1, 0, 0, 0, 0, 1, 0, 1],
            [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(parse(&head), Err(Malformed), "{head:?}");
        }
        for frame in [
            "0000000000000000",
            "0200000000000001ff",
            "0500000000000001ff",
            "030000000000000300180050",
            "11000000000000017a",
        ] {
            assert_eq!(parse(&bytes(frame)), Err(Malformed), "{frame}");
        }
        for signal in ["00", "41", "ff"] {
            assert_eq!(parse(&bytes(&format!("0400000000000001{signal}"))), Err(Malformed), "{signal}");
        }
    }
}
