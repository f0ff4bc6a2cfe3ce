//! Ends of a tunnel for tests: ours, and a peer with yamux and messages by hand, so that it can say what ours never would.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use yamux::Mode;

use crate::handshake::codec;
use crate::io::Coalescing;
use crate::message::{Control, control::Message};
use crate::session::{Activity, Incoming, Session};
use crate::stream::RawStream;
use crate::{Established, SessionError, TunnelStream};

/// How long a stream may take to say what it is for.
const TAKE: Duration = Duration::from_secs(5);

/// An end of ours, with its work under way.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) incoming: Incoming,
    pub(crate) tasks: JoinSet<SessionError>,
}

impl End {
    pub(crate) fn run(established: Established) -> Self {
        let Established {
            session,
            incoming,
            task,
        } = established;
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run());
        Self {
            session,
            incoming,
            tasks,
        }
    }

    /// Takes the next stream, whatever it is for.
    pub(crate) async fn take(&mut self) -> TunnelStream {
        let stream = self.incoming.next().await.unwrap();
        stream
            .read_open(TAKE)
            .await
            .unwrap()
            .accept()
            .await
            .unwrap()
    }
}

/// What a [`Foreign`] peer does beside moving bytes.
enum Order {
    Open(oneshot::Sender<yamux::Stream>),
    GoAway,
    Freeze,
}

/// The other end of a tunnel.
pub(crate) struct Foreign {
    /// The first stream.
    pub(crate) control: RawStream,
    /// Streams that our side opens.
    pub(crate) inbound: mpsc::Receiver<yamux::Stream>,
    orders: mpsc::Sender<Order>,
    _tasks: JoinSet<()>,
}

impl Foreign {
    /// Puts yamux over `pipe`, and opens the first stream as the edge does or takes it as the server does.
    pub(crate) async fn over(pipe: DuplexStream, mode: Mode) -> Self {
        let io = Coalescing::new(Box::new(pipe), Arc::new(Activity::new()));
        let connection = yamux::Connection::new(io, yamux::Config::default(), mode);
        let (orders, orders_queue) = mpsc::channel(1);
        let (inbound_in, mut inbound) = mpsc::channel(512);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive(connection, orders_queue, inbound_in));
        let control = match mode {
            Mode::Client => open(&orders).await,
            Mode::Server => inbound.recv().await.unwrap(),
        };
        Self {
            control: RawStream::new(control),
            inbound,
            orders,
            _tasks: tasks,
        }
    }

    /// Opens another stream.
    pub(crate) async fn open(&self) -> RawStream {
        RawStream::new(open(&self.orders).await)
    }

    /// Ends yamux in order.
    pub(crate) async fn go_away(&self) {
        assert!(self.orders.send(Order::GoAway).await.is_ok());
    }

    /// From here on nothing is read or answered; the pipe stays open.
    pub(crate) async fn freeze(&self) {
        assert!(self.orders.send(Order::Freeze).await.is_ok());
    }

    /// Says a message on the control stream.
    pub(crate) async fn say(&mut self, message: Message) {
        self.write(&frame(message)).await;
    }

    /// Writes bytes to the control stream.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.control.write_all(bytes).await.unwrap();
    }

    /// The next message, `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<Message> {
        let mut length = [0; 4];
        self.control.read_exact(&mut length).await.ok()?;
        let mut body = BytesMut::from(&length[..]);
        body.resize(4 + u32::from_be_bytes(length) as usize, 0);
        self.control.read_exact(&mut body[4..]).await.ok()?;
        codec::decode::<Control>(&mut body)
            .unwrap()
            .unwrap()
            .message
    }
}

async fn open(orders: &mpsc::Sender<Order>) -> yamux::Stream {
    let (answer, stream) = oneshot::channel();
    assert!(orders.send(Order::Open(answer)).await.is_ok());
    stream.await.unwrap()
}

async fn drive(
    mut connection: yamux::Connection<Coalescing>,
    mut orders: mpsc::Receiver<Order>,
    inbound: mpsc::Sender<yamux::Stream>,
) {
    let mut waiting = None;
    let (mut going, mut frozen) = (false, false);
    poll_fn(|cx| {
        loop {
            if frozen {
                return Poll::Pending;
            }
            if going {
                return connection.poll_close(cx).map(|_| ());
            }
            if waiting.is_none()
                && let Poll::Ready(Some(order)) = orders.poll_recv(cx)
            {
                match order {
                    Order::Open(answer) => waiting = Some(answer),
                    Order::GoAway => {
                        going = true;
                        continue;
                    }
                    Order::Freeze => {
                        frozen = true;
                        continue;
                    }
                }
            }
            if waiting.is_some()
                && let Poll::Ready(opened) = connection.poll_new_outbound(cx)
            {
                match (waiting.take(), opened) {
                    (Some(answer), Ok(stream)) => drop(answer.send(stream)),
                    _ => return Poll::Ready(()),
                }
                continue;
            }
            match connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => drop(inbound.try_send(stream)),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// A message on the control stream.
pub(crate) fn frame(message: Message) -> BytesMut {
    let control = Control {
        message: Some(message),
        critical: vec![],
    };
    let mut bytes = BytesMut::new();
    codec::encode(&control, &mut bytes).unwrap();
    bytes
}
