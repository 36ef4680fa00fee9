package functions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The secrets of these tests. None of them may appear in a log or an answer.
const (
	credential   = "client-secret-of-the-application"
	clientSecret = "c2VjcmV0LXRoYXQtb3BlbnMtbm90aGluZy1hdC1hbGwtMDA"
	bearer       = "dG9rZW4tdGhhdC1vcGVucy1ub3RoaW5nLWF0LWFsbC0"
)

// amazon is an AWS that hands out one secret and denies everything else. It records every call, so that a test sees
// what a function calls, and what it does if its role does not allow a call.
type amazon struct {
	url    string
	secret string // "" denies that too

	mu    sync.Mutex
	asked []string
}

func newAmazon(t *testing.T) *amazon { return amazonWith(t, credential) }

// amazonWith is an amazon that hands out another secret.
func amazonWith(t *testing.T, secret string) *amazon {
	a := &amazon{secret: secret}
	server := httptest.NewUnstartedServer(a)
	a.url = "http://" + server.Listener.Addr().String()
	server.Start()
	t.Cleanup(server.Close)
	return a
}

func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ TableName, QueueUrl, SecretId string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, verb, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	what := in.TableName + strings.TrimPrefix(in.QueueUrl, a.url+"/") + in.SecretId
	a.mu.Lock()
	a.asked = append(a.asked, verb+" "+what)
	secret := a.secret
	a.mu.Unlock()

	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if verb == "GetSecretValue" && secret != "" {
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": secret})
		return
	}
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(w, `{"__type":"com.amazonaws#AccessDeniedException","message":"denied by this test"}`)
}

// calls returns the different calls since it was last asked, sorted.
func (a *amazon) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Compact(slices.Sorted(slices.Values(a.asked)))
	a.asked = nil
	return all
}
