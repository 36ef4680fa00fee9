package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	token    = "token-of-the-operator"
	clientID = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	tenantID = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
)

// directory is a Microsoft Graph that keeps one application, as Microsoft's pages say: keys are shown to whoever
// selects them, and a change replaces the lists that it names.
type directory struct {
	t       *testing.T
	app     map[string]any
	mute    bool // keys are not shown
	changes int
}

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	say := func(status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		say(401, map[string]any{"error": map[string]string{"code": "InvalidAuthenticationToken",
			"message": "Access token is empty."}})
		return
	}
	var in map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/json" {
			d.t.Errorf("%s %s: no JSON: %v", r.Method, r.URL, err)
		}
	}
	const one = "/v1.0/applications(appId='" + clientID + "')"
	switch at := r.Method + " " + r.URL.Path; {
	case at == "POST /v1.0/applications":
		d.app, in["appId"], in["id"] = in, clientID, "object-id"
		say(201, in)
	case at == "GET /v1.0/organization":
		say(200, map[string]any{"value": []any{map[string]string{"id": tenantID}}})
	case at == "GET "+one && d.app != nil:
		told := map[string]any{}
		property := r.URL.Query().Get("$select")
		told[property] = d.app[property]
		if keys, ok := told["keyCredentials"].([]any); ok && d.mute {
			for _, k := range keys {
				k.(map[string]any)["key"] = nil
			}
		}
		say(200, told)
	case at == "PATCH "+one && d.app != nil:
		d.changes++
		for name, value := range in {
			d.app[name] = value
		}
		w.WriteHeader(204)
	default:
		say(404, map[string]any{"error": map[string]string{"code": "Request_ResourceNotFound",
			"message": "Resource does not exist."}})
	}
}

// entra runs the command against a directory in the cloud gcchigh.
func (d *directory) entra(args ...string) (string, error) {
	d.t.Helper()
	server := httptest.NewServer(d)
	defer server.Close()
	clouds := map[connection.Cloud]m365.Endpoints{connection.GCCHigh: {Graph: server.URL}}
	var out bytes.Buffer
	err := run(d.t.Context(), args, token, clouds, &out)
	return out.String(), err
}

// certificate writes a certificate and its key into a file, and returns its name and the certificate.
func certificate(t *testing.T) (string, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, &pem.Block{Type: "PRIVATE KEY", Bytes: private}, &pem.Block{Type: "CERTIFICATE", Bytes: raw}), raw
}

func written(t *testing.T, blocks ...*pem.Block) string {
	t.Helper()
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(b)...)
	}
	name := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// keys returns the registered certificates.
func (d *directory) keys() [][]byte {
	d.t.Helper()
	var all [][]byte
	list, _ := d.app["keyCredentials"].([]any)
	for _, k := range list {
		text, _ := k.(map[string]any)["key"].(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

func TestTheApplicationIsRegisteredAndChanged(t *testing.T) {
	d := &directory{t: t}
	first, firstRaw := certificate(t)
	out, err := d.entra("register", "gcchigh", first)
	if err != nil || out != "ClientId   "+clientID+"\nPublisher  "+tenantID+"\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if text := fmt.Sprint(d.app); strings.Contains(text, "PRIVATE") ||
		!slices.EqualFunc(d.keys(), [][]byte{firstRaw}, bytes.Equal) {
		t.Errorf("registered is %v", d.app)
	}
	if d.app["signInAudience"] != "AzureADMultipleOrgs" || d.app["optionalClaims"] == nil {
		t.Errorf("registered is %v", d.app)
	}

	for range 2 { // the second time changes nothing
		if _, err := d.entra("redirect", "gcchigh", clientID, "https://one.example/consent/callback"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.entra("redirect", "gcchigh", clientID, "https://two.example/consent/callback"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.app["web"]); got != "map[redirectUris:[https://one.example/consent/callback "+
		"https://two.example/consent/callback]]" || d.changes != 2 {
		t.Errorf("after %d changes browsers come back to %s", d.changes, got)
	}

	second, secondRaw := certificate(t)
	for range 2 {
		if _, err := d.entra("certificate", "gcchigh", clientID, second); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.EqualFunc(d.keys(), [][]byte{firstRaw, secondRaw}, bytes.Equal) || d.changes != 3 {
		t.Errorf("after %d changes %d certificates are registered", d.changes, len(d.keys()))
	}

	d.app["requiredResourceAccess"] = nil
	if _, err := d.entra("update", "gcchigh", clientID); err != nil || d.app["requiredResourceAccess"] == nil {
		t.Errorf("%v; required is %v", err, d.app["requiredResourceAccess"])
	}
	if len(d.keys()) != 2 || d.app["web"] == nil {
		t.Errorf("an update changes more than it should: %v", d.app)
	}
}

func TestACertificateThatIsNotToldIsNotLost(t *testing.T) {
	d := &directory{t: t}
	first, _ := certificate(t)
	if _, err := d.entra("register", "gcchigh", first); err != nil {
		t.Fatal(err)
	}
	d.mute = true
	second, _ := certificate(t)
	if _, err := d.entra("certificate", "gcchigh", clientID, second); err == nil || d.changes != 0 {
		t.Errorf("%v, %d changes", err, d.changes)
	}
}

func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	good, _ := certificate(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, leaf, curve.Public(), curve)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "say one of"},
		{[]string{"register", "gcchigh"}, "say one of"},
		{[]string{"delete", "gcchigh", clientID}, "say one of"},
		{[]string{"register", "azure", good}, `cloud "azure"`},
		{[]string{"register", "gcchigh", "/no/such/file"}, "read the certificate"},
		{[]string{"register", "gcchigh", written(t)}, "there is no certificate in"},
		{[]string{"register", "gcchigh", written(t, &pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})},
			"read the certificate"},
		{[]string{"register", "gcchigh", written(t, &pem.Block{Type: "CERTIFICATE", Bytes: raw})}, "is not RSA"},
		{[]string{"redirect", "gcchigh", clientID, "http://one.example"}, "no https address"},
		{[]string{"redirect", "gcchigh", clientID, "https://one.example"}, "the answer is 404 Request_ResourceNotFound"},
		{[]string{"certificate", "gcchigh", "x')/owners", good}, "the answer is 404"},
	} {
		if _, err := (&directory{t: t}).entra(c.args...); err == nil || !strings.Contains(err.Error(), c.says) ||
			strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	if err := run(t.Context(), []string{"update", "dod", clientID}, "", m365.Clouds(), io.Discard); err == nil ||
		!strings.Contains(err.Error(), "GRAPH_TOKEN is missing") {
		t.Errorf("%v", err)
	}
	server := httptest.NewServer(&directory{t: t})
	defer server.Close()
	clouds := map[connection.Cloud]m365.Endpoints{connection.Commercial: {Graph: server.URL}}
	if err := run(t.Context(), []string{"update", "commercial", clientID}, "old", clouds, io.Discard); err == nil ||
		!strings.Contains(err.Error(), "401 InvalidAuthenticationToken") {
		t.Errorf("%v", err)
	}
}

// TestThePageOfTheDeploymentNamesEveryPermission compares docs/deploy.md with what the code needs: each permission with
// its id.
func TestThePageOfTheDeploymentNamesEveryPermission(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	need := m365.RequiredPermissions()
	for _, name := range slices.Concat(need.Activity, need.Graph) {
		if id := ids()[name]; id == "" || !strings.Contains(string(page), "| `"+name+"` |") ||
			!strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("tools/entra does not know the id of %s, or docs/deploy.md has no line for it with that id and why it "+
				"is needed", name)
		}
	}
}

func TestTheManifestIsTheOneInTheDocs(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"manifest"}, "", nil, &out); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/entra.json"
	if *update {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || out.String() != string(want) {
		t.Errorf("docs/entra.json is not what the code registers: go test ./tools/entra -update (%v)", err)
	}
}
