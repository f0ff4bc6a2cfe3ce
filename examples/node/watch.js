// Tells which edges are connected, and which come and go: watch.js [ADDRESS]

const grpc = require("@grpc/grpc-js");
const { DiscoveryServiceClient } = require("./gen/grpc/multiplexer/v1/discovery.grpc-client");
const {
  WatchGRPCServerRequest,
  WatchGRPCServerResponse_Event: Event,
} = require("./gen/grpc/multiplexer/v1/discovery");

const [address = "localhost:7592"] = process.argv.slice(2);

async function main() {
  const discovery = new DiscoveryServiceClient(address, grpc.credentials.createInsecure());
  // The snapshot: first the edges of now, each as connected.
  const request = WatchGRPCServerRequest.create({ snapshot: true });
  for await (const { server, event } of discovery.watchGRPCServer(request)) {
    if (event === Event.CONNECTED) console.log(`${server} is connected`);
    if (event === Event.DISCONNECTED) console.log(`${server} is gone`);
    if (event === Event.SNAPSHOT_END) console.log("these were all");
  }
}

main().catch((error) => {
  console.error(`${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
});
