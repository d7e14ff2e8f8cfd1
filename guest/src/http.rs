//! HTTP/1.1, as little as the two sides need: one request per connection, a Content-Length body, limits on all.
#![forbid(unsafe_code)]

/// The longest request head.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The longest body: room for the arguments of a long command.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`, ….
    pub method: &'a str,
    /// What follows it.
    pub path: &'a str,
    /// The protocol that the connection is to become.
    pub upgrade: Option<&'a str>,
    /// May be empty.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

impl Answer {
    /// 200.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into() }
    }

    /// A 4xx or 5xx with its reason.
    pub fn refuse(status: u16, error: &str) -> Self {
        Self { status, body: serde_json::json!({ "error": error }).to_string() }
    }

    /// As it crosses.
    pub fn to_bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            411 => "Length Required",
            413 => "Content Too Large",
            422 => "Unprocessable Content",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            _ => "Internal Server Error",
        };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

/// What a connection says before it becomes a stream.
pub fn switching(protocol: &str) -> Vec<u8> {
    format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")
        .into_bytes()
}

/// Reads what has arrived: `None` as long as more is to come, an answer when it is no good.
pub fn parse(bytes: &[u8]) -> Result<Option<Request<'_>>, Answer> {
    let Some(head_len) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD_BYTES { Err(too_large()) } else { Ok(None) };
    };
    if head_len > MAX_HEAD_BYTES {
        return Err(too_large());
    }
    let bad = || Answer::refuse(400, "malformed request");
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|_| bad())?;
    let (first, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = first.split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    if method.is_empty() || !path.starts_with('/') {
        return Err(bad());
    }
    let Fields { content_length, upgrade } = read_fields(fields)?;
    let body_len = match content_length {
        Some(len) => len,
        None if method == "GET" => 0,
        None => return Err(Answer::refuse(411, "a Content-Length is needed")),
    };
    let body = &bytes[head_len + 4..];
    match body.len() {
        len if len < body_len => Ok(None),
        len if len > body_len => Err(Answer::refuse(400, "more than one request")),
        _ => Ok(Some(Request { method, path, upgrade, body })),
    }
}

/// The header fields that matter here.
struct Fields<'a> {
    content_length: Option<usize>,
    upgrade: Option<&'a str>,
}

fn read_fields(fields: &str) -> Result<Fields<'_>, Answer> {
    let mut found = Fields { content_length: None, upgrade: None };
    for line in fields.split("\r\n").filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Answer::refuse(400, "malformed header field"));
        };
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Answer::refuse(501, "no transfer encoding is known"));
        }
        if name.eq_ignore_ascii_case("upgrade") {
            found.upgrade = Some(value);
        }
        if name.eq_ignore_ascii_case("content-length") {
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            if found.content_length.is_some() || !is_number {
                return Err(Answer::refuse(400, "malformed Content-Length"));
            }
            found.content_length = Some(value.parse().unwrap_or(usize::MAX));
        }
    }
    if found.content_length.is_some_and(|len| len > MAX_BODY_BYTES) {
        return Err(Answer::refuse(413, "the body is over 256 KiB"));
    }
    Ok(found)
}

fn too_large() -> Answer {
    Answer::refuse(431, "the head is over 8 KiB")
}

/// A request with a JSON body, for the peer's port 10001; `key` tells that it is init's.
pub fn post(path: &str, key: Option<&str>, body: &[u8]) -> Vec<u8> {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: kiln\r\n{key}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The status of an answer, once its first line has arrived.
pub fn answer_status(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(bytes: &[u8]) -> u16 {
        parse(bytes).unwrap_err().status
    }

    #[test]
    fn a_request_is_read_however_it_arrives() {
        let whole = post("/v1/signal", Some("0f"), b"{\"signal\": 15}");
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{end} bytes");
        }
        let request = parse(&whole).unwrap().unwrap();
        assert_eq!(
            (request.method, request.path, request.body),
            ("POST", "/v1/signal", &b"{\"signal\": 15}"[..])
        );
        let get = parse(b"GET /v1/ping HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert_eq!((get.method, get.path, get.upgrade, get.body.len()), ("GET", "/v1/ping", None, 0));
        let upgraded = parse(b"GET / HTTP/1.1\r\nupgrade:  x/1\r\n\r\n").unwrap().unwrap();
        assert_eq!(upgraded.upgrade, Some("x/1"));
    }

    #[test]
    fn limits_hold_before_anything_is_parsed() {
        assert_eq!(status(&[b'a'; MAX_HEAD_BYTES + 1]), 431);
        let long = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'a'; MAX_HEAD_BYTES], b"\r\n\r\n"].concat();
        assert_eq!(status(&long), 431);
        assert_eq!(status(b"POST / HTTP/1.1\r\nContent-Length: 262145\r\n\r\n"), 413);
        assert_eq!(status(b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"), 413);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for request in [
            "GET\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1 x\r\n\r\n",
            " / HTTP/1.1\r\n\r\n",
            "GET x HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nnocolon\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nmore",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "\u{0}\r\n\r\n",
        ] {
            assert_eq!(status(request.as_bytes()), 400, "{request:?}");
        }
        assert_eq!(status(b"\xff / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status(b"POST / HTTP/1.1\r\n\r\n"), 411);
        assert_eq!(status(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
    }

    #[test]
    fn an_answer_tells_its_status() {
        let bytes = Answer::refuse(409, "too late").to_bytes();
        assert_eq!(answer_status(&bytes), Some(409));
        assert!(bytes.ends_with(b"\r\n\r\n{\"error\":\"too late\"}"));
        for end in 0..8 {
            assert_eq!(answer_status(&bytes[..end]), None);
        }
        assert_eq!(answer_status(b"SSH-2.0 200\r\n"), None);
    }
}
