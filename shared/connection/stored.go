package connection

import (
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// stored is a connection as its item holds it. Two of them are equal (==) if nothing changed.
type stored struct {
	Connection
	link      string    // SHA-256 of the open link's secret, hex; "" when none is open
	linkUntil time.Time // when the open link expires
	changes   int64     // how many items its history has
	links     int64     // how many links it has had: attempts of earlier ones are void
	starter   string    // a random name of whoever tried last to start the subscription
}

func (s stored) item() table.Item {
	return table.Item{Key: connectionKey(s.ID), Revision: s.Revision, Attrs: table.Attrs{
		"displayName": s.DisplayName,
		"tenant":      string(s.Tenant.ID),
		"cloud":       string(s.Tenant.Cloud),
		"status":      string(s.Status),
		"since":       table.Stamp(s.Since),
		"reason":      s.Reason,
		"created":     table.Stamp(s.Created),
		"createdBy":   s.CreatedBy,
		"consented":   table.Stamp(s.Consented),
		"consentedBy": s.ConsentedBy,
		"wanted":      s.Wanted,
		"claims":      s.Claims,
		"links":       s.links,
		"denied":      s.Denied,
		"keepsAll":    s.KeepsAll,
		"subscribed":  table.Stamp(s.Subscribed),
		"stopping":    table.Stamp(s.Stopping),
		"startAfter":  table.Stamp(s.StartAfter),
		"starter":     s.starter,
		"refusals":    s.Refusals,
		"refusalCode": s.RefusalCode,
		"resumed":     table.Stamp(s.Resumed),
		"purgeAsked":  table.Stamp(s.Purge.Asked),
		"purgeBy":     s.Purge.By,
		"purged":      s.Purge.Deleted,
		"link":        s.link,
		"linkUntil":   table.Stamp(s.linkUntil),
		"changes":     s.changes,
	}}
}

func storedOf(item table.Item) (stored, error) {
	a := fields{attrs: item.Attrs}
	s := stored{
		Connection: Connection{
			ID:          ID(item.Sort),
			DisplayName: a.text("displayName"),
			Tenant:      Tenant{ID: TenantID(a.text("tenant")), Cloud: Cloud(a.text("cloud"))},
			Status:      Status(a.text("status")),
			Since:       a.time("since"),
			Reason:      a.text("reason"),
			Created:     a.time("created"),
			CreatedBy:   a.text("createdBy"),
			Consented:   a.time("consented"),
			ConsentedBy: a.text("consentedBy"),
			Wanted:      a.text("wanted"),
			Claims:      a.text("claims"),
			Denied:      a.text("denied"),
			KeepsAll:    a.yes("keepsAll"),
			Subscribed:  a.time("subscribed"),
			Stopping:    a.time("stopping"),
			StartAfter:  a.time("startAfter"),
			Refusals:    a.number("refusals"),
			RefusalCode: a.text("refusalCode"),
			Resumed:     a.time("resumed"),
			Purge:       Purge{Asked: a.time("purgeAsked"), By: a.text("purgeBy"), Deleted: a.number("purged")},
			Revision:    item.Revision,
		},
		link:      a.text("link"),
		linkUntil: a.time("linkUntil"),
		changes:   a.number("changes"),
		starter:   a.text("starter"),
		links:     a.number("links"),
	}
	if a.err != nil {
		return stored{}, fmt.Errorf("read connection %s: %w", item.Sort, a.err)
	}
	return s, nil
}

// Change is one step of a connection's life.
type Change struct {
	At     time.Time
	Status Status
	Reason string
	By     string // an API client's id, an administrator's object id, or Poller
}

func (c Change) item(id ID, number int64) table.Item {
	return table.Item{Key: historyKey(id, number), Attrs: table.Attrs{
		"at": table.Stamp(c.At), "status": string(c.Status), "reason": c.Reason, "by": c.By,
	}}
}

func changeOf(item table.Item) (Change, error) {
	a := fields{attrs: item.Attrs}
	c := Change{At: a.time("at"), Status: Status(a.text("status")), Reason: a.text("reason"), By: a.text("by")}
	if a.err != nil {
		return Change{}, fmt.Errorf("read history %s %s: %w", item.Partition, item.Sort, a.err)
	}
	return c, nil
}

// fields reads an item's attributes and keeps the first error. A missing attribute is zero: older code wrote the item
// without it.
type fields struct {
	attrs table.Attrs
	err   error
}

func (f *fields) text(name string) string {
	s, ok := f.attrs[name].(string)
	f.expect(ok || f.attrs[name] == nil, name)
	return s
}

func (f *fields) yes(name string) bool {
	b, ok := f.attrs[name].(bool)
	f.expect(ok || f.attrs[name] == nil, name)
	return b
}

func (f *fields) number(name string) int64 {
	n, ok := f.attrs[name].(int64)
	f.expect(ok || f.attrs[name] == nil, name)
	return n
}

func (f *fields) time(name string) time.Time {
	t, err := table.ParseTime(f.attrs[name])
	f.expect(err == nil, name)
	return t
}

func (f *fields) expect(ok bool, name string) {
	if !ok && f.err == nil {
		f.err = fmt.Errorf("attribute %q is of another type", name)
	}
}
