// Binary legacy-server is a server that speaks the tunnel protocol of the original grpc-multiplexer;
// legacy-edge describes it. All calls to an edge ride one HTTP/2 connection over one inner stream.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"

	"github.com/hashicorp/yamux"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"grpc-multiplexer.example/interop/internal/relay"
)

var (
	proxyListener       = flag.String("proxy-listener", "localhost:7592", "where callers call")
	multiplexerListener = flag.String("multiplexer-listener", "localhost:7602", "where edges dial in")
	authority           = flag.String("authority", "", "the :authority of calls to edges; the original's is empty")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatalf("legacy-server: %v", err)
	}
}

func run() error {
	callers, err := net.Listen("tcp", *proxyListener)
	if err != nil {
		return fmt.Errorf("--proxy-listener: %w", err)
	}
	edges, err := net.Listen("tcp", *multiplexerListener)
	if err != nil {
		return fmt.Errorf("--multiplexer-listener: %w", err)
	}
	fmt.Printf("listening proxy_listener=%s multiplexer_listener=%s\n", callers.Addr(), edges.Addr())
	registry := &registry{edges: map[string]*grpc.ClientConn{}}
	go registry.accept(edges)
	return relay.NewServer(registry.pick).Serve(callers)
}

// registry is which edge has which id.
type registry struct {
	mutex sync.Mutex
	edges map[string]*grpc.ClientConn
}

func (r *registry) accept(edges net.Listener) {
	for {
		tcp, err := edges.Accept()
		if err != nil {
			log.Fatalf("legacy-server: accept: %v", err)
		}
		go func() {
			if err := r.serve(tcp); err != nil {
				fmt.Printf("edge %s: %v\n", tcp.RemoteAddr(), err)
			}
		}()
	}
}

// serve is the life of one edge.
func (r *registry) serve(tcp net.Conn) error {
	outer, err := yamux.Server(tcp, nil)
	if err != nil {
		return err
	}
	defer outer.Close()
	tunnel, err := outer.Accept()
	if err != nil {
		return err
	}
	// A round trip, in which an edge that does not keep still after its line betrays itself.
	if _, err := outer.Ping(); err != nil {
		return err
	}
	reader := bufio.NewReader(tunnel)
	line, err := reader.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no id line: %w", err)
	}
	// The original throws its reader away, and with it what came behind the line.
	if lost := reader.Buffered(); lost > 0 {
		return fmt.Errorf("%d bytes came behind the id line %q, before the server spoke", lost, line)
	}
	inner, err := yamux.Client(tunnel, nil)
	if err != nil {
		return err
	}
	defer inner.Close()
	conn, err := dial(inner)
	if err != nil {
		return err
	}
	defer conn.Close()
	id := strings.TrimSuffix(line, "\n")
	if !r.add(id, conn) {
		return fmt.Errorf("client_id=%s is taken", id)
	}
	defer r.remove(id)
	fmt.Printf("connected client_id=%s\n", id)
	<-inner.CloseChan()
	return fmt.Errorf("client_id=%s disconnected", id)
}

// dial speaks HTTP/2 over a first and only stream, at once and not with the first call.
func dial(inner *yamux.Session) (*grpc.ClientConn, error) {
	stream, err := inner.Open()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(*authority),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return stream, nil }),
	)
	if err == nil {
		conn.Connect()
	}
	return conn, err
}

func (r *registry) add(id string, conn *grpc.ClientConn) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, taken := r.edges[id]; taken {
		return false
	}
	r.edges[id] = conn
	return true
}

func (r *registry) remove(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.edges, id)
}

// pick takes the edge that client-id names, and takes client-id away.
func (r *registry) pick(md metadata.MD) (*grpc.ClientConn, metadata.MD, error) {
	ids := md.Get("client-id")
	if len(ids) != 1 {
		return nil, nil, status.Errorf(codes.InvalidArgument, "client-id: %d values, expected one", len(ids))
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	conn, ok := r.edges[ids[0]]
	if !ok {
		return nil, nil, status.Errorf(codes.NotFound, "Client '%s' not registered", ids[0])
	}
	md = md.Copy()
	md.Delete("client-id")
	return conn, md, nil
}
