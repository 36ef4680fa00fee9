package forensic_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// senders remembers who sent, and fails while err is set.
type senders struct {
	latest map[string]time.Time
	err    error
}

func (s *senders) Sent(_ context.Context, _ connection.ID, latest map[string]time.Time) error {
	if s.err != nil {
		return s.err
	}
	for name, at := range latest {
		if s.latest == nil {
			s.latest = map[string]time.Time{}
		}
		if at.After(s.latest[name]) {
			s.latest[name] = at
		}
	}
	return nil
}

// plainSend is send(n, ...) without the attachments.
func plainSend(n int) string {
	return strings.Replace(send(n, "gone.pdf (1b)"), `"Attachments":"gone.pdf (1b)",`, "", 1)
}

// Sends without attachments are counted, and show of whom Microsoft audits sends, in whatever form a record comes.
func TestSendsWithoutAttachmentsAreCountedAndHeardOf(t *testing.T) {
	w := newWorld(t)
	heard := &senders{}
	in := w.ingester()
	in.Senders = heard
	spaced := strings.ReplaceAll(strings.ReplaceAll(plainSend(3), `":"`, `" : "`), `"Operation"`, `"operation"`)
	mentioned := strings.Replace(plainSend(4), "project details", "see the attachment", 1)
	empty := strings.Replace(send(5, "x"), `"Attachments":"x"`, `"Attachments":""`, 1)
	failed := strings.Replace(plainSend(6), `"ResultStatus":"Succeeded"`, `"ResultStatus":"Failed"`, 1)
	body := w.add("blob", now, array(plainSend(1), send(2, "a.pdf (1b)"), spaced, mentioned, empty, failed,
		strings.Replace(plainSend(7), `"Operation":"Send"`, `"Operation":"MoveToDeletedItems"`, 1),
		strings.Replace(plainSend(8), `"UserId":"user8@contoso.onmicrosoft.com"`, `"UserId":"S-1-5-18"`, 1)))

	// Nothing is settled while it cannot be recorded who sent, and then everything is counted once.
	heard.err = errors.New("the table does not answer")
	if err := in.Ingest(t.Context(), body); !errors.Is(err, heard.err) {
		t.Fatalf("ingest gives %v", err)
	}
	heard.err = nil
	if err := in.Ingest(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	e, err := w.ledger().Find(t.Context(), contoso, "blob")
	if err != nil || e.Tally.Plain != 6 || e.Tally.Sends != 1 || e.Tally.Records != 8 || e.Tally.Messages != 1 {
		t.Errorf("tally %+v, %v", e.Tally, err)
	}
	var missing []int
	for n := 1; n <= 8; n++ {
		if heard.latest[fmt.Sprintf("user%d@contoso.onmicrosoft.com", n)].IsZero() {
			missing = append(missing, n)
		}
	}
	if fmt.Sprint(missing) != "[7]" || len(heard.latest) != 7 {
		t.Errorf("not heard of %v; heard of %v", missing, heard.latest)
	}
}

// One in so many sends without attachments is checked, the same ones at each reading, and none whose mail is not kept.
func TestSomeSendsWithoutAttachmentsAreChecked(t *testing.T) {
	w := newWorld(t)
	queued := &outbox{}
	in := w.ingester()
	in.Queue, in.CheckOneIn = queued, 20
	in.Gate = &gate{monitored: []string{"user1@contoso.onmicrosoft.com"}}
	var records []string
	for n := range 400 {
		owner := 1 + n/200 // the second half is of somebody who is not monitored
		r := strings.ReplaceAll(plainSend(owner), "4F2C1E1A-93C7-4B1D-8E44-", fmt.Sprintf("4F2C1E1A-93C7-4B1D-%04X-", n))
		records = append(records, r)
	}
	body := w.add("blob", now, array(records...))
	if err := in.Ingest(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if len(queued.bodies) == 0 || len(queued.bodies) > 10 {
		t.Fatalf("%d checks were queued of 200 sends, want 1 to 10", len(queued.bodies))
	}
	for _, wait := range queued.bodies {
		if wait.Check == nil || wait.Record == "" {
			t.Fatalf("%+v", wait)
		}
		c := wait.Check
		if c.Mailbox != "user1@contoso.onmicrosoft.com" || c.Client != "REST" || c.InternetMessageID == "" ||
			c.Sent.IsZero() {
			t.Errorf("check %+v", c)
		}
	}

	in.CheckOneIn, queued.bodies = 0, nil
	if err := in.Ingest(t.Context(), w.add("another", now, array(records...))); err != nil {
		t.Fatal(err)
	}
	if len(queued.bodies) != 0 {
		t.Errorf("%d checks were queued, want none: the setting is 0", len(queued.bodies))
	}
}
