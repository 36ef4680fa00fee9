package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

const (
	sendShare = 0.02
	rounds    = 5
)

// reader compares the record reader with encoding/json, which decodes only the two deciding fields, on one blob. Both
// read from memory.
func reader(_ context.Context, r *report) error {
	var blob bytes.Buffer
	mixed, err := company.MixedBlob(&blob, 1, 32<<20, sendShare)
	if err != nil {
		return err
	}
	ours := func() (int, error) { return readOurs(bytes.NewReader(blob.Bytes())) }
	theirs := func() (int, error) { return readTheirs(bytes.NewReader(blob.Bytes())) }
	var ratios, speeds []float64
	for range rounds {
		a, err := timed(ours, mixed.Sends)
		if err != nil {
			return err
		}
		b, err := timed(theirs, mixed.Sends)
		if err != nil {
			return err
		}
		ratios = append(ratios, b.Seconds()/a.Seconds())
		speeds = append(speeds, float64(mixed.Bytes)/a.Seconds()/1e6)
	}
	if err := r.tell("reader.speed", median(speeds), "MB/s"); err != nil {
		return err
	}
	return r.atLeast("reader.ratio", median(ratios), "x encoding/json", 5)
}

func timed(f func() (int, error), want int) (time.Duration, error) {
	start := time.Now()
	got, err := f()
	took := time.Since(start)
	if err == nil && got != want {
		err = fmt.Errorf("found %d sends, want %d", got, want)
	}
	return took, err
}

// readOurs counts sends with attachments: the reader's candidates, decoded.
func readOurs(src io.Reader) (int, error) {
	sends := 0
	in := audit.NewReader(src)
	for {
		raw, err := in.Next()
		if err == io.EOF {
			return sends, nil
		}
		if err != nil {
			return sends, err
		}
		record, err := audit.Decode(raw)
		if err != nil {
			return sends, err
		}
		if record.Operation == "Send" && record.Item.Attachments != "" {
			sends++
		}
	}
}

func readTheirs(src io.Reader) (int, error) {
	var records []struct {
		Operation string
		Item      struct{ Attachments string }
	}
	if err := json.NewDecoder(src).Decode(&records); err != nil {
		return 0, err
	}
	sends := 0
	for _, r := range records {
		if r.Operation == "Send" && r.Item.Attachments != "" {
			sends++
		}
	}
	return sends, nil
}

// readerMemory measures the peak resident memory of reading blobs of 20 and 200 MB.
func readerMemory(_ context.Context, r *report) error {
	for _, size := range []int64{20 << 20, 200 << 20} {
		pr, pw := io.Pipe()
		go func() {
			_, err := company.MixedBlob(pw, 1, size, sendShare)
			pw.CloseWithError(err)
		}()
		if _, err := readOurs(pr); err != nil {
			return err
		}
		u, err := used()
		if err != nil {
			return err
		}
		if err := r.below(fmt.Sprintf("reader.peak_%dMB", size>>20), u.peak, "MB", 64); err != nil {
			return err
		}
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
