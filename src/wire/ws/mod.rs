//! WebSocket, client side (RFC 6455): the upgrade, and frames in place.
//!
//! Owns:  `handshake` (cold, over tungstenite's pieces) and `frame` (hot, our own: 5 ns a header).
//! Never: offers an extension or a subprotocol, fragments what it sends, or checks UTF-8: the quote
//!        scanners take only ASCII they know, and JSON parsers check for themselves.

mod frame;
mod handshake;

pub use frame::{
    Assembler, Frame, FrameError, Kind, Message, Unsent, begin_text, close_reason, end_text, next,
    write_close, write_frame, write_pong,
};
pub use handshake::{Handshake, UpgradeError};
