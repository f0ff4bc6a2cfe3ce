// Both services, loaded at run time from the protos of this repository, and the parts of google.rpc
// that rich statuses are made of.

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const ROOT = path.join(__dirname, '../../..');

const load = (folder, file) =>
  grpc.loadPackageDefinition(
    loader.loadSync(file, {
      includeDirs: [path.join(ROOT, folder)],
      keepCase: true,
      longs: Number,
      defaults: true,
    }),
  ).grpc;

const { testing } = load('proto', 'grpc/testing/test.proto');
const echo = load('examples/proto', 'grpc/multiplexer/examples/v1/echo.proto').multiplexer.examples
  .v1.EchoService;

const rpc = protobuf.parse(
  `
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; }
    repeated FieldViolation field_violations = 1;
  }`,
  { keepCase: true },
).root;
const type = (name) => rpc.lookupType(`google.rpc.${name}`);
const URL = 'type.googleapis.com/google.rpc.';

const any = (name, value) => ({ type_url: URL + name, value: type(name).encode(value).finish() });

const details = {
  encode: (code, message, text) =>
    Buffer.from(
      type('Status')
        .encode({
          code,
          message,
          details: [
            any('ErrorInfo', {
              reason: 'ASKED_FOR',
              domain: 'grpc-multiplexer-examples',
              metadata: { text },
            }),
            any('BadRequest', {
              field_violations: [{ field: 'status_code', description: `asked for ${code}` }],
            }),
          ],
        })
        .finish(),
    ),

  // A plain object, each detail with its type's name.
  decode: (bytes) => {
    const status = type('Status').toObject(type('Status').decode(bytes));
    status.details = status.details.map(({ type_url, value }) => {
      const name = type_url.slice(URL.length);
      return { name, ...type(name).toObject(type(name).decode(value)) };
    });
    return status;
  },
};

module.exports = { testing, echo, details };
