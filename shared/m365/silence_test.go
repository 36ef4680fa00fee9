package m365_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// slow is a transport without a network, so that its silences pass in no time: write gives the body of every answer of
// the API, or nil for an answer that does not begin.
type slow struct {
	write func(context.Context, io.Writer)
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if strings.Contains(r.URL.Path, "/oauth2/") {
		body := `{"access_token":"x","expires_in":3599}`
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	if s.write == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body, in := io.Pipe()
	context.AfterFunc(r.Context(), func() { in.CloseWithError(r.Context().Err()) })
	go func() {
		s.write(r.Context(), in)
		in.CloseWithError(r.Context().Err()) // nil is the body's true end
	}()
	return &http.Response{StatusCode: 200, Header: header, Body: body, Request: r}, nil
}

func (s slow) client(t *testing.T) *m365.Client {
	c, err := m365.New(m365.Config{
		ClientID: clientID, Secret: secret, RedirectURL: redirect, Publisher: publisher, HTTP: &http.Client{Transport: s},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// drip writes a byte every 20 seconds, for as long as somebody listens.
func drip(bytes int) func(context.Context, io.Writer) {
	return func(ctx context.Context, w io.Writer) {
		for range bytes {
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Second):
				_, _ = io.WriteString(w, " ")
			}
		}
	}
}

const blobURI = "https://manage.office.com/api/v1.0/" + tenantID + "/activity/feed/audit/x"

func TestABlobThatFallsSilentFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{func(ctx context.Context, w io.Writer) {
			_, _ = io.WriteString(w, "[")
			<-ctx.Done()
		}}
		blob, err := s.client(t).Open(t.Context(), contoso(), blobURI)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = io.ReadAll(blob)
		check(t, err, fault.Retry, "", 0)
		if waited := time.Since(start); waited != 30*time.Second || !strings.Contains(err.Error(), "no bytes came") {
			t.Errorf("gave up after %v: %v", waited, err)
		}
		must(t, blob.Close())
	})
}

func TestABlobMayTakeHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces = 1000
		s := slow{drip(pieces)}
		blob, err := s.client(t).Open(t.Context(), contoso(), blobURI)
		if err != nil {
			t.Fatal(err)
		}
		piece, read := make([]byte, 1), 0
		for ; err == nil; _, err = blob.Read(piece) {
			read++
			if read%100 == 0 {
				time.Sleep(time.Hour) // the reader is slow, which is no silence of Microsoft's
			}
		}
		if err != io.EOF || read != pieces+1 {
			t.Errorf("read %d pieces of %d: %v", read-1, pieces, err)
		}
		must(t, blob.Close())
	})
}

func TestAnAnswerThatDoesNotBeginFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := slow{}.client(t).Open(t.Context(), contoso(), blobURI)
		check(t, err, fault.Retry, "", 0)
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("gave up after %v", waited)
		}
	})
}

func TestAListingIsBoundedAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{drip(1000)}
		start := time.Now()
		_, err := s.client(t).List(t.Context(), contoso(), audit.Exchange, start, start, "")
		check(t, err, fault.Retry, "", 0)
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("gave up after %v", waited)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is no time-out", err)
		}
	})
}

func isGone(err error) bool { return errors.Is(err, audit.ErrGone) && errors.Is(err, fault.Poison) }
