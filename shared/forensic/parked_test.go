package forensic_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// followed answers one by one whether the connection is followed; the last answer stays.
type followed struct {
	answers []bool
	err     error
}

func (f *followed) ReportBlob(context.Context, connection.ID, error) error { return nil }

func (f *followed) Follows(context.Context, connection.ID) (bool, error) {
	is := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	return is, f.err
}

// Pain 19: a change leaves pending work stuck. A blob of a connection that is not followed puts nothing into the
// table, and stays open.
func TestABlobOfAConnectionThatIsNotFollowedIsParked(t *testing.T) {
	large := strings.Repeat("x", 600<<10)
	var records []string
	for n := range 9 {
		records = append(records, strings.Replace(send(n, "a.pdf (1b)"), `"Version":1`, `"New":"`+large+`"`, 1))
	}
	for name, tc := range map[string]struct {
		answers []bool
		state   audit.State
		some    bool
	}{
		"before it is read":   {[]bool{false}, "", false},
		"before a batch":      {[]bool{true, false}, audit.Begun, false},
		"between two batches": {[]bool{true, true, false}, audit.Begun, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			body := w.add("blob", now, array(records...))
			in := w.ingester()
			in.Connections = &followed{answers: tc.answers}
			if err := in.Ingest(t.Context(), body); err != nil {
				t.Fatal(err)
			}
			if got := len(shown(t, w.events)); (got > 0) != tc.some || got == len(records) {
				t.Errorf("%d messages were stored", got)
			}
			if tc.state != "" {
				if e := w.entry(t, "blob"); e.State != tc.state {
					t.Errorf("the blob is %s, want %s", e.State, tc.state)
				}
			}

			retry(t, w, body) // it was resumed
			if got := len(shown(t, w.events)); got != len(records) {
				t.Errorf("%d messages after it was resumed, want %d", got, len(records))
			}
			if e := w.entry(t, "blob"); e.State != audit.Settled || e.Tally.Messages != int64(len(records)) {
				t.Errorf("the blob is %s with %+v", e.State, e.Tally)
			}
		})
	}
}

func TestABlobComesBackWhenNobodyKnowsWhetherItsConnectionIsFollowed(t *testing.T) {
	w := newWorld(t)
	in := w.ingester()
	away := errors.New("the table is away")
	in.Connections = &followed{answers: []bool{true}, err: away}
	if err := in.Ingest(t.Context(), w.add("blob", now, array(send(1, "a.pdf (1b)")))); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
}
