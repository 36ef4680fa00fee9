package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ask asks the API, and asks again when the API is unavailable, as a client does.
func (t *teller) ask(ctx context.Context, method, path, body string, want int, into any) error {
	for attempt := 1; ; attempt++ {
		var again *unavailable
		if err := t.once(ctx, method, path, body, want, into); attempt == 5 || !errors.As(err, &again) {
			return err
		}
		t.record.suffer("client asked again")
	}
}

// once asks the API.
func (t *teller) once(ctx context.Context, method, path, body string, want int, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+t.domain+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.token)
	switch {
	case strings.HasPrefix(body, "{"):
		req.Header.Set("Content-Type", "application/json")
	case body != "":
		req.Header.Set("Content-Type", "text/csv")
	}
	return t.do(req, want, into)
}

// unavailable is an answer that asks the client to retry.
type unavailable struct{ text string }

func (u *unavailable) Error() string { return u.text }

func (t *teller) do(req *http.Request, want int, into any) error {
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		said := fmt.Sprintf("%s %s answers %d, want %d: %.400s", req.Method, req.URL.Path, resp.StatusCode, want, body)
		if resp.StatusCode >= http.StatusInternalServerError {
			return &unavailable{said}
		}
		return errors.New(said)
	}
	if into == nil {
		return nil
	}
	if text, ok := into.(*string); ok {
		*text = string(body)
		return nil
	}
	return json.Unmarshal(body, into)
}

// until waits for a condition.
func (t *teller) until(ctx context.Context, what string, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited %s for %s", patience, what))
	defer cancel()
	for {
		if done, err := cond(); done || err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			c, err := t.connection(context.WithoutCancel(ctx))
			return errors.Join(fmt.Errorf("%w; found are %d, and the connection is %+v", context.Cause(ctx), t.seen, c), err)
		}
	}
}
