package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/m365"
)

// batched measures whether $batch would help: it looks up twenty messages by separate calls, and in one batch; in
// twenty mailboxes, and in one, which allows four calls at a time.
func batched(ctx context.Context, r *report) error {
	server, err := startMail(ctx, "serve-mailboxes")
	if err != nil {
		return err
	}
	t, err := newTeller(ctx, server.doors)
	if err != nil {
		return errors.Join(err, server.stop())
	}
	var figures []error
	for _, tc := range []struct {
		name      string
		mailboxes int
	}{{"20 mailboxes", 20}, {"one mailbox", 1}} {
		single, err := t.singly(ctx, tc.mailboxes)
		if err != nil {
			return errors.Join(err, server.stop())
		}
		together, err := t.together(ctx, tc.mailboxes)
		if err != nil {
			return errors.Join(err, server.stop())
		}
		figures = append(figures,
			r.tell("batch.singly", single.Seconds(), "s for 20 look-ups in "+tc.name+" by calls of their own, 1 s per call"),
			r.tell("batch.together", together.Seconds(), "s for the same in one $batch"))
	}
	return errors.Join(errors.Join(figures...), server.stop())
}

// teller calls Graph directly.
type teller struct {
	graph, token string
	client       *http.Client
}

func newTeller(ctx context.Context, doors m365.Endpoints) (*teller, error) {
	form := url.Values{"client_id": {clientID}, "client_secret": {"bench-secret"}, "grant_type": {"client_credentials"},
		"scope": {doors.GraphScope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, doors.Login+"/"+mailTenant+"/oauth2/v2.0/token",
		bytes.NewBufferString(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	t := &teller{graph: doors.Graph, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}}
	var answer struct {
		Token string `json:"access_token"`
	}
	err = t.do(req, &answer)
	t.token = answer.Token
	return t, err
}

func (t *teller) do(req *http.Request, into any) error {
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %.200s", req.URL.Path, resp.StatusCode, body)
	}
	return errors.Join(err, json.Unmarshal(body, into))
}

func lookUp(n, mailboxes int) string {
	return fmt.Sprintf("/users/user%d@load.example/messages?$filter=", n%mailboxes) +
		url.PathEscape("internetMessageId eq '"+messageID(n%mailboxes)+"'") + "&$select=id"
}

// singly makes each call when its mailbox has a free slot.
func (t *teller) singly(ctx context.Context, mailboxes int) (time.Duration, error) {
	begun := time.Now()
	places := make(chan struct{}, callsAtATime*mailboxes)
	failures := make([]error, 20)
	var all sync.WaitGroup
	for n := range failures {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.graph+"/v1.0"+lookUp(n, mailboxes), nil)
			if err == nil {
				err = t.do(req, new(struct{}))
			}
			failures[n] = err
		})
	}
	all.Wait()
	return time.Since(begun), errors.Join(failures...)
}

// together makes all calls in one batch, and checks that each succeeded.
func (t *teller) together(ctx context.Context, mailboxes int) (time.Duration, error) {
	type part struct {
		ID     string `json:"id"`
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	var parts struct {
		Requests []part `json:"requests"`
	}
	for n := range 20 {
		parts.Requests = append(parts.Requests, part{fmt.Sprint(n), "GET", lookUp(n, mailboxes)})
	}
	body, err := json.Marshal(parts)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.graph+"/v1.0/$batch", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct{ Responses []struct{ Status int } }
	if err := t.do(req, &answer); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	for _, one := range answer.Responses {
		if one.Status != http.StatusOK {
			return 0, fmt.Errorf("a part of the batch has status %d", one.Status)
		}
	}
	return took, nil
}
