//! Messages sealed ahead of being sent, so that sending one is picking it.
//!
//! Owns:  the sealed bytes; nobody else ever sees them. A room holds a [`Sealed`]: a claim check, good for one
//!        send, and only if nothing else left on the link since.
//! Never: gives bytes out twice, or after their turn: several may be sealed for one turn, and two of them on the
//!        wire would give the key away.
//! Why:   sealing an order costs as much as everything else between quote and order together (HOTPATH §2.3).

use arrayvec::ArrayVec;
use zeroize::Zeroize;

use super::prefetch;
use super::tls_record::{AROUND, Turn};
use crate::units::id::LinkId;

/// How many messages one link keeps sealed.
pub const PLACES: usize = 64;
/// The longest message that is sealed ahead.
pub const MESSAGE_MAX: usize = 1_024;

/// A message that lies sealed in a link. It can't be copied, and sending takes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sealed {
    link: LinkId,
    place: u8,
    /// Tells it from what lay in its place before.
    made: u64,
    turn: Turn,
}

/// A record in its place.
pub(super) type Record = ArrayVec<u8, { MESSAGE_MAX + AROUND }>;

#[derive(Default)]
struct Place {
    /// 0: nothing lies here.
    made: u64,
    record: Record,
}

/// The messages of one link.
pub(super) struct Ahead {
    places: [Place; PLACES],
    /// Which turn they are all for.
    turn: Option<Turn>,
    made: u64,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { places: std::array::from_fn(|_| Place::default()), turn: None, made: 0 }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.places.iter_mut().for_each(Place::wipe);
    }

    /// Puts a message sealed by `seal` into a free place, or that of `instead`, which is never sent then.
    /// `None`: no place is free, or it could not be sealed.
    pub(super) fn put(
        &mut self,
        link: LinkId,
        turn: Turn,
        instead: Option<Sealed>,
        seal: impl FnOnce(&mut Record) -> Option<Turn>,
    ) -> Option<Sealed> {
        if self.turn != Some(turn) {
            // Their turn is over: nothing of them is of use to anybody but a thief.
            self.places.iter_mut().for_each(Place::wipe);
            self.turn = Some(turn);
        }
        if let Some(instead) = instead.filter(|instead| instead.link == link) {
            self.drop_one(&instead);
        }
        let at = self.places.iter().position(|place| place.made == 0)?;
        let place = &mut self.places[at];
        if seal(&mut place.record) != Some(turn) {
            place.wipe();
            return None;
        }
        self.made += 1;
        place.made = self.made;
        Some(Sealed { link, place: at as u8, made: self.made, turn })
    }

    /// Whether this lies here and is for this turn.
    #[inline]
    pub(super) fn has(&self, link: LinkId, sealed: &Sealed, next: Option<Turn>) -> bool {
        let place = self.places.get(usize::from(sealed.place));
        sealed.link == link
            && next == Some(sealed.turn)
            && self.turn == next
            && place.is_some_and(|place| place.made == sealed.made)
    }

    /// Asks for the memory of a message, up to where its record begins.
    pub(super) fn warm(&self, sealed: &Sealed) {
        if let Some(place) = self.places.get(usize::from(sealed.place)) {
            prefetch::lines(&place.made);
            prefetch::lines(place.record.as_slice());
        }
    }

    /// The record, once: the caller sends it in its turn or not at all.
    #[inline]
    pub(super) fn take(&mut self, link: LinkId, sealed: Sealed) -> Option<(Turn, &[u8])> {
        if !self.has(link, &sealed, Some(sealed.turn)) {
            return None;
        }
        let place = &mut self.places[usize::from(sealed.place)];
        place.made = 0;
        Some((sealed.turn, &place.record))
    }

    fn drop_one(&mut self, sealed: &Sealed) {
        if let Some(place) = self.places.get_mut(usize::from(sealed.place))
            && place.made == sealed.made
        {
            place.wipe();
        }
    }
}

impl Place {
    fn wipe(&mut self) {
        self.made = 0;
        self.record.as_mut_slice().zeroize();
        self.record.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(7);

    fn turn(sequence: u64) -> Turn {
        Turn { epoch: 0, sequence }
    }

    fn put(ahead: &mut Ahead, sequence: u64, instead: Option<Sealed>, text: &[u8]) -> Option<Sealed> {
        ahead.put(LINK, turn(sequence), instead, |record| {
            record.clear();
            record.try_extend_from_slice(text).ok()?;
            Some(turn(sequence))
        })
    }

    #[test]
    fn what_was_replaced_or_is_late_or_of_another_link_is_never_given_out() {
        let mut ahead = Ahead::new();
        let a = put(&mut ahead, 0, None, b"a").unwrap();
        let copy = Sealed { ..Sealed { link: a.link, place: a.place, made: a.made, turn: a.turn } };
        let b = put(&mut ahead, 0, Some(a), b"b").unwrap();
        assert_eq!(b.place, copy.place, "it lies where the other did");
        assert!(ahead.take(LINK, copy).is_none(), "which is not to be had any more");
        assert_eq!(ahead.take(LINK, b).unwrap().1, b"b");

        let c = put(&mut ahead, 1, None, b"c").unwrap();
        assert!(ahead.take(LinkId(8), c).is_none());
        let d = put(&mut ahead, 1, None, b"d").unwrap();
        let e = put(&mut ahead, 2, None, b"e").unwrap();
        assert!(!ahead.has(LINK, &d, Some(turn(2))) && !ahead.has(LINK, &e, Some(turn(3))));
        assert!(ahead.take(LINK, d).is_none(), "its turn is over");
        assert!(ahead.has(LINK, &e, Some(turn(2))));
    }

    #[test]
    fn no_more_than_its_places_are_kept_and_a_new_turn_frees_them() {
        let mut ahead = Ahead::new();
        let kept: Vec<_> = (0..PLACES).map(|_| put(&mut ahead, 0, None, b"x").unwrap()).collect();
        assert!(put(&mut ahead, 0, None, b"y").is_none());
        assert!(put(&mut ahead, 0, kept.into_iter().next(), b"y").is_some());
        assert!(put(&mut ahead, 1, None, b"z").is_some());
        let after: Vec<u8> = ahead.places[1..].iter().flat_map(|place| place.record.to_vec()).collect();
        assert!(after.is_empty(), "wiped");
        assert!(put(&mut ahead, 1, None, &[0; MESSAGE_MAX + AROUND + 1]).is_none());
    }
}
