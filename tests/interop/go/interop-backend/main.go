// Binary interop-backend is grpc-go's own interop server, and what that leaves out of compression.
// Prints its address once it listens.
package main

import (
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"

	"grpc-multiplexer.example/interop/internal/flags"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("interop-backend: %v", err)
	}
	fmt.Printf("interop-backend listening on %s\n", listener.Addr())
	server := grpc.NewServer(grpc.StatsHandler(flags.Handler{}))
	grpc_testing.RegisterTestServiceServer(server, compressing{interop.NewTestServer()})
	log.Fatalf("interop-backend: %v", server.Serve(listener))
}
