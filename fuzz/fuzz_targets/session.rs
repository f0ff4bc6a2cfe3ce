//! A tunnel whose peer says anything: yamux frames, messages, bytes, the original's wire, too much, or nothing.
//!
//! Either end of ours, over a pipe in memory. Whatever comes, the session ends soon after the peer fell silent, every
//! stream learns its end, and memory stays within libFuzzer's limit.

#![no_main]

use std::future::pending;
use std::time::Duration;

use arbitrary::Arbitrary;
use grpc_multiplexer_fuzz::run;
use grpc_multiplexer_tunnel::fuzzing::frame;
use grpc_multiplexer_tunnel::message::control::Message;
use grpc_multiplexer_tunnel::message::{
    Control, Drain, Endpoint, Goodbye, Heartbeat, Hello, Open, Opened, Refused, StreamEnded,
    Superseded, Verdict, Welcome, open,
};
use grpc_multiplexer_tunnel::{
    Arrival, BARE_ENDPOINT, Established, InboundStream, Session, TunnelConfig, TunnelStream,
    accept, dial, dial_legacy,
};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy, duplex, sink, split};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A silent peer is given up within 45 s, and last words have their time.
const SILENCE: Duration = Duration::from_secs(120);
/// How long one wait of a script is.
const TICK: Duration = Duration::from_millis(100);
/// Most bytes that a step may repeat.
const MOST: usize = 1024 * 1024;

#[derive(Debug, Arbitrary)]
struct Script<'a> {
    ours: Ours,
    /// Whether the peer reads what we say.
    reads: bool,
    /// Whether it hangs up at its end, or sits there.
    hangs_up: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Ours {
    Server,
    Edge,
    /// With a server of the original's.
    LegacyEdge,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Frame(Frame<'a>),
    /// In a session within the first stream.
    Inner(Frame<'a>),
    Bytes(&'a [u8]),
    /// The step before, so many times.
    Again(u16),
    Wait(u8),
}

#[derive(Debug, Arbitrary)]
struct Frame<'a> {
    flags: u8,
    stream: u8,
    kind: Kind<'a>,
}

#[derive(Debug, Arbitrary)]
enum Kind<'a> {
    Data(Payload<'a>),
    Window(u32),
    Ping(u32),
    GoAway(u32),
    /// A header that lies.
    Any {
        version: u8,
        kind: u8,
        length: u32,
    },
}

#[derive(Debug, Arbitrary)]
enum Payload<'a> {
    Bytes(&'a [u8]),
    Zeros(u16),
    Line,
    Hello {
        slot: u32,
    },
    Welcome {
        heartbeat: i32,
    },
    Refused,
    Heartbeat {
        sequence: u64,
        answer: bool,
    },
    Drain {
        again: i64,
    },
    Superseded,
    Goodbye(i32),
    Ended {
        tag: u8,
        how: i32,
        bytes: u64,
    },
    Open {
        tag: u64,
        kind: i32,
        critical: Option<u32>,
    },
    Opened(i32),
}

fuzz_target!(|script: Script| {
    let waits = script.steps.iter().map(|step| match step {
        Step::Wait(ticks) => TICK * u32::from(*ticks),
        _ => Duration::ZERO,
    });
    let limit = waits.sum::<Duration>() + SILENCE;
    run(async {
        let (near, far) = duplex(64 * 1024);
        tokio::select! {
            () = play(far, &script) => unreachable!("a peer stays"),
            ended = timeout(limit, serve(near, script.ours)) => ended.expect("it does not end"),
        }
    });
});

/// The peer. It stays for as long as it is wanted.
async fn play(pipe: DuplexStream, script: &Script<'_>) {
    let (mut reader, mut writer) = split(pipe);
    let hear = async {
        if script.reads {
            let _ = copy(&mut reader, &mut sink()).await;
        }
        pending::<()>().await;
    };
    let say = async {
        let mut said = Vec::new();
        for step in &script.steps {
            match step {
                Step::Wait(ticks) => sleep(TICK * u32::from(*ticks)).await,
                Step::Again(times) => {
                    let times = usize::from(*times).min(MOST / said.len().max(1));
                    let _ = writer.write_all(&said.repeat(times)).await;
                }
                Step::Frame(frame) => said = frame.bytes(),
                Step::Inner(inner) => said = data(0, 1, &inner.bytes()),
                Step::Bytes(bytes) => said = bytes.to_vec(),
            }
            if !matches!(step, Step::Wait(_) | Step::Again(_)) {
                let _ = writer.write_all(&said).await;
            }
        }
        if script.hangs_up {
            let _ = writer.shutdown().await;
        }
    };
    tokio::join!(hear, say);
}

impl Frame<'_> {
    fn bytes(&self) -> Vec<u8> {
        let stream = u32::from(self.stream % 8);
        let head = |kind, length| head(0, kind, self.flags, stream, length);
        match &self.kind {
            Kind::Data(payload) => data(self.flags, stream, &payload.bytes()),
            Kind::Window(credit) => head(1, *credit),
            Kind::Ping(nonce) => head(2, *nonce),
            Kind::GoAway(code) => head(3, *code),
            Kind::Any {
                version,
                kind,
                length,
            } => self::head(*version, *kind, self.flags, self.stream.into(), *length),
        }
    }
}

fn head(version: u8, kind: u8, flags: u8, stream: u32, length: u32) -> Vec<u8> {
    let mut head = vec![version, kind, 0, flags];
    head.extend(stream.to_be_bytes());
    head.extend(length.to_be_bytes());
    head
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(0, 0, flags, stream, payload.len() as u32);
    frame.extend_from_slice(payload);
    frame
}

impl Payload<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Zeros(length) => vec![0; usize::from(*length)],
            Self::Line => b"fuzzed\n".to_vec(),
            Self::Open {
                tag,
                kind,
                critical,
            } => framed(&Open {
                tag: *tag,
                kind: *kind,
                endpoint_id: BARE_ENDPOINT,
                critical: critical.iter().copied().collect(),
                ..Open::default()
            }),
            Self::Opened(code) => framed(&Opened {
                code: *code,
                ..Opened::default()
            }),
            _ => framed(&Control {
                message: self.message(),
                critical: vec![],
            }),
        }
    }

    fn message(&self) -> Option<Message> {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        Some(match self {
            Self::Hello { slot } => Message::Hello(Hello {
                tunnel_slot: *slot,
                ..hello()
            }),
            Self::Welcome { heartbeat } => Message::Welcome(Welcome {
                version: 1,
                heartbeat: seconds((*heartbeat).into()),
                ..welcome()
            }),
            Self::Refused => Message::Refused(Refused::default()),
            Self::Heartbeat { sequence, answer } => Message::Heartbeat(Heartbeat {
                sequence: *sequence,
                answer: *answer,
            }),
            Self::Drain { again } => Message::Drain(Drain {
                retry_after: seconds(*again),
                ..Drain::default()
            }),
            Self::Superseded => Message::Superseded(Superseded::default()),
            Self::Goodbye(code) => Message::Goodbye(Goodbye {
                code: *code,
                ..Goodbye::default()
            }),
            Self::Ended { tag, how, bytes } => Message::StreamEnded(StreamEnded {
                tag: (*tag).into(),
                how: *how,
                bytes_sent: *bytes,
            }),
            _ => return None,
        })
    }
}

fn framed(message: &impl prost::Message) -> Vec<u8> {
    frame(message).expect("a small message").to_vec()
}

fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        endpoints: vec![Endpoint {
            id: BARE_ENDPOINT,
            client_id: "fuzzed".to_owned(),
            scheme: "http".to_owned(),
            authority: "h".to_owned(),
            ..Endpoint::default()
        }],
        ..Hello::default()
    }
}

fn welcome() -> Welcome {
    Welcome {
        verdicts: vec![Verdict {
            endpoint_id: BARE_ENDPOINT,
            generation: 1,
            ..Verdict::default()
        }],
        ..Welcome::default()
    }
}

/// Our end, until the tunnel is over.
async fn serve(pipe: DuplexStream, ours: Ours) {
    let config = TunnelConfig::default();
    let pipe = Box::new(pipe);
    let tunnel = match ours {
        Ours::Server => match accept(pipe, &config).await {
            Ok(Arrival::Hello(edge)) => edge.welcome(welcome()).await.ok(),
            Ok(Arrival::Legacy(edge)) => Some(edge.take(&config)),
            Err(_) => None,
        },
        Ours::Edge => dial(pipe, hello(), &config)
            .await
            .ok()
            .map(|(tunnel, _)| tunnel),
        Ours::LegacyEdge => {
            let client_id = "fuzzed".parse().expect("an id");
            dial_legacy(pipe, &client_id, &config).await.ok()
        }
    };
    if let Some(tunnel) = tunnel {
        live(tunnel).await;
    }
}

/// Uses a tunnel in both directions until it ends, and all of its streams with it.
async fn live(tunnel: Established) {
    let Established {
        session,
        mut incoming,
        task,
    } = tunnel;
    let mut streams = JoinSet::new();
    streams.spawn(open(session.clone(), open::Kind::H2));
    streams.spawn(open(session.clone(), open::Kind::Bytes));
    let take = async {
        while let Some(stream) = incoming.next().await {
            streams.spawn(answer(stream));
            while streams.try_join_next().is_some() {}
        }
    };
    tokio::join!(take, task.run());
    assert!(session.is_closed());
    streams.join_all().await;
    assert_eq!(session.open_streams(), 0);
}

async fn open(session: Session, kind: open::Kind) {
    let opened = session.open(kind, BARE_ENDPOINT, Duration::from_secs(5));
    if let Ok(stream) = opened.await {
        echo(stream).await;
    }
}

async fn answer(stream: InboundStream) {
    if let Ok(pending) = stream.read_open(Duration::from_secs(10)).await
        && let Ok(stream) = pending.accept().await
    {
        echo(stream).await;
    }
}

/// Gives back what comes, and waits for the word on how it ended.
async fn echo(mut stream: TunnelStream) {
    let peer = stream.peer_end();
    let mut buffer = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
    peer.wait().await;
}
