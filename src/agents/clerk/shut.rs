//! Doors that let no new socket in for a while: which, and until when.
//!
//! Owns:  what a refused upgrade asked for, for every link that wants the same door (FAULTS F95: `Retry-After` first).
//! Never: holds back a request: those have budgets of their own, and a hedge may need them.
//! Why:   sockets that each back off by themselves ask a venue that counts connections (binance.md §1: 300 in 5 min of
//!        one address) so often that it never lets one in again.

use crate::units::Nanos;
use crate::units::time::SEC;
use crate::wire::ws::UpgradeError;
use std::collections::BTreeMap;

/// Where the venue does not say for how long.
const UNTOLD_S: u32 = 30;

/// The doors of a venue, by endpoint.
#[derive(Debug, Default)]
pub(super) struct Shut(BTreeMap<&'static str, Nanos>);

impl Shut {
    /// Takes in a refusal; for how long no socket is asked for there, s, if it was one of too many.
    pub(super) fn hear(&mut self, endpoint: &'static str, error: &UpgradeError, now: Nanos) -> Option<u32> {
        let UpgradeError::Refused { status: 418 | 429, retry_after_s, .. } = error else { return None };
        let seconds = retry_after_s.unwrap_or(UNTOLD_S).max(1);
        let until = self.0.entry(endpoint).or_insert(now);
        *until = now.plus(u64::from(seconds) * SEC).max(*until);
        Some(seconds)
    }

    /// Whether a door wants to hear of no new socket.
    pub(super) fn is_shut(&self, endpoint: &str, now: Nanos) -> bool {
        self.0.get(endpoint).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after_s: Option<u32>) -> UpgradeError {
        UpgradeError::Refused { status, body: String::new(), advice: "", retry_after_s }
    }

    #[test]
    fn a_door_stays_shut_for_as_long_as_it_says_and_no_other_is() {
        let (mut shut, now) = (Shut::default(), Nanos(7 * SEC));
        assert_eq!(shut.hear("usdm_ws", &refused(429, Some(300)), now), Some(300));
        // What was under way already is answered later, and does not bring the end nearer.
        assert_eq!(shut.hear("usdm_ws", &refused(418, None), now.plus(SEC)), Some(30));
        assert!(shut.is_shut("usdm_ws", Nanos(307 * SEC - 1)) && !shut.is_shut("usdm_ws", Nanos(307 * SEC)));
        assert!(!shut.is_shut("usdm_ws_api", now));
    }

    #[test]
    fn what_is_wrong_with_the_request_shuts_no_door() {
        let (mut shut, now) = (Shut::default(), Nanos(SEC));
        for error in [refused(401, Some(9)), refused(503, None), UpgradeError::Accept] {
            assert_eq!(shut.hear("spot_ws", &error, now), None);
        }
        assert!(!shut.is_shut("spot_ws", now));
    }
}
