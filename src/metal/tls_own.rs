//! A TLS 1.3 connection after its handshake, in our own hands: no allocation per record, either way.
//!
//! Owns:  what a record means (data, ticket, key update, alert), the key changes, our alerts and goodbye.
//! Never: touches a socket; derives a key (rustls' key schedule does); goes on after anything it does not
//!        know: the link ends, and the next one is agreed anew.
//! Wire:  RFC 8446 §4.6 (messages after the handshake), §5.1, §6 (alerts), §7.2 (new keys).
//! Quirk: a ticket is kept as it came and handed to rustls when the link is dropped, which the cold room does:
//!        taking one in allocates.

use arrayvec::ArrayVec;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{AlertDescription, ConnectionTrafficSecrets, ExtractedSecrets};

use super::inbound::Inbound;
use super::tls_record::{AROUND, Flaw, Opened, Opening, Sealing, TEXT_MAX, Turn, content};

/// Types of handshake messages (§4), and how long their own headers are.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const MESSAGE_HEADER: usize = 4;
/// The longest message after the handshake that is put together from several records.
const MESSAGE_MAX: usize = 1 << 16;
/// The longest ticket that is kept; servers make them a few hundred bytes long.
const TICKET_MAX: usize = 2_048;
/// So many records without data in a row are somebody wasting our time; rustls allows as many key updates.
const IDLE_MAX: u8 = 32;
/// Where a suite has no limit of its own.
const UNLIMITED: u64 = 1 << 40;

/// A connection in our hands.
pub(super) struct Own {
    /// Where the next keys come from; `None`: those of nobody stay what they are.
    kernel: Option<KernelConnection<ClientConnectionData>>,
    opening: Opening,
    sealing: Sealing,
    /// The beginning of a message whose end is in a record to come.
    message: Vec<u8>,
    /// The last ticket that came.
    ticket: ArrayVec<u8, TICKET_MAX>,
    /// Records without data since the last one with.
    idle: u8,
}

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The other side said goodbye.
    Goodbye,
    /// The other side says that something is wrong.
    Told(AlertDescription),
    /// Something is wrong; the other side has been told.
    Flaw(Flaw),
}

impl Own {
    /// Takes a connection over, right after its handshake.
    pub(super) fn new(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
    ) -> Result<Self, Flaw> {
        let limit = kernel
            .negotiated_cipher_suite()
            .tls13()
            .map_or(UNLIMITED, |suite| suite.common.confidentiality_limit.min(UNLIMITED));
        Self::with(Some(kernel), secrets.rx, Sealing::new(secrets.tx, 0, limit / 2)?)
    }

    /// A connection that nobody agreed on, under keys that are no secret: so they don't wear out.
    pub(super) fn of_nobody([rx, tx]: [ConnectionTrafficSecrets; 2]) -> Result<Self, Flaw> {
        Self::with(None, (0, rx), Sealing::new((0, tx), 0, UNLIMITED)?)
    }

    fn with(
        kernel: Option<KernelConnection<ClientConnectionData>>,
        rx: (u64, ConnectionTrafficSecrets),
        sealing: Sealing,
    ) -> Result<Self, Flaw> {
        Ok(Self {
            kernel,
            opening: Opening::new(rx)?,
            sealing,
            message: Vec::with_capacity(TICKET_MAX),
            ticket: ArrayVec::new(),
            idle: 0,
        })
    }

    // ───────────────────────────── in ─────────────────────────────

    /// Opens every whole record in `inbound`; answers, if any, are put behind `out`. Returns how many bytes
    /// are held more than before, and what ended the connection behind them.
    #[inline]
    pub(super) fn open(&mut self, inbound: &mut Inbound, out: &mut Vec<u8>) -> (usize, Option<End>) {
        let mut gained = 0;
        loop {
            let opened = match self.opening.open(inbound.raw()) {
                Ok(Some(opened)) => opened,
                Ok(None) => return (gained, None),
                Err(flaw) => return (gained, Some(self.refuse(flaw, out))),
            };
            if opened.kind == content::DATA && self.message.is_empty() && !opened.text.is_empty() {
                self.idle = 0;
                gained += opened.text.len();
                inbound.opened(opened.record, opened.text);
                continue;
            }
            let end = self.other(&opened, inbound, out);
            inbound.opened(opened.record, 0..0);
            if end.is_some() {
                return (gained, end);
            }
        }
    }

    /// As of [`Opening::dry`].
    pub(super) fn dry(&self, text: usize) {
        self.opening.dry(text);
    }

    /// A record that is no data.
    #[cold]
    fn other(&mut self, opened: &Opened, inbound: &mut Inbound, out: &mut Vec<u8>) -> Option<End> {
        use AlertDescription as Alert;
        self.idle += 1;
        let text = &inbound.raw()[opened.text.clone()];
        let flaw = |alert, what| Err(Flaw::new(alert, what));
        let verdict = match (opened.kind, text) {
            _ if self.idle > IDLE_MAX => flaw(Alert::UnexpectedMessage, "too many records without data"),
            (content::HANDSHAKE, []) => flaw(Alert::UnexpectedMessage, "an empty piece of a message came"),
            (content::HANDSHAKE, piece) => self.piece(piece, out),
            // Nothing may come between the pieces of a message (§5.1).
            _ if !self.message.is_empty() => flaw(Alert::UnexpectedMessage, "a message was interrupted"),
            (content::DATA, _) => Ok(()),
            (content::ALERT, [_, alert]) => match AlertDescription::from(*alert) {
                Alert::CloseNotify => return Some(End::Goodbye),
                // Says nothing; a goodbye follows (§6.1).
                Alert::UserCanceled => Ok(()),
                alert => return Some(End::Told(alert)),
            },
            (content::ALERT, _) => flaw(Alert::DecodeError, "an alert is not two bytes long"),
            _ => flaw(
                Alert::UnexpectedMessage,
                "a record of a kind came that has no place after the handshake",
            ),
        };
        verdict.err().map(|flaw| self.refuse(flaw, out))
    }

    /// A piece of a handshake message, or several messages.
    fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
        let mut message = std::mem::take(&mut self.message);
        message.extend_from_slice(piece);
        let mut rest = &message[..];
        while let Some((header, behind)) = rest.split_first_chunk::<MESSAGE_HEADER>() {
            let [kind, a, b, c] = *header;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > MESSAGE_MAX {
                return Err(Flaw::new(AlertDescription::DecodeError, "a message is too long"));
            }
            let Some((body, behind)) = behind.split_at_checked(length) else { break };
            self.take_in(kind, body, behind.is_empty(), out)?;
            rest = behind;
        }
        let done = message.len() - rest.len();
        message.drain(..done);
        self.message = message;
        Ok(())
    }

    fn take_in(&mut self, kind: u8, body: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Flaw> {
        use AlertDescription as Alert;
        match (kind, body) {
            (NEW_SESSION_TICKET, _) => {
                // One that is too long is not worth a copy: the next handshake is a full one then.
                if body.len() <= TICKET_MAX {
                    self.ticket.clear();
                    self.ticket.extend(body.iter().copied());
                }
                Ok(())
            }
            // Its record ends with it: what follows is under the next key (§5.1).
            (KEY_UPDATE, _) if !last => {
                Err(Flaw::new(Alert::UnexpectedMessage, "a message runs over a change of keys"))
            }
            (KEY_UPDATE, [0]) => self.renew_opening(),
            (KEY_UPDATE, [1]) => {
                self.renew_opening()?;
                self.renew_sealing(out)
            }
            (KEY_UPDATE, [_]) => {
                Err(Flaw::new(Alert::IllegalParameter, "a change of keys asks for something unknown"))
            }
            (KEY_UPDATE, _) => Err(Flaw::new(Alert::DecodeError, "a change of keys is not one byte long")),
            _ => Err(Flaw::new(
                Alert::UnexpectedMessage,
                "a message came that has no place after the handshake",
            )),
        }
    }

    // ───────────────────────────── keys ─────────────────────────────

    fn renew_opening(&mut self) -> Result<(), Flaw> {
        let kernel = self.kernel.as_mut().ok_or(NO_KEY)?;
        let secrets = kernel.update_rx_secret().map_err(|_| NO_KEY)?;
        self.opening = Opening::new(secrets)?;
        Ok(())
    }

    /// Says so under the old key, then takes the new one. All that was sealed ahead is void.
    fn renew_sealing(&mut self, out: &mut Vec<u8>) -> Result<(), Flaw> {
        self.sealing.seal(content::HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        let kernel = self.kernel.as_mut().ok_or(NO_KEY)?;
        let secrets = kernel.update_tx_secret().map_err(|_| NO_KEY)?;
        let epoch = self.sealing.next().epoch + 1;
        self.sealing = Sealing::new(secrets, epoch, self.sealing.most())?;
        Ok(())
    }

    // ───────────────────────────── out ─────────────────────────────

    /// Seals `bytes` behind `out`, to be sent; in as many records as it takes.
    #[inline]
    pub(super) fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
        for text in bytes.chunks(TEXT_MAX) {
            if self.sealing.worn() {
                self.renew_sealing(out)?;
            }
            self.sealing.seal(content::DATA, text, out)?;
        }
        Ok(())
    }

    /// Seals `bytes` for the next record that leaves, if nothing else does. `None`: they are too many for one
    /// record of `out`, or the key is worn.
    #[inline]
    pub(super) fn ahead<const N: usize>(&self, bytes: &[u8], out: &mut ArrayVec<u8, N>) -> Option<Turn> {
        let length = bytes.len() + AROUND;
        if bytes.is_empty() || bytes.len() > TEXT_MAX || length > N || self.sealing.worn() {
            return None;
        }
        out.clear();
        out.extend(std::iter::repeat_n(0, length));
        self.sealing.ahead(bytes, out).ok()
    }

    /// What the next record will be.
    #[inline]
    pub(super) fn next(&self) -> Turn {
        self.sealing.next()
    }

    /// As of [`Sealing::spend`].
    #[inline]
    #[must_use]
    pub(super) fn spend(&mut self, turn: Turn) -> bool {
        self.sealing.spend(turn)
    }

    /// Says goodbye.
    pub(super) fn say_goodbye(&mut self, out: &mut Vec<u8>) {
        self.tell(AlertDescription::CloseNotify, out);
    }

    fn refuse(&mut self, flaw: Flaw, out: &mut Vec<u8>) -> End {
        self.tell(flaw.alert, out);
        End::Flaw(flaw)
    }

    /// A courtesy: where it can't be sealed, the other side finds a cut connection.
    fn tell(&mut self, alert: AlertDescription, out: &mut Vec<u8>) {
        let (warning, fatal) = (1, 2);
        let level = if alert == AlertDescription::CloseNotify { warning } else { fatal };
        let _ = self.sealing.seal(content::ALERT, &[level, u8::from(alert)], out);
    }

    #[cfg(test)]
    pub(super) fn wear_out_after(&mut self, records: u64) {
        self.sealing.wear_out_after(records);
    }
}

const NO_KEY: Flaw = Flaw::new(AlertDescription::InternalError, "no next key could be derived");

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(kernel) = &mut self.kernel
            && !self.ticket.is_empty()
        {
            // One that rustls can't read is a full handshake the next time.
            let _ = kernel.handle_new_session_ticket(&self.ticket);
        }
    }
}

#[cfg(test)]
#[path = "tls_own_tests.rs"]
mod tests;
