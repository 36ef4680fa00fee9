package forensic_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// patience of the desks in these tests.
const patience = 35 * time.Minute

func (w *world) desk() *forensic.Desk {
	return &forensic.Desk{
		Events:   w.events,
		Queue:    w.queue,
		Now:      func() time.Time { return now },
		Log:      discard(),
		Patience: patience,
	}
}

// waitingWorld is a world with the messages of these records, which wait to be enriched.
func waitingWorld(t *testing.T, records ...string) (*world, *outbox) {
	t.Helper()
	w, sent := newWorld(t), &outbox{}
	w.queue = sent
	retry(t, w, w.add("blob", now, array(records...)))
	return w, sent
}

// finding is the finding about the message of send(n, "a.pdf (10b); b.pdf (20b)"): b is not in it, and logo.png is,
// which the record does not name.
func finding(n int) forensic.Finding {
	return forensic.Finding{
		At: now.Add(
			time.Second,
		), Mailbox: "user@contoso.com", From: "user@contoso.com", Sender: "user@contoso.com", Subject: "project details", Sent: now,
		Recipients: []forensic.Recipient{
			{Address: fmt.Sprintf("to%d@fabrikam.com", n), Name: "To", Role: forensic.To},
			{Address: "bcc@paper.example", Role: forensic.Bcc},
		},
		Files: []forensic.Attachment{
			{
				Record:     0,
				ID:         "A1",
				Name:       "a.pdf",
				Kind:       forensic.FileKind,
				StoredSize: 10,
				Size:       3,
				ByBytes:    "application/pdf",
				MD5:        strings.Repeat("0a", 16),
				SHA256:     strings.Repeat("0b", 32),
			},
			{
				Record:     -1,
				Missing:    forensic.NotInRecord,
				ID:         "A2",
				Name:       "logo.png",
				Kind:       forensic.FileKind,
				Inline:     true,
				StoredSize: 9,
				Size:       4,
				MD5:        strings.Repeat("1a", 16),
				SHA256:     strings.Repeat("1b", 32),
			},
			{Record: 1, Missing: forensic.NotInMessage, Name: "b.pdf", StoredSize: -1, Size: -1, NoHash: forensic.NotInMessage},
		},
	}
}

const twoFiles = "a.pdf (10b); b.pdf (20b)"

func load(t *testing.T, d *forensic.Desk, r forensic.RecordID) (forensic.Message, bool) {
	t.Helper()
	m, settled, err := d.Load(context.Background(), contoso, r)
	if err != nil {
		t.Fatal(err)
	}
	return m, settled
}

// requireCounted makes sure that the posting of the message's day counts its files.
func requireCounted(t *testing.T, events table.Table, m forensic.Message) {
	t.Helper()
	item, err := events.Get(
		context.Background(),
		table.Key{Partition: forensic.DayPartition(contoso, m.Observed), Sort: forensic.TimeSort(m.Observed, m.Record)},
	)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := forensic.ReadDay(item); err != nil || p.Files != int64(len(m.Files)) {
		t.Errorf("the posting of the day counts %d files, the message has %d (%v)", p.Files, len(m.Files), err)
	}
}

func TestWhatWasFoundIsAddedAndWhatTheRecordSaidStays(t *testing.T) {
	w, _ := waitingWorld(t, send(1, twoFiles))
	d := w.desk()
	before, settled := load(t, d, id(1))
	if settled || !before.Waiting || len(marksOf(t, w.events)) != 1 {
		t.Fatalf("after ingest the message is %+v, settled %v, with marks %q", before, settled, marksOf(t, w.events))
	}
	if err := d.Settle(t.Context(), before, finding(1)); err != nil {
		t.Fatal(err)
	}

	requireCounted(t, w.events, shown(t, w.events)[id(1)]) // before a Load, which would count anew
	after, settled := load(t, d, id(1))
	if !settled || len(marksOf(t, w.events)) != 0 {
		t.Errorf("settled: %v, marks %q", settled, marksOf(t, w.events))
	}
	var names []string
	for i, f := range after.Files {
		names = append(
			names,
			fmt.Sprintf("%s %d %s %d %s", f.Name, f.StoredSize, f.Attachment.ID, f.Attachment.Size, f.Attachment.Missing),
		)
		if i < len(before.Files) && after.EventID(i) != before.EventID(i) {
			t.Errorf("event %d had id %s and has %s", i, before.EventID(i), after.EventID(i))
		}
	}
	if want := []string{"a.pdf 10 A1 3 ", "b.pdf 20  -1 NOT_IN_MESSAGE", "logo.png -1 A2 4 NOT_IN_RECORD"}; !reflect.DeepEqual(
		names,
		want,
	) {
		t.Errorf("files are %q, want %q", names, want)
	}
	requireFound(t, w.events, after)
	requireCounted(t, w.events, after)

	stripped := after
	stripped.Copy, stripped.Waiting, stripped.Files = forensic.Copy{}, true, nil
	for _, f := range after.Files[:2] {
		stripped.Files = append(stripped.Files, forensic.File{Name: f.Name, StoredSize: f.StoredSize})
	}
	if !reflect.DeepEqual(stripped, before) {
		t.Errorf("of the record there is\n%+v, and was\n%+v", stripped, before)
	}

	other := forensic.Finding{At: now.Add(time.Hour), Reason: forensic.NotFound}
	if err := d.Settle(t.Context(), before, other); err != nil {
		t.Fatal(err)
	}
	if again, _ := load(t, d, id(1)); !reflect.DeepEqual(again, after) {
		t.Errorf("a second finding changed the message to %+v", again)
	}
}

// Each write of settling fails once, not done, and done but reported as failed: a retry comes to the same end, and
// nobody is shown half of it.
func TestSettlingThatFailsAtAnyWriteIsCompletedByTheNextAttempt(t *testing.T) {
	broken := errors.New("the table is gone")
	for _, c := range []struct {
		op      string
		n       int
		settled bool // done, the message is settled
	}{{"load", 1, false}, {"commit", 1, true}, {"commit", 2, true}, {"get", 1, false}} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprint(c.op, c.n, " done ", done), func(t *testing.T) {
				w, _ := waitingWorld(t, send(1, twoFiles))
				m, _ := load(t, w.desk(), id(1))
				fail := func(op string, n int) error {
					if op == c.op && n == c.n {
						return fmt.Errorf("%w: %w", broken, fault.Retry)
					}
					return nil
				}
				faulty := &tabletest.Faulty{Table: w.events}
				if done {
					faulty.After = fail
				} else {
					faulty.Before = fail
				}
				d := w.desk()
				d.Events = faulty
				if err := d.Settle(t.Context(), m, finding(1)); !errors.Is(err, broken) {
					t.Fatalf("settling says %v", err)
				}
				for _, shown := range shown(t, w.events) {
					if n := len(shown.Files); n != 2 && n != 3 || shown.Waiting != (n == 2) {
						t.Errorf("half of it is shown: %+v", shown)
					}
				}
				if got := len(marksOf(t, w.events)); got == 0 && !(done && c.op == "commit" && c.n == 2) {
					t.Error("the mark is gone before all is done")
				}

				again, settled := load(t, w.desk(), id(1))
				if settled != (c.settled && (done || c.n == 2)) {
					t.Errorf("settled: %v", settled)
				}
				if !settled {
					if err := w.desk().Settle(t.Context(), again, finding(1)); err != nil {
						t.Fatal(err)
					}
				}
				end, settled := load(t, w.desk(), id(1))
				if !settled || len(end.Files) != 3 || len(marksOf(t, w.events)) != 0 {
					t.Errorf("in the end settled %v, %d files, marks %q", settled, len(end.Files), marksOf(t, w.events))
				}
				requireFound(t, w.events, end)
				requireCounted(t, w.events, end)
			})
		}
	}
}

// Many settle one message at once, with different findings: one of them counts, whole.
func TestManySettleAtOnceAndOneFindingCounts(t *testing.T) {
	w, _ := waitingWorld(t, send(1, twoFiles))
	m, _ := load(t, w.desk(), id(1))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			f := finding(n)
			f.Files = f.Files[:1+n%3]
			for {
				err := w.desk().Settle(context.Background(), m, f)
				if err == nil {
					return
				}
				if !errors.Is(err, fault.Retry) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	end, settled := load(t, w.desk(), id(1))
	if !settled || len(end.Copy.Recipients) != 2 || len(marksOf(t, w.events)) != 0 {
		t.Errorf("settled %v with %+v and marks %q", settled, end.Copy, marksOf(t, w.events))
	}
	requireFound(t, w.events, end)
	requireCounted(t, w.events, end)
}

// A record that Microsoft repeats after its message was enriched changes nothing of it, and leaves no mark.
func TestARepeatedRecordLeavesAnEnrichedMessageAsItIs(t *testing.T) {
	w, sent := waitingWorld(t, send(1, twoFiles))
	m, _ := load(t, w.desk(), id(1))
	retry(t, w, w.add("repeated while it waits", now.Add(time.Minute), array(send(1, twoFiles))))
	if got := marksOf(t, w.events); len(got) != 1 || len(sent.bodies) != 1 {
		t.Errorf("marks %q, sent %d times", got, len(sent.bodies))
	}
	if err := w.desk().Settle(t.Context(), m, finding(1)); err != nil {
		t.Fatal(err)
	}
	retry(t, w, w.add("repeated", now.Add(time.Hour), array(send(1, twoFiles), send(2, "c (1b)"))))
	end, settled := load(t, w.desk(), id(1))
	if !settled || len(end.Files) != 3 || len(marksOf(t, w.events)) != 1 || len(sent.bodies) != 2 {
		t.Errorf("settled %v, %d files, marks %q, sent %d", settled, len(end.Files), marksOf(t, w.events), len(sent.bodies))
	}
	requireCounted(t, w.events, end)
}

func marksOf(t *testing.T, events table.Table) []string {
	t.Helper()
	var marks []string
	for _, s := range sorts(t, events, forensic.WaitingPartition(contoso)) {
		if s != "sweep" {
			marks = append(marks, s)
		}
	}
	return marks
}

// FuzzSettle stores any finding about a message, and reads it back.
func FuzzSettle(f *testing.F) {
	f.Add("a.pdf", "to", "x@y", "\xff", int64(3), 0, true)
	f.Add(strings.Repeat("ä", 2000), "", "\x00", strings.Repeat("9", 5000), int64(-5), -1, false)
	f.Add("0", "\xff", "0", "\xff", int64(7), 0, false)
	f.Add("0", "\xff", "0", "\xff", int64(7), 0, true)
	f.Add("", "cc", "a@"+strings.Repeat("b", 9000), "", int64(1)<<62, 1<<30, true)
	f.Fuzz(func(t *testing.T, name, role, address, text string, size int64, record int, found bool) {
		w, _ := waitingWorld(t, send(1, twoFiles))
		m, _ := load(t, w.desk(), id(1))
		told := forensic.Finding{
			At: now, Mailbox: text, From: address, Sender: text, Subject: text, Sent: time.Unix(size, 0),
			Recipients: []forensic.Recipient{{Address: address, Name: text, Role: forensic.Role(role)}},
			Files: []forensic.Attachment{
				{
					Record:     record,
					Name:       name,
					ID:         text,
					Kind:       forensic.Kind(role),
					NoHash:     forensic.Reason(role),
					ByBytes:    text,
					Size:       size,
					StoredSize: size,
					MD5:        text,
					SHA256:     text,
					URL:        text,
					QuickXor:   text,
				},
			},
		}
		if !found {
			told = forensic.Finding{At: now, Reason: forensic.Reason(text)}
		}
		if err := w.desk().Settle(t.Context(), m, told); err != nil {
			t.Fatal(err)
		}
		end, settled := load(t, w.desk(), id(1))
		if !settled {
			t.Error("it still waits")
		}
		requireFound(t, w.events, end)
		requireCounted(t, w.events, end)
	})
}

var _ interface {
	Load(ctx context.Context, c connection.ID, r forensic.RecordID) (forensic.Message, bool, error)
	Settle(ctx context.Context, m forensic.Message, f forensic.Finding) error
} = (*forensic.Desk)(nil)
