package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/access"
)

// clientFile holds the first API client of a data folder, as "id:secret", for curl -u: only its owner may read it. When
// that client is removed, the file stays without the secret, so that no start creates another client unasked.
const clientFile = "client"

// credential is the first API client of a data folder.
type credential struct {
	id     string
	secret string // "" when the client was removed
	fresh  bool   // made by this start
}

// readCredential reads the file of the first client. The zero credential says that there is none.
func readCredential(dir string) (credential, error) {
	text, err := os.ReadFile(filepath.Join(dir, clientFile))
	if errors.Is(err, fs.ErrNotExist) {
		return credential{}, nil
	}
	if err != nil {
		return credential{}, err
	}
	id, secret, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	return credential{id: id, secret: secret}, nil
}

func writeCredential(dir string, c credential) error {
	return replace(filepath.Join(dir, clientFile), []byte(c.id+":"+c.secret+"\n"))
}

// replace writes a file that only its owner may read, whole or not at all.
func replace(name string, text []byte) error {
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// client returns the first API client, which the first start in a data folder creates. A crash before it is written
// down leaves a client without a known secret, and the next start creates another.
func (s *session) client(ctx context.Context) (credential, error) {
	c, err := readCredential(s.Data)
	if err != nil {
		return credential{}, err
	}
	if c.id == "" && s.last.ClientID != "" { // of a version that wrote it to run.json alone
		c = credential{id: s.last.ClientID, secret: s.last.ClientSecret}
		if err := writeCredential(s.Data, c); err != nil {
			return credential{}, fmt.Errorf("write down the API client: %w", err)
		}
	}
	if c.id == "" {
		return s.firstClient(ctx)
	}
	_, err = s.machine.Clients.Check(ctx, c.id, c.secret)
	if errors.Is(err, access.ErrDenied) {
		return credential{id: c.id}, nil
	}
	return c, err
}

func (s *session) firstClient(ctx context.Context) (credential, error) {
	first := access.NewClient{Name: "first client", Roles: []access.Role{access.Admin, access.Analyst}}
	client, secret, err := s.machine.ClientAPI.Create(access.With(ctx, access.Caller{ID: operator.Caller}), first)
	if err != nil {
		return credential{}, err
	}
	c := credential{id: client.ID, secret: secret, fresh: true}
	if err := writeCredential(s.Data, c); err != nil {
		return credential{}, fmt.Errorf("write down the first API client: %w", err)
	}
	return c, nil
}

// takeSummary reads the summary of the last start, and deletes it: it is not true of this start. The store is open, so
// it cannot be the summary of another Mailtrail that runs.
func (s *session) takeSummary() error {
	name := filepath.Join(s.Data, runFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the summary of the last start: %w", err)
	}
	if err := json.Unmarshal(text, &s.last); err != nil {
		s.log.Warn("the summary of the last start cannot be read", "err", err)
	}
	return os.Remove(name)
}
