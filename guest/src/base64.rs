//! Base64 with padding, RFC 4648 section 4: for bytes that JSON cannot carry.
#![forbid(unsafe_code)]

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().enumerate().fold(0u32, |all, (at, byte)| all | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let sextet = (group >> (18 - 6 * at)) & 63;
            text.push(if at > chunk.len() { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    text
}

/// Decodes a text; `None` for one that no bytes are encoded as.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, text) = (Vec::with_capacity(text.len() / 4 * 3), text.as_bytes());
    for (at, chunk) in text.chunks(4).enumerate() {
        let is_last = (at + 1) * 4 >= text.len();
        let padding = chunk.iter().rev().take_while(|byte| **byte == b'=').count();
        if chunk.len() < 4 || padding > 2 || (padding > 0 && !is_last) {
            return None;
        }
        let mut group = 0_u32;
        for byte in &chunk[..4 - padding] {
            let sextet = ALPHABET.iter().position(|known| known == byte)?;
            group = group << 6 | u32::try_from(sextet).ok()?;
        }
        group <<= 6 * padding;
        let [_, whole @ ..] = group.to_be_bytes();
        let (kept, cut) = whole.split_at(3 - padding);
        if cut.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(encode(plain.as_bytes()), encoded);
            assert_eq!(decode(encoded).unwrap(), plain.as_bytes());
        }
        assert_eq!(encode(&[0xff, 0xfe]), "//4=");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn what_is_not_base64_has_no_bytes() {
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm-_",
            "Zm9vY===",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
