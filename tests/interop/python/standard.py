"""gRPC's interop cases, by their published names. grpcio does not show whether an answer came compressed."""

import grpc

from calling import ROUTE, TIMEOUT, Sender, channel, fails, same
from protos import empty, messages, testing_grpc

REQUESTS, ANSWERS = [27182, 8, 1828, 45904], [31415, 9, 2653, 58979]
LARGE_REQUEST, LARGE_ANSWER = 271828, 314159
WITHIN = {"metadata": ROUTE, "timeout": TIMEOUT}


def empty_unary(stub):
    same(stub.EmptyCall(empty.Empty(), **WITHIN), empty.Empty())


def large_unary(stub, compression=None, **asked):
    answer = stub.UnaryCall(large(**asked), compression=compression, **WITHIN)
    same(answer.payload.body, bytes(LARGE_ANSWER))


def client_compressed_unary(stub):
    error = fails(lambda: stub.UnaryCall(large(expect_compressed=yes(True)), **WITHIN))
    same(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    large_unary(stub, grpc.Compression.Gzip, expect_compressed=yes(True))
    large_unary(stub, grpc.Compression.NoCompression, expect_compressed=yes(False))


def server_compressed_unary(stub):
    large_unary(stub, response_compressed=yes(True))
    large_unary(stub, response_compressed=yes(False))


def client_streaming(stub):
    requests = (messages.StreamingInputCallRequest(payload=zeros(size)) for size in REQUESTS)
    same(stub.StreamingInputCall(requests, **WITHIN).aggregated_payload_size, 74922)


def server_streaming(stub):
    request = wanted(*ANSWERS)
    same([len(a.payload.body) for a in stub.StreamingOutputCall(request, **WITHIN)], ANSWERS)


def server_compressed_streaming(stub):
    request = wanted(31415, 92653)
    for parameters, compressed in zip(request.response_parameters, (True, False)):
        parameters.compressed.value = compressed
    answers = [a.payload.body for a in stub.StreamingOutputCall(request, **WITHIN)]
    same(answers, [bytes(31415), bytes(92653)])


def ping_pong(stub):
    sender = Sender()
    answers = stub.FullDuplexCall(sender, **WITHIN)
    for sent, expected in zip(REQUESTS, ANSWERS):
        sender.send(wanted(expected, payload=zeros(sent)))
        same(len(next(answers).payload.body), expected)
    sender.end()
    same(list(answers), [])
    same(answers.code(), grpc.StatusCode.OK)


def empty_stream(stub):
    answers = stub.FullDuplexCall(iter(()), **WITHIN)
    same(list(answers), [])
    same(answers.code(), grpc.StatusCode.OK)


def custom_metadata(stub):
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    echoed = {"metadata": [*ROUTE, initial, trailing], "timeout": TIMEOUT}

    def check(call):
        same([tuple(e) for e in call.initial_metadata() if e[0] == initial[0]], [initial])
        same([tuple(e) for e in call.trailing_metadata() if e[0] == trailing[0]], [trailing])

    _, call = stub.UnaryCall.with_call(large(), **echoed)
    check(call)
    answers = stub.FullDuplexCall(iter([wanted(LARGE_ANSWER, payload=zeros(LARGE_REQUEST))]), **echoed)
    same(len(list(answers)), 1)
    check(answers)


def status_code_and_message(stub, message="test status message"):
    status = messages.EchoStatus(code=2, message=message)
    ended(stub.UnaryCall.future(messages.SimpleRequest(response_status=status), **WITHIN), message)
    request = messages.StreamingOutputCallRequest(response_status=status)
    ended(stub.FullDuplexCall(iter([request]), **WITHIN), message)


def special_status_message(stub):
    status_code_and_message(stub, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")


def unimplemented_method(stub):
    error = fails(lambda: stub.UnimplementedCall(empty.Empty(), **WITHIN))
    same(error.code(), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(_):
    with channel() as own:
        unimplemented_method(testing_grpc.UnimplementedServiceStub(own))


def cancel_after_begin(stub):
    sender = Sender()
    answer = stub.StreamingInputCall.future(sender, **WITHIN)
    answer.cancel()
    same(answer.code(), grpc.StatusCode.CANCELLED)
    sender.end()


def cancel_after_first_response(stub):
    sender = Sender()
    answers = stub.FullDuplexCall(sender, **WITHIN)
    sender.send(wanted(31415, payload=zeros(27182)))
    same(len(next(answers).payload.body), 31415)
    answers.cancel()
    same(fails(lambda: next(answers)).code(), grpc.StatusCode.CANCELLED)
    sender.end()


def timeout_on_sleeping_server(stub):
    sender = Sender()
    answers = stub.FullDuplexCall(sender, metadata=ROUTE, timeout=0.001)
    sender.send(wanted(payload=zeros(27182)))
    same(fails(lambda: next(answers)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    sender.end()


def rpc_soak(stub):
    for _ in range(100):
        large_unary(stub)


def channel_soak(_):
    for _ in range(20):
        with channel() as own:
            large_unary(testing_grpc.TestServiceStub(own))


def large(**asked):
    return messages.SimpleRequest(response_size=LARGE_ANSWER, payload=zeros(LARGE_REQUEST), **asked)


def wanted(*sizes, **rest):
    """A request for answers of these sizes."""
    parameters = [messages.ResponseParameters(size=size) for size in sizes]
    return messages.StreamingOutputCallRequest(response_parameters=parameters, **rest)


def zeros(size):
    return messages.Payload(body=bytes(size))


def yes(value):
    return messages.BoolValue(value=value)


def ended(call, message):
    same((call.code(), call.details()), (grpc.StatusCode.UNKNOWN, message))


CASES = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_compressed_unary,
        server_compressed_unary,
        client_streaming,
        server_streaming,
        server_compressed_streaming,
        ping_pong,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
        rpc_soak,
        channel_soak,
    )
}
