package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The tests that break off a store's work at any moment share that work, and what must be left of it.
//
// Each worker says what was confirmed to it, in a line, right after the call returned:
//
//	commit W N     commit N of worker W, which sets five items to N
//	count W N      the counter of worker W and its twin were replaced by N
//	load W N       load N of worker W, of 40 items
//	create W N K   create N of worker W, of K items that other workers create too: the keys are taken
//	sent B         the message with body B
//	got B N        delivery N of message B
//	finish B       done will be called for message B: from here it may be gone
//	done B         and from here it is
const (
	itemsOfCommit = 5
	itemsOfLoad   = 40
	itemsOfCreate = 10
)

// work goes on until the store is closed or the process killed. Round makes its names new.
func work(s *embedded.Store, round int, say func(line string)) error {
	tab, q := s.Table("work"), s.Queue("work", embedded.QueueOptions{})
	jobs := []func(ctx context.Context, w string, n int) error{
		func(ctx context.Context, w string, n int) error { return commitWork(ctx, tab, say, w, n) },
		func(ctx context.Context, w string, n int) error { return commitWork(ctx, tab, say, w+"b", n) },
		func(ctx context.Context, w string, n int) error { return countWork(ctx, tab, say, w, n) },
		func(ctx context.Context, w string, n int) error { return loadWork(ctx, tab, say, w, n) },
		func(ctx context.Context, w string, n int) error { return createWork(ctx, tab, say, w, n, round) },
		func(ctx context.Context, w string, n int) error { return createWork(ctx, tab, say, w+"b", n, round) },
		func(ctx context.Context, w string, n int) error { return sendWork(ctx, q, say, w, n) },
		func(ctx context.Context, _ string, n int) error { return receiveWork(ctx, q, say, n) },
	}
	failures := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, job := range jobs {
		wg.Go(func() {
			for n := 1; failures[i] == nil; n++ {
				failures[i] = job(context.Background(), fmt.Sprintf("r%dw%d", round, i), n)
			}
			if errors.Is(failures[i], embedded.ErrClosed) {
				failures[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

func numbered(partition, sort string, n int) table.Item {
	return table.Item{Key: table.Key{Partition: partition, Sort: sort},
		Attrs: table.Attrs{"n": int64(n), "fill": strings.Repeat("x", 50)}}
}

func commitWork(ctx context.Context, tab table.Table, say func(string), w string, n int) error {
	var ops []table.Op
	for i := range itemsOfCommit {
		ops = append(ops, table.Op{Verb: table.Put, Item: numbered("commit|"+w, fmt.Sprint(i), n)})
	}
	if err := tab.Commit(ctx, ops...); err != nil {
		return err
	}
	say(fmt.Sprintf("commit %s %d", w, n))
	return nil
}

func countWork(ctx context.Context, tab table.Table, say func(string), w string, n int) error {
	var ops []table.Op
	for _, twin := range []string{"a", "b"} {
		op := table.Op{Verb: table.Replace, Item: numbered("count|"+w, twin, n)}
		old, err := tab.Get(ctx, op.Item.Key)
		switch {
		case errors.Is(err, table.ErrAbsent) && n == 1:
			op.Verb = table.Create
		case err != nil:
			return err
		case old.Attrs["n"] != int64(n-1):
			return fmt.Errorf("counter %s is at %v before %d", w, old.Attrs["n"], n)
		}
		op.Item.Revision = old.Revision
		ops = append(ops, op)
	}
	if err := tab.Commit(ctx, ops...); err != nil {
		return err
	}
	say(fmt.Sprintf("count %s %d", w, n))
	return nil
}

func loadWork(ctx context.Context, tab table.Table, say func(string), w string, n int) error {
	var items []table.Item
	for i := range itemsOfLoad {
		items = append(items, numbered("load|"+w, fmt.Sprintf("%06d|%02d", n, i), n))
	}
	if err := tab.Load(ctx, items...); err != nil {
		return err
	}
	say(fmt.Sprintf("load %s %d", w, n))
	return nil
}

func createWork(ctx context.Context, tab table.Table, say func(string), w string, n, round int) error {
	var items []table.Item
	for i := range itemsOfCreate {
		items = append(items, numbered(fmt.Sprintf("create|%d", round), fmt.Sprintf("%06d|%02d", n, i), n))
	}
	if _, err := tab.Create(ctx, items...); err != nil {
		return err
	}
	say(fmt.Sprintf("create %d %d", round, n))
	return nil
}

func sendWork(ctx context.Context, q queue.Queue, say func(string), w string, n int) error {
	var messages []queue.Message
	for i := range 4 {
		messages = append(messages, queue.Message{Body: fmt.Appendf(nil, "%s|%d|%d", w, n, i), Group: fmt.Sprint(i)})
	}
	if err := q.Send(ctx, messages...); err != nil {
		return err
	}
	for _, m := range messages {
		say("sent " + string(m.Body))
	}
	return nil
}

// receiveWork finishes half of what it receives, leaves a quarter in flight, and hides a quarter.
func receiveWork(ctx context.Context, q queue.Queue, say func(string), _ int) error {
	ds, err := q.Receive(ctx, 4, time.Minute, time.Hour)
	if err != nil {
		return err
	}
	for i, d := range ds {
		say(fmt.Sprintf("got %s %d", d.Body, d.Receives))
		switch i {
		case 2:
		case 3:
			if err := q.Hide(ctx, d, time.Minute); err != nil {
				return err
			}
		default:
			say("finish " + string(d.Body))
			if err := q.Done(ctx, d); err != nil {
				return err
			}
			say("done " + string(d.Body))
		}
	}
	return nil
}

// said is what workers said: of each kind of line the greatest number for each name, and 0 for lines without one.
type said map[string]map[string]int

func listen(lines []string) said {
	s := said{}
	for _, line := range lines {
		var kind, name string
		n := 0
		_, _ = fmt.Sscan(line, &kind, &name, &n)
		if s[kind] == nil {
			s[kind] = map[string]int{}
		}
		s[kind][name] = max(s[kind][name], n)
	}
	return s
}

// verify checks what a store holds after the break: all of what was confirmed before it, and nothing in halves.
// Meanwhile is what workers said until they noticed.
func verify(t *testing.T, s *embedded.Store, before, meanwhile said) {
	t.Helper()
	tab := s.Table("work")
	for kind, items := range map[string]int{"commit": itemsOfCommit, "count": 2} {
		for w, n := range before[kind] {
			found := numbersIn(t, tab, kind+"|"+w)
			if len(found) != 1 {
				t.Errorf("%s %s: its items are of %d different commits: %v", kind, w, len(found), found)
			}
			for got, count := range found {
				if got < n || got > meanwhile[kind][w]+1 || count != items {
					t.Errorf("%s %s: %d items are at %d, it was told %d before and %d meanwhile", kind, w, count, got, n,
						meanwhile[kind][w])
				}
			}
		}
	}
	for kind, items := range map[string]int{"load": itemsOfLoad, "create": itemsOfCreate} {
		for w, n := range before[kind] {
			found := numbersIn(t, tab, kind+"|"+w)
			for i := 1; i <= n; i++ {
				if found[i] != items {
					t.Errorf("%s %d of %s was confirmed, and %d of its %d items are there", kind, i, w, found[i], items)
				}
			}
			for i, count := range found {
				if count != items {
					t.Errorf("%s %d of %s is there by half: %d items of %d", kind, i, w, count, items)
				}
			}
		}
	}
	verifyQueue(t, s, before, meanwhile)
}

func numbersIn(t *testing.T, tab table.Table, partition string) map[int]int {
	t.Helper()
	found := map[int]int{}
	for it, err := range tab.Query(t.Context(), table.Query{Partition: partition}) {
		if err != nil {
			t.Fatal(err)
		}
		found[int(it.Attrs["n"].(int64))]++
	}
	return found
}

// verifyQueue receives all there is, at once, though much of it was in flight or hidden.
func verifyQueue(t *testing.T, s *embedded.Store, before, meanwhile said) {
	t.Helper()
	q := s.Queue("work", embedded.QueueOptions{})
	found := map[string]int{}
	for {
		ds, err := q.Receive(t.Context(), 1000, 0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(ds) == 0 {
			break
		}
		for _, d := range ds {
			body := string(d.Body)
			if found[body] != 0 {
				t.Errorf("message %s is there twice", body)
			}
			found[body] = d.Receives
		}
	}
	for body := range before["sent"] {
		_, finishing := meanwhile["finish"][body]
		if found[body] == 0 && !finishing {
			t.Errorf("message %s is lost", body)
		}
	}
	for body := range before["done"] {
		if found[body] != 0 {
			t.Errorf("message %s is done, and came again", body)
		}
	}
	for body, n := range before["got"] {
		if found[body] != 0 && found[body] <= n {
			t.Errorf("message %s was delivered %d times before, and now for the %dth time", body, n, found[body])
		}
	}
}
