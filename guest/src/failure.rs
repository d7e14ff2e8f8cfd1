//! Why the image's process could not be started, with the exit code that says so.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// init's own failure, as `docker run` has it.
pub const CODE_INIT: u8 = 125;
/// The program is there but cannot be executed.
pub const CODE_NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
pub const CODE_NOT_FOUND: u8 = 127;

/// Why the image's process could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the host shows as the exit code.
    pub code: u8,
    /// One line for people.
    pub text: String,
}

impl Failure {
    /// A failure of init itself.
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: CODE_INIT, text: text.into() }
    }

    /// The program cannot be executed.
    pub fn not_executable(text: impl Into<String>) -> Self {
        Self { code: CODE_NOT_EXECUTABLE, text: text.into() }
    }

    /// There is no such program.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self { code: CODE_NOT_FOUND, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Says what init was at when a call failed.
pub trait Doing<T> {
    /// `mount /proc: Invalid argument`, for `what` = `mount /proc`.
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{what}: {}", reason(&error))))
    }
}

/// An error's text without std's ` (os error 2)`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
