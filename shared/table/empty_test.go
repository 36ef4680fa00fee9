package table_test

import (
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
)

func TestEmptyDeletesWithinItsBudget(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	things := store.Table("things")
	const many = 2*table.MaxCommit + 50
	var items []table.Item
	for i := range many {
		items = append(items, table.Item{Key: table.Key{Partition: "p", Sort: fmt.Sprintf("%04d", i)}})
	}
	stays := table.Key{Partition: "q", Sort: "stays"}
	if err := things.Load(t.Context(), append(items, table.Item{Key: stays})...); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		budget, deleted int
		done            bool
	}{{30, 30, false}, {table.MaxCommit, table.MaxCommit, false}, {many, many - 130, true}, {1, 0, true}} {
		deleted, done, err := table.Empty(t.Context(), things, table.Query{Partition: "p"}, step.budget)
		if deleted != step.deleted || done != step.done || err != nil {
			t.Errorf("budget %d: %d, %t, %v; want %d, %t", step.budget, deleted, done, err, step.deleted, step.done)
		}
	}
	if _, err := things.Get(t.Context(), stays); err != nil {
		t.Errorf("another partition: %v", err)
	}
}
