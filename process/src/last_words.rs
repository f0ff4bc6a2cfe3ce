//! What is said to somebody who came in the wrong way, and how the connection ends after it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The first byte of what somebody says who speaks TLS: a record that holds a handshake message, as a ClientHello is.
pub const TLS_HANDSHAKE: u8 = 0x16;
/// What to say to whom speaks TLS where there is none: a record with a fatal alert, handshake_failure. *Source:* RFC 8446,
/// sections 5.1 and 6.2.
pub const NO_TLS: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];

/// What to say to whom speaks HTTP/1: an answer with `status`, as in `400 Bad Request`, that says `text`.
#[must_use]
pub fn http1_answer(status: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\
         \r\n{text}"
    )
}

/// Says `words`, and hangs up.
///
/// # Errors
///
/// When the other side was faster.
pub async fn last_words(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    words: impl AsRef<[u8]>,
) -> io::Result<()> {
    io.write_all(words.as_ref()).await?;
    hang_up(io).await
}

/// Ends a connection so that the other side reads what was said last: closing with unread bytes would reset it.
///
/// # Errors
///
/// When the other side was faster.
pub async fn hang_up(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    io.shutdown().await?;
    let mut rest = vec![0; 4096];
    for _ in 0..64 {
        if io.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let answer = http1_answer("400 Bad Request", "drei Äpfel\n");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(text, "drei Äpfel\n");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        let wanted = format!("\r\ncontent-length: {}\r\n", text.len());
        assert!(head.contains(&wanted), "{head}");
    }

    /// Who talks on and on is not listened to for ever.
    #[tokio::test]
    async fn last_words_arrive_and_are_the_last() {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(&[0; 1 << 19]).await.unwrap();
        let said = timeout(Duration::from_secs(60), last_words(near, "so long"));
        said.await.unwrap().unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "so long");
    }
}
