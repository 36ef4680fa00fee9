package operator

import (
	"context"
	"net/http"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
)

// Verified is what became of recounting the ledger of one connection.
type Verified struct {
	Connection  connection.ID `json:"connection"`
	DisplayName string        `json:"displayName"`
	Listed      int64         `json:"listed"`
	Settled     int64         `json:"settled"`
	Open        int64         `json:"open"`
	Lost        int64         `json:"lost"`
	Events      int64         `json:"events"`
	Expired     bool          `json:"expired"` // some of what has ended is kept as sums only
	Wrong       []string      `json:"wrong"`   // what contradicts itself; empty is good
	More        int           `json:"more"`    // how many contradictions were left out
}

// Verification is the answer to POST /operator/verify.
type Verification struct {
	Connections []Verified `json:"connections"`
	Deleting    int        `json:"deleting"` // connections that are being deleted, whose ledgers are not whole any more
}

// verify recounts every connection's ledger, as all was at one moment: work that goes on meanwhile makes nothing wrong.
func (o *Operator) verify(w http.ResponseWriter, r *http.Request) error {
	var all Verification
	err := o.Store.View(r.Context(), func(then embedded.View) (err error) {
		all, err = verify(r.Context(), agents.New(agents.Surroundings{
			Connections: then.Table("connections"), Blobs: then.Table("blobs"), Now: o.Now, Log: o.Log,
		}))
		return err
	})
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, all)
	return nil
}

func verify(ctx context.Context, then *agents.Agents) (Verification, error) {
	all := Verification{Connections: []Verified{}}
	connections, err := then.Registry.List(ctx)
	if err != nil {
		return all, err
	}
	for _, c := range connections {
		if !c.Purge.Asked.IsZero() {
			all.Deleting++
			continue
		}
		found, err := then.Ledger.Verify(ctx, c.ID)
		if err != nil {
			return all, err
		}
		v := Verified{
			Connection: c.ID, DisplayName: c.DisplayName, Listed: found.Kept.Listed, Settled: found.Kept.Settled,
			Open: found.Kept.Open(), Lost: found.Kept.Lost, Events: found.Kept.Tally.Events,
			Expired: found.Expired, Wrong: found.Wrong, More: found.More,
		}
		if v.Wrong == nil {
			v.Wrong = []string{}
		}
		all.Connections = append(all.Connections, v)
	}
	return all, nil
}
