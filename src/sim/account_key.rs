//! What the exchange holds of an account's key, and whether a signature is of it.
//!
//! Owns:  both kinds of key, and signatures as they are sent: hex, base64.
//! Never: keeps a private key: only its public half, as the venue has it.
//! Wire:  binance.md §8; vectors in `signing_vectors.json`.

use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// One account's key.
pub(super) enum AccountKey {
    Hmac(hmac::Key),
    /// The public half.
    Ed25519([u8; 32]),
}

impl AccountKey {
    /// The key whose holder signs with `secret`: a private key of Ed25519 in PEM, or any other text by HMAC-SHA256.
    /// `None` for no text, and for a PEM of something else.
    pub(super) fn of(secret: &str) -> Option<Self> {
        if !secret.starts_with("-----BEGIN") {
            let keyed = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            return (!secret.is_empty()).then_some(Self::Hmac(keyed));
        }
        let body = secret.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?;
        let der = unbase64(&body.strip_suffix("-----END PRIVATE KEY-----")?.replace(['\r', '\n'], ""))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()?;
        Some(Self::Ed25519(pair.public_key().as_ref().try_into().ok()?))
    }

    /// Is `signature`, as sent, that of `payload`?
    pub(super) fn verify(&self, payload: &str, signature: &str) -> bool {
        match self {
            Self::Hmac(key) => {
                unhex(signature).is_some_and(|tag| hmac::verify(key, payload.as_bytes(), &tag).is_ok())
            }
            Self::Ed25519(public) => unbase64(signature).is_some_and(|raw| {
                UnparsedPublicKey::new(&ED25519, public).verify(payload.as_bytes(), &raw).is_ok()
            }),
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut tag = [0; 32];
    for (byte, pair) in tag.iter_mut().zip(bytes.chunks(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(tag)
}

/// Padded base64, whole groups of four.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(u32::from(c - b'A')),
        b'a'..=b'z' => Some(u32::from(c - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(c - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.as_bytes().chunks(4);
    let last = groups.len();
    for (at, group) in groups.enumerate() {
        let told = if at + 1 == last { group.iter().rposition(|c| *c != b'=')? + 1 } else { 4 };
        if group.len() != 4 || told < 2 {
            return None;
        }
        let mut bits = 0;
        for c in &group[..told] {
            bits = bits << 6 | digit(*c)?;
        }
        bits <<= 6 * (4 - told);
        bytes.extend_from_slice(&bits.to_be_bytes()[1..told]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Config;
    use serde_json::Value;

    #[test]
    fn every_signature_of_the_page_passes_and_none_with_a_letter_changed() {
        let text = include_str!("../../tests/fixtures/binance/signing_vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let (mut hmac, mut ed25519) = (0, 0);
        for vector in vectors.as_array().unwrap() {
            let field = |name: &str| vector[name].as_str();
            let key = match vector["algorithm"].as_str().unwrap() {
                "HMAC-SHA256" => {
                    hmac += 1;
                    AccountKey::of(field("secret_key").unwrap()).unwrap()
                }
                "Ed25519" if field("public_key_hex").is_some() => {
                    ed25519 += 1;
                    AccountKey::Ed25519(unhex(field("public_key_hex").unwrap()).unwrap())
                }
                _ => continue,
            };
            let (payload, signature) = (field("payload").unwrap(), field("signature").unwrap());
            assert!(key.verify(payload, signature), "{vector}");
            let other = if signature.starts_with('a') { "b" } else { "a" };
            assert!(!key.verify(payload, &format!("{other}{}", &signature[1..])), "{vector}");
            assert!(!key.verify(&format!("{payload} "), signature), "{vector}");
            assert!(!key.verify(payload, &signature[..signature.len() - 1]), "{vector}");
            // Hex is the same in either case; base64 is not.
            let shouted = signature.to_uppercase();
            assert_eq!(key.verify(payload, &shouted), matches!(key, AccountKey::Hmac(_)), "{vector}");
        }
        assert!(hmac == 11 && ed25519 == 5, "{hmac}, {ed25519}");
    }

    #[test]
    fn the_public_half_is_that_of_the_private_key() {
        let text = include_str!("../../tests/fixtures/binance/signing_vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let vector = vectors.as_array().unwrap().iter().find(|v| v["private_key_pem"].is_string()).unwrap();
        let pem = vector["private_key_pem"].as_str().unwrap();
        assert_eq!(pem, Config::ED25519, "the box's own is the one that the page publishes");
        let Some(AccountKey::Ed25519(public)) = AccountKey::of(pem) else { panic!("no key") };
        assert_eq!(Some(public), unhex(vector["public_key_hex"].as_str().unwrap()));
        for wrong in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            &pem.replace("MC4", "MC5"),
            &pem.replace("PRIVATE", "RSA PRIVATE"),
        ] {
            assert!(AccountKey::of(wrong).is_none(), "{wrong}");
        }
    }
}
