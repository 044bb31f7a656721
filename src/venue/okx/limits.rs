//! OKX's budgets, and what its sockets want.
//!
//! Owns:  the documented limits and what a public socket owes.
//! Never: counts; the desk's budget does.
//! Wire:  okx.md §1 (connections), §3.3 (limits of each path), and its open fact `rate_limit.unpublished`.

use crate::event::Counted;
use crate::units::LegKind;
use crate::units::time::SEC;
use crate::venue::{BucketRule, Kind};
use crate::wire::http::Head;
use crate::wire::session::Rules;

/// Each path has a limit of its own; every one is kept within the smallest of them, 10 in 2 s. None is published of
/// all together.
pub(super) const OF_A_PATH: BucketRule =
    BucketRule { leg: LegKind::Perp, kind: Kind::Raw, window_ns: 2 * SEC, limit: 10, header: None };

/// No ban is published: a minute of silence after a 429, and after the edge's 403.
const AWAY_S: u32 = 60;

/// What the status says; no header counts.
pub(super) fn counted(status: u16, _: &Head<'_>) -> Counted {
    let retry_after_s = matches!(status, 403 | 429).then_some(AWAY_S);
    Counted { retry_after_s, ..Counted::default() }
}

/// What a public socket owes.
///
/// Without a subscription or a push for 30 s it is closed, and a bare `ping` counts as a sign of life. The gate wants
/// one every second, so a quiet socket is asked after 400 ms; nothing limits how often. An unchanged top comes again
/// only after 60 s: death is told by the missing pong. No age limit is stated; an upgrade is announced 60 s ahead.
pub(super) const RULES: Rules = Rules {
    ping_every: Some(20 * SEC),
    ping_when_quiet: Some(400 * (SEC / 1_000)),
    pong_within: Some(5 * SEC),
    silence_max: Some(10 * SEC),
    ..Rules::NONE
};
