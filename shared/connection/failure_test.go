package connection_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

var errDisk = errors.New("the table is away")

// onCommit fails the n-th commit (every one, if n is 0), and nothing else.
func onCommit(n int) func(string, int) error {
	return func(op string, i int) error {
		if op == "commit" && (n == 0 || i == n) {
			return errDisk
		}
		return nil
	}
}

func TestChangesWhenTheTableFailsOnce(t *testing.T) {
	for kind, faulty := range map[string]func(table.Table) table.Table{
		"not done": func(inner table.Table) table.Table {
			return &tabletest.Faulty{Table: inner, Before: onCommit(1)}
		},
		"done but told that it failed": func(inner table.Table) table.Table {
			return &tabletest.Faulty{Table: inner, After: onCommit(1)}
		},
	} {
		for name, change := range map[string]func(*connection.Registry, connection.ID) error{
			"Add": func(r *connection.Registry, _ connection.ID) error {
				_, _, err := r.Add(t.Context(), "Globex", connection.GCC, "key-1")
				return err
			},
			"NewLink": func(r *connection.Registry, id connection.ID) error {
				link, err := r.NewLink(t.Context(), id, "key-1")
				if err == nil && len(link) != 12+1+43 {
					t.Errorf("link %q", link)
				}
				return err
			},
			"Consented": func(r *connection.Registry, id connection.ID) error {
				_, err := r.Consented(t.Context(), id, administrator(acme))
				return err
			},
			"Purge": func(r *connection.Registry, id connection.ID) error {
				_, err := r.Purge(t.Context(), id, "key-1")
				return err
			},
			"Rename": func(r *connection.Registry, id connection.ID) error {
				c, err := r.Rename(t.Context(), id, "Globex", "key-1")
				if err == nil && c.DisplayName != "Globex" {
					t.Errorf("it is called %q", c.DisplayName)
				}
				return err
			},
			"Deauthorize": func(r *connection.Registry, id connection.ID) error {
				_, err := r.Deauthorize(t.Context(), id, "key-1")
				return err
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				r, _ := newRegistry(t)
				added, _, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
				if err != nil {
					t.Fatal(err)
				}
				sound := *r
				r.Table = faulty(r.Table)
				if err := change(r, added.ID); err != nil {
					t.Fatalf("it was tried once only: %v", err)
				}
				history, err := sound.History(t.Context(), added.ID)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]int{"Add": 1, "NewLink": 1, "Rename": 1}[name] // the others change the status
				if want == 0 {
					want = 2
				}
				if len(history) != want {
					t.Errorf("%d steps of history, want %d: %v", len(history), want, history)
				}
				all, err := sound.List(t.Context())
				if err != nil || name == "Add" && len(all) != 2 || name != "Add" && len(all) != 1 {
					t.Errorf("%d connections: %v", len(all), err)
				}
			})
		}
	}
}

func TestLinkIsGoodAfterTheTableFailed(t *testing.T) {
	for kind, faulty := range map[string]*tabletest.Faulty{
		"not done":                     {Before: onCommit(1)},
		"done but told that it failed": {After: onCommit(1)},
	} {
		t.Run(kind, func(t *testing.T) {
			o := newOffice(t)
			faulty.Table = o.table
			failing := &connection.Registry{Table: faulty, Now: o.clock.now, Rand: rand.Reader}
			_, link, err := failing.Add(t.Context(), "Acme", connection.Commercial, "key-1")
			if err != nil {
				t.Fatal(err)
			}
			if p := o.browser().open(link); p.status != http.StatusOK {
				t.Errorf("status %d", p.status)
			}
		})
	}
}

func TestConsentedWhileTheTableIsAway(t *testing.T) {
	r, _ := newRegistry(t)
	added, _, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	failing := *r
	failing.Table = &tabletest.Faulty{Table: r.Table, Before: onCommit(0)}
	if _, err := failing.Consented(
		t.Context(),
		added.ID,
		administrator(acme),
	); !errors.Is(err, fault.Retry) ||
		!errors.Is(err, errDisk) {
		t.Errorf("while the table was away: %v", err)
	}
	if got, err := r.Get(t.Context(), added.ID); err != nil || got != added && got.Tenant.ID != "" {
		t.Errorf("half a consent is stored: %+v, %v", got, err)
	}
	if _, err := r.Consented(t.Context(), added.ID, administrator(acme)); err != nil {
		t.Errorf("when the table was back: %v", err)
	}
}

// Whatever write of a whole consent fails, in either way: the administrator gets a page that helps, and with a new link
// the consent ends well.
func TestConsentWhenAnyWriteFails(t *testing.T) {
	for _, done := range []bool{false, true} {
		for n := 1; n <= 6; n++ {
			c := newClock()
			inner := newTable(t, c)
			faulty := &tabletest.Faulty{Table: inner}
			o := openOffice(t, c, faulty)
			id, link := o.add("Acme") // commit 1
			fail := func(op string, i int) error {
				if op == "commit" && i == n+1 || op == "create" && i == n-5 {
					return errDisk
				}
				return nil
			}
			if done {
				faulty.After = fail
			} else {
				faulty.Before = fail
			}
			o.walk(link)
			fresh := &connection.Registry{Table: inner, Now: c.now, Rand: rand.Reader}
			if got, err := fresh.Get(t.Context(), id); err != nil || got.Tenant.ID != "" && got.Tenant.ID != acme {
				t.Fatalf("write %d (done: %t): %+v, %v", n, done, got, err)
			}
			faulty.Before, faulty.After = nil, nil
			link, err := fresh.NewLink(t.Context(), id, "key-1")
			if err != nil {
				t.Fatal(err)
			}
			if p := o.browser().authorize(link, acme); p.status != http.StatusOK {
				t.Errorf("write %d (done: %t): with a new link %d %s", n, done, p.status, p.body)
			}
		}
	}
}

// walk goes as far through a consent as it gets; where it ends must be a page that helps.
func (o *office) walk(link string) {
	o.t.Helper()
	b := o.browser()
	p := b.press(link)
	if p.status == http.StatusSeeOther {
		p = b.callback("code", "good", "state", b.state(p))
	}
	if p.status == http.StatusSeeOther {
		p = b.callback("admin_consent", "True", "tenant", string(acme), "state", b.state(p))
	}
	if p.status != http.StatusOK && p.status != http.StatusServiceUnavailable && p.status != http.StatusGone {
		o.t.Errorf("the consent ended with status %d: %s", p.status, p.body)
	}
}

// Two answers with one state that are read before either is used up.
func TestStateUsedTwiceAtOnce(t *testing.T) {
	c := newClock()
	faulty := &tabletest.Faulty{Table: newTable(t, c)}
	o := openOffice(t, c, faulty)
	_, link := o.add("Acme")
	b := o.browser()
	state := b.signIn(link)

	var both sync.WaitGroup
	both.Add(2)
	var uses atomic.Int32
	faulty.Before = func(op string, _ int) error {
		if op == "commit" && uses.Add(1) <= 2 {
			both.Done()
			both.Wait()
		}
		return nil
	}
	statuses := make([]int, 2)
	var answers sync.WaitGroup
	for i := range statuses {
		answers.Go(func() { statuses[i] = b.callback("code", "good", "state", state).status })
	}
	answers.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{http.StatusSeeOther, http.StatusGone}) {
		t.Errorf("statuses %v", statuses)
	}
}
