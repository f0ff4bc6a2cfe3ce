"""A thermometer: backend.py [ROOM [ADDRESS [CERTIFICATE KEY]]]

An ordinary gRPC server. With a certificate and its key, both in PEM files, it speaks TLS.
"""

import pathlib
import sys
from concurrent import futures

import grpc

sys.path.append(str(pathlib.Path(__file__).with_name("gen")))
from thermometer.v1 import thermometer_pb2, thermometer_pb2_grpc


class Thermometer(thermometer_pb2_grpc.ThermometerServiceServicer):
    def __init__(self, room):
        self.room = room

    def Read(self, request, context):
        return thermometer_pb2.ReadResponse(room=self.room, celsius=21.5)

    def Watch(self, request, context):
        for tenths in range(request.count):
            yield thermometer_pb2.WatchResponse(celsius=21.5 + tenths / 10)


def main(room="kitchen", address="localhost:50051", *pem_files):
    server = grpc.server(futures.ThreadPoolExecutor())
    thermometer_pb2_grpc.add_ThermometerServiceServicer_to_server(Thermometer(room), server)
    if pem_files:
        certificate, key = (pathlib.Path(file).read_bytes() for file in pem_files)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    host = address.rpartition(":")[0]
    print(f"the thermometer in the {room} listens on {host}:{port}", flush=True)
    server.wait_for_termination()


try:
    main(*sys.argv[1:])
except KeyboardInterrupt:
    pass
