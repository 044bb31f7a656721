//! Host name in, link out.
//!
//! Owns:  resolving, connecting, beginning TLS, and the numbers of links (ascending, never reused).
//! Never: blocks its caller: what blocks (name look-up, connecting, at most a second each) runs on
//!        helper threads.
//! Quirk: a link comes back `Handshaking`; it becomes `Open` by being `recv`'d. Its owner sets the
//!        deadline for that.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::inbound::Inbound;
use super::link::{Carrier, Link};
use super::memory::{MemoryPeer, memory_pair, memory_pair_connecting};
use super::plain::Plain;
use super::socket;
use super::tls::{Tls, TlsTrust};
use crate::units::id::LinkId;

/// Connecting takes one round trip; a venue a second away is of no use.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Helper threads: one venue whose host is silent must not hold up the other three.
const HELPERS: usize = 4;

/// Where to connect, and with which buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRequest {
    /// The caller's number for this request; comes back with the answer.
    pub ticket: u32,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name the certificate must be for; usually the host.
    pub server_name: String,
    /// Whether to speak TLS. `false` is for loopback.
    pub tls: bool,
    /// Bytes of the inbound buffer, reserved at once.
    pub inbound: usize,
    /// How far it may grow.
    pub inbound_max: usize,
}

impl DialRequest {
    fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name to check the certificate against is no name.
    #[error("{name:?} is no host name; correct the endpoint's address")]
    BadName {
        /// What was given.
        name: String,
    },
    /// Nobody listens there.
    #[error("{peer} refuses connections; check host and port of the endpoint, and that the server runs")]
    Refused {
        /// Who was dialled.
        peer: String,
    },
    /// No answer within a second.
    #[error("{peer} does not answer within 1 s; check the route and the firewall of this host")]
    TimedOut {
        /// Who was dialled.
        peer: String,
    },
    /// The name has no address.
    #[error("host {host} is unknown ({detail}); check its spelling and this host's DNS")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// Anything else: no route, no descriptors left.
    #[error("{peer} can't be reached ({detail}); check this host's network, or `ulimit -n` if files ran out")]
    Unreachable {
        /// Who was dialled.
        peer: String,
        /// What the system said.
        detail: String,
    },
}

/// Makes links.
#[derive(Debug)]
pub struct Dialer {
    side: Side,
    last_id: u32,
}

#[derive(Debug)]
enum Side {
    Real { requests: Sender<DialRequest>, sockets: Receiver<Dialled>, trust: TlsTrust },
    Memory(Arc<Mutex<Exchange>>),
}

type Dialled = (DialRequest, Result<mio::net::TcpStream, DialError>);

impl Dialer {
    /// A dialer for the real network that trusts `trust`.
    ///
    /// # Errors
    ///
    /// The helper threads could not be made.
    pub fn real(trust: TlsTrust) -> io::Result<Self> {
        let (requests, todo) = unbounded::<DialRequest>();
        let (done, sockets) = unbounded();
        for n in 0..HELPERS {
            let (todo, done) = (todo.clone(), done.clone());
            // They end when the dialer is dropped and the queue is empty.
            std::thread::Builder::new().name(format!("dial-{n}")).spawn(move || {
                for request in todo {
                    let answer = connect(&request);
                    if done.send((request, answer)).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { side: Side::Real { requests, sockets, trust }, last_id: 0 })
    }

    /// A dialer whose network is the other hand.
    #[must_use]
    pub fn memory() -> (Self, DialPeer) {
        let exchange = Arc::new(Mutex::new(Exchange::default()));
        (Self { side: Side::Memory(Arc::clone(&exchange)), last_id: 0 }, DialPeer { exchange })
    }

    /// Asks for a link; [`Dialer::poll`] answers under the same ticket.
    pub fn request(&mut self, request: DialRequest) {
        match &self.side {
            Side::Real { requests, .. } => {
                // The helpers live as long as we do; were they gone, no answer comes and the
                // caller's deadline ends it.
                let _ = requests.send(request);
            }
            Side::Memory(exchange) => lock(exchange).requests.push_back(request),
        }
    }

    /// The next answer, if one has come.
    pub fn poll(&mut self) -> Option<(u32, Result<Link, DialError>)> {
        let id = LinkId(self.last_id + 1);
        let (ticket, answer) = match &self.side {
            Side::Real { sockets, trust, .. } => {
                let (request, socket) = sockets.try_recv().ok()?;
                (request.ticket, socket.and_then(|socket| dress(id, &request, socket, trust)))
            }
            Side::Memory(exchange) => {
                let (ticket, answer) = lock(exchange).answers.pop_front()?;
                let numbered = |mut link: Box<Link>| {
                    link.id = id;
                    *link
                };
                (ticket, answer.map(numbered))
            }
        };
        if answer.is_ok() {
            self.last_id = id.0;
        }
        Some((ticket, answer))
    }
}

/// Inbound buffers of memory links have so many bytes at first: worlds open thousands of connections, and zeroing all
/// that each of them may need one day took a twentieth of their time.
const ROOM_AT_FIRST: usize = 1 << 14;

/// The world's hand on a memory dialer.
#[derive(Debug)]
pub struct DialPeer {
    exchange: Arc<Mutex<Exchange>>,
}

impl DialPeer {
    /// The oldest request that was not looked at.
    pub fn next_request(&mut self) -> Option<DialRequest> {
        lock(&self.exchange).requests.pop_front()
    }

    /// Answers with a link that is open.
    pub fn accept(&mut self, request: &DialRequest) -> MemoryPeer {
        self.answer_with(request, memory_pair)
    }

    /// Answers with a link that opens when [`MemoryPeer::open`] is called, or fails.
    pub fn accept_connecting(&mut self, request: &DialRequest) -> MemoryPeer {
        self.answer_with(request, memory_pair_connecting)
    }

    fn answer_with(
        &mut self,
        request: &DialRequest,
        pair: fn(LinkId, &str, usize, usize) -> (Link, MemoryPeer),
    ) -> MemoryPeer {
        // The dialer numbers the link when it hands it out.
        let room = request.inbound.min(ROOM_AT_FIRST);
        let (link, peer) = pair(LinkId::default(), &request.peer(), room, request.inbound_max);
        self.answer(request.ticket, Ok(Box::new(link)));
        peer
    }

    /// Answers that there is no link.
    pub fn refuse(&mut self, ticket: u32, error: DialError) {
        self.answer(ticket, Err(error));
    }

    fn answer(&mut self, ticket: u32, answer: Result<Box<Link>, DialError>) {
        lock(&self.exchange).answers.push_back((ticket, answer));
    }
}

#[derive(Debug, Default)]
struct Exchange {
    requests: VecDeque<DialRequest>,
    answers: VecDeque<(u32, Result<Box<Link>, DialError>)>,
}

/// A panic elsewhere left the queues whole: each change is one call.
fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a carrier around a connected socket.
fn dress(
    id: LinkId,
    request: &DialRequest,
    socket: mio::net::TcpStream,
    trust: &TlsTrust,
) -> Result<Link, DialError> {
    let carrier = if request.tls {
        let tls = Tls::new(socket, &request.server_name, trust)
            .ok_or_else(|| DialError::BadName { name: request.server_name.clone() })?;
        Carrier::Tls(Box::new(tls))
    } else {
        Carrier::Plain(Plain::new(socket))
    };
    Ok(Link::new(id, request.peer(), Inbound::new(request.inbound, request.inbound_max), carrier))
}

/// The part that blocks.
fn connect(request: &DialRequest) -> Result<mio::net::TcpStream, DialError> {
    let unknown = |detail: String| DialError::UnknownHost { host: request.host.clone(), detail };
    let addresses: Vec<SocketAddr> = (request.host.as_str(), request.port)
        .to_socket_addrs()
        .map_err(|error| unknown(error.to_string()))?
        .collect();
    let begun = Instant::now();
    let mut last = unknown("it has no address".to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        // A silent address leaves the others their share of the second.
        let share = CONNECT_LIMIT.saturating_sub(begun.elapsed()) / (addresses.len() - tried) as u32;
        if share.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, share).and_then(socket::prepare) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = failure(&error, request),
        }
    }
    Err(last)
}

fn failure(error: &io::Error, request: &DialRequest) -> DialError {
    let peer = request.peer();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused { peer },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => DialError::TimedOut { peer },
        _ => DialError::Unreachable { peer, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::link::{LinkError, LinkState};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn request(ticket: u32, host: &str, port: u16, tls: bool) -> DialRequest {
        DialRequest {
            ticket,
            host: host.to_owned(),
            port,
            server_name: host.to_owned(),
            tls,
            inbound: 4_096,
            inbound_max: 8_192,
        }
    }

    fn answer(dialer: &mut Dialer) -> (u32, Result<Link, DialError>) {
        let begun = Instant::now();
        loop {
            if let Some(answer) = dialer.poll() {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn real() -> Dialer {
        Dialer::real(TlsTrust::public().unwrap()).unwrap()
    }

    #[test]
    fn who_does_not_listen_refuses() {
        let mut dialer = real();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        dialer.request(request(1, "127.0.0.1", port, true));
        let (ticket, error) = answer(&mut dialer);
        assert_eq!(
            (ticket, error.unwrap_err()),
            (1, DialError::Refused { peer: format!("127.0.0.1:{port}") })
        );
    }

    #[test]
    fn a_name_that_nobody_has_is_unknown() {
        let mut dialer = real();
        // A label of more than 63 bytes can't exist, so no resolver is asked.
        dialer.request(request(1, &format!("{}.invalid", "x".repeat(64)), 443, true));
        let error = answer(&mut dialer).1.unwrap_err();
        assert!(matches!(error, DialError::UnknownHost { .. }), "{error}");
    }

    #[test]
    fn a_plain_link_carries_bytes_and_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut got = [0; 4];
            socket.read_exact(&mut got).unwrap();
            socket.write_all(&got).unwrap();
        });
        let mut dialer = real();
        dialer.request(request(1, "127.0.0.1", port, false));
        let mut link = answer(&mut dialer).1.unwrap();
        assert_eq!(link.state(), LinkState::Open);
        link.send(b"ping").unwrap();
        let end = loop {
            if let Err(error) = link.recv() {
                break error;
            }
        };
        assert_eq!(link.inbound(), b"ping");
        assert_eq!(end.to_string(), format!("127.0.0.1:{port} closed the connection"));
        server.join().unwrap();
    }

    #[test]
    fn who_hangs_up_on_unread_bytes_resets_the_link() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut dialer = real();
        dialer.request(request(1, "127.0.0.1", port, false));
        let mut link = answer(&mut dialer).1.unwrap();
        let (socket, _) = listener.accept().unwrap();
        link.send(b"an order that nobody reads").unwrap();
        // On loopback the bytes are there when `send` returns; closing over them makes a reset.
        drop(socket);
        let end = loop {
            if let Err(error) = link.recv() {
                break error;
            }
        };
        assert!(matches!(end, LinkError::Reset { .. }), "{end:?}");
        assert_eq!(link.state(), LinkState::Closed);
    }

    #[test]
    fn a_world_answers_in_its_own_order_and_ids_ascend() {
        let (mut dialer, mut world) = Dialer::memory();
        dialer.request(request(1, "a", 1, true));
        dialer.request(request(2, "b", 2, true));
        dialer.request(request(3, "c", 3, true));
        let (a, b, c) =
            (world.next_request().unwrap(), world.next_request().unwrap(), world.next_request().unwrap());
        assert!(world.next_request().is_none() && dialer.poll().is_none());
        let mut c_peer = world.accept_connecting(&c);
        world.refuse(a.ticket, DialError::TimedOut { peer: "a:1".to_owned() });
        let _b_peer = world.accept(&b);

        let (ticket, link) = dialer.poll().unwrap();
        let mut link = link.unwrap();
        assert_eq!((ticket, link.id, link.peer()), (3, LinkId(1), "c:3"));
        assert_eq!((link.recv(), link.state()), (Ok(0), LinkState::Connecting));
        c_peer.open();
        assert_eq!((link.recv(), link.state()), (Ok(0), LinkState::Open));
        assert_eq!(dialer.poll().unwrap().1.unwrap_err(), DialError::TimedOut { peer: "a:1".to_owned() });
        let (ticket, link) = dialer.poll().unwrap();
        let link = link.unwrap();
        assert_eq!((ticket, link.id, link.state()), (2, LinkId(2), LinkState::Open));
    }
}
