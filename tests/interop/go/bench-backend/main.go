// Binary bench-backend is a backend that benches/run calls, on grpc-go: it streams messages, each
// of which grpc-go sends in a DATA frame of its own. Prints its address once it listens.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"grpc-multiplexer.example/interop/internal/raw"
)

// look is how many messages are sent until the time is looked at, as the backend on tonic does.
const look = 64

// serve answers Down, whose request benches/src/backend/down.rs describes.
func serve(_ any, stream grpc.ServerStream) error {
	if method, _ := grpc.MethodFromServerStream(stream); method != "/bench.Bench/Down" {
		return status.Error(codes.Unimplemented, method)
	}
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if len(request) != 16 {
		return status.Error(codes.InvalidArgument, "not what Down takes")
	}
	count := binary.BigEndian.Uint32(request)
	message := make([]byte, binary.BigEndian.Uint32(request[4:]))
	limit := time.Duration(binary.BigEndian.Uint32(request[8:])) * time.Millisecond
	start := time.Now()
	for sent := uint32(0); sent < count; sent++ {
		if limit > 0 && sent%look == 0 && time.Since(start) >= limit {
			return nil
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatalf("bench-backend: %v", err)
	}
	fmt.Fprintf(os.Stderr, "listening on %s\n", listener.Addr())
	// What a stream, and a connection, may send ahead is said by whoever reads.
	server := raw.Server(serve)
	log.Fatalf("bench-backend: %v", server.Serve(listener))
}
