// Calls an echo backend with grpc-js and prints one line per case.
//
// Usage: caller.js PROTO_FOLDER ADDRESS CLIENT_ID LABEL; an empty CLIENT_ID calls without one.

const { randomBytes } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { inspect, isDeepStrictEqual } = require('node:util');
const grpc = require('@grpc/grpc-js');
const { echo, details } = require('./protos');

const [, , , ADDRESS, CLIENT_ID, LABEL] = process.argv;
const MIB = 1024 * 1024;

const client = (options = {}) =>
  new echo(ADDRESS, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    ...options,
  });
const stub = client();

async function unary() {
  const { response } = await ask({ text: 'hello', payload: Buffer.from([0, 255]) });
  same([response.text, [...response.payload]], ['hello', [0, 255]]);
}

async function serverStream() {
  const answers = [];
  const call = stub.ServerStream({ text: 'again', count: 100 }, route(), within());
  for await (const { text, index } of call) answers.push([text, index]);
  same(answers, Array.from({ length: 100 }, (_, index) => ['again', index]));
}

async function clientStream() {
  const { call, answer } = openClientStream();
  const texts = Array.from({ length: 100 }, (_, index) => `${index}`);
  for (const text of texts) call.write({ text, payload: Buffer.alloc(1000) });
  call.end();
  const { messages, total_bytes, text } = await answer;
  same([messages, total_bytes, text], [100, 100_000, texts.join(',')]);
}

async function bidiStream() {
  const call = stub.BidiStream(route(), within());
  const status = new Promise((resolve) => call.on('status', resolve));
  const answers = call[Symbol.asyncIterator]();
  for (let index = 0; index < 20; index++) {
    call.write({ text: `ping ${index}` }); // each message waits for the answer before it
    const { value } = await answers.next();
    same([value.text, value.index], [`ping ${index}`, index]);
  }
  call.end();
  same((await answers.next()).done, true);
  same((await status).code, grpc.status.OK);
}

async function halfClose() {
  const { call, answer } = openClientStream();
  call.write({ text: 'a' });
  call.write({ text: 'b' });
  same(await Promise.race([answer, sleep(300, 'nothing yet')]), 'nothing yet');
  call.end();
  same((await answer).text, 'a,b');
}

const huge = (size) => async () => {
  const payload = randomBytes(size);
  const { response } = await ask({ payload });
  if (!response.payload.equals(payload)) {
    throw new Error(`${response.payload.length} bytes came back, or others`);
  }
};

async function gzip() {
  const payload = Buffer.from('squeeze me '.repeat(100_000));
  const squeezing = client({
    'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
  });
  const { response } = await ask({ payload }, route({ 'interop-gzip': ['yes'] }), within(), squeezing);
  squeezing.close();
  same(response.payload.equals(payload), true);
}

async function deadline() {
  const text = token();
  const begin = performance.now();
  const error = await fails(ask({ text, delay: { seconds: 30 } }, route(), within(200)));
  same(error.code, grpc.status.DEADLINE_EXCEEDED);
  if (performance.now() - begin > 2000) throw new Error('the answer took more than 2 s');
  await reportedCancelled(text);
}

async function cancelUnary() {
  const text = token();
  const answer = ask({ text, delay: { seconds: 30 } });
  const failed = fails(answer);
  await sleep(300);
  answer.call.cancel();
  same((await failed).code, grpc.status.CANCELLED);
  await reportedCancelled(text);
}

async function cancelStream() {
  const text = token();
  const call = stub.BidiStream(route(), within());
  const failed = new Promise((resolve) => call.on('error', resolve));
  const first = new Promise((resolve) => call.once('data', resolve));
  call.write({ text });
  same((await first).text, text);
  // Node half-closes before it resets: asleep, the backend cannot take that for the end of the call.
  call.write({ text, delay: { seconds: 30 } });
  await sleep(100);
  call.cancel();
  same((await failed).code, grpc.status.CANCELLED);
  await reportedCancelled(text);
}

async function richStatus() {
  const message = 'no such thing: Größe 100 %\n✓';
  const request = { text: 'käse', status_code: 9, status_message: message };
  const error = await fails(ask(request));
  same([error.code, error.details], [grpc.status.FAILED_PRECONDITION, message]);
  same(details.decode(error.metadata.get('grpc-status-details-bin')[0]), {
    code: 9,
    message,
    details: [
      {
        name: 'ErrorInfo',
        reason: 'ASKED_FOR',
        domain: 'grpc-multiplexer-examples',
        metadata: { text: 'käse' },
      },
      {
        name: 'BadRequest',
        field_violations: [{ field: 'status_code', description: 'asked for 9' }],
      },
    ],
  });
}

async function metadata() {
  for (const prefix of ['echo-', 'echo-trailer-']) {
    const sent = sevenKib(prefix);
    const { headers, trailers } = await ask({}, route(sent));
    const got = prefix === 'echo-' ? headers : trailers;
    for (const [key, values] of Object.entries(sent)) {
      // Node joins the values of a repeated text key.
      same(got.get(key), key.endsWith('-bin') ? values : [values.join(', ')]);
    }
  }
}

// 7 KiB of metadata, text as it is and bytes as base64, with repeated keys.
function sevenKib(prefix) {
  const entries = {
    [`${prefix}order`]: ['third', 'first', 'second'],
    [`${prefix}bytes-bin`]: [randomBytes(96), Buffer.from([0])],
  };
  let used = prefix.length + 3;
  for (const [key, values] of Object.entries(entries)) {
    for (const value of values) {
      used += key.length + (typeof value === 'string' ? value.length : (value.length * 4) / 3);
    }
  }
  entries[`${prefix}big`] = ['x'.repeat(7 * 1024 - Math.ceil(used))];
  return entries;
}

// A unary call: its answer with headers and trailers; the call itself is at `.call`.
function ask(request, meta = route(), options = within(), on = stub) {
  let call;
  const answer = new Promise((resolve, reject) => {
    const got = {};
    call = on.Echo(request, meta, options, (error, response) => {
      if (error) reject(error);
      else got.response = response;
    });
    call.on('metadata', (headers) => (got.headers = headers));
    call.on('status', (status) => resolve({ ...got, trailers: status.metadata }));
  });
  return Object.assign(answer, { call });
}

function openClientStream() {
  let call;
  const answer = new Promise((resolve, reject) => {
    call = stub.ClientStream(route(), within(), (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
  return { call, answer };
}

function route(entries = {}) {
  const meta = new grpc.Metadata();
  if (CLIENT_ID) meta.set('client-id', CLIENT_ID);
  for (const [key, values] of Object.entries(entries)) {
    for (const value of values) meta.add(key, value);
  }
  return meta;
}

const within = (ms = 30_000) => ({ deadline: Date.now() + ms });
const token = () => randomBytes(8).toString('hex');

async function reportedCancelled(text) {
  const until = performance.now() + 5000;
  while (performance.now() < until) {
    const count = await new Promise((resolve, reject) =>
      stub.CountCancelled({ text }, route(), within(), (error, response) =>
        error ? reject(error) : resolve(response.count),
      ),
    );
    if (count === 1) return;
    await sleep(50);
  }
  throw new Error('the backend saw no cancel within 5 s');
}

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

const CASES = {
  unary,
  'server stream': serverStream,
  'client stream': clientStream,
  'bidi stream': bidiStream,
  'half-close': halfClose,
  '8 MiB both ways': huge(8 * MIB),
  '64 MiB both ways': huge(64 * MIB),
  'gzip both ways': gzip,
  '200 ms deadline': deadline,
  'cancel of a unary call': cancelUnary,
  'cancel of a stream': cancelStream,
  'rich status details': richStatus,
  '7 KiB of metadata': metadata,
};

async function main() {
  let passed = 0;
  for (const [name, run] of Object.entries(CASES)) {
    try {
      await run();
      passed += 1;
      console.log(`ok   ${LABEL}: ${name}`);
    } catch (error) {
      console.log(`FAIL ${LABEL}: ${name}: ${error.message}`);
    }
  }
  console.log(`${passed}/${Object.keys(CASES).length} ${LABEL}`);
  process.exit(passed === Object.keys(CASES).length ? 0 : 1);
}

main();
