// The service that `cancels/run` calls, on grpc-js: bytes in, bytes out. Prints its address once it listens.

const grpc = require('@grpc/grpc-js');

const bytes = (it) => it;
const method = (name, responseStream) => ({
  path: `/cancels.Test/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

// Microseconds are as fine as node tells the time of day.
const nanos = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

// Says that the call began, and when it learns that it was cancelled.
function note(call, over = () => {}) {
  const [id] = call.metadata.get('cancel-id');
  console.log(`began ${id}`);
  call.on('cancelled', () => {
    console.log(`cancelled ${id} ${nanos()}`);
    over();
  });
}

const server = new grpc.Server();
server.addService(
  { Echo: method('Echo', false), Hang: method('Hang', false), Stream: method('Stream', true) },
  {
    Echo: (call, callback) => callback(null, call.request),
    Hang: (call) => note(call),
    Stream: (call) => {
      const message = Buffer.alloc(1024);
      const timer = setInterval(() => call.write(message), 50);
      note(call, () => clearInterval(timer));
      for (let i = 0; i < 16; i++) call.write(message);
    },
  },
);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`node listening on 127.0.0.1:${port}`);
});
