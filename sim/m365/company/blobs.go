package company

import (
	"slices"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Blobs bundles records as Microsoft does: in blobs of very different sizes, shuffled, with about one record in fifty
// repeated in this or a later blob, and about one in thirty late, in a later blob than the one that it belongs in.
// Blobs are cut at most records; what comes late or twice is added to them. No record is lost and no blob is empty.
// The same seed makes the same blobs of the same records.
func Blobs(records []world.Record, seed uint64, most int) [][]world.Record {
	d := throw(seed, streamBlobs)
	var cuts []int // where each blob ends
	for end := 0; end < len(records); {
		end = min(len(records), end+d.blobSize(max(most, 1)))
		cuts = append(cuts, end)
	}

	blobs := make([][]world.Record, len(cuts))
	later := func(blob int) int { return min(blob+d.between(0, 3), len(blobs)-1) }
	blob := 0
	for i, r := range records {
		if i == cuts[blob] {
			blob++
		}
		at := blob
		if d.oneIn(30) {
			at = later(blob)
		}
		blobs[at] = append(blobs[at], r)
		if d.oneIn(50) {
			again := later(at)
			blobs[again] = append(blobs[again], r)
		}
	}
	for _, b := range blobs {
		d.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	}
	return slices.DeleteFunc(blobs, func(b []world.Record) bool { return len(b) == 0 }) // all of it came late
}

// blobSize is how many records belong in a blob: often few, sometimes as many as it may hold.
func (d dice) blobSize(most int) int {
	if d.oneIn(5) {
		return most
	}
	return 1 + d.IntN(1+d.IntN(most))
}
