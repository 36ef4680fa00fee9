package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// answers is what the release answered about its own store. The client exists in that store only, and is useless
// elsewhere.
type answers struct {
	Release      string                     `json:"release"`
	At           time.Time                  `json:"at"`
	ClientID     string                     `json:"clientId"`
	ClientSecret string                     `json:"clientSecret"`
	Answers      map[string]json.RawMessage `json:"answers"` // by method, path and body
}

// everything finds every event.
const everything = `{"groups":[{"filters":[{"term":"file.name","operator":"IS","value":"*"}]}],"pgSize":10000}`

// live runs the release until its company's past is read and enriched, and then queries it.
func live(ctx context.Context, binary, data string) (_ *answers, err error) {
	command := exec.CommandContext(ctx, binary, "serve")
	command.Env = append(os.Environ(), "ADDR=127.0.0.1:18996", "DATA="+data)
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	if err := command.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGINT) // it may have ended
		err = errors.Join(err, command.Wait())
	}()

	var told struct{ API, Control, ClientID, ClientSecret string }
	err = until(ctx, func() error {
		b, err := os.ReadFile(filepath.Join(data, "run.json"))
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &told)
	})
	if err != nil {
		return nil, err
	}
	c := &caller{base: told.API}
	if err := c.login(ctx, told.ClientID, told.ClientSecret); err != nil {
		return nil, err
	}
	id, err := c.act(ctx, told.Control)
	if err != nil {
		return nil, err
	}
	all, err := c.settled(ctx, id)
	return &answers{At: time.Now().UTC(), ClientID: told.ClientID, ClientSecret: told.ClientSecret, Answers: all}, err
}

// until repeats do until it succeeds.
func until(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(time.Second):
		}
	}
}

// caller is a client of the release's API.
type caller struct{ base, token string }

func (c *caller) login(ctx context.Context, id, secret string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/oauth", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(id, secret)
	b, err := do(req)
	if err != nil {
		return err
	}
	var got struct {
		Token string `json:"access_token"`
	}
	err = json.Unmarshal(b, &got)
	c.token = got.Token
	return err
}

// call sends "METHOD /path" with a body, which may be empty.
func (c *caller) call(ctx context.Context, method, path, body string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	return do(req)
}

func do(req *http.Request) ([]byte, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", req.Method, req.URL.Path, res.Status, b)
	}
	return b, err
}

// act makes changes that the store should record, stops Microsoft from listing more, and returns the company's
// connection.
func (c *caller) act(ctx context.Context, control string) (id string, err error) {
	b, err := c.call(ctx, "GET", "/v1/connections", "")
	if err != nil {
		return "", err
	}
	var list struct{ Connections []struct{ ID string } }
	if err := json.Unmarshal(b, &list); err != nil || len(list.Connections) != 1 {
		return "", fmt.Errorf("connections are %s, %w", b, err)
	}
	id = list.Connections[0].ID
	for _, call := range [][3]string{
		{"PATCH", "/v1/connections/" + id, `{"displayName":"Kept"}`},
		{"POST", "/v1/connections", `{"displayName":"Never consented"}`},
		{"POST", "/v2/file-events", everything},
	} {
		if _, err := c.call(ctx, call[0], call[1], call[2]); err != nil {
			return "", err
		}
	}
	elsewhere := &caller{base: control}
	_, err = elsewhere.call(ctx, "POST", "/faults", `{"op":"feed.list","status":503}`)
	return id, err
}

// settled repeats a query until nothing is open and two answers in a row are equal.
func (c *caller) settled(ctx context.Context, id string) (all map[string]json.RawMessage, err error) {
	var before []byte
	err = until(ctx, func() error {
		all = map[string]json.RawMessage{}
		for _, call := range [][3]string{
			{"POST", "/v2/file-events", everything},
			{"GET", "/v1/connections", ""},
			{"GET", "/v1/connections/" + id, ""},
			{"GET", "/v1/connections/" + id + "/scope", ""},
			{"GET", "/v1/connections/" + id + "/people?pgSize=1000", ""},
			{"GET", "/v1/trail?pgSize=1000", ""},
		} {
			b, err := c.call(ctx, call[0], call[1], call[2])
			if err != nil {
				return err
			}
			all[call[0]+" "+call[1]] = b
		}
		events := all["POST /v2/file-events"]
		alike := bytes.Equal(events, before)
		before = events
		var one struct{ Ledger struct{ Settled, Open int } }
		if err := json.Unmarshal(all["GET /v1/connections/"+id], &one); err != nil {
			return err
		}
		if !alike || one.Ledger.Open > 0 || one.Ledger.Settled == 0 {
			return fmt.Errorf("not settled yet: %+v", one)
		}
		return nil
	})
	return all, err
}
