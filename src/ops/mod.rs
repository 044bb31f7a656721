//! What stands between a running engine and those who watch over it.
//!
//! Owns:  the doors to the outside that are no venue's.
//! Never: decides anything; it asks the shadow by rings and tells what that said.
//! Map:   [`control`] the Unix socket of `contango ctl` · [`words`] its lines ·
//!        [`scan`] the scanner's rows and API, in a process of its own.

pub mod control;
pub mod scan;
pub mod words;
