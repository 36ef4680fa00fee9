package m365sim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Publication is one blob of audit content to be listed.
type Publication struct {
	Tenant      string
	ContentType string
	Created     time.Time             // contentCreated, which list windows filter on; never listed before it
	Visible     time.Time             // when it is first listed; by default Created, or later (LateRate)
	Expires     time.Time             // contentExpiration; Created plus Options.ContentLife when zero
	Body        []byte                // what a GET of the blob gives
	Write       func(io.Writer) error // gives the body instead, for one that should not be held in memory
}

// blob is a publication as the tenant holds it.
type blob struct {
	Publication
	id      string
	number  int // in the order of publishing
	visible time.Time
	lost    bool   // became available while the subscription was stopped
	before  []byte // its entry in a content list up to the activity root,
	after   []byte // and from there on
}

// Publish lists a blob whose body is the JSON array of the records, exactly as their bytes are.
func (s *Server) Publish(tenantID, contentType string, created time.Time, records []world.Record) (contentID string,
	err error) {
	return s.PublishRaw(tenantID, contentType, created, joinRecords(records))
}

// joinRecords makes a JSON array of values that are JSON already, or meant to be damaged.
func joinRecords(records []world.Record) []byte {
	var body bytes.Buffer
	body.WriteByte('[')
	for i, r := range records {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(r.JSON)
	}
	body.WriteByte(']')
	return body.Bytes()
}

// PublishRaw lists a blob with this body, whole or damaged.
func (s *Server) PublishRaw(tenantID, contentType string, created time.Time, body []byte) (contentID string,
	err error) {
	return s.PublishBlob(Publication{Tenant: tenantID, ContentType: contentType, Created: created, Body: body})
}

// PublishBlob lists a blob and returns its content id, which is unique in the tenant.
func (s *Server) PublishBlob(p Publication) (contentID string, err error) {
	f, t, err := s.feed(p.Tenant, p.ContentType)
	if err != nil {
		return "", err
	}
	p.Created = p.Created.UTC().Truncate(time.Millisecond)
	if p.Expires.IsZero() {
		p.Expires = p.Created.Add(s.options().ContentLife)
	}
	b := &blob{Publication: p, visible: p.Created}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(f, s.Now())
	t.published++
	b.number = t.published
	b.id = newContentID(p, b.number)
	switch {
	case p.Visible.After(p.Created):
		b.visible = p.Visible.UTC()
	case p.Visible.IsZero() && s.dice.always("late|"+b.id, s.options().LateRate):
		b.visible = p.Created.Add(s.options().LateBy)
	}
	if err := b.prepare(t.ID); err != nil {
		return "", err
	}
	t.content[b.id] = b
	at, _ := slices.BinarySearchFunc(f.blobs, b, compareBlobs)
	f.blobs = slices.Insert(f.blobs, at, b)
	f.lag = max(f.lag, b.visible.Sub(b.Created))
	return b.id, nil
}

// forget drops the blobs at the head of a feed that expired so long ago that no list names them, so that a company
// that mails for weeks fits in memory.
func (t *tenant) forget(f *feed, now time.Time) {
	old := now.Add(-longestBack)
	kept := slices.IndexFunc(f.blobs, func(b *blob) bool { return !b.Expires.Before(old) || !b.visible.Before(old) })
	if kept < 0 {
		kept = len(f.blobs)
	}
	for _, b := range f.blobs[:kept] {
		delete(t.content, b.id)
	}
	f.blobs = slices.Delete(f.blobs, 0, kept)
}

// feed finds the content of a tenant, for the Go methods.
func (s *Server) feed(tenantID, contentType string) (*feed, *tenant, error) {
	t, err := s.known(tenantID)
	if err != nil {
		return nil, nil, err
	}
	f := t.feeds[contentType]
	if f == nil {
		return nil, nil, fmt.Errorf("%q is no content type", contentType)
	}
	return f, t, nil
}

func compareBlobs(a, b *blob) int {
	return cmp.Or(a.visible.Compare(b.visible), cmp.Compare(a.number, b.number))
}

// newContentID has the form of Microsoft's: opaque, with dollar signs.
func newContentID(p Publication, number int) string {
	stamp := fmt.Sprintf("%s%09d", p.Created.Format("20060102150405"), number)
	kind := strings.ReplaceAll(p.ContentType, ".", "_")
	return stamp + "$" + stamp + "$" + strings.ToLower(kind) + "$" + kind + "$na0001"
}

// prepare writes the blob's list entry once, but for the root that each client knows by its own name.
func (b *blob) prepare(tenantID string) error {
	const mark = "\x01"
	entry, err := json.Marshal(struct {
		ContentType string `json:"contentType"`
		ContentID   string `json:"contentId"`
		ContentURI  string `json:"contentUri"`
		Created     string `json:"contentCreated"`
		Expiration  string `json:"contentExpiration"`
	}{
		b.ContentType, b.id, mark + "/api/v1.0/" + tenantID + "/activity/feed/audit/" + b.id,
		b.Created.Format(stampFormat), b.Expires.UTC().Format(stampFormat),
	})
	if err != nil {
		return fmt.Errorf("write the list entry of %s: %w", b.id, err)
	}
	b.before, b.after, _ = bytes.Cut(entry, []byte(`\u0001`))
	return nil
}

// stampFormat is how the activity API writes times.
const stampFormat = "2006-01-02T15:04:05.000Z"

// getBlob answers with the body of a blob.
func getBlob(c *call) {
	if !c.admit() {
		return
	}
	id := c.r.PathValue("content")
	if strings.Count(id, "$") != 4 {
		c.refuse("AF20052")
		return
	}
	c.tenant.mu.RLock()
	b := c.tenant.content[id]
	var found blob
	var state subscription
	if b != nil {
		found, state = *b, c.tenant.feeds[b.ContentType].content()
	}
	c.tenant.mu.RUnlock()
	switch {
	case b == nil || found.lost || c.now.Before(found.visible):
		c.refuse("AF20050")
	case !c.subscribed(state):
	case !c.now.Before(found.Expires):
		c.refuse("AF20051")
	default:
		c.giveBlob(found)
	}
}

func (c *call) giveBlob(b blob) {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if b.Write == nil {
		c.body(http.StatusOK, b.Body)
		return
	}
	c.w.WriteHeader(http.StatusOK)
	if err := b.Write(c.w); err != nil {
		panic(http.ErrAbortHandler) // the status is out; only a broken connection can show the client
	}
}

// ExpireBlob makes one blob expire now: fetching it answers AF20051. It stays listed.
func (s *Server) ExpireBlob(tenantID, contentID string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.content[contentID]
	if b == nil {
		return fmt.Errorf("tenant %s has no content %q", tenantID, contentID)
	}
	b.Expires = s.Now()
	return b.prepare(t.ID)
}
