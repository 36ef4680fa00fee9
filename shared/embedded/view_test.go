package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
)

func nth(n int) table.Item {
	return table.Item{Key: table.Key{Partition: "p", Sort: fmt.Sprintf("%09d", n)}, Attrs: table.Attrs{"n": int64(n)}}
}

// count reads the items that nth made, and fails when one is missing before another.
func count(t *testing.T, from table.Table) int {
	t.Helper()
	n := 0
	for item, err := range from.Query(t.Context(), table.Query{Partition: "p"}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Attrs["n"] != int64(n) {
			t.Fatalf("item %d is %v: one is missing", n, item.Attrs["n"])
		}
		n++
	}
	return n
}

// TestAViewIsOfOneMoment writes while a view is open: it shows nothing of that, and takes no writes.
func TestAViewIsOfOneMoment(t *testing.T) {
	s := open(t, t.TempDir(), embedded.Options{})
	now := s.Table("t")
	if err := now.Load(t.Context(), nth(0), nth(1), nth(2)); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), func(v embedded.View) error {
		then := v.Table("t")
		if _, err := now.Create(t.Context(), nth(3)); err != nil {
			return err
		}
		if got := count(t, then); got != 3 {
			t.Errorf("the view shows %d items, want 3", got)
		}
		if _, err := then.Get(t.Context(), nth(3).Key); !errors.Is(err, table.ErrAbsent) {
			t.Errorf("the view has what came later: %v", err)
		}
		if got, err := then.GetMany(t.Context(), []table.Key{nth(1).Key, nth(3).Key}); len(got) != 1 || err != nil {
			t.Errorf("the view has %v, %v", got, err)
		}
		for what, err := range map[string]error{
			"commit": then.Commit(t.Context(), table.Op{Verb: table.Put, Item: nth(4)}),
			"load":   then.Load(t.Context(), nth(4)),
		} {
			if err == nil {
				t.Errorf("the view takes a %s", what)
			}
		}
		if _, err := then.Create(t.Context(), nth(4)); err == nil {
			t.Error("the view takes a create")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := count(t, now); got != 4 {
		t.Errorf("there are %d items, want 4", got)
	}
}

// TestACheckpointIsWholeWhileOthersWrite: it has every write that was confirmed before it began, none without those
// before it, and the queue's messages.
func TestACheckpointIsWholeWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "live"), embedded.Options{})
	live, stop, done := s.Table("t"), make(chan struct{}), make(chan error, 1)
	var written atomic.Int64
	begun := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := live.Create(t.Context(), nth(n)); err != nil {
				done <- err
				return
			}
			if written.Add(1) == 100 {
				close(begun)
			}
		}
	}()
	send(t, s.Queue("q", embedded.QueueOptions{}), message("0", "a"), message("1", "b"))
	<-begun
	confirmed := int(written.Load())
	copied := filepath.Join(dir, "copy")
	if err := s.Checkpoint(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(t.Context(), copied); !errors.Is(err, os.ErrExist) {
		t.Errorf("a checkpoint over another ends with %v", err)
	}
	shut(t, s)

	c := open(t, copied, embedded.Options{})
	if got := count(t, c.Table("t")); got < confirmed || got > int(written.Load()) {
		t.Errorf("the copy has %d items; %d were confirmed before it, %d in the end", got, confirmed, written.Load())
	}
	wantDepth(t, c.Queue("q", embedded.QueueOptions{}), embedded.Depth{Ready: 2})
	if _, err := c.Table("t").Create(t.Context(), nth(1<<20)); err != nil {
		t.Errorf("the copy cannot be written to: %v", err)
	}
}
