//! The exit report as it crosses: an HTTP/1.1 request `POST /exit` with a JSON body, from a guest that may be hostile.
#![forbid(unsafe_code)]

use serde::{Deserialize, Deserializer};

/// The longest request head.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The longest body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The longest error text; a bound for what is shown to people.
pub(crate) const MAX_ERROR_BYTES: usize = 4 * 1024;
/// Linux's highest signal: SIGRTMAX, signal(7).
pub(crate) const MAX_SIGNAL: u8 = 64;
/// The host's code when init could not even try: as `docker run` has it.
pub const CODE_NO_PROCESS: u8 = 125;

/// How the image's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitReport {
    /// Its exit code, when it exited.
    #[serde(deserialize_with = "required")]
    pub exit_code: Option<u8>,
    /// The signal that killed it, when one did.
    #[serde(deserialize_with = "required")]
    pub signal: Option<u8>,
    /// Whether the guest's kernel killed it for memory.
    pub oom_killed: bool,
    /// Why it could not be started, or the kernel's line about why it killed it.
    #[serde(deserialize_with = "required")]
    pub error: Option<String>,
}

/// A report, and the key that came with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Posted {
    /// The body.
    pub report: ExitReport,
    /// What follows `Authorization: Bearer`.
    pub key: Option<String>,
}

/// What a request's head says.
#[derive(Debug)]
struct Head<'a> {
    body_len: usize,
    key: Option<&'a str>,
}

/// A request that gets an answer other than 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'static str,
}

/// A nullable field that must be there: serde takes a missing `Option` for null otherwise.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

impl ExitReport {
    /// The code that a shell would show.
    pub fn code(&self) -> u8 {
        match (self.exit_code, self.signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => CODE_NO_PROCESS,
        }
    }

    fn from_body(body: &[u8]) -> Result<Self, Refusal> {
        let Ok(report) = serde_json::from_slice::<Self>(body) else {
            return refuse(400, "Not An Exit Report");
        };
        let ends = usize::from(report.exit_code.is_some()) + usize::from(report.signal.is_some());
        let signal_is_real = report.signal.is_none_or(|signal| (1..=MAX_SIGNAL).contains(&signal));
        let error_fits = report.error.as_ref().is_none_or(|text| text.len() <= MAX_ERROR_BYTES);
        if ends > 1 || (ends == 0 && report.error.is_none()) || !signal_is_real || !error_fits {
            return refuse(400, "Not A Way To End");
        }
        Ok(report)
    }
}

impl Posted {
    /// Reads what has arrived of a request: `None` as long as more is to come.
    pub fn parse(request: &[u8]) -> Result<Option<Self>, Refusal> {
        let Some(head_len) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if request.len() > MAX_HEAD_BYTES { refuse(431, "Head Too Large") } else { Ok(None) };
        };
        if head_len > MAX_HEAD_BYTES {
            return refuse(431, "Head Too Large");
        }
        let head = head(&request[..head_len])?;
        let body = &request[head_len + 4..];
        if body.len() < head.body_len {
            return Ok(None);
        }
        if body.len() > head.body_len {
            return refuse(400, "More Than One Request");
        }
        let report = ExitReport::from_body(body)?;
        Ok(Some(Self { report, key: head.key.map(str::to_owned) }))
    }
}

/// Checks the request's head, without its empty line.
fn head(head: &[u8]) -> Result<Head<'_>, Refusal> {
    let Ok(head) = std::str::from_utf8(head) else {
        return refuse(400, "Bad Request");
    };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("POST"), Some("/exit"), Some("HTTP/1.1"), None) => {}
        (Some(_), Some("/exit"), Some("HTTP/1.1"), None) => return refuse(405, "Method Not Allowed"),
        (Some(_), Some(_), Some("HTTP/1.1"), None) => return refuse(404, "Not Found"),
        _ => return refuse(400, "Bad Request"),
    }
    let (mut len, mut key) = (None, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return refuse(400, "Bad Request");
        };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return refuse(501, "Not Implemented");
        }
        if name.eq_ignore_ascii_case("authorization") {
            key = value.trim_matches([' ', '\t']).strip_prefix("Bearer ");
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim_matches([' ', '\t']);
            if len.is_some() || value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return refuse(400, "Bad Request");
            }
            len = Some(value.parse().unwrap_or(usize::MAX));
        }
    }
    match len {
        None => refuse(411, "Length Required"),
        Some(len) if len > MAX_BODY_BYTES => refuse(413, "Content Too Large"),
        Some(body_len) => Ok(Head { body_len, key }),
    }
}

fn refuse<T>(status: u16, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/contract/exit_report.json");

    fn request(body: &str) -> String {
        format!(
            "POST /exit HTTP/1.1\r\nauthorization: Bearer 0f\r\nHost: kiln\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn status(request: &str) -> u16 {
        Posted::parse(request.as_bytes()).unwrap_err().status
    }

    #[test]
    fn reads_the_golden_report_however_it_arrives() {
        let whole = request(GOLDEN);
        for end in 0..whole.len() {
            assert_eq!(Posted::parse(&whole.as_bytes()[..end]), Ok(None), "{end} bytes");
        }
        let Posted { report, key } = Posted::parse(whole.as_bytes()).unwrap().unwrap();
        assert_eq!(key.as_deref(), Some("0f"));
        let without = whole.replace("authorization: Bearer 0f", "authorization: Basic 0f");
        assert_eq!(Posted::parse(without.as_bytes()).unwrap().unwrap().key, None);
        assert_eq!(report, ExitReport { exit_code: Some(42), signal: None, oom_killed: false, error: None });
        assert_eq!(report.code(), 42);
    }

    #[test]
    fn codes_are_those_a_shell_shows() {
        let code = |text: &str| ExitReport::from_body(text.as_bytes()).unwrap().code();
        assert_eq!(code(r#"{"exit_code":0,"signal":null,"oom_killed":false,"error":null}"#), 0);
        assert_eq!(code(r#"{"exit_code":null,"signal":15,"oom_killed":false,"error":null}"#), 143);
        assert_eq!(code(r#"{"exit_code":127,"signal":null,"oom_killed":false,"error":"no such file"}"#), 127);
        assert_eq!(code(r#"{"exit_code":null,"signal":null,"oom_killed":false,"error":"no init"}"#), 125);
    }

    #[test]
    fn bodies_that_say_nothing_true_are_refused() {
        for body in [
            "",
            "{}",
            r#"{"exit_code":0,"signal":null,"oom_killed":false}"#,
            r#"{"exit_code":0,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":0,"signal":null,"oom_killed":false,"error":null,"more":1}"#,
            r#"{"exit_code":0,"exit_code":1,"signal":null,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":256,"signal":null,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":-1,"signal":null,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":null,"signal":0,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":null,"signal":65,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":0,"signal":9,"oom_killed":false,"error":null}"#,
            r#"{"exit_code":null,"signal":null,"oom_killed":false,"error":null}"#,
        ] {
            assert_eq!(status(&request(body)), 400, "{body}");
        }
        let long = "x".repeat(MAX_ERROR_BYTES + 1);
        let body = format!(r#"{{"exit_code":125,"signal":null,"oom_killed":false,"error":"{long}"}}"#);
        assert_eq!(status(&request(&body)), 400);
    }

    #[test]
    fn requests_that_are_none_are_refused() {
        let whole = request(GOLDEN);
        for (from, to, expected) in [
            ("POST", "GET", 405),
            ("/exit", "/exit/../x", 404),
            ("HTTP/1.1", "HTTP/0.9", 400),
            ("POST /exit", "POST  /exit", 400),
            ("content-length", "x-length", 411),
            ("Host: kiln", "content-length: 0", 400),
            ("Host: kiln", "Transfer-Encoding: chunked", 501),
            ("Host: kiln", "no colon", 400),
            ("content-length: ", "content-length: +", 400),
            ("content-length: ", "content-length: 9999", 413),
            ("content-length: ", "content-length: 99999999999999999999", 413),
        ] {
            assert!(whole.contains(from), "{from}");
            assert_eq!(status(&whole.replacen(from, to, 1)), expected, "{to}");
        }
        assert_eq!(status(&format!("{whole}GET / HTTP/1.1\r\n")), 400);
        assert_eq!(status(&"x".repeat(MAX_HEAD_BYTES + 1)), 431);
        assert_eq!(status(&whole.replacen("kiln", &"x".repeat(MAX_HEAD_BYTES), 1)), 431);
    }
}
