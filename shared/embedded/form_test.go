package embedded_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
)

// TestANewerStoreIsRefusedInASentence plays the part of a version to come, which raised the form.
func TestANewerStoreIsRefusedInASentence(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, embedded.Options{})
	item := table.Item{Key: table.Key{Partition: "p", Sort: "s"}, Attrs: table.Attrs{"a": "kept"}}
	if _, err := s.Table("t").Create(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	if err := embedded.SetForm(s, embedded.Form+1); err != nil {
		t.Fatal(err)
	}
	shut(t, s)

	_, err := embedded.Open(dir, embedded.Options{})
	if !errors.Is(err, embedded.ErrNewer) {
		t.Fatalf("a newer store: %v", err)
	}
	for _, part := range []string{dir, "written by a newer Mailtrail", "its form is 2", "reads forms up to 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal %q does not say %q", err, part)
		}
	}
	if _, again := embedded.Open(dir, embedded.Options{}); !errors.Is(again, embedded.ErrNewer) {
		t.Errorf("refused once, then %v: the folder must not stay locked", again)
	}
}

// TestAStoreWithoutAFormIsTheFirst opens what 0.1.0 left, which had no form.
func TestAStoreWithoutAFormIsTheFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, embedded.Options{})
	if form, err := embedded.ReadForm(s); form != embedded.Form || err != nil {
		t.Errorf("a new store has form %d, %v", form, err)
	}
	if err := embedded.SetForm(s, 0); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, dir, embedded.Options{})
	if form, err := embedded.ReadForm(s); form != embedded.Form || err != nil {
		t.Errorf("a store of 0.1.0 has form %d after it was opened, %v", form, err)
	}
}
