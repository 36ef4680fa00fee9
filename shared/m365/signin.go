package m365

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// signInTenant is where administrators sign in while we do not know their tenant: with any work account, but no
// personal one.
const signInTenant = "organizations"

// SignInURL is where the browser goes to sign in: code flow at /organizations, with PKCE (S256) and a nonce.
func (c *Client) SignInURL(cloud connection.Cloud, ch connection.Challenge) (string, error) {
	e, err := c.endpoints(cloud)
	if err != nil {
		return "", fmt.Errorf("make a sign-in address: %w", err)
	}
	if ch.State == "" || ch.Nonce == "" || ch.Verifier == "" {
		return "", errors.New("make a sign-in address: the challenge is not complete")
	}
	return c.codeFlow(cloud, e).AuthCodeURL(ch.State,
		oauth2.SetAuthURLParam("nonce", ch.Nonce),
		oauth2.SetAuthURLParam("response_mode", "query"),
		oauth2.SetAuthURLParam("prompt", "select_account"),
		oauth2.S256ChallengeOption(ch.Verifier)), nil
}

// ConsentURL is where the browser goes to consent for the whole tenant. It asks for Graph's /.default, for which
// Microsoft shows all permissions that our application is registered for, of every resource.
func (c *Client) ConsentURL(t connection.Tenant, state string) (string, error) {
	e, err := c.endpointsOf(t)
	if err != nil {
		return "", fmt.Errorf("make a consent address: %w", err)
	}
	if state == "" {
		return "", errors.New("make a consent address: the state is missing")
	}
	query := url.Values{
		"client_id":    {c.applications[t.Cloud].ClientID},
		"redirect_uri": {c.config.RedirectURL},
		"scope":        {e.GraphScope},
		"state":        {state},
	}
	return e.Login + "/" + string(t.ID) + "/v2.0/adminconsent?" + query.Encode(), nil
}

// Redeem exchanges the code of a sign-in, verifies the id_token, and returns who signed in. An error is fault.Refused
// if the code or the token is not acceptable, fault.Ours if our credential is not, and fault.Retry if Microsoft could
// not be reached.
func (c *Client) Redeem(
	ctx context.Context,
	cloud connection.Cloud,
	code string,
	ch connection.Challenge,
) (connection.Administrator, error) {
	const what = "redeem the code of a sign-in"
	e, err := c.endpoints(cloud)
	if err != nil {
		return connection.Administrator{}, fmt.Errorf("%s: %w", what, err)
	}
	if code == "" || ch.Nonce == "" || ch.Verifier == "" {
		return connection.Administrator{}, &fault.Error{
			Kind: fault.Refused,
			Err:  fmt.Errorf("%s: the code or its challenge is missing", what),
		}
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	idToken, err := c.exchange(ctx, what, cloud, e, code, ch.Verifier)
	if err != nil {
		return connection.Administrator{}, err
	}
	return c.administrator(ctx, cloud, e, idToken, ch.Nonce)
}

// exchange returns the raw id_token. We have no use for the access token beside it, and drop it. A refused credential
// does not use the code up, since Microsoft checks the credential first.
func (c *Client) exchange(
	ctx context.Context,
	what string,
	cloud connection.Cloud,
	e Endpoints,
	code, verifier string,
) (string, error) {
	flow := c.codeFlow(cloud, e)
	var got *oauth2.Token
	err := c.applications[cloud].keys.use(ctx, func(cred Credential) error {
		params, err := c.params(cred, flow.ClientID, flow.Endpoint.TokenURL)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		options := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
		for name := range params {
			options = append(options, oauth2.SetAuthURLParam(name, params.Get(name)))
		}
		if got, err = flow.Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.http), code, options...); err != nil {
			return c.loginFailure(what, err, append(secretsOf(params), code, verifier)...)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	idToken, _ := got.Extra("id_token").(string)
	if idToken == "" {
		return "", &fault.Error{
			Kind: fault.Refused,
			Code: BadIDToken,
			Err:  fmt.Errorf("%s: the answer holds no id_token", what),
		}
	}
	return idToken, nil
}

func (c *Client) codeFlow(cloud connection.Cloud, e Endpoints) *oauth2.Config {
	root := e.Login + "/" + signInTenant + "/oauth2/v2.0"
	return &oauth2.Config{
		ClientID:    c.applications[cloud].ClientID,
		RedirectURL: c.config.RedirectURL,
		Scopes:      []string{"openid", "profile"},
		Endpoint: oauth2.Endpoint{
			AuthURL:   root + "/authorize",
			TokenURL:  root + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}
