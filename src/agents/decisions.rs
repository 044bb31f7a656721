//! What a trader decided, as canonical text, and the hash of it.
//!
//! Owns:  one line a leg that was sent, one a signal that was only told: index of the input, pair, direction,
//!        class, leg, side, quantity, limit, reason (DESIGN §9).
//! Never: takes in an id, a stamp, a signature or a clock: the same inputs make the same text on every host
//!        and in every layout.

use crate::event::{Fired, Instruments, Told};
use crate::units::decimal::Text;
use crate::units::{Class, LegKind};
use ring::digest;
use std::fmt::{self, Write as _};

/// The decisions of one run, in the order the trader told them.
#[derive(Clone)]
pub struct Decisions {
    hash: digest::Context,
    /// How many there are.
    pub lines: u64,
    line: String,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { hash: digest::Context::new(&digest::SHA256), lines: 0, line: String::new() }
    }
}

impl Decisions {
    /// Takes in what the trader told; what is no decision is passed over.
    pub fn told(&mut self, told: &Told, instruments: &Instruments) {
        match told {
            Told::Fired(fired) => self.fired(fired, instruments),
            Told::Signal { pair, class, direction, decision, prices } => {
                let row = instruments.pair(*pair);
                let price = |leg: LegKind| {
                    Text(i128::from(prices[leg as usize].0), instruments.leg(*pair, leg).price_decimals)
                };
                self.line.clear();
                // Writing to a String can't fail.
                let _ = writeln!(
                    self.line,
                    "{decision} {} {direction} {class} signal {} {} {}",
                    row.name,
                    price(LegKind::Spot),
                    price(LegKind::Perp),
                    reason(*class),
                );
                self.end_line();
            }
            _ => {}
        }
    }

    /// Takes in a send round.
    pub fn fired(&mut self, fired: &Fired, instruments: &Instruments) {
        let pair = instruments.pair(fired.pair);
        for leg in fired.legs.iter().flatten() {
            let row = instruments.get(leg.instrument);
            self.line.clear();
            let _ = writeln!(
                self.line,
                "{} {} {} {} {} {} {} {} {}",
                fired.decision,
                pair.name,
                fired.direction,
                fired.class,
                row.leg,
                leg.side,
                Text(i128::from(leg.qty.0), row.qty_decimals),
                Text(i128::from(leg.limit.0), row.price_decimals),
                reason(fired.class),
            );
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.hash.update(self.line.as_bytes());
        self.lines += 1;
    }

    /// SHA-256 of all of them, lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let hash = self.hash.clone().finish();
        hash.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions").field("lines", &self.lines).finish_non_exhaustive()
    }
}

fn reason(class: Class) -> &'static str {
    match class {
        Class::Entry => "basis-above-enter",
        Class::Exit => "basis-below-exit",
        Class::Repair => "unwind",
        Class::Flatten => "flatten",
    }
}
