// Binary cancels-backend is the service that tests/cancels/run calls, on grpc-go: bytes in, bytes
// out. Prints its address once it listens.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"grpc-multiplexer.example/interop/internal/raw"
)

func serve(_ any, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(stream)
	switch method {
	case "/cancels.Test/Echo":
		return stream.SendMsg(&request)
	case "/cancels.Test/Hang":
		defer note(stream.Context())()
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	case "/cancels.Test/Stream":
		defer note(stream.Context())()
		return messages(stream)
	}
	return status.Error(codes.Unimplemented, method)
}

// note says that the call began; what it returns says when it learnt that it was cancelled.
func note(ctx context.Context) func() {
	id := metadata.ValueFromIncomingContext(ctx, "cancel-id")[0]
	fmt.Printf("began %s\n", id)
	return func() { fmt.Printf("cancelled %s %d\n", id, time.Now().UnixNano()) }
}

func messages(stream grpc.ServerStream) error {
	message := make([]byte, 1024)
	for range 16 {
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-tick.C:
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("cancels-backend: %v", err)
	}
	fmt.Printf("go listening on %s\n", listener.Addr())
	server := raw.Server(serve)
	log.Fatalf("cancels-backend: %v", server.Serve(listener))
}
