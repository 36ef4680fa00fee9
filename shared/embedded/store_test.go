package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// childEnv marks the test binary as a child of a test, and says what to do.
const childEnv = "EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	switch role, dir, _ := strings.Cut(os.Getenv(childEnv), " "); role {
	case "":
		os.Exit(m.Run())
	case "hold":
		hold(dir)
	case "write":
		writeUntilKilled(dir)
	}
}

// child starts the test binary in a role, over a folder. It is killed at the end of the test at the latest.
func child(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+role+" "+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func open(tb testing.TB, dir string, o embedded.Options) *embedded.Store {
	tb.Helper()
	s, err := embedded.Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, embedded.ErrClosed) {
			tb.Error(err)
		}
	})
	return s
}

func shut(tb testing.TB, s *embedded.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

func hold(dir string) {
	s, err := embedded.Open(dir, embedded.Options{})
	fmt.Println("open", err)
	time.Sleep(time.Hour) // until killed
	_ = s
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	cmd, out := child(t, "hold", dir)
	if !out.Scan() || out.Text() != "open <nil>" {
		t.Fatalf("the child says %q", out.Text())
	}
	_, err := embedded.Open(dir, embedded.Options{})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "open already") {
		t.Errorf("open a folder that another process has open: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	s := open(t, dir, embedded.Options{})
	if _, err := embedded.Open(dir, embedded.Options{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("open a folder twice: %v", err)
	}
	shut(t, s)
	shut(t, open(t, dir, embedded.Options{}))
}

func TestOpenNamesTheFolder(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(file, embedded.Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open a file: %v", err)
	}
}

func TestTablesAreApart(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir, embedded.Options{})
	names := []string{"a", "a\x00", "ab", "b", ""}
	for _, name := range names {
		if err := s.Table(name).Load(ctx, table.Item{Key: table.Key{Partition: "p", Sort: name + "|"}}); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)
	s = open(t, dir, embedded.Options{})
	for _, name := range names {
		n := 0
		for it, err := range s.Table(name).Query(ctx, table.Query{Partition: "p"}) {
			if err != nil || it.Sort != name+"|" {
				t.Errorf("table %q has item %q, %v", name, it.Sort, err)
			}
			n++
		}
		if once, again := s.Table(name), s.Table(name); n != 1 || once != again {
			t.Errorf("table %q has %d items; asked for twice it is the same: %t", name, n, once == again)
		}
	}
}

// TestRevisionsNeverComeBack reopens the store with a clock that stands still.
func TestRevisionsNeverComeBack(t *testing.T) {
	ctx := t.Context()
	dir, c := t.TempDir(), newClock()
	it := table.Item{Key: table.Key{Partition: "p", Sort: "s"}}
	seen := map[int64]bool{}
	for range 5 {
		s := open(t, dir, embedded.Options{Now: c.now})
		tab := s.Table("t")
		if created, err := tab.Create(ctx, it); err != nil || !created[0] {
			t.Fatalf("create: %v, %v", created, err)
		}
		got, err := tab.Get(ctx, it.Key)
		if err != nil || seen[got.Revision] {
			t.Fatalf("revision %d comes again, %v", got.Revision, err)
		}
		seen[got.Revision] = true
		if err := tab.Commit(ctx, table.Op{Verb: table.Delete, Item: it}); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
	}
}

func TestClosedStore(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir(), embedded.Options{})
	tab, q := s.Table("t"), s.Queue("q", embedded.QueueOptions{})
	it := table.Item{Key: table.Key{Partition: "p", Sort: "s"}}
	if err := tab.Load(ctx, it); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 { // Close ends those that wait
		wg.Go(func() {
			if _, err := q.Receive(ctx, 1, time.Hour, time.Hour); !errors.Is(err, embedded.ErrClosed) {
				t.Errorf("receive while the store is closed: %v", err)
			}
		})
	}
	for _, err := range tab.Query(ctx, table.Query{Partition: "p"}) { // and does not wait for a consumer
		if err != nil {
			t.Fatal(err)
		}
		shut(t, s)
	}
	wg.Wait()
	calls := map[string]func() error{
		"get":     func() error { _, err := tab.Get(ctx, it.Key); return err },
		"getmany": func() error { _, err := tab.GetMany(ctx, []table.Key{it.Key}); return err },
		"load":    func() error { return tab.Load(ctx, it) },
		"create":  func() error { _, err := tab.Create(ctx, it); return err },
		"commit":  func() error { return tab.Commit(ctx, table.Op{Verb: table.Put, Item: it}) },
		"query": func() error {
			for _, err := range tab.Query(ctx, table.Query{Partition: "p"}) {
				return err
			}
			return nil
		},
		"send":    func() error { return q.Send(ctx, queue.Message{Body: []byte("x")}) },
		"receive": func() error { _, err := q.Receive(ctx, 1, 0, time.Hour); return err },
		"done":    func() error { return q.Done(ctx, queue.Delivery{Receipt: "1.1"}) },
		"hide":    func() error { return q.Hide(ctx, queue.Delivery{Receipt: "1.1"}, 0) },
		"depth":   func() error { _, err := q.Depth(ctx); return err },
		"dead":    func() error { _, err := q.Dead(ctx, "", 1); return err },
		"redrive": func() error { _, err := q.Redrive(ctx, "1"); return err },
		"close":   s.Close,
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, embedded.ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
}

// TestUnits holds what the adapter meters against DynamoDB's rules.
func TestUnits(t *testing.T) {
	ctx := t.Context()
	c := newClock()
	s := open(t, t.TempDir(), embedded.Options{Now: c.now})
	sized := func(sort string, size int) table.Item {
		it := table.Item{Key: table.Key{Partition: "p", Sort: sort}, Attrs: table.Attrs{"x": ""}}
		it.Attrs["x"] = strings.Repeat("x", size-table.Size(it))
		return it
	}
	op := func(verb table.Verb, it table.Item) table.Op { return table.Op{Verb: verb, Item: it} }
	tab := s.Table("t")
	commit := func(ops ...table.Op) func() {
		return func() { _ = tab.Commit(ctx, ops...) } // failed ones cost as much
	}
	query := func(q table.Query) func() {
		return func() {
			for range tab.Query(ctx, q) {
			}
		}
	}
	steps := []struct {
		name        string
		do          func()
		read, write float64
	}{
		{"load 1.5 KB", func() { _ = tab.Load(ctx, sized("a", 1536)) }, 0, 2},
		{"load 17 KB", func() { _ = tab.Load(ctx, sized("b", 17*1024)) }, 0, 17},
		{"create 100 bytes", func() { _, _ = tab.Create(ctx, sized("c", 100)) }, 0, 1},
		{"create over 17 KB", func() { _, _ = tab.Create(ctx, sized("b", 100)) }, 0, 17},
		{"get 17 KB", func() { _, _ = tab.Get(ctx, sized("b", 100).Key) }, 5, 0},
		{"get nothing", func() { _, _ = tab.Get(ctx, sized("z", 100).Key) }, 1, 0},
		{"get many", func() {
			_, _ = tab.GetMany(ctx, []table.Key{sized("a", 100).Key, sized("b", 100).Key, sized("z", 100).Key})
		}, 7, 0},
		{"query 18.6 KB", query(table.Query{Partition: "p"}), 5, 0},
		{"query them eventually", query(table.Query{Partition: "p", Eventual: true}), 2.5, 0},
		{"query 1.6 KB of it", query(table.Query{Partition: "p", Limit: 1}), 1, 0},
		{"query nothing", query(table.Query{Partition: "z"}), 1, 0},
		{"put 2 KB", commit(op(table.Put, sized("d", 2048))), 0, 2},
		{"put 100 bytes over 2 KB", commit(op(table.Put, sized("d", 100))), 0, 2},
		{"create what is there, with another", commit(op(table.Create, sized("a", 100)), op(table.Put, sized("e", 100))), 0,
			6},
		{"check nothing", commit(op(table.Check, sized("z", 100))), 0, 2},
		{"delete 17 KB", commit(op(table.Delete, sized("b", 100))), 0, 17},
		{"delete nothing", commit(op(table.Delete, sized("b", 100))), 0, 1},
	}
	for _, step := range steps {
		before := tab.Units()
		step.do()
		if got := tab.Units().Sub(before); got.Read != step.read || got.Write != step.write {
			t.Errorf("%s: %+v, want %g read and %g write units", step.name, got, step.read, step.write)
		}
	}
	big := s.Table("big") // 3 MB, in three pages of DynamoDB's and many of ours
	for i := range 300 {
		if err := big.Load(ctx, sized(fmt.Sprintf("%04d", i), 10_240)); err != nil {
			t.Fatal(err)
		}
	}
	before := big.Units()
	for range big.Query(context.Background(), table.Query{Partition: "p"}) {
	}
	if got := big.Units().Sub(before); got.Read < 750 || got.Read > 753 || got.Reads != 3 {
		t.Errorf("query of 300 items of 10 KB: %+v, want 750 units and one for each page at most", got)
	}
}
