package company

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Hash fills the hashes of a truth's files, in lower-case hex. It makes every byte of every file, so it takes as long
// as the files are large. Attached mails and cloud files keep empty hashes: Microsoft serves no bytes that would be
// the same twice. It fails if the truth is not one of this company.
func (c *Company) Hash(t *world.Truth) error {
	s := c.sent(t)
	if s == nil {
		return fmt.Errorf("hash the files of record %s: the company sent no such mail at %s",
			t.RecordID, t.Observed.Format(creationTime))
	}
	for i, a := range s.files {
		if a.Kind != "file" {
			continue
		}
		var err error
		if t.Files[i].MD5, t.Files[i].SHA256, err = hashes(a); err != nil {
			return fmt.Errorf("hash file %d of record %s: %w", i, t.RecordID, err)
		}
	}
	return nil
}

// sent finds the mail that a truth is about by living its minute once more.
func (c *Company) sent(t *world.Truth) *send {
	for _, e := range c.minute(t.Observed.UTC().Truncate(time.Minute)) {
		if e.mail != nil && e.mail.id == t.RecordID && len(e.mail.files) == len(t.Files) {
			return e.mail
		}
	}
	return nil
}

func hashes(a world.Attachment) (md5Hex, sha256Hex string, err error) {
	m, s := md5.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(m, s), a.Reader()); err != nil {
		return "", "", err
	}
	return hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(s.Sum(nil)), nil
}
