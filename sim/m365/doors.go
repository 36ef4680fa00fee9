package m365sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Doors are the two listening ports of a running simulation, with the roots to configure a client with.
type Doors struct {
	Login   string // e.g. http://127.0.0.1:40001/login
	Manage  string
	Graph   string
	Control string // e.g. http://127.0.0.1:40002

	servers []*http.Server
	done    chan error
}

// Start listens on both addresses ("127.0.0.1:0" picks a free port) and serves until Close.
func (s *Server) Start(ctx context.Context, protocolAddr, controlAddr string) (*Doors, error) {
	var listen net.ListenConfig
	protocol, err := listen.Listen(ctx, "tcp", protocolAddr)
	if err != nil {
		return nil, fmt.Errorf("open the protocol door: %w", err)
	}
	control, err := listen.Listen(ctx, "tcp", controlAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the control door: %w", err), protocol.Close())
	}
	base := "http://" + protocol.Addr().String()
	d := &Doors{
		Login: base + "/login", Manage: base + "/manage", Graph: base + "/graph",
		Control: "http://" + control.Addr().String(),
		done:    make(chan error, 2),
	}
	d.open(protocol, s.Handler())
	d.open(control, s.Control())
	return d, nil
}

func (d *Doors) open(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	d.servers = append(d.servers, server)
	go func() { d.done <- server.Serve(l) }()
}

// Close ends both doors and every connection through them, and waits until neither listens any more.
func (d *Doors) Close() error {
	var errs []error
	for _, server := range d.servers {
		errs = append(errs, server.Close())
	}
	for range d.servers {
		if err := <-d.done; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
