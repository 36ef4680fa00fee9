package forensic_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/people"
)

// gate lets those through whom it names.
type gate struct {
	monitored, known []string
	err              error
	asked            []people.Send
}

func (g *gate) Judge(
	_ context.Context,
	_ connection.ID,
	t connection.Tenant,
	sends []people.Send,
) ([]people.Judgement, error) {
	g.asked = append(g.asked, sends...)
	if g.err != nil || t.ID == "" {
		return nil, g.err
	}
	judged := make([]people.Judgement, len(sends))
	for i, s := range sends {
		switch {
		case slices.Contains(g.monitored, s.Actor):
		case slices.Contains(g.known, s.Actor):
			judged[i].Verdict = people.Unmonitored
		default:
			judged[i].Verdict = people.Unknown
		}
	}
	return judged, nil
}

func TestMailOfNobodyWhoIsMonitoredIsCountedAndNotKept(t *testing.T) {
	w := newWorld(t)
	body := w.add(
		"blob",
		now,
		array(send(1, "a (1b)"), send(2, "b (1b); c (1b)"), send(3, "d (1b)"), send(2, "b (1b); c (1b)")),
	)
	in := w.ingester()
	g := &gate{monitored: []string{"user1@contoso.onmicrosoft.com"}, known: []string{"user2@contoso.onmicrosoft.com"}}
	in.Gate = g
	if err := in.Ingest(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	want := audit.Tally{
		Records:     4,
		Sends:       4,
		Unmonitored: 2,
		Unknown:     1,
		Messages:    1,
		Repeated:    1,
		Events:      1,
		LastSend:    now.Add(-time.Minute),
	}
	if e := w.entry(t, "blob"); e.State != audit.Settled || e.Tally != want {
		t.Errorf("blob is %s with %+v, want settled with %+v", e.State, e.Tally, want)
	}
	if s := g.asked[0]; !s.At.Equal(now.Add(-time.Minute)) || s.Mailbox != "user1@contoso.onmicrosoft.com" {
		t.Errorf("asked for %+v", s)
	}
	stored, err := forensic.Load(t.Context(), w.events, contoso, []forensic.RecordID{id(1), id(2), id(3)})
	if err != nil || len(stored) != 1 || stored[0].Record != id(1) {
		t.Errorf("stored %+v %v", stored, err)
	}
}

// While nobody can say who is monitored, nothing is dropped: the blob stays open and comes back. It does not hold the
// watermark meanwhile, for nothing of it is stored.
func TestABlobThatCannotBeJudgedComesBack(t *testing.T) {
	w := newWorld(t)
	body := w.add("blob", now, array(send(1, "a (1b)")))
	in := w.ingester()
	g := &gate{
		err:       &fault.Error{Kind: fault.Retry, After: time.Minute, Err: errors.New("the directory is busy")},
		monitored: []string{"user1@contoso.onmicrosoft.com"},
	}
	in.Gate = g
	err := in.Ingest(t.Context(), body)
	if !errors.Is(err, fault.Retry) || fault.Wait(err) != time.Minute {
		t.Errorf("ingest: %v", err)
	}
	if e := w.entry(t, "blob"); e.State != audit.WasListed || e.Attempts != 0 {
		t.Errorf("blob is %s", e.State)
	}
	g.err = nil
	if err := in.Ingest(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if e := w.entry(t, "blob"); e.State != audit.Settled || e.Tally.Messages != 1 {
		t.Errorf("blob is %s with %+v", e.State, e.Tally)
	}
}
