package machine_test

import (
	"testing"

	"github.com/mailtrail/mailtrail/shared/queue"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// bury sends blobs that cannot be read, waits until they are dead letters, and returns their ids as the API shows
// them.
func (w *world) bury(n int) (ids []string) {
	w.t.Helper()
	for range n {
		must(w.t, w.machine.Blobs().Send(w.t.Context(), queue.Message{Body: []byte("no blob")}))
	}
	w.wait("dead letters", func() bool {
		letters, err := w.machine.Blobs().Dead(w.t.Context(), "", n)
		must(w.t, err)
		ids = nil
		for _, l := range letters {
			ids = append(ids, "blobs-"+l.ID)
		}
		return len(ids) == n
	})
	return ids
}

// TestWhatCannotBeReadIsADeadLetterInTheEnd, which an administrator finds and drops.
func TestWhatCannotBeReadIsADeadLetterInTheEnd(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1})
	id := w.bury(1)[0]
	var page struct {
		Letters []struct {
			ID, Body string
			Receives int
		}
	}
	w.ask("GET", "/v1/dead", "", 200, &page)
	if len(page.Letters) != 1 || page.Letters[0].ID != id || page.Letters[0].Body != "no blob" ||
		page.Letters[0].Receives != 20 {
		t.Errorf("dead letters: %+v", page.Letters)
	}
	w.ask("DELETE", "/v1/dead/"+id, "", 204, nil)
	w.ask("GET", "/v1/dead", "", 200, &page)
	if len(page.Letters) != 0 {
		t.Errorf("after it was dropped: %+v", page.Letters)
	}
}
