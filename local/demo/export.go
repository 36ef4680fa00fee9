package demo

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mailtrail/mailtrail/local/exported"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// blobRecords is how many records of an export are served as one blob.
const blobRecords = 500

// Export is an exported audit log, served as the audit log of a tenant of its own. Records keep their times, however
// old.
type Export struct {
	File    string
	Spool   string           // a folder of its own for the blobs; emptied at each start
	Summary exported.Summary // complete when Publish has called caught, and so is Blobs
	Blobs   int              // how many the records became
	hash    string
}

// NewExport reads a file once, to know it by its hash.
func NewExport(file string) (*Export, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the exported audit log: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read the exported audit log: %w", err)
	}
	return &Export{File: file, hash: hex.EncodeToString(h.Sum(nil))}, nil
}

func (e *Export) Name() string { return "export-" + e.hash[:12] }

func (e *Export) Tenant() (world.Tenant, []world.Person) {
	const domain = "exported.example"
	return world.Tenant{
		ID:          fmt.Sprintf("%s-%s-4%s-8%s-%s", e.hash[:8], e.hash[8:12], e.hash[12:15], e.hash[15:18], e.hash[18:30]),
		DisplayName: filepath.Base(e.File), DefaultDomain: domain, Domains: []string{domain}, Cloud: "commercial",
	}, staff(domain)
}

// Publish spools the file's records to disk as blobs, and lists each.
func (e *Export) Publish(ctx context.Context, sim *m365sim.Server, since time.Time, caught func()) error {
	if err := e.publish(ctx, sim, since); err != nil {
		return err
	}
	caught()
	return nil
}

func (e *Export) publish(ctx context.Context, sim *m365sim.Server, since time.Time) error {
	if err := os.RemoveAll(e.Spool); err != nil {
		return fmt.Errorf("empty the spool: %w", err)
	}
	if err := os.MkdirAll(e.Spool, 0o700); err != nil {
		return fmt.Errorf("make the spool: %w", err)
	}
	f, err := os.Open(e.File)
	if err != nil {
		return fmt.Errorf("open the exported audit log: %w", err)
	}
	defer f.Close()

	tenant, _ := e.Tenant()
	s := &spool{dir: e.Spool}
	e.Summary, err = exported.Read(ctx, f, func(_ int, raw []byte) error { return s.add(raw) })
	if err != nil {
		return fmt.Errorf("RECORDS=%s: %w", e.File, err)
	}
	if err := s.end(); err != nil {
		return err
	}
	e.Blobs = len(s.names)
	for _, name := range s.names {
		_, err := sim.PublishBlob(m365sim.Publication{
			Tenant: tenant.ID, ContentType: contentType, Created: since,
			Write: func(w io.Writer) error { return copyFile(w, name) },
		})
		if err != nil {
			return fmt.Errorf("publish %s: %w", name, err)
		}
	}
	return nil
}

// spool writes records to files, each a JSON array of up to blobRecords.
type spool struct {
	dir   string
	names []string
	file  *os.File
	out   *bufio.Writer
	n     int
}

func (s *spool) add(raw []byte) error {
	if s.file == nil {
		name := filepath.Join(s.dir, fmt.Sprintf("%06d.json", len(s.names)))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("spool a blob: %w", err)
		}
		s.file, s.out, s.n = f, bufio.NewWriterSize(f, 1<<20), 0
		s.names = append(s.names, name)
	}
	before := byte(',')
	if s.n == 0 {
		before = '['
	}
	s.out.WriteByte(before) // a bufio.Writer keeps its first error until Flush
	s.out.Write(raw)
	if s.n++; s.n == blobRecords {
		return s.end()
	}
	return nil
}

func (s *spool) end() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	s.out.WriteByte(']')
	if err := s.out.Flush(); err != nil {
		f.Close()
		return fmt.Errorf("spool a blob: %w", err)
	}
	return f.Close()
}

func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
