package exported

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// blobRecords is how many records a blob of an import holds at most.
const blobRecords = 500

// Record makes what the simulator serves of a raw record: a copy of its bytes, and its Id and CreationTime as far as
// it has them. An unreadable CreationTime is the zero time; the bytes keep what was written.
func Record(raw []byte) world.Record {
	var head struct { // of any type: a strange one must not cost the other
		ID           any `json:"Id"`
		CreationTime any
	}
	_ = json.Unmarshal(raw, &head) // a record that cannot be read has neither
	r := world.Record{JSON: bytes.Clone(raw)}
	r.ID, _ = head.ID.(string)
	written, _ := head.CreationTime.(string)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} { // fractions of a second are read by both
		if at, err := time.Parse(layout, written); err == nil {
			r.Created = at.UTC()
			break
		}
	}
	return r
}

// Blobs bundles records, in their order, as the simulator serves them: no blob holds more than 500.
func Blobs(records []world.Record) [][]world.Record {
	var blobs [][]world.Record
	for len(records) > 0 {
		n := min(len(records), blobRecords)
		blobs = append(blobs, records[:n:n])
		records = records[n:]
	}
	return blobs
}
