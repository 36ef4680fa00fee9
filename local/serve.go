package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mailtrail/mailtrail/local/demo"
	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// serve starts everything, prints the summary when events can be searched, and ends when ctx does.
func (p *program) serve(ctx context.Context) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelInfo}))
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen on ADDR=%s: %w", c.Addr, err)
	}
	c.Base = cmp.Or(c.Base, "http://"+l.Addr().String())

	var ready atomic.Bool
	s := &session{config: c, log: log, ready: &ready, out: p.out}
	if c.microsoft == nil {
		return errors.Join(s.simulated(ctx, l), closed(l))
	}
	return errors.Join(s.real(ctx, l), closed(l))
}

// config is what the environment and the flags say.
func (p *program) config() (config, error) {
	environ := p.environ
	if p.data != "" {
		environ = append(slices.Clone(environ), settings.Data+"="+p.data)
	}
	return readConfig(environ)
}

// closed closes a listener that a server may have closed before.
func closed(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// session is one run of the program.
type session struct {
	config
	log     *slog.Logger
	ready   *atomic.Bool
	out     io.Writer
	machine *machine.Machine
}

const (
	// simulatedTick is how often the simulated tenant is polled, and its census looked at: nobody's quota is at stake.
	simulatedTick = time.Second
	// simulatedDeadline is how long recipients and hashes are looked for in it, so that a demonstration shows what is given up too.
	simulatedDeadline = time.Minute
)

func (s *session) open(microsoft m365.Config, first, tick, census time.Duration) error {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	m, err := machine.Open(machine.Config{
		Dir: s.Data, Base: s.Base, Microsoft: microsoft, Log: s.log, Settings: s.Settings,
		First: first, Tick: tick, Census: census, Ready: s.ready.Load,
		Everybody: s.Records != "", NoMailboxes: s.Records != "",
	})
	s.machine = m
	return err
}

// real runs against Microsoft. There is nothing to wait for: events come when an administrator has consented.
func (s *session) real(ctx context.Context, l net.Listener) error {
	if err := s.open(*s.microsoft, 0, 0, 0); err != nil {
		return err
	}
	return s.alongside(ctx, l, func(ctx context.Context) error {
		client, err := s.client(ctx)
		if err != nil {
			return err
		}
		s.ready.Store(true)
		return s.announce(summary{API: s.Base, Console: s.Base + "/", ClientID: client.id, ClientSecret: client.secret}, realText)
	})
}

// alongside runs the machine, and beside it what connects it; when either fails, both end.
func (s *session) alongside(ctx context.Context, l net.Listener, connect func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	connected := make(chan error, 1)
	go func() {
		err := connect(ctx)
		if err != nil {
			stop()
		}
		connected <- err
	}()
	err := s.machine.Run(ctx, l)
	stop()
	if other := <-connected; !errors.Is(other, context.Canceled) {
		err = errors.Join(other, err)
	}
	return err
}

// simulated runs against a Microsoft 365 of our own.
func (s *session) simulated(ctx context.Context, l net.Listener) error {
	source, err := s.source()
	if err != nil {
		return err
	}
	d, err := demo.Open(ctx, demo.Options{Dir: s.Data, RedirectURL: s.Base + connection.CallbackPath, Log: s.log, Now: time.Now}, source)
	if err != nil {
		return err
	}
	if !s.Given(settings.EnrichMinutes) {
		s.EnrichFor = simulatedDeadline
	}
	if err := s.open(d.Microsoft(s.Base+connection.CallbackPath), demo.History+time.Hour, simulatedTick, simulatedTick); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(s.play(ctx, l, d, source), d.Close())
}

// source is what the simulated tenant's audit log is made of; it also chooses the data folder, so that sources do not mix.
func (s *session) source() (demo.Source, error) {
	if s.Records == "" {
		s.Data = cmp.Or(s.Data, filepath.Join("data", "company"))
		return demo.NewCompany(time.Now), nil
	}
	export, err := demo.NewExport(s.Records)
	if err != nil {
		return nil, err
	}
	s.Data = cmp.Or(s.Data, filepath.Join("data", export.Name()))
	export.Spool = filepath.Join(s.Data, "spool")
	return export, nil
}
