use std::pin::pin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::advance;

use super::*;

fn guarded() -> (FrameGuard<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(64 * 1024);
    let mut guard = FrameGuard::of_backend(near, Arc::default());
    guard.sent = Heads::to_client();
    (guard, far)
}

const PING: [u8; 17] = *b"\0\0\x08\x06\0\0\0\0\0flooding";
/// HEADERS of stream 5 with two bytes, and more to come.
const HEADERS: [u8; 11] = *b"\0\0\x02\x01\0\0\0\0\x05ab";
/// Their end, of one byte.
const CONTINUATION: [u8; 10] = *b"\0\0\x01\x09\x04\0\0\0\x05c";

async fn reads(guard: &mut FrameGuard<DuplexStream>, bytes: usize) {
    let mut read = vec![0; bytes];
    guard.read_exact(&mut read).await.unwrap();
}

/// Reads, and finds that nothing is there.
async fn waits(guard: &mut FrameGuard<DuplexStream>) {
    let read = pin!(guard.read_u8());
    assert!(futures::poll!(read).is_pending());
}

#[tokio::test(start_paused = true)]
async fn who_floods_is_told_why_and_not_read_any_more() {
    let (mut guard, mut far) = guarded();
    far.write_all(&HEADERS).await.unwrap();
    far.write_all(&CONTINUATION).await.unwrap();
    far.write_all(&PING.repeat(1_001)).await.unwrap();
    let mut all = Vec::new();
    let error = guard.read_to_end(&mut all).await.unwrap_err();
    assert_eq!(error.to_string(), "too many control frames");
    assert!(guard.read_u8().await.is_err());
    let mut said = vec![0; 45];
    far.read_exact(&mut said).await.unwrap();
    let go_away = b"\0\0\x24\x07\0\0\0\0\0\0\0\0\x05\0\0\0\x0bmux: too many control frames";
    assert_eq!(said, go_away);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_in_the_middle_of_a_frame() {
    let (mut guard, mut far) = guarded();
    guard.write_all(&PING[..12]).await.unwrap();
    far.write_all(&PING.repeat(1_001)).await.unwrap();
    assert!(guard.read_to_end(&mut Vec::new()).await.is_err());
    drop(guard);
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, PING[..12]);
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_in_end_the_connection() {
    let (mut guard, mut far) = guarded();
    far.write_all(&HEADERS[..10]).await.unwrap();
    reads(&mut guard, 10).await;
    for more in [&HEADERS[10..], &CONTINUATION[..9]].concat() {
        waits(&mut guard).await;
        advance(BLOCK / 20).await;
        far.write_u8(more).await.unwrap();
        reads(&mut guard, 1).await;
    }
    waits(&mut guard).await;
    advance(BLOCK / 2 + Duration::from_millis(1)).await;
    let error = guard.read_u8().await.unwrap_err();
    assert_eq!(error.to_string(), "headers that do not end");
}

#[tokio::test(start_paused = true)]
async fn each_header_block_has_its_own_time() {
    let (mut guard, mut far) = guarded();
    for _ in 0..10 {
        far.write_all(&HEADERS).await.unwrap();
        reads(&mut guard, HEADERS.len()).await;
        waits(&mut guard).await;
        advance(BLOCK / 2).await;
        far.write_all(&CONTINUATION).await.unwrap();
        reads(&mut guard, CONTINUATION.len()).await;
    }
    waits(&mut guard).await;
    advance(BLOCK * 2).await;
    waits(&mut guard).await;
}
