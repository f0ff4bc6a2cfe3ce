use std::io;
use std::pin::pin;

use futures::stream::iter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::{Instant, advance, timeout};
use tokio_util::io::StreamReader;

use super::link::PIECE;
use super::*;
use crate::within;

/// Both ends of a connection over a relay.
async fn linked() -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::to(listener.local_addr().unwrap()).await;
    let near = TcpStream::connect(relay.address).await.unwrap();
    let (far, _) = within("the relay dials", listener.accept()).await.unwrap();
    (relay, near, far)
}

/// Both ends of a connection over nothing.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let near = TcpStream::connect(address).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Says more than a link and both its ends buffer, and ends.
async fn say_much(end: &mut TcpStream) -> Vec<u8> {
    let bytes: Vec<u8> = (0..8 << 20).map(|n| (n / 1_000) as u8).collect();
    end.write_all(&bytes).await.unwrap();
    end.shutdown().await.unwrap();
    bytes
}

async fn hear_all(end: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    within("the end", end.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}

async fn is_reset(end: &mut TcpStream) {
    let error = hear_all(end).await.expect_err("it ended well");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn all_comes_before_its_end_whoever_ends_first() {
    let (_relay, mut near, mut far) = linked().await;
    let (said, heard) = tokio::join!(say_much(&mut near), hear_all(&mut far));
    assert!(heard.unwrap() == said);
    let (said, heard) = tokio::join!(say_much(&mut far), hear_all(&mut near));
    assert!(heard.unwrap() == said);
}

#[tokio::test]
async fn what_is_still_on_its_way_when_both_have_ended_comes() {
    // More than one end takes unread, and less than the other keeps for it.
    const MUCH: usize = 512 * 1024;
    let (mut near, one) = connected().await;
    let (other, mut far) = connected().await;
    let path = Path::new();
    let links = [path.forth.subscribe(), path.back.subscribe()];
    let say = async {
        near.shutdown().await.unwrap();
        far.write_all(&[1; MUCH]).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let relayed = relay(one, other, links, path.cut.clone());
    within("all is passed on", async { tokio::join!(relayed, say) }).await;
    assert_eq!(hear_all(&mut near).await.unwrap().len(), MUCH);
}

#[tokio::test]
async fn nothing_is_lost_where_a_link_changes() {
    let (relay, mut near, mut far) = linked().await;
    let late = Link::Late {
        by: Duration::from_millis(5),
        jitter: Duration::from_millis(5),
    };
    let change = async {
        for link in [Link::Held, late, Link::Slow(1 << 20)].repeat(50) {
            relay.set(link);
            // What it does meanwhile is done on the same thread.
            tokio::task::yield_now().await;
        }
        relay.set(Link::Open);
    };
    let (said, heard, ()) = tokio::join!(say_much(&mut near), hear_all(&mut far), change);
    assert!(heard.unwrap() == said);
}

#[tokio::test]
async fn a_cut_resets_both_ends() {
    let (relay, mut near, mut far) = linked().await;
    relay.cut();
    is_reset(&mut near).await;
    is_reset(&mut far).await;
}

#[tokio::test]
async fn a_reset_is_one_at_the_other_end() {
    let (_relay, near, mut far) = linked().await;
    near.set_zero_linger().unwrap();
    drop(near);
    is_reset(&mut far).await;
}

/// Says some bytes, and is reset.
fn breaks_off() -> impl AsyncRead + Unpin {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    StreamReader::new(iter([Ok(&b"so far"[..]), Err(reset)]))
}

#[tokio::test(start_paused = true)]
async fn a_held_link_keeps_a_reset_and_what_came_before_it() {
    let (link, held) = watch::channel(Link::Held);
    let (to, mut far) = duplex(PIECE);
    let mut passed = pin!(pass(breaks_off(), to, held));
    let hour = Duration::from_secs(3_600);
    assert!(timeout(hour, &mut passed).await.is_err());
    link.send_replace(Link::Open);
    let error = passed.await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let mut heard = [0; 6];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"so far");
}

#[tokio::test(start_paused = true)]
async fn an_open_link_costs_no_time() {
    // Between two ticks of a timer.
    advance(Duration::from_micros(500)).await;
    let start = Instant::now();
    let (mut near, from) = duplex(PIECE);
    let (to, mut far) = duplex(PIECE);
    let (_link, open) = watch::channel(Link::Open);
    let say = async {
        near.write_all(&[1; 64 * PIECE]).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let (passed, read, ()) = tokio::join!(pass(from, to, open), far.read_to_end(&mut heard), say);
    passed.unwrap();
    assert_eq!(read.unwrap(), 64 * PIECE);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
