//! A whole market out of service: maintenance and bans on order, begun at once and ended by the clock.
//!
//! Owns:  which market is in maintenance until when, what that closes and what it puts off.
//! Never: changes a book or an account of a market in maintenance: both stand still until its end.
//! Page:  binance.md §1 (shutdown notice), §5 (system status), §13 (418), §14 (503), §17 items 24 and 25.
//! Quirk: the page does not say what maintenance closes with: spot's sockets hear `serverShutdown` first, USD-M
//!        has no such notice; the status endpoint is one for the whole venue.

use super::config::{Door, Market};
use super::dialect::binance;
use super::exchange::{Due, Exchange};
use super::watch::Seen;
use tungstenite::protocol::frame::coding::CloseCode;

impl Exchange {
    /// When the market's maintenance ends (host time, ns), if it is in one.
    pub(super) fn maintained_until(&self, market: Market) -> Option<u64> {
        Some(self.maintenance[market.index()]).filter(|until| self.now < *until)
    }

    /// Takes a market out of service: its sockets are told and closed, what comes is refused.
    pub(super) fn maintain(&mut self, market: Market, until: u64) {
        let it = &mut self.maintenance[market.index()];
        *it = until.max(*it);
        for conn in self.conns.sockets(|door| door.market() == market) {
            if let Some(text) = binance::shutdown_notice(self, conn) {
                self.conns.send_text(conn, text.into());
            }
            self.leave_streams(conn);
            self.conns.close_socket(conn, CloseCode::Restart, "Maintenance");
        }
    }

    /// Bans the client's address from a market for `for_ns`, longer if it goes on. Open sockets stay.
    pub(super) fn ban(&mut self, market: Market, for_ns: u64) {
        let clock = self.clock();
        self.limits[market.index()].ban(clock, for_ns);
    }

    /// Why a door takes no new socket: status and header lines.
    pub(super) fn refuses_sockets(&mut self, door: Door) -> Option<(u16, String)> {
        let market = door.market();
        if let Some(seconds) = self.limits[market.index()].banned_for_s(self.clock()) {
            return Some(self.sends_away(door, 418, seconds));
        }
        self.maintained_until(market).map(|_| (503, String::new()))
    }

    /// A door wants to hear of no new socket for so many seconds: status and header lines.
    pub(super) fn sends_away(&mut self, door: Door, status: u16, wait_s: u64) -> (u16, String) {
        self.watch.see(|| Seen::SentAway { door, status, wait_s });
        (status, format!("Retry-After: {wait_s}\r\n"))
    }

    /// When a due thing happens instead, because its market is in maintenance.
    pub(super) fn put_off(&self, due: Due) -> Option<u64> {
        match due {
            Due::Spot(_) => self.maintained_until(Market::Spot),
            Due::Perp(_) | Due::Funding(_) => self.maintained_until(Market::Usdm),
            _ => None,
        }
    }
}
