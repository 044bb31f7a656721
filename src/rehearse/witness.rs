//! The witness of a world: somebody else's signal service, as a story wants it to be.
//!
//! Owns:  what it answers, and what it was asked.
//! Never: takes time; the network between it and the clerk is none.

use super::World;
use crate::metal::dial::{DialError, DialPeer};
use crate::metal::link::MemoryPeer;
use crate::units::Unix;

/// How a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It refuses connections, and ends those it has.
    Gone,
    /// It listens, and says nothing.
    Silent,
    /// This status and this body, in which `$NOW` is the time.
    Says(u16, String),
}

impl World {
    /// What the witness of [`Setup::confirm`](super::Setup::confirm) says from now on, if it is asked.
    pub fn witness_says(&mut self, word: Word) {
        self.witness.word = word;
    }

    /// What the witness was asked so far, as it was sent.
    #[must_use]
    pub fn witness_asked(&self) -> &[String] {
        &self.witness.asked
    }
}

#[derive(Debug)]
pub(super) struct Witness {
    dials: DialPeer,
    peers: Vec<MemoryPeer>,
    pub(super) word: Word,
    pub(super) asked: Vec<String>,
}

impl Witness {
    pub(super) fn new(dials: DialPeer) -> Self {
        Self { dials, peers: Vec::new(), word: Word::Gone, asked: Vec::new() }
    }

    /// The next process dials it.
    pub(super) fn meet(&mut self, dials: DialPeer) {
        self.dials = dials;
        self.peers.clear();
    }

    /// Answers what was asked.
    pub(super) fn answer(&mut self, now: Unix) {
        while let Some(request) = self.dials.next_request() {
            match self.word {
                Word::Gone => {
                    let peer = format!("{}:{}", request.host, request.port);
                    self.dials.refuse(request.ticket, DialError::Refused { peer });
                }
                Word::Silent | Word::Says(..) => self.peers.push(self.dials.accept(&request)),
            }
        }
        let mut bytes = Vec::new();
        for peer in &mut self.peers {
            if peer.take(&mut bytes) > 0 {
                self.asked.push(String::from_utf8_lossy(&bytes).into_owned());
                bytes.clear();
                if let Word::Says(status, body) = &self.word {
                    let body = body.replace("$NOW", &now.to_string());
                    let head = format!("HTTP/1.1 {status} As told\r\nContent-Length: {}\r\n\r\n", body.len());
                    peer.deliver(format!("{head}{body}").as_bytes());
                }
            }
            if self.word == Word::Gone {
                peer.close();
            }
        }
        self.peers.retain(|peer| !peer.link_closed());
    }
}
