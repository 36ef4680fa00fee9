package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	probes     = 60
	probeEvery = 50 * time.Millisecond
)

// latency measures how long a send takes from being listed to being found by a search over HTTP, while it works through
// a backlog of six hours ago.
func latency(ctx context.Context, r *report) error {
	st, err := open(ctx, 0, 1, 250*time.Millisecond)
	if err != nil {
		return err
	}
	if err := st.publish(shape{blobs: 400, records: 500}, time.Now().Add(-6*time.Hour)); err != nil {
		return err
	}
	stop := st.run(ctx)
	ask, err := st.asker(ctx)
	if err != nil {
		return err
	}

	// Another seed gives other mails. Each probe is a blob of one record that becomes available now.
	results := make(chan result, probes)
	for _, record := range company.SendRecords(2, probes, recordSize) {
		if _, err := st.sim.Publish(st.tenants[0], contentType, time.Now(), []world.Record{record}); err != nil {
			return err
		}
		go func() { results <- ask.until(ctx, record) }()
		time.Sleep(probeEvery) // spacing of the load, not waiting for anything
	}
	sums, err := st.machine.Ledger.Sums(ctx, st.ids[0])
	if err != nil {
		return err
	}
	var seconds []float64
	for range probes {
		one := <-results
		if one.err != nil {
			return one.err
		}
		seconds = append(seconds, one.took.Seconds())
	}
	slices.Sort(seconds)
	return errors.Join(
		r.tell("latency.backlog", float64(sums.Open()), "blobs still open when the last probe was published"),
		r.below("latency.p50", quantile(seconds, 0.5), "s from listed to found", 2),
		r.below("latency.p99", quantile(seconds, 0.99), "s from listed to found", 2),
		stop(), st.close(),
	)
}

type result struct {
	took time.Duration
	err  error
}

// asker calls Forensic Search as a client does.
type asker struct {
	base, token string
	client      *http.Client
}

func (st *stage) asker(ctx context.Context) (*asker, error) {
	client, secret, err := st.machine.Clients.Create(ctx, "bench",
		access.NewClient{Name: "bench", Roles: []access.Role{access.Analyst}})
	if err != nil {
		return nil, err
	}
	a := &asker{base: "http://" + st.addr.Addr().String(), client: newClient()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/v1/oauth", nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(client.ID, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := a.do(req, &answer); err != nil {
		return nil, err
	}
	a.token = answer.Token
	return a, nil
}

func (a *asker) do(req *http.Request, into any) error {
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %.200s", req.URL.Path, resp.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}

// until searches for the record's file until it is found, and returns how long that was after it was listed.
func (a *asker) until(ctx context.Context, record world.Record) result {
	decoded, err := audit.Decode(record.JSON)
	if err != nil {
		return result{err: err}
	}
	files, _ := audit.ParseAttachments(decoded.Item.Attachments)
	query := fmt.Sprintf(`{"groups":[{"filters":[{"term":"file.name","operator":"IS","value":%q}]}]}`, files[0].Name)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/v2/file-events", bytes.NewBufferString(query))
		if err != nil {
			return result{err: err}
		}
		req.Header.Set("Authorization", "Bearer "+a.token)
		req.Header.Set("Content-Type", "application/json")
		var answer struct {
			FileEvents []struct {
				Event struct{ Ingested time.Time }
				User  struct{ Email string }
			} `json:"fileEvents"`
		}
		if err := a.do(req, &answer); err != nil {
			return result{err: err}
		}
		for _, e := range answer.FileEvents {
			if e.User.Email == decoded.UserID && time.Since(e.Event.Ingested) < time.Minute {
				return result{took: time.Since(e.Event.Ingested)}
			}
		}
		select {
		case <-ctx.Done():
			return result{err: ctx.Err()}
		case <-time.After(20 * time.Millisecond):
		}
	}
}
