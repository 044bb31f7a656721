//! TLS 1.3 records: opened where they lie, sealed where they go, each number spent once.
//!
//! Owns:  the keys of one direction each, the sequence numbers, and the epoch (which key it is).
//! Never: allocates; opens a record twice, or after one that failed; seals two records that leave under one
//!        number: what is sealed ahead ([`Sealing::ahead`]) may leave only if [`Sealing::spend`] agrees.
//! Wire:  RFC 8446 §5 (records), §5.3 (nonces), §5.5 (how much one key may seal).

use std::hint::black_box;
use std::ops::Range;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::{AlertDescription, ConnectionTrafficSecrets};

/// Type, version, length.
pub(super) const HEADER: usize = 5;
/// The most text of one record (§5.1).
pub(super) const TEXT_MAX: usize = 1 << 14;
/// The most bytes behind a header (§5.2).
const BODY_MAX: usize = TEXT_MAX + 256;
/// The most bytes of a record.
pub(super) const RECORD_MAX: usize = HEADER + BODY_MAX;
/// Authentication tag of all three suites.
const TAG: usize = 16;
/// Longer records are opened by the code that opens this much.
const DRY_MAX: usize = 512;
/// What a record is longer than its text, unpadded: header, inner type, tag.
pub(super) const AROUND: usize = HEADER + 1 + TAG;

/// Content types (§5.1).
pub(super) mod content {
    pub(in crate::metal) const ALERT: u8 = 21;
    pub(in crate::metal) const HANDSHAKE: u8 = 22;
    pub(in crate::metal) const DATA: u8 = 23;
}

/// Why a record or message can't be taken; the link is over, and the other side is told by this alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) alert: AlertDescription,
    pub(super) what: &'static str,
}

impl Flaw {
    #[cold]
    pub(super) const fn new(alert: AlertDescription, what: &'static str) -> Self {
        Self { alert, what }
    }
}

/// A key and what makes its nonces.
struct Key {
    aead: LessSafeKey,
    iv: [u8; 12],
}

impl Key {
    fn new(secrets: &ConnectionTrafficSecrets) -> Result<Self, Flaw> {
        const UNUSABLE: Flaw = Flaw::new(AlertDescription::InternalError, "the agreed keys can't be used");
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(UNUSABLE),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| UNUSABLE)?;
        let iv = iv.as_ref().try_into().map_err(|_| UNUSABLE)?;
        Ok(Self { aead: LessSafeKey::new(key), iv })
    }

    /// §5.3: the number, big-endian, over the end of the iv.
    #[inline]
    fn nonce(&self, sequence: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= number;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

// ───────────────────────────── in ─────────────────────────────

/// The records that come in.
pub(super) struct Opening {
    key: Key,
    sequence: u64,
}

/// One record, opened where it lay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Its content type.
    pub(super) kind: u8,
    /// How many bytes it was.
    pub(super) record: usize,
    /// Where in them its text lies now.
    pub(super) text: Range<usize>,
}

impl Opening {
    pub(super) fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Flaw> {
        Ok(Self { key: Key::new(&secrets)?, sequence })
    }

    /// Opens the first record of `raw`; `None` if it is not all there. A flaw is final.
    #[inline]
    pub(super) fn open(&mut self, raw: &mut [u8]) -> Result<Option<Opened>, Flaw> {
        let Some(header) = raw.first_chunk::<HEADER>() else { return Ok(None) };
        let header = *header;
        if header[0] != content::DATA {
            return Err(Flaw::new(
                AlertDescription::UnexpectedMessage,
                "a record came that is not encrypted",
            ));
        }
        let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if body > BODY_MAX {
            return Err(Flaw::new(AlertDescription::RecordOverflow, "a record is longer than TLS allows"));
        }
        let record = HEADER + body;
        let Some(sealed) = raw.get_mut(HEADER..record) else { return Ok(None) };
        // Never reached in an age of the world; wrapping would use a number twice.
        if self.sequence == u64::MAX {
            return Err(Flaw::new(AlertDescription::InternalError, "too many records under one key"));
        }
        let inner = self
            .key
            .aead
            .open_in_place(self.key.nonce(self.sequence), Aad::from(header), sealed)
            .map_err(|_| Flaw::new(AlertDescription::BadRecordMac, "a record is not what was sealed"))?;
        self.sequence += 1;
        if inner.len() > TEXT_MAX + 1 {
            return Err(Flaw::new(AlertDescription::RecordOverflow, "a record holds more than TLS allows"));
        }
        // Text, its type, zeros (§5.4). The type is never zero.
        let Some(end) = inner.iter().rposition(|byte| *byte != 0) else {
            return Err(Flaw::new(AlertDescription::UnexpectedMessage, "a record holds nothing but padding"));
        };
        Ok(Some(Opened { kind: inner[end], record, text: HEADER..HEADER + end }))
    }
}

impl Opening {
    /// Goes the way of a record with so much text, as far as nothing comes of it: what lies there is none, so it opens
    /// to nothing, and its number is not spent.
    pub(super) fn dry(&self, text: usize) {
        let mut place = [0; DRY_MAX];
        let sealed = &mut place[..text.min(DRY_MAX - 1 - TAG) + 1 + TAG];
        let _ = black_box(self.key.aead.open_in_place(self.key.nonce(self.sequence), Aad::empty(), sealed));
    }
}

// ───────────────────────────── out ─────────────────────────────

/// Which record: the key, and the number under it. Ascending; no two that leave are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) epoch: u32,
    pub(super) sequence: u64,
}

/// The records that go out.
pub(super) struct Sealing {
    key: Key,
    next: Turn,
    /// A key seals no more than this; half of what is safe.
    most: u64,
}

impl Sealing {
    pub(super) fn new(
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
        epoch: u32,
        most: u64,
    ) -> Result<Self, Flaw> {
        Ok(Self { key: Key::new(&secrets)?, next: Turn { epoch, sequence }, most })
    }

    /// Whether the key must be changed before anything else is sealed.
    #[inline]
    pub(super) fn worn(&self) -> bool {
        self.next.sequence >= self.most
    }

    /// What the next record will be.
    #[inline]
    pub(super) fn next(&self) -> Turn {
        self.next
    }

    /// How much the key may seal.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Seals one record behind `out`, for sending: its number is spent.
    #[inline]
    pub(super) fn seal(&mut self, kind: u8, text: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
        let from = out.len();
        out.resize(from + text.len() + AROUND, 0);
        let sealed = self.write(kind, text, &mut out[from..]);
        if sealed.is_err() {
            out.truncate(from);
            return sealed;
        }
        self.next.sequence += 1;
        Ok(())
    }

    /// Seals what may become the next record into `out`, whose length is the text's and [`AROUND`]. Nothing is
    /// spent: of all that is sealed for this turn at most one may leave, after [`Sealing::spend`].
    #[inline]
    pub(super) fn ahead(&self, text: &[u8], out: &mut [u8]) -> Result<Turn, Flaw> {
        self.write(content::DATA, text, out)?;
        Ok(self.next)
    }

    /// Whether what was sealed for this turn may leave now; if so, nothing else of that turn ever may.
    #[inline]
    #[must_use]
    pub(super) fn spend(&mut self, turn: Turn) -> bool {
        let may = turn == self.next && !self.worn();
        self.next.sequence += u64::from(may);
        may
    }

    #[cfg(test)]
    pub(super) fn wear_out_after(&mut self, records: u64) {
        self.most = records;
    }

    #[inline]
    fn write(&self, kind: u8, text: &[u8], out: &mut [u8]) -> Result<(), Flaw> {
        const FAILED: Flaw = Flaw::new(AlertDescription::InternalError, "a record could not be sealed");
        let body = text.len() + 1 + TAG;
        if text.len() > TEXT_MAX || out.len() != HEADER + body || self.next.sequence == u64::MAX {
            return Err(FAILED);
        }
        let [high, low] = (body as u16).to_be_bytes();
        let header = [content::DATA, 3, 3, high, low];
        out[..HEADER].copy_from_slice(&header);
        out[HEADER..HEADER + text.len()].copy_from_slice(text);
        out[HEADER + text.len()] = kind;
        let (inner, tag) = out[HEADER..].split_at_mut(text.len() + 1);
        let made = self
            .key
            .aead
            .seal_in_place_separate_tag(self.key.nonce(self.next.sequence), Aad::from(header), inner)
            .map_err(|_| FAILED)?;
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::crypto::cipher::{AeadKey, Iv};

    /// The same key and iv for every call of one suite.
    fn secrets(suite: u8) -> ConnectionTrafficSecrets {
        let iv = Iv::from([7; 12]);
        let long = || AeadKey::from([9; 32]);
        match suite {
            0 => ConnectionTrafficSecrets::Aes256Gcm { key: long(), iv },
            _ => ConnectionTrafficSecrets::Chacha20Poly1305 { key: long(), iv },
        }
    }

    fn pair(suite: u8, sequence: u64) -> (Sealing, Opening) {
        let sealing = Sealing::new((sequence, secrets(suite)), 0, u64::MAX).unwrap();
        (sealing, Opening::new((sequence, secrets(suite))).unwrap())
    }

    fn sealed(sealing: &mut Sealing, kind: u8, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealing.seal(kind, text, &mut out).unwrap();
        out
    }

    fn alert_of(result: Result<Option<Opened>, Flaw>) -> AlertDescription {
        result.unwrap_err().alert
    }

    #[test]
    fn a_number_is_spent_once_whatever_was_sealed_for_it() {
        let (mut sealing, mut opening) = pair(0, 5);
        let mut ahead = [[0; 3 + AROUND], [0; 3 + AROUND]];
        let first = sealing.ahead(b"one", &mut ahead[0]).unwrap();
        let second = sealing.ahead(b"two", &mut ahead[1]).unwrap();
        assert_eq!(first, second, "for the same turn");
        assert!(sealing.spend(first));
        assert!(!sealing.spend(second), "its number is gone");
        let one = opening.open(&mut ahead[0]).unwrap().unwrap();
        assert_eq!(&ahead[0][one.text], b"one");

        let third = sealing.ahead(b"three", &mut [0; 5 + AROUND]).unwrap();
        let mut ping = sealed(&mut sealing, content::DATA, b"ping");
        assert!(!sealing.spend(third), "something else was sealed meanwhile");
        assert!(opening.open(&mut ping).unwrap().is_some());
        let mut other = Sealing::new((7, secrets(0)), 1, u64::MAX).unwrap();
        let turn = Turn { epoch: 0, sequence: 7 };
        assert!(!other.spend(turn), "the same number under another key");
        assert!(other.spend(Turn { epoch: 1, ..turn }));
    }

    #[test]
    fn a_worn_key_says_so_and_lets_nothing_ahead_go() {
        let mut sealing = Sealing::new((0, secrets(1)), 0, 2).unwrap();
        sealed(&mut sealing, content::DATA, b"a");
        assert!(!sealing.worn());
        let turn = sealing.ahead(b"b", &mut [0; 1 + AROUND]).unwrap();
        assert!(sealing.spend(turn) && sealing.worn());
        let turn = sealing.ahead(b"c", &mut [0; 1 + AROUND]).unwrap();
        assert!(!sealing.spend(turn));
    }

    #[test]
    fn the_last_number_of_all_is_never_used() {
        let (mut sealing, mut opening) = pair(0, u64::MAX - 1);
        let mut last = sealed(&mut sealing, content::DATA, b"x");
        assert!(sealing.seal(content::DATA, b"x", &mut Vec::new()).is_err());
        assert!(opening.open(&mut last.clone()).unwrap().is_some());
        assert_eq!(alert_of(opening.open(&mut last)), AlertDescription::InternalError);
    }

    #[test]
    fn a_record_again_or_out_of_order_is_refused() {
        let (mut sealing, mut opening) = pair(1, 0);
        let first = sealed(&mut sealing, content::DATA, b"first");
        let second = sealed(&mut sealing, content::DATA, b"second");
        assert_eq!(alert_of(opening.open(&mut second.clone())), AlertDescription::BadRecordMac);
        let (_, mut opening) = pair(1, 0);
        assert!(opening.open(&mut first.clone()).unwrap().is_some());
        assert_eq!(alert_of(opening.open(&mut first.clone())), AlertDescription::BadRecordMac);
    }

    #[test]
    fn what_is_no_sealed_record_of_a_legal_size_is_refused_by_its_header() {
        let (_, mut opening) = pair(0, 0);
        for kind in [20, 21, 22, 24, 0] {
            let mut raw = [kind, 3, 3, 0, 1];
            assert_eq!(alert_of(opening.open(&mut raw)), AlertDescription::UnexpectedMessage, "{kind}");
        }
        let [high, low] = (BODY_MAX as u16 + 1).to_be_bytes();
        assert_eq!(alert_of(opening.open(&mut [23, 3, 3, high, low])), AlertDescription::RecordOverflow);
        // The largest length is waited for; one shorter than a tag can't be genuine.
        let [high, low] = (BODY_MAX as u16).to_be_bytes();
        assert_eq!(opening.open(&mut [23, 3, 3, high, low]), Ok(None));
        assert_eq!(alert_of(opening.open(&mut [23, 3, 3, 0, 0])), AlertDescription::BadRecordMac);
    }

    /// A record made by hand: any inner bytes at all.
    fn by_hand(inner: &[u8]) -> Vec<u8> {
        let key = Key::new(&secrets(0)).unwrap();
        let [high, low] = ((inner.len() + TAG) as u16).to_be_bytes();
        let header = [23, 3, 3, high, low];
        let mut text = inner.to_vec();
        key.aead.seal_in_place_append_tag(key.nonce(0), Aad::from(header), &mut text).unwrap();
        [&header[..], &text].concat()
    }

    #[test]
    fn padding_is_taken_off_and_nothing_but_padding_is_refused() {
        let open = |inner: &[u8]| pair(0, 0).1.open(&mut by_hand(inner));
        let padded = open(b"text\x17\0\0\0\0\0").unwrap().unwrap();
        assert_eq!((padded.kind, padded.text), (23, HEADER..HEADER + 4));
        let empty = open(&[23, 0, 0]).unwrap().unwrap();
        assert_eq!((empty.kind, empty.text), (23, HEADER..HEADER));
        assert_eq!(alert_of(open(&[0; 9])), AlertDescription::UnexpectedMessage);
        assert_eq!(alert_of(open(&[])), AlertDescription::UnexpectedMessage);
        let mut most = vec![1; TEXT_MAX];
        most.push(23);
        assert_eq!(open(&most).unwrap().unwrap().text, HEADER..HEADER + TEXT_MAX);
        // Padding counts (§5.2).
        most.push(0);
        assert_eq!(alert_of(open(&most)), AlertDescription::RecordOverflow);
    }

    proptest! {
        /// What is sealed opens to the same, as often as one likes; any bit changed, and it does not.
        #[test]
        fn what_was_sealed_opens(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
            suite in 0u8..2, start: u32, at: usize, bit in 0u8..8,
        ) {
            let (mut sealing, mut opening) = pair(suite, u64::from(start));
            for text in &texts {
                let mut record = sealed(&mut sealing, content::DATA, text);
                let place = at % record.len();
                let mut broken = record.clone();
                broken[place] ^= 1 << bit;
                let opened = opening.open(&mut record).unwrap().unwrap();
                prop_assert_eq!((opened.kind, opened.record), (content::DATA, record.len()));
                prop_assert_eq!(&record[opened.text], &text[..]);
                // As this record's own turn: whether by its header or by its tag, it does not open.
                let mut again = Opening::new((opening.sequence - 1, secrets(suite))).unwrap();
                prop_assert!(!matches!(again.open(&mut broken), Ok(Some(_))));
            }
        }
    }
}
