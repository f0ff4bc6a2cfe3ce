//! The echo service: what `echo.proto` promises.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use tonic::{Request, Response, Status, Streaming};

use crate::ask::Ask;
use crate::cancels::{Cancels, OpenCall};
use crate::echo::echo_service_server::EchoService;
use crate::echo::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse,
    CountCancelledRequest, CountCancelledResponse, EchoRequest, EchoResponse, ServerStreamRequest,
    ServerStreamResponse,
};

/// Answers what it was sent, after a while, with an error or in pieces, as each request asks.
///
/// Clones share the count of cancelled calls. Serve it with [`routes`](crate::routes()): metadata is sent back there.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    cancels: Arc<Cancels>,
}

impl Echo {
    /// How many calls were given up so far: cancelled, past their deadline, or cut off.
    pub fn cancelled(&self) -> u64 {
        self.cancels.count("")
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let mut call = self.cancels.begin();
        let ask = Ask::from(request.into_inner());
        call.name(&ask.text);
        ask.sleep(&mut call).await?;
        ask.status(&mut call)?;
        call.end();
        let Ask { payload, text, .. } = ask;
        Ok(Response::new(EchoResponse { payload, text }))
    }

    type ServerStreamStream = Responses<ServerStreamResponse>;

    async fn server_stream(
        &self,
        request: Request<ServerStreamRequest>,
    ) -> Result<Response<Self::ServerStreamStream>, Status> {
        let mut call = self.cancels.begin();
        let count = request.get_ref().count;
        let ask = Ask::from(request.into_inner());
        call.name(&ask.text);
        let responses = stream::try_unfold((ask, call, 0), move |state| repeat(state, count));
        Ok(Response::new(Box::pin(responses)))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<ClientStreamRequest>>,
    ) -> Result<Response<ClientStreamResponse>, Status> {
        let mut call = self.cancels.begin();
        let sum = add_up(request.into_inner(), &mut call).await?;
        call.end();
        Ok(Response::new(sum))
    }

    type BidiStreamStream = Responses<BidiStreamResponse>;

    async fn bidi_stream(
        &self,
        request: Request<Streaming<BidiStreamRequest>>,
    ) -> Result<Response<Self::BidiStreamStream>, Status> {
        let state = (request.into_inner(), self.cancels.begin(), 0);
        Ok(Response::new(Box::pin(stream::try_unfold(state, answer))))
    }

    async fn count_cancelled(
        &self,
        request: Request<CountCancelledRequest>,
    ) -> Result<Response<CountCancelledResponse>, Status> {
        let count = self.cancels.count(&request.get_ref().text);
        Ok(Response::new(CountCancelledResponse { count }))
    }
}

/// The next of `count` responses.
async fn repeat(
    (ask, mut call, index): (Ask, OpenCall, u32),
    count: u32,
) -> Result<Option<(ServerStreamResponse, (Ask, OpenCall, u32))>, Status> {
    if index == count {
        ask.status(&mut call)?;
        call.end();
        return Ok(None);
    }
    ask.sleep(&mut call).await?;
    let response = ServerStreamResponse {
        payload: ask.payload.clone(),
        text: ask.text.clone(),
        index,
    };
    Ok(Some((response, (ask, call, index + 1))))
}

/// The sum of all messages, once the caller is done.
async fn add_up(
    mut messages: Streaming<ClientStreamRequest>,
    call: &mut OpenCall,
) -> Result<ClientStreamResponse, Status> {
    let mut texts = Vec::new();
    let mut last = Bytes::new();
    let mut total_bytes = 0_u64;
    let mut count = 0;
    while let Some(message) = messages.message().await? {
        let ask = Ask::from(message);
        call.name(&ask.text);
        ask.sleep(call).await?;
        ask.status(call)?;
        count += 1;
        total_bytes += u64::try_from(ask.payload.len()).unwrap_or(u64::MAX);
        texts.push(ask.text);
        last = ask.payload;
    }
    Ok(ClientStreamResponse {
        payload: last,
        text: texts.join(","),
        messages: count,
        total_bytes,
    })
}

/// The answer to the next message.
async fn answer(
    (mut messages, mut call, index): (Streaming<BidiStreamRequest>, OpenCall, u32),
) -> Result<
    Option<(
        BidiStreamResponse,
        (Streaming<BidiStreamRequest>, OpenCall, u32),
    )>,
    Status,
> {
    let Some(message) = messages.message().await? else {
        call.end();
        return Ok(None);
    };
    let ask = Ask::from(message);
    call.name(&ask.text);
    ask.sleep(&mut call).await?;
    ask.status(&mut call)?;
    let Ask { payload, text, .. } = ask;
    let response = BidiStreamResponse {
        payload,
        text,
        index,
    };
    Ok(Some((response, (messages, call, index + 1))))
}
