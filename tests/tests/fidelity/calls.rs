//! Both ends of a case.

use grpc_multiplexer_tests::{Answer, Caller, H2Call};
use http::{HeaderValue, Response};

use crate::cases::{Case, End, Kind, bytes_of, map};

/// Does as the case of its path says.
pub(crate) async fn play(mut call: H2Call, case: Case) {
    let mut response = Response::new(());
    *response.headers_mut() = map(&case.headers);
    let content_type = HeaderValue::from_static("application/grpc+fidelity");
    response.headers_mut().insert("content-type", content_type);
    match case.kind {
        Kind::TrailersOnly => {
            call.read_all().await;
            response.headers_mut().extend(map(&case.trailers));
            call.respond_with(response, true);
            return;
        }
        Kind::Bidi => {
            call.respond_with(response, false);
            let (mut got, mut wanted) = (0, 0);
            for (request, answer) in case.requests.iter().zip(&case.responses) {
                wanted += bytes_of(std::slice::from_ref(request));
                while got < wanted {
                    let Some(chunk) = call.chunk().await else {
                        return;
                    };
                    got += chunk.len();
                }
                for piece in answer {
                    call.data(piece).await;
                }
            }
            call.read_all().await;
            for piece in case.responses.iter().skip(case.requests.len()).flatten() {
                call.data(piece).await;
            }
        }
        Kind::Unary | Kind::ServerStream | Kind::ClientStream => {
            call.read_all().await;
            call.respond_with(response, false);
            for piece in case.responses.iter().flatten() {
                call.data(piece).await;
            }
        }
    }
    // A caller that left is seen in what it says of its answer.
    let _ = call.stream().send_trailers(map(&case.trailers));
}

/// Makes the call of a case.
pub(crate) async fn make(
    caller: &Caller,
    path: &str,
    case: &Case,
    client_id: Option<&str>,
) -> Answer {
    let mut request = Caller::request(path, &[]);
    request.headers_mut().extend(map(&case.metadata));
    if let Some(id) = client_id {
        request
            .headers_mut()
            .insert("client-id", id.parse().unwrap());
    }
    let mut call = caller.send(request, false).await;
    if case.kind == Kind::Bidi {
        assert!(call.headers().await, "headers wait for nothing");
    }
    let mut answered = 0;
    let last = case.requests.len().saturating_sub(1);
    let mut ended = false;
    for (n, message) in case.requests.iter().enumerate() {
        for (m, piece) in message.iter().enumerate() {
            let is_last = n == last && m + 1 == message.len();
            ended = is_last && matches!(case.end, End::WithTheLastBytes);
            call.data(piece, ended).await;
        }
        if case.kind == Kind::Bidi {
            answered += bytes_of(&case.responses[n..=n]);
            call.bytes(answered).await;
        }
    }
    match case.end {
        End::Trailers => {
            let trailers = map(&vec![("m-trailer".to_owned(), b"1".to_vec())]);
            call.sender().send_trailers(trailers).unwrap();
        }
        End::WithTheLastBytes if ended => {}
        End::WithTheLastBytes | End::Alone => call.data(b"", true).await,
    }
    call.answer().await
}
