//! Versions that differ by one, on bytes as they were: what the first release of protocol 1 said is pinned here, and an
//! edge and a server of today must go on with it.

use grpc_multiplexer_tests::yamux::{ACK, DATA, HEADER, data, first_stream};
use grpc_multiplexer_tests::{Edge, Mux, until, within};
use grpc_multiplexer_tunnel::message::control::Message;
use grpc_multiplexer_tunnel::message::{Code, Control, Hello, Refused};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The first release's hello: versions 1 to 1, instance id 00 to 0f, endpoint 1 `rainbow` at http://localhost:50051.
const HELLO: &str = "000000540a52080110012a10000102030405060708090a0b0c0d0e0f4a22080112077261696e626f773204687474\
                     703a0f6c6f63616c686f73743a35303035316216677270632d6d756c7469706c657865722f302e312e30";
/// Its welcome: version 1, endpoint 1 taken as generation 7, a heartbeat every 10 s, and no resume token.
const WELCOME: &str = "00000030222e08011a2030313233343536373839616263646566303132333435363738396162636465662204080120\
                       073202080a";
/// Its drain, which says no time.
const DRAIN: &str = "0000001f421d0a1b74686520736572766572206973207368757474696e6720646f776e";

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// The pinned hello, to be changed.
fn hello() -> Hello {
    let control = Control::decode(&bytes(HELLO)[4..]).unwrap();
    match control.message {
        Some(Message::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

fn frame(message: Message) -> Vec<u8> {
    let control = Control {
        message: Some(message),
        critical: vec![],
    };
    let body = control.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap();
    [length.to_be_bytes().to_vec(), body].concat()
}

/// The next message on the control stream, and its bytes.
async fn hear(socket: &mut TcpStream) -> (Message, Vec<u8>) {
    let mut stream = Vec::new();
    loop {
        if let Some(length) = stream.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*length) as usize;
            if stream.len() >= end {
                stream.truncate(end);
                let control = Control::decode(&stream[4..]).unwrap();
                return (control.message.unwrap(), stream);
            }
        }
        let mut header = [0; HEADER];
        within("a frame", socket.read_exact(&mut header))
            .await
            .unwrap();
        if header[1] == DATA {
            let length = u32::from_be_bytes(*header.last_chunk::<4>().unwrap());
            let mut payload = vec![0; length as usize];
            within("its payload", socket.read_exact(&mut payload))
                .await
                .unwrap();
            stream.extend(payload);
        }
    }
}

/// What a server answers to a hello, and the tunnel.
async fn answer(mux: &Mux, hello: &[u8]) -> (Message, TcpStream) {
    let mut socket = TcpStream::connect(mux.multiplexer).await.unwrap();
    socket.write_all(&first_stream(hello)).await.unwrap();
    let (message, _) = hear(&mut socket).await;
    (message, socket)
}

#[tokio::test]
async fn the_first_releases_hello_is_welcome() {
    let mux = Mux::start().await;
    let (said, _tunnel) = answer(&mux, &bytes(HELLO)).await;
    let Message::Welcome(welcome) = said else {
        panic!("{said:?}");
    };
    assert_eq!(welcome.version, 1);
    assert_eq!(welcome.verdicts.len(), 1);
    assert_eq!(welcome.verdicts[0].endpoint_id, 1);
    assert_eq!(welcome.verdicts[0].code(), Code::Ok);
    until("the edge to be listed", async || {
        (mux.listed().await == ["rainbow"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_edge_of_the_version_before_or_after_is_welcome_too() {
    let mux = Mux::start().await;
    for (min_version, max_version) in [(0, 1), (1, 2), (0, 2)] {
        let mut hello = hello();
        (hello.min_version, hello.max_version) = (min_version, max_version);
        hello.endpoints[0].client_id = format!("edge-{min_version}-{max_version}");
        let (said, _tunnel) = answer(&mux, &frame(Message::Hello(hello))).await;
        let Message::Welcome(welcome) = said else {
            panic!("{min_version} to {max_version}: {said:?}");
        };
        assert_eq!(welcome.version, 1);
        assert_eq!(welcome.verdicts[0].code(), Code::Ok);
    }
    for (min_version, max_version) in [(0, 0), (2, 3)] {
        let mut hello = hello();
        (hello.min_version, hello.max_version) = (min_version, max_version);
        let (said, _tunnel) = answer(&mux, &frame(Message::Hello(hello))).await;
        let Message::Refused(refused) = said else {
            panic!("{min_version} to {max_version}: {said:?}");
        };
        assert_eq!(refused.code(), Code::Version);
        let wanted = format!(
            "this server speaks tunnel protocol 1, the edge {min_version} to {max_version}"
        );
        assert_eq!(refused.text, wanted);
    }
}

#[tokio::test]
async fn what_a_later_version_says_besides_is_ignored() {
    let mux = Mux::start().await;
    let mut hello = bytes(HELLO);
    // Field 200 of the hello, a text, at its end.
    let more = [0xc2, 0x0c, 0x03, b'n', b'e', b'w'];
    hello.extend(more);
    hello[3] += 6;
    hello[5] += 6;
    let (said, _tunnel) = answer(&mux, &hello).await;
    assert!(matches!(said, Message::Welcome(_)), "{said:?}");
}

#[tokio::test]
async fn an_edge_goes_on_with_a_server_of_the_first_release() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let edge = Edge::dialling(address, "rainbow", "localhost:50051", &[]);
    let (mut first, _) = within("an edge", listener.accept()).await.unwrap();
    let (said, sent) = hear(&mut first).await;
    let Message::Hello(mut said) = said else {
        panic!("{said:?}");
    };
    // The same bytes as the first release's, whose servers refuse more: it has nothing to prove yet.
    said.instance_id = hello().instance_id;
    assert_eq!(sent.len(), bytes(HELLO).len());
    assert_eq!(frame(Message::Hello(said)), bytes(HELLO));
    first.write_all(&data(ACK, &bytes(WELCOME))).await.unwrap();
    let connected = edge.says(" connected ").await;
    assert!(connected.contains("generation=7"), "{connected}");
    // It goes away without a word on when to come again, and gave no proof to come with.
    first.write_all(&data(0, &bytes(DRAIN))).await.unwrap();
    edge.says("the server asks for another tunnel").await;
    let (mut second, _) = within("the edge again", listener.accept()).await.unwrap();
    let (again, _) = hear(&mut second).await;
    let Message::Hello(again) = again else {
        panic!("{again:?}");
    };
    assert_eq!(again.resume_token, b"");
    second.write_all(&data(ACK, &bytes(WELCOME))).await.unwrap();
    edge.says_times(" connected ", 2).await;
}

#[tokio::test]
async fn an_edge_with_labels_says_what_to_do_about_a_server_that_knows_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let labels = ["--label", "team=red"];
    let edge = Edge::dialling(address, "rainbow", "localhost:50051", &labels);
    let (mut server, _) = within("an edge", listener.accept()).await.unwrap();
    let (said, _) = hear(&mut server).await;
    let Message::Hello(said) = said else {
        panic!("{said:?}");
    };
    assert_eq!(said.endpoints[0].labels["team"], "red");
    let refused = Message::Refused(Refused {
        code: Code::Unsupported.into(),
        text: "this server does not serve an endpoint's labels".to_owned(),
        retry_after: None,
    });
    server.write_all(&data(ACK, &frame(refused))).await.unwrap();
    let said = edge.says("no tunnel, and none until this is mended").await;
    let advice = "the server is older than labels, and takes no edge that has any: update it, or leave out `labels`";
    assert!(said.contains(advice), "{said}");
}

#[tokio::test]
async fn labels_of_an_edge_that_are_none_are_refused_with_what_is_wrong() {
    let mux = Mux::start().await;
    for (key, value, wrong) in [
        ("te am", "red", "a label's key must be"),
        ("team", "r\u{1b}d", "a label's value must be"),
    ] {
        let mut hello = hello();
        let labels = [(key.to_owned(), value.to_owned())];
        hello.endpoints[0].labels = labels.into();
        let (said, _tunnel) = answer(&mux, &frame(Message::Hello(hello))).await;
        let Message::Refused(refused) = said else {
            panic!("{key}={value}: {said:?}");
        };
        assert_eq!(refused.code(), Code::Malformed);
        let wanted = format!("labels: label 1, in the order of their keys: {wrong}");
        assert!(refused.text.starts_with(&wanted), "{}", refused.text);
    }
}
