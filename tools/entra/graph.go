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
	"time"
)

const (
	callTime  = 30 * time.Second
	maxAnswer = 1 << 20
)

// graph is the part of Microsoft Graph v1.0 that registering needs: "Create application", "Update application", "Get
// application", "List organizations". No error of it holds the token.
type graph struct {
	root, token string
}

func (g *graph) create(ctx context.Context, a application) (application, error) {
	var made application
	err := g.call(ctx, "register the application", http.MethodPost, "/applications", a, &made)
	return made, err
}

func (g *graph) get(ctx context.Context, clientID, property string) (application, error) {
	var is application
	err := g.call(ctx, "read the application", http.MethodGet, named(clientID)+"?$select="+property, nil, &is)
	return is, err
}

func (g *graph) patch(ctx context.Context, clientID string, change application) error {
	return g.call(ctx, "change the application", http.MethodPatch, named(clientID), change, nil)
}

// named addresses an application by its client id.
func named(clientID string) string { return "/applications(appId='" + url.PathEscape(clientID) + "')" }

// tenant returns the id of the token's tenant.
func (g *graph) tenant(ctx context.Context) (string, error) {
	var all struct {
		Value []struct{ ID string }
	}
	err := g.call(ctx, "ask for our own tenant's id", http.MethodGet, "/organization?$select=id", nil, &all)
	if err == nil && len(all.Value) != 1 {
		err = fmt.Errorf("ask for our own tenant's id: %d answers", len(all.Value))
	}
	if err != nil {
		return "", err
	}
	return all.Value[0].ID, nil
}

func (g *graph) call(ctx context.Context, what, method, path string, in, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	body := []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, g.root+"/v1.0"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// A redirect would take the token elsewhere.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s: %w", what, refusal(resp.StatusCode, answer))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: read the answer: %w", what, err)
	}
	return nil
}

// refusal is Microsoft's error ("Microsoft Graph error responses").
func refusal(status int, answer []byte) error {
	var said struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(answer, &said) != nil || said.Error.Code == "" {
		return fmt.Errorf("the answer is %d", status)
	}
	text := fmt.Sprintf("the answer is %d %s: %s", status, said.Error.Code, said.Error.Message)
	switch status {
	case http.StatusUnauthorized:
		text += " (is GRAPH_TOKEN of this cloud, and not older than an hour?)"
	case http.StatusForbidden:
		text += " (GRAPH_TOKEN needs Application.ReadWrite.All)"
	}
	return errors.New(text)
}
