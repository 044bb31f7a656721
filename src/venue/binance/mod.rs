//! venue/binance
