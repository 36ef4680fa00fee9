// Package m365 is the client for Microsoft 365: the login of Microsoft Entra ID, the Office 365 Management Activity
// API, and Microsoft Graph.
//
// Each call follows a page of Microsoft's:
//
//   - SignInURL and Redeem: "Microsoft identity platform and OAuth 2.0 authorization code flow", "Secure applications
//     and APIs by validating claims"
//   - ConsentURL: "Admin consent on the Microsoft identity platform"
//   - tokens: "OAuth 2.0 client credentials flow on the Microsoft identity platform", "Microsoft identity platform
//     application authentication certificate credentials"
//   - Subscribe, List, Open: "Office 365 Management Activity API reference" and its page on troubleshooting
//   - FindSent, FindAnywhere, Attachments, OpenAttachment: "List messages", "List attachments", "Get attachment" of
//     Microsoft Graph
//   - ResolveShared, OpenShared: "Access shared items", "Download the contents of a driveItem"
//   - what an AADSTS code means: "Microsoft Entra authentication and authorization error codes"
//
// Every failure is a *fault.Error, so that callers branch on its kind and its code. No error holds a token, a code, a
// secret or an assertion: answers are quoted by one cleaned line only.
package m365

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

const (
	// callTime bounds a whole call whose answer is small. Content blobs are bounded by patience only.
	callTime = time.Minute
	// patience is how long an answer may be silent: before its header, or between two bytes of its body.
	patience = 30 * time.Second
)

// Config configures a Client: RedirectURL, and our application, one for all clouds or one for each.
type Config struct {
	ClientID    string       // our application's id
	Secret      string       // our application's client secret, or "" with a Certificate
	Certificate *Certificate // our application's certificate, or nil with a Secret
	// GUID of our own tenant: PublisherIdentifier, by which Microsoft counts our requests apart
	Publisher string
	// Credentials are further credentials of the application, while one replaces another. They may also be given
	// instead of Secret and Certificate.
	Credentials []Credential
	Renew       func(ctx context.Context) ([]Credential, error) // see Application

	// Applications are the applications of clouds that have one of their own. The fields above may be empty if every
	// cloud has.
	Applications map[connection.Cloud]Application
	RedirectURL  string // where sign-in and consent come back to; registered with every application

	Endpoints   map[connection.Cloud]Endpoints // the clouds that are served; nil means Clouds()
	Permissions Permissions                    // zero means RequiredPermissions()

	// HTTP lends its transport; nil means our own, which ignores proxies of the environment. Its Timeout and
	// CheckRedirect are not used: content may stream for any time, and redirects are refused.
	HTTP *http.Client
	Now  func() time.Time // nil means time.Now
	Rand io.Reader        // nil means crypto/rand.Reader
}

// Client talks to Microsoft as our application. It is safe for concurrent use.
type Client struct {
	config       Config
	applications map[connection.Cloud]*registration
	http         *http.Client
	tokens       *tokens
	scoped       scoped
}

// New checks the configuration; its error names everything that is missing or wrong. It does not contact Microsoft.
func New(c Config) (*Client, error) {
	if c.Endpoints == nil {
		c.Endpoints = Clouds()
	}
	if c.Permissions.empty() {
		c.Permissions = RequiredPermissions()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if err := errors.Join(c.check(), c.outdated()); err != nil {
		return nil, fmt.Errorf("configure the Microsoft client: %w", err)
	}
	c.Endpoints = maps.Clone(c.Endpoints)
	client := &Client{
		config: c, applications: c.registrations(),
		http: &http.Client{Transport: transport(c.HTTP), CheckRedirect: refuseRedirect},
	}
	client.tokens = newTokens(c.Now, client.fetchToken)
	return client, nil
}

func (c Config) check() error {
	var wrong []error
	switch {
	case c.RedirectURL == "":
		wrong = append(wrong, errors.New("RedirectURL is missing"))
	case !isAbsolute(c.RedirectURL):
		wrong = append(wrong, errors.New("RedirectURL is no absolute URL"))
	case isPlain(c.RedirectURL):
		wrong = append(
			wrong,
			errors.New("RedirectURL is plain http beyond this machine: Microsoft sends codes there, so it must "+
				"be https"),
		)
	}
	if !c.allNamed() {
		wrong = append(wrong, c.application().check())
	}
	for cloud, a := range c.Applications {
		if err := a.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("Application of cloud %s: %w", cloud, err))
		}
		if _, ok := c.Endpoints[cloud]; !ok {
			wrong = append(wrong, fmt.Errorf("Application of cloud %s: there are no Endpoints of that cloud", cloud))
		}
	}
	if len(c.Endpoints) == 0 {
		wrong = append(wrong, errors.New("Endpoints are missing"))
	}
	for cloud, e := range c.Endpoints {
		if err := e.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("Endpoints of cloud %s: %w", cloud, err))
		}
	}
	return errors.Join(wrong...)
}

// isPlain says whether an absolute URL is http to another machine.
func isPlain(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "http" && !loopback(u.Hostname())
}

func isAbsolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// transport is the lent one, or one that serves a thousand tenants with few connections. A cloud has three hosts, so
// many idle connections are kept per host, and most of a thousand waiting requests find one open.
func transport(lent *http.Client) http.RoundTripper {
	if lent != nil && lent.Transport != nil {
		return lent.Transport
	}
	return &http.Transport{
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    128,
		MaxConnsPerHost:        512,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// An attachment that arrives faster than it is hashed waits in a buffer of this size; the default is 4 MB.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20},
	}
}

// refuseRedirect returns the redirect itself to the caller: Microsoft's APIs send none, and a token must not follow
// one.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// brief limits a call whose answer is small.
func brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTime)
}
