//! The number that says of which shape a file is: looked at first, so that another Inferno's file is named as such.
#![forbid(unsafe_code)]

use serde::Deserialize;

/// What a file of any format says; in those from before there were numbers there is none.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default = "first")]
    format: u32,
}

fn first() -> u32 {
    1
}

/// Refuses a text of another format than `known`. One that says none readably is left to its own parser.
pub fn check(text: &[u8], known: u32) -> Result<(), String> {
    match serde_json::from_slice::<Numbered>(text) {
        Ok(Numbered { format }) if format != known => {
            Err(format!("it has format {format}, and this kiln reads {known}: create the VM again"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_number_passes() {
        assert_eq!(check(b"{\"format\": 2, \"more\": [1]}", 2), Ok(()));
        assert_eq!(
            check(b"{\"format\": 3, \"unheard\": {}}", 2).unwrap_err(),
            "it has format 3, and this kiln reads 2: create the VM again"
        );
        assert!(check(b"{}", 2).unwrap_err().starts_with("it has format 1, "));
        for unreadable in ["", "{\"format\": \"2\"}", "{\"format\": -1}", "{\"format\": 2"] {
            assert_eq!(check(unreadable.as_bytes(), 2), Ok(()), "{unreadable}");
        }
    }
}
