package connection

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	linkLifetime = 24 * time.Hour
	secretBytes  = 32 // of links, states and cookies: 256 bits
)

// NewLink opens a new link for a connection, closes the one that was open, and voids what was begun with earlier ones:
// for a consent that was never given, or has to be given again. Errors: ErrNotFound, ErrDeauthorized, ErrPurging, or
// the table's.
func (r *Registry) NewLink(ctx context.Context, id ID, by string) (link string, err error) {
	now, written := r.now(), ""
	_, err = r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		if written != "" && s.link == written {
			return nil, nil // the table had done it and then reported a failure
		}
		switch {
		case !s.Purge.Asked.IsZero():
			return nil, ErrPurging
		case s.Status == Deauthorized:
			return nil, ErrDeauthorized
		}
		var err error
		link, err = r.openLink(s, now)
		written = s.link
		return nil, err
	})
	if err != nil {
		return "", err
	}
	return link, nil
}

// openLink gives s a new link: its id, a dot, and a secret.
func (r *Registry) openLink(s *stored, now time.Time) (string, error) {
	secret, err := r.newSecret()
	if err != nil {
		return "", err
	}
	s.link, s.linkUntil = hashOf(secret), now.Add(linkLifetime)
	s.links++
	return string(s.ID) + "." + secret, nil
}

// byLink returns the connection that the link is open for, or ErrLink. It uses nothing up.
func (r *Registry) byLink(ctx context.Context, link string) (stored, error) {
	id, secret, ok := strings.Cut(link, ".")
	if !ok || !isSecret(secret) || !ID(id).valid() {
		return stored{}, ErrLink
	}
	s, err := r.get(ctx, ID(id))
	if err != nil {
		return stored{}, err
	}
	return s, s.opens(secret, r.now())
}

// opens is nil when the secret is that of the connection's open link, and ErrLink otherwise.
func (s stored) opens(secret string, now time.Time) error {
	same := subtle.ConstantTimeCompare([]byte(s.link), []byte(hashOf(secret))) == 1
	if s.link == "" || !same || !now.Before(s.linkUntil) {
		return ErrLink
	}
	return nil
}

// newSecret is 256 random bits, base64url.
func (r *Registry) newSecret() (string, error) {
	b, err := random(r.Rand, secretBytes)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// isSecret says whether s has the shape of a secret, before anything is looked up or compared.
func isSecret(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == secretBytes && len(s) == base64.RawURLEncoding.EncodedLen(secretBytes)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
