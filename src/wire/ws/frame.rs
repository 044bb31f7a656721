//! WebSocket frames in place (RFC 6455 §5): found in the caller's buffer, written into one.
//!
//! Owns:  the frame reader, the assembler of fragmented messages, and the client's own frames.
//! Never: copies an unfragmented payload, allocates on the way of a frame, or waits for the payload
//!        of a frame whose header is already wrong.
//! Quirk: one TLS record may hold several frames, one frame may span several records; the caller
//!        calls [`next`] until it says `None`, then reads more.

use super::super::{Full, Sink};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text message or its first fragment. The bytes are not checked to be UTF-8.
    Text,
    /// A binary message or its first fragment.
    Binary,
    /// A further fragment of the message under way.
    Continuation,
    /// To be answered with a pong of the same payload.
    Ping,
    /// Answers a ping of ours, or comes unasked.
    Pong,
    /// The other side is leaving; [`close_reason`] reads why.
    Close,
}

/// One frame, its payload still in the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Bytes of the buffer it took, header included: where the next one starts.
    pub used: usize,
    /// Whether the message ends with it.
    pub fin: bool,
    /// What it carries.
    pub kind: Kind,
    /// What it carries, unmasked as servers must send it.
    pub payload: &'a [u8],
}

/// How a server broke the protocol. There is no way on from here: send a close with
/// [`FrameError::close_code`], drop the link, dial again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A close frame with half a code.
    #[error("a close frame with one byte; drop the link and dial again")]
    CloseTooShort,
    /// A control frame in pieces.
    #[error("a fragmented control frame; drop the link and dial again")]
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    #[error("a control frame longer than 125 bytes; drop the link and dial again")]
    ControlTooLong,
    /// A length in more bytes than it needs.
    #[error("a frame length in more bytes than it needs; drop the link and dial again")]
    LengthNotMinimal,
    /// A mask, which only clients may use.
    #[error("a masked frame from a server; drop the link, and check that the endpoint is a server")]
    Masked,
    /// An opcode the RFC reserves.
    #[error("unknown opcode {0:#x}; drop the link and dial again")]
    Opcode(u8),
    /// Fragments out of order: one without a start, or a start inside another message.
    #[error("fragments out of order; drop the link and dial again")]
    OutOfOrder,
    /// A frame or message above the limit set for this link.
    #[error(
        "a message of {bytes} bytes or more, {max} allowed; raise the link's limit if the venue means it"
    )]
    Oversize {
        /// What was announced, or had come together.
        bytes: u64,
        /// The limit.
        max: usize,
    },
    /// Bits for extensions, and we negotiated none.
    #[error(
        "reserved bits set though no extension was agreed; drop the link, and look for a proxy that compresses"
    )]
    ReservedBits,
}

impl FrameError {
    /// The code for our close frame: 1009 for size, 1002 for everything else (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        if matches!(self, Self::Oversize { .. }) { 1009 } else { 1002 }
    }
}

/// The longest payload of a control frame (RFC 6455 §5.5).
const CONTROL_MAX: usize = 125;

/// Finds the frame at the start of `buf`; `None` if more bytes must come first. `max` limits the
/// payload of this one frame.
///
/// # Errors
///
/// [`FrameError`], as soon as the header shows it.
#[inline]
pub fn next(buf: &[u8], max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let &[first, second, ..] = buf else { return Ok(None) };
    let fin = first & 0x80 != 0;
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBits);
    }
    let kind = match first & 0x0f {
        0x0 => Kind::Continuation,
        0x1 => Kind::Text,
        0x2 => Kind::Binary,
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xa => Kind::Pong,
        opcode => return Err(FrameError::Opcode(opcode)),
    };
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    if first & 0x08 != 0 {
        if !fin {
            return Err(FrameError::ControlFragmented);
        }
        if usize::from(second) > CONTROL_MAX {
            return Err(FrameError::ControlTooLong);
        }
        if kind == Kind::Close && second == 1 {
            return Err(FrameError::CloseTooShort);
        }
    }
    let (start, length) = match second {
        126 => {
            let &[_, _, a, b, ..] = buf else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes([a, b]));
            if length < 126 {
                return Err(FrameError::LengthNotMinimal);
            }
            (4, length)
        }
        127 => {
            let &[_, _, a, b, c, d, e, f, g, h, ..] = buf else { return Ok(None) };
            let length = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            if length <= u64::from(u16::MAX) {
                return Err(FrameError::LengthNotMinimal);
            }
            (10, length)
        }
        short => (2, u64::from(short)),
    };
    if length > max as u64 {
        return Err(FrameError::Oversize { bytes: length, max });
    }
    let end = (length as usize).saturating_add(start);
    let Some(payload) = buf.get(start..end) else { return Ok(None) };
    Ok(Some(Frame { used: end, fin, kind, payload }))
}

/// A whole message: the payload of one frame, or of several put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is; never [`Kind::Continuation`].
    pub kind: Kind,
    /// What it says.
    pub payload: &'a [u8],
}

/// Puts fragmented messages together in a side buffer of its own; lets all others through as they are.
#[derive(Debug)]
pub struct Assembler {
    side: Vec<u8>,
    max: usize,
    /// Kind of the message under way.
    open: Option<Kind>,
}

impl Assembler {
    /// For messages of up to `max` bytes, an amount of memory that is there: the side buffer is
    /// reserved at once, so that a fragmented message on a hot link does not allocate. The pages of
    /// one that is never used are never touched.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { side: Vec::with_capacity(max), max, open: None }
    }

    /// Takes the next frame; returns the message it completes. Control frames pass between fragments.
    ///
    /// # Errors
    ///
    /// [`FrameError::OutOfOrder`] and [`FrameError::Oversize`].
    #[inline]
    pub fn on<'a>(&'a mut self, frame: Frame<'a>) -> Result<Option<Message<'a>>, FrameError> {
        match frame.kind {
            Kind::Ping | Kind::Pong | Kind::Close => {}
            Kind::Text | Kind::Binary if frame.fin && self.open.is_none() => {}
            _ => return self.fragment(frame),
        }
        Ok(Some(Message { kind: frame.kind, payload: frame.payload }))
    }

    /// No venue is known to fragment its feeds, so this stays out of the hot path's way.
    #[cold]
    #[inline(never)]
    fn fragment<'a>(&'a mut self, frame: Frame<'a>) -> Result<Option<Message<'a>>, FrameError> {
        let kind = match (self.open, frame.kind) {
            (Some(kind), Kind::Continuation) => kind,
            (None, Kind::Text | Kind::Binary) => {
                self.side.clear();
                frame.kind
            }
            _ => return Err(FrameError::OutOfOrder),
        };
        let bytes = self.side.len() + frame.payload.len();
        if bytes > self.max {
            return Err(FrameError::Oversize { bytes: bytes as u64, max: self.max });
        }
        self.side.extend_from_slice(frame.payload);
        if !frame.fin {
            self.open = Some(kind);
            return Ok(None);
        }
        self.open = None;
        Ok(Some(Message { kind, payload: &self.side }))
    }
}

/// Code and reason of a close frame's payload. 1005 stands for "none given" (RFC 6455 §7.1.5).
#[must_use]
pub fn close_reason(payload: &[u8]) -> (u16, &[u8]) {
    match payload {
        &[a, b, ref reason @ ..] => (u16::from_be_bytes([a, b]), reason),
        _ => (1005, b""),
    }
}

/// Why a frame of ours was not written; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The buffer has no room.
    #[error(transparent)]
    Full(#[from] Full),
    /// A control frame above 125 bytes, or a bare continuation: the server would drop us for it.
    #[error(
        "not a frame a client may send whole: keep control payloads within 125 bytes, and never fragment"
    )]
    Illegal,
}

/// Appends one whole, masked frame. `mask` comes from a good source of entropy, a new one for each
/// frame (RFC 6455 §5.3); it may be drawn long before.
///
/// # Errors
///
/// [`Unsent`]; `out` is unchanged then.
#[inline]
pub fn write_frame(out: &mut impl Sink, kind: Kind, payload: &[u8], mask: [u8; 4]) -> Result<(), Unsent> {
    let opcode = match kind {
        Kind::Text => 0x1,
        Kind::Binary => 0x2,
        Kind::Close | Kind::Ping | Kind::Pong if payload.len() > CONTROL_MAX => return Err(Unsent::Illegal),
        Kind::Close => 0x8,
        Kind::Ping => 0x9,
        Kind::Pong => 0xa,
        Kind::Continuation => return Err(Unsent::Illegal),
    };
    let mut header = [0; 14];
    header[0] = 0x80 | opcode;
    let length = payload.len();
    let used = if length < 126 {
        header[1] = 0x80 | length as u8;
        2
    } else if let Ok(short) = u16::try_from(length) {
        header[1] = 0x80 | 126;
        header[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        header[1] = 0x80 | 127;
        header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    header[used..used + 4].copy_from_slice(&mask);
    if out.room() < used + 4 + length {
        return Err(Unsent::Full(Full));
    }
    out.put(&header[..used + 4])?;
    let start = out.len();
    out.put(payload)?;
    apply_mask(&mut out[start..], mask);
    Ok(())
}

/// Bytes before the payload of a frame that [`begin_text`] began.
const MIDDLE: usize = 8;

/// Begins a masked text frame in `out`, for a payload of 126 to 65,535 bytes that is appended next. Where it begins,
/// for [`end_text`].
///
/// # Errors
///
/// [`Full`]; `out` is unchanged then.
#[inline]
pub fn begin_text(out: &mut impl Sink) -> Result<usize, Full> {
    let start = out.len();
    out.put(&[0; MIDDLE])?;
    Ok(start)
}

/// Ends the frame that begins at `start`: what was appended since is its payload, and is masked where it lies.
///
/// # Errors
///
/// [`Unsent::Illegal`] if the payload is not of a length it was begun for; it is left as it was.
#[inline]
pub fn end_text(out: &mut [u8], start: usize, mask: [u8; 4]) -> Result<(), Unsent> {
    let frame = out.get_mut(start..).ok_or(Unsent::Illegal)?;
    let (header, payload) = frame.split_at_mut_checked(MIDDLE).ok_or(Unsent::Illegal)?;
    let length = u16::try_from(payload.len()).ok().filter(|length| *length >= 126).ok_or(Unsent::Illegal)?;
    header[..2].copy_from_slice(&[0x81, 0x80 | 126]);
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&mask);
    apply_mask(payload, mask);
    Ok(())
}

/// Appends the pong that answers a ping of `payload`.
///
/// # Errors
///
/// [`Unsent`]; `out` is unchanged then.
pub fn write_pong(out: &mut impl Sink, payload: &[u8], mask: [u8; 4]) -> Result<(), Unsent> {
    write_frame(out, Kind::Pong, payload, mask)
}

/// Appends a close frame with `code` (1000: done; 1001: going away; otherwise [`FrameError::close_code`]).
///
/// # Errors
///
/// [`Unsent`]; `out` is unchanged then.
pub fn write_close(out: &mut impl Sink, code: u16, mask: [u8; 4]) -> Result<(), Unsent> {
    write_frame(out, Kind::Close, &code.to_be_bytes(), mask)
}

/// XORs `bytes` with the mask, eight at a time.
#[inline]
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
