// Where to call, as the command line says it, and what all cases share.
//
// An empty client id calls without one.

const { inspect, isDeepStrictEqual } = require('node:util');
const grpc = require('@grpc/grpc-js');

const [, , ADDRESS, CLIENT_ID, LABEL, ...NAMES] = process.argv;

// The arguments of a stub with a connection of its own, and no limit on messages.
const target = (options = {}) => [
  ADDRESS,
  grpc.credentials.createInsecure(),
  {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  },
];

const SQUEEZING = { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip };

function route(entries = {}) {
  const meta = new grpc.Metadata();
  if (CLIENT_ID) meta.set('client-id', CLIENT_ID);
  for (const [key, values] of Object.entries(entries)) {
    for (const value of values) meta.add(key, value);
  }
  return meta;
}

const within = (ms = 30_000) => ({ deadline: Date.now() + ms });

const fails = (answer) =>
  answer.then(
    () => {
      throw new Error('the call did not fail');
    },
    (error) => error,
  );

function same(got, expected) {
  if (!isDeepStrictEqual(got, expected)) {
    throw new Error(`got ${inspect(got).slice(0, 200)}, expected ${inspect(expected).slice(0, 200)}`);
  }
}

module.exports = { LABEL, NAMES, SQUEEZING, fails, route, same, target, within };
