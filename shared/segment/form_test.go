package segment_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/mailtrail/mailtrail/shared/segment"
)

var update = flag.Bool("update", false, "write testdata/form-1.json.gz anew")

// keptBlock is a block as it is kept.
type keptBlock struct {
	Run    segment.Run
	Number uint32
	Block  []byte
}

// TestTheFirstFormStaysReadable opens a segment as the first release with segments wrote it. Its rows are made again
// from the same seed, so that every answer is known.
func TestTheFirstFormStaysReadable(t *testing.T) {
	const name = "testdata/form-1.json.gz"
	made, r := newStore(), random(21)
	facts := makeFacts(t, made, "docs", r, 120)
	build(t, made, "segment", facts)
	if *update {
		keepBlocks(t, name, made)
	}
	packed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []keptBlock
	if err := json.NewDecoder(in).Decode(&blocks); err != nil {
		t.Fatal(err)
	}
	kept := newStore()
	for _, b := range blocks {
		kept.blocks[segment.Address{Run: b.Run, Number: b.Number}] = b.Block
	}
	judge(t, kept, open(t, kept, "segment"), facts, r, 80)
	if err := segment.Merge(t.Context(), kept, "new", nil, segment.Source{Segment: open(t, kept, "segment")}); err != nil {
		t.Fatal(err)
	}
	judge(t, kept, open(t, kept, "new"), facts, r, 20)
}

func keepBlocks(t *testing.T, name string, s *store) {
	t.Helper()
	var blocks []keptBlock
	for _, a := range s.sorted() {
		blocks = append(blocks, keptBlock{a.Run, a.Number, s.blocks[a]})
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if err := json.NewEncoder(zip).Encode(blocks); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
