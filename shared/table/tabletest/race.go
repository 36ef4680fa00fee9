package tabletest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mailtrail/mailtrail/shared/table"
)

const racers = 8

// race runs do by many at once, and returns when all have ended.
func race(do func(racer int)) {
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// testCreateRace lets many create the same items at once: each item has exactly one creator, and holds what that one
// wrote.
func testCreateRace(t *testing.T, tab table.Table) {
	const n = 40
	var wins [n]atomic.Int32 // 1 + who created the item
	win := func(i, racer int) {
		if other := wins[i].Swap(int32(racer + 1)); other != 0 {
			t.Errorf("item %d was created by %d and by %d", i, other-1, racer)
		}
	}
	mine := func(i, racer int) table.Item { return item("p", fmt.Sprintf("%02d", i), fmt.Sprint(racer)) }
	race(func(racer int) {
		if racer%2 == 0 { // some one by one, in commits
			for i := range n {
				switch err := tab.Commit(t.Context(), op(table.Create, mine(i, racer))); {
				case err == nil:
					win(i, racer)
				case !errors.Is(err, table.ErrConflict):
					t.Errorf("commit a create: %v", err)
				}
			}
			return
		}
		var items []table.Item
		for i := range n {
			items = append(items, mine(i, racer))
		}
		created, err := tab.Create(t.Context(), items...)
		if err != nil {
			t.Errorf("create: %v", err)
			return
		}
		for i, new := range created {
			if new {
				win(i, racer)
			}
		}
	})
	for i := range n {
		if wins[i].Load() == 0 {
			t.Errorf("item %d was created by nobody", i)
			continue
		}
		wantText(t, tab, mine(i, 0).Key, fmt.Sprint(wins[i].Load()-1))
	}
}

// testCounters lets many count up the same counters with Replace: no count is lost.
func testCounters(t *testing.T, tab table.Table) {
	const each = 10
	counter := func(i int) table.Item {
		return table.Item{Key: key("p", fmt.Sprint("counter", i)), Attrs: table.Attrs{"n": int64(0)}}
	}
	create(t, tab, counter(0), counter(1))
	race(func(racer int) {
		for range each {
			for {
				it, err := tab.Get(t.Context(), counter(racer%2).Key)
				if err != nil {
					t.Errorf("get a counter: %v", err)
					return
				}
				it.Attrs["n"] = it.Attrs["n"].(int64) + 1
				if err = tab.Commit(t.Context(), op(table.Replace, it)); err == nil {
					break
				}
				if !errors.Is(err, table.ErrConflict) {
					t.Errorf("count: %v", err)
					return
				}
			}
		}
	})
	for i := range 2 {
		if got := get(t, tab, counter(i).Key).Attrs["n"]; got != int64(each*racers/2) {
			t.Errorf("counter %d is %v, want %d", i, got, each*racers/2)
		}
	}
}

// testTransfers moves units between accounts, two at a time, by many at once: what is together never changes.
func testTransfers(t *testing.T, tab table.Table) {
	const accounts, each, start = 4, 10, int64(100)
	account := func(i int) table.Key { return key(fmt.Sprint("account", i), "balance") }
	for i := range accounts {
		create(t, tab, table.Item{Key: account(i), Attrs: table.Attrs{"n": start}})
	}
	transfer := func(from, to int) error {
		items, err := tab.GetMany(t.Context(), []table.Key{account(from), account(to)})
		if err != nil {
			return err
		}
		if len(items) != 2 {
			return fmt.Errorf("got %d accounts of 2", len(items))
		}
		for i := range items {
			delta := int64(1)
			if items[i].Key == account(from) {
				delta = -1
			}
			items[i].Attrs["n"] = items[i].Attrs["n"].(int64) + delta
		}
		return tab.Commit(t.Context(), op(table.Replace, items[0]), op(table.Replace, items[1]))
	}
	race(func(racer int) {
		for i := range each {
			from := (racer + i) % accounts
			to := (from + 1 + i%(accounts-1)) % accounts
			err := transfer(from, to)
			for errors.Is(err, table.ErrConflict) {
				err = transfer(from, to)
			}
			if err != nil {
				t.Errorf("transfer: %v", err)
				return
			}
		}
	})
	var sum int64
	for i := range accounts {
		sum += get(t, tab, account(i)).Attrs["n"].(int64)
	}
	if sum != accounts*start {
		t.Errorf("the accounts hold %d together, want %d", sum, accounts*start)
	}
}
