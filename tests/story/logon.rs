//! An account whose key is of Ed25519: every question and every order of it, by either way.
//!
//! Owns:  claims about that kind of key. What an answer means is claimed once, for all, in `doubt` and `classes`.

use crate::doubt::never_resent;
use crate::told::{books_equal_truth, ended_clean, live};
use contango::rehearse::Setup;
use contango::units::time::SEC;

/// Requests of all kinds, private streams of both markets, orders: each is signed by the other kind of key, and taken.
#[test]
fn round_trips_over_rest_are_signed_by_a_private_key() {
    let mut world = live(&Setup::default().of_ed25519());
    world.run_for(20 * SEC);
    assert!(world.stop());
    assert!(world.shadow().totals.closed >= 3, "{:?}", world.shadow().totals);
    assert_eq!(world.truth()["refused"], serde_json::json!([]));
    never_resent(&world);
    books_equal_truth(&world);
    ended_clean(&world);
}
