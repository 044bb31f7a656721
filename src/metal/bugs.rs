//! The bug bank: mistakes planted in the engine on purpose, one switched on at a time, to see the rehearsals find
//! each of them (TESTING 2, "Trust in the bench itself").
//!
//! Owns:  the list of bugs and what each must break, and which one this process has. All of it exists with the
//!        feature `bugbank` only.
//! Never: costs anything without the feature: [`planted`] is `false` then, a constant, and nothing is left of it.
//! Map:   `contango rehearse --bug N` plants one, `--bug list` tells them all; tools/bug_bank.py proves that each
//!        is caught. A new one is a row below and an `if planted(Bug::…)` at its place.

#[cfg(feature = "bugbank")]
pub use bank::{list, plant};

/// Whether this process has the bug.
#[cfg(not(feature = "bugbank"))]
#[inline(always)]
#[must_use]
pub const fn planted(_bug: Bug) -> bool {
    false
}

/// Whether this process has the bug.
#[cfg(feature = "bugbank")]
#[inline]
#[must_use]
pub fn planted(bug: Bug) -> bool {
    bank::CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// A bug as the list tells it.
#[cfg(any(test, feature = "bugbank"))]
struct Row {
    bug: Bug,
    name: &'static str,
    place: &'static str,
    keeps: &'static str,
    what: &'static str,
}

/// Number, name, file, the invariants of which one must catch it, and what is wrong with it.
macro_rules! bugs {
    ($($number:literal $name:ident $place:literal $keeps:literal $what:literal)*) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $what] $name = $number,)*
        }

        #[cfg(any(test, feature = "bugbank"))]
        const ROWS: &[Row] =
            &[$(Row { bug: Bug::$name, name: stringify!($name), place: $place, keeps: $keeps, what: $what },)*];
    };
}

#[rustfmt::skip]
bugs! {
    1 NotFoundIsDead "desk/order.rs" "I12" "one \"not found\" is taken for the end of an order"
    2 UnknownIsNotSent "desk/order.rs" "I2 I12" "an answer that tells nothing is taken for an order that never left: its leg may be tried again"
    3 SettlingForgotten "desk/order.rs" "I12" "\"not found\" proves an order dead before the venue has had its time to show it"
    4 OneSearchProves "desk/order.rs" "I12" "evidence C with one search instead of two that lie apart"
    5 EndedIsBooked "desk/order.rs" "I1 I3 I4 I19" "an order whose end is known counts as booked: its fills are never asked for"
    6 NeverAsked "desk/order.rs" "I1 I19" "an order of unknown fate is never asked about"
    7 DedupeForgotten "desk/ledger.rs" "I3" "a fill is booked as often as it is told: by the answer, by the stream, by a query"
    8 FeeCoinKept "desk/ledger.rs" "I4 I9" "a fee paid in coins stays in what the pair holds"
    9 MultiplierForgotten "desk/ledger.rs" "I1 I4" "a contract of a thousand coins is booked as one coin"
    10 LotTooMuch "desk/pair.rs" "I1 I8 I9 I19" "a size is rounded up to the lot"
    11 MinimumForgotten "desk/pair.rs" "I8" "orders below the least value the venue takes"
    12 BoundTooWide "desk/pair.rs" "I1" "a hundred lots of exposure count as none"
    13 ClipDoubled "desk/pair.rs" "I1 I5" "an entry of twice the size"
    14 SilentFeedPasses "desk/gate.rs" "I13" "the gate does not ask whether a feed is alive"
    15 HeadersIgnored "desk/budget.rs" "I7" "the venue's own counters are not believed"
    16 RetryAfterIgnored "desk/budget.rs" "I7 I19" "a market that asked to be left alone is asked on"
    17 ReduceOnlyDropped "agents/trader/mend.rs" "I9" "a repair of the perp is no reduce-only order"
    18 AttemptReused "agents/trader/mend.rs" "I10" "a repair has the id of the order before it"
    19 ExitSideFlipped "agents/trader/ready.rs" "I1 I9" "an exit opens once more"
    20 ExitOfAClip "agents/trader/ready.rs" "I9" "an exit is sized by what an entry would be, not by what is held"
    21 PairNotBusy "agents/trader/fire.rs" "I1 I10" "a pair whose orders are under way may enter again"
    22 SecondLegUnwritten "agents/trader/aim.rs" "I11" "the intent record holds the first leg alone"
    23 PermitIgnored "agents/trader/aim.rs" "I1 I5 I7" "orders leave without a permit"
    24 SequenceReused "agents/trader/fire.rs" "I10" "two intents in a row have one id"
    25 PartSentAgain "agents/trader/fire.rs" "I10" "an order that left in part is sent again on another connection"
    26 KillSparesSecond "agents/trader/contingent.rs" "I6" "a leg that waited for the other leaves after a kill"
    27 OffTick "venue/binance/orders.rs" "I8" "a price between two ticks"
    28 RestsInTheBook "venue/binance/orders.rs" "I8" "orders stay in the book until they are cancelled"
    29 DoubtIsRefusal "venue/binance/answers.rs" "I12" "an answer that tells nothing is taken for a refusal"
    30 PartForgotten "venue/binance/answers.rs" "I12" "what an order filled before its rest expired is forgotten"
    31 OrderedIsExecuted "venue/binance/answers.rs" "I12" "an answer's ordered quantity is taken for the executed one"
    32 FeeInQuote "venue/binance/answers.rs" "I3" "a fee paid in coins is booked in the quote asset"
    33 AdlIsForeign "venue/binance/user.rs" "I1 I3 I19 I20" "what the venue does by itself is taken for a stranger's order"
    34 EndToldTwice "agents/shadow/orders.rs" "I14" "every further answer ends an order anew"
    35 DoubtUntold "agents/shadow/mod.rs" "I20" "nobody hears of an order whose fate is unknown"
    36 SlotFreedEarly "agents/shadow/orders.rs" "I11" "an intent record is given up before the journal has its orders"
    37 WallTime "agents/shadow/orders.rs" "I1 I12 I19" "an order's age is told by the calendar"
    38 AdlUntold "agents/shadow/forced.rs" "I20" "nobody hears of what the venue did by itself"
    39 NeverFreed "agents/shadow/repair.rs" "I19" "a pair that is resolved is not given back to the trader"
    40 DoubtedLegUnwound "agents/shadow/repair.rs" "I1 I2 I9" "a leg with an order in doubt is made smaller all the same"
    41 UnprovenUnwound "agents/shadow/repair.rs" "I1 I2 I9 I19" "a pair is put right while its orders are still under way"
    42 RefusalEndsRepair "agents/shadow/mending.rs" "I1 I19" "after a refused repair there is no other"
    43 HaltIgnored "agents/shadow/operator.rs" "I5" "a halt stops nothing"
    44 LatchClearedAtStart "agents/shadow/operator.rs" "I5 I6" "a start trades, whatever is latched"
    45 TradesNotRecalled "agents/shadow/recall.rs" "I3" "a start does not know which fills are booked"
    46 OrdersNotRecalled "agents/shadow/recall.rs" "I3 I4 I19" "a start does not know which orders have no end yet"
    47 DustSoldToo "agents/shadow/terms.rs" "I9" "an exit sells a lot more than the pair holds"
    48 StreamNeverBack "agents/shadow/streams.rs" "I19" "a private stream that was up once is never believed again"
    49 KeyInNote "agents/shadow/news.rs" "I17" "the note of a lost connection tells the key"
    50 KillNotKept "store/latch.rs" "I6" "a kill is not written to the latch file"
    51 EpochNotRaised "store/epoch.rs" "I10" "a start goes on with the epoch of the run before"
    52 TailCutTooFar "store/segments.rs" "I18" "a start cuts whole records off the journal"
    53 TradesNotKept "store/checkpoint.rs" "I3 I18" "a new segment does not tell which trades are booked"
    54 IntentNotWritten "metal/intents.rs" "I11" "an intent record has its state, and nothing is written in it"
}

#[cfg(feature = "bugbank")]
mod bank {
    use super::ROWS;
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering::Relaxed;

    /// The number of the bug that this process has; 0: none.
    pub(super) static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// Plants the bug of this number in this process; `false`: there is none.
    pub fn plant(number: u64) -> bool {
        let row = ROWS.iter().find(|row| row.bug as u64 == number);
        CHOSEN.store(row.map_or(0, |row| row.bug as u8), Relaxed);
        row.is_some()
    }

    /// Every bug: number, name, file below `src`, the invariants of which one must catch it, what is wrong.
    pub fn list() -> impl Iterator<Item = (u8, [&'static str; 4])> {
        ROWS.iter().map(|row| (row.bug as u8, [row.name, row.place, row.keeps, row.what]))
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, planted};
    use std::fs;
    use std::path::Path;

    /// Files below a folder whose code asks for a bug, once for each time.
    fn places(folder: &Path, asks: &str, found: &mut Vec<String>) {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places(&path, asks, found);
            } else if !path.ends_with("metal/bugs.rs") {
                let times = fs::read_to_string(&path).unwrap().matches(asks).count();
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
                found.extend(std::iter::repeat_n(name.to_owned(), times));
            }
        }
    }

    #[test]
    fn every_bug_is_planted_where_the_list_says_and_nowhere_else() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.bug as usize, at + 1, "numbers count up: {}", row.name);
            assert!(!planted(row.bug), "{} is on, and nobody asked for it", row.name);
            let invariants =
                row.keeps.split(' ').all(|it| it.strip_prefix('I').is_some_and(|n| n.parse::<u8>().is_ok()));
            assert!(invariants && !row.what.is_empty(), "{} tells what it is and what catches it", row.name);
            let mut found = Vec::new();
            places(&src, &format!("planted(Bug::{})", row.name), &mut found);
            assert_eq!(found, [row.place], "{}", row.name);
        }
        let mut all = Vec::new();
        places(&src, "planted(Bug::", &mut all);
        assert_eq!(all.len(), ROWS.len(), "a place without a row");
    }
}
