// The echo service of echo.proto on grpc-js.

const grpc = require('@grpc/grpc-js');
const { details } = require('./protos');

const cancelled = new Map();

// One call: sends its metadata back, sleeps, fails, and notices when it is given up.
class Call {
  constructor(call) {
    this.call = call;
    this.text = '';
    this.ended = false;
    const mine = Object.keys(call.metadata.getMap()).filter((key) => key.startsWith('echo-'));
    const isTrailer = (key) => key.startsWith('echo-trailer-');
    this.trailers = this.copy(mine.filter(isTrailer));
    call.sendMetadata(this.copy(mine.filter((key) => !isTrailer(key))));
    this.over = new Promise((resolve) => call.once('cancelled', resolve));
    this.over.then(() => {
      if (!this.ended) cancelled.set(this.text, (cancelled.get(this.text) ?? 0) + 1);
    });
  }

  copy(keys) {
    const copy = new grpc.Metadata();
    for (const key of keys) for (const value of this.call.metadata.get(key)) copy.add(key, value);
    return copy;
  }

  async sleep({ text, delay }) {
    this.text = text;
    const ms = delay ? delay.seconds * 1000 + delay.nanos / 1e6 : 0;
    if (ms === 0) return;
    let timer;
    await Promise.race([this.over, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }

  // Throws the status asked for.
  status({ text, status_code: code, status_message: message }) {
    if (code === 0) return;
    this.ended = true;
    this.trailers.set('grpc-status-details-bin', details.encode(code, message, text));
    throw { code, details: message, metadata: this.trailers };
  }

  async take(request) {
    await this.sleep(request);
    this.status(request);
  }
}

// Runs a handler whose answer is one message.
const single = (answer) => async (call, callback) => {
  const mine = new Call(call);
  try {
    const response = await answer(call, mine);
    if (!call.cancelled) mine.ended = true;
    callback(null, response, mine.trailers);
  } catch (error) {
    callback(error);
  }
};

// Runs a handler that writes its answers.
const several = (answer) => async (call) => {
  const mine = new Call(call);
  try {
    await answer(call, mine);
    if (!call.cancelled) mine.ended = true;
    call.end(mine.trailers);
  } catch (error) {
    if (!call.cancelled) call.emit('error', error);
  }
};

// The messages of a call, which stays open for the answer after the last one.
const messages = (call) => call.iterator({ destroyOnReturn: false });

const handlers = {
  Echo: single(async ({ request }, mine) => {
    await mine.take(request);
    return { payload: request.payload, text: request.text };
  }),

  ServerStream: several(async (call, mine) => {
    const { payload, text, count } = call.request;
    for (let index = 0; index < count && !call.cancelled; index++) {
      await mine.sleep(call.request);
      call.write({ payload, text, index });
    }
    mine.status(call.request);
  }),

  ClientStream: single(async (call, mine) => {
    const texts = [];
    let payload = Buffer.alloc(0);
    let total_bytes = 0;
    for await (const request of messages(call)) {
      await mine.take(request);
      texts.push(request.text);
      payload = request.payload;
      total_bytes += payload.length;
    }
    return { payload, text: texts.join(','), messages: texts.length, total_bytes };
  }),

  BidiStream: several(async (call, mine) => {
    let index = 0;
    for await (const request of messages(call)) {
      await mine.take(request);
      call.write({ payload: request.payload, text: request.text, index: index++ });
    }
  }),

  CountCancelled: ({ request: { text } }, callback) => {
    const all = [...cancelled.values()].reduce((sum, count) => sum + count, 0);
    callback(null, { count: text ? (cancelled.get(text) ?? 0) : all });
  },
};

module.exports = handlers;
