// Binary legacy-edge is an edge that speaks the tunnel protocol of the original grpc-multiplexer,
// on the libraries that the original was built on.
//
// It dials the server and speaks yamux as client. On its one stream it writes its id and a newline,
// and directly behind them yamux again, now as server. Each stream that the multiplexer opens in that
// inner session is an HTTP/2 connection, whose calls are passed on to the backend.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/hashicorp/yamux"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"grpc-multiplexer.example/interop/internal/relay"
)

var (
	clientID    = flag.String("client-id", "", "the name that callers use")
	multiplexer = flag.String("multiplexer-address", "localhost:7602", "the server")
	backend     = flag.String("grpc-server-address", "localhost:50051", "the backend")
	write       = flag.String("write", "whole", "how the id line is written: whole; bytewise, each byte a frame; "+
		"glued, in one frame with the first bytes of the inner session")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatalf("legacy-edge: %v", err)
	}
}

func run() error {
	conn, err := grpc.NewClient(*backend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("--grpc-server-address %q: %w", *backend, err)
	}
	defer conn.Close()
	tunnel, err := open()
	if err != nil {
		return err
	}
	defer tunnel.Close()
	server := relay.NewServer(func(md metadata.MD) (*grpc.ClientConn, metadata.MD, error) {
		return conn, md, nil
	})
	return fmt.Errorf("tunnel lost: %w", server.Serve(tunnel))
}

// open dials the server and says the id; the session is the inner one.
func open() (*yamux.Session, error) {
	tcp, err := net.DialTimeout("tcp", *multiplexer, 10*time.Second)
	if err != nil {
		return nil, err
	}
	outer, err := yamux.Client(tcp, nil)
	if err != nil {
		return nil, err
	}
	stream, err := outer.Open()
	if err != nil {
		return nil, err
	}
	line := []byte(*clientID + "\n")
	switch *write {
	case "whole":
		if _, err := stream.Write(line); err != nil {
			return nil, err
		}
		return yamux.Server(stream, nil)
	case "bytewise":
		for i := range line {
			if _, err := stream.Write(line[i : i+1]); err != nil {
				return nil, err
			}
		}
		return yamux.Server(stream, nil)
	case "glued":
		inner, err := yamux.Server(&glued{Conn: stream, line: line}, nil)
		if err == nil {
			_, err = inner.Ping() // An edge has nothing else to say first.
		}
		return inner, err
	}
	return nil, fmt.Errorf("--write %q: expected whole, bytewise or glued", *write)
}

// glued puts the line in front of the first bytes that are written.
type glued struct {
	net.Conn
	line []byte
}

func (g *glued) Write(bytes []byte) (int, error) {
	held := len(g.line)
	n, err := g.Conn.Write(append(g.line, bytes...))
	g.line = nil
	return max(0, n-held), err
}
