//! What is at a path, for the host that is about to copy there or from there.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::api::NOT_STARTED;
use crate::failure::reason;
use crate::http::Answer;

/// The answer to `GET /v1/stat`: `found` is null when there is nothing.
pub fn answer(path: &str, follow: bool) -> Answer {
    match look(path, follow) {
        Ok(found) => Answer::ok(json!({ "found": found }).to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Answer::ok(r#"{"found":null}"#),
        Err(error) => Answer::refuse(NOT_STARTED, &format!("{path}: {}", reason(&error))),
    }
}

fn look(path: &str, follow: bool) -> io::Result<Value> {
    let status = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) }?;
    let kind = status.file_type();
    let (name, link) = if kind.is_file() {
        ("file", None)
    } else if kind.is_dir() {
        ("directory", None)
    } else if kind.is_symlink() {
        ("link", Some(fs::read_link(path)?.to_string_lossy().into_owned()))
    } else {
        ("other", None)
    };
    Ok(json!({
        "kind": name,
        "link": link,
        "mode": status.mode() & 0o7777,
        "uid": status.uid(),
        "gid": status.gid(),
        "size": status.size(),
        "mtime": status.mtime(),
    }))
}
