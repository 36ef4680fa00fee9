package m365sim

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	longestWindow = 24 * time.Hour
	longestBack   = 7 * 24 * time.Hour
)

// window is a half-open stretch of contentCreated.
type window struct{ start, end time.Time }

// listContent answers with one page of a content list.
func listContent(c *call) {
	if !c.admit("contentType", "startTime", "endTime", "nextPage") {
		return
	}
	contentType, ok := c.contentType()
	if !ok {
		return
	}
	w, ok := c.window()
	if !ok {
		return
	}
	after, ok := c.pageMark(contentType, w)
	if !ok {
		return
	}
	c.tenant.mu.RLock()
	f := c.tenant.feeds[contentType]
	state, off := f.content(), c.tenant.auditOff
	page, more := f.page(w, c.now, after, c.opts.PageSize)
	entries := c.entries(page, after)
	c.tenant.mu.RUnlock()
	switch {
	case off:
		c.auditMissing("GetAvailableContent", contentType)
		return
	case !c.subscribed(state):
		return
	}
	if more {
		// Not Header().Set: Microsoft writes the name in this case, and clients must find it in any.
		c.w.Header()["NextPageUri"] = []string{c.nextPage(contentType, w, page[len(page)-1])}
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.body(http.StatusOK, entries)
}

// page gives the blobs of the window that come after a mark, in the order of their availability, and whether there
// are more. It looks only at blobs that can be in the window: none is listed later than the greatest lag.
func (f *feed) page(w window, now time.Time, after mark, size int) (page []*blob, more bool) {
	from := sort.Search(len(f.blobs), func(i int) bool {
		b := f.blobs[i]
		return !b.visible.Before(w.start) && after.before(b)
	})
	last := w.end.Add(f.lag)
	for _, b := range f.blobs[from:] {
		if b.visible.After(now) || !b.visible.Before(last) {
			break
		}
		if b.lost || b.Created.Before(w.start) || !b.Created.Before(w.end) {
			continue
		}
		if len(page) == size {
			return page, true
		}
		page = append(page, b)
	}
	return page, false
}

// entries writes a page as JSON. A blob that the dice chose is there twice: on its own page and, when it ended the
// page before, here again.
func (c *call) entries(page []*blob, after mark) []byte {
	listed := page
	if rate := c.opts.DuplicateRate; rate > 0 {
		listed = slices.Clone(page)
		if b := c.tenant.content[after.id]; b != nil && c.s.dice.always("across|"+b.id, rate) {
			listed = append(listed, b)
		}
		for _, b := range page {
			if c.s.dice.always("within|"+b.id, rate) {
				listed = append(listed, b)
			}
		}
	}
	if c.opts.Shuffle {
		listed = slices.Clone(listed)
		slices.SortFunc(listed, func(a, b *blob) int {
			return strings.Compare(strconv.FormatUint(mix(c.opts.Seed^hash(a.id)), 36),
				strconv.FormatUint(mix(c.opts.Seed^hash(b.id)), 36))
		})
	}
	root := []byte(c.base(manage))
	const usualEntry = 450 // bytes, so that the buffer need not grow
	var body bytes.Buffer
	body.Grow(2 + usualEntry*len(listed))
	body.WriteByte('[')
	for i, b := range listed {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(b.before)
		body.Write(root)
		body.Write(b.after)
	}
	body.WriteByte(']')
	return body.Bytes()
}

// window reads startTime and endTime; without both, the last 24 hours.
func (c *call) window() (window, bool) {
	start, end := c.query.Get("startTime"), c.query.Get("endTime")
	if start == "" && end == "" {
		return window{c.now.Add(-longestWindow), c.now}, true
	}
	if start == "" || end == "" {
		c.feedError("AF20030", "Start time and end time must both be specified (or both omitted) and must be less "+
			"than or equal to 24 hours apart, with the start time no more than 7 days in the past.")
		return window{}, false
	}
	var w window
	var ok bool
	if w.start, ok = c.readTime("startTime", start); !ok {
		return w, false
	}
	if w.end, ok = c.readTime("endTime", end); !ok {
		return w, false
	}
	switch {
	case w.start.Before(c.now.Add(-longestBack)):
		c.feedError("AF20030", "The start time must be no more than 7 days in the past.")
	case !w.start.Before(w.end) || w.end.Sub(w.start) > longestWindow:
		c.feedError("AF20055", "Start time and end time must both be specified (or both omitted) and must be less "+
			"than or equal to 24 hours apart, with the start time prior to end time and start time no more than 7 "+
			"days in the past.")
	default:
		return w, true
	}
	return w, false
}

func (c *call) readTime(name, text string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	c.feedError("AF20002", "Invalid parameter type: "+name+". Expected type: datetime")
	return time.Time{}, false
}

// mark is the place in a list where a page ended. The zero mark is before everything.
type mark struct {
	visible time.Time
	number  int
	id      string
}

func (m mark) before(b *blob) bool {
	return b.visible.After(m.visible) || b.visible.Equal(m.visible) && b.number > m.number
}

// pageMark reads nextPage, which is good only for the list that gave it.
func (c *call) pageMark(contentType string, w window) (mark, bool) {
	text := c.query.Get("nextPage")
	if text == "" {
		return mark{}, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	id, list, _ := strings.Cut(string(raw), "|")
	c.tenant.mu.RLock()
	b := c.tenant.content[id]
	c.tenant.mu.RUnlock()
	if err != nil || b == nil || list != listName(contentType, w) {
		c.feedError("AF20031", "Invalid nextPage Input: "+text)
		return mark{}, false
	}
	return mark{b.visible, b.number, b.id}, true
}

// nextPage is the address of the page after last. As with Microsoft, the publisher is not carried over.
func (c *call) nextPage(contentType string, w window, last *blob) string {
	query := url.Values{
		"contentType": {contentType},
		"startTime":   {w.start.Format("2006-01-02T15:04:05.999999999Z")},
		"endTime":     {w.end.Format("2006-01-02T15:04:05.999999999Z")},
		"nextPage":    {base64url([]byte(last.id + "|" + listName(contentType, w)))},
	}
	return c.base(manage) + "/api/v1.0/" + c.tenant.ID + "/activity/feed/subscriptions/content?" + query.Encode()
}

func listName(contentType string, w window) string {
	return fmt.Sprintf("%s|%d|%d", contentType, w.start.UnixNano(), w.end.UnixNano())
}
