package parts

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/m365"
)

// store is a secret that a test can change and remove.
type store struct {
	text  string
	err   error
	reads atomic.Int64
}

func (s *store) value(context.Context) (string, error) {
	s.reads.Add(1)
	return s.text, s.err
}

func secretOf(t *testing.T, all []m365.Credential, err error) string {
	t.Helper()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d credentials, %v", len(all), err)
	}
	return all[0].Secret
}

// TestARotatedCredentialIsSeenByInstancesThatRun: it is read at the start, and again when Microsoft refuses it, but
// not more often than is useful.
func TestARotatedCredentialIsSeenByInstancesThatRun(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := &store{text: " old\n"}
	c := newCredential("arn", s.value, func() time.Time { return now })
	read := func() string { t.Helper(); all, err := c.read(t.Context()); return secretOf(t, all, err) }

	if got := read(); got != "old" {
		t.Fatalf("the start reads %q", got)
	}
	s.text = "new"
	if got := read(); got != "new" {
		t.Errorf("when it is refused at once after the start it is %q", got)
	}
	s.text = "newer"
	now = now.Add(again / 2)
	if got := read(); got != "new" || s.reads.Load() != 2 {
		t.Errorf("too early it is %q, after %d reads", got, s.reads.Load())
	}
	now = now.Add(again)
	if got := read(); got != "newer" || s.reads.Load() != 3 {
		t.Errorf("after a minute it is %q, after %d reads", got, s.reads.Load())
	}
}

func TestManyWhoAreRefusedReadTheCredentialOnce(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := &store{text: "secret"}
	c := newCredential("arn", s.value, func() time.Time { return now })
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got, err := c.read(t.Context()); err != nil || len(got) != 1 || got[0].Secret != "secret" {
				t.Errorf("%d credentials, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if n := s.reads.Load(); n != 2 { // the start's, and one more
		t.Errorf("%d reads", n)
	}
}

func TestACredentialThatCannotBeReadIsToldAndReadAgain(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := &store{err: errors.New("the vault is shut")}
	c := newCredential("arn:of:it", s.value, func() time.Time { return now })
	for range 3 { // the third time from memory
		if _, err := c.read(t.Context()); err == nil || !strings.Contains(err.Error(),
			"read the credential arn:of:it: the vault is shut") {
			t.Errorf("%v", err)
		}
	}
	now = now.Add(again)
	s.err, s.text = nil, "open"
	if all, err := c.read(t.Context()); secretOf(t, all, err) != "open" {
		t.Error("it is not read again")
	}
	// A caller may give up: the reading is for all of them.
	left, leave := context.WithCancel(t.Context())
	leave()
	now = now.Add(again)
	c.value = func(ctx context.Context) (string, error) { return "read", ctx.Err() }
	if all, err := c.read(left); secretOf(t, all, err) != "read" {
		t.Error("it leaves with who asked")
	}
}

func TestCredentialsAreCertificatesOrSecretsAndNeverQuoted(t *testing.T) {
	for text, says := range map[string]string{
		"":      "empty",
		" \n\t": "empty",
		"-----BEGIN CERTIFICATE-----\nc2VjcmV0LXRleHQ=\n-----END CERTIFICATE-----": "PEM",
		"-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRleHQ=\n-----END PRIVATE KEY-----": "PEM",
		"-----BEGIN secret-text": "certificate is missing",
	} {
		_, err := parseCredential(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret-text") ||
			strings.Contains(err.Error(), "c2Vjcm") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if c, err := parseCredential("  a secret ~ with signs\n"); err != nil || c.Secret != "a secret ~ with signs" ||
		c.Certificate != nil {
		t.Errorf("%v", err)
	}
}
