//! What a session needs of the world: two streams of bytes with counters that outlive the server.

/// A client's two streams of bytes.
///
/// Positions count bytes since the stream began, modulo 2^32. The counters [`consumed`](Stream::consumed) and
/// [`produced`](Stream::produced) must survive the server and move in one step: the indexes of a ring in a shared
/// page do, and so do the offsets that a kernel keeps for a socket.
pub trait Stream {
    /// What can go wrong with it: the client has closed it, or its indexes make no sense.
    type Error;

    /// The most bytes that can wait to be consumed. A larger message arrives in parts.
    fn window(&self) -> usize;

    /// How much of the input has been taken away.
    ///
    /// # Errors
    /// The stream is broken.
    fn consumed(&self) -> Result<u32, Self::Error>;

    /// Bytes of the input that wait from `consumed() + skip` on, `wanted` of them if so many are there, and
    /// perhaps more. They are a private copy: nobody changes them any more.
    ///
    /// # Errors
    /// The stream is broken.
    fn peek(&mut self, skip: usize, wanted: usize) -> Result<&[u8], Self::Error>;

    /// Takes the input away up to `position`, which has been seen by [`peek`](Stream::peek).
    ///
    /// # Errors
    /// The stream is broken.
    fn consume_to(&mut self, position: u32) -> Result<(), Self::Error>;

    /// How much of the output has been handed over.
    ///
    /// # Errors
    /// The stream is broken.
    fn produced(&self) -> Result<u32, Self::Error>;

    /// Hands over output, whose first byte is that at `produced()`; as much as there is room for. Returns how much.
    ///
    /// # Errors
    /// The stream is broken.
    fn produce(&mut self, bytes: &[u8]) -> Result<usize, Self::Error>;
}

/// How messages stand in a stream.
pub trait Framing {
    /// Bytes that tell a message's length.
    const HEADER: usize;
    /// Bytes of the largest message, header and all.
    const MESSAGE_MAX: usize;

    /// Bytes of the message that begins with this header, the header included; `None` if that is no header, or
    /// the message would be larger than [`MESSAGE_MAX`](Framing::MESSAGE_MAX).
    fn length(header: &[u8]) -> Option<usize>;
}
