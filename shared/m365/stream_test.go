package m365_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// overHTTP2 is a Microsoft that speaks HTTP/2, as the real one does, and whose Graph answers as a test says.
func overHTTP2(t *testing.T, graph http.HandlerFunc) *m365.Client {
	t.Helper()
	m := &microsoft{}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/login/") {
			m.grant(w, time.Hour, "Mail.Read", "Files.Read.All")
			return
		}
		if r.ProtoMajor != 2 {
			t.Errorf("%s came over %s", r.URL.Path, r.Proto)
		}
		graph(w, r)
	}))
	m.EnableHTTP2 = true
	m.StartTLS()
	t.Cleanup(m.Close)
	return m.client(t)
}

func openOne(t *testing.T, c *m365.Client) ([]byte, error) {
	t.Helper()
	body, _, err := c.OpenAttachment(t.Context(), contoso(), "ada@contoso.test", "message", "attachment")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func TestAStreamThatIsResetIsNoFile(t *testing.T) {
	for name, end := range map[string]func(http.ResponseWriter){
		"reset":           func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"shorter than it": func(http.ResponseWriter) {},
	} {
		c := overHTTP2(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "200000")
			_, _ = w.Write(make([]byte, 100_000))
			end(w)
		})
		if got, err := openOne(t, c); !errors.Is(err, fault.Retry) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestBytesThatArePackedStayAsTheyAre(t *testing.T) {
	const packed = "\x1f\x8b\x08\x00 a file that is itself packed"
	c := overHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding is %q", got)
		}
		w.Header().Set("Content-Type", "application/gzip")
		_, _ = io.WriteString(w, packed)
	})
	if got, err := openOne(t, c); string(got) != packed || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEveryCallOfMailAsksForImmutableIDs(t *testing.T) {
	c := overHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Prefer"); got != `IdType="ImmutableId"` || r.Method != http.MethodGet {
			t.Errorf("%s %s: Prefer is %q", r.Method, r.URL.Path, got)
		}
		answer(w, http.StatusOK, map[string]any{"value": []any{}})
	})
	_, finding := c.FindSent(t.Context(), contoso(), "ada@contoso.test", "<a@b>")
	_, anywhere := c.FindAnywhere(t.Context(), contoso(), "ada@contoso.test", "<a@b>")
	_, listing := c.Attachments(t.Context(), contoso(), "ada@contoso.test", "m")
	_, opening := openOne(t, c)
	_, asking := c.Source(t.Context(), contoso(), "ada@contoso.test", "m", "a")
	if err := errors.Join(finding, anywhere, listing, opening, asking); err != nil {
		t.Error(err)
	}
}

func TestPagesOfAttachmentsAreFollowedOnlyWithinTheCloud(t *testing.T) {
	for _, next := range []string{"https://evil.example/v1.0/users/x/messages/m/attachments?$skip=1", "http://graph.microsoft.com/v1.0/x", "//x/v1.0/y", "::"} {
		c := overHTTP2(t, func(w http.ResponseWriter, _ *http.Request) {
			answer(
				w,
				http.StatusOK,
				map[string]any{
					"value":           []any{map[string]any{"@odata.type": "#microsoft.graph.fileAttachment", "id": "a"}},
					"@odata.nextLink": next,
				},
			)
		})
		if _, err := c.Attachments(
			t.Context(),
			contoso(),
			"ada@contoso.test",
			"m",
		); fault.Code(err) != m365.ForeignURI ||
			!errors.Is(err, fault.Retry) {
			t.Errorf("%s: %v", next, err)
		}
	}
}

func TestPagesThatNeverEndAreGivenUp(t *testing.T) {
	c := overHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		answer(
			w,
			http.StatusOK,
			map[string]any{
				"value":           []any{},
				"@odata.nextLink": "https://" + r.Host + "/graph/v1.0/users/x/messages/m/attachments?$skip=1",
			},
		)
	})
	if _, err := c.Attachments(t.Context(), contoso(), "ada@contoso.test", "m"); fault.Code(err) != m365.Unreadable {
		t.Errorf("%v", err)
	}
}

func TestAFileOnAForeignHostIsPoisonAndItsHostIsNotAsked(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(elsewhere.Close)
	c := overHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/x?tempauth=secret", http.StatusFound)
	})
	_, _, err := c.OpenShared(t.Context(), contoso(), enrich.SharedFile{Drive: "d", ID: "i"})
	if !errors.Is(err, fault.Poison) || fault.Code(err) != m365.Redirect || asked ||
		strings.Contains(err.Error(), "tempauth") {
		t.Errorf("%v, asked %t", err, asked)
	}
	if _, err := openOne(t, c); !errors.Is(err, fault.Retry) || fault.Code(err) != m365.Redirect || asked {
		t.Errorf("%v, asked %t", err, asked)
	}
}

// A gateway that drops the filter must not have another mail taken for the message.
func TestAMailWithAnotherIDIsNotWhatWasAskedFor(t *testing.T) {
	c := overHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Prefer"); got != `IdType="ImmutableId"` {
			t.Errorf("Prefer is %q", got)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(
			w,
			`{"value":[{"id":"1","internetMessageId":"<other@x>"},{"id":"2","internetMessageId":"<one@x>"},{"internetMessageId":"<one@x>"}]}`,
		)
	})
	found, err := c.FindSent(t.Context(), contoso(), "ada@contoso.test", "<one@x>")
	if err != nil || len(found) != 1 || found[0].ID != "2" {
		t.Errorf("%+v, %v", found, err)
	}
}
