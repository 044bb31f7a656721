//! Why the gate is closed, each reason once.
//!
//! Owns:  the reasons, their order and their words.
//! Never: judges; `desk::gate` does.

/// Why the gate is closed for a pair. Counted, logged, and shown by `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Closed {
    /// A leg has no quote yet.
    NoQuote = 0,
    /// A leg's socket is silent, unconfirmed or gone.
    LinkQuiet,
    /// The newest stamp on a leg's socket is too old, or its messages come too late.
    StampOld,
    /// A leg is quiet and its book does not agree with what the moving leg implies.
    Disagrees,
    /// A book is crossed or empty on a side.
    Crossed,
    /// The price ratio is more than 2 % off the pair's factor.
    RatioOff,
    /// Too near a settlement, or the funding estimate is old.
    TermsExpired,
    /// No order link is idle for a leg.
    NoLink,
    /// An intent of this pair is in doubt.
    Busy,
    /// The shadow's permit ran out or its ceiling is reached.
    Permit,
    /// No intent slot or no room in the ring to the shadow.
    NoRoom,
    /// The kill latch is set.
    Killed,
    /// A clip does not fit what is visible.
    Thin,
    /// Clock offset not learned yet.
    NoClock,
    /// The pair had all the entries it may have in this run.
    Limit,
    /// It was asked for too long ago.
    Late,
    /// It would cost more than a repair may.
    Dear,
    /// Capital, margin or cash would pass a cap.
    Caps,
    /// The touch is where the venue's price range lets no limit reach it.
    PriceRange,
    /// The price is not about the one that the clip was sized at.
    Unsized,
    /// It is worth less than the venue takes.
    Small,
    /// What a feed brought lies in this core's future: the clocks of two cores do not agree.
    Ahead,
}

impl Closed {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::NoQuote,
        Self::LinkQuiet,
        Self::StampOld,
        Self::Disagrees,
        Self::Crossed,
        Self::RatioOff,
        Self::TermsExpired,
        Self::NoLink,
        Self::Busy,
        Self::Permit,
        Self::NoRoom,
        Self::Killed,
        Self::Thin,
        Self::NoClock,
        Self::Limit,
        Self::Late,
        Self::Dear,
        Self::Caps,
        Self::PriceRange,
        Self::Unsized,
        Self::Small,
        Self::Ahead,
    ];

    /// What a person reads.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoQuote => "no quote yet",
            Self::LinkQuiet => "a feed socket is silent",
            Self::StampOld => "a feed is late",
            Self::Disagrees => "a quiet leg disagrees with the moving one",
            Self::Crossed => "a book is crossed or one-sided",
            Self::RatioOff => "the price ratio is off the pair's factor",
            Self::TermsExpired => "settlement guard or old funding",
            Self::NoLink => "no idle order link",
            Self::Busy => "an intent is in doubt",
            Self::Permit => "no permit",
            Self::NoRoom => "no intent slot or ring room",
            Self::Killed => "kill latch",
            Self::Thin => "visible size too small",
            Self::NoClock => "venue clock not learned",
            Self::Limit => "all entries of this run are used",
            Self::Late => "asked too long ago",
            Self::Dear => "the price ran away",
            Self::Caps => "a cap on capital, margin or cash",
            Self::PriceRange => "outside the venue's price range",
            Self::Unsized => "the price left the one that the clip was sized at",
            Self::Small => "worth less than the venue takes",
            Self::Ahead => "a feed is ahead of this core's clock",
        }
    }
}
