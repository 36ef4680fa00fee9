package forensic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

func TestReplayedAndShuffledDataGivesEachEventOnce(t *testing.T) {
	w := newWorld(t)
	const messages = 300
	var records []string
	want := make(map[forensic.RecordID]int)
	for n := range messages {
		records = append(records, send(n*30, strings.Repeat("logo.png (99b); ", n%3)+fmt.Sprintf("file %d.pdf (1b)", n)))
		want[id(n*30)] = n%3 + 1
	}

	shuffle := rand.New(rand.NewPCG(1, 2))
	var bodies [][]byte
	for replay := range 2 {
		twice := append(slices.Clone(records), records[:messages/2]...)
		shuffle.Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
		for i, part := range slices.Collect(slices.Chunk(twice, 90)) {
			bodies = append(
				bodies,
				w.add(fmt.Sprintf("blob-%d-%d", replay, i), now.Add(time.Duration(replay)*time.Second), array(part...)),
			)
		}
	}
	in := w.ingester()
	var wg sync.WaitGroup
	for _, body := range append(bodies, bodies...) {
		wg.Go(func() {
			for {
				err := in.Ingest(context.Background(), body)
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
	wg.Wait()

	got := make(map[forensic.RecordID]int)
	for record, m := range shown(t, w.events) {
		got[record] = len(m.Files)
		requireFound(t, w.events, m)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d messages are shown, want %d, each with its files", len(got), len(want))
	}
	sums, err := w.ledger().Sums(context.Background(), contoso)
	if err != nil {
		t.Fatal(err)
	}
	tally := sums.Tally
	if tally.Sends != tally.Messages+tally.Repeated+tally.Noise+tally.Failed || tally.Messages > messages ||
		sums.Settled != int64(len(bodies)) {
		t.Errorf("sums do not add up: %+v", sums)
	}
}

func TestBlobIsTalliedAndItsUnreadableElementsAreKept(t *testing.T) {
	w := newWorld(t)
	noise := strings.NewReplacer("00000003-0000-0000-c000-000000000000", "3138fe80-4087-4b04-80a6-8866c738028a", "<DB8", "<odspmicro-").
		Replace(send(3, "AttachedImage (1b)"))
	body := w.add("blob", now, array(
		send(1, "a.pdf (1b); b.pdf (2b)"),
		send(1, "a.pdf (1b); b.pdf (2b)"),
		send(2, "c (3b)"),
		noise,
		strings.Replace(send(4, "d (1b)"), "Succeeded", "Failed", 1),
		`{"Operation":"Send","Item":{"Attachments":"no id (1b)"}}`,
		`{"Operation":"Send","Id":"`+strings.Repeat("no time ", 1<<17)+`","Item":{"Attachments":"a (1b)"}}`,
		`"no record"`,
		`{"Operation":"MailItemsAccessed","Id":"x"}`,
	))
	in := w.ingester()
	keeper := &keeper{Ledger: w.ledger()}
	in.Ledger = keeper
	if err := in.Ingest(context.Background(), body); err != nil {
		t.Fatal(err)
	}
	e := w.entry(t, "blob")
	want := audit.Tally{
		Records:    9,
		Sends:      5,
		Noise:      1,
		Failed:     1,
		Messages:   2,
		Repeated:   1,
		Events:     3,
		Unreadable: 3,
		LastSend:   e.Tally.LastSend,
	}
	if e.State != audit.Settled || e.Tally != want || e.Tally.LastSend.IsZero() {
		t.Errorf("blob is %s with %+v, want settled with %+v", e.State, e.Tally, want)
	}
	var reasons []string
	for _, u := range keeper.kept {
		reasons = append(reasons, u.Reason)
		if u.Size == 0 || len(u.Reason) > 1024 {
			t.Errorf("kept %d bytes at %d with a reason of %d bytes", u.Size, u.Offset, len(u.Reason))
		}
	}
	all := strings.Join(reasons, "\n")
	if len(reasons) != 3 || !strings.Contains(all, "Id: missing") || !strings.Contains(all, "no time") ||
		!strings.Contains(all, "a string, not an object") {
		t.Errorf("kept these reasons:\n%s", all)
	}
}

// keeper is a ledger that remembers what it was to keep.
type keeper struct {
	forensic.Ledger
	kept []audit.Unreadable
}

func (k *keeper) Keep(ctx context.Context, b audit.Blob, unreadable []audit.Unreadable) error {
	k.kept = append(k.kept, unreadable...)
	return k.Ledger.Keep(ctx, b, unreadable)
}

func TestLateEventsLandAtTheirObservedTime(t *testing.T) {
	w := newWorld(t)
	const sixDays = 6 * 24 * 60
	retry(t, w, w.add("today", now, array(send(5, "a (1b)"))))
	retry(t, w, w.add("late", now.Add(time.Hour), array(send(sixDays, "b (1b)"))))

	late := shown(t, w.events)[id(sixDays)]
	if want := now.Add(-sixDays * time.Minute); !late.Observed.Equal(want) || !late.Arrival.Equal(now.Add(time.Hour)) {
		t.Errorf(
			"late event was observed at %s and arrived at %s, want %s and an hour after now",
			late.Observed,
			late.Arrival,
			want,
		)
	}
	requireFound(t, w.events, late)
	day := sorts(t, w.events, forensic.DayPartition(contoso, late.Observed))
	if len(day) != 1 {
		t.Errorf("the day it was observed has postings %q, want one", day)
	}
	if late.EventID(0).String() <= shown(t, w.events)[id(5)].EventID(0).String() {
		t.Error("the event that arrived late does not sort after what had arrived before")
	}
}

func TestOneBadBlobHoldsNothingUp(t *testing.T) {
	whole := "[" + send(1, "a (1b)") + "," + send(2, "b (1b)") + "]"
	for name, c := range map[string]struct {
		content func() io.Reader
		state   audit.State
		shown   int
		reason  string
	}{
		"garbage in the array": {text(strings.Replace(whole, "},{", "} {", 1)), audit.Lost, 1, "malformed at byte"},
		"no array":             {text(`{"error":{"code":"AF50000"}}`), audit.Lost, 0, "malformed at byte 0"},
		"bytes after it":       {text(whole + "x"), audit.Lost, 2, "malformed at byte"},
		"torn at first":        {onceTorn(whole), audit.Settled, 2, ""},
		"empty":                {text("[]"), audit.Settled, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			body := w.add("bad", now, c.content)
			retry(t, w, body)
			retry(t, w, body) // the queue may bring it once more
			retry(t, w, w.add("good", now, array(send(9, "c (1b)"))))

			e := w.entry(t, "bad")
			if e.State != c.state || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("blob is %s, %q, want %s, %q", e.State, e.Reason, c.state, c.reason)
			}
			if got := len(shown(t, w.events)); got != c.shown+1 {
				t.Errorf("%d messages are shown, want %d of the bad blob and one of the good one", got, c.shown)
			}
		})
	}
}

// onceTorn ends early at the first reading.
func onceTorn(s string) func() io.Reader {
	torn := false
	return func() io.Reader {
		if torn {
			return strings.NewReader(s)
		}
		torn = true
		return strings.NewReader(s[:len(s)-9])
	}
}

func TestWhatTheTenantRefusesComesBack(t *testing.T) {
	for _, kind := range []error{fault.Retry, fault.Refused, errors.New("connection reset")} {
		w := newWorld(t)
		body := w.add("blob", now, array(send(1, "a (1b)")))
		in := w.ingester()
		in.Feed = refusing{kind}
		if err := in.Ingest(context.Background(), body); !errors.Is(err, kind) {
			t.Errorf("ingest says %v, want %v", err, kind)
		}
		in.Feed = w.feed
		w.feed["https://manage.office.com/blob"] = func() io.Reader {
			return io.MultiReader(strings.NewReader("["+send(1, "a (1b)")), failing{kind})
		}
		if err := in.Ingest(context.Background(), body); !errors.Is(err, kind) {
			t.Errorf("a stream that breaks: ingest says %v, want %v", err, kind)
		}
	}
}

type refusing struct{ err error }

func (r refusing) Open(context.Context, connection.Tenant, string) (io.ReadCloser, error) {
	return nil, r.err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBodiesThatAreNoBlobsArePoison(t *testing.T) {
	w := newWorld(t)
	good := w.add("blob", now, array())
	for _, body := range [][]byte{
		nil, []byte("{"), []byte("[]"), []byte("{}"),
		bytes.Replace(good, []byte(`"contentUri"`), []byte(`"other"`), 1),
		bytes.Replace(good, []byte(`"arrival"`), []byte(`"other"`), 1),
		bytes.Replace(good, []byte(`"connection"`), []byte(`"other"`), 1),
	} {
		if err := w.ingester().Ingest(context.Background(), body); !errors.Is(err, fault.Poison) {
			t.Errorf("body %s: %v, want poison", body, err)
		}
	}
}

func TestEverythingExpiresWithItsMessageAndDaysNotBefore(t *testing.T) {
	w := newWorld(t)
	writes := &writes{Table: w.events}
	w.events = writes
	in := w.ingester()
	clock := now
	in.Now = func() time.Time { return clock }
	ingest := func(name string, records ...string) {
		if err := in.Ingest(context.Background(), w.add(name, now, array(records...))); err != nil {
			t.Fatal(err)
		}
	}

	ingest("first", send(1, "a (1b)"), send(2, "b (1b)"))
	days := 0
	for _, item := range writes.items {
		left := item.Expires.Sub(clock)
		switch {
		case item.Partition == forensic.DaysPartition(contoso):
			days++
			if left < in.Retention+24*time.Hour {
				t.Errorf("day %s expires after %s, before what is stored on the next day expires", item.Sort, left)
			}
		case left != in.Retention:
			t.Errorf("item %q %q expires after %s, want %s", item.Partition, item.Sort, left, in.Retention)
		}
	}
	if days != 2 {
		t.Errorf("%d days are marked, want the one observed and the one of arrival", days)
	}

	marked := func() (n int) {
		for _, item := range writes.items {
			if item.Partition == forensic.DaysPartition(contoso) {
				n++
			}
		}
		return n
	}
	ingest("second", send(3, "c (1b)"))
	if n := marked(); n != 2 {
		t.Errorf("days are marked %d times, want once per process", n)
	}
	clock = clock.Add(24 * time.Hour)
	ingest("third", send(4, "d (1b)"))
	if n := marked(); n != 4 {
		t.Errorf("days are marked %d times, want again on the next day, for what is stored then expires later", n)
	}
}

// writes remembers what was written.
type writes struct {
	table.Table
	items []table.Item
}

func (w *writes) Load(ctx context.Context, items ...table.Item) error {
	w.items = append(w.items, items...)
	return w.Table.Load(ctx, items...)
}

func (w *writes) Create(ctx context.Context, items ...table.Item) ([]bool, error) {
	w.items = append(w.items, items...)
	return w.Table.Create(ctx, items...)
}
