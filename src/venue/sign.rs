//! Signing with an API key: HMAC-SHA256 as hex, or Ed25519 as base64.
//!
//! Owns:  [`Key`], and [`Signer`], an HMAC that has a constant prefix already absorbed.
//! Never: shows a secret, hands it back, or leaves its text in memory: the text is wiped once the
//!        keyed hash states or the private key are made of it.
//! Wire:  binance.md §8. A venue signs the bytes that are sent, in the order they are sent.

use crate::wire::digits::{self, read_base64, write_base64};
use arrayvec::ArrayVec;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// How every key in PEM begins. No secret of an HMAC key does.
pub const PEM: &str = "-----BEGIN";
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// The longest private key in PKCS #8 that is looked at: with its public half it has 85 bytes (RFC 8410).
const PKCS8_MAX: usize = 128;

/// Bytes of a signature: an HMAC's are hex, those of Ed25519 are as they come.
pub const SIGNATURE: usize = 64;
/// Bytes of a signature of Ed25519 in a URL.
pub const ESCAPED: usize = 3 * 88;

/// One account's API key: the public part, and a secret that can sign and cannot be read back.
pub struct Key {
    api: Zeroizing<String>,
    secret: Secret,
}

/// What signs.
#[derive(Clone)]
pub enum Secret {
    /// A shared secret.
    Hmac(hmac::Key),
    /// A private key.
    Ed25519(Arc<Ed25519KeyPair>),
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// A shared secret: every request carries a signature.
    #[default]
    Hmac,
    /// A key pair of which the venue has the public half: it may also log on to a socket once, for all orders there.
    Ed25519,
}

/// A secret in PEM that is no private key of Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret is in PEM, but no private key of Ed25519 in PKCS #8 without a password; `openssl genpkey -algorithm ed25519` makes one"
)]
pub struct NotEd25519;

impl Key {
    /// An HMAC key of the two texts of a key file; the secret's text is wiped before this returns.
    ///
    /// White space around the secret is no part of it. Of the public part only printable ASCII is
    /// kept: it goes into a header, where a line break would start another one.
    #[must_use]
    pub fn new(api: String, mut secret: String) -> Self {
        let keyed = hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
        secret.zeroize();
        Self::of(api, Secret::Hmac(keyed))
    }

    /// The key of the two texts of a key file, of whichever kind: a secret in PEM is a private key of Ed25519, any other
    /// is one of HMAC. Its text is wiped before this returns.
    ///
    /// # Errors
    ///
    /// [`NotEd25519`].
    pub fn read(api: String, secret: String) -> Result<Self, NotEd25519> {
        if !secret.trim_start().starts_with(PEM) {
            return Ok(Self::new(api, secret));
        }
        let secret = Zeroizing::new(secret);
        let text = secret.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
        let mut der = Zeroizing::new([0; PKCS8_MAX]);
        let length = read_base64(text.ok_or(NotEd25519)?, &mut *der).ok_or(NotEd25519)?;
        // Of those without their public half, as most tools write them, that half is worked out.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der[..length]).map_err(|_| NotEd25519)?;
        Ok(Self::of(api, Secret::Ed25519(Arc::new(pair))))
    }

    fn of(mut api: String, secret: Secret) -> Self {
        api.retain(|letter| letter.is_ascii_graphic());
        Self { api: Zeroizing::new(api), secret }
    }

    /// Nobody's key, as long as a real one.
    #[must_use]
    pub fn nobody(kind: KeyKind) -> Self {
        let api = "n".repeat(64);
        match (kind, Ed25519KeyPair::from_seed_unchecked(b"nobody nobody nobody nobody nobo")) {
            (KeyKind::Ed25519, Ok(pair)) => Self::of(api, Secret::Ed25519(Arc::new(pair))),
            _ => Self::new(api, "nobody".to_owned()),
        }
    }

    /// The public part, as it travels in a header.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.secret {
            Secret::Hmac(_) => KeyKind::Hmac,
            Secret::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// What signs, for whoever signs often.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The signature of a whole payload.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> Signature {
        match &self.secret {
            Secret::Hmac(key) => Signature::Hex(Signer::new(key, payload).finish(b"")),
            Secret::Ed25519(pair) => Signature::Raw(ed25519(pair, payload)),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A signature, made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// An HMAC, as lower-case hex.
    Hex([u8; SIGNATURE]),
    /// One of Ed25519.
    Raw([u8; SIGNATURE]),
}

impl Signature {
    /// As it stands in JSON.
    #[must_use]
    pub fn in_json(&self) -> String {
        match self {
            Self::Hex(hex) => hex.iter().copied().map(char::from).collect(),
            Self::Raw(raw) => base64(raw).iter().copied().map(char::from).collect(),
        }
    }

    /// As it stands in a URL or a form.
    #[must_use]
    pub fn in_url(&self) -> String {
        match self {
            Self::Hex(_) => self.in_json(),
            Self::Raw(raw) => escaped(raw).into_iter().map(char::from).collect(),
        }
    }
}

fn base64(raw: &[u8; SIGNATURE]) -> ArrayVec<u8, { ESCAPED / 3 }> {
    let mut text = ArrayVec::new();
    // It is as long as its text needs.
    let _ = write_base64(&mut text, raw);
    text
}

/// A signature of Ed25519 in a URL: base64, of which `+`, `/` and `=` must be percent-encoded. Every letter is, which
/// means the same (RFC 3986 §2.3), so that all are equally long and a template has room for any. Allocates nothing.
#[must_use]
pub fn escaped(raw: &[u8; SIGNATURE]) -> [u8; ESCAPED] {
    let mut out = [b'%'; ESCAPED];
    for ([_, high, low], byte) in out.as_chunks_mut().0.iter_mut().zip(base64(raw)) {
        *high = digits::HEX[usize::from(byte >> 4)];
        *low = digits::HEX[usize::from(byte & 15)];
    }
    out
}

/// The signature of a whole payload. Allocates nothing.
#[must_use]
pub fn ed25519(pair: &Ed25519KeyPair, payload: &[u8]) -> [u8; SIGNATURE] {
    let mut raw = [0; SIGNATURE];
    raw.copy_from_slice(pair.sign(payload).as_ref());
    raw
}

/// An HMAC begun.
#[derive(Clone)]
pub struct Signer(hmac::Context);

impl Signer {
    /// One that has `prefix` behind it; cloning it per order saves hashing the prefix again.
    #[must_use]
    pub fn new(key: &hmac::Key, prefix: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(prefix);
        Self(context)
    }

    /// The HMAC of the prefix followed by `rest`, as hex. Allocates nothing.
    #[must_use]
    pub fn finish(&self, rest: &[u8]) -> [u8; SIGNATURE] {
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

fn hex(bytes: &[u8]) -> [u8; SIGNATURE] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'0'; SIGNATURE];
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

    /// A private key in PKCS #8 as it comes from its seed: RFC 8410, without the public half.
    fn pem(seed_hex: &str) -> String {
        let hex = format!("302e020100300506032b657004220420{seed_hex}");
        let der: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let mut text = Vec::new();
        write_base64(&mut text, &der).unwrap();
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", String::from_utf8(text).unwrap())
    }

    #[test]
    fn every_ed25519_vector_is_reproduced() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let (mut seen, mut published) = (0, 0);
        // Those without a private key can't be made again; the page says which.
        let whole =
            |v: &&serde_json::Value| v["algorithm"] == "Ed25519" && v["private_key_seed_hex"].is_string();
        for v in vectors.as_array().unwrap().iter().filter(whole) {
            seen += 1;
            let field = |name: &str| v[name].as_str().unwrap();
            let made = pem(field("private_key_seed_hex"));
            if let Some(pem) = v["private_key_pem"].as_str() {
                published += 1;
                assert_eq!(made, pem, "{}", field("name"));
            }
            let key = Key::read("public".to_owned(), made).unwrap();
            assert_eq!(key.kind(), KeyKind::Ed25519);
            let signature = key.sign(field("payload").as_bytes());
            assert_eq!(signature.in_json(), field("signature"), "{}", field("name"));
            let url = signature.in_url();
            assert_eq!(url.len(), ESCAPED);
            let decoded: Vec<u8> =
                url[1..].split('%').map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
            assert_eq!(decoded, field("signature").as_bytes());
        }
        assert_eq!(seen, 5);
        assert!(published >= 1, "the page's own PEM is one of them");
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
            let key = Key::read(field("api_key").to_owned(), field("secret_key").to_owned()).unwrap();
            let payload = field("payload");
            let signature = key.sign(payload.as_bytes());
            assert_eq!(
                (signature.in_json(), signature.in_url()),
                (field("signature").to_owned(), field("signature").to_owned()),
                "{}",
                field("name")
            );
            let Secret::Hmac(secret) = key.secret() else { panic!("another kind") };
            for cut in 0..=payload.len() {
                let (head, tail) = payload.as_bytes().split_at(cut);
                let begun = Signature::Hex(Signer::new(secret, head).finish(tail));
                assert_eq!(begun, signature, "cut at {cut}");
            }
            if field("name").contains("_wsapi_") {
                assert_eq!(sorted(payload), payload, "{} is signed in sorted order", field("name"));
            }
        }
        assert_eq!(seen, 11, "every HMAC row of the page is a test");
    }

    #[test]
    fn a_private_key_is_read_as_tools_write_it_and_nothing_else_is_taken_for_one() {
        let plain = pem(&"5a".repeat(32));
        let signed = |text: String| Key::read("k".to_owned(), text).map(|key| key.sign(b"payload"));
        let good = signed(plain.clone()).unwrap();
        assert_eq!(signed(format!("\r\n  {}", plain.replace('\n', "\r\n"))), Ok(good));
        // As ring and OpenSSL 3.5 can write it: with the public half.
        let both = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let mut text = Vec::new();
        write_base64(&mut text, both.as_ref()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let text = format!("{PEM_BEGIN}\n{}\n{}\n{PEM_END}", &text[..64], &text[64..]);
        assert!(matches!(signed(text), Ok(Signature::Raw(_))));
        for wrong in [
            plain.replace("PRIVATE", "PUBLIC"),
            plain.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            plain.replace("PRIVATE", "RSA PRIVATE"),
            plain.replace(PEM_END, ""),
            plain.replace("MC4", "MC5"),
            plain.replace("MC4", "M C4!"),
            plain.replace("MC4", "MC4AAAA"),
            format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", "A".repeat(4_000)),
            format!("{PEM_BEGIN}{PEM_END}"),
        ] {
            let error = signed(wrong.clone()).unwrap_err();
            assert!(error.to_string().contains("openssl genpkey"), "{wrong}");
        }
    }

    #[test]
    fn a_key_and_a_signer_show_nothing() {
        let key = Key::new("public".to_owned(), "hidden".to_owned());
        let Secret::Hmac(secret) = key.secret() else { panic!("another kind") };
        assert_eq!(format!("{key:?} {:?}", Signer::new(secret, b"hidden")), "Key(..) Signer(..)");
        assert_eq!((key.api(), key.kind()), ("public", KeyKind::Hmac));
        for kind in [KeyKind::Hmac, KeyKind::Ed25519] {
            let nobody = Key::nobody(kind);
            assert_eq!((nobody.api().len(), nobody.kind()), (64, kind));
        }
    }

    #[test]
    fn a_key_file_with_line_breaks_can_not_start_another_header() {
        let clean = Key::new("public".to_owned(), "hidden".to_owned());
        let untidy = Key::new("pub\r\nlic \n".to_owned(), "hidden\n".to_owned());
        assert_eq!(untidy.api(), clean.api());
        assert_eq!(untidy.sign(b"payload"), clean.sign(b"payload"));
    }
}
