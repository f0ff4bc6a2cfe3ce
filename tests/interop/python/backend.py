"""gRPC's interop test service and the echo service on grpcio. Prints its address once it listens."""

from concurrent import futures

import grpc

from echo_service import Echo
from protos import echo_grpc, testing_grpc
from test_service import TestService


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(32),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    testing_grpc.add_TestServiceServicer_to_server(TestService(), server)
    echo_grpc.add_EchoServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"python backend listening on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


main()
