package machine_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// kept is what a release answered about its own store. Command keep in proof/keep makes it.
type kept struct {
	Release      string
	At           time.Time
	ClientID     string
	ClientSecret string
	Answers      map[string]json.RawMessage // by method and path
}

// everyEvent is the search whose answer is kept.
const everyEvent = `{"groups":[{"filters":[{"term":"file.name","operator":"IS","value":"*"}]}],"pgSize":10000}`

// TestTheStoreOfEachReleaseIsOpenedAndAnswersAsItDid opens what released versions have stored: their API client logs
// in, and every event, connection, scope, person, ledger and entry of the trail is as the release said. An answer may
// say more now.
func TestTheStoreOfEachReleaseIsOpenedAndAnswersAsItDid(t *testing.T) {
	files, err := filepath.Glob("testdata/stores/*.tar.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("the stores are %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			k := unpack(t, file, dir)
			handler := openKept(t, dir, k.At)
			token := k.login(t, handler)
			for call, want := range k.Answers {
				method, path, _ := strings.Cut(call, " ")
				body := ""
				if method == http.MethodPost {
					body = everyEvent
				}
				req := httptest.NewRequest(method, path, strings.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+token)
				got := answer(t, handler, req)
				if problems := less("", decoded(t, got), decoded(t, want)); len(problems) > 0 {
					t.Errorf(
						"%s: %d differences, such as\n%s",
						call,
						len(problems),
						strings.Join(problems[:min(5, len(problems))], "\n"),
					)
				}
				if path == "/v2/file-events" {
					wantMany(t, want, 50)
				}
			}
		})
	}
}

// wantMany fails when a kept answer has too few events to show anything.
func wantMany(t *testing.T, answer []byte, least int) {
	t.Helper()
	var page struct{ FileEvents []json.RawMessage }
	if err := json.Unmarshal(answer, &page); err != nil || len(page.FileEvents) < least {
		t.Errorf("the store has %d events, want at least %d (%v)", len(page.FileEvents), least, err)
	}
}

// openKept opens a machine on a store, at the moment in which the answers were given. Its agents do not run.
func openKept(t *testing.T, dir string, at time.Time) http.Handler {
	t.Helper()
	m, err := machine.Open(machine.Config{
		Dir: dir, Base: "http://127.0.0.1", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return at.Add(time.Second) },
		Microsoft: m365.Config{
			ClientID: clientID, Secret: clientSecret, Publisher: publisher,
			Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
				Login: "http://127.0.0.1/login", Activity: "http://127.0.0.1", Graph: "http://127.0.0.1", Files: "localhost",
				ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m.Handler()
}

func (k *kept) login(t *testing.T, handler http.Handler) string {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/v1/oauth", nil)
	req.SetBasicAuth(k.ClientID, k.ClientSecret)
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(answer(t, handler, req), &token); err != nil {
		t.Fatal(err)
	}
	return token.Access
}

func answer(t *testing.T, handler http.Handler, req *http.Request) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s answers %d: %.300s", req.Method, req.URL, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// unpack unpacks a kept store into a folder, and returns what was answered of it.
func unpack(t *testing.T, file, dir string) *kept {
	t.Helper()
	packed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.Mkdir("store", 0o700); err != nil {
		t.Fatal(err)
	}
	k := &kept{}
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return k
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "answers.json" {
			if err := json.Unmarshal(b, k); err != nil {
				t.Fatal(err)
			}
		} else if err := root.WriteFile(header.Name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func decoded(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %.300s", err, b)
	}
	return v
}

// less lists what of want is not in got. It passes over sentences, which may be put better, and over what is about
// polls, which went on behind the answer. A list may have more at its end.
func less(path string, got, want any) (problems []string) {
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, value := range want {
			if slices.Contains([]string{"progress", "waitingFor", "lagSeconds", "reason"}, name) {
				continue
			}
			problems = append(problems, less(path+"."+name, object[name], value)...)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) < len(want) {
			return []string{fmt.Sprintf("%s has %d elements, had %d", path, len(list), len(want))}
		}
		for i, value := range want {
			problems = append(problems, less(fmt.Sprintf("%s[%d]", path, i), list[i], value)...)
		}
	default:
		if got != want {
			problems = append(problems, fmt.Sprintf("%s is %v, was %v", path, got, want))
		}
	}
	return problems
}
