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
	"github.com/mailtrail/mailtrail/local/logfile"
	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// serve starts everything, prints the summary when events can be searched, and ends when ctx does.
func (p *program) serve(ctx context.Context) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen on ADDR=%s: %w", c.Addr, err)
	}
	c.Base = cmp.Or(c.Base, "http://"+l.Addr().String())

	s := &session{config: c, ready: new(atomic.Bool), out: p.out, terminal: p.outTerminal}
	return errors.Join(s.run(ctx, l, p), closed(l))
}

// The log in the data folder, which takes 60 MB at the most.
const (
	logName = "log/mailtrail.log"
	logMax  = 10 << 20 // bytes of a file
	logKeep = 5        // older files
)

// run opens the log, and runs against the real Microsoft or a simulated one.
func (s *session) run(ctx context.Context, l net.Listener, p *program) (err error) {
	source, err := s.source()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	file, err := logfile.Open(filepath.Join(s.Data, logName), logMax, logKeep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var to io.Writer = file
	if p.log || !p.errsTerminal {
		to = io.MultiWriter(file, p.errs)
	}
	s.log = slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s.log.Info("start", "version", version(), "data", s.Data)
	s.say("Mailtrail %s starts. Its data is in %s, and its log in %s.", release, s.Data, filepath.Join(s.Data, logName))
	if source == nil {
		return s.real(ctx, l)
	}
	return s.simulated(ctx, l, source)
}

// say prints what goes on, for people.
func (s *session) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

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
	log      *slog.Logger
	ready    *atomic.Bool
	out      io.Writer
	terminal bool    // out is one
	last     summary // of the last start
	machine  *machine.Machine
}

const (
	// simulatedTick is how often the simulated tenant is polled, and its census checked: no quota is at stake.
	simulatedTick = time.Second
	// simulatedDeadline is how long recipients and hashes are looked for in it, so that a demonstration shows what is
	// given up too.
	simulatedDeadline = time.Minute
)

func (s *session) open(microsoft m365.Config, first, tick, census time.Duration) error {
	m, err := machine.Open(machine.Config{
		Dir: s.Data, Base: s.Base, Microsoft: microsoft, Log: s.log, Settings: s.Settings,
		First: first, Tick: tick, Census: census, Ready: s.ready.Load,
		Everybody: s.Records != "", NoMailboxes: s.Records != "",
	})
	if err != nil {
		return err
	}
	s.machine = m
	if err := s.takeSummary(); err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

// real runs against Microsoft. There is nothing to wait for: events arrive once an administrator has consented.
func (s *session) real(ctx context.Context, l net.Listener) error {
	c := *s.microsoft
	c.RedirectURL = s.Base + connection.CallbackPath
	microsoft, err := m365.New(c)
	if err != nil {
		return err
	}
	refused, unsure := microsoft.TryCredentials(ctx)
	if refused != nil {
		return refused
	}
	if unsure != nil {
		s.log.WarnContext(ctx, "we could not try our credential at Microsoft", "err", unsure)
	}
	if err := s.open(*s.microsoft, 0, 0, 0); err != nil {
		return err
	}
	return s.alongside(ctx, l, func(ctx context.Context) error {
		client, err := s.client(ctx)
		if err == nil {
			err = s.announce(summary{}, client, realText)
		}
		for err == nil {
			microsoft.WarnOfEnds(ctx, s.log)
			err = pace.Sleep(ctx, 24*time.Hour)
		}
		return err
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
func (s *session) simulated(ctx context.Context, l net.Listener, source demo.Source) error {
	tenant, people := source.Tenant()
	if s.Records == "" {
		s.say("There are no Microsoft credentials: a Microsoft 365 tenant is simulated, %s, in which %d people send mail.",
			tenant.DisplayName, len(people))
	} else {
		s.say("%s becomes the audit log of a simulated Microsoft 365 tenant.", s.Records)
	}
	callback := s.Base + connection.CallbackPath
	d, err := demo.Open(ctx, demo.Options{Dir: s.Data, RedirectURL: callback, Log: s.log, Now: time.Now}, source)
	if err != nil {
		return err
	}
	if !s.Given(settings.EnrichMinutes) {
		s.EnrichFor = simulatedDeadline
	}
	if err := s.open(d.Microsoft(callback), demo.History+time.Hour, simulatedTick, simulatedTick); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(s.play(ctx, l, d, source), d.Close())
}

// source returns what the simulated tenant's audit log is made of, or nil for the real Microsoft. It also chooses the
// data folder, so that sources do not mix.
func (s *session) source() (demo.Source, error) {
	if s.microsoft != nil {
		return nil, nil
	}
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
