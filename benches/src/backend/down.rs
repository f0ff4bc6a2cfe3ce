//! What `Down` sends.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::Stream;
use tokio::time::Instant;
use tonic::Status;

/// How many messages are sent until the time is looked at.
const LOOK: u32 = 64;

/// The request of `Down`: four numbers of 32 bits, the highest byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Down {
    /// Messages, unless the time is over first.
    pub(crate) count: u32,
    /// Bytes in each.
    pub(crate) size: u32,
    /// How long, in milliseconds; 0 for no limit.
    pub(crate) time: u32,
    /// Each in a DATA frame of its own, as other libraries send them, where tonic puts many into one.
    pub(crate) apart: bool,
}

impl Down {
    /// As many as there is time for.
    pub(crate) fn for_time(size: u32, time: Duration) -> Self {
        Self {
            count: u32::MAX,
            size,
            time: time.as_millis().try_into().unwrap_or(u32::MAX),
            apart: false,
        }
    }

    pub(super) fn read(mut message: Bytes) -> Option<Self> {
        (message.len() == 16).then(|| Self {
            count: message.get_u32(),
            size: message.get_u32(),
            time: message.get_u32(),
            apart: message.get_u32() != 0,
        })
    }

    pub(crate) fn written(self) -> Bytes {
        let mut message = BytesMut::with_capacity(16);
        message.put_u32(self.count);
        message.put_u32(self.size);
        message.put_u32(self.time);
        message.put_u32(self.apart.into());
        message.freeze()
    }

    pub(super) fn messages(self) -> Messages {
        let time = Duration::from_millis(self.time.into());
        Messages {
            left: self.count,
            message: vec![b'x'; self.size as usize].into(),
            end: (self.time > 0).then(|| Instant::now() + time),
            apart: self.apart,
            pause: false,
        }
    }
}

/// The messages.
#[derive(Debug)]
pub(super) struct Messages {
    left: u32,
    message: Bytes,
    end: Option<Instant>,
    apart: bool,
    pause: bool,
}

impl Stream for Messages {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // What is ready is sent before tonic asks again.
        self.pause = self.apart && !self.pause;
        if self.pause {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let look = self.left.is_multiple_of(LOOK) || self.message.len() >= 1024;
        let late = look && self.end.is_some_and(|end| end <= Instant::now());
        if self.left == 0 || late {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(self.message.clone())))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let down = Down {
            count: 1,
            size: 70_000,
            time: 3,
            apart: true,
        };
        assert_eq!(Down::read(down.written()), Some(down));
        assert_eq!(Down::read(Bytes::from_static(b"x")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_end_by_number_or_by_time() {
        let some = Down {
            count: 3,
            size: 2,
            time: 0,
            apart: true,
        };
        let sent: Vec<_> = some.messages().collect().await;
        assert_eq!(sent.len(), 3);
        assert!(
            sent.iter()
                .all(|message| message.as_ref().is_ok_and(|m| m == "xx"))
        );
        let mut timed = Down::for_time(4096, Duration::from_millis(10)).messages();
        assert!(timed.next().await.is_some());
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(timed.next().await.is_none());
    }
}
