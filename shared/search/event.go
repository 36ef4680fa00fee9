package search

import (
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// event is one attachment of a message: what predicates are evaluated on and documents are written of.
type event struct {
	message *forensic.Message
	file    int
	conn    *connection.Connection
}

func (e *event) id() string { return e.message.EventID(e.file).String() }

func (e *event) eventID() value  { return textOf(e.id()) }
func (e *event) observed() value { return numberOf(e.message.Observed.UnixMilli()) }
func (e *event) ingested() value { return numberOf(e.message.Arrival.UnixMilli()) }
func (e *event) inserted() value { return numberOf(e.message.Stored.UnixMilli()) }
func (e *event) detector() value { return textOf(e.conn.DisplayName) }

func (e *event) actor() value      { return textOf(e.message.Actor) }
func (e *event) sender() value     { return textOf(e.message.Sender) }
func (e *event) from() value       { return textOf(e.message.From) }
func (e *event) messageID() value  { return textOf(e.message.InternetMessageID) }
func (e *event) clientIP() value   { return textOf(e.message.ClientIP) }
func (e *event) subject() value    { return textOf(e.message.Subject) }
func (e *event) recipients() value { return value{texts: e.message.Recipients} }

func (e *event) fileName() value { return textOf(e.message.Files[e.file].Name) }
func (e *event) category() value { return textOf(fileKind(e.message.Files[e.file].Name).category) }
func (e *event) mimeType() value { return textOf(fileKind(e.message.Files[e.file].Name).mime) }

// size is what the audit record says, which is some hundred bytes more than the file has.
func (e *event) size() value {
	n := e.message.Files[e.file].StoredSize
	return value{num: n, ok: n >= 0}
}

// untrustedDomains are the recipients' domains other than the sender's own, each once and sorted. Which other domains the
// company trusts nobody has told us.
func (e *event) untrustedDomains() value {
	own := forensic.Domain(e.message.Sender)
	var domains []string
	for _, r := range e.message.Recipients {
		if d := forensic.Domain(r); d != "" && d != own {
			domains = append(domains, d)
		}
	}
	slices.Sort(domains)
	return value{texts: slices.Compact(domains)}
}

// lower is strings.ToLower as Normal has it: text that is not UTF-8 is never found by what it is not.
func lower(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\ufffd")) }

// posting is where the event's message stands in streams by time observed.
func (e *event) posting() posting {
	m := e.message
	return posting{at: m.Observed, sort: forensic.TimeSort(m.Observed, m.Record), conn: e.conn, record: m.Record}
}
