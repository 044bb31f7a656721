//! Signing with an API secret: HMAC-SHA256, as lower-case hex.
//!
//! Owns:  [`Key`], and [`Signer`], which has a constant prefix already absorbed.
//! Never: shows a secret, hands it back, or leaves its text in memory: the text is wiped once the
//!        keyed hash states are made of it.
//! Wire:  binance.md §8. A venue signs the bytes that are sent, in the order they are sent.

use ring::hmac;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// One account's API key: the public part, and a secret that can sign and cannot be read back.
pub struct Key {
    api: Zeroizing<String>,
    secret: hmac::Key,
}

impl Key {
    /// Takes the two texts of a key file; the secret's text is wiped before this returns.
    ///
    /// White space around the secret is no part of it. Of the public part only printable ASCII is
    /// kept: it goes into a header, where a line break would start another one.
    #[must_use]
    pub fn new(mut api: String, mut secret: String) -> Self {
        api.retain(|letter| letter.is_ascii_graphic());
        let keyed = hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
        secret.zeroize();
        Self { api: Zeroizing::new(api), secret: keyed }
    }

    /// The public part, as it travels in a header.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The signature of a whole payload.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> [u8; HEX] {
        self.signer(payload).finish(b"")
    }

    /// A signer that has `prefix` behind it; cloning it per order saves hashing the prefix again.
    #[must_use]
    pub fn signer(&self, prefix: &[u8]) -> Signer {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(prefix);
        Signer(context)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A signature begun.
#[derive(Clone)]
pub struct Signer(hmac::Context);

impl Signer {
    /// The signature of the prefix followed by `rest`. Allocates nothing.
    #[must_use]
    pub fn finish(&self, rest: &[u8]) -> [u8; HEX] {
        let mut context = self.0.clone();
        context.update(rest);
        hex(context.sign().as_ref())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// Length of a signature as text.
pub const HEX: usize = 64;

fn hex(bytes: &[u8]) -> [u8; HEX] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'0'; HEX];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../tests/fixtures/binance/signing_vectors.json");

    /// The WebSocket API's rule: every parameter but the signature, sorted by name, joined by `&`.
    fn sorted(payload: &str) -> String {
        let mut pairs: Vec<&str> = payload.split('&').collect();
        pairs.sort_by_key(|pair| pair.split_once('=').map(|(name, _)| name));
        pairs.join("&")
    }

    /// The engine signs by HMAC; the other published form is held against the same library, so that the
    /// vectors are proven before a key of that kind is ever used.
    #[test]
    fn every_ed25519_vector_is_reproduced() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
        };
        let mut seen = 0;
        // Those without a private key can't be made again; the page says which.
        let whole =
            |v: &&serde_json::Value| v["algorithm"] == "Ed25519" && v["private_key_seed_hex"].is_string();
        for v in vectors.as_array().unwrap().iter().filter(whole) {
            seen += 1;
            let field = |name: &str| v[name].as_str().unwrap();
            let (seed, public) = (bytes(field("private_key_seed_hex")), bytes(field("public_key_hex")));
            let pair = ring::signature::Ed25519KeyPair::from_seed_and_public_key(&seed, &public).unwrap();
            let mut text = Vec::new();
            let signature = pair.sign(field("payload").as_bytes());
            crate::wire::digits::write_base64(&mut text, signature.as_ref()).unwrap();
            assert_eq!(std::str::from_utf8(&text).unwrap(), field("signature"), "{}", field("name"));
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn every_hmac_vector_is_reproduced() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let mut seen = 0;
        for v in vectors.as_array().unwrap() {
            if v["algorithm"] != "HMAC-SHA256" {
                continue;
            }
            seen += 1;
            let field = |name: &str| v[name].as_str().unwrap();
            let key = Key::new(field("api_key").to_owned(), field("secret_key").to_owned());
            let payload = field("payload");
            let expected = field("signature");
            assert_eq!(
                std::str::from_utf8(&key.sign(payload.as_bytes())).unwrap(),
                expected,
                "{}",
                field("name")
            );
            for cut in 0..=payload.len() {
                let (head, tail) = payload.as_bytes().split_at(cut);
                assert_eq!(key.signer(head).finish(tail), key.sign(payload.as_bytes()), "cut at {cut}");
            }
            if field("name").contains("_wsapi_") {
                assert_eq!(sorted(payload), payload, "{} is signed in sorted order", field("name"));
            }
        }
        assert_eq!(seen, 11, "every HMAC row of the page is a test");
    }

    #[test]
    fn a_key_and_a_signer_show_nothing() {
        let key = Key::new("public".to_owned(), "hidden".to_owned());
        assert_eq!(format!("{key:?} {:?}", key.signer(b"hidden")), "Key(..) Signer(..)");
        assert_eq!(key.api(), "public");
    }

    #[test]
    fn a_key_file_with_line_breaks_can_not_start_another_header() {
        let clean = Key::new("public".to_owned(), "hidden".to_owned());
        let untidy = Key::new("pub\r\nlic \n".to_owned(), "hidden\n".to_owned());
        assert_eq!(untidy.api(), clean.api());
        assert_eq!(untidy.sign(b"payload"), clean.sign(b"payload"));
    }
}
