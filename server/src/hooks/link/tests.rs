use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_proto::hooks::v1::AuthorizeRequest;
use h2::server::{Connection as Served, SendResponse};
use http::{HeaderMap, Response};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(60);

async fn listening(scheme: &str) -> (TcpListener, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("{scheme}://{}", listener.local_addr().unwrap());
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let url = at.parse::<Url>().unwrap().with_tls(Arc::new(tls));
    (listener, Link::to(url))
}

async fn ask(link: &Link, time: Duration) -> Result<Result<(), HookError>, Elapsed> {
    let asked = link.ask(AuthorizeRequest::default(), Instant::now() + time);
    asked.await.map(|answer| answer.map(drop))
}

/// While it is made, as with TLS, it has its own time, and then that of one question.
#[tokio::test(start_paused = true)]
async fn a_connection_that_hangs_is_given_up_and_another_is_made() {
    for (scheme, questions) in [("http", 1..2), ("https", 4..6)] {
        let (listener, link) = listening(scheme).await;
        let mut asked = 0;
        let ask = async {
            loop {
                let _ = ask(&link, LONGEST / 4).await;
                asked += 1;
            }
        };
        let connections = async {
            let _hangs = listener.accept().await.unwrap();
            listener.accept().await.unwrap()
        };
        tokio::select! {
            () = ask => {}
            another = timeout(LATER, connections) => drop(another.unwrap()),
        }
        assert!(questions.contains(&asked), "{scheme}: {asked}");
    }
}

type Hook = Served<TcpStream, Bytes>;

async fn served(listener: &TcpListener) -> Hook {
    let (socket, _) = listener.accept().await.unwrap();
    h2::server::handshake(socket).await.unwrap()
}

async fn question(hook: &mut Hook) -> SendResponse<Bytes> {
    hook.accept().await.unwrap().unwrap().1
}

fn answer(mut respond: SendResponse<Bytes>) {
    let response = Response::builder().header("content-type", "application/grpc");
    let response = response.body(()).unwrap();
    let mut body = respond.send_response(response, false).unwrap();
    body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
    let status = ("grpc-status".parse().unwrap(), "0".parse().unwrap());
    body.send_trailers(HeaderMap::from_iter([status])).unwrap();
}

#[tokio::test]
async fn who_waits_on_a_silent_connection_goes_on_and_who_comes_has_another() {
    let (listener, link) = listening("http").await;
    let waits = Notify::new();
    let hook = async {
        let mut first = served(&listener).await;
        let waiting = question(&mut first).await;
        waits.notify_one();
        let _unanswered = question(&mut first).await;
        let mut second = served(&listener).await;
        answer(question(&mut second).await);
        answer(waiting);
        let _ = tokio::join!(first.accept(), second.accept());
    };
    let asks = async {
        waits.notified().await;
        assert!(ask(&link, SOON).await.is_err());
        ask(&link, LATER).await
    };
    let asks = async { tokio::join!(ask(&link, LATER), asks) };
    tokio::select! {
        () = hook => unreachable!("nobody hangs up"),
        (first, second) = asks => {
            first.unwrap().unwrap();
            second.unwrap().unwrap();
        }
    }
}

/// One that answers others is not given up for one question.
#[tokio::test]
async fn a_connection_that_answers_stays() {
    let (listener, link) = listening("http").await;
    let asked = Notify::new();
    let hook = async {
        let mut only = served(&listener).await;
        let _unanswered = question(&mut only).await;
        asked.notify_one();
        loop {
            answer(question(&mut only).await);
        }
    };
    let asks = async {
        let others = async {
            asked.notified().await;
            ask(&link, LATER).await.unwrap().unwrap();
        };
        let (unanswered, ()) = tokio::join!(ask(&link, 5 * SOON), others);
        assert!(unanswered.is_err());
        ask(&link, LATER).await.unwrap().unwrap();
    };
    tokio::select! {
        () = hook => {}
        () = asks => {}
    }
}
