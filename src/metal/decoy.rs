//! Reads that nothing comes of, and links to nobody.
//!
//! Owns:  the way of a record gone dry, and what a link holds that was put into it.
//! Never: spends a record's number, gives out what was not given out before, or sends.
//! Why:   what only a quote needs goes cold in the turns that bring none (HOTPATH §11.7).

use super::link::{Carrier, Link, memory_pair};
use crate::units::id::LinkId;

impl Link {
    /// Goes the way of the next record as far as nothing comes of it, so that it is warm, and gives the text of the last
    /// one, for a room that does the same with what it makes of it. Empty: that is not over, or no longer there.
    #[must_use]
    pub fn dry_recv(&self) -> &[u8] {
        let text = self.inbound.last();
        if let Carrier::Tls(tls) = &self.carrier
            && !text.is_empty()
        {
            tls.dry(text.len());
        }
        text
    }

    /// A link to nobody: it holds what is put into it, up to so many bytes, and nothing can be sent on it.
    #[must_use]
    pub fn decoy(bytes: usize) -> Self {
        let (mut link, _) = memory_pair(LinkId::default(), "nobody", bytes, bytes);
        link.close();
        link
    }

    /// Lets a decoy hold these bytes and no others; `false`: they are more than it can.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        self.inbound.consume(usize::MAX);
        let fits = bytes.len() <= self.inbound.max();
        if fits {
            self.inbound.put(bytes);
        }
        fits
    }
}
