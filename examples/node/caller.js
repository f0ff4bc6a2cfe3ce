// Reads a thermometer behind an edge: caller.js CLIENT_ID [ADDRESS]

const { promisify } = require("node:util");
const grpc = require("@grpc/grpc-js");
const { ThermometerServiceClient } = require("./gen/thermometer/v1/thermometer.grpc-client");

const [clientId, address = "localhost:7592"] = process.argv.slice(2);

async function main() {
  if (!clientId) throw new Error("usage: caller.js CLIENT_ID [ADDRESS]");
  const thermometer = new ThermometerServiceClient(address, grpc.credentials.createInsecure());
  const edge = new grpc.Metadata();
  edge.set("client-id", clientId); // all that a caller adds
  const options = { deadline: Date.now() + 10_000 };

  const read = promisify(thermometer.read.bind(thermometer));
  const { room, celsius } = await read({}, edge, options);
  console.log(`${celsius.toFixed(1)} degrees in the ${room}`);

  for await (const { celsius } of thermometer.watch({ count: 3 }, edge, options)) {
    console.log(celsius.toFixed(1));
  }
}

main().catch((error) => {
  console.error(error.code ? `${grpc.status[error.code]}: ${error.details}` : error.message);
  process.exitCode = 1;
});
