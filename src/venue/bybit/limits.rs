//! Bybit's budgets, and what its sockets want.
//!
//! Owns:  the documented limits and what a public socket owes.
//! Never: counts; the desk's budget does.
//! Wire:  bybit.md §1 (connections), §7 (limits), and its open facts `ip_ban_s` and `rate.window`.

use crate::event::Counted;
use crate::units::LegKind;
use crate::units::time::SEC;
use crate::venue::{BucketRule, Kind};
use crate::wire::http::Head;
use crate::wire::session::Rules;

/// 600 requests in 5 s from one address, whatever they ask.
pub(super) const DOCUMENTED: [BucketRule; 1] =
    [BucketRule { leg: LegKind::Perp, kind: Kind::Raw, window_ns: 5 * SEC, limit: 600, header: None }];

/// A 403 is the address's: ten minutes at least, and it lifts by itself.
const BAN_S: u32 = 600;
/// A 429 is the venue protecting itself, for no stated time.
const AWAY_S: u32 = 10;

/// What the status says. The counters in the headers are those of an account's orders.
pub(super) fn counted(status: u16, _: &Head<'_>) -> Counted {
    let retry_after_s = match status {
        403 => Some(BAN_S),
        429 => Some(AWAY_S),
        _ => None,
    };
    Counted { retry_after_s, ..Counted::default() }
}

/// What a public socket owes.
///
/// The gate wants a sign of life every second, so a quiet socket is pinged after 400 ms, though a ping every
/// 20 s would keep it open; nothing limits how often. An unchanged top of book comes again after 3 s, so 5 s without a byte
/// is death (comparison.md §10). No age limit is stated.
pub(super) const RULES: Rules = Rules {
    ping_every: Some(20 * SEC),
    ping_when_quiet: Some(400 * (SEC / 1_000)),
    pong_within: Some(5 * SEC),
    silence_max: Some(5 * SEC),
    ..Rules::NONE
};
