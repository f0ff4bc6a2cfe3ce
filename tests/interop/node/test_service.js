// gRPC's interop test service on grpc-js, which neither shows handlers whether a request came
// compressed nor compresses what it answers.

const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');

// Sends back the two keys that the cases use: one at once, one in the trailers that come back here.
function metadata(call) {
  const copy = (key) => {
    const entries = new grpc.Metadata();
    for (const value of call.metadata.get(key)) entries.add(key, value);
    return entries;
  };
  call.sendMetadata(copy('x-grpc-test-echo-initial'));
  return copy('x-grpc-test-echo-trailing-bin');
}

// The error that a request asks for.
const status = ({ response_status }) =>
  response_status?.code ? { code: response_status.code, details: response_status.message } : null;

// Runs a handler that writes its answers. A cancelled call ends it with an error that nobody reads.
const several = (answer) => async (call) => {
  try {
    call.end(await answer(call));
  } catch (error) {
    if (!call.cancelled) call.emit('error', error);
  }
};

const zeros = (size) => ({ body: Buffer.alloc(size) });

async function write(call, { response_parameters }) {
  for (const { size, interval_us } of response_parameters) {
    if (interval_us > 0) await sleep(interval_us / 1000);
    call.write({ payload: zeros(size) });
  }
}

module.exports = {
  EmptyCall: (call, callback) => callback(null, {}),

  UnaryCall: (call, callback) => {
    const trailers = metadata(call);
    const payload = zeros(call.request.response_size);
    callback(status(call.request), { payload }, trailers);
  },

  StreamingOutputCall: several((call) => write(call, call.request)),

  StreamingInputCall: (call, callback) => {
    let aggregated_payload_size = 0;
    call.on('data', ({ payload }) => (aggregated_payload_size += payload.body.length));
    call.on('end', () => callback(null, { aggregated_payload_size }));
  },

  FullDuplexCall: several(async (call) => {
    const trailers = metadata(call);
    for await (const request of call.iterator({ destroyOnReturn: false })) {
      const error = status(request);
      if (error) throw error;
      await write(call, request);
    }
    return trailers;
  }),

  HalfDuplexCall: several(async (call) => {
    const requests = [];
    for await (const request of call) requests.push(request);
    for (const request of requests) await write(call, request);
  }),
};
