package forensic

import (
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// markEvery is how often a process writes the mark of a day again, so that it outlives every posting of the day.
	markEvery = 24 * time.Hour
	// maxMarks bounds the marks in memory. Past it all are forgotten, which costs writing them again.
	maxMarks = 1 << 16
)

// marks remembers which days this process has marked as having postings. Its zero value is ready, and it is safe for
// concurrent use.
type marks struct {
	mu      sync.Mutex
	written map[table.Key]time.Time
}

// due are those of keys that were not written within markEvery.
func (w *marks) due(keys []table.Key, now time.Time) []table.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []table.Key
	for _, k := range keys {
		if at, ok := w.written[k]; !ok || now.Sub(at) >= markEvery {
			due = append(due, k)
		}
	}
	return due
}

// done says that marks have been written.
func (w *marks) done(keys []table.Key, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil || len(w.written) > maxMarks {
		w.written = make(map[table.Key]time.Time)
	}
	for _, k := range keys {
		w.written[k] = now
	}
}
