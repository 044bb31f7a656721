//! Links to nobody: both ends are ours, TLS over sockets on loopback that lead nowhere.
//!
//! Owns:  how such a pair is made, and its keys, which are no secret: they are all zeros, and never change.
//! Never: a way to a venue, or for anything that others must not read.
//! Why:   what a send needs of the kernel, of the record layer, of caches and predictors is gone after some milliseconds
//!        without one, and only a send brings it back (HOTPATH §11.7).

use super::inbound::Inbound;
use super::link::{Carrier, Link};
use super::socket;
use super::tls::Tls;
use super::tls_own::Own;
use super::tls_record::RECORD_MAX;
use crate::units::id::LinkId;
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Two links that lead to each other, open; each holds as many bytes as it is said to, and no more.
///
/// # Errors
///
/// The system's: there is no loopback, or there are too many open files.
pub fn loopback_pair(id: LinkId, inbound: usize) -> io::Result<[Link; 2]> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let mine = near.local_addr()?;
    // Whoever else knocks here is not let in.
    let far = loop {
        let (socket, from) = listener.accept()?;
        if from == mine {
            break socket;
        }
    };
    Ok([dress(id, near, inbound)?, dress(id, far, inbound)?])
}

fn dress(id: LinkId, stream: TcpStream, inbound: usize) -> io::Result<Link> {
    let own = Own::of_nobody([zeros(), zeros()]).map_err(|flaw| io::Error::other(flaw.what))?;
    let tls = Tls::of_nobody(socket::prepare(stream)?, own);
    let mut buffer = Inbound::new(inbound, inbound);
    buffer.expect_records(RECORD_MAX);
    Ok(Link::new(id, "nobody".to_owned(), buffer, Carrier::Tls(Box::new(tls))))
}

fn zeros() -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([0; 32]), iv: Iv::new([0; 12]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::link::{LinkState, Sent};

    /// Reads until so much has come; loopback hands over within the call, as a rule.
    fn heard(link: &mut Link, bytes: usize) -> Vec<u8> {
        for _ in 0..1_000_000 {
            if link.recv().unwrap() > 0 && link.inbound().len() >= bytes {
                break;
            }
        }
        let heard = link.inbound().to_vec();
        link.consume(usize::MAX);
        heard
    }

    #[test]
    fn both_ends_speak_and_one_hears_what_the_other_sealed_ahead() {
        let [mut near, mut far] = loopback_pair(LinkId(1), 1 << 12).unwrap();
        assert_eq!((near.state(), far.state()), (LinkState::Open, LinkState::Open));
        for _ in 0..100 {
            let sealed = near.seal_ahead(b"an order", None).unwrap();
            assert_eq!(near.send_sealed(sealed), Ok(Some(Sent::All)));
            assert_eq!(heard(&mut far, 8), b"an order");
            assert_eq!(far.send(b"its answer"), Ok(Sent::All));
            assert_eq!(heard(&mut near, 10), b"its answer");
        }
        drop(near);
        let end = (0..1_000_000).find_map(|_| far.recv().err());
        assert!(end.is_some(), "a dropped end is an end");
    }
}
