//! Refusals: code, text and HTTP status, as the venue's error pages have them.
//!
//! Owns:  the texts.
//! Wire:  binance.md §14; `errors.jsonl`.
//! Quirk: the same number means different things on spot and USD-M.

use serde_json::json;

/// A request that was not done.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) msg: String,
    pub(super) retry_after_s: Option<u64>,
    /// Not an answer at all: the connection is cut.
    pub(super) cut: bool,
}

impl Refusal {
    pub(super) fn new(code: i64, msg: impl Into<String>) -> Self {
        let status = if matches!(code, -2014 | -2015) { 401 } else { 400 };
        Self { status, code, msg: msg.into(), retry_after_s: None, cut: false }
    }

    /// The connection breaks instead of an answer.
    pub(super) fn cut() -> Self {
        Self { cut: true, ..Self::new(0, "") }
    }

    pub(super) fn body(&self) -> String {
        json!({"code": self.code, "msg": self.msg}).to_string()
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    pub(super) fn illegal(name: &str, range: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    pub(super) fn not_required(name: &str) -> Self {
        Self::new(-1106, format!("Parameter '{name}' sent when not required."))
    }

    pub(super) fn invalid(name: &str) -> Self {
        Self::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub(super) fn key() -> Self {
        Self::new(-2015, "Invalid API-key, IP, or permissions for action.")
    }

    pub(super) fn symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }

    pub(super) fn no_such_order() -> Self {
        Self::new(-2013, "Order does not exist.")
    }

    pub(super) fn archived() -> Self {
        let msg =
            "Order was canceled or expired with no executed qty over 90 days ago and has been archived.";
        Self::new(-2026, msg)
    }

    pub(super) fn no_such_key() -> Self {
        Self::new(-1125, "This listenKey does not exist.")
    }

    pub(super) fn filter(name: &str) -> Self {
        Self::new(-1013, format!("Filter failure: {name}"))
    }
}
