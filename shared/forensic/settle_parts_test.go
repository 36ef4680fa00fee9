package forensic_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// A message of many items is read as it was until it is settled, also when the items of the settled one are there
// already.
func TestALargeMessageIsWholeWhileItIsSettled(t *testing.T) {
	var names strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&names, "attachment number %d of very many.pdf (1b); ", i)
	}
	w, _ := waitingWorld(t, send(1, strings.TrimSuffix(names.String(), "; ")))
	before := shown(t, w.events)[id(1)]
	f := finding(1)
	f.Files = nil
	for i, file := range before.Files {
		f.Files = append(
			f.Files,
			forensic.Attachment{
				Record: i,
				ID:     strings.Repeat("i", 150),
				Name:   file.Name,
				Size:   1,
				MD5:    strings.Repeat("0a", 16),
			},
		)
	}
	d := w.desk()
	d.Events = &tabletest.Faulty{Table: w.events, Before: func(op string, _ int) error {
		if op == "commit" {
			return fmt.Errorf("the table is busy: %w", fault.Retry)
		}
		return nil
	}}
	if err := d.Settle(t.Context(), before, f); err == nil {
		t.Fatal("the message is settled, and nothing is shown")
	}
	if after := shown(t, w.events)[id(1)]; !reflect.DeepEqual(after, before) {
		t.Errorf(
			"while it is settled it has %d files, the last is %q",
			len(after.Files),
			after.Files[len(after.Files)-1].Name,
		)
	}
	if err := w.desk().Settle(t.Context(), before, f); err != nil {
		t.Fatal(err)
	}
	if after := shown(t, w.events)[id(1)]; len(after.Files) != len(before.Files) ||
		after.Files[5999].Attachment.MD5 == "" {
		t.Errorf("settled it has %d files", len(after.Files))
	}
}
