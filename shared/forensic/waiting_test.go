package forensic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (w *world) watermark(t *testing.T) time.Time {
	t.Helper()
	mark, err := (&forensic.Watermarks{Ledger: until(now), Events: w.events}).Watermark(context.Background(), contoso)
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// until is a ledger that is settled until then.
type until time.Time

func (u until) Watermark(context.Context, connection.ID) (time.Time, error) { return time.Time(u), nil }

func TestTheWatermarkStaysBelowWhatWaits(t *testing.T) {
	w, sent := waitingWorld(t, send(1, "a (1b)"))
	first := now.Add(-time.Hour)
	retry(t, w, w.add("earlier", first, array(send(2, "b (1b)"))))
	for _, want := range []time.Time{first.Add(-time.Millisecond), now.Add(-time.Millisecond), now} {
		if got := w.watermark(t); !got.Equal(want) {
			t.Errorf("watermark is %s, want %s", got, want)
		}
		if len(sent.bodies) > 0 { // the last one that was sent is the earliest
			last := len(sent.bodies) - 1
			(&outbox{bodies: sent.bodies[last:]}).enrich(t, w.desk())
			sent.bodies = sent.bodies[:last]
		}
	}
	broken := errors.New("no ledger")
	if _, err := (&forensic.Watermarks{Ledger: failingLedger{broken}, Events: w.events}).Watermark(t.Context(),
		contoso); !errors.Is(
		err,
		broken,
	) {
		t.Errorf("watermark without a ledger: %v", err)
	}
}

type failingLedger struct{ err error }

func (f failingLedger) Watermark(context.Context, connection.ID) (time.Time, error) {
	return time.Time{}, f.err
}

// A blob is stored and settled while the watermark is being read: its messages wait, and so does the watermark.
func TestABlobThatIsSettledWhileTheWatermarkIsReadIsNotPassedOver(t *testing.T) {
	w := newWorld(t)
	w.queue = &outbox{}
	ledger := settlesWhenAsked{func() { retry(t, w, w.add("blob", now, array(send(1, "a (1b)")))) }}
	mark, err := (&forensic.Watermarks{Ledger: ledger, Events: w.events}).Watermark(t.Context(), contoso)
	if err != nil || !mark.Before(now) {
		t.Errorf("watermark is %s, %v, although a message of %s waits", mark, err, now)
	}
}

type settlesWhenAsked struct{ settle func() }

func (s settlesWhenAsked) Watermark(context.Context, connection.ID) (time.Time, error) {
	s.settle()
	return now, nil
}

func TestMessagesOfABacklogWaitInAGroupOfTheirOwn(t *testing.T) {
	_, sent := waitingWorld(t, send(1, "a (1b)"))
	if want := []string{string(contoso)}; !slices.Equal(sent.groups, want) {
		t.Errorf("groups %q, want %q", sent.groups, want)
	}
	w := newWorld(t)
	w.queue = sent
	retry(t, w, w.add("old", now.Add(-time.Hour), array(send(2, "a (1b)"))))
	if got := sent.groups[len(sent.groups)-1]; got != string(contoso)+"/backlog" {
		t.Errorf("an old blob's messages are in group %q", got)
	}
}

// A process dies at any write or send of an ingest whose messages are to be enriched. In the end each is enriched, and
// none waits.
func TestCrashAtAnyWriteLeavesNoMessageWaiting(t *testing.T) {
	var records []string
	for n := range 5 {
		records = append(records, send(n, fmt.Sprintf("%d.pdf (1b)", n)))
	}
	records = append(records, send(3, "3.pdf (1b)"), send(9, strings.Repeat("many.pdf (1b); ", 3000)))
	for _, gone := range []bool{false, true} { // whether the blob is gone when it is read again
		for _, how := range []crash{before, midway, afterwards} {
			n := 1
			for crashWhileWaiting(t, records, how, n, gone) {
				n++
			}
			if n < 6 {
				t.Errorf("%d writes and sends", n)
			}
		}
	}
}

func crashWhileWaiting(t *testing.T, records []string, how crash, n int, gone bool) bool {
	t.Helper()
	w, sent := newWorld(t), &outbox{}
	w.queue = sent
	doom := &plan{how: how, left: n}
	run := &world{
		feed:   w.feed,
		events: &crashing{w.events, doom},
		blobs:  &crashing{w.blobs, doom},
		queue:  &crashingQueue{sent, doom},
	}
	body := w.add("blob", now, array(records...))
	err := run.ingester().Ingest(t.Context(), body)
	if doom.left > 0 && err == nil {
		return false
	}
	if !errors.Is(err, errCrash) {
		t.Fatalf("crash %d at %d: ingest says %v", how, n, err)
	}
	if gone {
		clear(w.feed)
	}
	for range 3 {
		if err := w.ingester().Ingest(t.Context(), body); err != nil && !gone {
			t.Fatal(err)
		}
	}
	sent.enrich(t, w.desk())

	late := w.desk()
	late.Now = func() time.Time { return now.Add(patience) }
	for range 2 {
		if _, err := late.Sweep(t.Context(), contoso); err != nil {
			t.Fatal(err)
		}
		sent.enrich(t, late)
	}
	for _, m := range shown(t, w.events) {
		if m.Waiting {
			t.Errorf("crash %d at %d, gone %v: message %s waits for ever", how, n, gone, m.Record)
		}
		requireFound(t, w.events, m)
	}
	if marks := marksOf(t, w.events); len(marks) != 0 {
		t.Errorf("crash %d at %d, gone %v: marks %q are left", how, n, gone, marks)
	}
	return true
}

// crashingQueue is a queue whose sends follow a plan.
type crashingQueue struct {
	*outbox
	plan *plan
}

func (c *crashingQueue) Send(ctx context.Context, messages ...queue.Message) error {
	send := func(messages []queue.Message) func() error {
		return func() error { return c.outbox.Send(ctx, messages...) }
	}
	return c.plan.write(send(messages), send(messages[len(messages)/2:]))
}

// What waits after its queue message was lost is sent again once it has waited for too long, and not over and over.
func TestSweepSendsAgainWhatHasWaitedTooLong(t *testing.T) {
	const messages = 2500
	var records []string
	for n := range messages {
		records = append(records, send(n, "a (1b)"))
	}
	w, sent := waitingWorld(t, records...)
	sent.bodies = nil
	d := w.desk()
	clock := now
	d.Now = func() time.Time { return clock }
	sweep := func(want int) {
		t.Helper()
		if n, err := d.Sweep(t.Context(), contoso); err != nil || n != want {
			t.Errorf("%s later the sweep sends %d, want %d: %v", clock.Sub(now), n, want, err)
		}
	}
	sweep(0)
	clock = now.Add(patience - time.Second)
	sweep(0)
	clock = now.Add(patience)
	sweep(1000)
	sweep(1000)
	sweep(500)
	sweep(0) // the round is over
	if distinct := slices.Compact(sortedRecords(sent.bodies)); len(distinct) != messages {
		t.Errorf("%d different messages were sent, want all %d", len(distinct), messages)
	}
	if got := w.watermark(t); !got.Before(now) {
		t.Errorf("the watermark passes what waits: %s", got)
	}

	// Half are enriched; the next round sends the others.
	half := &outbox{bodies: sent.bodies[:messages/2]}
	half.enrich(t, d)
	clock = clock.Add(patience)
	sweep(1000)
	sweep(250)
	sent.enrich(t, d)
	clock = clock.Add(patience)
	sweep(0)
	if got := w.watermark(t); !got.Equal(now) {
		t.Errorf("the watermark is %s when nothing waits, want %s", got, now)
	}
}

func sortedRecords(sent []forensic.Waiting) []forensic.RecordID {
	var all []forensic.RecordID
	for _, s := range sent {
		all = append(all, s.Record)
	}
	slices.Sort(all)
	return all
}

func TestSweepDeletesMarksOfWhatDoesNotWait(t *testing.T) {
	w, sent := waitingWorld(t, send(1, "a (1b)"))
	lost := forensic.RecordID("never-stored")
	mark := table.Item{
		Key: table.Key{
			Partition: forensic.WaitingPartition(contoso),
			Sort:      fmt.Sprintf("%012x-%s", now.UnixMilli()-1, lost.Hash()),
		},
		Attrs: table.Attrs{"record": string(lost), "stored": now.Format("2006-01-02T15:04:05.000Z")},
	}
	if err := w.events.Load(t.Context(), mark); err != nil {
		t.Fatal(err)
	}
	d := w.desk()
	d.Now = func() time.Time { return now.Add(patience) }
	if n, err := d.Sweep(t.Context(), contoso); err != nil || n != 1 || len(sent.bodies) != 2 {
		t.Errorf("the sweep sends %d, %v", n, err)
	}
	if got := marksOf(t, w.events); len(got) != 1 {
		t.Errorf("marks %q are left, want that of the message that waits", got)
	}
}

func TestAQueueThatFailsKeepsTheBlobOpen(t *testing.T) {
	w := newWorld(t)
	w.queue = refusingQueue{}
	if err := w.ingester().Ingest(t.Context(), w.add("blob", now, array(send(1, "a (1b)")))); !errors.Is(
		err,
		fault.Retry,
	) {
		t.Errorf("ingest says %v", err)
	}
	if e := w.entry(t, "blob"); e.State != "begun" {
		t.Errorf("blob is %s", e.State)
	}
}

// Messages that were stored and not queued must not wait for a sweep: whoever reads the blob again queues them, and no
// others.
func TestWhatCouldNotBeQueuedIsQueuedWhenTheBlobIsReadAgain(t *testing.T) {
	w, sent := waitingWorld(t, send(1, "a (1b)"))
	body := w.add("next", now, array(send(1, "a (1b)"), send(2, "b (1b)"), send(3, "c (1b)")))
	w.queue = refusingQueue{}
	if err := w.ingester().Ingest(t.Context(), body); !errors.Is(err, fault.Retry) {
		t.Errorf("ingest says %v", err)
	}
	w.queue, sent.bodies = sent, nil
	retry(t, w, body)
	if got := sortedRecords(sent.bodies); !slices.Equal(got, []forensic.RecordID{id(2), id(3)}) {
		t.Errorf("queued: %q", got)
	}
}

type refusingQueue struct{}

func (refusingQueue) Send(context.Context, ...queue.Message) error {
	return fmt.Errorf("queue: %w: %w", io.ErrUnexpectedEOF, fault.Retry)
}
