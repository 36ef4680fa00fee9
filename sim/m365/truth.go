package m365sim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// TruthSource gives what was really sent in [from, to), with the hashes of the files when they are wanted: they take as
// long as the files are large.
type TruthSource func(from, to time.Time, hashes bool) ([]world.Truth, error)

// KnowTruth lets the control door say what was really sent from a tenant.
func (s *Server) KnowTruth(tenantID string, source TruthSource) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.truth = source
	return nil
}

// Truth is what was really sent from a tenant in [from, to).
func (s *Server) Truth(tenantID string, from, to time.Time, hashes bool) ([]world.Truth, error) {
	t, err := s.known(tenantID)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	source := t.truth
	t.mu.RUnlock()
	if source == nil {
		return nil, fmt.Errorf("nobody knows what was sent from tenant %s", tenantID)
	}
	return source(from.UTC(), to.UTC(), hashes)
}

// showTruth is the lever GET /truth: the last hour, unless from and to say otherwise.
func showTruth(s *Server, r *http.Request) (any, error) {
	q := r.URL.Query()
	to := s.Now()
	from := to.Add(-time.Hour)
	for name, at := range map[string]*time.Time{"from": &from, "to": &to} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		var err error
		if *at, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	truth, err := s.Truth(q.Get("tenant"), from, to, q.Get("hashes") == "true")
	return append([]world.Truth{}, truth...), err
}
