//! Lines with descriptors, over a Unix socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener as Socket;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

use super::{HandoverError, PATIENCE};

/// Longest line, its end included.
const LINE: usize = 1024;
/// Most descriptors that one read takes.
const DESCRIPTORS: usize = 16;
/// Bytes that one read takes.
const CHUNK: usize = 4096;

/// The connection between an old process and a new one.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    /// Read, and not yet heard.
    bytes: VecDeque<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            bytes: VecDeque::new(),
            descriptors: VecDeque::new(),
        }
    }

    /// Says one line.
    ///
    /// # Errors
    ///
    /// When the other one is gone, or does not read.
    pub async fn say(&mut self, line: &str) -> Result<(), HandoverError> {
        self.write(line, None).await
    }

    /// Says one line, and gives a copy of a socket with it.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub(super) async fn give(
        &mut self,
        line: &str,
        socket: &TcpListener,
    ) -> Result<(), HandoverError> {
        self.write(line, Some(socket.as_fd())).await
    }

    async fn write(
        &mut self,
        line: &str,
        mut carried: Option<BorrowedFd<'_>>,
    ) -> Result<(), HandoverError> {
        let line = format!("{line}\n");
        let send = async {
            let mut rest = line.as_bytes();
            while !rest.is_empty() {
                let send = || send(&self.stream, rest, carried);
                let sent = self.stream.async_io(Interest::WRITABLE, send).await?;
                rest = &rest[sent..];
                // It went with the first byte.
                carried = None;
            }
            Ok(())
        };
        let sent: io::Result<()> = timeout(PATIENCE, send)
            .await
            .map_err(|_| HandoverError::Silent(PATIENCE))?;
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => HandoverError::Gone,
            _ => HandoverError::Broken(error),
        })
    }

    /// Waits for a line for as long as `limit`.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Silent`] after `limit`, [`HandoverError::Gone`] at the end, [`HandoverError::Refused`] for a
    /// line `no REASON`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what was read is kept.
    pub async fn hear(&mut self, limit: Duration) -> Result<String, HandoverError> {
        let line = timeout(limit, self.line()).await;
        let line = line.map_err(|_| HandoverError::Silent(limit))??;
        match line.strip_prefix("no ") {
            Some(reason) => Err(HandoverError::Refused(reason.to_owned())),
            None => Ok(line),
        }
    }

    /// Waits for one line, and no other.
    ///
    /// # Errors
    ///
    /// As [`hear`](Self::hear), and [`HandoverError::Unexpected`] for another line.
    pub async fn expect(&mut self, line: &str, limit: Duration) -> Result<(), HandoverError> {
        let said = self.hear(limit).await?;
        if said == line {
            Ok(())
        } else {
            Err(HandoverError::Unexpected(said))
        }
    }

    /// The next socket that came, which a line heard before told of.
    pub(super) fn take(&mut self) -> Option<Socket> {
        self.descriptors.pop_front().map(Socket::from)
    }

    async fn line(&mut self) -> Result<String, HandoverError> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).take(end).collect();
                let text = String::from_utf8_lossy(&line).into_owned();
                return Ok(text);
            }
            if self.bytes.len() >= LINE {
                let said = format!("a line of more than {LINE} bytes");
                return Err(HandoverError::Unexpected(said));
            }
            let (bytes, descriptors) = (&mut self.bytes, &mut self.descriptors);
            let receive = || receive(&self.stream, bytes, descriptors);
            let received = self.stream.async_io(Interest::READABLE, receive).await;
            match received {
                Ok(0) => return Err(HandoverError::Gone),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(HandoverError::Gone);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn send(stream: &UnixStream, bytes: &[u8], carried: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let carried = carried.as_slice();
    if !carried.is_empty() {
        // There is room for one.
        control.push(SendAncillaryMessage::ScmRights(carried));
    }
    let bytes = [IoSlice::new(bytes)];
    let sent = sendmsg(stream.as_fd(), &bytes, &mut control, SendFlags::NOSIGNAL);
    Ok(sent?)
}

fn receive(
    stream: &UnixStream,
    bytes: &mut VecDeque<u8>,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut chunk = [0; CHUNK];
    let received = recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut chunk)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            descriptors.extend(came);
        }
    }
    bytes.extend(&chunk[..received.bytes]);
    Ok(received.bytes)
}
