//! Hello and welcome, over any byte pipe.
//!
//! The edge opens the first yamux stream and says `Hello`; the server answers `Welcome` or `Refused`. It may ask for proof
//! before. Nothing else travels until then, and each side gives the other one deadline for all of it. What the server
//! answers, and what proves what, is others' business: this module carries it, and answers by itself only what no server
//! can serve.

pub(crate) mod codec;

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};
use yamux::Mode;

use crate::HandshakeError;
use crate::config::TunnelConfig;
use crate::io::BoxedIo;
use crate::message::{Challenge, Code, Control, Hello, Proof, Refused, Welcome, control::Message};
use crate::session::{
    ControlStream, Driver, Incoming, KNOWN_FIELDS, Session, SessionTask, Start, Wire, start,
};
use crate::{ClientId, LegacyEdge, legacy};

/// The protocol version of this crate, and the only one so far.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a tunnel is called where it runs over TLS (ALPN). The original's wire, which has no TLS of its own, goes by the
/// same name.
pub const ALPN: &str = "grpc-multiplexer/1";

/// What a credential is called in a hello that is a token: its `data` are the token's bytes.
pub const TOKEN_SCHEME: &str = "token";
/// Bytes of such a token, at most.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// Challenges that an edge answers.
const CHALLENGES: usize = 3;

/// An established tunnel: the handle, the streams that the peer opens, and the work that the owner must run.
#[derive(Debug)]
pub struct Established {
    /// The handle.
    pub session: Session,
    /// Streams that the peer opens.
    pub incoming: Incoming,
    /// The work behind the handle: await it on a task of its own. It ends when the tunnel does.
    pub task: SessionTask,
}

/// Introduces this edge over `io`, and waits for the server's verdict. The versions and the software are filled into
/// `hello` here.
///
/// # Errors
///
/// [`HandshakeError::Refused`] when the server says no; the other variants when there is no answer, or none that makes
/// sense.
pub async fn dial(
    io: BoxedIo,
    hello: Hello,
    config: &TunnelConfig,
) -> Result<(Established, Welcome), HandshakeError> {
    dial_proving(io, hello, |_| None, config).await
}

/// The same for an edge that can prove what its hello says of it: `prove` answers a challenge, given its nonce.
///
/// # Errors
///
/// As [`dial`]; and when `prove` has no answer to a challenge, as if the server had refused.
pub async fn dial_proving(
    io: BoxedIo,
    hello: Hello,
    prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    config: &TunnelConfig,
) -> Result<(Established, Welcome), HandshakeError> {
    let mut starting = start(io, Mode::Client, Wire::Messages, config);
    let deadline = config.hello_timeout;
    let introduce = introduce(
        starting.opener.open_control(),
        Hello {
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            software: concat!("grpc-multiplexer/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..hello
        },
        prove,
    );
    let introduced = timeout(deadline, starting.driver.alongside(introduce)).await;
    let (control, welcome) = introduced
        .unwrap_or(Err(HandshakeError::Timeout(deadline)))
        .map_err(|error| starting.explain_hello(error))?;
    let heartbeat = welcome
        .heartbeat
        .and_then(|interval| Duration::try_from(interval).ok());
    Ok((starting.establish(control, heartbeat), welcome))
}

async fn introduce(
    control: impl Future<Output = Result<ControlStream, HandshakeError>>,
    hello: Hello,
    mut prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(ControlStream, Welcome), HandshakeError> {
    let mut control = control.await?;
    let mut words = Message::Hello(hello);
    for left in (0..=CHALLENGES).rev() {
        let asked = Instant::now();
        say(&mut control, words).await?;
        words = match hear(&mut control).await? {
            Message::Welcome(welcome) if welcome.version == PROTOCOL_VERSION => {
                control.first_round_trip = Some(asked.elapsed());
                return Ok((control, welcome));
            }
            Message::Refused(refused) => return Err(refused.into()),
            Message::Challenge(Challenge { nonce }) if left > 0 => {
                let signature = prove(&nonce).ok_or_else(no_credential)?;
                Message::Proof(Proof { signature })
            }
            _ => break,
        };
    }
    Err(HandshakeError::Unexpected)
}

fn no_credential() -> Refused {
    Refused {
        code: Code::Unauthenticated.into(),
        text: "the server asks for a credential, and this edge has none".to_owned(),
        retry_after: None,
    }
}

/// Who dialled in.
#[derive(Debug)]
pub enum Arrival {
    /// An edge that said hello.
    Hello(Accepted),
    /// An edge of the original's.
    Legacy(LegacyEdge),
}

#[cfg(test)]
impl Arrival {
    /// The edge that said hello, and no other.
    pub(crate) fn expect_hello(self) -> Accepted {
        match self {
            Self::Hello(accepted) => accepted,
            Self::Legacy(edge) => panic!("{edge:?}"),
        }
    }
}

/// Waits for an edge's introduction over `io`.
///
/// # Errors
///
/// When none comes in time, or what comes is none.
pub async fn accept(io: BoxedIo, config: &TunnelConfig) -> Result<Arrival, HandshakeError> {
    let since = Instant::now();
    let mut starting = start(io, Mode::Server, Wire::Messages, config);
    let deadline = config.hello_timeout;
    let meet = meet(starting.opener.accept_control());
    let (control, introduction) = timeout(deadline, starting.driver.alongside(meet))
        .await
        .map_err(|_| HandshakeError::Timeout(deadline))??;
    Ok(match introduction {
        Introduction::Hello(hello) => Arrival::Hello(Accepted {
            starting,
            control,
            hello,
            since,
            deadline,
        }),
        Introduction::Line(client_id) => {
            Arrival::Legacy(LegacyEdge::new(starting, control, client_id))
        }
    })
}

/// What an edge says first.
enum Introduction {
    Hello(Box<Hello>),
    Line(ClientId),
}

async fn meet(
    control: impl Future<Output = Result<ControlStream, HandshakeError>>,
) -> Result<(ControlStream, Introduction), HandshakeError> {
    let mut control = control.await?;
    let first = control.reader.peek().await.map_err(HandshakeError::Lost)?;
    if first.is_some_and(|byte| byte != codec::FIRST_BYTE) {
        let client_id = legacy::read_line(&mut control.reader).await?;
        return Ok((control, Introduction::Line(client_id)));
    }
    match hear(&mut control).await? {
        Message::Hello(hello) => Ok((control, Introduction::Hello(Box::new(hello)))),
        _ => Err(HandshakeError::Unexpected),
    }
}

/// An edge that said hello and waits for its answer.
pub struct Accepted {
    starting: Start,
    control: ControlStream,
    hello: Box<Hello>,
    since: Instant,
    deadline: Duration,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hello holds secrets.
        f.debug_struct("Accepted").finish_non_exhaustive()
    }
}

impl Accepted {
    /// What the edge offers.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The handle of the tunnel to come. What is opened on it leaves after the welcome.
    #[must_use]
    pub fn session(&self) -> Session {
        self.starting.session()
    }

    /// Asks the edge to prove what its hello says of it, and gives its answer. That is part of the introduction, and must
    /// come within what its time has left. An edge answers three times.
    ///
    /// # Errors
    ///
    /// When no proof comes in time.
    pub async fn challenge(&mut self, nonce: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let left = self.deadline.saturating_sub(self.since.elapsed());
        let nonce = nonce.to_vec();
        let control = &mut self.control;
        let ask = async {
            say(control, Message::Challenge(Challenge { nonce })).await?;
            match hear(control).await? {
                Message::Proof(proof) => Ok(proof.signature),
                _ => Err(HandshakeError::Unexpected),
            }
        };
        timeout(left, self.starting.driver.alongside(ask))
            .await
            .map_err(|_| HandshakeError::Timeout(self.deadline))?
    }

    /// What comes of `decision`, which may take its time, as long as the edge is there.
    ///
    /// # Errors
    ///
    /// When the edge hangs up before. The decision is dropped then.
    pub async fn while_there<T>(
        &mut self,
        decision: impl Future<Output = T>,
    ) -> Result<T, HandshakeError> {
        self.starting.while_there(decision).await
    }

    /// Takes the tunnel. The version is filled in.
    ///
    /// # Errors
    ///
    /// When the edge is gone, or does not take the answer in time.
    pub async fn welcome(mut self, welcome: Welcome) -> Result<Established, HandshakeError> {
        let interval = welcome
            .heartbeat
            .and_then(|interval| Duration::try_from(interval).ok());
        let message = Message::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            ..welcome
        });
        self.answer(message).await?;
        Ok(self.starting.establish(self.control, interval))
    }

    /// Does not take the tunnel: sends the reason, and waits until the edge hung up or the deadline passed, so that
    /// the reason is not lost in a reset.
    ///
    /// # Errors
    ///
    /// As [`Accepted::welcome`].
    pub async fn refuse(mut self, refused: Refused) -> Result<(), HandshakeError> {
        self.answer(Message::Refused(refused)).await?;
        let hung_up = timeout(self.deadline, self.starting.driver.until_closed());
        drop(self.control);
        // Either way the tunnel is over.
        let _ = hung_up.await;
        Ok(())
    }

    async fn answer(&mut self, message: Message) -> Result<(), HandshakeError> {
        let deadline = self.deadline;
        let driver: &mut Driver = &mut self.starting.driver;
        timeout(deadline, driver.alongside(say(&mut self.control, message)))
            .await
            .map_err(|_| HandshakeError::Timeout(deadline))?
    }
}

async fn say(control: &mut ControlStream, message: Message) -> Result<(), HandshakeError> {
    let mut frame = BytesMut::new();
    let message = Control {
        message: Some(message),
        critical: vec![],
    };
    codec::encode(&message, &mut frame).map_err(HandshakeError::Malformed)?;
    control
        .writer
        .write_all(&frame)
        .await
        .map_err(HandshakeError::Lost)
}

async fn hear(control: &mut ControlStream) -> Result<Message, HandshakeError> {
    let message = control.reader.next::<Control>().await;
    let message = message.map_err(HandshakeError::of_bytes)?;
    let control =
        message.ok_or_else(|| HandshakeError::Lost(io::ErrorKind::UnexpectedEof.into()))?;
    if control
        .critical
        .iter()
        .any(|field| !KNOWN_FIELDS.contains(field))
    {
        return Err(HandshakeError::Unexpected);
    }
    control.message.ok_or(HandshakeError::Unexpected)
}

/// What of `hello` no server of this version serves: a refusal that names it, or `None`.
#[must_use]
pub fn unsupported_in(hello: &Hello) -> Option<Refused> {
    let refuse = |code: Code, text: String| {
        Some(Refused {
            code: code.into(),
            text,
            retry_after: None,
        })
    };
    if hello.min_version > PROTOCOL_VERSION || hello.max_version < PROTOCOL_VERSION {
        return refuse(
            Code::Version,
            format!(
                "this server speaks tunnel protocol {PROTOCOL_VERSION}, the edge {} to {}",
                hello.min_version, hello.max_version
            ),
        );
    }
    if let Some(feature) = hello.critical_features.first() {
        return refuse(
            Code::Unsupported,
            format!("this server does not know the feature {feature:?}"),
        );
    }
    let unserved = [
        (
            hello.limits.is_some_and(|limits| limits.max_streams != 0),
            "limits",
        ),
        (
            !hello.namespace.is_empty() && hello.namespace != "default",
            "namespace",
        ),
    ];
    let (_, field) = unserved.into_iter().find(|(set, _)| *set)?;
    refuse(
        Code::Unsupported,
        format!("this server does not serve the hello's {field}"),
    )
}

#[cfg(test)]
mod tests;
