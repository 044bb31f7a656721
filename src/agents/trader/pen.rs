//! The pen: orders rendered and signed ahead, and the one place where orders leave.
//!
//! Owns:  the limit price of an order, how long a prepared order serves, claim-before-send, and the
//!        order of the legs.
//! Never: sends without a committed intent record, room in the shadow's ring, a permit, and a look at
//!        the kill latch before each leg. Never signs one client order id into two sends.
//! Why:   signing costs as much as everything else together; what can be known before the quote that
//!        decides is done before it (HOTPATH §5).

use crate::desk::book::touch;
use crate::event::{Instrument, Made, Quote};
use crate::metal::entropy::Entropy;
use crate::metal::link::{Link, Sealed};
use crate::units::{Class, ClientId, Nanos, Price, Qty, Side, Unix};
use crate::venue::{OrderForm, OrderSpec, Orders};
use crate::wire::ws;
use arrayvec::ArrayVec;

/// The longest order on the wire.
pub const ORDER_MAX: usize = 1024;

/// Entry collar: how far past the touch an entry may fill, in parts per million (DESIGN §5: 2 bp).
pub const ENTRY_COLLAR_PPM: u32 = 200;
/// Exit collar (FAULTS 6f, normal): an exit should end the position, not only begin to.
pub const EXIT_COLLAR_PPM: u32 = 2_000;
/// Flatten collar: the second step of FAULTS 6f, since the operator wants out.
pub const FLATTEN_COLLAR_PPM: u32 = 5_000;

/// One order, ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    /// What it was made for.
    pub class: Class,
    /// Everything in it.
    pub spec: OrderSpec,
    /// The request, signed. Changed only by [`Prepared::write`], so that what is sealed is what it says.
    bytes: ArrayVec<u8, ORDER_MAX>,
    /// When it was made.
    pub at: Nanos,
    /// How.
    pub made: Made,
    /// These very bytes, sealed on a link.
    sealed: Option<Sealed>,
    /// Earlier bytes that lie sealed and must not leave: what is sealed next takes their place.
    outdated: Option<Sealed>,
}

/// How far past the touch a limit may lie at most, in whole ticks: the larger of the collar and one tick.
#[must_use]
pub fn collar(touch: Price, tick: Price, ppm: u32) -> i64 {
    let reach = reach(touch, tick, ppm);
    reach - reach % tick.0
}

/// As [`collar`], not rounded down to a tick: a division less, for limits that lie on ticks as touches do.
#[inline]
#[must_use]
pub fn reach(touch: Price, tick: Price, ppm: u32) -> i64 {
    let wide =
        touch.0.checked_mul(i64::from(ppm)).map_or_else(|| wider(touch, ppm), |parts| parts / 1_000_000);
    wide.max(tick.0)
}

/// As many units of a price as a word can't hold the product of; a division of two words costs more than all the rest.
#[cold]
fn wider(touch: Price, ppm: u32) -> i64 {
    i64::try_from(i128::from(touch.0) * i128::from(ppm) / 1_000_000).unwrap_or(i64::MAX / 16)
}

/// The limit of an order made at this touch: half the collar past it, at least one tick, on a tick
/// and inside the instrument's range, so that it serves while the touch moves by the other half.
#[must_use]
pub fn limit(instrument: &Instrument, touch: Price, side: Side, ppm: u32) -> Price {
    let tick = instrument.tick.0;
    let half = collar(touch, instrument.tick, ppm) / 2;
    let past = (half - half % tick).max(tick);
    let raw = touch.0 + side.sign() * past;
    // Onto the tick grid, inwards: a buy rounds down, a sell up.
    let on_tick = match side {
        Side::Buy => raw - raw.rem_euclid(tick),
        Side::Sell => raw + (tick - raw.rem_euclid(tick)) % tick,
    };
    Price(on_tick.clamp(instrument.price_range.0.0, instrument.price_range.1.0))
}

/// The collar, in parts per million of the touch and at most `most_ppm`, under which [`limit`]
/// stays within a worst price that lies `room` past the touch; `None` if that is less than a tick.
#[must_use]
pub fn collar_within(room: i64, touch: Price, tick: Price, most_ppm: u32) -> Option<u32> {
    if room < tick.0 || touch.0 <= 0 {
        return None;
    }
    let ppm = 2 * i128::from(room) * 1_000_000 / i128::from(touch.0);
    Some(u32::try_from(ppm).unwrap_or(u32::MAX).min(most_ppm))
}

/// Whether a limit still serves at this touch: not short of it, not further past it than the collar.
#[inline]
#[must_use]
pub fn serves(limit: Price, touch: Price, side: Side, tick: Price, ppm: u32) -> bool {
    let past = (limit.0 - touch.0) * side.sign();
    0 <= past && past <= reach(touch, tick, ppm)
}

/// What an order is to be: everything but its limit and stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Why.
    pub class: Class,
    /// Its id.
    pub client: ClientId,
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// Whether it may only shrink a position.
    pub reduce_only: bool,
    /// Collar in parts per million.
    pub collar_ppm: u32,
    /// The limit lies no further out than this.
    pub edge: Option<Price>,
}

impl Wanted {
    /// The limit of such an order, made at the touch of these quotes.
    #[must_use]
    pub fn limit(&self, instrument: &Instrument, quote: &Quote) -> Price {
        let (price, _) = touch(quote, self.side);
        let limit = limit(instrument, price, self.side, self.collar_ppm);
        match (self.edge, self.side) {
            (None, _) => limit,
            (Some(edge), Side::Buy) => limit.min(edge),
            (Some(edge), Side::Sell) => limit.max(edge),
        }
    }

    /// Whether an order made now would reach the touch. Where nobody is on the other side, or the touch lies
    /// beyond the instrument's price range, none does.
    #[must_use]
    pub fn reaches(&self, instrument: &Instrument, quote: &Quote) -> bool {
        let (price, _) = touch(quote, self.side);
        price > Price(0)
            && serves(self.limit(instrument, quote), price, self.side, instrument.tick, self.collar_ppm)
    }
}

/// What an order is written on: its instrument's template, and the venue's time.
#[derive(Clone, Copy, Debug)]
pub struct Paper<'a> {
    /// The template.
    pub form: &'a OrderForm,
    /// Whose.
    pub instrument: &'a Instrument,
    /// The venue's time, by the learned offset.
    pub stamp: Unix,
    /// The mask of the frame that it travels in, fresh; `None`: in none.
    pub mask: Option<[u8; 4]>,
}

/// A mask for what such a form renders, fresh from a good source (RFC 6455 §5.3), if that travels in a frame.
#[must_use]
pub fn mask(form: &OrderForm, entropy: &mut Entropy) -> Option<[u8; 4]> {
    (form.orders() == Orders::Ws).then(|| (entropy.u64() as u32).to_le_bytes())
}

impl Paper<'_> {
    fn render(&self, spec: &OrderSpec, out: &mut ArrayVec<u8, ORDER_MAX>) -> Option<()> {
        let Some(mask) = self.mask else { return self.form.render(spec, out).ok() };
        let start = ws::begin_text(out).ok()?;
        self.form.render(spec, out).ok()?;
        ws::end_text(out, start, mask).ok()
    }
}

impl Prepared {
    /// Room for an order, and none in it.
    #[must_use]
    pub fn blank() -> Self {
        let spec = OrderSpec {
            client: ClientId(0),
            side: Side::Buy,
            qty: Qty::ZERO,
            limit: Price(0),
            reduce_only: false,
            stamp: Unix(0),
        };
        let (at, made, sealed, outdated) = (Nanos::ZERO, Made::Signed, None, None);
        Self { class: Class::Entry, spec, bytes: ArrayVec::new(), at, made, sealed, outdated }
    }

    /// It serves no wish any more.
    pub fn spoil(&mut self) {
        self.spec.client = ClientId(0);
        self.clear();
    }

    /// The request, signed; empty if there is none.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is there, and lies sealed on this link, ready to leave.
    #[inline]
    #[must_use]
    pub fn is_sealed(&self, link: &Link) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| link.is_sealed(sealed))
    }

    /// As [`Prepared::is_sealed`]; what sending it reads is asked for.
    #[must_use]
    pub fn warm(&self, link: &Link) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| link.warm(sealed))
    }

    /// Seals it on this link, in the place of `instead` if that is given; whether it is sealed now.
    pub fn seal(&mut self, link: &mut Link, instead: Option<Sealed>) -> bool {
        let outdated = self.outdated.take();
        let instead = self.sealed.take().or(instead).or(outdated);
        self.sealed = if self.bytes.is_empty() { None } else { link.seal_ahead(&self.bytes, instead) };
        self.sealed.is_some()
    }

    /// The claim to what is sealed of it, which is then sent or lost.
    #[inline]
    pub fn take_sealed(&mut self) -> Option<Sealed> {
        self.sealed.take()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.outdated = self.sealed.take().or(self.outdated.take());
    }

    /// Renders and signs an order for the present touch. `false` if it does not fit its buffer, which
    /// no listed symbol comes near; it is blank then.
    pub fn write(&mut self, on: &Paper<'_>, quote: &Quote, wanted: &Wanted, at: Nanos, made: Made) -> bool {
        self.class = wanted.class;
        self.spec = OrderSpec {
            client: wanted.client,
            side: wanted.side,
            qty: wanted.qty,
            limit: wanted.limit(on.instrument, quote),
            reduce_only: wanted.reduce_only,
            stamp: on.stamp,
        };
        self.at = at;
        self.made = made;
        self.clear();
        let fits = on.render(&self.spec, &mut self.bytes).is_some();
        if !fits {
            self.spoil();
        }
        fits
    }

    /// Whether this is the wished order, at some limit, and its stamp is young.
    #[inline]
    #[must_use]
    pub fn is_young(&self, wanted: &Wanted, now: Nanos, life_ns: u64) -> bool {
        self.class == wanted.class
            && self.spec.client == wanted.client
            && self.spec.side == wanted.side
            && self.spec.qty == wanted.qty
            && self.spec.reduce_only == wanted.reduce_only
            && now.since(self.at) <= life_ns
    }

    /// Whether this very order may be sent now: same wish, young stamp, limit within the collar.
    #[inline]
    #[must_use]
    pub fn fits(
        &self,
        wanted: &Wanted,
        instrument: &Instrument,
        quote: &Quote,
        now: Nanos,
        life_ns: u64,
    ) -> bool {
        self.is_young(wanted, now, life_ns)
            && serves(
                self.spec.limit,
                touch(quote, wanted.side).0,
                wanted.side,
                instrument.tick,
                wanted.collar_ppm,
            )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::desk::book::tests::one_pair;
    use crate::metal::link::memory_pair;
    use crate::units::LinkId;
    use proptest::prelude::*;

    #[test]
    fn a_coarse_tick_is_a_collar_of_its_own() {
        let instruments = one_pair();
        let mut row = instruments.instruments[1].clone();
        row.tick = Price(10);
        assert_eq!(collar(Price(1_000), row.tick, 200), 10, "2 bp of 1 000 is less than a tick");
        assert_eq!(limit(&row, Price(1_000), Side::Buy, 200), Price(1_010));
        assert_eq!(limit(&row, Price(1_000), Side::Sell, 200), Price(990));
    }

    /// An order to be written, for a touch at this price.
    pub(in crate::agents::trader) fn written(
        order: &mut Prepared,
        form: &OrderForm,
        instrument: &Instrument,
        price: i64,
        n: u64,
    ) {
        let wanted = Wanted {
            class: Class::Entry,
            client: ClientId(n),
            side: Side::Buy,
            qty: Qty(250),
            reduce_only: false,
            collar_ppm: ENTRY_COLLAR_PPM,
            edge: None,
        };
        let quote = crate::desk::book::tests::quote(1, n, price, price + 1, Nanos(n));
        let mask = mask(form, &mut Entropy::seeded(n));
        let paper = Paper { form, instrument, stamp: Unix(1_700_000_000_000_000_000 + n as i64), mask };
        assert!(order.write(&paper, &quote, &wanted, Nanos(n), Made::Prepared));
    }

    proptest! {
        /// Whatever is written, sealed, spoilt, sent between and moved to another link: what leaves is the order
        /// as it was written last, each at most once.
        #[test]
        fn what_leaves_sealed_is_what_was_written_last(deeds in prop::collection::vec((0u8..6, 0usize..3, 0usize..2), 1..120)) {
            let instruments = one_pair();
            let perp = &instruments.instruments[1];
            let key = crate::venue::Key::new("k".repeat(64), "s".repeat(64));
            let form = (crate::venue::get(perp.venue).form)(perp, "venue.example", &key, 1_000);
            let (mut links, mut peers): (Vec<_>, Vec<_>) =
                (1..3).map(|id| memory_pair(LinkId(id), "box:1", 256, 4_096)).unzip();
            let mut orders = [Prepared::blank(), Prepared::blank(), Prepared::blank()];
            let mut left = [false; 3];
            for (n, (deed, at, on)) in deeds.into_iter().enumerate() {
                let (order, link) = (&mut orders[at], &mut links[on]);
                let mut expected: Vec<u8> = Vec::new();
                match deed {
                    0 | 1 => {
                        written(order, &form, perp, 600_000 + n as i64, n as u64 + 1);
                        left[at] = false;
                    }
                    // Whoever has sent an order writes another before sealing again: its id is burnt.
                    2 if left[at] => {}
                    2 => _ = order.seal(link, None),
                    3 => order.spoil(),
                    4 => {
                        link.send(b"a warming request").unwrap();
                        expected = b"a warming request".to_vec();
                    }
                    _ => {
                        if let Some(sealed) = order.take_sealed()
                            && link.send_sealed(sealed).unwrap().is_some()
                        {
                            prop_assert!(!std::mem::replace(&mut left[at], true), "it left twice");
                            expected = order.bytes().to_vec();
                            prop_assert!(!expected.is_empty(), "a spoilt order left");
                        }
                    }
                }
                let mut wire = Vec::new();
                peers[on].take(&mut wire);
                prop_assert_eq!(wire, expected);
            }
        }

        /// Whatever the touch and the room beyond it: the limit stays within that room.
        #[test]
        fn a_limit_is_never_past_the_worst_price(
            units in 100i64..1_000_000, room in -50_000i64..50_000,
            tick in prop::sample::select(vec![1i64, 5, 10, 100]), buy in any::<bool>(),
        ) {
            let mut row = one_pair().instruments[0].clone();
            row.tick = Price(tick);
            let side = if buy { Side::Buy } else { Side::Sell };
            let touch = Price(units * tick);
            let ppm = collar_within(room, touch, row.tick, 2_000);
            prop_assert_eq!(ppm.is_some(), room >= tick);
            let Some(ppm) = ppm else { return Ok(()) };
            let limit = limit(&row, touch, side, ppm);
            prop_assume!(limit.0 > row.price_range.0.0);
            prop_assert!(serves(limit, touch, side, row.tick, 2_000));
            prop_assert!((limit.0 - touch.0) * side.sign() <= room);
        }

        /// An order is made only where it reaches the touch: not past the price range, nor where nobody offers.
        #[test]
        fn what_cannot_reach_the_touch_is_known(units in 0i64..1_000, most in 1i64..1_000, buy in any::<bool>()) {
            let mut row = one_pair().instruments[0].clone();
            row.tick = Price(10);
            row.price_range = (Price(10), Price(most * 10));
            let wanted = Wanted {
                class: Class::Exit,
                client: ClientId(1),
                side: if buy { Side::Buy } else { Side::Sell },
                qty: Qty(1),
                reduce_only: false,
                collar_ppm: EXIT_COLLAR_PPM,
                edge: None,
            };
            let mut quote = crate::desk::book::tests::quote(0, 1, units * 10, units * 10, Nanos(1));
            quote.bid = quote.ask;
            // Whether any limit the range has lies at the touch or past it, and within the collar.
            let touch = Price(units * 10);
            let serving = units > 0 && (1..=most).any(|at| serves(Price(at * 10), touch, wanted.side, row.tick, EXIT_COLLAR_PPM));
            prop_assert_eq!(wanted.reaches(&row, &quote), serving, "{:?} of {:?}", touch, row.price_range);
        }

        /// A fresh limit always serves its own touch, lies on a tick, and never past the collar.
        #[test]
        fn a_fresh_limit_serves(units in 1i64..10_000_000, tick in prop::sample::select(vec![1i64, 5, 10, 100]),
                                ppm in 1u32..20_000, buy in any::<bool>()) {
            let mut row = one_pair().instruments[0].clone();
            row.tick = Price(tick);
            let side = if buy { Side::Buy } else { Side::Sell };
            let touch = Price(units * tick);
            let limit = limit(&row, touch, side, ppm);
            prop_assume!(limit.0 > row.price_range.0.0);
            prop_assert_eq!(limit.0 % tick, 0);
            prop_assert!(serves(limit, touch, side, row.tick, ppm));
            prop_assert!((limit.0 - touch.0) * side.sign() >= tick);
        }
    }
}
