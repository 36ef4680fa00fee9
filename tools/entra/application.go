package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/m365"
)

// application is the registered application (Microsoft Graph: "application resource type"). In a change, empty fields
// stay as they are.
type application struct {
	AppID    string          `json:"appId,omitempty"`
	Name     string          `json:"displayName,omitempty"`
	Audience string          `json:"signInAudience,omitempty"`
	Requires []requires      `json:"requiredResourceAccess,omitempty"`
	Groups   string          `json:"groupMembershipClaims,omitempty"`
	Claims   *claims         `json:"optionalClaims,omitempty"`
	Keys     []keyCredential `json:"keyCredentials,omitempty"`
	Web      *web            `json:"web,omitempty"`
}

// requires lists the permissions on one resource ("requiredResourceAccess resource type").
type requires struct {
	Resource string   `json:"resourceAppId"`
	Access   []access `json:"resourceAccess"`
}

// access is one permission; Role is an application permission.
type access struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type claims struct {
	IDToken []claim `json:"idToken"`
}

type claim struct {
	Name      string `json:"name"`
	Essential bool   `json:"essential"`
}

type web struct {
	RedirectURIs []string `json:"redirectUris"`
}

// keyCredential is a certificate without its private key ("keyCredential resource type"). Fields that Microsoft adds
// are sent back unchanged.
type keyCredential struct {
	Type       string     `json:"type"`
	Usage      string     `json:"usage"`
	Name       string     `json:"displayName,omitempty"`
	Key        []byte     `json:"key"`
	KeyID      string     `json:"keyId,omitempty"`
	Identifier string     `json:"customKeyIdentifier,omitempty"`
	Starts     *time.Time `json:"startDateTime,omitempty"`
	Ends       *time.Time `json:"endDateTime,omitempty"`
}

const (
	activityAPI    = "c5393580-f805-4401-95e8-94b7a6ef2fc2" // Office 365 Management APIs, in every cloud
	microsoftGraph = "00000003-0000-0000-c000-000000000000"
)

// ids are those of application permissions ("Microsoft Graph permissions reference"; those of the Management APIs
// stand in Microsoft's samples).
func ids() map[string]string {
	return map[string]string{
		"ActivityFeed.Read":    "594c1fb6-4f81-4475-ae41-0c394909246c",
		"Mail.Read":            "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
		"User.Read.All":        "df021288-bdef-4463-88db-98f22de89214",
		"GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
		"Files.Read.All":       "01d4889c-1287-42c6-ac1f-5d1e02578ef6",
	}
}

// manifest is the application as the code needs it: its permissions, and the claims that make the consent safe.
func manifest() (application, error) {
	need := m365.RequiredPermissions()
	feed, err := roles(activityAPI, need.Activity)
	if err != nil {
		return application{}, err
	}
	people, err := roles(microsoftGraph, need.Graph)
	if err != nil {
		return application{}, err
	}
	return application{
		Name: "Mailtrail", Audience: "AzureADMultipleOrgs", Requires: []requires{feed, people},
		// wids says which roles the administrator holds, acct whether they are a guest; without wids every consent is
		// refused. Microsoft documents wids for the optional claim in some places and for groupMembershipClaims in others.
		Groups: "DirectoryRole",
		Claims: &claims{IDToken: []claim{{"wids", true}, {"acct", true}}},
	}, nil
}

func roles(resource string, names []string) (requires, error) {
	r := requires{Resource: resource}
	for _, name := range names {
		id, ok := ids()[name]
		if !ok {
			return requires{}, fmt.Errorf("the id of permission %s is not known", name)
		}
		r.Access = append(r.Access, access{ID: id, Type: "Role"})
	}
	return r, nil
}

// register registers the application and prints the stack's parameters.
func register(ctx context.Context, g *graph, a application, certificate string, out io.Writer) error {
	key, err := publicKey(certificate)
	if err != nil {
		return err
	}
	a.Keys = []keyCredential{key}
	made, err := g.create(ctx, a)
	if err != nil {
		return err
	}
	// Print the client id first: if the next request fails, the application exists all the same.
	if _, err := fmt.Fprintf(out, "ClientId   %s\n", made.AppID); err != nil {
		return err
	}
	tenant, err := g.tenant(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Publisher  %s\n", tenant)
	return err
}

// redirect adds an address to which browsers may be sent back. Existing ones stay.
func redirect(ctx context.Context, g *graph, clientID, uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return fmt.Errorf("%q is no https address", uri)
	}
	is, err := g.get(ctx, clientID, "web")
	if err != nil {
		return err
	}
	if is.Web == nil {
		is.Web = &web{}
	}
	if slices.Contains(is.Web.RedirectURIs, uri) {
		return nil
	}
	return g.patch(ctx, clientID, application{Web: &web{RedirectURIs: append(is.Web.RedirectURIs, uri)}})
}

// certify adds a certificate. It sends the existing ones along, because a change replaces them all.
func certify(ctx context.Context, g *graph, clientID, certificate string) error {
	key, err := publicKey(certificate)
	if err != nil {
		return err
	}
	is, err := g.get(ctx, clientID, "keyCredentials")
	if err != nil {
		return err
	}
	for _, k := range is.Keys {
		if len(k.Key) == 0 {
			return errors.New("a certificate that is registered is not told by Microsoft, and would be lost: add the new " +
				"one in the portal")
		}
		if slices.Equal(k.Key, key.Key) {
			return nil
		}
	}
	return g.patch(ctx, clientID, application{Keys: append(is.Keys, key)})
}

// publicKey reads the certificate in a PEM file. A private key in the same file is not sent.
func publicKey(name string) (keyCredential, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return keyCredential{}, fmt.Errorf("read the certificate: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return keyCredential{}, fmt.Errorf("read the certificate %s: %w", name, err)
		}
		if leaf.PublicKeyAlgorithm != x509.RSA {
			return keyCredential{}, fmt.Errorf("the certificate %s is not RSA, which Microsoft wants", name)
		}
		return keyCredential{Type: "AsymmetricX509Cert", Usage: "Verify", Name: "Mailtrail", Key: leaf.Raw}, nil
	}
	return keyCredential{}, fmt.Errorf("there is no certificate in %s", name)
}
