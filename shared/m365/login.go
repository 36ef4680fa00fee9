package m365

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// fetchToken gets an access token by client credentials, at the tenant's own endpoint, for one resource.
func (c *Client) fetchToken(ctx context.Context, key tokenKey) (token, error) {
	what := fmt.Sprintf("get a token for the %s of tenant %s", key.resource, key.tenant.ID)
	e, err := c.endpointsOf(key.tenant)
	if err != nil {
		return token{}, fmt.Errorf("%s: %w", what, err)
	}
	scope := e.ActivityScope
	if key.resource == graph {
		scope = e.GraphScope
	}
	tokenURL := e.Login + "/" + string(key.tenant.ID) + "/oauth2/v2.0/token"
	ctx, cancel := brief(ctx)
	defer cancel()
	app := c.applications[key.tenant.Cloud]
	var asked time.Time
	var got *oauth2.Token
	err = app.keys.use(ctx, func(cred Credential) error {
		params, err := c.params(cred, app.ClientID, tokenURL)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		grant := clientcredentials.Config{
			ClientID: app.ClientID, TokenURL: tokenURL, Scopes: []string{scope},
			EndpointParams: params, AuthStyle: oauth2.AuthStyleInParams,
		}
		asked = c.config.Now()
		if got, err = grant.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http)); err != nil {
			return c.loginFailure(what, err, secretsOf(params)...)
		}
		return nil
	})
	if err != nil {
		return token{}, c.naming(ctx, key.tenant, err)
	}
	life := lifetime(got)
	if life <= 0 {
		return token{}, &fault.Error{
			Kind: fault.Retry,
			Code: Unreadable,
			Err:  fmt.Errorf("%s: the answer does not say how long the token lives", what),
		}
	}
	return token{value: got.AccessToken, renew: asked.Add(life - min(renewAhead, life/3))}, nil
}

// loginFailure classifies an error of x/oauth2. Those errors quote the whole answer, so none of them is passed on.
func (c *Client) loginFailure(what string, err error, hidden ...string) error {
	var refusal *oauth2.RetrieveError
	if errors.As(err, &refusal) {
		a := answer{
			what: what, status: refusal.Response.StatusCode, header: refusal.Response.Header,
			body: refusal.Body, hidden: hidden, now: c.config.Now(),
		}
		return a.loginError()
	}
	var network *url.Error
	if errors.As(err, &network) {
		return unreachable(what, err, hidden...)
	}
	return &fault.Error{Kind: fault.Retry, Code: Unreadable, Err: fmt.Errorf("%s: the answer is no token", what)}
}

// lifetime reads expires_in, which v1 endpoints write as a string. We do not use x/oauth2's Expiry, which goes by a
// clock that is not ours.
func lifetime(t *oauth2.Token) time.Duration {
	switch seconds := t.Extra("expires_in").(type) {
	case float64:
		return time.Duration(min(seconds, (24*time.Hour).Seconds())) * time.Second
	case string:
		n, _ := strconv.ParseUint(seconds, 10, 16)
		return time.Duration(n) * time.Second
	}
	return 0
}
