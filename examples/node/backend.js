// A thermometer: backend.js [ROOM [ADDRESS]]
//
// An ordinary gRPC server.

const { pipeline } = require("node:stream");
const grpc = require("@grpc/grpc-js");
const { thermometerServiceDefinition } = require("./gen/thermometer/v1/thermometer.grpc-server");

const [room = "kitchen", address = "localhost:50051"] = process.argv.slice(2);

const thermometer = {
  read(call, callback) {
    callback(null, { room, celsius: 21.5 });
  },
  watch(call) {
    pipeline(readings(call.request.count), call, () => {});
  },
};

function* readings(count) {
  for (let tenths = 0; tenths < count; tenths++) yield { celsius: 21.5 + tenths / 10 };
}

const server = new grpc.Server();
server.addService(thermometerServiceDefinition, thermometer);
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`the thermometer in the ${room} listens on ${address.replace(/:\d+$/, "")}:${port}`);
});
