// gRPC's interop cases, by their published names. grpc-js does not show whether an answer came
// compressed.

const grpc = require('@grpc/grpc-js');
const { SQUEEZING, fails, route, same, target, within } = require('./calling');
const { testing } = require('./protos');

const REQUESTS = [27182, 8, 1828, 45904];
const ANSWERS = [31415, 9, 2653, 58979];
const [LARGE_REQUEST, LARGE_ANSWER] = [271828, 314159];
const STATUS = { code: grpc.status.UNKNOWN, message: 'test status message' };

const connect = (options) => new testing.TestService(...target(options));
const stub = connect();

async function emptyUnary() {
  same((await unary('EmptyCall', {})).response, {});
}

async function largeUnary(on = stub, asked = {}) {
  const { response } = await unary('UnaryCall', large(asked), route(), on);
  same(response.payload.body.equals(Buffer.alloc(LARGE_ANSWER)), true);
}

async function clientCompressedUnary() {
  const error = await fails(unary('UnaryCall', large({ expect_compressed: { value: true } })));
  same(error.code, grpc.status.INVALID_ARGUMENT);
  const squeezing = connect(SQUEEZING);
  await largeUnary(squeezing, { expect_compressed: { value: true } });
  squeezing.close();
  await largeUnary(stub, { expect_compressed: { value: false } });
}

async function serverCompressedUnary() {
  await largeUnary(stub, { response_compressed: { value: true } });
  await largeUnary(stub, { response_compressed: { value: false } });
}

async function clientStreaming() {
  same(await upload(stub, REQUESTS.map((size) => ({ payload: zeros(size) }))), 74922);
}

// Message by message is an interceptor's business: a flag of what is sent says "do not compress".
async function clientCompressedStreaming() {
  const first = { payload: zeros(27182), expect_compressed: { value: true } };
  const second = { payload: zeros(45904), expect_compressed: { value: false } };
  same((await fails(upload(stub, [first]))).code, grpc.status.INVALID_ARGUMENT);
  const squeezing = connect({ ...SQUEEZING, interceptors: [asExpected] });
  same(await upload(squeezing, [first, second]), 73086);
  squeezing.close();
}

const NO_COMPRESS = 2;

function asExpected(options, next) {
  return new (class extends grpc.InterceptingCall {
    sendMessageWithContext(context, message) {
      const flags = message.expect_compressed.value ? 0 : NO_COMPRESS;
      super.sendMessageWithContext({ ...context, flags }, message);
    }
  })(next(options));
}

async function serverStreaming() {
  const call = stub.StreamingOutputCall(wanted(ANSWERS), route(), within());
  same((await all(call)).map((body) => body.length), ANSWERS);
}

async function serverCompressedStreaming() {
  const request = wanted([31415, 92653]);
  request.response_parameters[0].compressed = { value: true };
  request.response_parameters[1].compressed = { value: false };
  const bodies = await all(stub.StreamingOutputCall(request, route(), within()));
  same(bodies, [Buffer.alloc(31415), Buffer.alloc(92653)]);
}

async function pingPong() {
  const { call, status } = duplex();
  const answers = call[Symbol.asyncIterator]();
  for (const [index, size] of ANSWERS.entries()) {
    call.write(wanted([size], zeros(REQUESTS[index])));
    same((await answers.next()).value.payload.body.length, size);
  }
  call.end();
  same((await answers.next()).done, true);
  same((await status).code, grpc.status.OK);
}

async function emptyStream() {
  const { call, status } = duplex();
  call.end();
  same(await all(call), []);
  same((await status).code, grpc.status.OK);
}

async function customMetadata() {
  const sent = {
    'x-grpc-test-echo-initial': ['test_initial_metadata_value'],
    'x-grpc-test-echo-trailing-bin': [Buffer.from([0xab, 0xab, 0xab])],
  };
  const check = (headers, trailers) =>
    same(
      [headers.get('x-grpc-test-echo-initial'), trailers.get('x-grpc-test-echo-trailing-bin')],
      Object.values(sent),
    );
  const { headers, trailers } = await unary('UnaryCall', large(), route(sent));
  check(headers, trailers);
  const { call, status } = duplex(route(sent));
  const initial = new Promise((resolve) => call.on('metadata', resolve));
  call.write(wanted([LARGE_ANSWER], zeros(LARGE_REQUEST)));
  call.end();
  same((await all(call)).length, 1);
  check(await initial, (await status).metadata);
}

async function statusCodeAndMessage() {
  await endsUnary(STATUS);
  const { call, status } = duplex();
  call.on('error', () => {});
  call.write({ response_status: STATUS });
  call.end();
  call.resume();
  const { code, details } = await status;
  same([code, details], Object.values(STATUS));
}

async function specialStatusMessage() {
  const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
  await endsUnary({ ...STATUS, message });
}

async function unimplementedMethod(on = stub) {
  const error = await fails(unary('UnimplementedCall', {}, route(), on));
  same(error.code, grpc.status.UNIMPLEMENTED);
}

async function unimplementedService() {
  const other = new testing.UnimplementedService(...target());
  await unimplementedMethod(other);
  other.close();
}

async function cancelAfterBegin() {
  let call;
  const answer = new Promise((resolve, reject) => {
    const done = (error, response) => (error ? reject(error) : resolve(response));
    call = stub.StreamingInputCall(route(), within(), done);
  });
  call.cancel();
  same((await fails(answer)).code, grpc.status.CANCELLED);
}

async function cancelAfterFirstResponse() {
  const { call, status } = duplex();
  call.on('error', () => {});
  const first = new Promise((resolve) => call.once('data', resolve));
  call.write(wanted([31415], zeros(27182)));
  same((await first).payload.body.length, 31415);
  call.cancel();
  same((await status).code, grpc.status.CANCELLED);
}

async function timeoutOnSleepingServer() {
  const { call, status } = duplex(route(), within(1));
  call.on('error', () => {});
  call.write(wanted([], zeros(27182)));
  call.resume();
  same((await status).code, grpc.status.DEADLINE_EXCEEDED);
}

async function rpcSoak() {
  for (let round = 0; round < 100; round++) await largeUnary();
}

async function channelSoak() {
  for (let round = 0; round < 20; round++) {
    const own = connect();
    await largeUnary(own);
    own.close();
  }
}

// A unary call: its answer with headers and trailers.
function unary(method, request, meta = route(), on = stub) {
  return new Promise((resolve, reject) => {
    const got = {};
    const call = on[method](request, meta, within(), (error, response) => {
      if (error) reject(error);
      else got.response = response;
    });
    call.on('metadata', (headers) => (got.headers = headers));
    call.on('status', (status) => resolve({ ...got, trailers: status.metadata }));
  });
}

async function endsUnary(status) {
  const error = await fails(unary('UnaryCall', { response_status: status }));
  same([error.code, error.details], [status.code, status.message]);
}

function upload(on, requests) {
  return new Promise((resolve, reject) => {
    const call = on.StreamingInputCall(route(), within(), (error, response) =>
      error ? reject(error) : resolve(response.aggregated_payload_size),
    );
    for (const request of requests) call.write(request);
    call.end();
  });
}

function duplex(meta = route(), options = within()) {
  const call = stub.FullDuplexCall(meta, options);
  return { call, status: new Promise((resolve) => call.on('status', resolve)) };
}

// The payloads of all answers.
async function all(call) {
  const bodies = [];
  for await (const { payload } of call) bodies.push(payload.body);
  return bodies;
}

const large = (asked = {}) => ({
  response_size: LARGE_ANSWER,
  payload: zeros(LARGE_REQUEST),
  ...asked,
});

// A request for answers of these sizes.
const wanted = (sizes, payload) => ({
  response_parameters: sizes.map((size) => ({ size })),
  payload,
});

const zeros = (size) => ({ body: Buffer.alloc(size) });

module.exports = {
  empty_unary: emptyUnary,
  large_unary: () => largeUnary(),
  client_compressed_unary: clientCompressedUnary,
  server_compressed_unary: serverCompressedUnary,
  client_streaming: clientStreaming,
  client_compressed_streaming: clientCompressedStreaming,
  server_streaming: serverStreaming,
  server_compressed_streaming: serverCompressedStreaming,
  ping_pong: pingPong,
  empty_stream: emptyStream,
  custom_metadata: customMetadata,
  status_code_and_message: statusCodeAndMessage,
  special_status_message: specialStatusMessage,
  unimplemented_method: () => unimplementedMethod(),
  unimplemented_service: unimplementedService,
  cancel_after_begin: cancelAfterBegin,
  cancel_after_first_response: cancelAfterFirstResponse,
  timeout_on_sleeping_server: timeoutOnSleepingServer,
  rpc_soak: rpcSoak,
  channel_soak: channelSoak,
};
