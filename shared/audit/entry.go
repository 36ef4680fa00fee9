package audit

import (
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

func attrText(v any) string {
	s, _ := v.(string)
	return s
}

func attrNumber(v any) int64 {
	n, _ := v.(int64)
	return n
}

func (e Entry) attrs() table.Attrs {
	attrs := table.Attrs{
		"id":       string(e.ID),
		"tenant":   string(e.Tenant.ID),
		"cloud":    string(e.Tenant.Cloud),
		"type":     string(e.Type),
		"uri":      e.URI,
		"created":  table.Stamp(e.Created),
		"expires":  table.Stamp(e.Expires),
		"arrival":  table.Stamp(e.Arrival),
		"queued":   table.Stamp(e.Queued),
		"state":    string(e.State),
		"attempts": int64(e.Attempts),
	}
	if e.Refusals > 0 {
		attrs["refusals"], attrs["refusal"] = e.Refusals, e.Refusal
	}
	return attrs
}

// item is the entry as it is stored. An open blob's never expires: a connection may be resumed after a long time.
func (e Entry) item() table.Item {
	item := table.Item{Key: blobKey(e.Connection, e.ID), Attrs: e.attrs(), Revision: e.revision}
	if e.State == Settled || e.State == Lost {
		item.Attrs["ended"] = table.Stamp(e.Ended)
		item.Attrs["tally"] = e.Tally.attrs()
		item.Attrs["reason"] = e.Reason
		item.Expires = e.Arrival.Add(remembered)
	}
	return item
}

// openItem lets open blobs be found by arrival. The details of the blob are in its own item. An open item does not
// expire.
func (e Entry) openItem() table.Item {
	return table.Item{
		Key:   openKey(e.Connection, e.Arrival, e.ID),
		Attrs: table.Attrs{"id": string(e.ID), "arrival": table.Stamp(e.Arrival), "queued": table.Stamp(e.Queued)},
	}
}

func (e Entry) lostItem() table.Item {
	return table.Item{
		Key: lostKey(e.Connection, e.Arrival, e.ID),
		Attrs: table.Attrs{
			"id": string(e.ID), "arrival": table.Stamp(e.Arrival), "reason": e.Reason, "ended": table.Stamp(e.Ended),
		},
		Expires: e.Arrival.Add(remembered),
	}
}

func readEntry(c connection.ID, item table.Item) Entry {
	a := item.Attrs
	tally, _ := a["tally"].(table.Attrs)
	return Entry{
		Blob: Blob{
			Connection: c,
			Tenant: connection.Tenant{
				ID: connection.TenantID(attrText(a["tenant"])), Cloud: connection.Cloud(attrText(a["cloud"])),
			},
			Type:     ContentType(attrText(a["type"])),
			ID:       ContentID(attrText(a["id"])),
			URI:      attrText(a["uri"]),
			Created:  table.TimeOf(a["created"]),
			Expires:  table.TimeOf(a["expires"]),
			Arrival:  table.TimeOf(a["arrival"]),
			Attempts: int(attrNumber(a["attempts"])),
		},
		State:    State(attrText(a["state"])),
		Refusals: attrNumber(a["refusals"]),
		Refusal:  attrText(a["refusal"]),
		Reason:   attrText(a["reason"]),
		Queued:   table.TimeOf(a["queued"]),
		Ended:    table.TimeOf(a["ended"]),
		Tally:    readTally(tally),
		revision: item.Revision,
	}
}

// readOpen reads an item of an open blob: only ID, Arrival and Queued.
func readOpen(c connection.ID, item table.Item) Entry {
	return Entry{
		Blob: Blob{
			Connection: c,
			ID:         ContentID(attrText(item.Attrs["id"])),
			Arrival:    table.TimeOf(item.Attrs["arrival"]),
		},
		Queued: table.TimeOf(item.Attrs["queued"]),
	}
}

// unreadableAttrs keeps what is known of an element that could not be read. Its bytes come from Microsoft and may not
// be text.
func unreadableAttrs(b Blob, u Unreadable) table.Attrs {
	attrs := table.Attrs{"reason": u.Reason, "offset": u.Offset, "size": u.Size, "blob": string(b.ID)}
	if u.Raw != "" {
		attrs["record"] = strings.ToValidUTF8(u.Raw, "\ufffd")
	}
	return attrs
}
