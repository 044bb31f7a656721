//! Bitget's budgets, and what its sockets want.
//!
//! Owns:  the documented limits and what a public socket owes.
//! Never: counts; the desk's budget does.
//! Wire:  bitget.md §1 (connections), §7 (limits), and its open facts `rest_429_pause_s` and `rate.window`.

use crate::event::Counted;
use crate::units::LegKind;
use crate::units::time::SEC;
use crate::venue::{BucketRule, Kind};
use crate::wire::http::Head;
use crate::wire::session::Rules;

const HOUR: u64 = 3_600 * SEC;

/// 6,000 a minute from one address.
pub(super) const DOCUMENTED: [BucketRule; 1] = [rule(60 * SEC, 6_000)];

/// 20 a second of each path.
pub(super) const OF_A_PATH: BucketRule = rule(SEC, 20);

const fn rule(window_ns: u64, limit: u32) -> BucketRule {
    BucketRule { leg: LegKind::Perp, kind: Kind::Raw, window_ns, limit, header: None }
}

/// What a 429 takes to recover from, and what the edge's 403 is given.
const AWAY_S: u32 = 300;

/// What the status says. The budget that is left, which a header tells, is that of one path.
pub(super) fn counted(status: u16, _: &Head<'_>) -> Counted {
    let retry_after_s = matches!(status, 403 | 429).then_some(AWAY_S);
    Counted { retry_after_s, ..Counted::default() }
}

/// What a public socket owes.
///
/// Without a bare `ping` for 2 min it is closed. The gate wants a sign of life every second, so a quiet socket is asked
/// after 400 ms: at most three of the ten messages a second that are taken. An unchanged top is not repeated: death is told by
/// the missing pong. Every socket is cut after 24 h; we leave an hour earlier, up to another hour spread.
pub(super) const RULES: Rules = Rules {
    ping_every: Some(25 * SEC),
    ping_when_quiet: Some(400 * (SEC / 1_000)),
    pong_within: Some(5 * SEC),
    silence_max: Some(10 * SEC),
    life_max: Some(24 * HOUR),
    life_margin: HOUR,
    life_spread: HOUR,
    sends_per_second_max: Some(10),
    ..Rules::NONE
};
