// gRPC's interop test service and the echo service on grpc-js. Prints its address once it listens.

const grpc = require('@grpc/grpc-js');
const echoService = require('./echo_service');
const { echo, testing } = require('./protos');
const testService = require('./test_service');

const server = new grpc.Server({
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
});
server.addService(testing.TestService.service, testService);
server.addService(echo.service, echoService);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`node backend listening on 127.0.0.1:${port}`);
});
