package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mailtrail/mailtrail/local/demo"
	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// play publishes the source's audit log and runs the machine on it. The past is published first: blobs of an earlier
// start may wait in the queue, and would not be found.
func (s *session) play(ctx context.Context, l net.Listener, d *demo.Demo, source demo.Source) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	caught, published := make(chan struct{}), make(chan error, 1)
	go func() { published <- d.Publish(ctx, func() { close(caught) }) }()
	select {
	case <-caught:
	case err := <-published:
		published <- err
		select {
		case <-caught: // the source ended with its past
		default:
			return errors.Join(ended(ctx, err), s.machine.Close())
		}
	}
	err := s.alongside(ctx, l, func(ctx context.Context) error { return s.introduce(ctx, d, source) })
	stop()
	return errors.Join(err, <-published)
}

// ended is err, unless it only says that ctx has ended: that is how a run ends well.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// introduce has the administrator consent to a connection, waits until events can be searched, all of them when they
// are imported, and prints the summary.
func (s *session) introduce(ctx context.Context, d *demo.Demo, source demo.Source) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	published := time.Now()
	c, err := s.connect(ctx, d, source)
	if err != nil {
		return fmt.Errorf("connect the simulated tenant: %w", err)
	}
	export, imports := source.(*demo.Export)
	if imports {
		s.say("The audit log is being read.")
	} else {
		s.say("The audit log is being read, and recipients and hashes are looked for in the mailboxes.")
	}
	sums, err := s.await(ctx, c.ID, func(sums audit.Sums, progress audit.Cursor) bool {
		if imports { // some blobs are listed late
			return progress.Through.After(published) && sums.Listed >= int64(export.Blobs) && sums.Open() == 0
		}
		return sums.Tally.Events > 0
	})
	if err != nil {
		return err
	}
	if !imports {
		if err := s.settle(ctx, c.ID); err != nil {
			return err
		}
	}
	of := summary{Control: d.Doors.Control}
	if imports {
		of.Records = tell(export, sums)
		return s.announce(of, client, recordsText)
	}
	if of.People, err = s.counted(ctx, c.ID); err != nil {
		return err
	}
	return s.announce(of, client, companyText)
}

// counted waits until the census of a connection has been taken once, and returns how its people are covered.
func (s *session) counted(ctx context.Context, c connection.ID) (*covered, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		state, err := s.machine.Roster.State(ctx, c)
		if err != nil {
			return nil, err
		}
		if !state.Finished.IsZero() {
			sums, err := s.machine.Roster.Sums(ctx, c)
			told := &covered{Connection: string(c), People: sums.People, ByCoverage: map[string]int64{}}
			for coverage, n := range sums.ByCoverage {
				told.ByCoverage[string(coverage)] = n
			}
			return told, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-look.C:
		}
	}
}

// connect finds the simulated tenant's connection, or adds one and lets the administrator consent.
func (s *session) connect(ctx context.Context, d *demo.Demo, source demo.Source) (connection.Connection, error) {
	tenant, _ := source.Tenant()
	all, err := s.machine.Registry.List(ctx)
	if err != nil {
		return connection.Connection{}, err
	}
	for _, c := range all {
		if c.DisplayName != tenant.DisplayName {
			continue
		}
		if c.Tenant.ID != "" && d.Consented() {
			return c, nil
		}
		// An earlier start got no further.
		link, err := s.machine.Registry.NewLink(ctx, c.ID, operator.Caller)
		if err != nil {
			return connection.Connection{}, err
		}
		return s.consent(ctx, d, c.ID, link)
	}
	c, link, err := s.machine.Registry.Add(ctx, tenant.DisplayName, connection.Commercial, operator.Caller)
	if err != nil {
		return connection.Connection{}, err
	}
	return s.consent(ctx, d, c.ID, link)
}

func (s *session) consent(
	ctx context.Context, d *demo.Demo, id connection.ID, link string,
) (connection.Connection, error) {
	s.say("Its administrator signs in, and consents.")
	if err := d.Consent(ctx, s.Base+connection.BeginPath+"?link="+link); err != nil {
		return connection.Connection{}, err
	}
	return s.machine.Registry.Get(ctx, id)
}

// patient is how long the summary waits for recipients and hashes. Without them it is printed too.
const patient = 10 * time.Second

// settle waits until some of the company's messages are enriched, so that the printed command finds them.
func (s *session) settle(ctx context.Context, c connection.ID) error {
	waited, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	_, err := s.await(waited, c, func(sums audit.Sums, _ audit.Cursor) bool {
		waiting, err := s.machine.Desk.Waiting(waited, c, int(sums.Tally.Messages)+1)
		return err == nil && int64(waiting) < sums.Tally.Messages
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// await waits until what the ledger says of a connection is enough, and returns its sums.
func (s *session) await(
	ctx context.Context, c connection.ID, enough func(audit.Sums, audit.Cursor) bool,
) (audit.Sums, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		progress, err := s.machine.Ledger.Progress(ctx, c)
		if err != nil {
			return audit.Sums{}, err
		}
		sums, err := s.machine.Ledger.Sums(ctx, c)
		if err != nil {
			return audit.Sums{}, err
		}
		if enough(sums, progress) {
			return sums, nil
		}
		select {
		case <-ctx.Done():
			return audit.Sums{}, ctx.Err()
		case <-look.C:
		}
	}
}
