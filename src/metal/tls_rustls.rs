//! rustls on buffers: the handshake of every connection, and the whole life of those it keeps.
//!
//! Owns:  what came and rustls has not looked at, and what it has opened.
//! Never: touches a socket; shows rustls a record behind the handshake of a connection that we take over.
//! Why:   the unbuffered API is the only way out of rustls with its key schedule, which makes the later keys
//!        (HOTPATH §2).
//! Quirk: rustls allocates about once per record each way.

use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error, ProtocolVersion};

use super::tls_own::Own;
use super::tls_record::RECORD_MAX;

/// A connection in rustls' hands.
pub(super) struct Rustls {
    rustls: UnbufferedClientConnection,
    /// What came, from `begin` to `end`; always fully initialised.
    raw: Vec<u8>,
    begin: usize,
    end: usize,
    /// Opened, not fetched.
    plain: Vec<u8>,
    /// The other side said goodbye.
    pub(super) closed: bool,
    /// Whether we take it over if it can be done.
    takes_over: bool,
    /// Why it is over; rustls is not to be asked again then.
    failure: Option<Error>,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It wants more from the other side before anything can be sent.
    Agreeing,
    /// Bytes flow.
    Open,
    /// The handshake is done, nothing behind it was looked at: ours, if we want it.
    Ours,
}

impl Rustls {
    pub(super) fn new(config: &Arc<ClientConfig>, name: ServerName<'static>) -> Option<Self> {
        let rustls = UnbufferedClientConnection::new(Arc::clone(config), name).ok()?;
        Some(Self {
            rustls,
            raw: vec![0; RECORD_MAX],
            begin: 0,
            end: 0,
            plain: Vec::new(),
            closed: false,
            takes_over: config.enable_secret_extraction,
            failure: None,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    /// Room for what the socket has; never empty.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        self.raw.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        if self.raw.len() - self.end < RECORD_MAX / 2 {
            // rustls bounds what it wants at once: a message of 64 KiB, in records.
            self.raw.resize(self.raw.len() + RECORD_MAX, 0);
        }
        &mut self.raw[self.end..]
    }

    pub(super) fn gained(&mut self, n: usize) {
        self.end += n;
    }

    /// Looks at what came, puts what is to be sent behind `out`, and seals `text` where the connection is open.
    pub(super) fn advance(&mut self, text: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Step, Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        loop {
            let ours = self.takes_over
                && !self.rustls.is_handshaking()
                && self.rustls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
            // Behind the handshake of one that becomes ours, rustls must see nothing: what it opened would have
            // to be handed over, and a key update that it answers later would be lost.
            let end = if ours { self.begin } else { self.end };
            let UnbufferedStatus { discard, state } =
                self.rustls.process_tls_records(&mut self.raw[self.begin..end]);
            let mut failure = None;
            let step = match state {
                Err(error) => return Err(self.fail(error, out)),
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, out);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // `out` goes to the kernel in its order, whatever comes between.
                    data.done();
                    None
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => self.plain.extend_from_slice(record.payload),
                            Err(error) => failure = Some(error),
                        }
                    }
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.closed = true;
                    None
                }
                Ok(ConnectionState::WriteTraffic(_)) if ours => Some(Step::Ours),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if let Some(text) = text {
                        put(out, |to| match traffic.encrypt(text, to) {
                            Ok(n) => Ok(n),
                            Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                            Err(EncryptError::EncryptExhausted) => {
                                failure = Some(Error::EncryptError);
                                Err(None)
                            }
                        });
                    }
                    Some(Step::Open)
                }
                Ok(ConnectionState::BlockedHandshake) => Some(Step::Agreeing),
                // Early data is never offered; a state of a later rustls is not gone on with.
                Ok(_) => Some(Step::Open),
            };
            self.begin += discard;
            if let Some(error) = failure {
                return Err(self.fail(error, out));
            }
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// It is over; rustls may have an alert for the other side.
    #[cold]
    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Error {
        if self.rustls.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.rustls.process_tls_records(&mut self.raw[self.begin..self.end]).state
        {
            encode(&mut data, out);
        }
        self.failure.insert(error).clone()
    }

    /// Says goodbye, where it has come far enough for that.
    pub(super) fn say_goodbye(&mut self, out: &mut Vec<u8>) {
        if self.is_handshaking() || !matches!(self.advance(None, out), Ok(Step::Open)) {
            return;
        }
        let raw = &mut self.raw[self.begin..self.end];
        if let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } =
            self.rustls.process_tls_records(raw)
        {
            put(out, |to| match traffic.queue_close_notify(to) {
                Ok(n) => Ok(n),
                Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                Err(EncryptError::EncryptExhausted) => Err(None),
            });
        }
    }

    /// Moves what was opened into `to`, as far as there is room; how much that was.
    pub(super) fn fetch(&mut self, to: &mut [u8]) -> usize {
        let n = self.plain.len().min(to.len());
        to[..n].copy_from_slice(&self.plain[..n]);
        self.plain.drain(..n);
        n
    }

    /// Hands the connection over after [`Step::Ours`], with the bytes that came behind the handshake.
    pub(super) fn into_own(self) -> Result<(Own, Vec<u8>), String> {
        let (secrets, kernel) =
            self.rustls.dangerous_into_kernel_connection().map_err(|error| error.to_string())?;
        let own = Own::new(secrets, kernel).map_err(|flaw| flaw.what.to_owned())?;
        Ok((own, self.raw[self.begin..self.end].to_vec()))
    }
}

/// Puts a chunk that rustls wants to send behind `out`.
fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) {
    put(out, |to| match data.encode(to) {
        Ok(n) => Ok(n),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Lets `write` put its bytes behind `out`, which is made as long as it asks for.
fn put(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) {
    let from = out.len();
    let mut room = 512;
    loop {
        out.resize(from + room, 0);
        match write(&mut out[from..]) {
            Ok(n) => return out.truncate(from + n),
            Err(Some(more)) if more > room => room = more,
            Err(_) => return out.truncate(from),
        }
    }
}
