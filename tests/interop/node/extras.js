// What gRPC's interop cases leave out: contents, order, size, and what the backend sees of a cancel.
// They call the echo service.

const { randomBytes } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');
const { SQUEEZING, fails, route, same, target, within } = require('./calling');
const { echo, details } = require('./protos');

const MIB = 1024 * 1024;
const stub = new echo(...target());

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
  const squeezing = new echo(...target(SQUEEZING));
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

module.exports = {
  order_of_answers: serverStream,
  order_of_requests: clientStream,
  half_close: halfClose,
  '8_MiB_both_ways': huge(8 * MIB),
  '64_MiB_both_ways': huge(64 * MIB),
  gzip_both_ways: gzip,
  deadline_of_200_ms: deadline,
  cancel_of_unary: cancelUnary,
  cancel_of_stream: cancelStream,
  rich_status_details: richStatus,
  '7_KiB_of_metadata': metadata,
};
